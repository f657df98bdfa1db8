"""What the venue refuses before it looks at any order: regions, the engine's mode, rate limits."""

from typing import Any

import msgspec

from sim import replies
from sim.modes import NO_CANCELS, REFUSALS, Mode
from sim.replies import Reply, refused
from sim.venue import Call, Errand, Route, Venue
from sim.wire import parse_batch

_BATCH_PATHS = frozenset({"/orders"})
_COSTS_WHAT_IT_CANCELS = frozenset({"/cancel-all", "/cancel-market-orders"})


def mode_refusal(venue: Venue, now_ms: int) -> Reply:
    """How a new order is refused in the engine's present mode."""
    engine = venue.exchange.engine
    mode = engine.mode(now_ms)
    status, text = REFUSALS[mode]
    if mode is not Mode.POST_ONLY:
        return refused(text, status)
    left_s = engine.left_s(now_ms)
    body = {"error": text, "code": "post_only_mode", "retry_after_seconds": left_s}
    return Reply(body, status, headers={"Retry-After": str(left_s)})


def admit(venue: Venue, route: Route, call: Call) -> tuple[Reply | None, dict[str, str]]:
    """(refusal or None, headers of the rate limits) of a request that has proved who it is."""
    placing = route.errand is Errand.PLACING
    if not placing and route.errand is not Errand.CANCELLING:
        return None, {}
    exchange = venue.exchange
    if placing and exchange.engine.geoblocked:
        return refused(replies.GEOBLOCKED, 403), {}
    mode = exchange.engine.mode(call.now_ms)
    if _refuses(venue, mode, route, call):
        return mode_refusal(venue, call.now_ms), {}
    kind = "orders" if placing else "cancels"
    allowed, headers = exchange.rates.take(
        call.owner().address, kind, _tokens(route, call), call.now_ms
    )
    if allowed:
        return None, headers
    return refused(replies.THROTTLED, 429), headers


def charge(venue: Venue, route: Route, call: Call, reply: Reply) -> dict[str, str]:
    """Headers after a cancel of everything has been charged for each order that it cancelled."""
    if route.path not in _COSTS_WHAT_IT_CANCELS or reply.status != 200:
        return {}
    count = len(reply.body["canceled"])
    return venue.exchange.rates.spend(call.owner().address, "cancels", count, call.now_ms)


def _refuses(venue: Venue, mode: Mode, route: Route, call: Call) -> bool:
    if mode is Mode.NORMAL:
        return False
    if route.errand is Errand.CANCELLING:
        return mode in NO_CANCELS
    if mode is not Mode.POST_ONLY:
        return True
    # Usually it is for the orders themselves to be refused, each for itself.
    whole = venue.exchange.engine.whole_batches and route.path in _BATCH_PATHS
    return whole and not all(_is_post_only(raw) for raw in parse_batch(call.body) or [])


def _is_post_only(raw: msgspec.Raw) -> bool:
    try:
        body: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(body, dict) and body.get("postOnly") is True


def _tokens(route: Route, call: Call) -> int:
    """What a request costs: a batch its number of elements, all or nothing."""
    if route.path != "/orders":
        return 1
    return max(1, len(parse_batch(call.body) or []))
