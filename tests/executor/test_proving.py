"""Proving with a scripted venue: what is late is looked for, judged, told; never sent again."""

import asyncio
import itertools

import msgspec
import pytest

from executor import proving
from executor.breaker import Signs, demands
from executor.exposure import DAY_MS, Exposure
from executor.proving import HASHES_AT_ONCE, Prover
from executor.resolver import READS_APART_MS
from executor.snapshot import draft
from executor.wire import OpenOrder, Trade
from shm import records
from shm.codes import Cause, FlightState, LegReason, LegState, Mode
from shm.limits import RiskSettings
from shm.records import Evidence, Kind
from shm.settings import ExecutorSettings
from tests.executor.asked import AWAY, Asked
from tests.executor.written import SIZE_E6, START_MS, Written

SETTINGS = ExecutorSettings(fill_wait_ms=1_000, doubt_settle_ms=30_000)
WINDOW_MS = SETTINGS.doubt_settle_ms


BOOTED_MS = START_MS - 1_000_000


class Clock:
    now_ms = START_MS
    ahead_ms = 0
    """How far the wall clock has been set ahead; the other one goes on as it did."""

    def time_ns(self) -> int:
        return (self.now_ms + self.ahead_ms) * 1_000_000

    def monotonic_ns(self) -> int:
        return (self.now_ms - BOOTED_MS) * 1_000_000


class Desk:
    def __init__(self, folder, clock) -> None:
        self.written = Written(folder)
        self.written.monotonic_ns = clock.monotonic_ns
        self.written.begin()
        self.venue, self.clock = Asked(), clock
        self.taken, self.said = [], []
        self.start()

    def start(self) -> None:
        self.prover = Prover(
            self.venue, self.written.chronicle, self.taken.extend, self.said.append
        )

    def restart(self, after_ms: int, boot_id: bytes | None = None):
        """The next process; the flight that is open."""
        self.clock.now_ms = START_MS + after_ms
        self.written.boot_id = boot_id or self.written.boot_id
        self.written.reopen()
        self.written.begin(Mode.BOOT)
        self.start()
        (flight,) = self.written.state.open_flights
        return flight

    def read(self, after_ms: int) -> bool:
        self.clock.now_ms = START_MS + after_ms
        return asyncio.run(self.prover.read(SETTINGS))

    def doubtful(self, *states: LegState, signal: int = 1):
        flight = self.written.launch(signal=signal)
        self.written.reply(flight, *(states or [LegState.DOUBT] * 3))
        return flight

    def look(self, after_ms: int) -> bool:
        """Whether a reading begins; it is carried out."""
        self.clock.now_ms = START_MS + after_ms

        async def inside() -> bool:
            task = self.prover.look(SETTINGS)
            if task is not None:
                await task
            return task is not None

        return asyncio.run(inside())


