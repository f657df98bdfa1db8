"""Fold: the same records give the same state, in one go, in two, or by way of a snapshot."""

from collections import Counter
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.fold import apply_all
from executor.snapshot import draft, may_be_taken, snapshot
from executor.state import HOUR_MS, MINUTE_MS, State
from shm import records
from shm.codes import FillStatus, FlightState, LegState, Mode, Purpose, Side
from shm.journal_record import RECORD_BYTES, entry_at, first_link, seal_all
from shm.records import Kind
from tests.executor.stories import Story

seeds = st.integers(0, 2**32)


def restored(state: State) -> State:
    """A state by way of its snapshot's bytes."""
    groups, _ = seal_all(first_link(1), snapshot(state), 5, 6)
    data = memoryview(b"".join(groups))
    return apply_all(State(), (entry_at(data, at) for at in range(0, len(data), RECORD_BYTES)))


def quiet(story: Story) -> Story:
    """Let everything on its way be sent and answered, so that a snapshot may be taken."""
    while not may_be_taken(story.state):
        for flight in list(story.state.flights.values()):
            if flight.state is FlightState.INTENT:
                story.send(flight)
            for place, leg in enumerate(flight.legs):
                if leg.state is LegState.SENT:
                    story.answer(flight, place)
    return story


@given(seeds, st.integers(1, 250))
@settings(max_examples=60)
def test_a_second_reader_comes_to_the_same_state(seed, length):
    story = Story(seed).act_many(length)
    assert apply_all(State(), story.entries).picture() == story.state.picture()


@given(seeds, st.integers(1, 250))
@settings(max_examples=100)
def test_a_snapshot_says_all_that_the_history_said(seed, length):
    story = quiet(Story(seed).act_many(length))
    assert restored(story.state).picture() == story.state.picture()


@given(seeds, st.integers(1, 150), st.integers(1, 100))
@settings(max_examples=60)
def test_after_a_snapshot_life_goes_on_as_it_would_have_without(seed, before, after):
    story = quiet(Story(seed).act_many(before))
    second = restored(story.state)
    at = len(story.entries)
    story.act_many(after)
    assert apply_all(second, story.entries[at:]).picture() == story.state.picture()


jumps_ms = st.sampled_from([0, 1, 59, 60, 61, -1, -59, -60, -61, 1_500, -1_500, 5_000]).map(
    lambda minutes: minutes * MINUTE_MS
)


@given(seeds, st.lists(jumps_ms, min_size=1, max_size=12), st.integers(1, 30))
@settings(max_examples=100)
def test_a_snapshot_says_the_same_pace_whatever_the_clock_does(seed, jumps, acts):
    """Ladders that come and go, baskets that are remembered or not, and a clock that jumps."""
    story, second = Story(seed), None
    story.ladders = [1, 2, 3]
    for jump_ms in jumps:
        story.now_ms += jump_ms
        at = len(story.entries)
        story.launch()
        quiet(story.act_many(acts))
        if second is not None:
            assert apply_all(second, story.entries[at:]).picture() == story.state.picture()
        second = restored(story.state)
        assert second.picture() == story.state.picture()


def test_after_the_clock_went_back_an_hour_a_snapshot_is_what_it_was_made_from():
    story = Story(1)
    for jump_ms in (0, -HOUR_MS, 5_000):
        story.now_ms += jump_ms
        story.launch()
    quiet(story)
    assert restored(story.state).picture() == story.state.picture()


def test_a_basket_that_is_remembered_longer_than_its_pace_does_not_bring_it_back():
    story = Story(1)
    story.launch()
    flight = next(iter(story.state.flights.values()))
    story.send(flight)
    row = records.Reply(story.now_ms, 200, LegState.DOUBT, 0, bytes(32), bytes(16), b"")
    for place in range(3):
        story.tell([draft(Kind.REPLY, row, flight.id, place)])
    story.now_ms += HOUR_MS + 1
    story.tell([draft(Kind.COMPARED, records.Compared(1, 1, 0, 1, 0))])
    assert flight.id in story.state.flights
    assert not story.state.pace
    assert restored(story.state).picture() == story.state.picture()


def test_the_stories_visit_every_state():
    flights, legs, modes, purposes = set(), set(), set(), set()
    for seed in range(40):
        story = Story(seed)
        for _ in range(250):
            story.act()
            modes.add(story.state.mode)
            for flight in list(story.state.flights.values())[-3:]:
                flights.add(flight.state)
                purposes.add(flight.purpose)
                legs.update(leg.state for leg in flight.legs)
    assert flights == set(FlightState) - {FlightState.NONE}
    assert legs == set(LegState) - {LegState.NONE}
    assert modes == set(Mode) - {Mode.NONE, Mode.BOOT}  # a start leaves BOOT at once
    assert purposes == set(Purpose) - {Purpose.NONE}


@given(seeds, st.integers(1, 300))
@settings(max_examples=60)
def test_cash_and_positions_are_the_sum_of_the_fills_that_stand(seed, length):
    story = Story(seed).act_many(length)
    cash, fills, held = 10**9, {}, Counter()
    for entry in story.entries:
        row = entry.payload
        if entry.kind is Kind.FILL:
            fills.setdefault((row.trade, row.order_hash), (row, set()))[1].add(row.status)
        elif entry.kind is Kind.REDEEMED:
            cash += row.paid_usd_e6
            held[row.token] -= row.size_e6
        elif entry.kind is Kind.COMPARED:
            cash += row.adopted_usd_e6
        elif entry.kind is Kind.ADOPTED:
            cash += row.usd_e6
            held[row.token] += row.size_e6
    for row, told in fills.values():
        if FillStatus.FAILED in told and FillStatus.CONFIRMED not in told:
            continue
        money = Fraction(row.price_e4 * row.size_e6, 10**4)
        bought = row.side == Side.BUY
        cash += -ceil(money) - row.fee_usd_e6 if bought else floor(money) - row.fee_usd_e6
        held[row.token] += row.size_e6 if bought else -row.size_e6
    assert story.state.ledger.cash_usd_e6 == cash
    for token, size_e6 in held.items():
        found = story.state.ledger.holdings.get(str(int.from_bytes(token, "big")))
        assert (found.size_e6 if found else 0) == size_e6


@pytest.mark.parametrize("cut", [0.3, 0.7])
def test_a_restart_puts_in_doubt_what_was_on_its_way_and_nothing_else(cut):
    for seed in range(30):
        story = Story(seed).act_many(int(200 * cut))
        before = {f.id: (f.state, [leg.state for leg in f.legs])
                  for f in story.state.flights.values()}  # fmt: skip
        story.open_process()
        for flight in story.state.flights.values():
            state, legs = before[flight.id]
            for leg, was in zip(flight.legs, legs, strict=True):
                if was in {LegState.INTENT, LegState.SENT}:
                    assert leg.state in {LegState.DOUBT, LegState.FILLED}
                    assert flight.restarted
                elif leg.state is not LegState.FILLED:
                    assert leg.state is was
            if state in {FlightState.INTENT, FlightState.SENT}:
                assert flight.state not in {FlightState.INTENT, FlightState.SENT}
