"""Units: integers inside, the venue's decimal texts at the edge, and the only conversions between.

| suffix | one unit is | range that can occur |
|---|---|---|
| `price_e4` | $0.0001 | 0 .. 10_000 |
| `size_e6` | one millionth of a share | 0 .. 2**53 |
| `usd_e6` | one millionth of a dollar | 0 .. 2**53 |
| `edge_e8` | $0.00000001 a share | any |
| `rate_e6` | one millionth (a fee rate of 0.07 is 70_000) | 0 .. 1_000_000 |

The texts are the venue's own: plain decimals without sign, exponent, spaces or leading zeros. What
is not exactly that is refused, because a number that is understood differently by two programs is
worse than no number.
"""

import re

PRICE_ONE_E4 = 10_000
SHARE_E6 = 1_000_000
USD_E6 = 1_000_000
SIZE_E6_MAX = 1 << 53
UINT256_MAX = (1 << 256) - 1

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,15})?(?:\.([0-9]{1,18}))?", re.ASCII)
_TOKEN_DIGITS_MAX = 78


class UnitError(ValueError):
    """A text is not the plain decimal that the venue promises, or is out of its range."""


def parse_fixed(text: str, places: int) -> int:
    """Turn a plain decimal into an integer of `places` decimal places; exact or `UnitError`.

    Digits beyond `places` are accepted only when they are zeros.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None or text in {"", "."}:
        raise UnitError(f"not a plain decimal: {text[:40]!r}")
    whole, fraction = match.group(1) or "0", match.group(2) or ""
    kept, beyond = fraction[:places], fraction[places:]
    if beyond.strip("0"):
        raise UnitError(f"more than {places} decimals: {text[:40]!r}")
    return int(whole + kept.ljust(places, "0"))


def parse_price_e4(text: str) -> int:
    """Price text ("0.56", "1", ".48") -> units of $0.0001, 0..10_000; else `UnitError`."""
    price_e4 = parse_fixed(text, 4)
    if price_e4 > PRICE_ONE_E4:
        raise UnitError(f"price above 1: {text[:40]!r}")
    return price_e4


def parse_size_e6(text: str) -> int:
    """Size text ("754020.03", "0") -> micro-shares; else `UnitError`."""
    size_e6 = parse_fixed(text, 6)
    if size_e6 > SIZE_E6_MAX:
        raise UnitError(f"size above 2**53 micro-shares: {text[:40]!r}")
    return size_e6


def format_fixed(value: int, places: int) -> str:
    """Integer of `places` decimals -> the venue's shortest text ("0.1", "17", "754020.03")."""
    if value < 0:
        raise UnitError(f"negative value has no wire form: {value}")
    whole, fraction = divmod(value, 10**places)
    if fraction == 0:
        return str(whole)
    return f"{whole}.{fraction:0{places}d}".rstrip("0")


def format_price(price_e4: int) -> str:
    """`price_e4` -> wire text, for example 1000 -> "0.1"."""
    return format_fixed(price_e4, 4)


def format_size(size_e6: int) -> str:
    """`size_e6` -> wire text, for example 17_000_000 -> "17"."""
    return format_fixed(size_e6, 6)


def parse_token_id(text: str) -> int:
    """Decimal uint256 text -> int; leading zeros, signs and values beyond 256 bits are refused."""
    if not text.isascii() or not text.isdigit() or len(text) > _TOKEN_DIGITS_MAX:
        raise UnitError(f"not a token id: {text[:80]!r}")
    token = int(text)
    if str(token) != text or not 0 < token <= UINT256_MAX:
        raise UnitError(f"not a token id: {text[:80]!r}")
    return token


def format_token(token: bytes) -> str:
    """The 32 bytes of a token id -> its decimal text, as the venue prints it."""
    return str(int.from_bytes(token, "big"))


def ceil_div(numerator: int, denominator: int) -> int:
    """Integer division rounded up; both arguments non-negative, denominator positive."""
    return -(-numerator // denominator)
