"""The venue's words -> market facts: bounds, tokens, fees and the rule of settlement, or a refusal.

Pure. Whatever is said twice must agree: the bounds in title and question, the tokens by outcome
name, the end of market and ladder. What cannot be read is refused with a reason, never guessed.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b

import msgspec

from desk.gamma import ClobMarket, GammaMarket
from shm.codes import Exchange, MarketKind, MarketState
from shm.layout import Market
from shm.units import UnitError, parse_token_id

OPEN_LOWER = -(1 << 63)
OPEN_UPPER = (1 << 63) - 1
"""Bounds of a market that is open to one side."""

_NUMBER = r"\$?\s*(\d[\d,]*(?:\.\d+)?)\s*(k?)"
_DASH = r"\s*[-\u2013\u2014]\s*"
_QUESTIONS: tuple[tuple[MarketKind, re.Pattern[str]], ...] = (
    (MarketKind.RANGE, re.compile(rf"\bbe between {_NUMBER} and {_NUMBER}(?=\s)", re.IGNORECASE)),
    (MarketKind.ABOVE, re.compile(rf"\bbe above {_NUMBER}(?=\s)", re.IGNORECASE)),
    (MarketKind.BELOW, re.compile(rf"\bbe less than {_NUMBER}(?=\s)", re.IGNORECASE)),
    (MarketKind.TOP, re.compile(rf"\bbe greater than {_NUMBER}(?=\s)", re.IGNORECASE)),
)
_TITLES: tuple[tuple[MarketKind, re.Pattern[str]], ...] = (
    (MarketKind.RANGE, re.compile(rf"\s*{_NUMBER}{_DASH}{_NUMBER}\s*", re.IGNORECASE)),
    (MarketKind.BELOW, re.compile(rf"\s*[<\u2264]\s*{_NUMBER}\s*", re.IGNORECASE)),
    (MarketKind.TOP, re.compile(rf"\s*[>\u2265]\s*{_NUMBER}\s*", re.IGNORECASE)),
    (MarketKind.ABOVE, re.compile(rf"\s*{_NUMBER}\s*", re.IGNORECASE)),
)

_SOURCE = re.compile(r"https?://(?:www\.)?([a-z0-9.-]+)/", re.IGNORECASE)
_PAIR = re.compile(r"\b([A-Z]{2,8}/[A-Z]{3,4})\b")
_CANDLE = re.compile(r"\b(\d+ (?:minute|hour)) candle\b", re.IGNORECASE)
_WORDING = re.compile(r"(closing at )?(\d{1,2}:\d\d) in the ET timezone", re.IGNORECASE)


class Refusal(StrEnum):
    """Why a market is not traded."""

    NOT_TRADABLE = "not open for orders"
    BOUNDS = "bounds in title and question cannot be read or differ"
    TOKENS = "no two tokens named Yes and No"
    END = "ends at another time than its ladder"
    TICK = "unknown tick or minimum size"
    FEE = "unknown fee"
    CONTRACT = "unknown exchange contract"
    IDENTITY = "malformed condition id"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a market is about; micro-dollars, `OPEN_LOWER`/`OPEN_UPPER` where it is open."""

    kind: MarketKind
    lower_usd_e6: int
    upper_usd_e6: int


def _usd_e6(digits: str, suffix: str) -> int:
    value = Decimal(digits.replace(",", "")) * (1000 if suffix.lower() == "k" else 1)
    return int(value * 10**6)


def _bounds(kind: MarketKind, groups: tuple[str, ...]) -> Bounds:
    first = _usd_e6(groups[0], groups[1])
    match kind:
        case MarketKind.RANGE:
            return Bounds(kind, first, _usd_e6(groups[2], groups[3]))
        case MarketKind.BELOW:
            return Bounds(kind, OPEN_LOWER, first)
        case _:
            return Bounds(kind, first, OPEN_UPPER)


def bounds_in_question(question: str) -> Bounds | None:
    """`Will the price of Bitcoin be between $76,000 and $78,000 on May 23?` -> bounds."""
    for kind, pattern in _QUESTIONS:
        found = pattern.search(question)
        if found:
            return _bounds(kind, found.groups())
    return None


def bounds_in_title(title: str) -> Bounds | None:
    """`84,000-86,000`, `<84,000`, `>86,000`, `64,000` -> bounds."""
    for kind, pattern in _TITLES:
        found = pattern.fullmatch(title)
        if found:
            return _bounds(kind, found.groups())
    return None


def fingerprint(description: str, expiry_ms: int) -> int | None:
    """A number that is equal for equal settlement rules; None if the text has no known form.

    Covers source host, pair, candle length, the phrase that says which candle, and the time.
    """
    source, pair = _SOURCE.search(description), _PAIR.search(description)
    candle, wording = _CANDLE.search(description), _WORDING.search(description)
    if not (source and pair and candle and wording) or '"Close"' not in description:
        return None
    rule = "|".join(
        (
            source.group(1).lower(),
            pair.group(1),
            candle.group(1).lower(),
            "closing" if wording.group(1) else "opening",
            wording.group(2),
            str(expiry_ms),
        )
    )
    return int.from_bytes(blake2b(rule.encode(), digest_size=8).digest(), "big")


