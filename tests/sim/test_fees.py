from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.fees import fee_per_share_e8, taker_fee_usd_e6

EXAMPLES = [
    (5000, "1.75"),
    (2500, "1.3125"),
    (7500, "1.3125"),
    (1000, "0.63"),
    (9000, "0.63"),
    (500, "0.3325"),
    (9900, "0.0693"),
]


@pytest.mark.parametrize(("price_e4", "usd"), EXAMPLES)
def test_the_documented_examples_for_a_hundred_shares(price_e4, usd):
    assert taker_fee_usd_e6(100_000_000, price_e4, 70_000) == int(Decimal(usd) * 10**6)


@given(st.integers(1, 10**12), st.integers(1, 9_999), st.integers(1, 10**6))
def test_the_fee_is_the_formula_rounded_half_up_to_five_decimals(size_e6, price_e4, rate_e6):
    price = Decimal(price_e4) / 10**4
    exact = Decimal(size_e6) / 10**6 * Decimal(rate_e6) / 10**6 * price * (1 - price)
    rounded = max(Decimal("0.00001"), exact.quantize(Decimal("0.00001"), ROUND_HALF_UP))
    assert taker_fee_usd_e6(size_e6, price_e4, rate_e6) == int(rounded * 10**6)


def test_nothing_is_charged_where_nothing_is_due():
    assert taker_fee_usd_e6(10**6, 5000, 0) == 0
    assert taker_fee_usd_e6(10**6, 0, 70_000) == 0
    assert taker_fee_usd_e6(10**6, 10_000, 70_000) == 0


@given(st.integers(0, 10_000), st.integers(0, 10**6))
def test_the_fee_of_a_share_is_the_same_formula_rounded_up(price_e4, rate_e6):
    price = Decimal(price_e4) / 10**4
    exact_e8 = Decimal(rate_e6) / 10**6 * price * (1 - price) * 10**8
    assert exact_e8 <= fee_per_share_e8(price_e4, rate_e6) < exact_e8 + 1
