"""Starting: from journal and venue to a ledger that has every fill, each once."""

import asyncio
import itertools
import logging
from types import SimpleNamespace

import msgspec
import pytest

from executor import journal, reconciling, starting
from executor.exposure import DAY_MS
from executor.intake import Intake
from executor.starting import OVERLAP_MS, SWEEP_MS, open_ledger, system_of
from executor.wire import Trade
from shm import records
from shm.codes import Cause, FlightState, LegState, Mode
from shm.fabric import Fabric
from shm.records import Kind
from shm.settings import Settings
from tests.executor.asked import AWAY, Asked
from tests.executor.written import CASH_USD_E6, START_MS, Counted, Written

KEY = "our-key"
FEES_USD_E6 = 168_000 + 149_730 + 169_330
"""Of ten shares at 0.60, 0.69 and 0.59, at the markets' rate."""
OWNER = SimpleNamespace(maker="0x" + "11" * 20, address="0x" + "11" * 20)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(reconciling, "RETRY_S", 0)
    monkeypatch.setattr(
        starting, "time", SimpleNamespace(time_ns=lambda: (START_MS + 60_000) * 1_000_000)
    )


class Desk:
    def __init__(self, segments, folder) -> None:
        self.written = Written(folder)
        self.venue = Asked(CASH_USD_E6)
        self.venue.wallet = OWNER
        self.stage = SimpleNamespace(
            fabric=Fabric(segments), settings=Settings(), settings_version=3, stopping=False,
            log=logging.getLogger("test"),
        )  # fmt: skip

    @property
    def state(self):
        return self.written.state

    def start(self, **early) -> bool:
        self.counters = Counted()
        self.intake = Intake(self.written.chronicle, self.counters, KEY)
        for trade in early.get("early", []):
            self.intake.take_one(trade)
        return asyncio.run(
            open_ledger(self.stage, self.venue, self.written.journal, self.written.chronicle,
                        self.intake)
        )  # fmt: skip

    def asked_since_ms(self) -> int:
        return [one[1] for one in self.venue.asked if one[0] == "trades"][-1] * 1_000


@pytest.fixture
def desk(segments, tmp_path):
    return Desk(segments, tmp_path)


def trade(flight, place: int, **some) -> Trade:
    leg = flight.legs[place]
    base = {"id": f"t{flight.id}-{place}", "taker_order_id": leg.order_hash, "side": "BUY",
            "asset_id": leg.token, "price": str(leg.price_e4 / 10_000), "size": "10",
            "status": "CONFIRMED", "owner": KEY, "trader_side": "TAKER"}  # fmt: skip
    return msgspec.convert(base | some, Trade)


def stranger(**some) -> Trade:
    base = {"id": "old", "taker_order_id": "0x" + "ee" * 32, "side": "BUY", "asset_id": "1",
            "price": "0.5", "size": "10", "status": "CONFIRMED", "owner": KEY}  # fmt: skip
    return msgspec.convert(base | some, Trade)


def test_a_new_journal_begins_with_the_cash_before_the_trades_that_it_finds(desk):
    """Pages repeat trades: none may be counted twice, neither here nor later."""
    desk.venue.listed = [stranger(), stranger(), stranger(id="t2", status="FAILED")]
    desk.venue.cash = CASH_USD_E6
    assert desk.start()
    ledger = desk.state.ledger
    assert ledger.cash_usd_e6 == CASH_USD_E6
    assert ledger.opening_usd_e6 == CASH_USD_E6 + 5_000_000
    assert ledger.holdings["1"].fills == 1
    assert desk.asked_since_ms() == (START_MS + 60_000 - SWEEP_MS) // 1_000 * 1_000


def test_a_restart_opens_with_what_it_knows_and_puts_in_doubt_what_was_on_its_way(desk):
    assert desk.start()
    desk.written.begin()
    flight = desk.written.launch(created_ms=START_MS + 1_000)
    desk.written.reopen()
    desk.venue.cash = 5  # what the venue has is compared later, and is no opening
    assert desk.start()
    assert desk.state.ledger.opening_usd_e6 == CASH_USD_E6
    assert desk.state.run == 3
    assert desk.state.system == system_of(desk.stage)
    assert desk.state.mode is Mode.BOOT
    again = desk.state.flights[flight.id]
    assert again.state is FlightState.RESOLVING
    assert {leg.state for leg in again.legs} == {LegState.DOUBT}


