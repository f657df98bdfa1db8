"""User channel: trades are found among whatever else arrives; it goes where it was told to go."""

import asyncio
import json

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import serve

from executor import user
from executor.auth import Credentials
from executor.user import UserChannel, trades_in
from tests.detours import detours, port_of

DEEP = b"[" * 5_000 + b"]" * 5_000
"""Deeper than any decoder of ours goes."""

TRADE = {"event_type": "trade", "id": "1", "taker_order_id": "0x1", "asset_id": "7", "side": "BUY",
         "price": "0.5", "size": "1", "status": "MATCHED"}  # fmt: skip


def test_trades_are_found_alone_and_among_order_events():
    order = {"event_type": "order", "id": "0x1", "status": "LIVE"}
    assert [t.id for t in trades_in(json.dumps(TRADE).encode())] == ["1"]
    assert [t.id for t in trades_in(json.dumps([order, TRADE]).encode())] == ["1"]
    assert trades_in(json.dumps(order).encode()) == []
    assert trades_in(b"PONG") == []
    bare = TRADE | {"maker_orders": None, "owner": None, "trader_side": None}
    assert [t.id for t in trades_in(json.dumps(bare).encode())] == ["1"]


def test_what_cannot_be_understood_is_said_to_be_so():
    assert trades_in(b"{") is None
    assert trades_in(b'{"event_type":"trade","x":' + DEEP + b"}") is None
    assert trades_in(b'[{"x":' + DEEP + b"}]") is None
    assert trades_in(json.dumps(TRADE | {"size": 5}).encode()) is None


def test_the_recorded_user_messages_are_understood(shared):
    for path in sorted((shared / "samples/nautilus_py").glob("ws_messages__*")):
        trades = trades_in(path.read_bytes())
        is_trade = "user_trade" in path.name
        assert trades is not None
        assert len(trades) == is_trade, path.name


def test_a_channel_that_closes_under_a_ping_is_the_listeners_to_report(monkeypatch):
    """A task that ends with an error which nobody asks for would end the executor."""

    class Closed:
        async def send(self, _text):
            raise websockets.ConnectionClosedError(None, None)

    monkeypatch.setattr(user, "PING_EVERY_S", 0)
    channel = UserChannel("ws://127.0.0.1:9", Credentials("k", "s", "p"), print, print)
    asyncio.run(channel._ping(Closed()))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_what_is_said_first_is_said_to_nobody_whom_the_venue_names(status, monkeypatch):
    async def act():
        async with (
            detours(monkeypatch, status) as away,
            serve(print, "127.0.0.1", 0, process_request=away.redirect) as venue,
        ):
            await listened(f"ws://127.0.0.1:{port_of(venue)}/ws/user", away.asked)
            return away.taken

    assert asyncio.run(act()) == []


def test_no_proxy_of_the_environment_is_asked(monkeypatch):
    async def act():
        heard = asyncio.Event()

        async def hear(socket):
            await socket.recv()
            heard.set()

        async with detours(monkeypatch) as away, serve(hear, "127.0.0.1", 0) as venue:
            await listened(f"ws://127.0.0.1:{port_of(venue)}/ws/user", heard)
            return away.taken

    assert asyncio.run(act()) == []


async def listened(url: str, until: asyncio.Event) -> None:
    """The channel runs until then, and a moment longer."""
    channel = UserChannel(url, Credentials("key", "c2VjcmV0", "phrase"), print, lambda _name: None)
    running = asyncio.ensure_future(channel.run())
    try:
        async with asyncio.timeout(20):
            await until.wait()
        await asyncio.sleep(0.1)
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@given(st.binary(max_size=100))
def test_no_bytes_raise(data):
    trades_in(data)
