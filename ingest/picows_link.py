"""The market channel over picows, the fast way: the only file that knows it.

picows hands out its own receive buffer, valid during the call only, and leaves the protocol's rules
to its user: they are enforced here. Frames that came with one read of the socket became readable
together and carry one stamp.
"""

import socket
import time

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from ingest.connection import USER_AGENT, CannotConnect, Connection
from shm import backend

RECEIVE_BYTES = 2**19
"""What the kernel is to keep for us while we are late; it grants no more than `net.core.rmem_max`.

picows doubles its buffer whenever one read has filled it, and never gives any back: so the longest
read is the bound of our memory, and there can be none longer than what the kernel keeps. Beyond it
the sender waits.
"""
_CONTROL = {WSMsgType.CLOSE, WSMsgType.PING, WSMsgType.PONG}


class Session:
    """One live connection, and what every frame means that is not a whole text message.

    Both listeners (the plain one below and ingest/listener.pyx) hand such frames to `other`.
    """

    def __init__(self, connection: Connection, longest: int) -> None:
        self._connection = connection
        self._longest = longest
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._transport: WSTransport | None = None
        self.listener = make_listener(self, connection.owner.keeper, longest)

    # --- see ingest.connection.Link -------------------------------------------------------------

    @property
    def heard_ns(self) -> int:
        """See Link."""
        return self.listener.heard_ns

    @property
    def carried(self) -> int:
        """See Link."""
        return self.listener.carried

    @property
    def _live(self) -> WSTransport:
        assert self._transport is not None, "a session is given away when it is open"
        return self._transport

    def send(self, frame: bytes) -> None:
        """See Link."""
        self._live.send(WSMsgType.TEXT, frame)

    def close(self) -> None:
        """See Link."""
        self._live.disconnect()

    def abort(self) -> None:
        """See Link."""
        self._live.disconnect(graceful=False)

    async def wait_closed(self) -> str:
        """See Link."""
        try:
            await self._live.wait_disconnected()
        except WSError as error:
            return f"protocol error ({error})"
        return "connection lost"

    # --- called by the listener -----------------------------------------------------------------

    def opened(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport
        stream = transport.underlying_transport.get_extra_info("socket")
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self._connection.opened(self)

    def closed(self) -> None:
        """The connection is gone."""
        self._connection.closed()

    def whole(self, transport: WSTransport, payload: memoryview | bytes, readable_ns: int) -> None:
        """A whole text message."""
        try:
            self._connection.take(payload, readable_ns)
        except Exception as error:  # noqa: BLE001  # raised again in Connection._live_once
            self.fail(transport, error)

    def heed(self) -> None:
        """The compiled listener gave the keeper a frame that left something to do."""
        self._connection.owner.heed()

    def fail(self, transport: WSTransport, error: Exception) -> None:
        """End the connection with an error, which ends the stage."""
        self._connection.fail(error)
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
        self.carried = 0  # all go by way of the connection, which counts them
        self._session = session
        self._longest = longest
        self._same_read = False
        self._in_pieces = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._session.opened(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """The connection is gone."""
        self._session.closed()

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


def make_listener(session: Session, keeper: object, longest: int) -> PlainListener:
    """The compiled listener for a compiled keeper, the plain one for any other."""
    if backend.NATIVE and isinstance(keeper, backend.compiled("ingest.native").Keeper):
        listener: PlainListener = backend.compiled("ingest.listener").Listener(
            session, keeper, longest
        )
        return listener
    return PlainListener(session, keeper, longest)


async def open_link(connection: Connection, url: str, longest: int) -> Session:
    """See ingest.connection.Opener."""
    sessions: list[Session] = []

    def listen() -> WSListener:
        sessions.append(Session(connection, longest))
        return sessions[-1].listener

    try:
        await ws_connect(
            listen,
            url,
            max_frame_size=longest,
            max_redirects=0,
            extra_headers={"User-Agent": USER_AGENT},
        )
    except TimeoutError:
        raise CannotConnect("no answer to the connection request") from None
    except (OSError, WSError) as error:
        raise CannotConnect(f"cannot connect ({error})") from None
    return sessions[-1]
