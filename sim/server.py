"""The shell: aiohttp around the venue: its routes, its clock, and the passing of time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web

from sim import admin, exits, replies, rest_account, rest_books, rest_gamma, rest_orders, stagehand
from sim.exits import Clock
from sim.garbling import wire_of
from sim.limits import MAX_BODY_BYTES
from sim.passage import Passage
from sim.replies import refused
from sim.sockets import Hub
from sim.venue import Route, Venue

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
    clock: Clock
    hub: Hub = field(init=False)
    passage: Passage = field(init=False)

    def __post_init__(self) -> None:
        self.hub = Hub(self.venue, self.clock)
        self.passage = Passage(self.venue, self.clock, self.hub.publish)
        self.venue.exchange.faults.perform = partial(stagehand.perform, self.venue)

    def app(self) -> web.Application:
        """The application with all routes."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        for route in ROUTES:
            answer = _handler(partial(self.passage.answer, route))
            app.router.add_route(route.method, route.path, answer)
        app.router.add_get("/ws/market", self.market_socket)
        app.router.add_get("/ws/user", self.user_socket)
        app.router.add_route("*", "/{rest:.*}", _handler(self.unknown))
        return app

    async def unknown(self, _request: web.Request) -> web.Response:
        """Any other path."""
        return exits.written(wire_of(refused(replies.NO_ROUTE)))

    async def market_socket(self, request: web.Request) -> web.StreamResponse:
        """/ws/market; the first one sets a recording going."""
        self.venue.source.wake(self.clock.now_ms())
        serve = partial(self.hub.serve_market, request)
        return await self.passage.upgrade("GET /ws/market", request, serve)

    async def user_socket(self, request: web.Request) -> web.StreamResponse:
        """/ws/user."""
        serve = partial(self.hub.serve_user, request)
        return await self.passage.upgrade("GET /ws/user", request, serve)

    async def run(self) -> None:
        """Let the venue's time pass until cancelled."""
        while True:
            self.step()
            await asyncio.sleep(STEP_S)

    def step(self) -> None:
        """Let the venue's time pass up to now."""
        self.hub.publish(self.venue.step(self.clock.now_ms()))
        self.hub.flush()


def _handler(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    # aiohttp looks whether a handler is a coroutine function; a partial of a method is not one.
    async def handle(request: web.Request) -> web.StreamResponse:
        return await answer(request)

    return handle
