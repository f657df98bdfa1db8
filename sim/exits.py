"""How a request ends on the wire: an ordinary reply, a broken one, an end of the connection, never.

What aiohttp would refuse to send is written to the transport as it is.
"""

import asyncio
import socket
import struct
from typing import Protocol

from aiohttp import web

from sim.effects import Close, Reset
from sim.garbling import Wire
from sim.limits import CONNECTION_WATCH_S

TICK_S = 0.002
_NO_LINGER = struct.pack("ii", 1, 0)


class Clock(Protocol):
    """Where the time comes from."""

    def now_ms(self) -> int:
        """Unix milliseconds that never run backwards."""


async def until(clock: Clock, due_ms: int) -> None:
    """Wait for a time of the venue's clock, which tests may set forward."""
    while clock.now_ms() < due_ms:
        await asyncio.sleep(TICK_S)


def is_gone(http: web.Request) -> bool:
    """Whether the client has given up the connection."""
    return http.transport is None or http.transport.is_closing()


def written(wire: Wire) -> web.Response:
    """An ordinary reply for aiohttp to send."""
    headers = {"Content-Type": wire.content_type, **wire.headers}
    return web.Response(body=wire.body, status=wire.status, headers=headers)


def broken(http: web.Request, wire: Wire) -> web.Response:
    """Send a reply whose length is a lie, and end the connection."""
    if http.transport is not None:
        http.transport.write(wire.raw())
        http.transport.close()
    return web.Response()


async def never(http: web.Request) -> web.Response:
    """Say nothing until the client has gone."""
    while not is_gone(http):
        await asyncio.sleep(CONNECTION_WATCH_S)
    return web.Response()


def cut(http: web.Request, how: Close | Reset, raw: bytes) -> web.Response:
    """End the connection, after the first bytes of a reply if `how` says so."""
    transport = http.transport
    if transport is not None:
        if isinstance(how, Close):
            if how.bytes and raw:
                transport.write(raw[: how.bytes])
            transport.close()
        else:
            reset(transport)
    return web.Response()


def reset(transport: asyncio.WriteTransport) -> None:
    """End a connection with RST."""
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
