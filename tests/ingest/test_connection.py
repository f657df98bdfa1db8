"""Connection: whatever a server does, frames arrive whole, losses are told, errors come out."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve

from ingest import connection as module
from ingest.connection import Connection
from ingest.keeper import make_keeper
from ingest.picows_link import RECEIVE_BYTES
from shm import backend, segment
from shm.codes import Role
from shm.errors import FencedError
from shm.fabric import Fabric
from shm.layout import BOOK
from shm.roles import RoleHolder
from shm.segments import SEGMENTS
from shm.settings import IngestSettings
from tests.conftest import require_or_skip
from tests.detours import detours
from tests.ingest import frames
from tests.ingest.frames import token_of
from tests.ingest.test_keeper import market

Handler = Callable[[ServerConnection], Awaitable[None]]


class Owner:
    """Writes down what it is told."""

    keeper = None

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.events: list[str] = []
        self.counts: dict[str, int] = {}
        self.raises: Exception | None = None
        self.heard = asyncio.Event()

    def opened(self, number: int) -> bytes:
        self.events.append(f"opened {number}")
        return b'{"type":"market","assets_ids":["1"]}'

    def take(self, frame: memoryview | bytes, readable_ns: int) -> None:
        assert readable_ns > 0
        if self.raises is not None:
            raise self.raises
        self.frames.append(bytes(frame))
        self.heard.set()

    def heed(self) -> None:
        raise AssertionError("the plain listener knows of no keeper")

    def closed(self, number: int) -> None:
        self.events.append(f"closed {number}")

    def count(self, name: str, amount: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount


@pytest.fixture(params=["picows", "websockets"])
def library(request) -> str:
    return request.param


def fast(library: str, **more) -> IngestSettings:
    return IngestSettings(socket=library, reconnect_base_ms=1, reconnect_cap_s=1, **more)


async def against(handler: Handler, act, settings: IngestSettings, owner=None, **options):
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


def test_the_greeting_is_sent_first_and_frames_come_whole(library):
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

    owner = asyncio.run(against(handler, act, fast(library)))
    assert greetings == ['{"type":"market","assets_ids":["1"]}']
    assert owner.frames == [b'[{"event_type":"book"}]', b"in three pieces", b"last"]
    assert owner.counts["pongs_received"] == 1


def test_no_redirect_is_followed_and_no_proxy_asked(library, monkeypatch):
    async def act(owner, connection, task):
        await until(lambda: owner.counts.get("reconnects", 0) >= 2)

    async def all_of_it():
        async with detours(monkeypatch) as away:
            await against(print, act, fast(library), process_request=away.redirect)
            assert away.asked.is_set()
            return away.taken

    assert asyncio.run(all_of_it()) == []


def test_a_lost_connection_is_told_and_made_again(library):
    async def handler(socket):
        await socket.send("hello")

    async def act(owner, connection, task):
        await until(lambda: owner.events.count("opened 0") >= 3)
        return owner.events

    events = asyncio.run(against(handler, act, fast(library)))
    assert events[:4] == ["opened 0", "closed 0", "opened 0", "closed 0"]


def test_what_is_sent_reaches_the_server_and_is_dropped_while_there_is_none(library):
    seen = []

    async def handler(socket):
        async for message in socket:
            seen.append(message)

    async def act(owner, connection, task):
        connection.send(b"too early")
        await until(lambda: connection.connected)
        connection.send(b"subscribe")
        await until(lambda: "subscribe" in seen)

    asyncio.run(against(handler, act, fast(library)))
    assert "too early" not in seen


@pytest.mark.parametrize("frame", [b"binary", "x" * 70_000])
def test_binary_and_oversized_frames_end_the_connection(frame, library):
    async def handler(socket):
        await socket.send(frame)
        await socket.wait_closed()

    async def act(owner, connection, task):
        await until(lambda: owner.events.count("closed 0") >= 1)
        return owner.frames

    settings = fast(library, max_frame_bytes=65_536)
    assert asyncio.run(against(handler, act, settings)) == []


def test_endless_fragments_are_bounded(library):
    async def handler(socket):
        async def endless():
            while True:
                yield "x" * 30_000

        with contextlib.suppress(Exception):
            await socket.send(endless())

    async def act(owner, connection, task):
        await until(lambda: owner.events.count("closed 0") >= 1)
        return owner.frames

    settings = fast(library, max_frame_bytes=65_536)
    assert asyncio.run(against(handler, act, settings)) == []


def test_a_silent_connection_is_replaced(monkeypatch, library):
    monkeypatch.setattr(module, "_TICK_S", 0.05)

    async def handler(socket):
        await socket.wait_closed()

    async def act(owner, connection, task):
        await until(lambda: owner.events.count("opened 0") >= 2)

    settings = fast(library, silence_limit_s=1, ping_every_s=3_600)
    asyncio.run(against(handler, act, settings))


def test_ping_is_the_word_and_on_time(monkeypatch, library):
    monkeypatch.setattr(module, "_TICK_S", 0.05)
    seen = []

    async def handler(socket):
        async for message in socket:
            seen.append(message)

    async def act(owner, connection, task):
        await until(lambda: "PING" in seen)

    asyncio.run(against(handler, act, fast(library, ping_every_s=1)))


def test_an_error_of_the_owner_ends_the_connection_and_comes_out(library):
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
        await against(handler, act, fast(library), owner=owner)

    asyncio.run(main())


def test_a_refused_upgrade_and_a_missing_server_are_tried_again(library):
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

    owner = asyncio.run(against(handler, act, fast(library), process_request=refuse))
    assert owner.counts["reconnects"] >= 2
    assert owner.events == []


# --- the compiled listener ----------------------------------------------------------------------


class Keeping(Owner):
    """An owner with a compiled keeper of one market."""

    def __init__(self, instance: str) -> None:
        super().__init__()
        for plan in SEGMENTS.values():
            segment.create(instance, plan)
        self.fabric = Fabric(instance, Role.INGEST)
        self.role = RoleHolder(self.fabric.segment("control", writable=True), Role.INGEST)
        self.fabric.fence = self.role.fence
        self.keeper = make_keeper(self.fabric, self.role.epoch, 1)
        self.keeper.add(market(0))
        self.heeded = 0

    def take(self, frame: memoryview | bytes, readable_ns: int) -> None:
        super().take(frame, readable_ns)
        self.keeper.take(frame, readable_ns)

    def heed(self) -> None:
        self.heeded += 1
        self.keeper.news()

    def book(self):
        return self.fabric.read_table("books", BOOK).read(0)


BOOK_FRAME = frames.later_book(token_of(0), 5, [("0.4", "7")], [("0.5", "8")], hash_text="")


def test_a_compiled_keeper_gets_every_frame_and_over_picows_most_without_a_detour(
    instance, library
):
    require_or_skip(backend.NATIVE, "the compiled kernels")

    async def handler(socket):
        await socket.recv()
        await socket.send(BOOK_FRAME)
        entry = frames.change(token_of(0), "BUY", "0.41", "3", "")
        whole = frames.price_change(token_of(0), 6, [entry])
        await socket.send([whole[:50], whole[50:90], whole[90:]])
        await socket.send("PONG")
        await socket.send(frames.price_change(token_of(0), 7, [entry.replace("0.41", "0.42")]))
        await socket.wait_closed()

    async def act(owner, connection, task):
        await until(lambda: owner.book().bid_count == 3)
        return owner

    owner = asyncio.run(against(handler, act, fast(library), owner=Keeping(instance)))
    assert owner.book().bid_price_e4[:3] == (4_200, 4_100, 4_000)
    assert owner.counts["pongs_received"] == 1
    if library == "picows":
        assert owner.heeded == 1
        assert len(owner.frames) == 1, "only the message in pieces went the slow way"
    else:
        assert len(owner.frames) == 3


def test_an_error_of_the_compiled_keeper_ends_the_connection_and_comes_out(instance, library):
    require_or_skip(backend.NATIVE, "the compiled kernels")

    async def handler(socket):
        await socket.recv()
        await socket.send(BOOK_FRAME)
        await socket.wait_closed()

    async def act(owner, connection, task):
        with pytest.raises(FencedError):
            async with asyncio.timeout(20):
                await task

    async def main():
        owner = Keeping(instance)
        RoleHolder(owner.fabric.segment("control", writable=True), Role.INGEST)  # a successor
        await against(handler, act, fast(library), owner=owner)

    asyncio.run(main())


@pytest.mark.parametrize("frame", [b"binary", "x" * 70_000])
def test_with_a_compiled_keeper_what_is_not_the_protocol_ends_the_connection(
    instance, frame, library
):
    require_or_skip(backend.NATIVE, "the compiled kernels")

    async def handler(socket):
        await socket.send(frame)
        await socket.wait_closed()

    async def act(owner, connection, task):
        await until(lambda: owner.events.count("closed 0") >= 1)

    settings = fast(library, max_frame_bytes=65_536)
    asyncio.run(against(handler, act, settings, owner=Keeping(instance)))


class Late(Owner):
    """An owner that is too slow: how much it gets with one read of the socket."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: dict[int, int] = {}

    def take(self, frame: memoryview | bytes, readable_ns: int) -> None:
        if readable_ns not in self.reads:
            time.sleep(0.02)  # the sender goes on meanwhile
        self.reads[readable_ns] = self.reads.get(readable_ns, 0) + len(frame)


def test_no_read_is_longer_than_what_the_kernel_keeps_for_us_however_late_we_are():
    """picows' buffer grows with the longest read, and never shrinks."""
    sent = 64 * 2**20

    async def handler(socket):
        for _ in range(sent // 2**16):
            await socket.send("x" * 2**16)
        await socket.wait_closed()

    async def act(owner, connection, task):
        await until(lambda: sum(owner.reads.values()) == sent)
        return max(owner.reads.values())

    longest = asyncio.run(against(handler, act, fast("picows"), owner=Late()))
    assert longest <= 3 * RECEIVE_BYTES, "twice as the kernel counts, and the frame before"
