"""One connection to the live market channel: subscribes, listens, and comes back with backoff.

The venue sends no sequence numbers and may fall silent with the socket open, so a line that hears
nothing is given up, and a token that got no snapshot is asked for again.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

import aiohttp

from sim.events import Event
from sim.exits import Clock
from sim.mirror import Mirror

PING_S = 10.0
SILENCE_S = 30.0
"""Without any frame for this long the socket is dead,"""
DATA_SILENCE_S = 60.0
"""and without a frame that is no PONG the data behind it."""
TICK_S = 1.0
ASK_AGAIN_S = 5.0
BACKOFF_BASE_S = 0.25
BACKOFF_CAP_S = 30.0
FRAME_BYTES_MAX = 16 * 2**20
_LOG = logging.getLogger("sim.mirror")


class Silent(Exception):
    """The line is open and nothing comes."""


@dataclass(slots=True, eq=False)
class Line:
    """A line for some tokens; whoever changes `tokens` calls `ask`."""

    url: str
    mirror: Mirror
    clock: Clock
    publish: Callable[[Iterable[Event], int], None]
    rng: Random
    tokens: set[str] = field(default_factory=set)
    trouble: str = "not connected yet"
    """Why nothing is heard, or ""."""
    _asked: set[str] = field(default_factory=set)
    _socket: aiohttp.ClientWebSocketResponse | None = None
    _failures: int = 0

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Listen until cancelled."""
        while True:
            if not self.tokens:
                await asyncio.sleep(TICK_S)
                continue
            try:
                async with session.ws_connect(self.url, max_msg_size=FRAME_BYTES_MAX) as socket:
                    self._socket = socket
                    await self._listen(socket)
            except (aiohttp.ClientError, OSError, TimeoutError, Silent) as error:
                self._lose(str(error) or type(error).__name__)
            else:
                self._lose("the live venue has hung up")
            finally:
                self._socket = None
            self._failures += 1
            await asyncio.sleep(pause_s(self._failures, self.rng))

    def _lose(self, why: str) -> None:
        """Withdraw all books of this line, at once."""
        if not self.trouble or self._failures == 0:
            _LOG.warning("live feed lost (%s); the books are withdrawn; connecting again", why)
        self.trouble = f"{self.url}: {why}"
        now_ms = self.clock.now_ms()
        self.publish(self.mirror.lost(self._asked or self.tokens, now_ms), now_ms)
        self._asked = set()

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._asked = set()
        await self.ask()
        pinged_s = heard_s = data_s = asked_s = time.monotonic()
        while True:
            message: aiohttp.WSMessage | None = None
            with contextlib.suppress(TimeoutError):
                message = await socket.receive(TICK_S)
            now_s = time.monotonic()
            if message is not None:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                heard_s = now_s
                if message.data != "PONG":
                    data_s = now_s
                    self._hear(message.data)
            if now_s - heard_s > SILENCE_S or now_s - data_s > DATA_SILENCE_S:
                raise Silent("nothing comes although the connection stands")
            if now_s - pinged_s > PING_S:
                pinged_s = now_s
                await socket.send_str("PING")
            if now_s - asked_s > ASK_AGAIN_S or (self.mirror.doubted and now_s - asked_s > TICK_S):
                asked_s = now_s
                await self._ask_again(socket)

    def _hear(self, text: str) -> None:
        now_ms = self.clock.now_ms()
        self.publish(self.mirror.hear(text, now_ms), now_ms)
        if self.trouble:
            if self._failures:
                _LOG.warning("live feed is back")
                # Much may have happened meanwhile; and Gamma may have been away, too.
                self.mirror.news = True
            self.trouble = ""
            self._failures = 0

    async def ask(self) -> None:
        """Subscribe to what is new and give up what is not wanted any more."""
        socket = self._socket
        if socket is None or socket.closed:
            return
        new, gone = sorted(self.tokens - self._asked), sorted(self._asked - self.tokens)
        first = not self._asked
        self._asked = set(self.tokens)
        with contextlib.suppress(aiohttp.ClientError, OSError):
            if new:
                how = {"type": "market"} if first else {"operation": "subscribe"}
                await _say(socket, how, new)
            if gone:
                await _say(socket, {"operation": "unsubscribe"}, gone)

    async def _ask_again(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """New snapshots of what is in doubt or has had none; a second subscription gets none."""
        doubted = self.mirror.doubted & self._asked
        self.mirror.doubted -= doubted
        again = sorted(doubted | self.mirror.stale(self._asked))
        if again:
            await _say(socket, {"operation": "unsubscribe"}, again)
            await _say(socket, {"operation": "subscribe"}, again)


async def _say(
    socket: aiohttp.ClientWebSocketResponse, how: dict[str, str], tokens: list[str]
) -> None:
    await socket.send_str(json.dumps({**how, "assets_ids": tokens, "custom_feature_enabled": True}))


def pause_s(failures: int, rng: Random) -> float:
    """Full jitter below a ceiling that doubles with each failure in a row."""
    return rng.uniform(0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(failures, 16)))
