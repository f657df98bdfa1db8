"""Hurdle: each allowance alone against exact arithmetic, and the largest of the least edges."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.baskets import compile_baskets
from engine.hurdle import YEAR_MS, hurdle_e8, tie_reserve_e8, yearly_return_e6
from shm.codes import BasketKind
from shm.settings import EngineSettings
from tests.engine.factory import ladder

BASKETS = {basket.kind: basket for basket in compile_baskets(ladder([10, 20])).baskets}
TRIANGLE = BASKETS[BasketKind.TRIANGLE_BUY]
EXPIRY_MS = TRIANGLE.legs[0].market.expiry_ms
DAY_MS = 86_400_000
NOTHING = {
    "min_net_edge_e8": 1, "min_edge_bps": 0, "min_return_per_year_e6": 0, "slippage_ticks": 0,
    "capital_cost_per_year_e6": 0, "tie_probability_e9": 0,
}  # fmt: skip


def hurdle_of(basket=TRIANGLE, now_ms: int = EXPIRY_MS - DAY_MS, **changes) -> int:
    return hurdle_e8(basket, EngineSettings(**(NOTHING | changes)), now_ms)


@pytest.mark.parametrize(
    ("changes", "expected_e8"),
    [
        ({}, 1),
        ({"min_net_edge_e8": 77}, 77),
        # A triangle pays two dollars: 50 basis points are a cent.
        ({"min_edge_bps": 50}, 1_000_000),
        # 36.5 % a year is a tenth of a percent a day.
        ({"min_return_per_year_e6": 365_000}, 200_000),
        # Three legs of one tick of 0.001 each, on top of the least edge.
        ({"slippage_ticks": 2}, 1 + 3 * 2 * 10 * 10_000),
        ({"capital_cost_per_year_e6": 365_000}, 1 + 200_000),
    ],
)
def test_each_part_of_the_hurdle_alone(changes, expected_e8):
    assert hurdle_of(**changes) == expected_e8


def test_the_largest_of_the_least_edges_counts_and_the_allowances_are_added():
    assert hurdle_of(min_net_edge_e8=300_000, min_return_per_year_e6=365_000) == 300_000
    assert hurdle_of(min_net_edge_e8=100, min_return_per_year_e6=365_000) == 200_000
    both = hurdle_of(min_net_edge_e8=300_000, slippage_ticks=1, capital_cost_per_year_e6=365_000)
    assert both == 300_000 + 300_000 + 200_000


def test_capital_costs_nothing_once_the_basket_has_expired():
    for now_ms in (EXPIRY_MS, EXPIRY_MS + DAY_MS):
        assert hurdle_of(now_ms=now_ms, capital_cost_per_year_e6=10**7) == 1


def test_the_tie_reserve_is_the_expected_shortfall_over_all_bounds():
    # YES above(10) pays nothing at exactly 10, and the range has it: one dollar is missing there.
    assert TRIANGLE.proof.by_position_e4 == (20_000, 10_000, 20_000, 30_000, 20_000)
    settings = EngineSettings(tie_probability_e9=10_000)
    assert tie_reserve_e8(TRIANGLE, settings) == 10_000 * 10_000 * 10_000 // 10**9
    assert tie_reserve_e8(BASKETS[BasketKind.LADDER_BUY], settings) == 0


@given(st.integers(1, 10**8), st.integers(1, 12), st.integers(1, 8 * DAY_MS))
def test_the_yearly_return_is_net_over_cost_over_time(net_e8, payout, left_ms):
    payout_e8 = payout * 10**8
    if payout_e8 <= net_e8:
        assert yearly_return_e6(net_e8, payout_e8, left_ms) == 0
        return
    exact = Fraction(net_e8, payout_e8 - net_e8) * Fraction(YEAR_MS, left_ms) * 10**6
    assert yearly_return_e6(net_e8, payout_e8, left_ms) == exact // 1
    assert yearly_return_e6(net_e8, payout_e8, 0) == 0