def test_fills_that_nobody_had_written_down_are_found_and_counted_once(desk):
    desk.start()
    desk.written.begin()
    flight = desk.written.launch()
    desk.written.reopen()
    flight = desk.state.flights[flight.id]
    desk.venue.listed = [trade(flight, place) for place in range(3)]
    assert desk.start(early=[trade(flight, 0), trade(flight, 1, status="MATCHED")])
    assert flight.state is FlightState.COMPLETE
    assert len(desk.state.ledger.fills) == 3
    assert desk.state.ledger.cash_usd_e6 == CASH_USD_E6 - 18_800_000 - FEES_USD_E6
    assert not desk.state.strangers
    digest = desk.state.digest()
    desk.written.reopen()
    assert desk.state.digest() == digest


def test_it_looks_back_to_before_the_oldest_thing_that_is_open(desk):
    desk.start()
    desk.written.begin()
    desk.written.launch(created_ms=START_MS - 50_000)
    desk.written.reopen()
    desk.start()
    since = START_MS - 50_000 - OVERLAP_MS
    assert desk.asked_since_ms() == since // 1_000 * 1_000


class Killed(BaseException):
    """The process dies here."""


def killed_behind_opened(desk, monkeypatch) -> None:
    def reach(name: str) -> None:
        if name == "opened":
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(starting, "reach", reach)
        with pytest.raises(Killed):
            desk.start()
    desk.written.reopen()


def another_boot(desk, monkeypatch) -> None:
    """The machine has lost its power."""
    for module in (journal, starting):
        monkeypatch.setattr(module, "boot_id", lambda: b"N" * 16)
    desk.written.reopen()


@pytest.mark.parametrize("lost_power", [False, True])
def test_killed_before_it_told_what_it_found_the_next_start_looks_as_far_back(
    desk, monkeypatch, lost_power
):
    if lost_power:
        desk.written.begin()
        another_boot(desk, monkeypatch)
    desk.venue.cash = CASH_USD_E6 - 5_000_000
    desk.venue.listed = [stranger(asset_id="9")]
    killed_behind_opened(desk, monkeypatch)
    assert desk.written.journal.needs_sweep
    opened_ms = desk.state.mode_since_ms
    assert desk.start()
    assert 0 <= desk.asked_since_ms() - (opened_ms - SWEEP_MS) < 1_000
    assert desk.state.ledger.holdings["9"].fills == 1
    assert desk.state.ledger.cash_usd_e6 == CASH_USD_E6 - 5_000_000


def test_what_was_found_and_told_is_not_looked_for_again_and_counts_once(desk, monkeypatch):
    desk.venue.listed = [stranger()]
    assert desk.start()
    assert desk.written.journal.needs_sweep, "until it reconciles"
    desk.written.reopen()
    assert desk.start()
    assert desk.state.ledger.holdings["1"].fills == 1
    desk.written.move(Mode.RECONCILING, Cause.START)
    assert not desk.written.journal.needs_sweep
    desk.written.reopen()
    assert not desk.written.journal.needs_sweep
    another_boot(desk, monkeypatch)
    assert desk.written.journal.needs_sweep


def test_nobody_looks_back_to_before_what_is_known_by_name(desk, monkeypatch):
    """A clock that is days behind after a loss of power: forgotten fills would count again."""
    desk.written.begin()
    desk.written.complete(desk.written.launch())
    later = itertools.count(START_MS + 3 * DAY_MS)
    desk.written.clock_ms = later
    desk.written.chronicle.say(Kind.COMPARED, records.Compared(0, 0, 0, 3, 0))
    assert not desk.state.ledger.fills
    another_boot(desk, monkeypatch)
    assert desk.start()
    assert 0 <= desk.asked_since_ms() - desk.state.names_since_ms < 1_000


def test_a_fill_between_the_two_readings_of_cash_makes_it_read_again(desk):
    desk.venue.script["cash"] = [CASH_USD_E6, CASH_USD_E6 - 1, CASH_USD_E6 - 1]
    assert desk.start()
    assert desk.venue.times("trades") == 2
    assert desk.state.ledger.cash_usd_e6 == CASH_USD_E6 - 1


@pytest.mark.parametrize("what", ["cash", "trades"])
def test_it_asks_until_the_venue_answers(desk, what):
    desk.venue.script[what] = [AWAY, AWAY]
    assert desk.start()
    assert desk.state.run == 1


def test_told_to_stop_it_opens_nothing(desk):
    desk.stage.stopping = True
    assert not desk.start()
    assert desk.state.run == 0
