"""Joins sockets, books and publication: follows the markets table, keeps every book subscribed."""

import asyncio
import time
from collections.abc import Sequence

from ingest.books import Applied, Books, Tracked, track
from ingest.connection import Connection
from ingest.publish import Publisher
from ingest.subscriptions import Plan, change_frame, first_frame
from shm.codes import BookState, MarketState, StageState
from shm.layout import INGEST_STATS, Market
from shm.markets import MarketsReader
from shm.stage import Stage

GENERATION_POLL_S = 0.1


class Feed:
    """The ingest stage. One per process."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._settings = stage.settings.ingest
        self._url = stage.settings.venues.market_ws_url
        self._counters = stage.fabric.counters("stats-ingest.counters", INGEST_STATS, write=True)
        self._publisher = Publisher(stage.fabric, stage.holder.epoch, self._counters)
        self._markets = MarketsReader(stage.fabric)
        self._books = Books(self._settings.hash_check_every)
        self._plan = Plan(self._settings.tokens_per_socket)
        self._connections: list[Connection] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._asked_s: dict[int, float] = {}
        """By row: when a snapshot was asked for that has not come yet."""

    async def run(self) -> None:
        """Follow the markets until the stage stops."""
        self._stage.holder.enter(StageState.WAITING)
        try:
            while not self._stage.stopping:
                if self._markets.changed():
                    self._adopt(*self._markets.read())
                self._ask_again()
                self._show_counts()
                self._require_tasks()
                await asyncio.sleep(GENERATION_POLL_S)
        finally:
            for connection in self._connections:
                connection.stop()
            for task in self._tasks:
                task.cancel()

    def _require_tasks(self) -> None:
        """A socket's task never ends by itself: if one did, its error ends the stage."""
        for task in self._tasks:
            if task.done():
                task.result()
                raise AssertionError("a socket stopped by itself")

    # --- which markets --------------------------------------------------------------------------

    def _adopt(self, generation: int, markets: Sequence[Market]) -> None:
        """Go over to a new generation: what stays keeps its book, the rest comes and goes."""
        wanted = {m.row: m for m in markets if m.state == MarketState.ACTIVE}
        gone = [
            tracked
            for row, tracked in self._books.by_row.items()
            if row not in wanted or wanted[row].key != tracked.key
        ]
        leaving: dict[int, list[str]] = {}
        for tracked in gone:
            leaving.setdefault(self._plan.remove(tracked.yes), []).append(tracked.yes)
            self._books.remove(tracked.row)
            self._asked_s.pop(tracked.row, None)
            self._publisher.clear(tracked.row)
        coming: dict[int, list[str]] = {}
        for row, market in wanted.items():
            if row not in self._books.by_row:
                tracked = track(market)
                self._books.add(tracked)
                coming.setdefault(self._plan.add(tracked.yes, row), []).append(tracked.yes)
        self._send("unsubscribe", leaving)
        self._send("subscribe", coming)
        self._open_sockets()
        self._stage.holder.adopt(generation)
        self._stage.holder.enter(StageState.RUNNING if wanted else StageState.WAITING)
        self._counters.set("subscriptions", len(self._books.by_row))
        self._stage.log.info("generation %d: %d markets", generation, len(wanted))

    def _open_sockets(self) -> None:
        for number in range(len(self._connections), len(self._plan.sockets)):
            connection = Connection(number, self._url, self._settings, self)
            self._connections.append(connection)
            self._tasks.append(asyncio.ensure_future(connection.run()))

    def _send(self, operation: str, tokens: dict[int, list[str]]) -> None:
        for number, names in tokens.items():
            if number < len(self._connections) and self._connections[number].connected:
                self._connections[number].send(change_frame(operation, names))
                if operation == "subscribe":
                    self._expect(number, names)

    def _expect(self, number: int, tokens: Sequence[str]) -> None:
        now_s = time.monotonic()
        for token in tokens:
            self._asked_s[self._plan.sockets[number][token]] = now_s

    def _ask_again(self) -> None:
        """A subscription without snapshot (too early, or lost) is taken back and made again."""
        now_s = time.monotonic()
        patience_s = self._settings.snapshot_wait_ms / 1e3
        late = [row for row, asked_s in self._asked_s.items() if now_s - asked_s > patience_s]
        if late:
            self._subscribe_anew([self._books.by_row[row] for row in late])

    def _subscribe_anew(self, markets: Sequence[Tracked]) -> None:
        by_socket: dict[int, list[str]] = {}
        for tracked in markets:
            by_socket.setdefault(self._plan.socket_of(tracked.yes), []).append(tracked.yes)
        self._send("unsubscribe", by_socket)
        self._send("subscribe", by_socket)

    # --- what the sockets say (see ingest.connection.Owner) -------------------------------------

    def opened(self, number: int) -> bytes:
        """Ask for everything that this socket carries."""
        tokens = list(self._plan.sockets[number])
        self._expect(number, tokens)
        return first_frame(tokens)

    def received(self, number: int, frame: memoryview | bytes, readable_ns: int) -> None:  # noqa: ARG002
        """Apply a whole frame, then publish every book that it changed."""
        applied = self._books.apply(frame, readable_ns)
        parsed_ns = time.monotonic_ns()
        for tracked in applied.changed.values():
            self._publisher.publish(tracked, readable_ns, parsed_ns)
        self._counters.add("frames_in")
        self._counters.add("bytes_in", len(frame))
        self._note_snapshots(applied)

    def _note_snapshots(self, applied: Applied) -> None:
        if self._asked_s:
            for row, tracked in applied.changed.items():
                if tracked.book.state is BookState.LIVE:
                    self._asked_s.pop(row, None)
        # A book whose snapshot is on order already is left to `_ask_again`: no storm of requests.
        lost = [tracked for row, tracked in applied.lost.items() if row not in self._asked_s]
        if lost:
            self._stage.log.warning("lost %d books, asking again", len(lost))
            self._subscribe_anew(lost)

    def closed(self, number: int) -> None:
        """Every book of this socket is stale from now on."""
        now_ns = time.monotonic_ns()
        for tracked in self._books.lose(self._plan.sockets[number].values()):
            self._asked_s.pop(tracked.row, None)
            self._publisher.publish(tracked, now_ns, now_ns)

    def count(self, name: str, amount: int = 1) -> None:
        """Count in shared memory."""
        self._counters.add(name, amount)

    def _show_counts(self) -> None:
        tally = self._books.tally
        for name, amount in tally.items():
            self._counters.add(name, amount)
        tally.clear()
        live = self._books.live()
        self._counters.set("books_live", live)
        self._counters.set("books_stale", len(self._books.by_row) - live)


async def work(stage: Stage) -> None:
    """The stage's coroutine."""
    await Feed(stage).run()
