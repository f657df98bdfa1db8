"""Gamma's objects: events and markets as its REST interface writes them (protocol.md F.2).

Lists inside a market are strings that hold JSON. Prices come from the live book; the venue caches
them, so nobody should trade on them.
"""

import datetime as dt
from typing import Any

import msgspec

from shm.units import PRICE_ONE_E4, format_fixed, format_size
from sim.book import PRICE_TEXT
from sim.ladders import NEW_YORK, ListedEvent, Listing
from sim.market import Facts, Market
from sim.order import Outcome, Side, own_price_e4
from sim.replies import number
from sim.retelling import event_again, market_again, market_apart

FEE_TYPE = "crypto_fees_v2"
RESOLVER = "0x65070BE91477460D8A7AeEb94ef92fe056C2f2A7"
_TAGS = (
    ("21", "Crypto", "crypto"),
    ("1312", "Crypto Prices", "crypto-prices"),
    ("101757", "Recurring", "recurring"),
    ("102516", "Multi Strikes", "multi-strikes"),
)
_ENCODE = msgspec.json.encode


def event_object(event: ListedEvent, markets: dict[str, Market]) -> dict[str, Any]:
    """An event with its markets; `markets` by condition id."""
    body = event_head(event, markets)
    if event.told is not None:
        return body | {"markets": _markets_again(event, markets)}
    body["markets"] = [
        market_object(event, listing, markets[listing.facts.condition_id])
        for listing in event.listings
    ]
    body["series"] = [{"id": _series_id(event), "slug": event.series, "ticker": event.series}]
    body["tags"] = [{"id": tag, "label": label, "slug": slug} for tag, label, slug in _TAGS]
    return body


def event_head(event: ListedEvent, markets: dict[str, Market]) -> dict[str, Any]:
    """An event without its markets, as a market embeds it."""
    accepting = is_open(event, markets)
    if event.told is not None:
        return event_again(event.told, accepting=accepting)
    return {
        "id": event.event_id,
        "ticker": event.slug,
        "slug": event.slug,
        "title": event.title,
        "description": event.description,
        "resolutionSource": "",
        "startDate": iso(event.start_ms),
        "creationDate": iso(event.start_ms),
        "endDate": iso(event.end_ms),
        "active": True,
        "closed": not accepting,
        "archived": False,
        "new": False,
        "featured": False,
        "restricted": True,
        "enableOrderBook": True,
        "negRisk": event.neg_risk,
        "enableNegRisk": event.neg_risk,
        "negRiskAugmented": False,
        **({"negRiskMarketID": event.neg_risk_market_id} if event.neg_risk else {}),
        "seriesSlug": event.series,
        "showAllOutcomes": True,
        "automaticallyActive": True,
        "pendingDeployment": False,
        "deploying": False,
    }


def _markets_again(event: ListedEvent, markets: dict[str, Market]) -> list[dict[str, Any]]:
    mirrored = {listing.facts.condition_id: listing for listing in event.listings}
    told: list[dict[str, Any]] = [] if event.told is None else event.told.get("markets", [])
    again = []
    for one in (market for market in told if isinstance(market, dict)):
        listing = mirrored.get(one.get("conditionId", ""))
        if listing is None:
            again.append(market_apart(one))
        else:
            again.append(market_object(event, listing, markets[listing.facts.condition_id]))
    return again


def is_open(event: ListedEvent, markets: dict[str, Market]) -> bool:
    """Whether any market of the event still takes orders."""
    return any(markets[listing.facts.condition_id].accepting for listing in event.listings)


def market_object(event: ListedEvent, listing: Listing, market: Market) -> dict[str, Any]:
    """A market as Gamma writes it."""
    if listing.told is not None:
        ours = {
            "acceptingOrders": market.accepting,
            "orderPriceMinTickSize": number(PRICE_TEXT[market.tick_e4]),
        }
        over = market.payout is not None
        return market_again(listing.told, ours | _prices_of(market), over=over)
    return _texts_of(event, listing) | _flags_of(event, listing, market) | _prices_of(market)


def _texts_of(event: ListedEvent, listing: Listing) -> dict[str, Any]:
    facts = listing.facts
    return {
        "id": listing.market_id,
        "question": listing.question,
        "conditionId": facts.condition_id,
        "slug": listing.slug,
        "resolutionSource": "",
        "startDate": iso(event.start_ms),
        "startDateIso": _new_york_day(event.start_ms),
        "endDate": iso(event.end_ms),
        "endDateIso": _new_york_day(event.end_ms),
        "description": event.description,
        "outcomes": _listed(["Yes", "No"]),
        "clobTokenIds": _listed(list(facts.tokens)),
        "questionID": listing.question_id,
        "groupItemTitle": listing.title,
        "groupItemThreshold": str(listing.ordinal),
        "resolvedBy": RESOLVER,
        "umaBond": "500",
        "umaReward": "2",
        "umaResolutionStatuses": "[]",
        "version": facts.version,
    }


