"""Joins sockets, books and publication: follows the markets table, keeps every book subscribed."""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from ingest.connection import Connection
from ingest.keeper import Keeper, make_keeper
from ingest.subscriptions import Plan, change_frame, first_frame
from shm import backend
from shm.codes import MarketState, StageState
from shm.layout import INGEST_STATS, Market
from shm.markets import MarketsReader
from shm.modes import SocketMode
from shm.settings import IngestSettings
from shm.stage import Stage
from shm.units import format_token

GENERATION_POLL_S = 0.1


class Feed:
    """The ingest stage. One per process."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._settings = self._chosen(stage.settings.ingest)
        self._url = stage.settings.venues.market_ws_url
        self._counters = stage.fabric.counters("stats-ingest.counters", INGEST_STATS, write=True)
        self._native = self._wants_native()
        self.keeper = self._make_keeper()
        self._counters.set("socket_mode", SocketMode[self._settings.socket.upper()])
        self._markets = MarketsReader(stage.fabric)
        self._followed: dict[int, Market] = {}
        """By row: the markets whose books are kept."""
        self._plan = Plan(self._settings.tokens_per_socket)
        self._connections: list[Connection] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._asked_s: dict[int, float] = {}
        """By row: when a snapshot was asked for that has not come yet."""
        self._stops = stage.still.stops

    async def run(self) -> None:
        """Follow the markets until the stage stops."""
        self._stage.holder.enter(StageState.WAITING)
        try:
            while not self._stage.stopping:
                if self._markets.changed():
                    self._adopt(*self._markets.read())
                self._mind_stillness()
                self._follow_keeper()
                self._follow_settings()
                self._ask_again()
                self.keeper.show_counts()
                self._require_tasks()
                await asyncio.sleep(GENERATION_POLL_S)
        finally:
            for connection in self._connections:
                connection.stop()
            for task in self._tasks:
                task.cancel()

    def _mind_stillness(self) -> None:
        """What waited in a socket while we stood still is old, and looks new: begin anew."""
        still = self._stage.still
        if still.stops == self._stops:
            return
        self._stops = still.stops
        self._stage.log.warning("stood still for %.1f s: all books anew", still.lasted_ns / 1e9)
        for connection in self._connections:
            if connection.connected:
                self.closed(connection.number)
                connection.reopen()

    # --- settings and modes ---------------------------------------------------------------------

    def _chosen(self, settings: IngestSettings) -> IngestSettings:
        """The settings, with the library that the operator may have chosen instead."""
        library = self._stage.switches.socket(self._stage.settings).name.lower()
        return msgspec.structs.replace(settings, socket=library)

    def _wants_native(self) -> bool:
        return backend.NATIVE and not self._stage.switches.ingest_in_python

    def _make_keeper(self) -> Keeper:
        if backend.NATIVE and not self._native:
            self._stage.log.warning("PYTHON MODE: the compiled ingest kept crashing")
        self._counters.set("native", self._native)
        return make_keeper(
            self._stage.fabric,
            self._stage.holder.epoch,
            self._settings.hash_check_every,
            native=self._native,
        )

    def _follow_keeper(self) -> None:
        """After another decision of supervisor or operator: all books begin anew."""
        if self._native == self._wants_native():
            return
        self._native = not self._native
        self._counters.add("mode_changes")
        self.keeper = self._make_keeper()
        for market in self._followed.values():
            self.keeper.add(market)
        for connection in self._connections:
            connection.reopen()

    def _follow_settings(self) -> None:
        """Go over to what was changed; a connection whose library changes is opened anew."""
        self._stage.take_settings()
        chosen = self._chosen(self._stage.settings.ingest)
        if chosen == self._settings:
            return
        if chosen.socket != self._settings.socket:
            self._counters.add("mode_changes")
            self._counters.set("socket_mode", SocketMode[chosen.socket.upper()])
        self._settings = chosen
        for connection in self._connections:
            connection.settings = chosen
            connection.carry_by(chosen.socket)

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
            market
            for row, market in self._followed.items()
            if row not in wanted or wanted[row].key != market.key
        ]
        leaving: dict[int, list[str]] = {}
        for market in gone:
            token = yes_token(market)
            leaving.setdefault(self._plan.remove(token), []).append(token)
            self.keeper.remove(market.row)
            self._asked_s.pop(market.row, None)
            del self._followed[market.row]
        coming: dict[int, list[str]] = {}
        for row, market in wanted.items():
            if row not in self._followed:
                token = yes_token(market)
                self.keeper.add(market)
                self._followed[row] = market
                coming.setdefault(self._plan.add(token, row), []).append(token)
        self._send("unsubscribe", leaving)
        self._send("subscribe", coming)
        self._open_sockets()
        self._stage.holder.adopt(generation)
        self._stage.holder.enter(StageState.RUNNING if wanted else StageState.WAITING)
        self._counters.set("subscriptions", len(self._followed))
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
            self._subscribe_anew(late)

    def _subscribe_anew(self, rows: Sequence[int]) -> None:
        by_socket: dict[int, list[str]] = {}
        for row in rows:
            token = yes_token(self._followed[row])
            by_socket.setdefault(self._plan.socket_of(token), []).append(token)
        self._send("unsubscribe", by_socket)
        self._send("subscribe", by_socket)

    # --- what the sockets say (see ingest.connection.Owner) -------------------------------------

    def opened(self, number: int) -> bytes:
        """Ask for everything that this socket carries."""
        tokens = list(self._plan.sockets[number])
        self._expect(number, tokens)
        return first_frame(tokens)

    def take(self, frame: memoryview | bytes, readable_ns: int) -> None:
        """Apply and publish a whole frame, then see to the books that it lost or renewed."""
        if self.keeper.take(frame, readable_ns):
            self.heed()

    def heed(self) -> None:
        """See to the books that the last frame lost or renewed."""
        news = self.keeper.news()
        for row in news.refreshed:
            self._asked_s.pop(row, None)
        # A book whose snapshot is on order already is left to `_ask_again`: no storm of requests.
        lost = [row for row in news.lost if row not in self._asked_s]
        if lost:
            self._stage.log.warning("lost %d books, asking again", len(lost))
            self._subscribe_anew(lost)

    def closed(self, number: int) -> None:
        """Every book of this socket is stale from now on."""
        rows = list(self._plan.sockets[number].values())
        for row in rows:
            self._asked_s.pop(row, None)
        self.keeper.lose(rows)

    def count(self, name: str, amount: int = 1) -> None:
        """Count in shared memory."""
        self._counters.add(name, amount)


def yes_token(market: Market) -> str:
    """The id under which a market is subscribed."""
    return format_token(market.yes_token)


async def work(stage: Stage) -> None:
    """The stage's coroutine."""
    await Feed(stage).run()
