"""Prices and sizes -> the two integers of an order, by the venue's rounding rules, exactly.

All arithmetic is on integers or exact fractions: binary floats lose a hundredth of a share on
6 % of sizes. Rules: docs/venue.md "Amounts". Which numbers of shares may be ordered at all stands
in shm/grid.py.
"""

from fractions import Fraction

from shm.codes import Side
from shm.units import PRICE_ONE_E4, SHARE_E6

_SIZE_DECIMALS = 2
_SHARE_GRID_E6 = 10_000
_AMOUNT_DECIMALS = {1000: 3, 100: 4, 50: 5, 25: 6, 10: 5, 1: 6}
"""By tick in $0.0001: decimals that the computed side of a limit order may have."""

TICKS_E4 = frozenset(_AMOUNT_DECIMALS)
"""Every tick that the venue has."""

_EXTRA_DECIMALS = 4


def limit_amounts(side: Side, price_e4: int, size_e6: int, tick_e4: int) -> tuple[int, int]:
    """(makerAmount, takerAmount) of a limit order: shares floored to hundredths, money exact.

    A price on its tick needs none of the official rounding: hundredths of shares times units of
    $0.0001 are micro-dollars.
    """
    assert price_e4 % tick_e4 == 0, f"price {price_e4} is not on the tick {tick_e4}"
    hundredths = size_e6 // _SHARE_GRID_E6
    money, shares = hundredths * price_e4, hundredths * _SHARE_GRID_E6
    return (money, shares) if side is Side.BUY else (shares, money)


def market_amounts(side: Side, price_e4: int, amount_e6: int, tick_e4: int) -> tuple[int, int]:
    """(makerAmount, takerAmount) of a market order: BUY gives dollars, SELL gives shares."""
    given = _floor(Fraction(amount_e6, SHARE_E6), _SIZE_DECIMALS)
    price = Fraction(price_e4, PRICE_ONE_E4)
    got = given / price if side is Side.BUY else given * price
    return _base_units(given), _base_units(_fit(got, _AMOUNT_DECIMALS[tick_e4]))


def _base_units(value: Fraction) -> int:
    scaled = value * SHARE_E6
    assert scaled.denominator == 1, f"{value} is finer than a base unit"
    return scaled.numerator


def _floor(value: Fraction, decimals: int) -> Fraction:
    return Fraction(value.numerator * 10**decimals // value.denominator, 10**decimals)


def _ceil(value: Fraction, decimals: int) -> Fraction:
    return Fraction(-(-value.numerator * 10**decimals // value.denominator), 10**decimals)


def _has_decimals(value: Fraction, decimals: int) -> bool:
    return bool(10**decimals % value.denominator == 0)


def _fit(value: Fraction, decimals: int) -> Fraction:
    """The official rule: if too long, round up four digits further on; if still too long, cut."""
    if _has_decimals(value, decimals):
        return value
    rounded = _ceil(value, decimals + _EXTRA_DECIMALS)
    return rounded if _has_decimals(rounded, decimals) else _floor(rounded, decimals)


def cost_usd_e6(price_e4: int, size_e6: int) -> int:
    """Dollars of `size_e6` at a price, rounded up (exact for sizes of two decimals)."""
    return -(-price_e4 * size_e6 // PRICE_ONE_E4)
