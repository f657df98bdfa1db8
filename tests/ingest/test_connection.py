"""Connection: whatever a server does, frames arrive whole, losses are told, errors come out."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve

from ingest import connection as module
from ingest.connection import Connection
from shm.settings import IngestSettings

Handler = Callable[[ServerConnection], Awaitable[None]]


class Owner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.events: list[str] = []
        self.counts: dict[str, int] = {}
        self.raises: Exception | None = None
        self.heard = asyncio.Event()

    def opened(self, number: int) -> bytes:
        self.events.append(f"opened {number}")
        return b'{"type":"market","assets_ids":["1"]}'

    def received(self, number: int, frame: memoryview | bytes, readable_ns: int) -> None:
        assert readable_ns > 0
        assert number == 0
        if self.raises is not None:
            raise self.raises
        self.frames.append(bytes(frame))
        self.heard.set()

    def closed(self, number: int) -> None:
        self.events.append(f"closed {number}")

    def count(self, name: str, amount: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount


FAST = IngestSettings(reconnect_base_ms=1, reconnect_cap_s=1)


async def against(handler: Handler, act, settings: IngestSettings = FAST, owner=None, **options):
    owner = owner or Owner()
    async with serve(handler, "127.0.0.1", 0, compression=None, **options) as server:
        port = server.sockets[0].getsockname()[1]
        connection = Connection(0, f"ws://127.0.0.1:{port}/ws/market", settings, owner)
        task = asyncio.ensure_future(connection.run())
        try:
            return await act(owner, connection, task)
        finally:
            connection.stop()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_the_greeting_is_sent_first_and_frames_come_whole():
    greetings = []

    async def handler(socket):
        greetings.append(await socket.recv())
        await socket.send('[{"event_type":"book"}]')
        await socket.send(["in ", "three ", "pieces"])
        await socket.send("PONG")
        await socket.send("last")
        await socket.wait_closed()

    async def act(owner, connection, task):
        await until(lambda: b"last" in owner.frames)
        return owner

    owner = asyncio.run(against(handler, act))
    assert greetings == ['{"type":"market","assets_ids":["1"]}']
    assert owner.frames == [b'[{"event_type":"book"}]', b"in three pieces", b"last"]
    assert owner.counts["pongs_received"] == 1


def test_a_lost_connection_is_told_and_made_again():
    async def handler(socket):
        await socket.send("hello")

    async def act(owner, connection, task):
        await until(lambda: owner.events.count("opened 0") >= 3)
        return owner.events

    events = asyncio.run(against(handler, act))
    assert events[:4] == ["opened 0", "closed 0", "opened 0", "closed 0"]


def test_what_is_sent_reaches_the_server_and_is_dropped_while_there_is_none():
    seen = []

    async def handler(socket):
        async for message in socket:
            seen.append(message)

    async def act(owner, connection, task):
        connection.send(b"too early")
        await until(lambda: connection.connected)
        connection.send(b"subscribe")
        await until(lambda: "subscribe" in seen)

    asyncio.run(against(handler, act))
    assert "too early" not in seen


@pytest.mark.parametrize("frame", [b"binary", "x" * 70_000])
def test_binary_and_oversized_frames_end_the_connection(frame):
    async def handler(socket):
        await socket.send(frame)
        await socket.wait_closed()

    async def act(owner, connection, task):
        await until(lambda: owner.events.count("closed 0") >= 1)
        return owner.frames

    settings = IngestSettings(reconnect_base_ms=1, max_frame_bytes=65_536)
    assert asyncio.run(against(handler, act, settings)) == []


def test_endless_fragments_are_bounded():
    async def handler(socket):
        async def endless():
            while True:
                yield "x" * 30_000

        with contextlib.suppress(Exception):
            await socket.send(endless())

    async def act(owner, connection, task):
        await until(lambda: owner.events.count("closed 0") >= 1)
        return owner.frames

    settings = IngestSettings(reconnect_base_ms=1, max_frame_bytes=65_536)
    assert asyncio.run(against(handler, act, settings)) == []


def test_a_silent_connection_is_replaced(monkeypatch):
    monkeypatch.setattr(module, "_TICK_S", 0.05)

    async def handler(socket):
        await socket.wait_closed()

    async def act(owner, connection, task):
        await until(lambda: owner.events.count("opened 0") >= 2)

    settings = IngestSettings(reconnect_base_ms=1, silence_limit_s=1, ping_every_s=3_600)
    asyncio.run(against(handler, act, settings))


def test_ping_is_the_word_and_on_time(monkeypatch):
    monkeypatch.setattr(module, "_TICK_S", 0.05)
    seen = []

    async def handler(socket):
        async for message in socket:
            seen.append(message)

    async def act(owner, connection, task):
        await until(lambda: "PING" in seen)

    asyncio.run(against(handler, act, IngestSettings(ping_every_s=1)))


def test_an_error_of_the_owner_ends_the_connection_and_comes_out():
    async def handler(socket):
        await socket.send("boom")
        await socket.wait_closed()

    async def act(owner, connection, task):
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(20):
                await task

    async def main():
        owner = Owner()
        owner.raises = ZeroDivisionError("planted")
        await against(handler, act, owner=owner)

    asyncio.run(main())


def test_a_refused_upgrade_and_a_missing_server_are_tried_again():
    attempts = []

    def refuse(socket, request):
        attempts.append(1)
        return socket.respond(403, "no\n")

    async def handler(socket):
        await socket.wait_closed()

    async def act(owner, connection, task):
        await until(lambda: len(attempts) >= 3)
        assert not task.done()
        return owner

    owner = asyncio.run(against(handler, act, process_request=refuse))
    assert owner.counts["reconnects"] >= 2
    assert owner.events == []
