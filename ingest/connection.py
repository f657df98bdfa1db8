"""One connection to the market channel: the only file that knows picows.

Keeps itself connected, sends PING, replaces a silent connection, and hands every text frame with
the time at which it became readable to its owner. The frame's memory is picows' own receive buffer:
it is valid during the call only.
"""

import asyncio
import logging
import random
import time
from typing import Protocol

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from ingest.backoff import delay_s
from ingest.wire import PONG
from shm.settings import IngestSettings

USER_AGENT = "polytrio"
PING = b"PING"
SETTLED_S = 5.0
"""A connection that lasted this long ends the row of failures that lengthens the wait."""
_TICK_S = 0.5
_CONTROL = {WSMsgType.CLOSE, WSMsgType.PING, WSMsgType.PONG}


class Owner(Protocol):
    """Who is told what happens on a socket. All calls come from the event loop."""

    def opened(self, number: int) -> bytes:
        """The connection is up; returns the first frame to send."""

    def received(self, number: int, frame: memoryview | bytes, readable_ns: int) -> None:
        """A text frame other than PONG."""

    def closed(self, number: int) -> None:
        """The connection is gone; nothing of it may be believed."""

    def count(self, name: str, amount: int = 1) -> None:
        """Count something."""


class Connection:
    """See the module. `run` returns only when cancelled or stopped."""

    def __init__(self, number: int, url: str, settings: IngestSettings, owner: Owner) -> None:
        self.number = number
        self._url = url
        self._settings = settings
        self._owner = owner
        self._log = logging.getLogger(f"ingest.connection{number}")
        self._random = random.Random()
        self._transport: WSTransport | None = None
        self._heard_s = 0.0
        self._stopping = False
        self._failure: Exception | None = None
        """What the owner raised: picows would log and swallow it, we end the stage with it."""

    @property
    def connected(self) -> bool:
        """Whether frames can be sent."""
        return self._transport is not None

    def send(self, frame: bytes) -> None:
        """Send a text frame; dropped when not connected (`opened` will ask for everything)."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, frame)

    def stop(self) -> None:
        """Close and do not come back."""
        self._stopping = True
        if self._transport is not None:
            self._transport.disconnect()

    async def run(self) -> None:
        """Connect, listen, reconnect."""
        failures = 0
        while not self._stopping:
            began_s = time.monotonic()
            trouble = await self._live_once()
            if self._stopping:
                return
            failures = 0 if time.monotonic() - began_s > SETTLED_S else failures + 1
            wait_s = delay_s(
                max(0, failures - 1),
                self._settings.reconnect_base_ms / 1e3,
                self._settings.reconnect_cap_s,
                self._random,
            )
            self._owner.count("reconnects")
            self._log.warning("%s: %s; again in %.2f s", self._url, trouble, wait_s)
            await asyncio.sleep(wait_s)

    async def _live_once(self) -> str:
        """One connection from start to end; returns why it ended."""
        try:
            transport, _ = await ws_connect(
                lambda: _Listener(self),
                self._url,
                max_frame_size=self._settings.max_frame_bytes,
                extra_headers={"User-Agent": USER_AGENT},
            )
        except TimeoutError:
            return "no answer to the connection request"
        except (OSError, WSError) as error:
            return f"cannot connect ({error})"
        watch = asyncio.ensure_future(self._watch(transport))
        trouble = "connection lost"
        try:
            await transport.wait_disconnected()
        except WSError as error:
            trouble = f"protocol error ({error})"
        finally:
            watch.cancel()
        if self._failure is not None:
            raise self._failure
        return trouble

    async def _watch(self, transport: WSTransport) -> None:
        """PING on time, and give up on a connection that has gone quiet."""
        next_ping_s = time.monotonic() + self._settings.ping_every_s
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = time.monotonic()
            if now_s - self._heard_s > self._settings.silence_limit_s:
                self._log.warning("silent for %d s, closing", self._settings.silence_limit_s)
                transport.disconnect(graceful=False)
                return
            if now_s >= next_ping_s:
                next_ping_s = now_s + self._settings.ping_every_s
                transport.send(WSMsgType.TEXT, PING)
                self._owner.count("pings_sent")

    # --- called by the listener ----------------------------------------------------------------

    def _on_open(self, transport: WSTransport) -> None:
        self._heard_s = time.monotonic()
        if self._stopping:
            transport.disconnect()
            return
        self._transport = transport
        self._owner.count("connections")
        transport.send(WSMsgType.TEXT, self._owner.opened(self.number))

    def _on_text(self, transport: WSTransport, frame: memoryview | bytes, readable_ns: int) -> None:
        self._heard_s = readable_ns / 1e9
        if len(frame) == len(PONG) and frame == PONG:
            self._owner.count("pongs_received")
            return
        try:
            self._owner.received(self.number, frame, readable_ns)
        except Exception as error:  # noqa: BLE001  # raised again in _live_once
            self._failure = error
            transport.disconnect(graceful=False)

    def _on_close(self) -> None:
        self._transport = None
        try:
            self._owner.closed(self.number)
        except Exception as error:  # noqa: BLE001  # raised again in _live_once
            self._failure = self._failure or error


class _Listener(WSListener):
    """Turns picows' callbacks into whole text messages. The protocol's rules are enforced here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._connection._on_open(transport)  # noqa: SLF001  # two halves of one thing

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        readable_ns = time.monotonic_ns()
        if frame.msg_type in _CONTROL:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            return
        too_long = frame.payload_size > self._connection._settings.max_frame_bytes  # noqa: SLF001
        if too_long or frame.rsv1 or frame.msg_type is WSMsgType.BINARY:
            # We offered no compression and expect no binary: this is not our protocol. picows
            # announces an oversized frame as an error and may still deliver it.
            transport.disconnect(graceful=False)
            return
        if frame.fin and frame.msg_type is WSMsgType.TEXT and not self._pieces:
            self._connection._on_text(  # noqa: SLF001
                transport, frame.get_payload_as_memoryview(), readable_ns
            )
            return
        self._take_piece(transport, frame, readable_ns)

    def _take_piece(self, transport: WSTransport, frame: WSFrame, readable_ns: int) -> None:
        starts = frame.msg_type is WSMsgType.TEXT
        self._pieces_bytes += frame.payload_size
        too_long = self._pieces_bytes > self._connection._settings.max_frame_bytes  # noqa: SLF001
        if starts == bool(self._pieces) or too_long:
            transport.disconnect(graceful=False)
            return
        self._pieces.append(frame.get_payload_as_bytes())
        if frame.fin:
            message = b"".join(self._pieces)
            self._pieces.clear()
            self._pieces_bytes = 0
            self._connection._on_text(transport, message, readable_ns)  # noqa: SLF001

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        self._connection._on_close()  # noqa: SLF001
