"""One connection to the market channel: keeps itself connected, whichever library carries it.

Sends PING, replaces a silent connection, and hands every text message with the time at which it
became readable to its owner. The libraries are in ingest/picows_link.py (the fast one) and
ingest/websockets_link.py (the fallback): each knows how to open a `Link`, and tells the connection
what happens on it.
"""

import asyncio
import importlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from ingest.backoff import delay_s
from ingest.wire import PONG
from shm.settings import IngestSettings

USER_AGENT = "polytrio"
PING = b"PING"
SETTLED_S = 5.0
"""A connection that lasted this long ends the row of failures that lengthens the wait."""
_TICK_S = 0.5


class CannotConnect(Exception):
    """A link could not be opened; the message says why."""


class Owner(Protocol):
    """Who is told what happens on a socket. All calls come from the event loop."""

    @property
    def keeper(self) -> object:
        """Who takes the frames; a compiled keeper is given them without a call of `take`."""

    def opened(self, number: int) -> bytes:
        """The connection is up; returns the first frame to send."""

    def take(self, frame: memoryview | bytes, readable_ns: int) -> None:
        """A text frame other than PONG. Its memory is valid during this call only."""

    def heed(self) -> None:
        """The keeper took a frame that left something to do."""

    def closed(self, number: int) -> None:
        """The connection is gone; nothing of it may be believed."""

    def count(self, name: str, amount: int = 1) -> None:
        """Count something."""


class Link(Protocol):
    """One live connection of a library. It calls `opened`, `take` and `closed` of `Connection`."""

    @property
    def heard_ns(self) -> int:
        """When the last frame became readable, PONG or not."""

    @property
    def carried(self) -> int:
        """Frames that the keeper was given without a call of `take`; PONG is none of them."""

    def send(self, frame: bytes) -> None:
        """Send a text frame."""

    def close(self) -> None:
        """End it in good order."""

    def abort(self) -> None:
        """End it at once."""

    async def wait_closed(self) -> str:
        """Wait for its end; returns why it ended."""


Opener = Callable[["Connection", str, int], Awaitable[Link]]
"""Opens a link to an address, whose messages are at most so long; raises `CannotConnect`."""


class Connection:
    """See the module. `run` returns only when cancelled or stopped."""

    def __init__(self, number: int, url: str, settings: IngestSettings, owner: Owner) -> None:
        self.number = number
        self.settings = settings
        """May be replaced at any time; the library is changed by `carry_by`."""
        self.owner = owner
        self._url = url
        self._library: str = settings.socket
        self._open = opener(settings.socket)
        self._log = logging.getLogger(f"ingest.connection{number}")
        self._random = random.Random()
        self._link: Link | None = None
        self._stopping = False
        self._changing = False
        """Its link ends because we wanted that: no failure, and no wait."""
        self._taken = 0
        self._failure: Exception | None = None
        """What the owner raised: a library would log and swallow it, we end the stage with it."""

    @property
    def connected(self) -> bool:
        """Whether frames can be sent."""
        return self._link is not None

    @property
    def carried(self) -> int:
        """Frames of this connection with something in them; PONG and an empty answer have not."""
        return self._taken + (self._link.carried if self._link is not None else 0)

    def send(self, frame: bytes) -> None:
        """Send a text frame; dropped when not connected (`opened` will ask for everything)."""
        if self._link is not None:
            self._link.send(frame)

    def carry_by(self, library: str) -> None:
        """Let another library carry it from now on: it is opened anew, and its books with it."""
        if library == self._library:
            return
        self._library = library
        self._open = opener(library)
        self.reopen()

    def reopen(self) -> None:
        """Begin anew at once, with another library or keeper."""
        self._changing = True
        if self._link is not None:
            self._link.abort()

    def give_up(self) -> None:
        """End a link that lives and carries nothing: a failure like any other, and waited after."""
        if self._link is not None:
            self._link.abort()

    def stop(self) -> None:
        """Close and do not come back."""
        self._stopping = True
        if self._link is not None:
            self._link.close()

    async def run(self) -> None:
        """Connect, listen, reconnect."""
        failures = 0
        while not self._stopping:
            began_s = time.monotonic()
            trouble = await self._live_once()
            if self._stopping:
                return
            if self._changing:
                self._changing = False
                self._log.warning("opened anew: carried by %s", self._library)
                continue
            failures = 0 if time.monotonic() - began_s > SETTLED_S else failures + 1
            wait_s = delay_s(
                max(0, failures - 1),
                self.settings.reconnect_base_ms / 1e3,
                self.settings.reconnect_cap_s,
                self._random,
            )
            self.owner.count("reconnects")
            self._log.warning("%s: %s; again in %.2f s", self._url, trouble, wait_s)
            await asyncio.sleep(wait_s)

    async def _live_once(self) -> str:
        """One connection from start to end; returns why it ended."""
        try:
            link = await self._open(self, self._url, self.settings.max_frame_bytes)
        except CannotConnect as error:
            return str(error)
        watch = asyncio.ensure_future(self._watch(link))
        try:
            trouble = await link.wait_closed()
        finally:
            watch.cancel()
        if self._failure is not None:
            raise self._failure
        return trouble

    async def _watch(self, link: Link) -> None:
        """PING on time, and give up on a connection that has gone quiet."""
        next_ping_s = time.monotonic() + self.settings.ping_every_s
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = time.monotonic()
            if now_s - link.heard_ns / 1e9 > self.settings.silence_limit_s:
                self._log.warning("silent for %d s, closing", self.settings.silence_limit_s)
                link.abort()
                return
            next_ping_s = min(next_ping_s, now_s + self.settings.ping_every_s)
            if now_s >= next_ping_s:
                next_ping_s = now_s + self.settings.ping_every_s
                link.send(PING)
                self.owner.count("pings_sent")

    # --- called by the link ---------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        """The handshake is done."""
        if self._stopping:
            link.close()
            return
        self._link = link
        self.owner.count("connections")
        link.send(self.owner.opened(self.number))

    def take(self, frame: memoryview | bytes, readable_ns: int) -> None:
        """A whole text message."""
        if len(frame) == len(PONG) and frame == PONG:
            self.owner.count("pongs_received")
        else:
            self._taken += len(frame) > len(PONG)
            self.owner.take(frame, readable_ns)

    def fail(self, error: Exception) -> None:
        """Remember what went wrong with a frame: the connection's task ends with it."""
        self._failure = self._failure or error

    def closed(self) -> None:
        """The connection is gone."""
        self._link = None
        try:
            self.owner.closed(self.number)
        except Exception as error:  # noqa: BLE001  # raised again in _live_once
            self.fail(error)


def opener(library: str) -> Opener:
    """How a library opens its links. Only the one that is wanted is loaded."""
    open_link: Opener = importlib.import_module(f"ingest.{library}_link").open_link
    return open_link
