"""Connections that pass through the proxy, and what its rules make of their bytes and messages.

Each direction has two loops: one reads, cuts the stream into messages and puts what becomes of
them into a queue; the other waits, and writes. So what a rule makes wait still leaves when its
sender has gone.
"""

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from shm.errors import ConfigError
from sim.exits import reset
from sim.messages import Stream, first_line
from sim.toxics import (
    Bandwidth,
    ByteToxic,
    Close,
    Drop,
    Late,
    Latency,
    Refuse,
    Repeat,
    Reset,
    Rule,
    Slice,
    Stall,
    Swap,
    Vanish,
)
from sim.truth import Truth

PIECE_BYTES = 64 * 1024
_sleep = asyncio.sleep
ANSWER_WAIT_S = 30.0
"""How long a request whose client has gone may still be answered before its server hears of it."""


@dataclass(slots=True, eq=False)
class _Live:
    """A rule with what it has seen and done."""

    rule: Rule
    rng: Random
    since_s: float
    seen: int = 0
    done: int = 0

    def strikes(self, now_s: float) -> bool:
        """Whether this is one of the times; the filters have passed."""
        when = self.rule.when
        age_ms = (now_s - self.since_s) * 1000
        if age_ms < when.from_ms or (when.until_ms is not None and age_ms >= when.until_ms):
            return False
        if when.count is not None and self.done >= when.count:
            return False
        self.seen += 1
        nth = (when.nth,) if isinstance(when.nth, int) else when.nth
        if nth is not None and self.seen not in nth:
            return False
        if when.every is not None and self.seen % when.every:
            return False
        if when.chance is not None and self.rng.random() >= when.chance:
            return False
        self.done += 1
        return True


@dataclass(slots=True, eq=False)
class _Way:
    """One direction of a connection: what is read at one end and written at the other."""

    name: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    stream: Stream
    queue: asyncio.Queue[tuple[float, bytes] | None] = field(default_factory=asyncio.Queue)
    swapped: list[bytes] = field(default_factory=list)
    passed: int = 0
    came_ns: int = 0
    """When the first byte of the message came that is being read."""
    stalled: set[int] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Connection:
    """Both directions, and the requests that have not been answered yet."""

    up: _Way
    down: _Way
    chosen: dict[int, bool] = field(default_factory=dict)
    asked: deque[str] = field(default_factory=deque)
    request: str = ""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, *, abruptly: bool) -> None:
        """End the connection at both ends."""
        for way in (self.up, self.down):
            if abruptly:
                reset(way.writer.transport)
            else:
                way.writer.close()


