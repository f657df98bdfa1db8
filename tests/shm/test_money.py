"""Real and simulated money, as settings, kernels and folders tell them apart."""

import msgspec
import pytest

from shm import backend, money
from shm.errors import LiveRefused
from shm.settings import LIVE_VENUE, Settings, VenueSettings, WalletSettings

KEY = WalletSettings(key_file="wallet.json")
HERE = VenueSettings(
    clob_url="http://127.0.0.1:1",
    gamma_url="http://127.0.0.1:1",
    market_ws_url="ws://127.0.0.1:1/ws/market",
    user_ws_url="ws://127.0.0.1:1/ws/user",
)


def live(**more) -> Settings:
    """Settings with which real money may be traded, and what a test puts into them."""
    return Settings(**{"venue": "polymarket", "execution": "live", "wallet": KEY} | more)


def with_url(**changed) -> Settings:
    return live(venues=msgspec.structs.replace(LIVE_VENUE, **changed))


@pytest.mark.parametrize("venues", [VenueSettings(), LIVE_VENUE, HERE])
def test_real_money_is_for_a_wallet_of_ones_own_and_one_venue(venues):
    live(venues=venues).require_supported()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (live(venue="sim"), 'venue = "polymarket"'),
        (live(wallet=WalletSettings()), "wallet.key_file"),
        (live(venues=VenueSettings(clob_url="https://clob.example")), "name all four"),
        (with_url(user_ws_url="ws://127.0.0.1:1/ws/user"), "name one venue"),
        (with_url(clob_url="http://clob.example"), "venues.clob_url.*not encrypted"),
        (with_url(market_ws_url="ws://clob.example/ws"), "venues.market_ws_url.*not encrypted"),
    ],
)
def test_each_fact_that_is_missing_refuses_real_money_and_says_what_to_change(settings, says):
    with pytest.raises(LiveRefused, match=says):
        settings.require_supported()


def test_the_live_venue_is_where_nothing_else_is_named():
    assert live().with_live_addresses().venues == LIVE_VENUE
    assert live(venues=HERE).with_live_addresses().venues == HERE


def test_python_mode_refuses_real_money_and_nothing_else(monkeypatch):
    monkeypatch.setattr(backend, "NATIVE", False)
    monkeypatch.setattr(backend.platform, "machine", lambda: "x86_64")
    backend.require_usable()
    with pytest.raises(LiveRefused, match=r"C compiler \(gcc\)"):
        backend.require_usable(live=True)


def test_a_folder_is_of_one_kind_of_money_for_ever(tmp_path):
    real, paper = tmp_path / "real", tmp_path / "paper"
    money.claim(real, live=True)
    money.claim(real, live=True)
    (real / "journal").mkdir()
    money.claim(real, live=True)
    with pytest.raises(LiveRefused, match="--instance"):
        money.claim(real, live=False)
    money.claim(paper, live=False)
    (paper / "journal").mkdir(parents=True)
    money.claim(paper, live=False)
    with pytest.raises(LiveRefused, match="simulated money"):
        money.claim(paper, live=True)
    assert (real / money.MONEY).stat().st_mode & 0o777 == 0o600
