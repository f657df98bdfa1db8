"""Hazards E and H without a running system: clocks, days, strangers, disputes, losses."""

import asyncio
from types import SimpleNamespace

import pytest

from executor import reconciling
from executor.breaker import Signs, demands
from executor.comparing import Theirs, Tolerance, compare
from executor.executor import Executor
from executor.exposure import Exposure, exposure_of
from executor.modes import worst
from executor.risk import refusal
from shm import records
from shm.codes import Cause, FillStatus, LegState, Mode, Refusal
from shm.limits import RiskSettings
from shm.records import Kind
from tests.crash.hand import by_hand, hand, scenario
from tests.executor.asked import AWAY, Asked
from tests.executor.test_risk import standing, wanted
from tests.executor.written import CASH_USD_E6, MARKETS, SIZE_E6, Written

LIMITS = RiskSettings()
DAY_MS = 86_400_000
MIDNIGHT_MS = 20_800 * DAY_MS
LOSS_USD_E6 = min(
    LIMITS.max_loss_usd_e6, CASH_USD_E6 * LIMITS.max_loss_equity_bps // 10_000
)  # what a day may cost


def deepest(state, **signs):
    """The deepest mode that is asked for."""
    found = worst(Mode.ARMED, demands(state, Exposure(), Signs(**signs), LIMITS))
    return (found.mode, found.cause) if found else None


@pytest.mark.parametrize("sign", [1, -1])
def test_e1_a_clock_that_jumped_holds_orders_back_and_far_off_it_halts(tmp_path, sign):
    blocked, halting = LIMITS.clock_block_ms, LIMITS.clock_halt_ms
    assert refusal(wanted(), standing(clock_offset_ms=sign * blocked), LIMITS) is None
    off = standing(clock_offset_ms=sign * (blocked + 1))
    assert refusal(wanted(), off, LIMITS) is Refusal.CLOCK
    state = Written(tmp_path).begin().state
    assert deepest(state, now_ms=1, clock_offset_ms=sign * halting) is None
    found = deepest(state, now_ms=1, clock_offset_ms=sign * 3_600_000)
    assert found == (Mode.HALTED, Cause.CLOCK)


def test_e1_a_day_begins_once_however_the_clock_jumps(tmp_path):
    written = Written(tmp_path).begin()
    for at_ms, worth in ((-1, 100), (1, 90), (-3_600_000, 80), (2, 70), (3_600_000, 60)):
        mark = records.Mark(MIDNIGHT_MS + at_ms, worth * 10**6)
        written.chronicle.say(Kind.MARK, mark)
    assert written.state.day_open_usd_e6 == 90 * 10**6
    written.reopen()
    assert written.state.day_open_usd_e6 == 90 * 10**6


@pytest.mark.parametrize("offset_ms", [None, 86_400_000])
def test_e1_a_day_that_only_our_clock_has_begun_forgets_no_loss(tmp_path, offset_ms):
    """A mark of tomorrow would be the worth that today's loss is counted from."""
    written, left_usd_e6 = Written(tmp_path).begin(), CASH_USD_E6 - LOSS_USD_E6
    assert marked(written, CASH_USD_E6) == [CASH_USD_E6]
    tomorrow_ms = MIDNIGHT_MS + DAY_MS
    marked(written, left_usd_e6, at_ms=tomorrow_ms, offset_ms=offset_ms)
    today = {"now_ms": MIDNIGHT_MS + 1, "worth_usd_e6": left_usd_e6}
    assert deepest(written.state, **today) == (Mode.HALTED, Cause.DAY_LOSS)
    marked(written, left_usd_e6, at_ms=tomorrow_ms)  # it has really begun
    assert written.state.day_open_usd_e6 == left_usd_e6


def test_e1_a_start_does_not_end_before_the_venue_has_told_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr(reconciling, "RETRY_S", 0)
    written, venue = Written(tmp_path).begin(), Asked(CASH_USD_E6)
    venue.script["clock"] = [AWAY, AWAY]
    one = SimpleNamespace(
        _venue=venue, _stopping=lambda: False, _turn=lambda: None,
        _reconciler=reconciling.Reconciler(venue, written.chronicle),
        _taker=SimpleNamespace(limits=(None, LIMITS)),
    )  # fmt: skip
    assert asyncio.run(Executor._until_true(one)) == ""
    assert [what for what, *_ in venue.asked] == ["clock"] * 3 + ["cash"] * 2
    venue.script["clock"] = [AWAY] * 9
    one._stopping = lambda: len(venue.script["clock"]) < 5
    assert asyncio.run(Executor._until_true(one)) is None


