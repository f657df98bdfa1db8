"""Situation: fresh after each record, and everything that a decision asks is what is true now."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor import situation
from executor.exposure import DAY_MS
from executor.situation import EDGE_PAUSE_MS, EDGES_REMEMBERED, KILL_UNSEEN_NS
from shm import records
from shm.codes import Cause, LegReason, LegState, MarketState, Mode, Refusal
from shm.limits import RiskSettings
from shm.records import Kind
from shm.stillness import LIMIT_NS
from tests.executor.stand import Stand
from tests.executor.test_gate import signal
from tests.executor.written import CASH_USD_E6, MARKETS, SIZE_E6, START_MS

GROUP = MARKETS[0].group


@pytest.fixture
def stand(segments, tmp_path):
    made = Stand(segments, tmp_path)
    made.begin()
    made.around.ready = made.around.channel_up = True
    return made


def check_fresh(stand) -> None:
    """What is remembered is what would be worked out now."""
    derived, state = stand.around.derived, stand.state
    assert derived.exposure == state.exposure()
    assert derived.open_flights == len(state.open_flights)
    assert derived.free_cash_usd_e6 == state.free_cash_usd_e6
    rows = {leg.row for flight in state.open_flights for leg in flight.legs}
    assert derived.busy_rows == rows


def test_exposure_is_fresh_after_every_single_record(stand):
    written = stand.written
    check_fresh(stand)
    written.chronicle.write_orders(*written.orders())
    check_fresh(stand)
    written.chronicle.fold_orders()
    check_fresh(stand)
    assert stand.around.derived.exposure.total_usd_e6 >= 20_000_000
    assert stand.around.derived.busy_rows == {0, 1, 2}
    (flight,) = stand.state.flights.values()
    written.sent(flight)
    for place, then in enumerate([LegState.FILLED, LegState.KILLED, LegState.DOUBT]):
        written.reply_one(flight, place, then)
        check_fresh(stand)
    assert stand.around.derived.exposure.doubts == {GROUP: 1}
    written.fill(flight, 0)
    check_fresh(stand)
    written.fill(flight, 2)
    check_fresh(stand)
    assert stand.around.derived.exposure.doubts == {}
    written.keep(flight)
    check_fresh(stand)
    assert stand.around.derived.busy_rows == frozenset()
    assert stand.around.derived.exposure.naked_usd_e6 > 0


def test_what_follows_from_the_journal_is_worked_out_once_a_record(stand, monkeypatch):
    first = stand.around.derived
    assert stand.around.derived is first
    stand.written.move(Mode.DISARMED, stand.state.cause.OPERATOR)
    assert stand.around.derived is not first


def test_a23_a_market_that_refused_an_order_as_closed_is_left_out_until_new_facts_come(stand):
    flight = stand.written.launch(created_ms=time.time_ns() // 1_000_000)
    stand.written.reply_one(flight, 1, LegState.REFUSED, LegReason.CLOSED)
    stand.written.reply_one(flight, 0, LegState.REFUSED, LegReason.TICK)
    stand.around.look(taking=False)
    assert set(stand.around.markets) == {0, 2}
    assert stand.around.situation({}).shapes == {}
    time.sleep(0.002)  # what comes in the same millisecond may be older than the refusal
    stand.publish()
    stand.around.adopt()
    stand.around.look(taking=False)
    assert set(stand.around.markets) == {0, 1, 2}


def test_a_situation_is_what_the_gate_asks(stand):
    one = signal()
    for market in MARKETS:
        stand.book(market, [(5_000, SIZE_E6)], [(6_000, SIZE_E6)])
    found = stand.around.situation(stand.around.quotes(one))
    assert found.trading
    assert found.armed
    assert found.connection_idle
    assert not found.reports_waiting
    assert found.generation == 1
    assert found.ticks_e4 == {0: 10, 1: 10, 2: 10}
    margin = RiskSettings().cash_margin_bps
    assert found.free_cash_usd_e6 == CASH_USD_E6 * (10_000 - margin) // 10_000
    stand.venue.idle = False
    stand.stage.switches.trading = False
    again = stand.around.situation({})
    assert not again.connection_idle
    assert not again.trading


@pytest.mark.parametrize("name", ["ready", "channel_up"])
def test_it_is_not_armed_while_fills_would_not_be_seen(stand, name):
    setattr(stand.around, name, False)
    assert not stand.around.situation({}).armed


def test_it_is_not_armed_while_something_waits_to_be_written(stand):
    stand.written.fill_disk()
    stand.written.move(Mode.HALTED, stand.state.cause.KILL)
    assert not stand.around.situation({}).armed


def test_the_last_signal_is_the_highest_that_was_seen_or_written(stand):
    assert stand.around.situation({}).last_signal == 0
    stand.around.seen_signal = 5
    assert stand.around.situation({}).last_signal == 5
    stand.written.launch(signal=9)
    assert stand.around.situation({}).last_signal == 9


def test_the_kill_is_asked_for_at_the_last_moment(stand):
    assert not stand.around.standing(GROUP).killed
    stand.killed = True
    assert stand.around.standing(GROUP).killed
    stand.around.look(taking=True)
    assert not stand.around.signs.killed  # the one that is being ended
    stand.around.look(taking=False)
    assert stand.around.signs.killed
    assert stand.around.standing(GROUP).killed


def test_e2_a_standstill_is_seen_before_and_after_the_loop_has_noticed_it_until_it_is_heeded(stand):
    still, signs = stand.stage.still, stand.around.signs
    assert not stand.around.standing(GROUP).held_up
    still._looked_ns -= 10 * LIMIT_NS
    assert stand.around.standing(GROUP).held_up
    still.look()
    assert stand.around.standing(GROUP).held_up
    signs.stops_heeded = still.stops
    assert not stand.around.standing(GROUP).held_up


def test_pace_and_counts_are_the_journals(stand):
    now_ms = time.time_ns() // 1_000_000
    stand.written.complete(stand.written.launch(created_ms=now_ms))
    standing = stand.around.standing(GROUP)
    assert standing.orders_today == 3 or now_ms // DAY_MS != time.time_ns() // 10**6 // DAY_MS
    assert standing.last_basket_ms == {GROUP: now_ms}
    assert standing.baskets_this_hour == {GROUP: 1}
    assert stand.around.standing(GROUP + 1).baskets_this_hour == {GROUP + 1: 0}


def test_facts_are_as_old_as_the_last_confirmation_of_each_leg(stand, monkeypatch):
    def age_ms(*rows):
        return stand.around.standing(rows=rows).facts_age_ms

    later = time.monotonic_ns() + 700 * 10**9
    monkeypatch.setattr(situation.time, "monotonic_ns", lambda: later)
    assert age_ms(0, 1, 2) >= 699_000
    stand.publish(2)
    stand.around.adopt()
    assert age_ms(0, 1, 2) >= 699_000  # a generation for another market's sake confirms nothing
    stand.confirm([0, 2])
    assert age_ms(0, 2) == 0
    assert age_ms(1) >= 699_000
    assert age_ms(0, 1, 2) >= 699_000  # one ladder that could not be asked for is not believed
    assert age_ms() == 0  # a repair asks for no facts


def test_a_market_that_was_never_confirmed_is_not_believed(stand, monkeypatch):
    stand.publish(2, [*MARKETS, MARKETS[0]._replace(row=3, key=4)])
    stand.around.adopt()
    now_ns = time.monotonic_ns()
    monkeypatch.setattr(situation.time, "monotonic_ns", lambda: now_ns)
    assert stand.around.standing(rows=[3]).facts_age_ms == now_ns // 10**6


def test_a_generation_is_taken_over_once_and_only_what_is_active(stand):
    assert stand.around.adopt() is None
    retired = MARKETS[1]._replace(state=MarketState.RETIRED)
    stand.publish(2, [MARKETS[0], retired, MARKETS[2]])
    rows = stand.around.adopt()
    assert [row.row for row in rows] == [0, 1, 2]
    assert set(stand.around.markets) == {0, 2}
    assert stand.around.generation == 2


@given(st.lists(st.integers(0, 2 * EDGE_PAUSE_MS), min_size=1, max_size=30))
def test_an_edge_is_as_old_as_its_last_pause(gaps):
    around = object.__new__(situation.Surroundings)
    around._edges = {}
    now_ms = since_ms = START_MS
    around.note_edge(7, now_ms)
    for gap in gaps:
        now_ms += gap
        since_ms = now_ms if gap > EDGE_PAUSE_MS else since_ms
        around.note_edge(7, now_ms)
        assert around._edges[7] == (since_ms, now_ms)
    around.forget_edge(7)
    assert around._edges == {}


def test_edges_of_baskets_without_end_are_not_remembered_without_end(stand):
    for basket in range(2 * EDGES_REMEMBERED + 5):
        stand.around.note_edge(basket, START_MS)
        assert len(stand.around._edges) <= EDGES_REMEMBERED


def test_a_ladder_is_in_quarantine_for_its_time_and_no_other_is_and_the_time_does_not_grow(
    stand, monkeypatch, caplog
):
    now_ms = START_MS
    monkeypatch.setattr(situation.time, "time_ns", lambda: now_ms * 10**6)
    stand.around.quarantine(GROUP, 60_000)
    now_ms += 59_999
    stand.around.quarantine(GROUP, 60_000)
    stand.around.quarantine(GROUP + 1, 60_000)
    assert stand.around.standing(GROUP).quarantined
    assert not stand.around.standing(GROUP + 2).quarantined
    now_ms += 1
    assert not stand.around.standing(GROUP).quarantined
    assert stand.around.standing(GROUP + 1).quarantined
    assert len(caplog.records) == 2, "a quarantine is said once"


def test_the_highest_worth_is_looked_at_between_two_marks_of_the_journal(stand, monkeypatch):
    around, chronicle = stand.around, stand.written.chronicle
    worth = {"now": 100}
    monkeypatch.setattr(type(around), "worth_usd_e6", property(lambda _self: worth["now"]))

    def seen(now: int) -> int:
        worth["now"] = now
        around._worth_ns = 0  # a second later
        around.look(taking=False)
        return around.signs.peak_usd_e6

    assert [seen(100), seen(140), seen(120)] == [100, 140, 140]
    chronicle.say(Kind.MARK, records.Mark(START_MS, 120))
    assert seen(110) == 140
    stand.written.move(Mode.HALTED, Cause.DRAWDOWN)
    stand.written.move(Mode.RECONCILING, Cause.OPERATOR)
    assert seen(110) == 110, "the operator has seen the fall"
    chronicle.say(Kind.MARK, records.Mark(START_MS, 110))
    assert seen(110) == 110
    chronicle.say(Kind.COMPARED, records.Compared(0, 0, -50, 0, 0))
    assert seen(60) == 60, "money that was taken away is no loss"


@pytest.mark.parametrize("state", [LegState.DOUBT, LegState.LANDED])
def test_an_order_that_may_still_rest_keeps_its_market_busy_so_that_none_of_ours_meets_it(
    stand, state
):
    flight = stand.written.launch()
    stand.written.reply(flight, state, LegState.KILLED, LegState.KILLED)
    assert flight.legs[0].row in stand.around.situation({}).busy_rows


def test_what_has_come_up_before_bytes_leave_is_the_kill_the_age_or_a_standstill(
    stand, monkeypatch
):
    around = stand.around
    around.look(taking=False)
    now_ns = time.monotonic_ns()
    limit_ns = stand.stage.settings.executor.max_signal_age_ms * 10**6
    monkeypatch.setattr(situation.time, "monotonic_ns", lambda: now_ns)
    assert around.objection(0) is None
    assert around.objection(now_ns - limit_ns) is None
    assert around.objection(now_ns - limit_ns - 1) is Refusal.STALE
    stand.stage.still._looked_ns -= 10 * LIMIT_NS
    assert around.objection(0) is Refusal.STALE
    stand.killed = True
    assert around.objection(0) is Refusal.KILLED


def test_the_file_of_the_kill_switch_is_looked_at_where_nobody_has_for_a_while(stand, monkeypatch):
    stand.around.look(taking=False)
    now_ns = stand.around._looked_ns
    looks = []
    stand.stage.kill.look = lambda: bool(looks.append(1)) or True
    for since_ns, found in ((0, None), (KILL_UNSEEN_NS, None), (KILL_UNSEEN_NS + 1, "killed")):
        at_ns = now_ns + since_ns
        monkeypatch.setattr(situation.time, "monotonic_ns", lambda at_ns=at_ns: at_ns)
        assert stand.around.objection(0) is (Refusal.KILLED if found else None)
    assert len(looks) == 1


def test_changed_limits_of_pace_count_at_once(stand):
    stand.around.limit_tempo(RiskSettings(orders_per_second=9, orders_burst=33))
    assert stand.around.bucket.room(time.monotonic_ns()) == 33


def test_a_situation_that_does_not_notice_a_record_is_found_out(stand):
    check_fresh(stand)
    stand.written.launch()
    stand.around._derived.version = stand.written.chronicle.version
    with pytest.raises(AssertionError):
        check_fresh(stand)


def test_a_disk_that_was_full_is_remembered_until_the_operator_has_seen_it(stand):
    stand.written.fill_disk()
    stand.written.move(Mode.HALTED, Cause.KILL)
    stand.around.note_trouble()
    stand.written.make_room()
    stand.written.chronicle.flush()
    assert stand.written.chronicle.trouble == ""
    stand.around.look(taking=False)
    assert "make room" in stand.around.signs.journal_trouble


def test_what_is_remembered_of_a_basket_ends_with_its_generation(stand):
    stand.around.situation({}).shapes["any"] = "thing"
    assert stand.around.situation({}).shapes == {"any": "thing"}
    stand.publish(2, MARKETS)
    stand.around.adopt()
    assert stand.around.situation({}).shapes == {}


def test_what_follows_from_the_journal_can_be_worked_out_before_it_is_asked_for(stand, monkeypatch):
    stand.written.launch()
    stand.around.bring_up_to_date()
    monkeypatch.setattr(type(stand.state), "exposure", None)
    assert stand.around.derived.busy_rows == {0, 1, 2}
