"""A running server with a script of faults and a clock that the test turns by hand."""

import asyncio
import contextlib
import json

import aiohttp

from tests.sim.live import BOOK, read, serving, still_venue
from tests.sim.traders import NOW_MS
from tests.sim.worlds import TOKENS

GIVE_UP_S = 0.15
"""How long a client here waits for a reply that never comes."""


class HandClock:
    """Time passes when the test says so."""

    def __init__(self):
        self.ms = NOW_MS

    def now_ms(self):
        return self.ms


class Stage:
    """What a scenario needs: the server, its market, a client, and the exchange's own pages."""

    def __init__(self, client, market, house, clock):
        self.client, self.market, self.house, self.clock = client, market, house, clock
        self.exchange = client.door.venue.exchange

    async def script(self, *rules, clear=()):
        """Put rules in force over HTTP; returns the list."""
        body = json.dumps({"clear": clear, "add": rules}).encode()
        status, reply = await self.client.call("POST", "/sim/faults", body)
        assert status == 200, reply
        return reply["rules"]

    def rule(self, name):
        """(seen, done) of a rule."""
        (row,) = [row for row in self.exchange.faults.rows() if row["name"] == name]
        return row["seen"], row["done"]

    async def later(self, ms):
        """Let time pass, then let everything that waits for it run."""
        self.clock.ms += ms
        self.client.door.step()
        await asyncio.sleep(0.02)

    async def request(self, trader, method, path, body=b""):
        """(status, headers, bytes) of a signed request, undecoded."""
        headers = trader.headers(method, path, body, self.client.now_s())
        async with self.client.session.request(
            method, self.client.url + path, data=body or None, headers=headers
        ) as reply:
            return reply.status, reply.headers, await reply.read()

    async def lost(self, trader, method, path, body=b""):
        """Send a request whose reply never comes: the client gives up and closes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GIVE_UP_S):
                reply = await self.request(trader, method, path, body)
                raise AssertionError(f"a reply came: {reply}")

    async def broken(self, trader, method, path, body=b""):
        """Send a request whose connection breaks; returns the client's error."""
        try:
            reply = await self.request(trader, method, path, body)
        except aiohttp.ClientError as error:
            return error
        raise AssertionError(f"a reply came: {reply}")

    async def post(self, trader, *bodies):
        """POST /orders; (status, decoded reply)."""
        return await self.client.signed(trader, "POST", "/orders", batch(*bodies))

    def buy(self, trader, price=5000, shares=10, kind="FOK", **changes):
        """A YES purchase as an order body; it takes 0.50 from the book."""
        return trader.body(self.market, 0, "BUY", price, shares, kind=kind, **changes)

    def truth(self, kind, **wanted):
        """Lines of the truth log of a kind, with these members."""
        lines = self.exchange.truth.since(0, 100_000)
        return [
            line
            for line in lines
            if line["kind"] == kind and all(line.get(k) == v for k, v in wanted.items())
        ]

    def accepted(self):
        """Hashes of all orders that the exchange has ever accepted, in order."""
        return [line["order_id"] for line in self.truth("order", accepted=True)]

    async def outcome(self, order_id):
        """The exchange's own row of an order, or None."""
        _, reply = await self.client.call("GET", "/sim/orders", query=f"?hash={order_id}")
        return reply["orders"][0] if reply["orders"] else None

    def hash_of(self, body):
        """The order id of an order body."""
        from sim.reading import id_of
        from sim.wire import parse_submission

        return id_of(self.exchange, parse_submission(body))

    def cash(self, trader):
        return self.exchange.floor.ledger.cash_usd_e6(trader.wallet)

    def held(self, trader, outcome=0):
        return self.exchange.floor.ledger.position_e6(trader.wallet, TOKENS[outcome])

    @contextlib.asynccontextmanager
    async def listening(self, trader):
        """The user channel of a trader, logged in."""
        async with self.client.socket("/ws/user") as ws:
            await ws.send_str(json.dumps({"type": "user", "auth": trader.key.public()}))
            await ws.send_str("PING")
            assert await read(ws) == ["PONG"]
            yield ws

    @contextlib.asynccontextmanager
    async def watching(self, *tokens, custom=False, dump=True):
        """The market channel with tokens (YES if none), after its first dump."""
        async with self.client.socket("/ws/market") as ws:
            asked = {"type": "market", "assets_ids": list(tokens or TOKENS[:1])}
            await ws.send_str(json.dumps(asked | {"custom_feature_enabled": custom}))
            if dump:
                await read(ws)
            yield ws

    def quote(self, side="BUY", price=3000, shares=5):
        """The house changes one level."""
        from sim.order import Side

        wanted = [((Side(side), price), shares * 1_000_000)]
        events = self.house.set_levels(self.market, wanted, self.clock.ms)
        self.client.door.hub.publish(events)


def batch(*bodies):
    return b"[" + b",".join(bodies) + b"]"


async def heard(ws):
    """Every text that has been sent to a socket so far; the last PONG ends it."""
    await ws.send_str("PING")
    texts = []
    while True:
        (text,) = await read(ws)
        if text == "PONG":
            return texts
        texts.append(text)


@contextlib.asynccontextmanager
async def staged(*rules, levels=BOOK, **facts):
    """A stage on a real socket, with rules in force."""
    venue, market, house = still_venue(levels, **facts)
    clock = HandClock()
    async with serving(venue, clock=clock) as client:
        stage = Stage(client, market, house, clock)
        await stage.script(*rules)
        yield stage


def scenario(function):
    """A test that is a coroutine."""

    def test(*arguments, **named):
        asyncio.run(function(*arguments, **named))

    test.__name__ = function.__name__
    test.__doc__ = function.__doc__
    test.__wrapped__ = function
    return test
