"""The user channel: our own trades as they happen. The only file that knows websockets.

There is no replay and no sequence number, so after every (re)connect the owner compares with REST.
"""

import asyncio
import logging
import random
from collections.abc import Callable

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection

from executor.auth import Credentials
from executor.wire import Trade
from shm.direct import connect_directly
from shm.errors import UNREADABLE

PING_EVERY_S = 10.0
RECONNECT_BASE_S = 0.25
RECONNECT_CAP_S = 10.0
FRAME_BYTES_MAX = 4 * 2**20
OPEN_TIMEOUT_S = 5.0
SILENCE_LIMIT_S = 30.0


class _Head(msgspec.Struct):
    event_type: str = ""


_decode_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_decode_trade = msgspec.json.Decoder(Trade).decode


def trades_in(frame: bytes) -> list[Trade] | None:
    """Trades of a frame ([] for PONG and order events); None if it cannot be understood."""
    stripped = frame.strip()
    if stripped == b"PONG":
        return []
    try:
        is_array = stripped.startswith(b"[")
        parts = _decode_parts(stripped) if is_array else [msgspec.Raw(stripped)]
        return [_decode_trade(part) for part in parts if _decode_head(part).event_type == "trade"]
    except UNREADABLE:
        return None


class UserChannel:
    """Keeps the channel open. `up` tells whether fills would be seen at present."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        on_trade: Callable[[Trade], None],
        on_count: Callable[[str], None],
    ) -> None:
        self._url = url
        self._credentials = credentials
        self._on_trade = on_trade
        self._on_count = on_count
        self._log = logging.getLogger("executor.user")
        self.up = False
        self.connections = 0
        """How often the channel was opened; it may have missed something before each."""
        self._channel: ClientConnection | None = None

    def renew(self) -> None:
        """Open it anew: after a sleep the other side may have forgotten it."""
        self.up = False
        if self._channel is not None:
            self._channel.transport.abort()

    async def run(self) -> None:
        """Connect, listen, reconnect; until cancelled."""
        failures = 0
        while True:
            try:
                async with connect_directly(
                    self._url,
                    max_size=FRAME_BYTES_MAX,
                    open_timeout=OPEN_TIMEOUT_S,
                    ping_interval=None,  # the venue wants the word PING
                ) as channel:
                    failures = 0
                    self._channel = channel
                    await self._listen(channel)
                trouble = "closed"
            except (OSError, TimeoutError, websockets.WebSocketException) as error:
                trouble = str(error) or type(error).__name__
            finally:
                self.up, self._channel = False, None
            ceiling_s = min(RECONNECT_CAP_S, RECONNECT_BASE_S * 2 ** min(failures, 16))
            wait_s = random.uniform(0, ceiling_s)
            failures += 1
            self._on_count("reconnects")
            self._log.warning("user channel: %s; again in %.2f s", trouble, wait_s)
            await asyncio.sleep(wait_s)

    async def _listen(self, channel: ClientConnection) -> None:
        await channel.send(self._greeting())
        pings = asyncio.ensure_future(self._ping(channel))
        self.up = True
        self.connections += 1
        try:
            while True:
                async with asyncio.timeout(SILENCE_LIMIT_S):
                    frame = await channel.recv(decode=False)
                self._take(frame)
        except websockets.ConnectionClosed:
            return
        finally:
            pings.cancel()

    def _take(self, frame: bytes) -> None:
        trades = trades_in(frame)
        if trades is None:
            self._log.warning("a frame that cannot be understood: %r", frame[:200])
            self._on_count("post_errors")
            return
        for trade in trades:
            self._on_trade(trade)

    def _greeting(self) -> str:
        auth = {
            "apiKey": self._credentials.key,
            "secret": self._credentials.secret,
            "passphrase": self._credentials.passphrase,
        }
        return msgspec.json.encode({"type": "user", "auth": auth}).decode()

    async def _ping(self, channel: ClientConnection) -> None:
        while True:
            await asyncio.sleep(PING_EVERY_S)
            try:
                await channel.send("PING")
            except websockets.ConnectionClosed:
                return  # whoever listens finds out, too
