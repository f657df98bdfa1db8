from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.coins import COINS
from sim.ladders import build_ladder, next_noons
from sim.pricing import Underlying, chance_above, fair_values
from tests.sim.traders import NOW_MS

LADDER = build_ladder(1, COINS["BTC"], next_noons(NOW_MS, 1)[0], 87_000.0)


@given(st.floats(60_000, 120_000), st.integers(1, 80_000_000))
def test_fair_values_belong_together(spot_usd, before_ms):
    fairs = fair_values(LADDER, spot_usd, LADDER.expiry_ms - before_ms)
    above, brackets = fairs[:11], fairs[11:]
    assert all(-1e-6 <= fair <= 10_000 + 1e-6 for fair in fairs)
    assert above == sorted(above, reverse=True)
    assert sum(brackets) == pytest.approx(10_000)
    for low in range(1, 10):
        assert brackets[low] == pytest.approx(above[low] - above[low + 1], abs=1e-6)
    assert brackets[-1] == above[-1]


def test_at_the_end_the_values_are_nearly_certain():
    fairs = fair_values(LADDER, LADDER.strikes_e4[5] / 10_000 + 5, LADDER.expiry_ms)
    assert fairs[5] == pytest.approx(10_000)
    assert fairs[6] == pytest.approx(0)
    assert fair_values(LADDER, 87_000, LADDER.expiry_ms + 10**9) == pytest.approx(
        fair_values(LADDER, 87_000, LADDER.expiry_ms)
    )


def test_a_price_at_the_strike_is_nearly_even():
    assert chance_above(100.0, 100.0, 0.02) == pytest.approx(0.496, abs=0.001)
    assert chance_above(101.0, 100.0, 0.02) > 0.6


def test_the_price_moves_with_time_and_only_with_time():
    one = Underlying(100.0, 0.025, Random(1))
    assert one.advance(1000) == 100.0
    assert one.advance(1000) == 100.0
    assert one.advance(500) == 100.0
    assert one.advance(2000) != 100.0


def test_daily_moves_have_the_volatility_asked_for():
    moves = []
    for seed in range(400):
        one = Underlying(100.0, 0.025, Random(seed))
        one.advance(0)
        moves.append(one.advance(86_400_000) / 100.0 - 1)
    mean = sum(moves) / len(moves)
    spread = (sum((move - mean) ** 2 for move in moves) / len(moves)) ** 0.5
    assert 0.022 < spread < 0.028
    assert abs(mean) < 0.005
