"""Sockets that end, and the user channel when it is silent, late or strange: hazards A17, A18."""

import asyncio
import json

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from tests.sim.live import read
from tests.sim.staged import heard, scenario, staged


def market_rule(do, when=None, **more):
    return {"at": "market", "when": when or {}, "then": {"do": do, **more}}


def user_rule(do, when=None, **more):
    return {"at": "user", "when": when or {}, "then": {"do": do, **more}}


@scenario
async def test_frames_may_be_late_and_come_in_their_order():
    async with staged(market_rule("late", ms=300)) as stage, stage.watching() as ws:
        for size in (1, 2):
            stage.quote(shares=size)
        assert await heard(ws) == []
        await stage.later(300)
        sizes = [json.loads(text)["price_changes"][0]["size"] for text in await heard(ws)]
        assert sizes == ["1", "2"]


@pytest.mark.parametrize("rule", [{"do": "close"}, {"do": "close", "code": 1012}, {"do": "reset"}])
@scenario
async def test_a_frame_ends_its_socket(rule):
    async with (
        staged({"at": "market", "when": {"nth": 2}, "then": rule}) as stage,
        stage.watching() as ws,
    ):
        stage.quote(shares=1)
        assert len(await read(ws)) == 1
        stage.quote(shares=2)
        message = await ws.receive(5)
        if message.type is WSMsgType.TEXT:
            message = await ws.receive(5)
        assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}
        assert ("code" not in rule) or ws.close_code == rule["code"]


@pytest.mark.parametrize("how", [{"how": "rst"}, {"how": "fin"}, {"how": "fin", "code": 1001}])
@scenario
async def test_all_sockets_of_a_channel_are_hung_up_on(how):
    async with staged() as stage, stage.watching() as one, stage.watching() as two:
        hang_up = {"do": "hang_up", "channel": "market", **how}
        await stage.script({"at": "clock", "then": hang_up})
        for ws in (one, two):
            message = await ws.receive(5)
            assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}
        assert ("code" not in how) or one.close_code == 1001


@scenario
async def test_any_text_can_be_sent_to_a_channel():
    async with staged() as stage, stage.watching() as ws:
        send = {"do": "send", "channel": "market", "text": '{"event_type":"maintenance"}'}
        await stage.script({"at": "clock", "then": send})
        assert await heard(ws) == ['{"event_type":"maintenance"}']


@scenario
async def test_an_act_may_hang_on_a_frame():
    rule = market_rule("fee", {"once": True}, rate="0.2")
    async with staged(rule) as stage, stage.watching() as ws:
        stage.quote()
        assert len(await heard(ws)) == 1
        assert stage.market.facts.fee_rate_e6 == 200_000


# The user channel.


@scenario
async def test_the_user_channel_is_connected_answers_pings_and_says_nothing():
    async with staged(user_rule("lose")) as stage:
        trader = await stage.client.trader()
        async with stage.listening(trader) as ws:
            await stage.post(trader, stage.buy(trader))
            assert await heard(ws) == []
            withheld = stage.truth("event", event="trade")
            assert [(line["sockets"], line["withheld"]) for line in withheld] == [([], [1])]


@scenario
async def test_the_user_channel_drops_one_kind_of_event_only():
    async with staged(user_rule("lose", {"event": "trade", "status": "MATCHED"})) as stage:
        trader = await stage.client.trader()
        async with stage.listening(trader) as ws:
            await stage.post(trader, stage.buy(trader))
            await stage.later(2_000)
            told = [json.loads(text) for text in await heard(ws)]
            statuses = [one["status"] for one in told if one["event_type"] == "trade"]
            assert statuses == ["MINED", "CONFIRMED"]


