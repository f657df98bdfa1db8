"""Live Gamma's objects: read into listings, and served again with the state of our own market.

Texts, ids and whatever else the live venue says are kept word for word; only what a market's state
decides (open or closed, tick, prices) is ours. A market that cannot be mirrored is served too, as
one that takes no orders, so that nobody counts on a set that is not whole.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from shm.units import UnitError, parse_fixed, parse_price_e4, parse_size_e6, parse_token_id
from sim.coins import Coin
from sim.ladders import ListedEvent, Listing
from sim.market import Facts
from sim.order import Outcome

_RATE_PLACES = 6
_WINNERS: dict[tuple[str, str], Outcome | None] = {
    ("1", "0"): Outcome.YES,
    ("0", "1"): Outcome.NO,
    ("0.5", "0.5"): None,
}


class _Fee(msgspec.Struct):
    rate: Decimal
    exponent: Decimal = Decimal(1)
    takerOnly: bool = True  # noqa: N815  # the venue's spelling


class _Market(msgspec.Struct):
    id: str
    conditionId: str  # noqa: N815
    slug: str
    question: str
    outcomes: str | list[str]
    orderPriceMinTickSize: Decimal  # noqa: N815
    orderMinSize: Decimal  # noqa: N815
    clobTokenIds: str | list[str] = "[]"  # noqa: N815
    positionIds: str | list[str] = "[]"  # noqa: N815
    outcomePrices: str | list[str] = "[]"  # noqa: N815
    version: str | None = None
    groupItemTitle: str | None = None  # noqa: N815
    questionID: str | None = None  # noqa: N815
    negRiskRequestID: str | None = None  # noqa: N815
    negRisk: bool | None = None  # noqa: N815
    active: bool | None = None
    closed: bool | None = None
    archived: bool | None = None
    enableOrderBook: bool | None = None  # noqa: N815
    acceptingOrders: bool | None = None  # noqa: N815
    feesEnabled: bool | None = None  # noqa: N815
    feeSchedule: _Fee | None = None  # noqa: N815
    secondsDelay: int | None = None  # noqa: N815


class _Event(msgspec.Struct):
    id: str
    slug: str
    endDate: str  # noqa: N815
    title: str = ""
    description: str | None = None
    startDate: str | None = None  # noqa: N815
    seriesSlug: str | None = None  # noqa: N815
    negRisk: bool | None = None  # noqa: N815
    negRiskMarketID: str | None = None  # noqa: N815
    markets: list[msgspec.Raw] = []


@dataclass(frozen=True, slots=True)
class Settled:
    """The live venue's word on how a market has ended; without a winner both tokens pay half."""

    winner: Outcome | None


