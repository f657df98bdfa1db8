"""Public market data of the CLOB (protocol.md C.6)."""

from collections.abc import Callable
from typing import Any

import msgspec

from shm.units import PRICE_ONE_E4, format_fixed, format_size
from sim import replies
from sim.book import PRICE_TEXT
from sim.gamma import iso
from sim.limits import MAX_BOOKS_REQUEST
from sim.market import Market
from sim.order import Outcome, Side, own_price_e4
from sim.replies import Reply, number, refused
from sim.venue import Call, Route, Venue

LEGACY_FEE_BPS = 1000

Answer = Callable[[Call, Market, Outcome], Reply]


class _Token(msgspec.Struct):
    token_id: str


def _for_token(answer: Answer) -> Callable[[Venue, Call], Reply]:
    """A handler that looks up the market of `token_id` first."""

    def handler(venue: Venue, call: Call) -> Reply:
        token = call.one("token_id")
        if not token:
            return refused(replies.INVALID_TOKEN)
        found = venue.exchange.open_market(token)
        if found is None:
            return refused(replies.NO_BOOK, 404)
        return answer(call, *found)

    return handler


def _book(_call: Call, market: Market, outcome: Outcome) -> Reply:
    return Reply(msgspec.Raw(market.rest_book(outcome).encode()))


def books(venue: Venue, call: Call) -> Reply:
    """POST /books; tokens without a book are left out."""
    try:
        wanted = msgspec.json.decode(call.body, type=list[_Token])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return refused(replies.INVALID_PAYLOAD)
    if len(wanted) > MAX_BOOKS_REQUEST:
        return refused(replies.PAYLOAD_LIMIT)
    found = [venue.exchange.open_market(one.token_id) for one in wanted]
    texts = [pair[0].rest_book(pair[1]) for pair in found if pair is not None]
    return Reply([msgspec.Raw(text.encode()) for text in texts])


def _price(call: Call, market: Market, outcome: Outcome) -> Reply:
    # Recorded: BUY asks for the best bid and SELL for the best ask.
    best_bid, best_ask = market.best_texts(outcome)
    by_side = {"BUY": best_bid, "SELL": best_ask}
    side = call.one("side").upper()
    return Reply({"price": by_side[side]}) if side in by_side else refused(replies.INVALID_SIDE)


def _midpoint(_call: Call, market: Market, outcome: Outcome) -> Reply:
    bid_e4 = market.book.best_of(outcome, Side.BUY) or 0
    ask_e4 = market.book.best_of(outcome, Side.SELL)
    middle_e5 = 5 * (bid_e4 + (PRICE_ONE_E4 if ask_e4 is None else ask_e4))
    return Reply({"mid": format_fixed(middle_e5, 5)})


def _spread(_call: Call, market: Market, outcome: Outcome) -> Reply:
    return Reply({"spread": PRICE_TEXT[market.spread_e4(outcome)]})


def _tick_size(_call: Call, market: Market, _outcome: Outcome) -> Reply:
    return Reply({"minimum_tick_size": number(PRICE_TEXT[market.tick_e4])})


def _neg_risk(_call: Call, market: Market, _outcome: Outcome) -> Reply:
    return Reply({"neg_risk": market.facts.neg_risk})


def _fee_rate(_call: Call, _market: Market, _outcome: Outcome) -> Reply:
    return Reply({"base_fee": LEGACY_FEE_BPS})


def _last_trade(_call: Call, market: Market, outcome: Outcome) -> Reply:
    last = market.last_trade
    if last is None:
        return Reply({"price": "0.5", "side": ""})
    yes_e4 = own_price_e4(last.outcome, last.price_e4)
    return Reply({"price": PRICE_TEXT[own_price_e4(outcome, yes_e4)], "side": str(last.side)})


def market_by_token(venue: Venue, call: Call) -> Reply:
    """GET /markets-by-token/{token_id}."""
    found = venue.exchange.by_token.get(call.path["token_id"])
    if found is None:
        return refused(replies.NO_MARKET)
    facts = found[0].facts
    return Reply(
        {
            "condition_id": facts.condition_id,
            "primary_token_id": facts.tokens[Outcome.YES],
            "secondary_token_id": facts.tokens[Outcome.NO],
        }
    )


def clob_market(venue: Venue, call: Call) -> Reply:
    """GET /clob-markets/{condition_id}: the compact record; false flags are left out."""
    condition_id = call.path["condition_id"]
    market = venue.exchange.floor.markets.get(condition_id)
    if market is None:
        return refused(replies.NO_MARKET)
    facts = market.facts
    body: dict[str, Any] = {
        "r": {"mi": 50, "ma": number("4.5")},
        "t": [
            {"t": token, "o": name} for token, name in zip(facts.tokens, ("Yes", "No"), strict=True)
        ],
        "c": facts.condition_id,
        "mos": number(format_size(facts.min_size_e6)),
        "mts": number(PRICE_TEXT[market.tick_e4]),
        "mbf": LEGACY_FEE_BPS,
        "tbf": LEGACY_FEE_BPS,
        "ao": market.accepting,
        "cbos": True,
        "ibce": True,
        "fd": {"r": number(format_fixed(facts.fee_rate_e6, 6)), "e": 1, "to": True},
        "v": facts.version,
    }
    if facts.neg_risk:
        body["nr"] = True
    if market.hold_ms:
        body["itode"] = True
    listed = venue.catalog.market_by_condition.get(condition_id)
    if listed is not None:
        body["aot"] = iso(listed[0].start_ms)
    return Reply(body)


def time_s(venue: Venue, call: Call) -> Reply:
    """GET /time: unix seconds."""
    return Reply((call.now_ms + venue.skew_ms) // 1000)


def ok(_venue: Venue, _call: Call) -> Reply:
    """GET /ok."""
    return Reply("OK")


def version(_venue: Venue, _call: Call) -> Reply:
    """GET /version."""
    return Reply({"version": 2})


ROUTES = (
    Route("GET", "/book", _for_token(_book)),
    Route("POST", "/books", books),
    Route("GET", "/price", _for_token(_price)),
    Route("GET", "/midpoint", _for_token(_midpoint)),
    Route("GET", "/spread", _for_token(_spread)),
    Route("GET", "/tick-size", _for_token(_tick_size)),
    Route("GET", "/neg-risk", _for_token(_neg_risk)),
    Route("GET", "/fee-rate", _for_token(_fee_rate)),
    Route("GET", "/last-trade-price", _for_token(_last_trade)),
    Route("GET", "/markets-by-token/{token_id}", market_by_token),
    Route("GET", "/clob-markets/{condition_id}", clob_market),
    Route("GET", "/time", time_s),
    Route("GET", "/ok", ok),
    Route("GET", "/version", version),
)
