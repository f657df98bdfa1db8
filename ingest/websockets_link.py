"""The market channel over the websockets library: the fallback when picows is in doubt.

Slower, and stricter than the fast way: the library itself joins pieces, checks UTF-8, bounds the
length and answers control frames. What it lets through means the same to the connection.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine

import websockets
from websockets.asyncio.client import ClientConnection

from ingest.connection import USER_AGENT, CannotConnect, Connection
from shm.direct import connect_directly

OPEN_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0


class Session:
    """One live connection; see ingest.connection.Link."""

    def __init__(self, connection: Connection, socket: ClientConnection) -> None:
        self._connection = connection
        self._socket = socket
        self._doing: set[asyncio.Task[None]] = set()
        self.heard_ns = time.monotonic_ns()
        self.carried = 0  # all go by way of the connection, which counts them

    def send(self, frame: bytes) -> None:
        """See Link. Frames leave in the order of the calls."""
        self._do(self._send(frame.decode()))

    async def _send(self, text: str) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):  # `wait_closed` tells
            await self._socket.send(text)

    def close(self) -> None:
        """See Link."""
        self._do(self._socket.close())

    def _do(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    def abort(self) -> None:
        """See Link."""
        self._socket.transport.abort()

    async def wait_closed(self) -> str:
        """Hand on every message until the connection ends."""
        try:
            return await self._listen()
        except websockets.ConnectionClosedOK:
            return "connection lost"
        except websockets.ConnectionClosed as error:
            return "connection lost" if error.rcvd is None else f"protocol error ({error})"
        finally:
            self.abort()
            self._connection.closed()

    async def _listen(self) -> str:
        while True:
            message = await self._socket.recv()
            self.heard_ns = time.monotonic_ns()
            if isinstance(message, bytes):
                return "protocol error (a binary message)"
            try:
                self._connection.take(message.encode(), self.heard_ns)
            except Exception as error:  # noqa: BLE001  # raised again in Connection._live_once
                self._connection.fail(error)
                return "a message could not be taken"


async def open_link(connection: Connection, url: str, longest: int) -> Session:
    """See ingest.connection.Opener."""
    try:
        socket = await connect_directly(
            url,
            compression=None,
            max_size=longest,
            user_agent_header=USER_AGENT,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,  # the venue wants the word PING
        )
    except TimeoutError:
        raise CannotConnect("no answer to the connection request") from None
    except (OSError, websockets.WebSocketException) as error:
        raise CannotConnect(f"cannot connect ({error})") from None
    session = Session(connection, socket)
    connection.opened(session)
    return session