def _flags_of(event: ListedEvent, listing: Listing, market: Market) -> dict[str, Any]:
    facts = market.facts
    neg_risk: dict[str, Any] = {
        "negRisk": facts.neg_risk,
        "negRiskRequestID": listing.request_id,
        "negRiskOther": False,
    }
    if facts.neg_risk:
        neg_risk["negRiskMarketID"] = event.neg_risk_market_id
    return neg_risk | {
        "active": True,
        "closed": not market.accepting,
        "archived": False,
        "restricted": True,
        "enableOrderBook": True,
        "acceptingOrders": market.accepting,
        "acceptingOrdersTimestamp": iso(event.start_ms),
        "clearBookOnStart": True,
        "automaticallyActive": True,
        "orderPriceMinTickSize": number(PRICE_TEXT[market.tick_e4]),
        "orderMinSize": number(format_size(facts.min_size_e6)),
        "secondsDelay": 0,
        "feesEnabled": facts.fee_rate_e6 > 0,
        "feeType": FEE_TYPE if facts.fee_rate_e6 else None,
        "feeSchedule": fee_schedule(facts.fee_rate_e6),
        "rewardsMinSize": 50,
        "rewardsMaxSpread": number("4.5"),
        "rfqEnabled": False,
    }


def fee_schedule(rate_e6: int) -> dict[str, Any]:
    """Gamma's fee object."""
    return {
        "exponent": 1,
        "rate": number(format_fixed(rate_e6, 6)),
        "takerOnly": True,
        "rebateRate": number("0.2"),
    }


def _prices_of(market: Market) -> dict[str, Any]:
    bid, ask = market.best_texts(Outcome.YES)
    last = market.last_trade
    middle_e5 = _middle_e5(market)
    prices = [format_fixed(price, 5) for price in (middle_e5, 100_000 - middle_e5)]
    if market.payout is not None:
        prices = list(market.payout)
    body: dict[str, Any] = {
        "bestBid": number(bid),
        "bestAsk": number(ask),
        "spread": number(PRICE_TEXT[market.spread_e4(Outcome.YES)]),
        "outcomePrices": _listed(prices),
    }
    if last is not None:
        body["lastTradePrice"] = number(PRICE_TEXT[own_price_e4(last.outcome, last.price_e4)])
    return body


def _middle_e5(market: Market) -> int:
    bid = market.book.best_e4(Side.BUY)
    ask = market.book.best_e4(Side.SELL)
    return 5 * ((0 if bid is None else bid) + (PRICE_ONE_E4 if ask is None else ask))


def new_market_text(event: ListedEvent, listing: Listing, tick_e4: int, now_ms: int) -> str:
    """The `new_market` frame; the venue writes it compact."""
    tokens = list(listing.facts.tokens)
    body = {
        "id": listing.market_id,
        "question": listing.question,
        "market": listing.facts.condition_id,
        "slug": listing.slug,
        "description": event.description,
        "assets_ids": tokens,
        "outcomes": ["Yes", "No"],
        "event_message": {
            "id": event.event_id,
            "ticker": event.slug,
            "slug": event.slug,
            "title": event.title,
            "description": event.description,
        },
        "timestamp": str(now_ms),
        "event_type": "new_market",
        "tags": [],
        "condition_id": listing.facts.condition_id,
        "active": True,
        "clob_token_ids": tokens,
        "sports_market_type": "",
        "line": "",
        "game_start_time": "",
        "order_price_min_tick_size": PRICE_TEXT[tick_e4],
        "group_item_title": listing.title,
        "taker_base_fee": "1000",
        "fees_enabled": listing.facts.fee_rate_e6 > 0,
        "fee_schedule": {
            "exponent": "1",
            "rate": format_fixed(listing.facts.fee_rate_e6, 6),
            "taker_only": True,
            "rebate_rate": "0.2",
        },
    }
    return _ENCODE(body).decode()


def market_resolved_text(market_id: str, facts: Facts, winner: Outcome | None, now_ms: int) -> str:
    """The `market_resolved` frame; without a winner both tokens pay half."""
    body = {
        "id": market_id,
        "market": facts.condition_id,
        "assets_ids": list(facts.tokens),
        "winning_asset_id": "" if winner is None else facts.tokens[winner],
        "winning_outcome": "" if winner is None else ("Yes", "No")[winner],
        "timestamp": str(now_ms),
        "event_type": "market_resolved",
        "tags": [],
    }
    return _ENCODE(body).decode()


def iso(unix_ms: int) -> str:
    """ISO time with Z."""
    when = dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _new_york_day(unix_ms: int) -> str:
    return dt.datetime.fromtimestamp(unix_ms / 1000, NEW_YORK).date().isoformat()


def _series_id(event: ListedEvent) -> str:
    return str(10_000 + sum(event.series.encode()))


def _listed(items: list[str]) -> str:
    # The venue puts a space after the comma inside these strings.
    return "[" + ", ".join(_ENCODE(item).decode() for item in items) + "]"
