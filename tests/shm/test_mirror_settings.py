"""Settings of paper on live data: which addresses are the live venue's, and which never are."""

import importlib.util
from pathlib import Path

import msgspec
import pytest

from shm.errors import ConfigError, LiveRefused
from shm.limits import SIM_PRESET, RiskSettings
from shm.settings import LIVE_VENUE, ExecutorSettings, Settings, VenueSettings
from shm.sources import read

SIM = "http://127.0.0.1:8700"


def paper(**venues) -> Settings:
    return Settings(venue="polymarket", venues=VenueSettings(**venues))


def option(settings, name):
    words = settings.sim_options()
    return words[words.index(name) + 1]


def test_the_exchange_mirrors_the_live_venue_or_what_is_set_in_its_place():
    assert option(paper(), "--mirror") == LIVE_VENUE.market_ws_url
    assert option(paper(), "--mirror-gamma") == LIVE_VENUE.gamma_url
    other = paper(market_ws_url="ws://127.0.0.1:9/ws/market", gamma_url="http://127.0.0.1:9")
    assert option(other, "--mirror") == "ws://127.0.0.1:9/ws/market"
    assert option(other, "--mirror-gamma") == "http://127.0.0.1:9"
    assert "--mirror" not in Settings().sim_options()


def test_no_option_and_no_final_address_names_an_order_endpoint_of_the_live_venue():
    settings = paper(gamma_url="https://gamma.example", market_ws_url="wss://ws.example/ws/market")
    assert not any(LIVE_VENUE.clob_url in word for word in settings.sim_options())
    final = settings.with_addresses(SIM).venues
    for url in msgspec.structs.astuple(final):
        assert url.partition("://")[2].startswith("127.0.0.1:8700")


@pytest.mark.parametrize("venue", ["sim", "polymarket"])
@pytest.mark.parametrize("key", ["clob_url", "user_ws_url"])
@pytest.mark.parametrize(
    "url",
    [
        LIVE_VENUE.clob_url, LIVE_VENUE.user_ws_url, "http://10.0.0.1", "http://127.0.0.1.example",
        "http://localhost@clob.example", "clob.example", "http://[::1", "http://",
    ],
)  # fmt: skip
@pytest.mark.parametrize("execution", ["paper", "off"])
def test_paper_orders_go_to_this_machine_or_nowhere(venue, key, url, execution):
    settings = Settings(venue=venue, execution=execution, venues=VenueSettings(**{key: url}))
    with pytest.raises(LiveRefused, match=f"venues.{key}"):
        settings.require_supported()


@pytest.mark.parametrize("url", [SIM, "http://localhost:1", "http://[::1]:1", ""])
def test_addresses_of_this_machine_are_allowed(url):
    paper(clob_url=url, user_ws_url=url).require_supported()


def test_what_is_not_mirrored_is_refused():
    hourly = msgspec.structs.replace(Settings().desk, hourly=True)
    with pytest.raises(ConfigError, match="hourly"):
        Settings(venue="polymarket", desk=hourly).require_supported()
    Settings(desk=hourly).require_supported()


def test_real_limits_hold_on_live_data_although_the_money_is_simulated(tmp_path):
    file = tmp_path / "polytrio.toml"
    file.write_text('venue = "polymarket"\n')
    found = read(file, {}).settings
    assert found.risk == RiskSettings()
    assert found.executor == ExecutorSettings()
    assert SIM_PRESET["executor"]["doubt_settle_ms"] < found.executor.doubt_settle_ms == 120_000


def test_titles_say_what_is_real_and_what_is_not():
    assert paper().money_in_words == "live data, simulated money"
    assert Settings().money_in_words == "paper money"
    assert Settings(execution="live").money_in_words == "REAL MONEY"


def test_under_supervisord_the_exchange_mirrors_the_live_venue_and_not_itself(
    tmp_path, monkeypatch
):
    path = Path(__file__).parents[2] / "supervisor.py"
    spec = importlib.util.spec_from_file_location("door", path)
    door = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(door)
    monkeypatch.setenv("POLYTRIO__VENUE", "polymarket")
    monkeypatch.setenv("POLYTRIO__DESK__VAR_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    loaded = door.deployed(None, "x")
    assert loaded.settings.venues.gamma_url.startswith("http://127.0.0.1:")
    given = door.environment(loaded.settings, door.as_read(loaded))
    assert given["POLYTRIO_START_SIM"] == "true"
    assert f"--mirror-gamma {LIVE_VENUE.gamma_url}" in given["POLYTRIO_SIM_OPTIONS"]
    assert f"--mirror {LIVE_VENUE.market_ws_url}" in given["POLYTRIO_SIM_OPTIONS"]
