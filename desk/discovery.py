"""Finds the ladders to trade and publishes them as a generation of the markets table.

For each coin and coming expiry two events are fetched by their slugs, and each market's trading
facts from the CLOB. A generation is published only when something changed; if the venue cannot be
reached the last one stays.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
import msgspec

from desk.calendar import COIN_NAMES, Expiry, coming_expiries, event_slugs
from desk.gamma import ClobMarket, GammaEvent, GammaMarket, decode_clob_market, decode_events
from desk.ladders import Refusal, read_market
from desk.rows import arrange
from shm.codes import MarketState
from shm.errors import ConfigError
from shm.fabric import Fabric
from shm.layout import DESK_STATS, Market
from shm.markets import MarketsReader, MarketsWriter
from shm.settings import Settings

REQUESTS_AT_ONCE = 8
REQUEST_TIMEOUT_S = 10.0
REPLY_BYTES_MAX = 32 * 2**20
RETRY_S = 1.0
USER_AGENT = "polytrio"
_OK = 200
_log = logging.getLogger("desk.discovery")


class Unreachable(Exception):
    """The venue did not give a usable answer; the message says which request and what."""


@dataclass(slots=True)
class Found:
    """What a round of discovery saw."""

    markets: list[Market] = field(default_factory=list)
    events: int = 0
    refused: Counter[Refusal] = field(default_factory=Counter)
    unpaired: int = 0
    """Markets whose settlement rule cannot be read."""


class Crawler:
    """Fetches events and market facts over one HTTP session."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._gamma = settings.venues.gamma_url
        self._clob = settings.venues.clob_url
        self._gate = asyncio.Semaphore(REQUESTS_AT_ONCE)
        unknown = set(settings.desk.coins) - COIN_NAMES.keys()
        if unknown:
            raise ConfigError(
                f"desk.coins: {', '.join(sorted(unknown))} has no daily ladders; "
                f"known: {', '.join(COIN_NAMES)}"
            )
        self._coins = settings.desk.coins
        self._days = settings.desk.days

    async def crawl(self, now: datetime) -> Found:
        """One round; raises `Unreachable`."""
        found = Found()
        expiries = coming_expiries(now, self._days)
        ladders = [(coin, expiry) for coin in self._coins for expiry in expiries]
        parts = await asyncio.gather(*(self._ladder(coin, expiry) for coin, expiry in ladders))
        for part in parts:
            found.events += part.events
            found.markets += part.markets
            found.refused += part.refused
            found.unpaired += part.unpaired
        return found

    async def _ladder(self, coin: str, expiry: Expiry) -> Found:
        found = Found()
        for slug in event_slugs(coin, expiry):
            for event in await self._events(slug):
                if _ends_ms(event) == expiry.at_ms:
                    found.events += 1
                    await self._read_event(event, coin, expiry, found)
        return found

    async def _read_event(self, event: GammaEvent, coin: str, expiry: Expiry, found: Found) -> None:
        tradable = [market for market in event.markets if market.conditionId]
        facts = await asyncio.gather(*(self._clob_market(market) for market in tradable))
        for market, clob in zip(tradable, facts, strict=True):
            if clob is None:
                found.refused[Refusal.NOT_TRADABLE] += 1
                continue
            read = read_market(market, clob, coin, expiry.at_ms, event.endDate)
            if isinstance(read, Refusal):
                found.refused[read] += 1
                _log.info("%s: %s", market.slug, read.value)
            else:
                found.markets.append(read)
                found.unpaired += read.fingerprint == read.key

    async def _events(self, slug: str) -> list[GammaEvent]:
        body = await self._get(f"{self._gamma}/events?slug={slug}")
        try:
            return decode_events(body or b"[]")
        except msgspec.DecodeError as error:
            raise Unreachable(f"events of {slug}: {error}") from None

    async def _clob_market(self, market: GammaMarket) -> ClobMarket | None:
        """Trading facts; None if the CLOB does not know the market (yet)."""
        body = await self._get(f"{self._clob}/clob-markets/{market.conditionId}")
        if body is None:
            return None
        try:
            return decode_clob_market(body)
        except msgspec.DecodeError as error:
            raise Unreachable(f"facts of {market.slug}: {error}") from None

    async def _get(self, url: str) -> bytes | None:
        """Body, or None for 404."""
        try:
            async with self._gate, self._session.get(url, allow_redirects=False) as reply:
                if reply.status == 404:
                    return None
                if reply.status != _OK:
                    raise Unreachable(f"{url}: HTTP {reply.status}")
                body = b""
                async for chunk in reply.content.iter_any():
                    body += chunk
                    if len(body) > REPLY_BYTES_MAX:
                        raise Unreachable(f"{url}: more than {REPLY_BYTES_MAX} bytes")
                return body
        except TimeoutError:
            raise Unreachable(f"{url}: no answer within {REQUEST_TIMEOUT_S:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{url}: {error}") from None


def _ends_ms(event: GammaEvent) -> int | None:
    try:
        return int(datetime.fromisoformat(event.endDate).timestamp() * 1000)
    except ValueError:
        return None


class Discovery:
    """Crawls on a timer and keeps the markets table up to date. Needs the desk's role."""

    def __init__(self, fabric: Fabric, settings: Settings) -> None:
        self._settings = settings
        self._writer = MarketsWriter(fabric)
        self._counters = fabric.counters("stats-desk.counters", DESK_STATS, write=True)
        self._generation, rows = MarketsReader(fabric).read()
        self._rows: Sequence[Market] = rows
        self.trouble: str | None = "not asked yet"
        """Why the last round failed; None if it succeeded."""

    async def run(self) -> None:
        """Crawl until cancelled."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        headers = {"User-Agent": USER_AGENT}
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
            crawler = Crawler(session, self._settings)
            while True:
                await self._round(crawler)
                wait_s = RETRY_S if self.trouble else self._settings.desk.discover_every_s
                await asyncio.sleep(wait_s)

    async def _round(self, crawler: Crawler) -> None:
        try:
            found = await crawler.crawl(datetime.now(UTC))
        except Unreachable as error:
            if self.trouble != str(error):
                _log.warning("%s; trying again every %.0f s", error, RETRY_S)
            self.trouble = str(error)
            self._counters.add("discovery_errors")
            return
        self.trouble = None
        self._counters.add("discoveries")
        self._counters.set("events_read", found.events)
        self._counters.set("markets_refused", found.refused.total())
        self._counters.set("families_unpaired", found.unpaired)
        self.publish(found.markets)

    def publish(self, wanted: Sequence[Market]) -> None:
        """Publish a new generation if it differs from the present one."""
        rows, homeless = arrange(self._rows, wanted)
        if homeless:
            _log.warning("%d markets do not fit into the markets table", homeless)
        if _active(rows) == _active(self._rows):
            return
        self._generation += 1
        self._rows = rows
        self._writer.publish(self._generation, rows)
        active = len(_active(rows))
        self._counters.set("markets_published", active)
        _log.info("generation %d: %d markets", self._generation, active)


def _active(rows: Sequence[Market]) -> list[Market]:
    """The active rows in a form that survives a trip through shared memory."""
    return [
        market._replace(coin=market.coin.rstrip(b"\0"), slug=market.slug.rstrip(b"\0"))
        for market in rows
        if market.state == MarketState.ACTIVE
    ]
