from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.order import Side
from sim.quoting import (
    LEVELS_MAX,
    Quoter,
    beyond,
    deep_size_e6,
    half_spread_e4,
    near_size_e6,
)
from tests.sim.traders import NOW_MS
from tests.sim.worlds import world

FAIRS = st.floats(0, 10_000)
TICKS = st.sampled_from([10, 100])


def quoter(fair_e4, tick_e4=10, seed=1, width=1.0):
    _, market, house = world(tick_e4=tick_e4, tick_follows_price=False)
    return Quoter(market, house, Random(seed), fair_e4, width)


def encloses(one, fair_e4):
    bid, ask = (one.market.book.best_e4(side) for side in Side)
    return (bid is None or bid <= fair_e4) and (ask is None or ask >= fair_e4)


@settings(max_examples=80, deadline=None)
@given(FAIRS, TICKS, st.integers(0, 99))
def test_a_fresh_book_encloses_its_fair_value_on_the_tick(fair_e4, tick_e4, seed):
    one = quoter(fair_e4, tick_e4, seed)
    one.open(NOW_MS)
    assert encloses(one, fair_e4)
    for side in Side:
        levels = one.house.levels(one.market, side)
        assert all(price % tick_e4 == 0 and 0 < price < 10_000 for price in levels)
        assert len(levels) <= LEVELS_MAX
        assert (one.target_e4(side) is None) == (not levels)
        if levels:
            assert levels[-1] == one.target_e4(side)


@settings(max_examples=80, deadline=None)
@given(FAIRS, FAIRS, st.lists(st.integers(0, 2), max_size=20), st.integers(0, 99))
def test_at_every_moment_of_a_move_both_values_are_enclosed(start, end, steps, seed):
    one = quoter(start, seed=seed)
    one.open(NOW_MS)
    one.withdraw_beyond(end, NOW_MS)
    assert encloses(one, start)
    assert encloses(one, end)
    one.fair_e4 = end
    for step in steps:
        (one.requote if step == 0 else one.stir)(NOW_MS)
        assert encloses(one, end)
        bid, ask = (one.market.book.best_e4(side) for side in Side)
        assert bid is None or ask is None or bid < ask


@settings(max_examples=40, deadline=None)
@given(FAIRS, FAIRS, st.integers(0, 99))
def test_requoting_puts_the_best_quotes_where_they_belong(start, end, seed):
    one = quoter(start, seed=seed)
    one.open(NOW_MS)
    one.withdraw_beyond(end, NOW_MS)
    one.fair_e4 = end
    one.requote(NOW_MS)
    for side in Side:
        assert one.market.book.best_e4(side) == one.target_e4(side)
    assert not one.is_stale(end)


def test_spreads_are_wide_in_the_middle_and_fine_in_the_tails():
    assert 100 <= half_spread_e4(5000) <= 200
    assert half_spread_e4(20) < 15
    assert half_spread_e4(-5) == half_spread_e4(0)
    assert half_spread_e4(3000) == pytest.approx(half_spread_e4(7000))


def test_sizes_look_like_the_recorded_ones():
    rng = Random(3)
    near = [near_size_e6(rng) for _ in range(2000)]
    deep = [deep_size_e6(rng) for _ in range(2000)]
    assert min(near) >= 20_000_000
    assert max(near) <= 500_000_000
    assert min(deep) >= 5_000_000
    assert max(deep) > 10_000_000_000
    assert all(size % 10_000 == 0 for size in near + deep)
    assert 0.3 < sum(size % 10_000_000 == 0 for size in near) / len(near) < 0.6


def test_a_value_on_the_edge_has_a_one_sided_book():
    low, high = quoter(2.0), quoter(9_998.0)
    for one in (low, high):
        one.open(NOW_MS)
    assert low.market.book.best_e4(Side.BUY) is None
    assert low.market.book.best_e4(Side.SELL) is not None
    assert high.market.book.best_e4(Side.SELL) is None
    assert high.market.book.best_e4(Side.BUY) is not None
    assert low.stir(NOW_MS) is not None


@pytest.mark.parametrize(
    ("side", "price", "limit", "answer"),
    [
        (Side.BUY, 11, 10.0, True),
        (Side.BUY, 10, 10.0, False),
        (Side.SELL, 9, 10.0, True),
        (Side.SELL, 10, 10.0, False),
    ],
)
def test_beyond_means_on_the_wrong_side(side, price, limit, answer):
    assert beyond(side, price, limit) is answer
