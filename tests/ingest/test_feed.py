"""Feed over real sockets: what the venue withholds is no longer live, what is only quiet stays so.

The venue here goes on answering PING in every state, and says PONG unasked besides.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from websockets.asyncio.server import ServerConnection, serve

from ingest.connection import Connection
from ingest.feed import Feed
from shm import backend
from shm.codes import BookState, Role
from shm.control import SwitchBoard
from shm.fabric import Fabric
from shm.layout import BOOK, INGEST_STATS
from shm.markets import MarketsWriter
from shm.roles import RoleHolder
from shm.settings import IngestSettings, Settings, VenueSettings
from shm.stillness import Stillness
from tests.ingest import frames
from tests.ingest.frames import token_of
from tests.ingest.test_keeper import market

PATIENCE_S = 60.0
LIMIT_MS = 1_000
SENTENCED_S = 5 * LIMIT_MS / 1e3
"""Long enough for whoever finds what is frozen to have found it."""
ROWS = 6


class Venue:
    """A market channel of a few markets."""

    def __init__(self) -> None:
        self.answering = True
        """A subscription is answered with books."""
        self.telling = True
        """Changes are sent,"""
        self.mute: set[str] = set()
        """but not those of these tokens, which get no answers either."""
        self.present = True
        """Its end of the connections reads and writes."""
        self.opened = 0
        self.asked = 0
        self.at_ms = 1_000
        self._books = {token_of(2 * row): (1_000, 7) for row in range(ROWS)}
        """By token: (time of the last change, size of the best bid)."""
        self._sockets: dict[ServerConnection, set[str]] = {}

    async def serve(self, socket: ServerConnection) -> None:
        self.opened += 1
        tokens = self._sockets[socket] = set()
        nagging = asyncio.ensure_future(self._nag(socket))
        try:
            async for message in socket:
                while not self.present:
                    await asyncio.sleep(0.02)
                if message == "PING":
                    await socket.send("PONG")
                    continue
                said = json.loads(message)
                names = set(said["assets_ids"])
                if said.get("operation") == "unsubscribe":
                    tokens -= names
                else:
                    self.asked += 1
                    tokens |= names
                    await self._answer(socket, names - self.mute)
        finally:
            nagging.cancel()
            del self._sockets[socket]

    async def _nag(self, socket: ServerConnection) -> None:
        with contextlib.suppress(Exception):
            while True:
                await asyncio.sleep(0.05)
                if self.present:
                    await socket.send("PONG")

    async def _answer(self, socket: ServerConnection, tokens: set[str]) -> None:
        if self.answering and tokens:
            books = [
                frames.later_book(token, at_ms, [("0.4", str(size))], [("0.5", "8")], hash_text="")
                for token in sorted(tokens)
                for at_ms, size in [self._books[token]]
            ]
            await socket.send("[" + ",".join(books) + "]")

    async def move(self, row: int) -> None:
        """A book changes."""
        token = token_of(2 * row)
        self.at_ms += 1
        size = self._books[token][1] + 1
        self._books[token] = (self.at_ms, size)
        entry = frames.change(token, "BUY", "0.4", str(size), "")
        for socket, tokens in list(self._sockets.items()):
            if self.present and self.telling and token in tokens - self.mute:
                with contextlib.suppress(Exception):
                    await socket.send(frames.price_change(token, self.at_ms, [entry]))


class World:
    """The feed, its venue, and what others see of its books."""

    def __init__(self, instance: str, port: int, venue: Venue, **more) -> None:
        self.venue = venue
        desk = Fabric(instance, Role.DESK)
        MarketsWriter(desk).publish(1, [market(row) for row in range(ROWS)])
        fabric = Fabric(instance, Role.INGEST)
        holder = RoleHolder(fabric.segment("control", writable=True), Role.INGEST)
        fabric.fence = holder.fence
        ingest = IngestSettings(
            data_silence_ms=LIMIT_MS, reconnect_base_ms=1, reconnect_cap_s=1, **more
        )
        venues = VenueSettings(market_ws_url=f"ws://127.0.0.1:{port}/ws/market")
        self.stage = SimpleNamespace(
            still=Stillness(), fabric=fabric, holder=holder, log=logging.getLogger("ingest"),
            stopping=False, settings=Settings(ingest=ingest, venues=venues),
            switches=SwitchBoard(fabric), take_settings=lambda: None,
        )  # fmt: skip
        self._books = desk.read_table("books", BOOK)
        self._counters = desk.counters("stats-ingest.counters", INGEST_STATS, write=False)
        self.feed = Feed(self.stage)

    def book(self, row: int):
        return self._books.read(row)

    def live(self) -> int:
        return sum(self.book(row).state == BookState.LIVE for row in range(ROWS))

    @property
    def counts(self):
        return self._counters.read()

    async def until(
        self, condition: Callable[[], bool], *moving: int, patience_s: float = PATIENCE_S
    ) -> None:
        """Wait, while these markets move."""
        async with asyncio.timeout(patience_s):
            while not condition():
                for row in moving:
                    await self.venue.move(row)
                await asyncio.sleep(0.02)

    async def a_while(self, *moving: int) -> None:
        """Long enough for anything that is silent to be judged."""
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: False, *moving, patience_s=SENTENCED_S)


@pytest.fixture(params=["picows", "websockets"])
def library(request) -> str:
    return request.param


def played(instance: str, library: str, act, **more):
    """Run a scenario once all books are live."""

    async def main():
        venue = Venue()
        async with serve(venue.serve, "127.0.0.1", 0, compression=None) as server:
            port = server.sockets[0].getsockname()[1]
            world = World(instance, port, venue, socket=library, **more)
            task = asyncio.ensure_future(world.feed.run())
            try:
                await world.until(lambda: world.live() == ROWS)
                await act(world, venue)
                assert not task.done()
            finally:
                world.stage.stopping = True
                await asyncio.wait([task], timeout=10)

    asyncio.run(main())


async def freezes(world: World, venue: Venue, patience_s: float = PATIENCE_S) -> None:
    """Nothing comes but PONG; it is found, and when the venue is well again all is as before."""
    venue.answering = venue.telling = False
    before = world.counts
    await world.until(lambda: world.live() == 0, 0, 1, patience_s=patience_s)
    await world.until(lambda: world.counts.connections > before.connections, 0, 1)
    assert world.counts.pongs_received > before.pongs_received
    assert world.live() == 0
    venue.answering = venue.telling = True
    await world.until(lambda: world.live() == ROWS, 0, 1)


def test_b1_a_socket_that_carries_nothing_but_pong_has_no_live_book_and_is_replaced(
    segments, library
):
    played(segments, library, freezes)


def test_b1_it_is_found_too_where_nothing_has_moved_before(segments, library):
    async def act(world, venue):
        await world.a_while()
        await freezes(world, venue)

    played(segments, library, act)


def test_the_bug_that_pong_counts_as_data_is_found(segments, library, monkeypatch):
    taken = Connection.take

    def counts_pong(self, frame, readable_ns) -> None:
        self._taken += 1
        taken(self, frame, readable_ns)

    async def act(world, venue):
        with pytest.raises(TimeoutError):
            await freezes(world, venue, SENTENCED_S)

    monkeypatch.setattr(Connection, "take", counts_pong)
    played(segments, library, act)


def test_b1_a_socket_that_answers_and_never_tells_of_changes_is_replaced(segments, library):
    async def act(world, venue):
        venue.telling = False
        opened = venue.opened
        await world.until(lambda: venue.opened > opened, 0, 1, 2)
        venue.telling = True
        await world.until(lambda: world.live() == ROWS, 0, 1, 2)

    played(segments, library, act)


def test_b2_a_peer_that_has_vanished_without_a_word_is_replaced(segments, library):
    async def act(world, venue):
        venue.present = False
        opened = venue.opened
        await world.until(lambda: world.live() == 0, 0, 1)
        await world.until(lambda: venue.opened > opened)
        venue.present = True
        await world.until(lambda: world.live() == ROWS, 0, 1)

    played(segments, library, act)


def test_a_quiet_venue_is_asked_again_and_again_and_its_books_stay_live(segments, library):
    async def act(world, venue):
        asked = venue.asked
        for _ in range(5):
            await world.a_while()
            assert world.live() == ROWS
        assert venue.asked > asked
        assert venue.opened == 1

    played(segments, library, act)


def test_a_moving_venue_is_asked_nothing(segments, library):
    async def act(world, venue):
        asked = venue.asked
        await world.a_while(*range(ROWS))
        assert venue.asked == asked

    played(segments, library, act)


def test_b1_a_quiet_book_beside_moving_ones_is_confirmed_by_the_venue(segments, library):
    async def act(world, venue):
        received_ns = world.book(5).received_ns
        await world.until(lambda: world.book(5).received_ns > received_ns, 0, 1)
        assert world.book(5).state == BookState.LIVE
        assert venue.opened == 1

    played(segments, library, act, confirm_after_s=1)


def test_b1_one_token_that_is_silent_while_others_move_is_stale_and_the_others_live(
    segments, library
):
    async def act(world, venue):
        venue.mute = {token_of(2 * 5)}
        await world.until(lambda: world.book(5).state == BookState.STALE, 0, 1)
        assert world.book(0).state == world.book(1).state == BookState.LIVE
        venue.mute = set()
        await world.until(lambda: world.live() == ROWS, 0, 1)
        assert venue.opened == 1

    played(segments, library, act, confirm_after_s=1, snapshot_wait_ms=500)


def test_a_socket_that_never_got_a_book_is_replaced_in_the_end(segments, library):
    async def act(world, venue):
        venue.answering = venue.telling = False
        await world.until(lambda: world.live() == 0)
        opened = venue.opened
        await world.until(lambda: venue.opened >= opened + 2)

    played(segments, library, act, silence_limit_s=1)


def test_the_plain_keeper_finds_it_too(segments, monkeypatch):
    monkeypatch.setattr(backend, "NATIVE", False)
    played(segments, "picows", freezes)