def group_number(coin: str, expiry_ms: int) -> int:
    """Group of all markets of one coin and expiry."""
    digest = blake2b(f"{coin}|{expiry_ms}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def read_market(
    market: GammaMarket, clob: ClobMarket, coin: str, expiry_ms: int, end: str
) -> Market | Refusal:
    """One market's facts, with row 0 still to be assigned; or the reason to leave it out."""
    open_for_orders = market.active and market.enableOrderBook and market.acceptingOrders
    if not open_for_orders or market.closed or market.archived or not clob.ao:
        return Refusal.NOT_TRADABLE
    bounds = bounds_in_question(market.question)
    if bounds is None or bounds != bounds_in_title(market.groupItemTitle):
        return Refusal.BOUNDS
    if bounds.lower_usd_e6 >= bounds.upper_usd_e6:
        return Refusal.BOUNDS
    tokens = _tokens(market)
    if tokens is None:
        return Refusal.TOKENS
    if market.endDate != end:
        return Refusal.END
    tick_e4, min_size_e6 = _tick_e4(market), _min_size_e6(market)
    if tick_e4 is None or min_size_e6 is None:
        return Refusal.TICK
    fee_rate_e6 = _fee_rate_e6(market, clob)
    if fee_rate_e6 is None:
        return Refusal.FEE
    exchange = _exchange(market)
    if exchange is None:
        return Refusal.CONTRACT
    condition = _condition(market.conditionId)
    if condition is None:
        return Refusal.IDENTITY
    key = int.from_bytes(condition[:8], "big")
    rule = fingerprint(market.description, expiry_ms)
    return Market(
        key=key,
        lower_usd_e6=bounds.lower_usd_e6,
        upper_usd_e6=bounds.upper_usd_e6,
        expiry_ms=expiry_ms,
        min_size_e6=min_size_e6,
        # A rule that cannot be read equals no other: such a market pairs with nothing.
        fingerprint=key if rule is None else rule,
        condition=condition,
        yes_token=tokens[0].to_bytes(32, "big"),
        no_token=tokens[1].to_bytes(32, "big"),
        row=0,
        group=group_number(coin, expiry_ms),
        kind=bounds.kind,
        state=MarketState.ACTIVE,
        exchange=exchange,
        tick_e4=tick_e4,
        fee_rate_e6=fee_rate_e6,
        taker_delay_ms=1 if clob.itode else 0,
        coin=coin.encode(),
        slug=market.slug.encode()[:96],
    )


def _tokens(market: GammaMarket) -> tuple[int, int] | None:
    """(YES, NO) token ids, by the outcomes' names."""
    try:
        ids = msgspec.json.decode(market.clobTokenIds, type=list[str])
        names = msgspec.json.decode(market.outcomes, type=list[str])
        by_name = dict(zip([name.lower() for name in names], ids, strict=True))
        return parse_token_id(by_name["yes"]), parse_token_id(by_name["no"])
    except (msgspec.DecodeError, KeyError, ValueError, UnitError):
        return None


def _tick_e4(market: GammaMarket) -> int | None:
    tick = market.orderPriceMinTickSize
    if tick is None or tick <= 0 or tick * 10_000 % 1:
        return None
    return int(tick * 10_000)


def _min_size_e6(market: GammaMarket) -> int | None:
    size = market.orderMinSize
    return None if size is None or size <= 0 else int(size * 10**6)


def _fee_rate_e6(market: GammaMarket, clob: ClobMarket) -> int | None:
    """Taker fee rate; both sources must say the same where both speak."""
    if market.feesEnabled is None:
        return None
    schedule = market.feeSchedule
    if market.feesEnabled and schedule is None:
        return None
    rate = schedule.rate if market.feesEnabled and schedule else Decimal(0)
    exponents = {schedule.exponent} if market.feesEnabled and schedule else set()
    if clob.fd is not None:
        exponents.add(clob.fd.e)
        if clob.fd.r != rate:
            return None
    if exponents - {Decimal(1)} or not 0 <= rate <= 1 or rate * 10**6 % 1:
        return None
    return int(rate * 10**6)


def _exchange(market: GammaMarket) -> Exchange | None:
    if market.version == "v2":
        return Exchange.POSITION_IDS
    if market.version != "v1" or market.negRisk is None:
        return None
    return Exchange.NEG_RISK if market.negRisk else Exchange.STANDARD


def _condition(text: str) -> bytes | None:
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", text):
        return None
    return bytes.fromhex(text[2:])
