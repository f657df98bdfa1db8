import json

import msgspec
import pytest

from sim.order import Outcome, Side
from sim.rest_books import ROUTES
from sim.venue import Call
from tests.sim.live import still_venue
from tests.sim.traders import NOW_MS
from tests.sim.worlds import CID, TOKENS

HANDLERS = {(route.method, route.path): route.handler for route in ROUTES}
YES, NO = TOKENS


def scene(levels=(("BUY", 4200, 100), ("SELL", 4300, 50)), **changes):
    return still_venue(levels, **changes)


def ask(venue, path, method="GET", body=b"", parts=None, **query):
    call = Call(body, parts or {}, {name: [value] for name, value in query.items()}, NOW_MS)
    reply = HANDLERS[method, path](venue, call)
    return reply.status, json.loads(msgspec.json.encode(reply.body))


def test_the_simple_reads_answer_like_the_recorded_ones(shared):
    text = (shared / "samples/argos/clob_rest_small_2026-08-10.json").read_text()
    recorded = json.loads(text)
    venue, market, house = scene(tick_e4=100)
    house.take(market, Outcome.YES, Side.BUY, (4300, 1_000_000), NOW_MS)
    for key, query in (
        ("GET /midpoint", {}),
        ("GET /spread", {}),
        ("GET /tick-size", {}),
        ("GET /last-trade-price", {}),
        ("GET /price?side=BUY", {"side": "BUY"}),
        ("GET /price?side=SELL", {"side": "SELL"}),
    ):
        path = key.split()[1].split("?")[0]
        assert ask(venue, path, token_id=YES, **query) == (200, recorded[key]["body"]), key
    unknown = recorded["GET /book?token_id=not-a-real-token"]
    assert ask(venue, "/book", token_id="x") == (unknown["status"], unknown["body"])
    assert ask(venue, "/book") == (400, recorded["GET /book"]["body"])


def test_both_books_have_the_rest_keys_and_mirror_each_other():
    venue, market, _ = scene()
    keys = "market asset_id timestamp hash bids asks min_order_size tick_size neg_risk"
    for token in TOKENS:
        status, body = ask(venue, "/book", token_id=token)
        assert status == 200
        assert list(body) == [*keys.split(), "last_trade_price"]
        assert body["hash"] == market.hashes[TOKENS.index(token)]
    assert body["bids"] == [{"price": "0.57", "size": "50"}]
    many = json.dumps([{"token_id": one} for one in (NO, "x", YES)]).encode()
    status, bodies = ask(venue, "/books", "POST", many)
    assert [one["asset_id"] for one in bodies] == [NO, YES]


def test_too_many_books_are_refused():
    venue, _, _ = scene()
    many = json.dumps([{"token_id": YES}] * 501).encode()
    assert ask(venue, "/books", "POST", many) == (400, {"error": "Payload exceeds the limit"})
    assert ask(venue, "/books", "POST", b"{}")[0] == 400


def test_prices_of_no_are_its_own_and_empty_sides_are_the_ends():
    venue, _, _ = scene([("BUY", 4200, 100)])
    assert ask(venue, "/price", token_id=NO, side="SELL") == (200, {"price": "0.58"})
    assert ask(venue, "/price", token_id=NO, side="buy") == (200, {"price": "0"})
    assert ask(venue, "/price", token_id=YES, side="SELL") == (200, {"price": "1"})
    assert ask(venue, "/midpoint", token_id=YES) == (200, {"mid": "0.71"})
    assert ask(venue, "/spread", token_id=NO) == (200, {"spread": "0.58"})
    assert ask(venue, "/price", token_id=YES, side="x") == (400, {"error": "Invalid side"})


@pytest.mark.parametrize("neg_risk", [False, True])
def test_the_compact_record_has_the_recorded_keys(shared, neg_risk):
    text = (shared / "samples/fragments/clob_markets_live_2026-10-02.json").read_text()
    recorded = json.loads(text)
    venue, _, _ = scene(neg_risk=neg_risk)
    status, body = ask(venue, "/clob-markets/{condition_id}", parts={"condition_id": CID})
    assert status == 200
    assert ("nr" in body) is neg_risk
    assert set(body) <= set(recorded)
    assert [one["t"] for one in body["t"]] == list(TOKENS)
    assert body["fd"] == {"r": 0.07, "e": 1, "to": True}
    assert (body["mts"], body["mos"], body["v"]) == (0.001, 5, "v1")
    assert "itode" not in body
    for key in set(body) & set(recorded) - {"aot"}:
        assert type(body[key]) is type(recorded[key]), key


def test_tokens_lead_to_their_market(shared):
    text = (shared / "samples/fragments/market_by_token_docs_example.json").read_text()
    venue, _, _ = scene()
    for token in TOKENS:
        status, body = ask(venue, "/markets-by-token/{token_id}", parts={"token_id": token})
        assert status == 200
        assert set(body) == set(json.loads(text))
        assert (body["primary_token_id"], body["secondary_token_id"]) == TOKENS
    assert ask(venue, "/markets-by-token/{token_id}", parts={"token_id": "5"})[0] == 404
    assert ask(venue, "/clob-markets/{condition_id}", parts={"condition_id": "5"})[0] == 404


def test_flags_fees_time_and_version():
    venue, _, _ = scene(neg_risk=True)
    assert ask(venue, "/neg-risk", token_id=NO) == (200, {"neg_risk": True})
    assert ask(venue, "/fee-rate", token_id=NO) == (200, {"base_fee": 1000})
    assert ask(venue, "/time") == (200, NOW_MS // 1000)
    assert ask(venue, "/ok") == (200, "OK")
    assert ask(venue, "/version") == (200, {"version": 2})


def test_a_closed_market_has_no_book():
    venue, market, _ = scene()
    market.accepting = False
    assert ask(venue, "/book", token_id=YES)[0] == 404
