"""Requests and replies that get lost, late, broken: hazards A5, A6, A7, A28 and the endpoints."""

import asyncio
import json

import aiohttp
import pytest

from sim.canned import ANSWERS
from sim.rules import ACCOUNT, CANCELLING, GAMMA, GROUPS, PLACING, PUBLIC
from sim.server import ROUTES
from sim.venue import Errand
from tests.sim.staged import batch, scenario, staged


def test_the_endpoints_of_the_language_are_those_of_the_server():
    served = {route.place for route in ROUTES if route.errand is not Errand.ADMIN}
    assert served == set(GROUPS["rest"])
    assert {route.place for route in ROUTES if route.errand is Errand.PLACING} == set(PLACING)
    assert {route.place for route in ROUTES if route.errand is Errand.CANCELLING} == set(CANCELLING)
    assert not set(ACCOUNT) & set(PUBLIC) & set(GAMMA)


@scenario
async def test_a5_a_reply_is_lost_after_the_orders_were_accepted():
    async with staged({"at": "POST /orders", "then": {"do": "lose"}}) as stage:
        trader = await stage.client.trader()
        body = stage.buy(trader)
        await stage.lost(trader, "POST", "/orders", batch(body))
        assert stage.accepted() == [stage.hash_of(body)]
        assert stage.held(trader) == 10_000_000
        assert stage.truth("reply", fate="lost")


@scenario
async def test_a7_the_same_bytes_again_are_duplicated_whatever_became_of_the_first():
    async with staged() as stage:
        trader = await stage.client.trader()
        filled = stage.buy(trader)
        killed = stage.buy(trader, shares=9000)
        resting = stage.buy(trader, price=3000, kind="GTC")
        await stage.script({"at": "POST /orders", "then": {"do": "lose"}, "name": "lost"})
        await stage.lost(trader, "POST", "/orders", batch(filled, killed, resting))
        await stage.script(clear=["lost"])
        for body in (filled, killed, resting):
            status, reply = await stage.client.signed(trader, "POST", "/order", body)
            assert status == 400
            assert reply["error"] == f"order {stage.hash_of(body)} is invalid. Duplicated."
        assert sorted(stage.accepted()) == sorted(map(stage.hash_of, (filled, killed, resting)))


@scenario
async def test_a7_a_refused_order_is_duplicated_too_where_the_venue_indexes_refusals():
    async with staged() as stage:
        trader = await stage.client.trader()
        body = stage.buy(trader, price=9900, shares=90_000)
        again = (await stage.post(trader, body), await stage.post(trader, body))
        assert [reply[1][0]["errorMsg"] for reply in again] == [
            "not enough balance / allowance"
        ] * 2
        await stage.script({"at": "clock", "then": {"do": "index_refused"}})
        await stage.post(trader, body)
        status, reply = await stage.post(trader, body)
        assert status == 200
        assert reply[0]["errorMsg"].endswith("is invalid. Duplicated.")
        assert stage.accepted() == []


@scenario
async def test_a5_a_request_is_dropped_before_the_exchange_sees_it():
    async with staged({"at": "placing", "when": {"once": True}, "then": {"do": "drop"}}) as stage:
        trader = await stage.client.trader()
        body = stage.buy(trader)
        await stage.lost(trader, "POST", "/orders", batch(body))
        assert stage.accepted() == []
        (line,) = stage.truth("request", place="POST /orders")
        assert line["orders"][0]["order_id"] == stage.hash_of(body)
        status, reply = await stage.post(trader, body)
        assert (status, reply[0]["status"]) == (200, "matched")


@scenario
async def test_a5_the_connection_is_reset_or_closed_after_or_before_the_orders_were_accepted():
    for do, error in (
        ("reset", aiohttp.ClientOSError),
        ("close", aiohttp.ServerDisconnectedError),
    ):
        for moment, count in (("after", 1), ("before", 0)):
            rule = {"at": "POST /orders", "then": {"do": do, "moment": moment}}
            async with staged(rule) as stage:
                trader = await stage.client.trader()
                broken = await stage.broken(trader, "POST", "/orders", batch(stage.buy(trader)))
                assert isinstance(broken, error), (do, moment, broken)
                assert len(stage.accepted()) == count


