import json

import msgspec
import pytest

from sim.rest_gamma import ROUTES
from sim.venue import Call, Venue
from tests.sim.generated import T0, generated

HANDLERS = {route.path: route.handler for route in ROUTES}


@pytest.fixture(scope="module")
def venue():
    generator, _ = generated(seed=1, coins=("BTC", "ETH"), days=2)
    return Venue(generator.exchange, generator.catalog, generator, T0)


def ask(venue, path, parts=None, **query):
    lists = {k: v if isinstance(v, list) else [v] for k, v in query.items()}
    reply = HANDLERS[path](venue, Call(b"", parts or {}, lists, T0))
    return reply.status, json.loads(msgspec.json.encode(reply.body))


def test_an_event_is_found_by_slug_and_id_in_every_form(venue):
    slug = "bitcoin-above-on-november-23-2026"
    status, found = ask(venue, "/events", slug=slug)
    assert status == 200
    (event,) = found
    assert event["slug"] == slug
    assert ask(venue, "/events/slug/{slug}", {"slug": slug})[1] == event
    assert ask(venue, "/events/{id}", {"id": event["id"]})[1] == event
    assert ask(venue, "/events", slug="nothing") == (200, [])
    assert ask(venue, "/events/slug/{slug}", {"slug": "nothing"})[0] == 404
    assert ask(venue, "/events/{id}", {"id": "1"})[0] == 404


def test_a_market_is_found_by_slug_id_and_condition(venue):
    event = ask(venue, "/events", slug="ethereum-price-on-november-24-2026")[1][0]
    market = event["markets"][4]
    forms = [
        ask(venue, "/markets", slug=market["slug"])[1][0],
        ask(venue, "/markets", condition_ids=market["conditionId"])[1][0],
        ask(venue, "/markets/slug/{slug}", {"slug": market["slug"]})[1],
        ask(venue, "/markets/{id}", {"id": market["id"]})[1],
    ]
    for form in forms:
        assert form["events"][0]["slug"] == event["slug"]
        assert {key: form[key] for key in market} == market
    several = [one["conditionId"] for one in event["markets"]]
    found = ask(venue, "/markets", condition_ids=several)[1]
    assert [one["conditionId"] for one in found] == several
    assert ask(venue, "/markets", condition_ids=["0x"] * 101)[0] == 422
    assert ask(venue, "/markets/slug/{slug}", {"slug": "x"})[0] == 404
    assert ask(venue, "/markets/{id}", {"id": "x"})[0] == 404


@pytest.mark.parametrize(("name", "total"), [("events", 8), ("markets", 88)])
def test_keyset_pages_visit_everything_once(venue, name, total):
    seen, cursor, pages = [], "", 0
    while True:
        status, body = ask(venue, f"/{name}/keyset", limit="3", after_cursor=cursor)
        assert status == 200
        seen += [one["id"] for one in body[name]]
        pages += 1
        if "next_cursor" not in body:
            break
        assert len(body[name]) == 3
        cursor = body["next_cursor"]
    assert len(seen) == len(set(seen)) == total
    assert pages == -(-total // 3)


def test_offsets_and_other_nonsense_are_unprocessable(venue):
    for name in ("events", "markets"):
        assert ask(venue, f"/{name}/keyset", offset="5")[0] == 422
        assert ask(venue, f"/{name}/keyset", after_cursor="?")[0] == 422
        assert ask(venue, f"/{name}", closed="maybe")[0] == 422
        assert ask(venue, f"/{name}/keyset", closed="maybe")[0] == 422


def test_listings_have_a_limit_and_leave_closed_ones_out(venue):
    assert len(ask(venue, "/markets")[1]) == 88
    assert len(ask(venue, "/markets", limit="5")[1]) == 5
    assert len(ask(venue, "/events", limit="0")[1]) == 1
    assert ask(venue, "/events", closed="true")[1] == []
    assert ask(venue, "/markets", closed="true")[1] == []