@scenario
async def test_trade_events_come_late_twice_and_out_of_order():
    rules = [
        user_rule("late", {"event": "trade", "status": "MATCHED"}, ms=5_000),
        user_rule("repeat", {"event": "trade", "status": "CONFIRMED"}),
    ]
    async with staged(*rules) as stage:
        trader = await stage.client.trader()
        async with stage.listening(trader) as ws:
            await stage.post(trader, stage.buy(trader))
            await stage.later(2_000)
            await stage.later(3_000)
            told = [json.loads(text) for text in await heard(ws)]
            statuses = [one["status"] for one in told if one["event_type"] == "trade"]
            assert statuses == ["MINED", "CONFIRMED", "CONFIRMED", "MATCHED"]


@scenario
async def test_trade_events_lack_fields():
    missing = ["maker_orders", "transaction_hash", "trader_side", "side"]
    async with staged(user_rule("edit", {"event": "trade"}, remove=missing)) as stage:
        trader = await stage.client.trader()
        async with stage.listening(trader) as ws:
            await stage.post(trader, stage.buy(trader))
            told = [json.loads(text) for text in await heard(ws)]
            (trade,) = [one for one in told if one["event_type"] == "trade"]
            assert not set(missing) & set(trade)
            assert trade["size"] == "10"


@scenario
async def test_a_makers_trade_lists_strangers():
    async with staged(user_rule("strangers", {"event": "trade"}, count=3)) as stage:
        maker, taker = await stage.client.trader(1), await stage.client.trader(2)
        maker.give(stage.market, 50)
        selling = maker.body(stage.market, 0, "SELL", 4500, 20)
        async with stage.listening(maker) as ws:
            await stage.post(maker, selling)
            await stage.post(taker, stage.buy(taker, price=4500, shares=20))
            told = [json.loads(text) for text in await heard(ws)]
            (trade,) = [one for one in told if one["event_type"] == "trade"]
            assert (trade["trader_side"], trade["side"], trade["size"]) == ("MAKER", "BUY", "35")
            mine = [one for one in trade["maker_orders"] if one["owner"] == maker.key.key]
            assert [(one["matched_amount"], one["side"]) for one in mine] == [("20", "SELL")]
            assert len(trade["maker_orders"]) == 4


@scenario
async def test_a_makers_trade_lists_real_strangers_of_the_same_level():
    async with staged() as stage:
        maker, taker = await stage.client.trader(1), await stage.client.trader(2)
        maker.give(stage.market, 50)
        async with stage.listening(maker) as ws:
            await stage.post(maker, maker.body(stage.market, 0, "SELL", 5000, 20))
            await stage.post(taker, stage.buy(taker, price=5000, shares=110))
            told = [json.loads(text) for text in await heard(ws)]
            (trade,) = [one for one in told if one["event_type"] == "trade"]
            owners = [one["owner"] == maker.key.key for one in trade["maker_orders"]]
            assert owners == [False, True]
            assert trade["size"] == "110"


@scenario
async def test_the_user_channel_closes_and_the_upgrade_is_reset():
    rules = [
        user_rule("close", {"nth": 2}, code=1011),
        # A client may try again by itself where a connection breaks before any reply.
        {
            "at": "GET /ws/user",
            "when": {"nth": [2, 3]},
            "then": {"do": "reset", "moment": "before"},
        },
    ]
    async with staged(*rules) as stage:
        trader = await stage.client.trader()
        async with stage.listening(trader) as ws:
            await stage.post(trader, stage.buy(trader))
            await read(ws, 2)
            assert (await ws.receive(5)).type is WSMsgType.CLOSE
            assert ws.close_code == 1011
        with pytest.raises((OSError, WSServerHandshakeError)):
            await stage.client.socket("/ws/user")


@scenario
async def test_late_frames_leave_by_themselves_while_the_server_runs():
    async with (
        staged(market_rule("late", ms=0), market_rule("late", ms=1)) as stage,
        stage.watching() as ws,
    ):
        running = asyncio.create_task(stage.client.door.run())
        stage.quote()
        stage.clock.ms += 1
        assert len(await read(ws)) == 1
        running.cancel()
