"""Stock: no share is promised twice, and none is sold that the chain may take back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.flights import Flight, LegOrder
from executor.ledger import Fill, Ledger
from executor.stock import Stock, stock_of
from shm.codes import BasketKind, FillStatus, FlightState, LegState, Outcome, Purpose, Side
from shm.inventory import Held
from shm.units import format_token
from tests.executor.stories import Story
from tests.executor.written import MARKETS

UNIT = 10_000_000
YES, NO = format_token(MARKETS[0].yes_token), format_token(MARKETS[0].no_token)


def bought(ledger: Ledger, token: str = YES, size_e6: int = UNIT, status=FillStatus.CONFIRMED):
    trade = f"b{len(ledger.fills)}"
    ledger.apply(Fill(trade, f"0x{trade}", token, Side.BUY, 5_000, size_e6, 0, status))


def sale(number: int, state: LegState, size_e6: int = UNIT, purpose=Purpose.BASKET) -> Flight:
    order = LegOrder(0, Outcome.YES, Side.SELL, 5_000, size_e6, f"0x{number}", YES, state=state)
    return Flight(number, number, purpose, 5, BasketKind.TRIANGLE_BUY, 1, 0, 20_000, size_e6, 0, 1,
                  1, [order], state=FlightState.SENT)  # fmt: skip


def test_what_is_confirmed_and_promised_to_nobody_is_free():
    ledger = Ledger()
    bought(ledger)
    bought(ledger, NO, 3 * UNIT)
    assert stock_of([], ledger).held(MARKETS[0]) == Held(UNIT, 3 * UNIT)
    assert stock_of([], ledger).held(MARKETS[1]) == Held(0, 0)
    assert Stock(Ledger()).held(MARKETS[0]) == Held(0, 0)


@pytest.mark.parametrize("status", [FillStatus.MATCHED, FillStatus.MINED, FillStatus.RETRYING])
def test_what_the_chain_may_take_back_is_not_free_but_a_repair_may_sell_it_again(status):
    ledger = Ledger()
    bought(ledger, size_e6=2 * UNIT)
    bought(ledger, status=status)
    stock = stock_of([], ledger)
    assert (stock.free_e6(YES), stock.sellable_e6(YES)) == (2 * UNIT, 3 * UNIT)


@pytest.mark.parametrize(
    "state", [LegState.INTENT, LegState.SENT, LegState.LANDED, LegState.DOUBT, LegState.FILLED]
)
@pytest.mark.parametrize("purpose", [Purpose.BASKET, Purpose.REPAIR])
def test_shares_are_promised_from_the_intent_until_their_fill_is_there(state, purpose):
    """FILLED here: the venue has said so, and the ledger has not seen it yet."""
    ledger = Ledger()
    bought(ledger, size_e6=3 * UNIT)
    one = sale(1, state, purpose=purpose)
    assert stock_of([one], ledger).free_e6(YES) == 2 * UNIT
    two = sale(2, LegState.SENT)
    assert stock_of([one, two], ledger).free_e6(YES) == UNIT
    ledger.apply(Fill("s", "0x1", YES, Side.SELL, 5_000, UNIT, 0, FillStatus.MATCHED))
    assert stock_of([one, two], ledger).free_e6(YES) == UNIT  # it has left, and is not promised
    assert stock_of([one], ledger).free_e6(YES) == 2 * UNIT


@pytest.mark.parametrize("state", [LegState.KILLED, LegState.REFUSED, LegState.NEVER_LANDED])
def test_what_was_not_sold_is_free_again(state):
    ledger = Ledger()
    bought(ledger)
    assert stock_of([sale(1, state)], ledger).free_e6(YES) == UNIT


def test_a_sale_that_fails_on_chain_gives_its_shares_back_and_promises_none():
    ledger = Ledger()
    bought(ledger)
    one = sale(1, LegState.FILLED)
    for status in (FillStatus.MATCHED, FillStatus.FAILED):
        ledger.apply(Fill("s", "0x1", YES, Side.SELL, 5_000, UNIT, 0, status))
    assert stock_of([one], ledger).free_e6(YES) == UNIT


@given(st.integers(0, 2**32), st.integers(1, 150))
@settings(max_examples=40)
def test_whatever_happens_no_more_is_free_than_is_there_after_every_open_sale(seed, length):
    state = Story(seed).act_many(length).state
    stock = stock_of(state.open_flights, state.ledger)
    for token, holding in state.ledger.holdings.items():
        on_way = sum(
            leg.size_e6 - min(leg.size_e6, state.ledger.of_order(leg.order_hash).size_e6
                              + state.ledger.of_order(leg.order_hash).voided_e6)
            for flight in state.flights.values() for leg in flight.legs
            if leg.token == token and leg.side is Side.SELL and leg.open
        )  # fmt: skip
        assert 0 <= stock.free_e6(token) <= stock.sellable_e6(token)
        assert stock.sellable_e6(token) <= max(0, holding.size_e6 - on_way)
