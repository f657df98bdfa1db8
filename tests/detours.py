"""Ways in which somebody leads a client elsewhere: a redirect, and a proxy of the environment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import serve


@dataclass
class Detours:
    """Where nobody should come."""

    redirect: Callable[..., Any]
    """`process_request` of a websocket server that sends everybody elsewhere."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody was redirected."""
    taken: list[str] = field(default_factory=list)
    """What came there."""


@asynccontextmanager
async def detours(
    monkeypatch: pytest.MonkeyPatch, status: int = HTTPStatus.FOUND
) -> AsyncIterator[Detours]:
    """Both, for as long as this lasts; the proxy is in every variable that names one."""

    async def elsewhere(socket: Any) -> None:
        found.taken.append(f"redirected: {await socket.recv()!r}")

    async def proxy(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.taken.append("by proxy")
        writer.close()

    def redirect(connection: Any, _request: Any) -> Any:
        reply = connection.respond(status, "")
        reply.headers["Location"] = f"ws://127.0.0.1:{port_of(other)}/"
        found.asked.set()
        return reply

    found = Detours(redirect)
    async with (
        serve(elsewhere, "127.0.0.1", 0) as other,
        await asyncio.start_server(proxy, "127.0.0.1", 0) as between,
    ):
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
            for variable in (name, name.upper()):
                monkeypatch.setenv(variable, f"http://127.0.0.1:{port_of(between)}")
        for variable in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        yield found


def port_of(server: Any) -> int:
    """Where it listens."""
    port: int = server.sockets[0].getsockname()[1]
    return port
