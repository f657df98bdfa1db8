"""Exposure: the quick way over flights that are over leaves out nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from executor import exposure
from executor.exposure import exposure_of
from shm.codes import FillStatus, FlightState, LegState, Purpose
from tests.executor.stories import Story
from tests.executor.written import Written

seeds = st.integers(0, 2**32)


def slow(state) -> exposure.Exposure:
    """Every flight looked at, whatever its state."""
    found = exposure.Exposure()
    for flight in state.flights.values():
        if flight.parent == 0:
            exposure._add_flight(found, flight, state.ledger, state.tokens)
    return found


def plain(found: exposure.Exposure):
    columns = (found.by_market, found.by_group, found.by_day, found.doubts)
    risks = [{key: value for key, value in column.items() if value} for column in columns]
    return found.total_usd_e6, found.naked_usd_e6, *risks


@given(seeds, st.integers(1, 200))
@settings(max_examples=60)
def test_flights_that_are_passed_over_risk_nothing(seed, length):
    state = Story(seed).act_many(length).state
    found = exposure_of(state.flights.values(), state.ledger, state.tokens, set())
    assert plain(found) == plain(slow(state))


def test_the_stories_have_flights_that_are_over_and_still_at_risk():
    """Else the test before would prove nothing about passing over."""
    kinds = set()
    for seed in range(40):
        state = Story(seed).act_many(150).state
        for flight in state.flights.values():
            if flight.parent == 0 and not flight.open:
                kinds.add(exposure.unconfirmed(flight, state.ledger))
    assert kinds == {True, False}


def test_a_basket_that_a_repair_completed_is_at_risk_until_the_repair_is_confirmed(tmp_path):
    written = Written(tmp_path).begin()
    flight = written.launch()
    written.reply(flight, LegState.FILLED, LegState.FILLED, LegState.KILLED)
    written.fill(flight, 0)
    written.fill(flight, 1)
    basket, intents = written.orders()
    repair = basket._replace(parent=flight.id, purpose=Purpose.REPAIR, signal=0, leg_count=1)
    assert written.chronicle.write_orders(repair, [intents[2]])
    written.chronicle.fold_orders()
    (mended,) = flight.repairs
    written.sent(mended)
    written.reply(mended, LegState.FILLED)
    written.fill(mended, 0, FillStatus.MATCHED)
    assert flight.state is FlightState.COMPLETE
    assert written.state.exposure().total_usd_e6 > 0
    written.fill(mended, 0, FillStatus.CONFIRMED)
    assert written.state.exposure().total_usd_e6 == 0
