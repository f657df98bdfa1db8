"""Gamma's listing endpoints: events and markets (protocol.md F.1)."""

from collections.abc import Iterable, Iterator
from typing import Any

from sim.catalog import Listed
from sim.gamma import event_head, event_object, is_open, market_object
from sim.ladders import ListedEvent
from sim.limits import GAMMA_PAGE_ROWS, MAX_CONDITION_IDS
from sim.replies import INVALID_PARAMETER, Reply
from sim.rest_account import decode_cursor, encode_cursor
from sim.venue import Call, Route, Venue

_CLOSED = {"": False, "false": False, "true": True}


def _missing(what: str) -> Reply:
    return Reply({"type": "not found error", "error": f"{what} not found"}, 404)


def _unprocessable(name: str) -> Reply:
    text = INVALID_PARAMETER.format(name=name)
    return Reply({"type": "validation error", "error": text}, 422)


def _event(venue: Venue, event: ListedEvent) -> dict[str, Any]:
    return event_object(event, venue.exchange.floor.markets)


def _market(venue: Venue, listed: Listed) -> dict[str, Any]:
    event, listing = listed
    markets = venue.exchange.floor.markets
    body = market_object(event, listing, markets[listing.facts.condition_id])
    return body | {"events": [event_head(event, markets)]}


def events(venue: Venue, call: Call) -> Reply:
    """GET /events, by slug if one is given; closed ones only on request."""
    slugs = call.query.get("slug", [])
    if slugs:
        named = [venue.catalog.event_by_slug.get(slug) for slug in slugs]
        return Reply([_event(venue, event) for event in named if event is not None])
    chosen = _wanted_events(venue, call)
    if chosen is None:
        return _unprocessable("closed")
    return Reply([_event(venue, event) for event in chosen[: _limit(call)]])


def event_by_slug(venue: Venue, call: Call) -> Reply:
    """GET /events/slug/{slug}."""
    event = venue.catalog.event_by_slug.get(call.path["slug"])
    return Reply(_event(venue, event)) if event is not None else _missing("slug")


def event_by_id(venue: Venue, call: Call) -> Reply:
    """GET /events/{id}."""
    event = venue.catalog.events.get(call.path["id"])
    return Reply(_event(venue, event)) if event is not None else _missing("id")


def events_keyset(venue: Venue, call: Call) -> Reply:
    """GET /events/keyset: pages by cursor; `offset` is refused."""
    chosen = _wanted_events(venue, call)
    if chosen is None or "offset" in call.query:
        return _unprocessable("offset" if chosen is not None else "closed")
    return _keyset(call, "events", [(event, None) for event in chosen], venue)


def markets(venue: Venue, call: Call) -> Reply:
    """GET /markets, by slug or by condition ids; closed ones only on request or by name."""
    slugs, ids = call.query.get("slug", []), call.query.get("condition_ids", [])
    if len(ids) > MAX_CONDITION_IDS:
        return _unprocessable("condition_ids")
    if slugs or ids:
        found = [venue.catalog.market_by_slug.get(slug) for slug in slugs]
        found += [venue.catalog.market_by_condition.get(one) for one in ids]
        return Reply([_market(venue, listed) for listed in found if listed is not None])
    chosen = _wanted_events(venue, call)
    if chosen is None:
        return _unprocessable("closed")
    rows = list(_listed(chosen))
    return Reply([_market(venue, listed) for listed in rows[: _limit(call)]])


def market_by_slug(venue: Venue, call: Call) -> Reply:
    """GET /markets/slug/{slug}."""
    listed = venue.catalog.market_by_slug.get(call.path["slug"])
    return Reply(_market(venue, listed)) if listed is not None else _missing("slug")


def market_by_id(venue: Venue, call: Call) -> Reply:
    """GET /markets/{id}."""
    listed = venue.catalog.markets.get(call.path["id"])
    return Reply(_market(venue, listed)) if listed is not None else _missing("id")


def markets_keyset(venue: Venue, call: Call) -> Reply:
    """GET /markets/keyset: pages by cursor; `offset` is refused."""
    chosen = _wanted_events(venue, call)
    if chosen is None or "offset" in call.query:
        return _unprocessable("offset" if chosen is not None else "closed")
    return _keyset(call, "markets", list(_listed(chosen)), venue)


def _keyset(call: Call, name: str, rows: list[Any], venue: Venue) -> Reply:
    cursor = call.one("after_cursor")
    start = decode_cursor(cursor) if cursor else 0
    if start is None or start < 0:
        return _unprocessable("after_cursor")
    limit = _limit(call)
    page = rows[start : start + limit]
    if name == "events":
        body: dict[str, Any] = {name: [_event(venue, event) for event, _ in page]}
    else:
        body = {name: [_market(venue, listed) for listed in page]}
    if start + limit < len(rows):
        body["next_cursor"] = encode_cursor(start + limit)
    return Reply(body)


def _wanted_events(venue: Venue, call: Call) -> list[ListedEvent] | None:
    closed = _CLOSED.get(call.one("closed"))
    if closed is None:
        return None
    books = venue.exchange.floor.markets
    return [event for event in venue.catalog.events.values() if is_open(event, books) != closed]


def _listed(chosen: Iterable[ListedEvent]) -> Iterator[Listed]:
    for event in chosen:
        for listing in event.listings:
            yield event, listing


def _limit(call: Call) -> int:
    text = call.one("limit")
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else GAMMA_PAGE_ROWS
    return max(1, min(wanted, GAMMA_PAGE_ROWS))


ROUTES = (
    Route("GET", "/events", events),
    Route("GET", "/events/keyset", events_keyset),
    Route("GET", "/events/slug/{slug}", event_by_slug),
    Route("GET", "/events/{id}", event_by_id),
    Route("GET", "/markets", markets),
    Route("GET", "/markets/keyset", markets_keyset),
    Route("GET", "/markets/slug/{slug}", market_by_slug),
    Route("GET", "/markets/{id}", market_by_id),
)