class Proxy:
    """Listens on loopback and connects each client to one server; rules can be changed any time."""

    def __init__(self, to: tuple[str, int], rules: tuple[Rule, ...] = (), seed: int = 0) -> None:
        self._to = to
        self._seed = seed
        self._rules: list[_Live] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._first = rules
        self.raw = False
        """Look at bytes only, as for TLS."""
        self.truth: Truth | None = None
        """Where it says when the first byte of each request came, before any rule has seen it."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; returns the port."""
        self.set_rules(self._first)
        try:
            self._server = await asyncio.start_server(self._accept, host, port)
        except OSError as error:
            raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}") from error
        return int(self._server.sockets[0].getsockname()[1])

    def set_rules(self, rules: tuple[Rule, ...]) -> None:
        """Other rules from now on, also for connections that exist."""
        now_s = asyncio.get_running_loop().time()
        self._rules = [
            _Live(rule, Random(f"proxy {number} {self._seed}"), now_s)
            for number, rule in enumerate(rules)
        ]

    def rows(self) -> list[dict[str, Any]]:
        """The rules with what they have seen and done."""
        return [
            {"name": live.rule.name or f"rule {number}", "seen": live.seen, "done": live.done}
            for number, live in enumerate(self._rules, start=1)
        ]

    async def stop(self) -> None:
        """End everything at once."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio logs an error for each of its own that is cancelled.
        task = asyncio.create_task(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if any(isinstance(one.rule.then, Refuse) and self._strikes(one) for one in self._rules):
            reset(writer.transport)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._to)
        except OSError:
            reset(writer.transport)
            return
        mode = "raw" if self.raw else "http"
        up = _Way("up", reader, server_writer, Stream(mode))
        down = _Way("down", server_reader, writer, Stream(mode, responses=True))
        connection = _Connection(up, down)
        try:
            await self._serve(connection)
        finally:
            # A cancelled proxy leaves nothing open.
            for way in (up, down):
                way.writer.transport.abort()

    async def _serve(self, connection: _Connection) -> None:
        loops = [
            asyncio.create_task(loop(connection, way))
            for way in (connection.up, connection.down)
            for loop in (self._read, self._write)
        ]
        try:
            await asyncio.gather(*loops)
        except (OSError, asyncio.IncompleteReadError):
            connection.end(abruptly=False)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def _read(self, connection: _Connection, way: _Way) -> None:
        while True:
            try:
                data = await way.reader.read(PIECE_BYTES)
            except OSError:
                data = b""
            if way.stream.empty:
                way.came_ns = time.monotonic_ns()
            for message in way.stream.feed(data) if data else [way.stream.rest()]:
                self._tell(way, message, torn=not data)
                if not connection.gone.is_set():
                    self._take(connection, way, message)
            if connection.gone.is_set():
                await asyncio.Event().wait()
            if not data:
                for held in way.swapped:
                    way.queue.put_nowait((0.0, held))
                way.queue.put_nowait(None)
                return

    def _tell(self, way: _Way, message: bytes, *, torn: bool) -> None:
        """Write down which request has come, and when; a torn one may be no more than a word."""
        words = first_line(message[:4096]).split(" ")
        if self.truth is None or way.name != "up" or way.stream.mode == "raw" or not words[0]:
            return
        if torn or words[-1].startswith("HTTP/1."):
            kind = "request_torn" if torn else "request"
            self.truth.record(kind, place=" ".join(words[:2]), mono_ns=way.came_ns)

    def _take(self, connection: _Connection, way: _Way, message: bytes) -> None:
        """Put a message, or what the rules make of it, into the queue."""
        if not message:
            return
        self._note(connection, way, message)
        copies, wait_s, swap = 1, 0.0, False
        for live in self._rules:
            toxic = live.rule.then
            if isinstance(toxic, ByteToxic) or not self._means(live.rule, way, connection):
                continue
            if not self._strikes(live):
                continue
            if isinstance(toxic, Drop):
                copies = 0
            elif isinstance(toxic, Repeat):
                copies += toxic.times
            elif isinstance(toxic, Late):
                wait_s += toxic.ms / 1000
            elif isinstance(toxic, Swap):
                swap = True
        if way.name == "down" and way.stream.mode == "http":
            connection.answered.set()
        if swap:
            way.swapped += [message] * copies
            return
        due_s = self._now_s() + wait_s
        for piece in [message] * copies + way.swapped:
            way.queue.put_nowait((due_s, piece))
        way.swapped = []

    @staticmethod
    def _note(connection: _Connection, way: _Way, message: bytes) -> None:
        """Keep in mind which request is being answered."""
        if way.stream.mode == "raw":
            return
        http = message[:5] == b"HTTP/" if way.name == "down" else b" HTTP/1." in message[:4096]
        if way.name == "up" and http:
            connection.asked.append(first_line(message))
            connection.request = connection.asked[-1]
            connection.answered.clear()
        elif way.name == "down" and http and connection.asked:
            connection.request = connection.asked.popleft()
            if message[9:12] != b"101":
                # An upgrade that was refused leaves the client speaking HTTP.
                connection.up.stream.mode = "http"

    @staticmethod
    def _means(rule: Rule, way: _Way, connection: _Connection) -> bool:
        return rule.way in ("both", way.name) and connection.request.startswith(rule.request)

    async def _write(self, connection: _Connection, way: _Way) -> None:
        while True:
            item = await way.queue.get()
            if item is None:
                await self._finish(connection, way)
                return
            due_s, data = item
            latency_s = self._latency_s(connection, way)
            await _sleep(max(0.0, due_s - self._now_s()) + latency_s)
            try:
                await self._pass(connection, way, data)
            except OSError:
                # The other end has gone; what follows has nowhere to go.
                if way.name == "up":
                    raise

    async def _finish(self, connection: _Connection, way: _Way) -> None:
        """One end has closed: tell the other, but not before a request has had its answer."""
        if way.name == "up" and way.stream.mode == "http" and connection.asked:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_WAIT_S):
                    await connection.answered.wait()
        if way.writer.can_write_eof() and not way.writer.transport.is_closing():
            way.writer.write_eof()

    def _latency_s(self, connection: _Connection, way: _Way) -> float:
        total_ms = 0.0
        for live in self._chosen(connection, way, Latency):
            toxic = live.rule.then
            if isinstance(toxic, Latency):
                total_ms += max(0, toxic.ms + live.rng.uniform(-toxic.jitter_ms, toxic.jitter_ms))
        return total_ms / 1000

    async def _pass(self, connection: _Connection, way: _Way, data: bytes) -> None:
        """Write a piece of data as slowly, and as far, as the rules let it pass."""
        slices = self._chosen(connection, way, Slice)
        toxic = slices[0].rule.then if slices else None
        size, gap_s = len(data), 0.0
        if isinstance(toxic, Slice):
            size, gap_s = toxic.bytes, toxic.gap_ms / 1000
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            piece = await self._ended(connection, way, piece)
            way.writer.write(piece)
            way.passed += len(piece)
            await way.writer.drain()
            await _sleep(gap_s + self._toll_s(connection, way, len(piece)))

    def _toll_s(self, connection: _Connection, way: _Way, size: int) -> float:
        rates = [live.rule.then for live in self._chosen(connection, way, Bandwidth)]
        return sum(size / rate.bytes_per_s for rate in rates if isinstance(rate, Bandwidth))

    async def _ended(self, connection: _Connection, way: _Way, piece: bytes) -> bytes:
        """The part of a piece that may pass; does not come back when the connection ends first."""
        for live in self._chosen(connection, way, Stall, Vanish, Reset, Close):
            toxic = live.rule.then
            if not isinstance(toxic, Stall | Vanish | Reset | Close):
                continue
            room = toxic.after_bytes - way.passed
            if room >= len(piece) or id(live) in way.stalled:
                continue
            if room > 0:
                way.writer.write(piece[:room])
                way.passed += room
                piece = piece[room:]
                await way.writer.drain()
            if isinstance(toxic, Stall) and toxic.ms:
                way.stalled.add(id(live))
                await _sleep(toxic.ms / 1000)
                continue
            if isinstance(toxic, Vanish):
                connection.gone.set()
            elif isinstance(toxic, Reset | Close):
                connection.end(abruptly=isinstance(toxic, Reset))
                raise ConnectionAbortedError("a rule has ended the connection")
            await asyncio.Event().wait()
        if connection.gone.is_set():
            await asyncio.Event().wait()
        return piece

    def _chosen(self, connection: _Connection, way: _Way, *kinds: type) -> list[_Live]:
        """Rules for bytes that mean this connection and way; each is asked once a connection."""
        found = []
        for live in self._rules:
            if not isinstance(live.rule.then, kinds) or live.rule.way not in ("both", way.name):
                continue
            if id(live) not in connection.chosen:
                connection.chosen[id(live)] = self._strikes(live)
            if connection.chosen[id(live)]:
                found.append(live)
        return found

    def _strikes(self, live: _Live) -> bool:
        return live.strikes(self._now_s())

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
