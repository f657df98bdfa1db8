"""Which numbers of shares the venue takes of a fill-or-kill purchase, at a price. Integers only.

A fill-or-kill order must cost whole cents at its limit price, so a leg at 0.053 is bought in tens
of shares; all legs of a basket buy the same number, a multiple of every leg's step. An order that
can fill at once must be worth a dollar, and a market has a least size. Rules: docs/venue.md
"Amounts".
"""

from collections.abc import Sequence
from math import gcd, lcm

from shm.units import PRICE_ONE_E4, SHARE_E6, ceil_div

MONEY_GRID_E4 = 100
"""The dollars of a fill-or-kill purchase must be whole cents."""


def share_step(price_e4: int) -> int:
    """Fewest whole shares whose cost at this price is whole cents; multiples of it are too."""
    return MONEY_GRID_E4 // gcd(price_e4, MONEY_GRID_E4)


def basket_step(prices_e4: Sequence[int]) -> int:
    """Fewest whole shares that are on the grid of every leg, since all legs buy the same number."""
    return lcm(*(share_step(price_e4) for price_e4 in prices_e4))


def least_shares(price_e4: int, min_size_e6: int) -> int:
    """Fewest whole shares that the venue takes of a leg at a limit price: its minimum, and $1."""
    return max(ceil_div(PRICE_ONE_E4, price_e4), ceil_div(min_size_e6, SHARE_E6))
