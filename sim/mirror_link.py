"""The shell of the mirror: live Gamma over HTTP, the live market channel over WebSockets.

It asks and listens, and can do nothing else: GET at Gamma, subscriptions on the public channel. No
address of an order endpoint and no key is known here. Whatever fails is tried again with growing
pauses; the books of a lost line are withdrawn first.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from shm.errors import ConfigError, VenueUnreachable
from sim import wording
from sim.coins import Coin
from sim.events import Event
from sim.exits import Clock
from sim.ladders import next_noons
from sim.mirror import Mirror
from sim.mirror_line import Line
from sim.retelling import LiveEvent, read_event

POLL_S = 30.0
POLL_EAGER_S = 5.0
"""How often Gamma is asked while a wanted ladder is missing or has ended without an outcome."""
NEWS_S = 1.0
FIRST_PATIENCE_S = 20.0
FIRST_PAUSE_S = 1.0
REQUEST_TIMEOUT_S = 10.0
REPLY_BYTES_MAX = 32 * 2**20
TOKENS_A_LINE = 200
USER_AGENT = "polytrio"
NOON_SLACK_MS = 36 * 3_600_000
"""A name without the year leads to last year's event, too; its end tells."""
_LOG = logging.getLogger("sim.mirror")


class Unreachable(Exception):
    """Live Gamma gave no usable answer; the message says to what, and why."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The live venue's public addresses. `ConfigError` for what cannot be one."""

    market_ws: str
    gamma: str

    def __post_init__(self) -> None:
        for option, url, schemes in (
            ("--mirror", self.market_ws, ("ws", "wss")),
            ("--mirror-gamma", self.gamma, ("http", "https")),
        ):
            parts = urlsplit(url)
            if parts.scheme not in schemes or not parts.hostname:
                raise ConfigError(f"{option} {url}: must be {' or '.join(schemes)}://host[...]")