@dataclass(frozen=True, slots=True)
class LiveMarket:
    """One market of the live venue as it is now."""

    listing: Listing
    tick_e4: int
    accepting: bool
    hold_ms: int
    settled: Settled | None


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One event of the live venue; `left_out` says which of its markets cannot be mirrored, why."""

    event: ListedEvent
    markets: tuple[LiveMarket, ...]
    left_out: tuple[str, ...]


def read_event(raw: bytes, coin: Coin) -> LiveEvent:
    """An event of `coin`; `ValueError` when it cannot be read at all."""
    event = msgspec.json.decode(raw, type=_Event)
    markets: list[LiveMarket] = []
    left_out: list[str] = []
    for part in event.markets:
        try:
            markets.append(_market(part))
        except ValueError as error:
            left_out.append(f"{_name_of(part)}: {error}")
    neg_risk_id = (event.negRiskMarketID or "0x") if event.negRisk else ""
    listed = ListedEvent(
        event_id=event.id,
        slug=event.slug,
        title=event.title,
        description=event.description or "",
        series=event.seriesSlug or "",
        coin=coin,
        neg_risk_market_id=neg_risk_id,
        start_ms=time_ms(event.startDate or event.endDate),
        end_ms=time_ms(event.endDate),
        listings=tuple(one.listing for one in markets),
        told=msgspec.json.decode(raw),
    )
    return LiveEvent(listed, tuple(markets), tuple(left_out))


def _market(raw: msgspec.Raw) -> LiveMarket:
    market = msgspec.json.decode(raw, type=_Market)
    version = market.version or "v1"
    tokens = _tokens(market, market.positionIds if version == "v2" else market.clobTokenIds)
    accepting = bool(market.active and market.acceptingOrders and market.enableOrderBook)
    listing = Listing(
        facts=Facts(
            condition_id=market.conditionId,
            tokens=tokens,
            neg_risk=bool(market.negRisk),
            version=version,
            min_size_e6=parse_size_e6(_plain(market.orderMinSize)),
            fee_rate_e6=_rate_e6(market),
            tick_follows_price=False,
        ),
        market_id=market.id,
        question_id=market.questionID or "",
        request_id=market.negRiskRequestID or "",
        slug=market.slug,
        question=market.question,
        title=market.groupItemTitle or "",
        kind="live",
        lower_e4=None,
        upper_e4=None,
        ordinal=0,
        told=msgspec.json.decode(raw),
    )
    tick_e4 = parse_price_e4(_plain(market.orderPriceMinTickSize))
    if not 0 < tick_e4 <= 1_000:
        raise ValueError(f"a tick of {market.orderPriceMinTickSize}")
    return LiveMarket(
        listing=listing,
        tick_e4=tick_e4,
        accepting=accepting and not market.closed and not market.archived,
        hold_ms=1_000 * max(0, market.secondsDelay or 0),
        settled=_settled(market),
    )


def _tokens(market: _Market, ids: str | list[str]) -> tuple[str, str]:
    """(YES, NO); which is which is told by the names of the outcomes."""
    names, tokens = _list_of(market.outcomes), _list_of(ids)
    if sorted(name.lower() for name in names) != ["no", "yes"] or len(tokens) != len(names):
        raise ValueError(f"outcomes {names} with {len(tokens)} tokens")
    by_name = {name.lower(): str(parse_token_id(t)) for name, t in zip(names, tokens, strict=True)}
    return by_name["yes"], by_name["no"]


def _list_of(value: str | list[str]) -> list[str]:
    """Gamma's lists are texts that hold JSON."""
    return msgspec.json.decode(value, type=list[str]) if isinstance(value, str) else value


def _rate_e6(market: _Market) -> int:
    fee = market.feeSchedule
    if not market.feesEnabled:
        return 0
    if fee is None or fee.exponent != 1 or not fee.takerOnly:
        raise ValueError("a fee that is not rate x p x (1 - p) of takers")
    return parse_fixed(_plain(fee.rate), _RATE_PLACES)


def _settled(market: _Market) -> Settled | None:
    if not market.closed:
        return None
    names = [name.lower() for name in _list_of(market.outcomes)]
    prices = dict(zip(names, _list_of(market.outcomePrices), strict=False))
    try:
        pair = tuple(_plain(Decimal(prices[name])) for name in ("yes", "no"))
    except (KeyError, ArithmeticError):
        return None
    return Settled(_WINNERS[pair[0], pair[1]]) if pair in _WINNERS else None


def _plain(value: Decimal) -> str:
    """A decimal without exponent and trailing zeros."""
    if not value.is_finite():
        raise UnitError(f"not a number: {value}")
    return f"{value.normalize():f}"


def _name_of(raw: msgspec.Raw) -> str:
    told = msgspec.json.decode(raw)
    return str(told.get("slug", "a market")) if isinstance(told, dict) else "a market"


def time_ms(text: str) -> int:
    """ISO time, with its zone, as unix milliseconds; `ValueError` otherwise."""
    when = dt.datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"a time without a zone: {text}")
    return round(when.timestamp() * 1000)


# --- served again -------------------------------------------------------------------------------


def event_again(told: Mapping[str, Any], *, accepting: bool) -> dict[str, Any]:
    """The event's own members, its markets left out; closed when none of ours is open."""
    own = {name: value for name, value in told.items() if name != "markets"}
    return own | {"closed": bool(told.get("closed")) or not accepting}


def market_again(told: Mapping[str, Any], ours: Mapping[str, Any], *, over: bool) -> dict[str, Any]:
    """A market's members with `ours` in place of those that its state decides.

    The live venue's last prices count when it has closed the market and ours is not `over` yet.
    """
    closed = bool(told.get("closed"))
    final = {"outcomePrices": told.get("outcomePrices", "[]")} if closed and not over else {}
    return {**told, **ours, **final, "closed": closed or over}


def market_apart(told: Mapping[str, Any]) -> dict[str, Any]:
    """A market that is not mirrored: as told, and taking no orders here."""
    return {**told, "acceptingOrders": False}
