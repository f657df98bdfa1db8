"""A real server on a real socket, for the tests of the shell."""

import asyncio
import contextlib
import json

import aiohttp
from aiohttp import web

from sim.catalog import Catalog
from sim.mispricing import Counts
from sim.server import SHUTDOWN_S, Door, WallClock
from sim.venue import Venue
from tests.sim.traders import Trader, l1_headers
from tests.sim.worlds import world

BOOK = [("BUY", 4000, 100), ("SELL", 5000, 100), ("SELL", 5100, 100)]


class Still:
    """A source that does nothing, and knows whether it was woken."""

    def __init__(self, ladders=()):
        self.counts = Counts()
        self.woken = 0
        self._ladders = list(ladders)

    def start(self, _now_ms):
        return []

    def wake(self, _now_ms):
        self.woken += 1

    def step(self, _now_ms):
        return []

    def ladders(self):
        return self._ladders


def still_venue(levels=BOOK, **changes):
    """(venue, market, house) without a generator."""
    exchange, market, house = world(levels, **changes)
    return Venue(exchange, Catalog(), Still(), 0), market, house


class Client:
    """An HTTP and WebSocket client of one server."""

    def __init__(self, door, url, session):
        self.door, self.url, self.session = door, url, session
        self.now_s = lambda: door.clock.now_ms() // 1000

    async def call(self, method, path, body=b"", headers=None, query=""):
        """(status, decoded reply)."""
        async with self.session.request(
            method, self.url + path + query, data=body or None, headers=headers
        ) as reply:
            text = await reply.text()
            try:
                return reply.status, json.loads(text)
            except json.JSONDecodeError:
                return reply.status, text

    async def signed(self, trader, method, path, body=b"", query=""):
        """A request with L2 headers."""
        headers = trader.headers(method, path, body, self.now_s())
        return await self.call(method, path, body, headers, query)

    async def trader(self, number=1, signature_type=0):
        """A trader whose key was made over HTTP."""
        exchange = self.door.venue.exchange
        eoa_trader = Trader(exchange, number, signature_type, key="none")
        status, creds = await self.call(
            "POST", "/auth/api-key", headers=l1_headers(eoa_trader.eoa, self.now_s())
        )
        assert status == 200, creds
        eoa_trader.key = exchange.keys.get(creds["apiKey"])
        assert eoa_trader.key.public() == creds
        return eoa_trader

    def socket(self, path):
        return self.session.ws_connect(self.url + path)


@contextlib.asynccontextmanager
async def serving(venue, *, running=False, clock=None):
    """Serve a venue on a free port; `running` lets its time pass by itself."""
    door = Door(venue, clock or WallClock())
    runner = web.AppRunner(door.app(), shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    ticking = asyncio.create_task(door.run()) if running else None
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(door, f"http://127.0.0.1:{runner.addresses[0][1]}", session)
    finally:
        if ticking is not None:
            ticking.cancel()
        door.hub.drop_all()
        await runner.cleanup()


async def read(ws, count=1, timeout_s=10.0):
    """The next `count` texts of a socket."""
    async with asyncio.timeout(timeout_s):
        return [await ws.receive_str() for _ in range(count)]