def test_e6_a_task_of_the_executor_that_fails_ends_the_executor():
    async def scene():
        async def fails():
            raise ZeroDivisionError

        executor = SimpleNamespace(_tasks=set())
        task = Executor._keep(executor, fails())
        assert task in executor._tasks
        await asyncio.sleep(0)
        with pytest.raises(ZeroDivisionError):
            Executor._require(executor)

    asyncio.run(scene())


# --- wallet and money -----------------------------------------------------------------------------


@scenario
async def test_h3_money_that_was_taken_by_hand_is_a_difference_to_the_micro_dollar(tmp_path):
    async with hand(tmp_path) as one:
        await one.send()
        await one.settled()
        await one.rules({"at": "clock", "then": {"do": "withdraw", "usd": "0.010001"}})
        found = await one.reconciler.compare(LIMITS, positions=True)
        assert found.cash_usd_e6 == -10_001
        await one.rules({"at": "clock", "then": {"do": "deposit", "usd": "0.010001"}})
        found = await one.reconciler.compare(LIMITS, positions=True)
        assert found.clean


@scenario
async def test_h4_a_trade_by_hand_is_in_the_ledger_and_in_the_exposure_and_halts(tmp_path):
    async with hand(tmp_path) as one:
        before_usd_e6 = one.chronicle.state.ledger.cash_usd_e6
        await one.rules(by_hand())
        await one.until(lambda: one.chronicle.state.strangers, "it is seen")
        await one.until(lambda: not one.chronicle.state.ledger.unconfirmed, "it is confirmed")
        state = one.chronicle.state
        spent_usd_e6 = before_usd_e6 - state.ledger.cash_usd_e6
        assert spent_usd_e6 > 5_000_000
        assert state.exposure().total_usd_e6 == spent_usd_e6
        found = demands(state, state.exposure(), Signs(now_ms=1), LIMITS)
        assert (Mode.HALTED, Cause.STRANGER) in {(d.mode, d.cause) for d in found}


def kept(tmp_path):
    """One leg that is held to the end, and nothing else."""
    written = Written(tmp_path).begin()
    flight = written.launch()
    written.reply(flight, LegState.FILLED, LegState.KILLED, LegState.KILLED)
    written.fill(flight, 0)
    written.keep(flight)
    return written, flight.legs[0].token


DUST = Tolerance(LIMITS.tolerance_usd_e6, LIMITS.tolerance_size_e6)


def test_h6_a_disputed_market_keeps_its_worst_value_and_nothing_is_booked_before_it_pays(tmp_path):
    written, token = kept(tmp_path)
    state = written.state
    cash = state.ledger.cash_usd_e6
    assert state.worth_usd_e6() == cash, "one leg alone may pay nothing"
    long_after_ms = MARKETS[0].expiry_ms + 30 * DAY_MS
    theirs = Theirs(cash, {token: SIZE_E6})
    found = compare(state.ledger, theirs, state.tokens, DUST, long_after_ms)
    assert (found.clean, found.paid) == (True, ())
    assert state.worth_usd_e6() == cash


@pytest.mark.parametrize(("pays_e4", "explained"), [(5_000, True), (10_000, True), (0, True),
                                                    (3_300, False)])  # fmt: skip
def test_h6_void_pays_half_and_what_no_settlement_pays_is_a_difference(
    tmp_path, pays_e4, explained
):
    written, token = kept(tmp_path)
    state = written.state
    paid_usd_e6 = SIZE_E6 * pays_e4 // 10_000
    theirs = Theirs(state.ledger.cash_usd_e6 + paid_usd_e6, {token: 0})
    found = compare(state.ledger, theirs, state.tokens, DUST, MARKETS[0].expiry_ms + 1)
    assert found.clean is explained
    if explained:
        assert [one.paid_usd_e6 for one in found.paid] == [paid_usd_e6]


