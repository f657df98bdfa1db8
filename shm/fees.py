"""Fees: what the venue charges a taker, in integers, rounded against us.

Rule (the venue's fee page, read per market from its fee schedule): a taker pays
`shares * rate * price * (1 - price)` dollars on top of a purchase or out of a sale, rounded to
five decimals, at least 0.00001 when the rate is not zero; a maker pays nothing. Every schedule seen
so far has exponent 1; a market with another exponent is not tradable here (discovery refuses it).

Two questions, two functions: `fee_table_e8` answers "what does one more share cost at this price"
for the hot path, exact in units of 1e-8 dollars where the venue's prices are multiples of 0.001
and the rate of 0.01, rounded up otherwise; `fill_fee_usd_e6` answers "what was this fill charged".
"""

from functools import lru_cache

from shm.units import PRICE_ONE_E4, ceil_div

FILLS_PER_ORDER = 16
"""An order may fill in pieces, each rounded for itself: what is reserved allows for this many."""

FEE_QUANTUM_USD_E6 = 10
"""The venue charges multiples of 0.00001 dollars."""


def share_fee_e8(rate_e6: int, price_e4: int) -> int:
    """Fee of one share in units of 1e-8 dollars, rounded up.

    rate * p * (1-p) = rate_e6 * p4 * (10_000 - p4) * 1e-14 dollars = ... / 10**6 units of 1e-8.
    """
    return ceil_div(rate_e6 * price_e4 * (PRICE_ONE_E4 - price_e4), 10**6)


@lru_cache(maxsize=64)
def fee_table_e8(rate_e6: int) -> tuple[int, ...]:
    """`share_fee_e8` for every price 0..10_000; one table per fee class."""
    return tuple(share_fee_e8(rate_e6, price_e4) for price_e4 in range(PRICE_ONE_E4 + 1))


def fill_fee_usd_e6(rate_e6: int, price_e4: int, size_e6: int) -> int:
    """Fee that the venue charges a taker for one fill, in micro-dollars (multiples of 10).

    Rounded half up to five decimals and never below one quantum, as documented by the venue.
    """
    if rate_e6 == 0 or size_e6 == 0:
        return 0
    # size_e6 * rate_e6 * p4 * (10_000 - p4) is in units of 1e-20 dollars; a quantum is 1e-5.
    raw_e20 = size_e6 * rate_e6 * price_e4 * (PRICE_ONE_E4 - price_e4)
    quanta = (raw_e20 + 5 * 10**14) // 10**15
    return max(1, quanta) * FEE_QUANTUM_USD_E6


def fill_fee_bound_usd_e6(rate_e6: int, price_e4: int, size_e6: int, fills: int) -> int:
    """Upper bound of the fee when an order fills in up to `fills` pieces at `price_e4`.

    Each piece can be rounded up by at most one quantum; used to reserve cash before sending.
    """
    if rate_e6 == 0:
        return 0
    raw_e20 = size_e6 * rate_e6 * price_e4 * (PRICE_ONE_E4 - price_e4)
    return (ceil_div(raw_e20, 10**15) + fills) * FEE_QUANTUM_USD_E6
