"""The shell: aiohttp around the venue. Every HTTP reply is decided in `Door.answer` and only there.

Nothing in this file knows a rule of the venue; it reads requests, lets them prove who they are,
calls one handler, delivers the events and writes the reply.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec
from aiohttp import web

from sim import admin, replies, rest_account, rest_books, rest_gamma, rest_orders
from sim.auth import l1_identity, l2_key
from sim.limits import MAX_BODY_BYTES
from sim.replies import Reply, refused
from sim.sockets import Hub
from sim.venue import Call, Guard, Route, Venue

_LOG = logging.getLogger("sim.server")

STEP_S = 0.005
SHUTDOWN_S = 0.3
ROUTES: tuple[Route, ...] = (
    *rest_orders.ROUTES,
    *rest_account.ROUTES,
    *rest_books.ROUTES,
    *rest_gamma.ROUTES,
    *admin.ROUTES,
)


@dataclass(slots=True)
class WallClock:
    """Unix milliseconds that never run backwards within this process."""

    _latest_ms: int = 0

    def now_ms(self) -> int:
        """The time."""
        self._latest_ms = max(self._latest_ms, time.time_ns() // 1_000_000)
        return self._latest_ms


@dataclass(slots=True, eq=False)
class Door:
    """Where requests come in and replies go out."""

    venue: Venue
    clock: WallClock
    hub: Hub = field(init=False)

    def __post_init__(self) -> None:
        self.hub = Hub(self.venue)

    def app(self) -> web.Application:
        """The application with all routes."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        for route in ROUTES:
            app.router.add_route(route.method, route.path, _handler(partial(self.answer, route)))
        app.router.add_get("/ws/market", self.market_socket)
        app.router.add_get("/ws/user", self.hub.serve_user)
        app.router.add_route("*", "/{rest:.*}", _handler(self.unknown))
        return app

    async def answer(self, route: Route, request: web.Request) -> web.Response:
        """One request of a known route."""
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _write(refused(replies.PAYLOAD_LIMIT, 413))
        now_ms = self.clock.now_ms()
        reply = self._reply(route, request, body, now_ms)
        self.hub.publish(reply.events)
        return _write(reply)

    async def unknown(self, _request: web.Request) -> web.Response:
        """Any other path."""
        return _write(refused(replies.NO_ROUTE))

    async def market_socket(self, request: web.Request) -> web.StreamResponse:
        """/ws/market; the first one sets a recording going."""
        self.venue.source.wake(self.clock.now_ms())
        return await self.hub.serve_market(request)

    async def run(self) -> None:
        """Let the venue's time pass until cancelled."""
        while True:
            self.hub.publish(self.venue.step(self.clock.now_ms()))
            await asyncio.sleep(STEP_S)

    def _reply(self, route: Route, request: web.Request, body: bytes, now_ms: int) -> Reply:
        call = Call(body, request.match_info, _query(request), now_ms)
        now_s = now_ms // 1000
        if route.guard is Guard.L1:
            identity = l1_identity(request.headers, now_s)
            if identity is None:
                return refused(replies.INVALID_L1, 401)
            call = Call(body, call.path, call.query, now_ms, identity=identity)
        if route.guard is Guard.L2:
            keys = self.venue.exchange.keys
            signed = request.method + request.rel_url.raw_path
            key = l2_key(keys, request.headers, signed, body, now_s)
            if key is None:
                return refused(replies.UNAUTHORIZED, 401)
            call = Call(body, call.path, call.query, now_ms, key=key)
        return route.handler(self.venue, call)


def _query(request: web.Request) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    for name, value in request.query.items():
        query.setdefault(name, []).append(value)
    return query


def _handler(
    answer: Callable[[web.Request], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await answer(request)

    return handle


def _write(reply: Reply) -> web.Response:
    if reply.text is not None:
        return web.Response(text=reply.text, status=reply.status)
    return web.Response(
        body=msgspec.json.encode(reply.body),
        status=reply.status,
        content_type="application/json",
    )
