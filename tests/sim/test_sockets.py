import asyncio
import json

import pytest
from aiohttp import WSMsgType
from hypothesis import given
from hypothesis import strategies as st

from sim import delivery
from sim import sockets as module
from sim.delivery import text_frame
from sim.order import Outcome, Side
from tests.sim.live import read, serving, still_venue
from tests.sim.worlds import CID, TOKENS

SUBSCRIBE = json.dumps({"type": "market", "assets_ids": [TOKENS[0]]})


@given(st.integers(0, 70_000))
def test_frames_have_the_length_form_of_rfc_6455(size):
    frame = text_frame("x" * size)
    assert frame[0] == 0x81
    if size < 126:
        assert (frame[1], len(frame)) == (size, size + 2)
    elif size < 65_536:
        assert frame[1] == 126
        assert int.from_bytes(frame[2:4], "big") == size == len(frame) - 4
    else:
        assert frame[1] == 127
        assert int.from_bytes(frame[2:10], "big") == size == len(frame) - 10


def test_a_subscription_is_answered_with_one_compact_array():
    async def scenario():
        venue, market, _ = still_venue()
        async with serving(venue) as client, client.socket("/ws/market") as ws:
            await ws.send_str(json.dumps({"type": "market", "assets_ids": list(TOKENS)}))
            (dump,) = await read(ws)
            books = json.loads(dump)
            assert dump == json.dumps(books, separators=(",", ":")) + "\n"
            assert [one["asset_id"] for one in books] == list(TOKENS)
            assert [one["hash"] for one in books] == list(market.hashes)
            assert {"tick_size", "last_trade_price"} <= set(books[0])
            assert [one["price"] for one in books[0]["asks"]] == ["0.51", "0.5"]

    asyncio.run(scenario())


def test_changes_reach_subscribers_of_either_token_and_books_only_holders():
    async def scenario():
        venue, market, house = still_venue()
        async with serving(venue) as client, client.socket("/ws/market") as ws:
            await ws.send_str(SUBSCRIBE)
            await read(ws)
            client.door.hub.publish(
                house.take(market, Outcome.NO, Side.BUY, (6000, 10_000_000), market.stamp_ms)
            )
            texts = await read(ws, 2)
            kinds = [(json.loads(text)["event_type"], json.loads(text).get("asset_id"))
                     for text in texts]  # fmt: skip
            assert kinds == [("price_change", None), ("book", TOKENS[0])]
            await ws.send_str("PING")
            # The trade was of the other token: nothing else came before the answer.
            assert await read(ws) == ["PONG"]

    asyncio.run(scenario())


def test_unknown_tokens_give_an_empty_array_and_repeated_ones_nothing():
    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client, client.socket("/ws/market") as ws:
            await ws.send_str(json.dumps({"type": "market", "assets_ids": ["123", "x"]}))
            assert await read(ws) == ["[]\n"]
            for _ in range(2):
                await ws.send_str(json.dumps({"operation": "subscribe", "assets_ids": [TOKENS[1]]}))
            first, second = await read(ws, 2)
            assert json.loads(first)[0]["asset_id"] == TOKENS[1]
            assert second == "[]\n"

    asyncio.run(scenario())


def test_unsubscribing_ends_the_frames():
    async def scenario():
        venue, market, house = still_venue()
        async with serving(venue) as client, client.socket("/ws/market") as ws:
            await ws.send_str(SUBSCRIBE)
            await read(ws)
            await ws.send_str(json.dumps({"operation": "unsubscribe", "assets_ids": [TOKENS[0]]}))
            await ws.send_str("PING")
            assert await read(ws) == ["PONG"]
            wanted = [((Side.BUY, 3000), 5_000_000)]
            client.door.hub.publish(house.set_levels(market, wanted, market.stamp_ms))
            await ws.send_str("PING")
            assert await read(ws) == ["PONG"]

    asyncio.run(scenario())


def test_custom_features_add_the_tops():
    async def scenario():
        venue, market, house = still_venue()
        async with serving(venue) as client, client.socket("/ws/market") as ws:
            asked = {"type": "market", "assets_ids": [TOKENS[0]], "custom_feature_enabled": True}
            await ws.send_str(json.dumps(asked | {"initial_dump": False}))
            await ws.send_str("PING")
            assert await read(ws) == ["PONG"]
            wanted = [((Side.BUY, 4500), 5_000_000)]
            client.door.hub.publish(house.set_levels(market, wanted, market.stamp_ms))
            kinds = [json.loads(text)["event_type"] for text in await read(ws, 2)]
            assert kinds == ["price_change", "best_bid_ask"]

    asyncio.run(scenario())


@pytest.mark.parametrize("nonsense", ["", "{", "[]", '{"assets_ids": 5}', "null", '"x"'])
def test_nonsense_is_left_unanswered(nonsense):
    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client, client.socket("/ws/market") as ws:
            await ws.send_str(nonsense)
            await ws.send_str("PING")
            assert await read(ws) == ["PONG"]

    asyncio.run(scenario())


