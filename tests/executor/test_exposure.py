"""Exposure: the quick way over flights that are over leaves out nothing."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor import exposure
from executor.exposure import exposure_of
from executor.snapshot import word
from shm import records
from shm.codes import FillStatus, FlightState, LegState, Purpose, Side
from shm.fees import FILLS_PER_ORDER, fill_fee_bound_usd_e6
from shm.records import Kind
from tests.executor.stories import Story
from tests.executor.written import MARKETS, SIZE_E6, Written, complement

seeds = st.integers(0, 2**32)


def slow(state) -> exposure.Exposure:
    """Every flight looked at, whatever its state."""
    found = exposure.Exposure()
    for flight in state.flights.values():
        if flight.parent == 0:
            waiting = state.ledger.unconfirmed_orders
            exposure._add_flight(found, flight, state.ledger, state.tokens, waiting)
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
                kinds.add(exposure.unconfirmed(flight, state.ledger.unconfirmed_orders))
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


ENDS = [LegState.FILLED, LegState.KILLED, LegState.REFUSED]


def after(folder, ends, sold):
    """A trio is complete, and the opposite basket has ended like this, some of it by sales."""
    written = Written(folder).begin()
    written.complete(written.launch())
    flight = written.launch(signal=2, sold=sold)
    written.reply(flight, *ends)
    for place, end in enumerate(ends):
        if end is LegState.FILLED:
            written.fill(flight, place)
    return written, flight


@pytest.mark.parametrize("sold", range(3))
@pytest.mark.parametrize("ends", list(product(ENDS, repeat=3)))
def test_a_sold_leg_risks_and_is_worth_to_the_unit_what_its_purchase_would(tmp_path, ends, sold):
    """Naked, and kept to the end; worth is what cash and tokens really pay at the worst price."""
    bought, theirs = after(tmp_path / "bought", ends, (9,))
    sale, ours = after(tmp_path / "sold", ends, (sold,))
    assert ours.legs[sold].side is Side.SELL
    for keep in (False, True):
        if keep and ours.state is FlightState.NAKED:
            bought.keep(theirs)
            sale.keep(ours)
        assert ours.state is theirs.state
        assert plain(sale.state.exposure()) == plain(bought.state.exposure())
        assert sale.state.worth_usd_e6() == bought.state.worth_usd_e6()
        assert sale.state.profit_usd_e6() == bought.state.profit_usd_e6()
        assert sale.state.orphan_usd_e6() == bought.state.orphan_usd_e6()


@pytest.mark.parametrize("state", [None, LegState.DOUBT, LegState.LANDED])
def test_a_sale_on_its_way_risks_its_purchase_with_fees_and_reserves_no_cash(tmp_path, state):
    written = Written(tmp_path).begin()
    written.complete(written.launch())
    before = written.state.reserved_usd_e6
    basket, intents = written.orders(3, signal=2)
    sales = complement(intents, sold=(0, 1, 2))
    assert written.chronicle.write_orders(basket._replace(reserved_usd_e6=0), sales)
    written.chronicle.fold_orders()
    flight = list(written.state.flights.values())[-1]
    written.sent(flight)
    if state is not None:
        written.reply(flight, state, state, state)
    assert written.state.reserved_usd_e6 == before
    found = written.state.exposure()
    for place, leg in enumerate(flight.legs):
        fee = fill_fee_bound_usd_e6(70_000, leg.price_e4, SIZE_E6, FILLS_PER_ORDER)
        risk = (10_000 - leg.price_e4) * SIZE_E6 // 10_000 + fee
        assert found.by_market[MARKETS[place].key] == risk


def test_a_kept_leg_whose_token_was_sold_for_another_basket_is_still_at_risk(tmp_path):
    """As if that one had bought the opposite: the pair is gone, and what it stood for is not."""
    written = Written(tmp_path).begin()
    orphan = written.launch()
    written.reply(orphan, LegState.FILLED, LegState.KILLED, LegState.KILLED)
    written.fill(orphan, 0)
    written.keep(orphan)
    before = written.state.exposure()
    second = written.launch(signal=2, sold=(0,))
    written.complete(second)
    assert second.state is FlightState.COMPLETE
    assert written.state.ledger.holdings[orphan.legs[0].token].size_e6 == 0
    assert plain(written.state.exposure()) == plain(before)
    assert before.naked_usd_e6 > 0
    for leg in second.legs[1:]:  # the ladder has ended, and what was left of it was paid out
        row = records.Redeemed(SIZE_E6, 0, word(leg.token))
        written.chronicle.say(Kind.REDEEMED, row)
    assert written.state.exposure().naked_usd_e6 == 0


@pytest.mark.parametrize("undecided", [LegState.DOUBT, LegState.LANDED])
def test_what_filled_beside_an_order_in_doubt_stands_alone_until_that_is_known(tmp_path, undecided):
    """Whether nobody knows where it is, or the venue has it and may still fill it."""
    written = Written(tmp_path).begin()
    flight = written.launch()
    written.reply(flight, LegState.FILLED, LegState.FILLED, undecided)
    assert written.state.exposure().doubts == {flight.group: 1}
    assert written.state.exposure().astray == (undecided is LegState.DOUBT)
    assert written.state.exposure().naked_usd_e6 == 0, "none of it has been seen to fill"
    written.fill(flight, 0)
    written.fill(flight, 1)
    found = written.state.exposure()
    assert found.naked_usd_e6 == found.total_usd_e6 > 0
    assert found.launched_usd_e6 == 0, "it is not counted twice"
    written.fill(flight, 2)
    assert flight.state is FlightState.COMPLETE
    assert written.state.exposure().naked_usd_e6 == 0


def test_a_basket_on_its_way_may_leave_all_but_its_cheapest_leg_alone(tmp_path):
    written = Written(tmp_path).begin()
    assert written.state.exposure().launched_usd_e6 == 0
    first = written.launch()
    found = written.state.exposure()
    risks = [found.by_market[market.key] for market in MARKETS]
    assert found.launched_usd_e6 == sum(risks) - min(risks) > 0
    second = written.launch(signal=2)
    assert written.state.exposure().launched_usd_e6 == 2 * (sum(risks) - min(risks))
    written.complete(first)
    written.reply(second, *[LegState.KILLED] * 3)
    assert written.state.exposure().launched_usd_e6 == 0
