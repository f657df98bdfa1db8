"""Joins sockets, books and publication: follows the markets table, keeps every book subscribed."""

import asyncio
import time
from collections.abc import Iterable, Sequence

import msgspec

from ingest.connection import Connection
from ingest.keeper import Keeper, make_keeper
from ingest.pulse import Finding, Pulse
from ingest.shown import Look, Shown
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
CONFIRM_EVERY_NS = 1_000_000_000
ASKED_OF_SILENT = 4
"""Books of a silent socket that are asked for: those that changed last will change next."""
ASKED_OF_QUIET = 64
"""Most quiet books that are asked for at one time."""


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
        self._shown = Shown(stage.fabric, stage.holder.epoch)
        self._before: dict[int, Look] = {}
        """By row: the live book that was asked for once more, as it stood then."""
        self._pulses: dict[int, Pulse] = {}
        self._confirmed_ns = 0
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
                self._mind_silence()
                self._confirm_quiet()
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
            self._forget_question(market.row)
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
            # Also those that were live, and were asked for only to be sure of them.
            self.keeper.lose([row for row in late if self._shown.live(row)])
            for row in late:
                self._before.pop(row, None)
            self._subscribe_anew(late)

    def _forget_question(self, row: int) -> None:
        """Nothing of this book is waited for any more."""
        self._before.pop(row, None)
        self._asked_s.pop(row, None)

    def _subscribe_anew(self, rows: Sequence[int]) -> None:
        by_socket: dict[int, list[str]] = {}
        for row in rows:
            token = yes_token(self._followed[row])
            by_socket.setdefault(self._plan.socket_of(token), []).append(token)
        self._send("unsubscribe", by_socket)
        self._send("subscribe", by_socket)

    # --- whether what the sockets carry is still true ---

    def _mind_silence(self) -> None:
        """Replace a socket that is open and carries nothing (ingest/pulse.py)."""
        now_ns, settings = time.monotonic_ns(), self._settings
        for connection in self._connections:
            pulse = self._pulses.get(connection.number)
            rows = self._plan.sockets[connection.number].values()
            if pulse is None or not rows or not connection.connected:
                continue
            live = any(self._shown.live(row) for row in rows)
            limit_ns = (
                settings.data_silence_ms * 10**6 if live else settings.silence_limit_s * 10**9
            )
            finding = pulse.look(now_ns, connection.carried, limit_ns, asking=live)
            if finding is Finding.FROZEN:
                self._stage.log.warning("socket %d carries no market data", connection.number)
                self.closed(connection.number)
                connection.give_up()
            elif finding is not Finding.FINE:
                most = ASKED_OF_SILENT if finding is Finding.ASK_SOME else len(rows)
                latest = sorted(self._sure(rows), key=lambda one: -one[1].exchange_ms)[:most]
                pulse.ask([row for row, _ in latest])
                self._confirm(latest)

    def _confirm_quiet(self) -> None:
        """Ask for books of which no frame has spoken for long, so that their age means something.

        The venue's answer makes it as fresh as a change does; without one it is live no longer.
        """
        now_ns = time.monotonic_ns()
        if now_ns - self._confirmed_ns < CONFIRM_EVERY_NS:
            return
        self._confirmed_ns = now_ns
        old_ns = now_ns - self._settings.confirm_after_s * 10**9
        old = [one for one in self._sure(self._followed) if one[1].received_ns < old_ns]
        self._confirm(sorted(old, key=lambda one: one[1].received_ns)[:ASKED_OF_QUIET])

    def _sure(self, rows: Iterable[int]) -> list[tuple[int, Look]]:
        """Live books that nothing is being asked about."""
        looks = ((row, self._shown.live(row)) for row in rows if row not in self._asked_s)
        return [(row, look) for row, look in looks if look is not None]

    def _confirm(self, books: Sequence[tuple[int, Look]]) -> None:
        self._before.update(books)
        self._subscribe_anew([row for row, _ in books])

    def _weigh(self, rows: Sequence[int]) -> None:
        """Books came that had been asked for: what that tells about the socket."""
        pulse = self._pulses[self._plan.socket_of(yes_token(self._followed[rows[0]]))]
        pulse.answers += 1
        for row in rows:
            before, now = self._before.pop(row, None), self._shown.live(row)
            pulse.answer(row, newer=bool(before and now and now.missed_since(before)))

    # --- what the sockets say (see ingest.connection.Owner) -------------------------------------

    def opened(self, number: int) -> bytes:
        """Ask for everything that this socket carries."""
        tokens = list(self._plan.sockets[number])
        self._pulses[number] = Pulse(time.monotonic_ns())
        self._expect(number, tokens)
        return first_frame(tokens)

    def take(self, frame: memoryview | bytes, readable_ns: int) -> None:
        """Apply and publish a whole frame, then see to the books that it lost or renewed."""
        if self.keeper.take(frame, readable_ns):
            self.heed()

    def heed(self) -> None:
        """See to the books that the last frame lost or renewed."""
        news = self.keeper.news()
        answered = [row for row in news.refreshed if row in self._asked_s]
        if answered:
            self._weigh(answered)
            for row in answered:
                self._forget_question(row)
        # A book whose snapshot is on order already is left to `_ask_again`: no storm of requests.
        lost = [row for row in news.lost if row not in self._asked_s]
        if lost:
            self._stage.log.warning("lost %d books, asking again", len(lost))
            self._subscribe_anew(lost)

    def closed(self, number: int) -> None:
        """Every book of this socket is stale from now on."""
        rows = list(self._plan.sockets[number].values())
        for row in rows:
            self._forget_question(row)
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