def test_each_frame_counts_for_each_receiver():
    async def scenario():
        venue, market, house = still_venue()
        async with serving(venue) as client:
            async with client.socket("/ws/market") as one, client.socket("/ws/market") as two:
                for ws in (one, two):
                    await ws.send_str(SUBSCRIBE)
                    await read(ws)
                wanted = [((Side.BUY, 3000), 5_000_000)]
                client.door.hub.publish(house.set_levels(market, wanted, market.stamp_ms))
                assert await read(one) == await read(two)
            assert venue.frames_sent == 4

    asyncio.run(scenario())


def test_a_message_beyond_the_limit_ends_the_connection(monkeypatch):
    monkeypatch.setattr(module, "MAX_MESSAGE_BYTES", 1000)

    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client, client.socket("/ws/market") as ws:
            await ws.send_str("x" * 1001)
            message = await ws.receive(5)
            assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}

    asyncio.run(scenario())


def test_a_client_that_does_not_read_is_cut_off(monkeypatch):
    monkeypatch.setattr(delivery, "MAX_UNSENT_BYTES", 100_000)

    async def scenario():
        venue, market, house = still_venue()
        async with serving(venue) as client:
            address = client.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(address[0], int(address[1]))
            request = (
                "GET /ws/market HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            payload = SUBSCRIBE.encode()
            head = bytes([0x81, 0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4)
            writer.write(request.encode() + head + payload)
            await reader.readuntil(b"\r\n\r\n")
            hub, sent = client.door.hub, 0
            async with asyncio.timeout(10):
                while venue.frames_sent == 0:
                    await asyncio.sleep(0)
            for size in range(1, 200_000):
                before = venue.frames_sent
                wanted = [((Side.BUY, 3000), size * 1_000_000)]
                hub.publish(house.set_levels(market, wanted, market.stamp_ms))
                sent = size
                if venue.frames_sent == before:
                    break
            assert sent < 199_999
            writer.close()

    asyncio.run(scenario())


def test_there_is_an_end_to_sockets(monkeypatch):
    monkeypatch.setattr(module, "MAX_SOCKETS", 1)

    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client, client.socket("/ws/market") as ws:
            await ws.send_str("PING")
            await read(ws)
            async with client.session.get(client.url + "/ws/market") as reply:
                assert reply.status == 503

    asyncio.run(scenario())


def test_a_silent_socket_is_closed(monkeypatch):
    monkeypatch.setattr(module, "FIRST_FRAME_WAIT_S", 0.05)

    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client, client.socket("/ws/market") as ws:
            assert (await ws.receive(5)).type is WSMsgType.CLOSE

    asyncio.run(scenario())


def test_the_user_channel_tells_orders_and_trades_of_the_key():
    async def scenario():
        venue, market, _ = still_venue()
        async with serving(venue) as client:
            trader, stranger = await client.trader(1), await client.trader(2)
            async with client.socket("/ws/user") as ws:
                auth = trader.key.public()
                await ws.send_str(json.dumps({"type": "user", "auth": auth}))
                await ws.send_str("PING")
                assert await read(ws) == ["PONG"]
                for one in (stranger, trader):
                    body = one.body(market, Outcome.YES, "BUY", 5000, 10, kind="FOK")
                    assert (await client.signed(one, "POST", "/order", body))[0] == 200
                told = [json.loads(text) for text in await read(ws, 3)]
                kinds = [(one["event_type"], one["type"]) for one in told]
                assert kinds == [("order", "PLACEMENT"), ("order", "UPDATE"), ("trade", "TRADE")]
                assert {one["owner"] for one in told} == {trader.key.key}
                venue.step(0)
                client.door.hub.publish(venue.exchange.advance(market.stamp_ms + 10**9))
                later = [json.loads(text)["status"] for text in await read(ws, 2)]
                assert later == ["MINED", "CONFIRMED"]

    asyncio.run(scenario())


def test_the_user_channel_can_be_narrowed_to_markets():
    async def scenario():
        venue, market, _ = still_venue()
        async with serving(venue) as client:
            trader = await client.trader()
            async with client.socket("/ws/user") as ws:
                auth = {"type": "user", "auth": trader.key.public(), "markets": ["0xother"]}
                await ws.send_str(json.dumps(auth))
                await ws.send_str("PING")
                await read(ws)
                body = trader.body(market, Outcome.YES, "BUY", 3000, 10)
                await client.signed(trader, "POST", "/order", body)
                await ws.send_str(json.dumps({"operation": "subscribe", "markets": [CID]}))
                await ws.send_str("PING")
                assert await read(ws) == ["PONG"]
                await client.signed(trader, "DELETE", "/cancel-all")
                assert json.loads((await read(ws))[0])["type"] == "CANCELLATION"

    asyncio.run(scenario())


@pytest.mark.parametrize("field", ["apiKey", "secret", "passphrase", None])
def test_bad_credentials_close_the_user_channel(field):
    async def scenario():
        venue, _, _ = still_venue()
        async with serving(venue) as client:
            trader = await client.trader()
            async with client.socket("/ws/user") as ws:
                auth = trader.key.public() | ({field: "wrong"} if field else {})
                first = {"type": "user", "auth": auth} if field else {"type": "user"}
                await ws.send_str(json.dumps(first))
                message = await ws.receive(5)
                assert message.type is WSMsgType.CLOSE

    asyncio.run(scenario())
