"""Sales in place of purchases: the same payoff at the same cost, and less capital bound."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.baskets import compile_baskets
from engine.inventory import Held, as_sale, chosen_form
from shm.codes import MarketKind, Outcome, Side
from shm.fees import share_fee_e8
from shm.payoff import Leg, payoff
from tests.engine.factory import ladder, market

YES, NO = Outcome.YES, Outcome.NO
SHARE = 10**6
YEAR_MS = 365 * 86_400_000
LOW = market(0, MarketKind.ABOVE, 10)
HIGH = market(1, MarketKind.ABOVE, 20)
PAIR = (Leg(LOW, YES, Side.BUY), Leg(HIGH, NO, Side.BUY))


def form(held, size_e6=10 * SHARE, capital=(50_000, YEAR_MS)):
    return chosen_form(PAIR, (4_000, 5_500), size_e6, held, capital)


def test_every_leg_of_every_basket_pays_a_dollar_less_when_sold_at_every_price_tie_and_void():
    for basket in compile_baskets(ladder([10, 20, 30])).baskets:
        for at in range(len(basket.legs)):
            sold = [as_sale(leg) if i == at else leg for i, leg in enumerate(basket.legs)]
            other = payoff(sold)
            assert other.bounds_usd_e6 == basket.proof.bounds_usd_e6
            pairs = zip(basket.proof.by_position_e4, other.by_position_e4, strict=True)
            assert {bought - sale for bought, sale in pairs} == {10_000}
            assert basket.proof.void_e4 - other.void_e4 == 10_000


@given(st.integers(1, 9_999), st.integers(0, 10**6))
def test_the_fee_is_the_same_in_both_forms(price_e4, rate_e6):
    assert share_fee_e8(rate_e6, price_e4) == share_fee_e8(rate_e6, 10_000 - price_e4)


def test_a_leg_is_sold_when_its_opposite_is_held_in_the_whole_size():
    found = form({1: Held(yes_e6=10 * SHARE, no_e6=0)})
    assert found.legs == (PAIR[0], Leg(HIGH, YES, Side.SELL))
    assert found.prices_e4 == (4_000, 4_500)
    assert found.freed_usd_e6 == 10 * 10**6
    assert found.saved_usd_e6 == 500_000  # five percent of ten dollars for a year


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
    assert found.prices_e4 == (4_000, 5_500)
    assert (found.freed_usd_e6, found.saved_usd_e6) == (0, 0)


def test_after_the_expiry_nothing_is_saved_and_nothing_is_sold_for_no_size():
    assert form({1: Held(10**9, 0)}, capital=(50_000, -1)).saved_usd_e6 == 0
    assert form({1: Held(10**9, 0)}, size_e6=0).legs == PAIR


def test_what_one_has_in_the_end_is_the_same_in_both_forms_but_for_when():
    """Cash and tokens after the trade and the settlement, at random prices and holdings."""
    rng = random.Random(3)
    for _ in range(300):
        held_yes = rng.randint(0, 20) * SHARE
        price_e4, size_e6 = rng.randint(1, 9_999), rng.randint(1, 20) * SHARE
        leg = Leg(HIGH, NO, Side.BUY)
        found = chosen_form([leg], [price_e4], size_e6, {1: Held(held_yes, 0)}, (0, 0))
        (one,), (limit_e4,) = found.legs, found.prices_e4
        for yes_pays in (0, 1):
            bought = held_yes * yes_pays + size_e6 * (1 - yes_pays) - size_e6 * price_e4 // 10_000
            if one.side is Side.SELL:
                proceeds = size_e6 * limit_e4 // 10_000
                other = (held_yes - size_e6) * yes_pays + proceeds
                assert abs(bought - other) <= 1
                assert held_yes >= size_e6
            else:
                assert held_yes < size_e6