def test_h7_a_days_loss_halts_before_and_after_midnight_and_after_a_restart(tmp_path):
    written = Written(tmp_path).begin()
    written.chronicle.say(Kind.MARK, records.Mark(MIDNIGHT_MS - DAY_MS // 2, CASH_USD_E6))
    worth = CASH_USD_E6 - LOSS_USD_E6
    last_ms, first_ms = MIDNIGHT_MS - 1, MIDNIGHT_MS
    halt = (Mode.HALTED, Cause.DAY_LOSS)
    half = CASH_USD_E6 - LOSS_USD_E6 // 2
    asked = deepest(written.state, now_ms=last_ms, worth_usd_e6=half)
    assert asked == (Mode.REDUCE_ONLY, Cause.DAY_LOSS)
    assert deepest(written.state, now_ms=last_ms, worth_usd_e6=worth) == halt
    # The day changes: its opening worth is the low one, and the last 24 hours still count.
    written.chronicle.say(Kind.MARK, records.Mark(first_ms, worth))
    assert written.state.day_open_usd_e6 == worth
    assert deepest(written.state, now_ms=first_ms, worth_usd_e6=worth) == halt
    written.reopen()
    assert deepest(written.state, now_ms=first_ms, worth_usd_e6=worth) == halt
    written.move(Mode.HALTED, Cause.DAY_LOSS)
    written.reopen()
    assert written.state.halt is Cause.DAY_LOSS


def test_h7_what_is_in_doubt_counts_as_lost_for_the_limit_until_its_fate_is_known(tmp_path):
    written = Written(tmp_path).begin()
    written.chronicle.say(Kind.MARK, records.Mark(MIDNIGHT_MS, CASH_USD_E6))
    flight = written.launch(created_ms=MIDNIGHT_MS)
    state = written.state
    worth = CASH_USD_E6 - LOSS_USD_E6 + state.reserved_usd_e6

    def asked(worth_usd_e6: int):
        return deepest(state, now_ms=MIDNIGHT_MS, worth_usd_e6=worth_usd_e6)

    assert state.reserved_usd_e6 >= LOSS_USD_E6 // 2, "half of the limit alone asks for less"
    assert asked(worth) is None, "what was sent a moment ago is answered a moment later"
    written.reply(flight, *[LegState.DOUBT] * 3)
    assert asked(worth) == (Mode.REDUCE_ONLY, Cause.DAY_LOSS)
    assert asked(worth + 1) is None
    for place in range(3):
        row = records.Verdict(MIDNIGHT_MS, 0, LegState.NEVER_LANDED, 0)
        written.chronicle.say(Kind.VERDICT, row, flight.id, place)
    assert asked(worth) is None


def marked(written, worth_usd_e6: int, limits=LIMITS, at_ms=MIDNIGHT_MS, offset_ms=0) -> list[int]:
    """What the marks say after the executor has looked at a worth."""
    signs, venue = Signs(now_ms=at_ms, worth_usd_e6=worth_usd_e6), Asked()
    venue.offset_ms = offset_ms
    one = SimpleNamespace(
        _chronicle=written.chronicle,
        _around=SimpleNamespace(signs=signs),
        _taker=SimpleNamespace(limits=(None, limits)),
        _venue=venue,
    )
    Executor._mark(one)
    return [mark.worth_usd_e6 for mark in written.state.marks]


def test_a_new_height_is_marked_at_once_where_it_matters_for_the_drawdown(tmp_path):
    written = Written(tmp_path).begin()
    step = CASH_USD_E6 * (LIMITS.max_drawdown_bps // 10) // 10_000
    first, high = CASH_USD_E6, CASH_USD_E6 + step + 1
    assert marked(written, first) == [first]
    assert marked(written, CASH_USD_E6 + step) == [first]
    assert marked(written, high) == [first, high]
    assert marked(written, high) == [first, high]
    assert marked(written, CASH_USD_E6) == [first, high]
    written.reopen()
    assert written.state.peak_usd_e6 == high


def test_h7_what_is_on_its_way_counts_whole_and_not_as_profit(tmp_path):
    written = Written(tmp_path).begin()
    flight = written.launch()
    state = written.state
    at_risk = exposure_of(state.flights.values(), state.ledger, state.tokens, set())
    assert at_risk.total_usd_e6 >= state.reserved_usd_e6 > 0
    assert state.worth_usd_e6() == CASH_USD_E6
    written.reply(flight, *[LegState.FILLED] * 3)
    for place in range(2):
        written.fill(flight, place, FillStatus.MATCHED)
    spent = CASH_USD_E6 - written.state.ledger.cash_usd_e6
    assert CASH_USD_E6 - spent < written.state.worth_usd_e6() < CASH_USD_E6
    assert written.state.exposure().total_usd_e6 >= spent
