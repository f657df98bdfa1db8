"""Sales in place of purchases: the same payoff at the same cost, and less capital bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.baskets import compile_baskets
from shm.codes import MarketKind, Outcome, Side
from shm.fees import fill_fee_bound_usd_e6, fill_fee_usd_e6, share_fee_e8
from shm.inventory import Held, as_sale, chosen_form, may_sell
from shm.payoff import Leg, payoff
from tests.engine.factory import ladder, market

YES, NO = Outcome.YES, Outcome.NO
SHARE = 10**6
LOW = market(0, MarketKind.ABOVE, 10)
HIGH = market(1, MarketKind.ABOVE, 20)
PAIR = (Leg(LOW, YES, Side.BUY), Leg(HIGH, NO, Side.BUY))
BASKETS = compile_baskets(ladder([10, 20, 30, 40])).baskets


def form(held, size_e6=10 * SHARE, prices=(4_000, 5_500)):
    return chosen_form(PAIR, prices, size_e6, held)


def test_every_leg_of_every_basket_pays_a_dollar_less_when_sold_at_every_price_tie_and_void():
    for basket in compile_baskets(ladder([10, 20, 30])).baskets:
        for at in range(len(basket.legs)):
            sold = [as_sale(leg) if i == at else leg for i, leg in enumerate(basket.legs)]
            other = payoff(sold)
            assert other.bounds_usd_e6 == basket.proof.bounds_usd_e6
            pairs = zip(basket.proof.by_position_e4, other.by_position_e4, strict=True)
            assert {bought - sale for bought, sale in pairs} == {10_000}
            assert basket.proof.void_e4 - other.void_e4 == 10_000


@given(st.data())
def test_whatever_is_held_both_forms_of_a_basket_cost_and_pay_the_same_but_for_a_constant(data):
    """Random basket, prices, size and holdings; fees, cash and payoff in every atom and void."""
    basket = data.draw(st.sampled_from(BASKETS))
    count = len(basket.legs)
    prices = data.draw(st.lists(st.integers(1, 9_999), min_size=count, max_size=count))
    shares = data.draw(st.integers(1, 300))
    amounts = st.integers(0, 400 * SHARE)
    held = {leg.market.row: Held(data.draw(amounts), data.draw(amounts)) for leg in basket.legs}
    size_e6 = shares * SHARE
    chosen = chosen_form(basket.legs, prices, size_e6, held)
    cash_e4 = fees = 0
    for leg, other, price_e4, limit_e4 in zip(
        basket.legs, chosen.legs, prices, chosen.prices_e4, strict=True
    ):
        rate, sells = leg.market.fee_rate_e6, other.side is Side.SELL
        assert fill_fee_usd_e6(rate, price_e4, size_e6) == fill_fee_usd_e6(rate, limit_e4, size_e6)
        assert share_fee_e8(rate, price_e4) == share_fee_e8(rate, limit_e4)
        assert fill_fee_bound_usd_e6(rate, price_e4, size_e6, 16) == fill_fee_bound_usd_e6(
            rate, limit_e4, size_e6, 16
        )
        assert (limit_e4 == 10_000 - price_e4) if sells else (limit_e4 == price_e4)
        cash_e4 += (limit_e4 if sells else -limit_e4) + price_e4
        fees += sells
        if sells:
            assert held[leg.market.row].of(other.outcome) >= size_e6
            assert size_e6 >= leg.market.min_size_e6
            assert size_e6 * limit_e4 >= 10_000 * SHARE
    assert cash_e4 == fees * 10_000  # a dollar more in hand for each sale,
    bought, sold = payoff(basket.legs), payoff(chosen.legs)
    pairs = zip(bought.by_position_e4, sold.by_position_e4, strict=True)
    assert {one - other for one, other in pairs} == {fees * 10_000}  # and less at the end
    assert bought.void_e4 - sold.void_e4 == fees * 10_000
    assert chosen.freed_usd_e6 == fees * size_e6


def test_a_leg_is_sold_when_its_opposite_is_held_in_the_whole_size():
    found = form({1: Held(yes_e6=10 * SHARE, no_e6=0)})
    assert found.legs == (PAIR[0], Leg(HIGH, YES, Side.SELL))
    assert found.prices_e4 == (4_000, 4_500)
    assert found.freed_usd_e6 == 10 * 10**6


@pytest.mark.parametrize(
    "held",
    [
        {},
        {1: Held(10 * SHARE - 1, 0)},  # not enough
        {1: Held(0, 10**9)},  # the token itself, not its opposite
        {0: Held(10**9, 0)},
        {7: Held(10**9, 10**9)},
    ],
)
def test_otherwise_it_is_bought(held):
    found = form(held)
    assert found.legs == PAIR
    assert (found.prices_e4, found.freed_usd_e6) == ((4_000, 5_500), 0)


def test_nothing_is_sold_for_no_size():
    assert form({1: Held(10**9, 0)}, size_e6=0).legs == PAIR


def test_a_sale_below_a_dollar_or_the_least_size_is_a_purchase():
    """NO at 0.95 for 10 shares is $9.50; the sale of YES at 0.05 would be fifty cents."""
    assert form({1: Held(10**9, 0)}, prices=(4_000, 9_500)).legs == PAIR
    assert not may_sell(9_500, 19 * SHARE, 10**9, 5 * SHARE)
    assert may_sell(9_500, 20 * SHARE, 10**9, 5 * SHARE)
    assert not may_sell(5_000, 4 * SHARE, 10**9, 5 * SHARE)