@scenario
async def test_a5_the_connection_is_closed_in_the_middle_of_the_reply():
    rule = {"at": "POST /orders", "then": {"do": "close", "bytes": 120}}
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        body = batch(stage.buy(trader))
        headers = trader.headers("POST", "/orders", body, stage.client.now_s())
        address = stage.client.url.removeprefix("http://")
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        lines = [f"POST /orders HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
        writer.write("".join([*lines, "\r\n"]).encode() + body)
        got = await reader.read()
        writer.close()
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")
        assert len(got) == 120
        assert len(stage.accepted()) == 1


@scenario
async def test_a5_a_reply_is_late():
    async with staged({"at": "POST /orders", "then": {"do": "late", "ms": 8_000}}) as stage:
        trader = await stage.client.trader()
        sending = asyncio.create_task(stage.post(trader, stage.buy(trader)))
        while not stage.accepted():
            await asyncio.sleep(0.001)
        await stage.later(7_999)
        assert not sending.done()
        await stage.later(1)
        assert (await sending)[1][0]["status"] == "matched"


@scenario
async def test_a28_a_zombie_lands_after_the_client_has_gone_and_cancelled_everything():
    rule = {
        "at": "POST /orders", "when": {"once": True}, "then": {"do": "hold", "ms": 60_000},
    }  # fmt: skip
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        body = stage.buy(trader, price=3000, kind="GTC")
        await stage.lost(trader, "POST", "/orders", batch(body))
        assert stage.accepted() == []
        cancelled = await stage.client.signed(trader, "DELETE", "/cancel-all")
        assert cancelled == (200, {"canceled": [], "not_canceled": {}})
        await stage.later(59_999)
        assert stage.accepted() == []
        await stage.later(1)
        assert stage.accepted() == [stage.hash_of(body)]
        assert (await stage.outcome(stage.hash_of(body)))["status"] == "LIVE"
        (reply,) = stage.truth("reply", request=stage.truth("order", accepted=True)[0]["request"])
        assert reply["fate"] == "gone"


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("moment", ["before", "after"])
@scenario
async def test_a6_every_answer_of_the_venue_before_and_after_the_orders_were_accepted(kind, moment):
    rule = {"at": "placing", "then": {"do": "answer", "kind": kind, "moment": moment}}
    async with staged(rule) as stage:
        trader = await stage.client.trader()
        body = stage.buy(trader)
        status, headers, raw = await stage.request(trader, "POST", "/order", body)
        canned = ANSWERS[kind]
        assert status == canned.status
        if canned.html:
            assert (headers["Content-Type"], raw.decode()) == ("text/html", canned.text)
        else:
            text = canned.text.replace("{id}", stage.hash_of(body))
            assert json.loads(raw)["error"] == text.replace("{address}", trader.eoa.address)
        assert ("Retry-After" in headers) == (canned.retry_after_s is not None)
        assert len(stage.accepted()) == (1 if moment == "after" else 0)


def test_every_recorded_refusal_can_be_answered_to_the_letter(shared):
    listed = json.loads((shared / "samples/fragments/error_bodies.json").read_text())
    recorded = {
        (one["http"], one["body"]["error"])
        for one in listed
        if one["endpoint"] == "POST /order" and "error" in one.get("body", {})
    }
    blanks = {"0.123": "{price}", "(1)": "({size})", "rule: 0.01": "rule: {tick}",
              "minimum: 5": "minimum: {min}"}  # fmt: skip
    ours = set()
    for one in ANSWERS.values():
        text = one.text
        for filled, blank in blanks.items():
            text = text.replace(filled, blank)
        ours.add((one.status, text))
    assert recorded <= ours


@scenario
async def test_a9_the_post_only_answer_names_its_code_and_its_seconds():
    then = {"do": "answer", "kind": "post_only_mode", "retry_after_s": 33}
    async with staged({"at": "POST /orders", "then": then}) as stage:
        trader = await stage.client.trader()
        status, headers, raw = await stage.request(
            trader, "POST", "/orders", batch(stage.buy(trader))
        )
        assert (status, headers["Retry-After"]) == (503, "33")
        assert json.loads(raw) == {
            "error": "post-only mode: only post-only orders and cancels are allowed",
            "code": "post_only_mode",
            "retry_after_seconds": 33,
        }


@scenario
async def test_an_answer_can_be_written_out():
    then = {
        "do": "answer", "status": 418, "text": "short and stout", "content_type": "text/plain",
        "headers": {"X-Pot": "tea"}, "retry_after_s": 7,
    }  # fmt: skip
    async with (
        staged({"at": "GET /time", "then": then}) as stage,
        stage.client.session.get(stage.client.url + "/time") as reply,
    ):
        assert reply.status == 418
        assert (reply.headers["X-Pot"], reply.headers["Retry-After"]) == ("tea", "7")
        assert await reply.text() == "short and stout"


@scenario
async def test_c9_a_proxy_queues_before_it_refuses():
    then = {"do": "queue", "requests": 2, "window_ms": 10_000, "longest_ms": 5_000}
    async with staged({"at": "GET /time", "then": then}) as stage:
        for _ in range(2):
            assert (await stage.client.call("GET", "/time"))[0] == 200
        refused = await stage.client.call("GET", "/time")
        assert refused[0] == 429
        assert "Too Many Requests" in refused[1]
        await stage.later(6_000)
        waiting = asyncio.create_task(stage.client.call("GET", "/time"))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await stage.later(4_000)
        assert (await waiting)[0] == 200


@scenario
async def test_a24_flags_of_a_market_can_be_wrong_or_missing():
    rules = [
        {"at": "GET /neg-risk", "then": {"do": "edit", "set": {"neg_risk": True}}},
        {"at": "GET /clob-markets/{condition_id}", "then": {"do": "edit", "remove": ["nr", "fd"]}},
    ]
    async with staged(*rules, neg_risk=False) as stage:
        token = stage.market.facts.tokens[0]
        told = await stage.client.call("GET", "/neg-risk", query=f"?token_id={token}")
        assert told == (200, {"neg_risk": True})
        path = f"/clob-markets/{stage.market.facts.condition_id}"
        record = (await stage.client.call("GET", path))[1]
        assert "fd" not in record
        assert record["c"] == stage.market.facts.condition_id
