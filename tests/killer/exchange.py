"""The simulated exchange in a thread, with a wallet that has an order resting on it."""

import asyncio
import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from executor.credentials import Credentials
from sim.server import SHUTDOWN_S, Door, WallClock
from tests.sim.live import still_venue
from tests.sim.traders import Trader


@dataclass
class Exchange:
    """What a test asks and does from outside."""

    url: str
    door: Door
    market: Any
    loop: asyncio.AbstractEventLoop

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the pages for tests."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.loads(reply.read())

    def rule(self, at: str, then: dict, **when: Any) -> None:
        """Add a rule."""
        self.ask("POST", "/sim/faults", {"add": [{"at": at, "when": when, "then": then}]})

    def clear_rules(self) -> None:
        """Behave again."""
        self.ask("POST", "/sim/faults", {"clear": "all"})

    def rule_waits(self) -> bool:
        """Whether a rule at the clock has not struck yet."""
        rules = self.ask("GET", "/sim/faults")["rules"]
        return any(rule["at"] == "clock" and not rule["done"] for rule in rules)

    def beat(self, trader: Trader) -> None:
        """A heartbeat of somebody else with the same credentials."""
        beats = self.door.venue.exchange.heartbeats
        _, expected = beats.beat(trader.key.key, "?", self.now_ms())
        assert beats.beat(trader.key.key, expected, self.now_ms())[0]

    def truth(self, kind: str) -> list[dict]:
        """Lines of the exchange's own account."""
        lines = self.ask("GET", "/sim/truth?limit=20000")
        return [line for line in lines.get("lines", lines) if line["kind"] == kind]

    def cancels(self) -> list[dict]:
        """Requests to cancel everything, as they arrived."""
        return [line for line in self.truth("request") if line.get("path") == "/cancel-all"]

    def trader(self, number: int = 1) -> Trader:
        """A wallet with credentials."""
        return self.run(lambda: Trader(self.door.venue.exchange, number))

    def rest(self, trader: Trader, orders: int = 1) -> None:
        """Let orders rest far from the market."""

        def place() -> None:
            for _ in range(orders):
                verdict, _ = trader.place(self.market, 0, "BUY", 1000, 10, now_ms=self.now_ms())
                assert not verdict.error, verdict.error

        self.run(place)

    def resting(self, trader: Trader) -> int:
        """How many orders rest."""
        register = self.door.venue.exchange.floor.register
        return self.run(lambda: len(list(register.open_of(trader.key.key))))

    def now_ms(self) -> int:
        """The exchange's time."""
        return self.door.clock.now_ms()

    def run(self, act: Any) -> Any:
        """Do something in the exchange's own thread."""

        async def inside() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(inside(), self.loop).result(10)


def credentials_of(trader: Trader) -> Credentials:
    """What the executor would have from its log-in."""
    return Credentials(trader.key.key, trader.key.secret, trader.key.passphrase)


@contextlib.contextmanager
def exchange() -> Iterator[Exchange]:
    """Serve an exchange with one market until the block ends."""
    started: list[Exchange] = []
    ready, end = threading.Event(), threading.Event()

    async def serve() -> None:
        venue, market, _ = still_venue()
        door = Door(venue, WallClock())
        runner = web.AppRunner(door.app(), shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ticking = asyncio.create_task(door.run())
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.append(Exchange(url, door, market, asyncio.get_running_loop()))
        ready.set()
        while not end.is_set():
            await asyncio.sleep(0.01)
        ticking.cancel()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield started[0]
    finally:
        end.set()
        thread.join(10)


def until(condition: Any, what: str, patience_s: float = 30.0) -> Any:
    """Wait for something to become true; generous, because tests measure no time."""
    deadline_s = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"never: {what}"
        time.sleep(0.005)
    return found
