"""The walk: what it orders would fill, stands on the grid, and earns what it says."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.walk import Legs, best_order, ladder_of
from shm.fees import fee_table_e8
from shm.grid import basket_step
from tests.engine.books import book

FREE = fee_table_e8(0)
CRYPTO = fee_table_e8(70_000)
CAP_E6 = 10**9


def legs(*ladders, fees=FREE, tick_e4=10, least_e6=5_000_000) -> Legs:
    count = len(ladders)
    return Legs(ladders, [fees] * count, [tick_e4] * count, [least_e6] * count)


def shares(number: float) -> int:
    return int(number * 10**6)


def test_one_level_is_bought_whole_on_the_grid():
    order = best_order(
        legs([(3_000, shares(40.7))], [(6_000, shares(90))]), 10_000 * 10**4, 1, CAP_E6, 0
    )
    assert order is not None
    assert order.size_e6 == shares(40)
    assert order.limits_e4 == (3_000, 6_000)
    assert order.profit_usd_e6 == 40 * 100_000
    assert order.limit_net_e8 == 10**7


def test_deeper_levels_are_bought_while_a_unit_is_worth_the_hurdle():
    ladder = [(3_000, shares(10)), (3_500, shares(10)), (3_900, shares(10)), (3_990, shares(10))]
    other = [(6_000, shares(100))]
    for hurdle_e8, size, limit in ((10**7, 10, 3_000), (5 * 10**6, 20, 3_500), (10**5, 40, 3_990)):
        order = best_order(legs(ladder, other), 10**8, hurdle_e8, CAP_E6, 0)
        assert order is not None
        assert (order.size_e6, order.limits_e4[0]) == (shares(size), limit)
    assert best_order(legs(ladder, other), 10**8, 10**7 + 1, CAP_E6, 0) is None


def test_the_grid_of_the_limits_decides_how_much_can_be_ordered():
    # At 0.353 an order must be a multiple of ten shares; seven more at that level are no help.
    ladder = [(3_000, shares(13)), (3_530, shares(4))]
    order = best_order(legs(ladder, [(6_000, shares(100))]), 10**8, 1, CAP_E6, 0)
    assert order is not None
    assert (order.size_e6, order.limits_e4) == (shares(13), (3_000, 6_000))


def test_an_order_below_the_venues_minimum_or_a_dollar_is_none():
    thin = [(3_000, shares(4.9))]
    assert best_order(legs(thin, [(6_000, shares(9))]), 10**8, 1, CAP_E6, 0) is None
    cheap = [(100, shares(99))]  # 99 shares at a cent
    assert best_order(legs(cheap, [(6_000, shares(500))]), 10**8, 1, CAP_E6, 0) is None
    assert best_order(legs([(100, shares(100))], [(6_000, shares(500))]), 10**8, 1, CAP_E6, 0)


def test_the_slippage_allowance_raises_the_limits_and_never_to_one():
    order = best_order(
        legs([(3_000, shares(40))], [(6_990, shares(90))]), 10_000 * 10**4, 1, CAP_E6, 2
    )
    assert order is not None
    assert order.limits_e4 == (3_020, 7_010)
    assert order.limit_net_e8 == (10_000 - 3_020 - 7_010) * 10**4
    high = best_order(legs([(9_985, shares(400))]), 10**8, 1, CAP_E6, 5)
    assert high is not None
    assert high.limits_e4 == (9_990,)


ladders = st.lists(
    st.tuples(st.integers(1, 9_999), st.integers(1, 60 * 10**6)), min_size=1, max_size=5,
    unique_by=lambda level: level[0],
).map(sorted)  # fmt: skip


@given(
    st.lists(ladders, min_size=1, max_size=4),
    st.sampled_from([FREE, CRYPTO]),
    st.integers(1, 2),
    st.integers(-(10**7), 10**7),
    st.sampled_from([3_000_000, 40_000_000, 10**9]),
)
@settings(max_examples=400)
def test_an_order_fills_stands_on_the_grid_and_earns_what_it_says(
    some, fees, payout, hurdle_e8, cap_e6
):
    order = best_order(legs(*some, fees=fees), payout * 10**8, hurdle_e8, cap_e6, 0)
    if order is None:
        return
    assert 0 < order.size_e6 <= cap_e6
    assert order.size_e6 % (basket_step(order.limits_e4) * 10**6) == 0
    assert order.limit_net_e8 >= hurdle_e8
    earned = Fraction(payout * order.size_e6)
    for ladder, limit_e4 in zip(some, order.limits_e4, strict=True):
        assert sum(size for price, size in ladder if price <= limit_e4) >= order.size_e6
        assert order.size_e6 * limit_e4 >= 10_000 * 10**6
        earned -= cost_of(ladder, order.size_e6, fees)
    assert earned // 1 == order.profit_usd_e6


def cost_of(ladder, size_e6: int, fees) -> Fraction:
    """Micro-dollars, fees included, of taking `size_e6` from the cheapest levels."""
    cost, left = Fraction(0), size_e6
    for price_e4, available_e6 in ladder:
        taken = min(left, available_e6)
        cost += Fraction(taken * price_e4, 10_000) + Fraction(taken * fees[price_e4], 10**8)
        left -= taken
    return cost


@given(st.lists(ladders, min_size=2, max_size=3), st.integers(1, 10**6))
def test_a_higher_hurdle_never_buys_more(some, hurdle_e8):
    eager = best_order(legs(*some), 2 * 10**8, hurdle_e8, CAP_E6, 0)
    choosy = best_order(legs(*some), 2 * 10**8, 2 * hurdle_e8, CAP_E6, 0)
    if choosy is not None:
        assert eager is not None
        assert eager.profit_usd_e6 >= choosy.profit_usd_e6


def test_a_no_ladder_is_the_bids_at_one_minus_price():
    shown = book([(4_000, 5), (3_000, 6)], [(5_000, 7)], key=1)
    assert ladder_of(shown, yes=False) == [(6_000, 5), (7_000, 6)]
    assert ladder_of(shown, yes=True) == [(5_000, 7)]


@pytest.mark.parametrize(
    "levels",
    [[(5_000, 7), (5_000, 8)], [(5_000, 7), (4_999, 8)], [(5_000, 7), (6_000, 0)],
     [(5_000, 7), (10_000, 8)], [(5_000, 7), (-3, 8)], [(5_000, 7), (6_000, -1)]],
)  # fmt: skip
def test_a_ladder_ends_before_a_level_that_cannot_be_one(levels):
    assert ladder_of(book([], levels, key=1), yes=True) == [(5_000, 7)]
