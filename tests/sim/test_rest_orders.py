import asyncio
import json

import pytest

from sim import replies
from sim.order import Outcome
from sim.replies import refused
from sim.rest_orders import ROUTES
from sim.venue import Call
from tests.sim.live import serving, still_venue
from tests.sim.traders import NOW_MS, Trader
from tests.sim.worlds import CID, TOKENS

HANDLERS = {(route.method, route.path): route.handler for route in ROUTES}


@pytest.fixture
def scene():
    venue, market, _ = still_venue()
    return venue, market, Trader(venue.exchange)


def call(scene, method, path, body=b""):
    venue, _, trader = scene
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return HANDLERS[method, path](venue, Call(body, {}, {}, NOW_MS, key=trader.key))


def test_a_refused_order_is_a_400_with_the_text(scene):
    reply = call(scene, "POST", "/order", b"{}")
    assert (reply.status, reply.body) == (400, {"error": replies.INVALID_PAYLOAD})


def test_a_killed_order_is_a_400_with_its_id(scene):
    _, market, trader = scene
    body = trader.body(market, Outcome.YES, "BUY", 4500, 10, kind="FAK")
    reply = call(scene, "POST", "/order", body)
    assert reply.status == 400
    assert reply.body["error"] == replies.FAK_KILLED
    assert reply.body["orderID"].startswith("0x")


def test_a_batch_answers_every_element_in_order(scene):
    _, market, trader = scene
    good = [trader.body(market, Outcome.YES, "BUY", price, 10) for price in (3000, 3100)]
    body = b"[" + b",".join([good[0], b'{"order":{}}', good[1]]) + b"]"
    reply = call(scene, "POST", "/orders", body)
    assert reply.status == 200
    ids = [one["orderID"] for one in reply.body]
    assert [bool(one) for one in ids] == [True, False, True]
    assert [one["success"] for one in reply.body] == [True] * 3
    assert reply.body[1]["errorMsg"] == replies.INVALID_PAYLOAD
    prices = [trader.exchange.floor.register.get(one).price_e4 for one in (ids[0], ids[2])]
    assert prices == [3000, 3100]


def test_a_batch_has_one_to_fifteen_elements(scene):
    full = b"[" + b",".join([b"{}"] * 15) + b"]"
    assert call(scene, "POST", "/orders", full).status == 200
    over = b"[" + b",".join([b"{}"] * 16) + b"]"
    reply = call(scene, "POST", "/orders", over)
    assert reply.body == {"error": "Too many orders in payload: 16, max allowed: 15"}
    for body in (b"[]", b"{}", b"nonsense"):
        assert call(scene, "POST", "/orders", body).body == {"error": replies.INVALID_PAYLOAD}


def test_cancelling_wants_order_ids(scene):
    for body in ({}, {"orderID": "x"}, {"orderID": 5}, []):
        reply = call(scene, "DELETE", "/order", body)
        assert (reply.status, reply.body) == (400, {"error": "Invalid orderID"})
    for body in (["x"], {"orderID": "0x" + "0" * 64}, "x"):
        assert call(scene, "DELETE", "/orders", body).body == {"error": "Invalid orderID"}
    many = ["0x" + f"{number:064x}" for number in range(1001)]
    reply = call(scene, "DELETE", "/orders", many)
    assert reply.body == {"error": "Too many orders in payload, max allowed: 1000"}


def place(scene, price, outcome=Outcome.YES):
    _, market, trader = scene
    return trader.place(market, outcome, "BUY", price, 10)[0].order_id


def test_all_four_ways_of_cancelling(scene):
    unknown = "0x" + "0" * 64
    ids = [place(scene, 3000 + number * 10) for number in range(6)]
    one = call(scene, "DELETE", "/order", {"orderID": ids[0]})
    assert one.body == {"canceled": [ids[0]], "not_canceled": {}}
    some = call(scene, "DELETE", "/orders", [ids[1], unknown])
    assert some.body["canceled"] == [ids[1]]
    assert some.body["not_canceled"] == {unknown: "already canceled or matched"}
    no = place(scene, 2000, Outcome.NO)
    market = call(scene, "DELETE", "/cancel-market-orders", {"market": CID, "asset_id": TOKENS[1]})
    assert market.body["canceled"] == [no]
    rest = call(scene, "DELETE", "/cancel-all")
    assert rest.body["canceled"] == ids[2:]
    assert call(scene, "DELETE", "/cancel-market-orders", b"[]").status == 400


def test_heartbeats_form_a_chain(scene):
    first = call(scene, "POST", "/v1/heartbeats", {"heartbeat_id": ""})
    assert first.status == 200
    wrong = call(scene, "POST", "/v1/heartbeats", {"heartbeat_id": "x"})
    assert wrong.status == 400
    assert wrong.body == {"error_msg": "Invalid Heartbeat ID"} | first.body
    again = call(scene, "POST", "/v1/heartbeats", first.body)
    assert again.status == 200
    assert again.body != first.body
    assert call(scene, "POST", "/v1/heartbeats", b"[").status == 400


def test_texts_and_codes_are_those_of_the_venue(shared):
    listed = json.loads((shared / "samples/fragments/error_bodies.json").read_text())
    texts = {one["body"]["error"] for one in listed if "error" in one.get("body", {})}
    ours = {value for name, value in vars(replies).items() if name.isupper()}
    known = [
        replies.INVALID_PAYLOAD, replies.WRONG_OWNER, replies.WRONG_SIGNER, replies.WRONG_MAKER,
        replies.NO_FUNDS, replies.POST_ONLY_CROSSES, replies.BAD_EXPIRATION, replies.FOK_KILLED,
        replies.FAK_KILLED, replies.NOT_READY, replies.INVALID_ORDER_ID, replies.UNAUTHORIZED,
        replies.INVALID_L1, replies.KEY_NOT_CREATED, replies.KEY_NOT_DERIVED, replies.NO_BOOK,
        replies.INVALID_TOKEN, replies.PAYLOAD_LIMIT, replies.INVALID_SIDE,
    ]  # fmt: skip
    assert set(known) <= texts & ours
    filled = {
        replies.BAD_TICK.format(id="{id}", price="{price}", tick="{tick}"),
        replies.BAD_SIZE.format(id="{id}", size="{size}", min="{min}"),
        replies.DUPLICATED.format(id="{id}"),
        replies.TOO_MANY_ORDERS.format(count=16, limit=15),
        replies.TOO_MANY_CANCELS.format(limit="{N}"),
    }
    assert filled <= texts
    assert refused("something not found").status == 404


def test_the_same_bytes_twice_over_http_are_a_duplicate():
    async def scenario():
        venue, market, _ = still_venue()
        async with serving(venue) as client:
            trader = await client.trader()
            body = trader.body(market, Outcome.YES, "BUY", 3000, 10)
            assert (await client.signed(trader, "POST", "/order", body))[0] == 200
            status, reply = await client.signed(trader, "POST", "/order", body)
            assert status == 400
            assert reply["error"].endswith("is invalid. Duplicated.")

    asyncio.run(scenario())
