"""Fees: the venue's rule, against Decimal arithmetic."""

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from hypothesis import given
from hypothesis import strategies as st

from shm import fees

RATES = st.sampled_from([0, 40_000, 50_000, 70_000, 72_000])
PRICES = st.integers(0, 10_000)
SIZES = st.integers(1, 10**12)


def exact(rate_e6, price_e4, size_e6=1_000_000):
    price = Decimal(price_e4) / 10_000
    return Decimal(size_e6) / 10**6 * Decimal(rate_e6) / 10**6 * price * (1 - price)


@given(RATES, PRICES)
def test_the_fee_of_a_share_is_the_exact_fee_rounded_up_to_1e_8(rate_e6, price_e4):
    fee = exact(rate_e6, price_e4) * 10**8
    assert fees.share_fee_e8(rate_e6, price_e4) == int(fee.to_integral_value(ROUND_CEILING))


@given(PRICES.map(lambda p: p // 10 * 10))
def test_at_the_venues_prices_and_rate_the_share_fee_is_exact(price_e4):
    assert fees.share_fee_e8(70_000, price_e4) == exact(70_000, price_e4) * 10**8


@given(RATES, PRICES, SIZES)
def test_a_fill_is_charged_five_decimals_half_up_and_at_least_one_unit(rate_e6, price_e4, size_e6):
    charged = fees.fill_fee_usd_e6(rate_e6, price_e4, size_e6)
    rounded = exact(rate_e6, price_e4, size_e6).quantize(Decimal("0.00001"), ROUND_HALF_UP)
    if rate_e6:
        rounded = max(rounded, Decimal("0.00001"))
    assert Decimal(charged) / 10**6 == rounded


def test_the_documented_examples_hold():
    cents = {5_000: 1_750_000, 2_500: 1_312_500, 1_000: 630_000, 500: 332_500, 9_900: 69_300}
    for price_e4, fee_usd_e6 in cents.items():
        assert fees.fill_fee_usd_e6(70_000, price_e4, 100_000_000) == fee_usd_e6


@given(RATES, PRICES, st.lists(SIZES, min_size=1, max_size=6))
def test_the_bound_covers_an_order_that_fills_in_pieces(rate_e6, price_e4, pieces):
    charged = sum(fees.fill_fee_usd_e6(rate_e6, price_e4, piece) for piece in pieces)
    bound = fees.fill_fee_bound_usd_e6(rate_e6, price_e4, sum(pieces), len(pieces))
    assert charged <= bound


def test_the_table_is_the_function():
    table = fees.fee_table_e8(70_000)
    assert len(table) == 10_001
    assert all(table[p] == fees.share_fee_e8(70_000, p) for p in range(0, 10_001, 37))
