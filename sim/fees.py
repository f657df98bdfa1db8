"""The taker fee (protocol.md E): size x rate x p x (1 - p), to five decimals, half up.

Written from the specification, apart from the project's own fee tables, so that the two check each
other. Makers pay nothing.
"""

from shm.units import PRICE_ONE_E4

FEE_UNIT_USD_E6 = 10
"""The venue rounds to $0.00001, and charges at least that once a fee is due."""

# size_e6 x rate_e6 x p_e4 x (1-p)_e4 carries 20 decimals; five are kept.
_DROPPED = 10**15


def taker_fee_usd_e6(size_e6: int, price_e4: int, rate_e6: int) -> int:
    """Fee of one trade in micro-dollars; zero only when the rate, the price or the size is."""
    exact = size_e6 * rate_e6 * price_e4 * (PRICE_ONE_E4 - price_e4)
    if exact == 0:
        return 0
    return max(1, (2 * exact + _DROPPED) // (2 * _DROPPED)) * FEE_UNIT_USD_E6


def fee_per_share_e8(price_e4: int, rate_e6: int) -> int:
    """Unrounded fee of one share in units of $0.00000001, rounded up."""
    return -(-price_e4 * (PRICE_ONE_E4 - price_e4) * rate_e6 // 10**6)