@pytest.fixture
def desk(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(proving, "time", clock)
    return Desk(tmp_path, clock)


def trade_of(leg) -> Trade:
    """A trade that names an order, in the spelling that the venue also uses."""
    raw = {"id": "t9", "taker_order_id": leg.order_hash.upper().replace("0X", "0x"), "side": "BUY",
           "asset_id": leg.token, "price": "0.6", "size": "10", "status": "MATCHED"}  # fmt: skip
    return msgspec.convert(raw, Trade)


def states(flight) -> list[LegState]:
    return [leg.state for leg in flight.legs]


def test_an_order_that_nobody_has_is_given_up_after_the_window_and_two_readings(desk):
    flight = desk.doubtful()
    assert desk.read(WINDOW_MS - 1)
    assert desk.read(WINDOW_MS + READS_APART_MS - 2)  # the first one came too early to count
    assert states(flight) == [LegState.DOUBT] * 3
    assert desk.read(WINDOW_MS + 2 * READS_APART_MS)
    assert states(flight) == [LegState.NEVER_LANDED] * 3
    assert flight.state is FlightState.MISSED
    assert desk.venue.times("cancel") == 0


@pytest.mark.parametrize("ahead_ms", [180_000, 3_600_000, -3_600_000])
def test_e1_a_wall_clock_that_is_set_neither_ends_the_window_nor_makes_it_longer(desk, ahead_ms):
    flight = desk.doubtful()
    desk.read(2_000)
    desk.clock.ahead_ms = ahead_ms
    for after_ms in range(3_000, WINDOW_MS - 1_000, READS_APART_MS // 2):
        assert desk.look(after_ms)
        assert states(flight) == [LegState.DOUBT] * 3
    assert desk.look(WINDOW_MS)
    assert desk.look(WINDOW_MS + READS_APART_MS)
    assert states(flight) == [LegState.NEVER_LANDED] * 3


def test_e1_what_was_called_filled_is_not_given_up_sooner_by_a_clock_that_is_set(desk):
    flight = called_filled(desk)
    desk.clock.ahead_ms = 3_600_000
    for after_ms in range(2_100, WINDOW_MS, READS_APART_MS // 2):
        desk.read(after_ms)
    assert flight.state is not FlightState.NAKED
    assert desk.venue.times("order") == 0


def test_a_process_that_is_restarted_again_and_again_comes_to_a_proof(desk):
    """The window goes on in the next one; only the two readings are one process's own."""
    desk.doubtful()
    for after_ms in range(5_000, WINDOW_MS, 5_000):
        flight = desk.restart(after_ms)
        desk.read(after_ms + 1)
    assert states(flight) == [LegState.DOUBT] * 3
    flight = desk.restart(WINDOW_MS)
    desk.read(WINDOW_MS)
    desk.read(WINDOW_MS + READS_APART_MS)
    assert states(flight) == [LegState.NEVER_LANDED] * 3


@pytest.mark.parametrize("why", ["another boot", "never said to have left", "a snapshot"])
def test_the_window_begins_with_the_first_start_behind_what_nobody_knows(desk, why):
    """And not with the second: else one that never lives long would never prove anything."""
    boot_id = None
    if why == "never said to have left":
        basket, intents = desk.written.orders()
        assert desk.written.chronicle.write_orders(basket, intents)
        desk.written.chronicle.fold_orders()
    else:
        desk.doubtful()
    if why == "a snapshot":
        desk.written.journal._full_at = 0
        desk.written.chronicle.rotate_when_full()
    if why == "another boot":
        boot_id = bytes(16)
    first_ms = WINDOW_MS - 1_000
    desk.clock.ahead_ms = 3_600_000
    desk.restart(first_ms, boot_id)
    flight = desk.restart(first_ms + 1_000)
    for after_ms in (1_000, WINDOW_MS - 1):
        desk.read(first_ms + after_ms)
    desk.read(first_ms + WINDOW_MS)
    assert states(flight) == [LegState.DOUBT] * 3
    desk.read(first_ms + WINDOW_MS + READS_APART_MS)
    assert states(flight) == [LegState.NEVER_LANDED] * 3


@pytest.mark.parametrize("listed", [True, False])
def test_a19_shares_that_nobody_has_explained_hold_the_proof_up_for_one_more_window(desk, listed):
    """The venue's list of trades may be behind its balance."""
    flight = desk.doubtful(LegState.FILLED, LegState.FILLED, LegState.DOUBT)
    for place in (0, 1):
        desk.written.fill(flight, place)
    leg = flight.legs[2]
    for one in flight.legs:
        desk.venue.positions[one.token] = SIZE_E6
    for after_ms in range(WINDOW_MS, 2 * WINDOW_MS, READS_APART_MS):
        desk.read(after_ms)
        assert leg.state is LegState.DOUBT
    if listed:
        desk.venue.listed = [trade_of(leg)]
        desk.read(2 * WINDOW_MS)
        assert leg.state is LegState.FILLED
        return
    desk.read(2 * WINDOW_MS + READS_APART_MS)
    desk.read(2 * WINDOW_MS + 2 * READS_APART_MS)
    assert leg.state is LegState.NEVER_LANDED


def test_what_turns_up_between_the_readings_begins_them_anew(desk):
    flight = desk.doubtful()
    desk.read(WINDOW_MS)
    name = flight.legs[0].order_hash
    desk.venue.orders[name] = OpenOrder(name, "SOMETHING NEW")
    desk.read(WINDOW_MS + READS_APART_MS)
    assert states(flight)[0] is LegState.DOUBT
    assert states(flight)[1] is LegState.NEVER_LANDED
    del desk.venue.orders[name]
    desk.read(WINDOW_MS + 2 * READS_APART_MS)
    assert states(flight)[0] is LegState.DOUBT
    desk.read(WINDOW_MS + 3 * READS_APART_MS)
    assert states(flight)[0] is LegState.NEVER_LANDED


@pytest.mark.parametrize("what", ["trades", "open", "order"])
def test_a_reading_that_is_not_whole_proves_nothing(desk, what):
    flight = desk.doubtful()
    for round_ in range(4):
        desk.venue.script[what] = [AWAY] * 3
        assert not desk.read(WINDOW_MS + round_ * READS_APART_MS)
    assert states(flight) == [LegState.DOUBT] * 3
    assert desk.said


def test_an_order_that_cannot_be_read_does_not_hide_the_others(desk):
    flight = desk.doubtful()
    for round_ in range(2):
        desk.venue.script["order"] = [AWAY]
        desk.read(WINDOW_MS + round_ * READS_APART_MS)
    assert LegState.NEVER_LANDED in states(flight)


def test_with_more_doubts_than_are_asked_for_at_once_each_has_its_turn(desk):
    flights = [desk.doubtful(signal=n + 1) for n in range(HASHES_AT_ONCE // 3 + 3)]
    desk.venue.orders = {  # the first ones never come to an end
        leg.order_hash: OpenOrder(leg.order_hash, "SOMETHING NEW")
        for flight in flights[: HASHES_AT_ONCE // 3] for leg in flight.legs
    }  # fmt: skip
    for round_ in range(6):
        desk.read(WINDOW_MS + round_ * READS_APART_MS)
    assert all(flight.state is FlightState.MISSED for flight in flights[-3:])
    assert len(desk.prover._asked_ms) <= 3 * HASHES_AT_ONCE


@pytest.mark.parametrize(
    ("status", "then"),
    [("MATCHED", LegState.FILLED), ("CANCELED", LegState.KILLED), ("LIVE", LegState.LANDED),
     ("INVALID", LegState.KILLED)],
)  # fmt: skip
def test_what_the_venue_shows_of_an_order_is_believed_at_once(desk, status, then):
    flight = desk.doubtful()
    for leg in flight.legs:
        desk.venue.orders[leg.order_hash] = OpenOrder(leg.order_hash, status)
    desk.read(1_001)
    assert states(flight) == [then] * 3


def test_what_rests_is_cancelled_and_then_gone(desk):
    flight = desk.doubtful()
    desk.venue.resting = [OpenOrder(flight.legs[0].order_hash.upper().replace("X", "x"), "LIVE")]
    desk.read(WINDOW_MS)
    assert states(flight)[0] is LegState.LANDED
    assert desk.venue.times("cancel") == 1
    for round_ in range(1, 3):
        desk.read(WINDOW_MS + round_ * READS_APART_MS)
    assert states(flight)[0] is LegState.KILLED
    assert flight.state is FlightState.MISSED


def test_a_trade_proves_a_fill_and_the_fill_itself_is_taken_in(desk):
    flight = desk.doubtful()
    desk.venue.listed = [trade_of(flight.legs[0])]
    desk.read(1_001)
    assert states(flight)[0] is LegState.FILLED
    assert [one.id for one in desk.taken] == ["t9"]


def test_a_fill_that_comes_while_the_venue_is_asked_is_not_judged_over(desk):
    flight = desk.doubtful()

    def filled():
        for place in range(3):
            desk.written.fill(flight, place)

    desk.read(WINDOW_MS)
    desk.venue.script["order"] = [filled]
    desk.read(WINDOW_MS + READS_APART_MS)
    assert flight.state is FlightState.COMPLETE


def test_what_is_seen_while_the_disk_is_full_is_not_judged_over(desk):
    """Behind the fill that waits to be written, the judgement would never be read again."""
    flight = desk.doubtful()
    desk.read(WINDOW_MS)

    def filled():
        desk.written.fill_disk()
        for place in range(3):
            desk.written.fill(flight, place)

    desk.venue.script["order"] = [filled]
    assert not desk.read(WINDOW_MS + READS_APART_MS)
    assert len(desk.written.chronicle._waiting) == 3
    desk.written.make_room()
    desk.written.chronicle.flush()
    assert flight.state is FlightState.COMPLETE
    desk.written.reopen()
    assert desk.written.state.flights[flight.id].state is FlightState.COMPLETE


@pytest.mark.parametrize("late", [LegState.LANDED, LegState.KILLED, LegState.NEVER_LANDED])
def test_a_judgement_that_was_written_behind_the_fill_changes_nothing(desk, late):
    """As a process left it that did not look: every later one has to be able to read it."""
    flight = desk.doubtful()
    for place in range(3):
        desk.written.fill(flight, place)
    row = records.Verdict(START_MS, Evidence.ORDER, late, LegReason.NONE)
    desk.written.chronicle.tell([draft(Kind.VERDICT, row, flight.id, 0)])
    desk.written.reopen()
    assert states(desk.written.state.flights[flight.id]) == [LegState.FILLED] * 3


# --- when ---------------------------------------------------------------------------------------


def test_it_reads_at_first_and_after_every_reconnect_and_otherwise_not(desk):
    assert desk.look(0)
    assert not desk.look(10**6)
    desk.prover.missed = True
    assert desk.look(10**6)


def test_what_was_missed_is_owed_until_the_trades_were_read(desk):
    desk.venue.script["trades"] = [AWAY] * 2
    assert desk.look(0)
    assert not desk.look(999)  # not again at once: it has just been asked
    assert desk.look(1_000)
    assert not desk.look(1_999)
    assert desk.look(2_000)
    assert [one[0] for one in desk.venue.asked] == ["trades"] * 3
    assert not desk.look(10**6)


def test_a_flight_is_late_to_the_millisecond(desk):
    desk.look(0)
    desk.doubtful()
    assert not desk.look(1_000)
    assert desk.look(1_001)
    assert not desk.look(1_900)  # one reading each fill_wait_ms
    assert desk.look(2_001)


def test_fills_that_were_announced_and_do_not_come_are_read(desk):
    desk.look(0)
    desk.written.reply(desk.written.launch(), *[LegState.FILLED] * 3)
    assert desk.look(1_001)
    assert desk.venue.times("open") == 0


def test_while_something_waits_to_be_written_nothing_is_asked(desk):
    desk.doubtful()
    desk.written.fill_disk()
    desk.written.move(Mode.HALTED, Cause.KILL)
    assert not desk.look(10**6)
    desk.written.make_room()
    desk.written.chronicle.flush()
    assert desk.look(10**6)


def lists_since(desk, trades, made_ms: int = START_MS):
    """The venue's list as it answers: nothing that is older than it is asked for."""

    async def since(after_s=0):
        desk.venue.asked.append(("trades", after_s))
        return list(trades) if after_s * 1_000 <= made_ms else []

    desk.venue.trades = since


def test_of_trades_whose_names_were_forgotten_it_takes_only_those_of_orders_that_it_knows(desk):
    """A stuck flight of long ago: the old trades of others would be counted a second time."""
    stuck = desk.doubtful()
    forgotten = trade_of(stuck.legs[0])
    forgotten.taker_order_id = "0x" + "cd" * 32
    late_ms = START_MS + 5 * DAY_MS
    desk.written.complete(desk.written.launch(created_ms=late_ms, signal=2))
    assert desk.written.state.names_since_ms > START_MS
    lists_since(desk, [forgotten, trade_of(stuck.legs[1])])
    desk.read(5 * DAY_MS)
    assert [one.taker_order_id for one in desk.taken] == [trade_of(stuck.legs[1]).taker_order_id]
    assert states(stuck)[1] is LegState.FILLED


def test_for_legs_that_only_wait_for_their_repair_nobody_reads_back_for_days(desk):
    flight = desk.doubtful(LegState.FILLED, LegState.KILLED, LegState.KILLED)
    desk.written.fill(flight, 0)
    assert flight.state is FlightState.NAKED
    late_ms = START_MS + 5 * DAY_MS
    desk.written.complete(desk.written.launch(created_ms=late_ms, signal=2))
    desk.read(5 * DAY_MS)
    (asked,) = [one for one in desk.venue.asked if one[0] == "trades"]
    assert asked[1] * 1_000 >= late_ms - 2 * DAY_MS


@pytest.mark.parametrize("away", [0, 1])
def test_e1_names_that_a_clock_ahead_of_its_time_forgot_blind_no_reading(desk, away):
    """One comparison written days ahead; later an order that fills, and whose reply is lost."""
    clock_ms, desk.written.clock_ms = desk.written.clock_ms, itertools.repeat(START_MS + 5 * DAY_MS)
    desk.written.chronicle.say(Kind.COMPARED, records.Compared(0, 0, 0, 3, 0))
    desk.written.clock_ms = clock_ms
    assert desk.written.state.names_since_ms > START_MS + 2 * DAY_MS
    flight = desk.doubtful()
    lists_since(desk, [trade_of(flight.legs[0])])
    for after_ms in (2_000, WINDOW_MS, WINDOW_MS + READS_APART_MS):
        assert desk.read(after_ms)
    assert states(flight) == [LegState.FILLED, LegState.NEVER_LANDED, LegState.NEVER_LANDED]
    # A list of which one half is missing proves nothing.
    again = desk.doubtful(signal=2)
    answers = [desk.venue.listed] * 2
    answers[away] = AWAY

    async def half(_after_s=0):
        return answers.pop(0)

    desk.venue.trades = half
    assert not desk.read(2 * WINDOW_MS)
    assert states(again) == [LegState.DOUBT] * 3


# --- called filled, and never heard of ------------------------------------------------------------


def called_filled(desk):
    """A basket that the venue has called filled, of which two legs have their trades."""
    flight = desk.written.launch()
    desk.written.reply(flight, *[LegState.FILLED] * 3)
    for place in (0, 1):
        desk.written.fill(flight, place)
    holdings = desk.written.state.ledger.holdings
    desk.venue.positions = {token: one.size_e6 for token, one in holdings.items()}
    return flight


AT_LAST_MS = 2 * WINDOW_MS + READS_APART_MS + 1


def test_a19_a_fill_that_never_appears_is_taken_back_by_proof_and_the_legs_stand_alone(desk):
    flight = called_filled(desk)
    assert desk.read(WINDOW_MS - 1)
    assert desk.venue.times("order") == 0, "it may still come"
    assert desk.read(WINDOW_MS)
    assert desk.read(WINDOW_MS + READS_APART_MS - 1)
    assert flight.open
    assert flight.state is not FlightState.NAKED
    assert desk.read(WINDOW_MS + READS_APART_MS)
    assert flight.state is FlightState.NAKED
    state = desk.written.state
    assert state.failures(START_MS + WINDOW_MS + READS_APART_MS) == 1
    assert not state.unproven()
    assert "NEVER" in desk.said[-1]
    # It is remembered, and a trade that turns up after all counts.
    desk.written.reopen()
    again = desk.written.state.flights[flight.id]
    assert again.state is FlightState.NAKED
    desk.written.fill(again, 2)
    assert again.state is FlightState.COMPLETE
    assert desk.written.state.ledger.holdings[again.legs[2].token].size_e6 == SIZE_E6


@pytest.mark.parametrize("shows", ["order", "position", "open"])
def test_a19_what_shows_it_without_a_trade_halts_instead_of_waiting_for_ever(desk, shows):
    flight = called_filled(desk)
    leg = flight.legs[2]
    order = OpenOrder(leg.order_hash, "MATCHED", size_matched="10")
    if shows == "order":
        desk.venue.orders[leg.order_hash] = order
    elif shows == "position":
        desk.venue.positions[leg.token] = leg.size_e6
    for after_ms in (WINDOW_MS, WINDOW_MS + READS_APART_MS, AT_LAST_MS - 2):
        if shows == "open":
            desk.venue.resting = [order]
        assert desk.read(after_ms)
    assert flight.state is not FlightState.NAKED
    if shows == "open":
        desk.venue.resting = [order]
    assert desk.read(AT_LAST_MS)
    assert flight.state is FlightState.NAKED
    state = desk.written.state
    assert state.unproven()
    signs = Signs(now_ms=START_MS + AT_LAST_MS)
    found = demands(state, Exposure(), signs, RiskSettings())
    assert (Mode.HALTED, Cause.SETTLEMENT) in {(one.mode, one.cause) for one in found}
    desk.written.move(Mode.HALTED, Cause.SETTLEMENT)
    desk.written.reopen()
    assert desk.written.state.unproven()


@pytest.mark.parametrize("silent", ["order", "position", "open", "trades"])
def test_a_place_that_does_not_answer_proves_nothing(desk, silent):
    flight = called_filled(desk)
    for after_ms in (WINDOW_MS, WINDOW_MS + READS_APART_MS, 2 * WINDOW_MS):
        desk.venue.script[silent] = [AWAY]
        assert not desk.read(after_ms)
    assert flight.state is not FlightState.NAKED