@dataclass(slots=True, eq=False)
class Link:
    """Between a live venue and a mirror; `deliver` publishes what changes of it have caused."""

    addresses: Addresses
    mirror: Mirror
    clock: Clock
    deliver: Callable[[Iterable[Event]], None]
    _lines: list[Line] = field(default_factory=list)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _missing: int = 0
    _said: str = ""

    async def first(self) -> None:
        """See that the live venue is there; `VenueUnreachable` if it is not for long enough."""
        deadline_s = time.monotonic() + FIRST_PATIENCE_S
        while True:
            async with self._session() as session:
                try:
                    await self._round(session)
                    async with session.ws_connect(self.addresses.market_ws):
                        return
                except Unreachable as error:
                    why = str(error)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    why = f"{self.addresses.market_ws}: {_why(error)}"
            if time.monotonic() > deadline_s:
                raise VenueUnreachable(
                    f"the live venue cannot be reached ({why}): look at the network, and at "
                    "venues.gamma_url and venues.market_ws_url if they are set"
                )
            await asyncio.sleep(FIRST_PAUSE_S)

    async def run(self) -> None:
        """Mirror until cancelled."""
        async with self._session() as session:
            try:
                while True:
                    with contextlib.suppress(Unreachable):
                        await self._round(session)
                    await self._spread(session)
                    await self._pause()
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pause(self) -> None:
        """Until it is time to ask again: soon if something is awaited, at once upon news."""
        eager = self._missing or self._said
        until_s = time.monotonic() + (POLL_EAGER_S if eager else POLL_S)
        while time.monotonic() < until_s:
            await asyncio.sleep(min(NEWS_S, max(0.0, until_s - time.monotonic())))
            self._tell()
            for task in [task for task in self._tasks if task.done()]:
                self._tasks.discard(task)
                task.result()
            if self.mirror.news:
                self.mirror.news = False
                return

    def _tell(self) -> None:
        """Keep the mirror's word on the connection up to date."""
        down = [line.trouble for line in self._lines if line.trouble]
        self.mirror.connected = bool(self._lines) and not down
        waits = "" if self.mirror.markets else "the live venue lists no ladder that is wanted"
        self.mirror.trouble = self._said or (down[0] if down else waits)

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        return aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": USER_AGENT})

    # Gamma.

    async def _round(self, session: aiohttp.ClientSession) -> None:
        """Ask for every ladder once; `Unreachable` if one could not be asked for."""
        now_ms = self.clock.now_ms()
        found: list[LiveEvent] = []
        missing = 0
        try:
            for coin in self.mirror.coins:
                for noon in next_noons(now_ms, self.mirror.days):
                    slugs = slugs_of(coin, noon.date())
                    events = await self._ask(session, slugs, coin)
                    noon_ms = round(noon.timestamp() * 1000)
                    near = [e for e in events if abs(e.event.end_ms - noon_ms) < NOON_SLACK_MS]
                    missing += len(near) < len(wording.FAMILIES)
                    found += near
            seen = {one.event.slug for one in found}
            for slug, coin in self.mirror.unsettled().items():
                if slug not in seen:
                    found += await self._ask(session, [slug], coin)
                    missing += 1
        except Unreachable as error:
            self._complain(str(error))
            raise
        self._complain("")
        self._missing = missing
        now_ms = self.clock.now_ms()
        self._publish(self.mirror.learn(found, now_ms), now_ms)
        self._tell()

    async def _ask(
        self, session: aiohttp.ClientSession, slugs: Sequence[str], coin: Coin
    ) -> list[LiveEvent]:
        query = "&".join(f"slug={quote(slug)}" for slug in slugs)
        url = f"{self.addresses.gamma.rstrip('/')}/events?{query}"
        try:
            async with session.get(url) as reply:
                reply.raise_for_status()
                body = await _body(reply)
            parts = msgspec.json.decode(body, type=list[msgspec.Raw])
            return [read_event(bytes(part), coin) for part in parts]
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unreachable(f"{url}: {_why(error)}") from error

    def _complain(self, trouble: str) -> None:
        if trouble != self._said:
            self._said = trouble
            if trouble:
                _LOG.warning("live Gamma: %s; trying again", trouble)
            else:
                _LOG.warning("live Gamma answers again")

    # The market channel.

    async def _spread(self, session: aiohttp.ClientSession) -> None:
        """Give every wanted token to a line, and take back those that are not wanted."""
        wanted = dict.fromkeys(self.mirror.tokens())
        for line in self._lines:
            line.tokens = {token for token in line.tokens if token in wanted}
            for token in line.tokens:
                del wanted[token]
        for token in wanted:
            room = next((one for one in self._lines if len(one.tokens) < TOKENS_A_LINE), None)
            if room is None:
                room = Line(
                    self.addresses.market_ws,
                    self.mirror,
                    self.clock,
                    self._publish,
                    random.Random(),
                )
                self._lines.append(room)
                self._tasks.add(asyncio.create_task(room.run(session)))
            room.tokens.add(token)
        for line in self._lines:
            await line.ask()
        self._tell()

    def _publish(self, events: Iterable[Event], now_ms: int) -> None:
        self.mirror.exchange.truth.ms = now_ms
        self.deliver(events)


def _why(error: Exception) -> str:
    """Some errors of the network have no text."""
    return str(error) or type(error).__name__


async def _body(reply: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in reply.content.iter_any():
        body += chunk
        if len(body) > REPLY_BYTES_MAX:
            raise ValueError(f"more than {REPLY_BYTES_MAX} bytes")
    return bytes(body)


def slugs_of(coin: Coin, day: dt.date) -> list[str]:
    """Names under which the two events of a ladder may be listed; those without year are older."""
    year = f"-{day.year}"
    dated = [family(coin, day) for family in wording.FAMILIES]
    return dated + [slug.removesuffix(year) for slug in dated]
