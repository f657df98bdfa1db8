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
from shm import backend
from shm.settings import IngestSettings

USER_AGENT = "polytrio"
PING = b"PING"
SETTLED_S = 5.0
"""A connection that lasted this long ends the row of failures that lengthens the wait."""
_TICK_S = 0.5
_CONTROL = {WSMsgType.CLOSE, WSMsgType.PING, WSMsgType.PONG}


class Owner(Protocol):
    """Who is told what happens on a socket. All calls come from the event loop."""

    @property
    def keeper(self) -> object:
        """Who takes the frames; a compiled keeper is given them without a call of `take`."""

    def opened(self, number: int) -> bytes:
        """The connection is up; returns the first frame to send."""

    def take(self, frame: memoryview | bytes, readable_ns: int) -> None:
        """A text frame other than PONG."""

    def heed(self) -> None:
        """The keeper took a frame that left something to do."""

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
        self._listener: PlainListener | None = None
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
                self._listen,
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

    def _listen(self) -> WSListener:
        self._listener = make_listener(self, self._owner.keeper, self._settings.max_frame_bytes)
        return self._listener

    async def _watch(self, transport: WSTransport) -> None:
        """PING on time, and give up on a connection that has gone quiet."""
        next_ping_s = time.monotonic() + self._settings.ping_every_s
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = time.monotonic()
            assert self._listener is not None
            if now_s - self._listener.heard_ns / 1e9 > self._settings.silence_limit_s:
                self._log.warning("silent for %d s, closing", self._settings.silence_limit_s)
                transport.disconnect(graceful=False)
                return
            if now_s >= next_ping_s:
                next_ping_s = now_s + self._settings.ping_every_s
                transport.send(WSMsgType.TEXT, PING)
                self._owner.count("pings_sent")

    # --- called by the session -----------------------------------------------------------------

    def opened(self, transport: WSTransport) -> None:
        """The handshake is done."""
        if self._stopping:
            transport.disconnect()
            return
        self._transport = transport
        self._owner.count("connections")
        transport.send(WSMsgType.TEXT, self._owner.opened(self.number))

    def take(self, frame: memoryview | bytes, readable_ns: int) -> None:
        """A whole text message."""
        if len(frame) == len(PONG) and frame == PONG:
            self._owner.count("pongs_received")
        else:
            self._owner.take(frame, readable_ns)

    def heed(self) -> None:
        """The keeper was given a frame that left something to do."""
        self._owner.heed()

    def fail(self, error: Exception) -> None:
        """Remember what went wrong with a frame: the connection's task ends with it."""
        self._failure = error

    def closed(self) -> None:
        """The connection is gone."""
        self._transport = None
        try:
            self._owner.closed(self.number)
        except Exception as error:  # noqa: BLE001  # raised again in _live_once
            self._failure = self._failure or error


class Session:
    """One live connection: what every frame means that is not a whole text message.

    The protocol's rules are enforced here, because picows leaves them to its user. Both listeners
    (the plain one below and ingest/listener.pyx) hand such frames to `other`.
    """

    def __init__(self, connection: Connection, longest: int) -> None:
        self.connection = connection
        self._longest = longest
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0

    def whole(self, transport: WSTransport, payload: memoryview | bytes, readable_ns: int) -> None:
        """A whole text message."""
        try:
            self.connection.take(payload, readable_ns)
        except Exception as error:  # noqa: BLE001  # raised again in Connection._live_once
            self.fail(transport, error)

    def heed(self) -> None:
        """The compiled listener gave the keeper a frame that left something to do."""
        self.connection.heed()

    def fail(self, transport: WSTransport, error: Exception) -> None:
        """End the connection with an error, which ends the stage."""
        self.connection.fail(error)
        transport.disconnect(graceful=False)

    def other(self, transport: WSTransport, frame: WSFrame, readable_ns: int) -> bool:
        """Any other frame; whether a message is left that has come in part only."""
        if frame.msg_type in _CONTROL:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
        elif frame.payload_size > self._longest or frame.rsv1 or frame.msg_type is WSMsgType.BINARY:
            # We offered no compression and expect no binary: this is not our protocol. picows
            # announces an oversized frame as an error and may still deliver it.
            transport.disconnect(graceful=False)
        elif frame.fin and frame.msg_type is WSMsgType.TEXT and not self._pieces:
            self.whole(transport, frame.get_payload_as_memoryview(), readable_ns)
        else:
            self._take_piece(transport, frame, readable_ns)
        return bool(self._pieces)

    def _take_piece(self, transport: WSTransport, frame: WSFrame, readable_ns: int) -> None:
        starts = frame.msg_type is WSMsgType.TEXT
        self._pieces_bytes += frame.payload_size
        if starts == bool(self._pieces) or self._pieces_bytes > self._longest:
            transport.disconnect(graceful=False)
            return
        self._pieces.append(frame.get_payload_as_bytes())
        if frame.fin:
            message = b"".join(self._pieces)
            self._pieces.clear()
            self._pieces_bytes = 0
            self.whole(transport, message, readable_ns)


class PlainListener(WSListener):
    """picows' callbacks in Python; ingest/listener.pyx has the same interface."""

    def __init__(self, session: Session, keeper: object, longest: int) -> None:  # noqa: ARG002
        self.heard_ns = time.monotonic_ns()
        self._session = session
        self._longest = longest
        self._same_read = False
        self._in_pieces = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._session.connection.opened(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """The connection is gone."""
        self._session.connection.closed()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame; its memory is valid during this call only."""
        # Frames that came with one read of the socket became readable together.
        if not self._same_read:
            self.heard_ns = time.monotonic_ns()
        self._same_read = not frame.last_in_buffer
        whole = frame.fin and frame.msg_type is WSMsgType.TEXT and not frame.rsv1
        if whole and not self._in_pieces and frame.payload_size <= self._longest:
            payload = frame.get_payload_as_memoryview()
            self._session.whole(transport, payload, self.heard_ns)
        else:
            self._in_pieces = self._session.other(transport, frame, self.heard_ns)


def make_listener(connection: Connection, keeper: object, longest: int) -> PlainListener:
    """The compiled listener for a compiled keeper, the plain one for any other."""
    session = Session(connection, longest)
    if backend.NATIVE and isinstance(keeper, backend.compiled("ingest.native").Keeper):
        listener: PlainListener = backend.compiled("ingest.listener").Listener(
            session, keeper, longest
        )
        return listener
    return PlainListener(session, keeper, longest)
