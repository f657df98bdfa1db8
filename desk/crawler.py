"""Finds the ladders that the venue lists: by the names they should have, and in its listing.

Each round asks for the events of every coin and coming expiry under all names that such an event
may have, and for each open market's facts at the CLOB. Now and then the listing of all open crypto
events is gone through as well; an event found there under an unexpected name is asked for by that
name from then on. A ladder that could not be asked for is unseen, which is not the same as absent.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import quote

import aiohttp

from desk.calendar import (
    COIN_NAMES,
    HOURS_AHEAD,
    Expiry,
    Horizon,
    coming_expiries,
    coming_hours,
    event_slugs,
)
from desk.gamma import (
    ClobMarket,
    GammaEvent,
    GammaMarket,
    decode_clob_market,
    decode_events,
    decode_page,
)
from desk.ladders import (
    Facts,
    Ladder,
    Refusal,
    Refused,
    decoded,
    group_number,
    ladder_of,
    read_market,
)
from shm.errors import UNREADABLE, ConfigError
from shm.layout import Market
from shm.settings import Settings

REQUESTS_AT_ONCE = 8
REQUEST_TIMEOUT_S = 10.0
REPLY_BYTES_MAX = 32 * 2**20
USER_AGENT = "polytrio"
PAGE_ROWS = 100
"""The venue gives no more on a page, however many are asked for."""
PAGES_MAX = 100
FACTS_AGE = timedelta(seconds=40)
"""What the CLOB says of a market is asked again after this: with a round every 20 s it is never
much older than the minute for which `risk.max_metadata_age_s` believes it."""
_OK = 200
_NOT_FOUND = 404


class Unreachable(Exception):
    """The venue did not give a usable answer; the message says which request and what."""


class Venue(Protocol):
    """Where descriptions come from."""

    async def get(self, url: str) -> bytes | None:
        """The body, or None if there is no such thing; raises `Unreachable`."""


class HttpVenue:
    """The venue over one HTTP session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._gate = asyncio.Semaphore(REQUESTS_AT_ONCE)

    async def get(self, url: str) -> bytes | None:
        """See Venue."""
        try:
            async with self._gate, self._session.get(url, allow_redirects=False) as reply:
                if reply.status == _NOT_FOUND:
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


def open_session() -> aiohttp.ClientSession:
    """A session with our name and time limit; to be closed by the caller."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    return aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": USER_AGENT})


@dataclass(slots=True)
class Found:
    """What a round saw."""

    facts: list[tuple[Facts, Horizon]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    unseen: set[int] = field(default_factory=set)
    """Groups that could not be asked for."""
    troubles: list[str] = field(default_factory=list)
    events: int = 0
    absent: int = 0
    """Ladders of which the venue lists nothing (yet)."""
    until: datetime | None = None
    """When the first of the ladders that were asked for ends, and another one is wanted."""

    @property
    def markets(self) -> list[Market]:
        """The markets that may be traded."""
        return [facts.market for facts, _ in self.facts]

    @property
    def reasons(self) -> Counter[Refusal]:
        """How many were refused for which reason."""
        return Counter(one.reason for one in self.refused)

    def add(self, part: "Found") -> None:
        """Take in what was seen of another ladder."""
        self.facts += part.facts
        self.refused += part.refused
        self.events += part.events
        self.absent += part.absent


class Crawler:
    """Asks the venue, one round at a time."""

    def __init__(self, venue: Venue, settings: Settings) -> None:
        self._venue = venue
        self._settings = settings.desk
        self._gamma = settings.venues.gamma_url
        self._clob = settings.venues.clob_url
        unknown = set(settings.desk.coins) - COIN_NAMES.keys()
        if unknown:
            raise ConfigError(
                f"desk.coins: {', '.join(sorted(unknown))} has no ladders; "
                f"known: {', '.join(COIN_NAMES)}"
            )
        self._listed: dict[int, dict[str, None]] = {}
        """By group: slugs that the listing showed."""
        self._list_at: datetime | None = None
        self._facts: dict[str, tuple[datetime, ClobMarket]] = {}

    def window(self, now: datetime) -> list[tuple[str, Expiry]]:
        """The ladders that are wanted now."""
        expiries = coming_expiries(now, self._settings.days)
        if self._settings.hourly:
            expiries += coming_hours(now, HOURS_AHEAD)
        return [(coin, expiry) for coin in self._settings.coins for expiry in expiries]

    async def crawl(self, now: datetime) -> Found:
        """One round; raises `Unreachable` if nothing at all could be asked for."""
        window = self.window(now)
        found = Found(until=min(expiry.at for _, expiry in window))
        await self._go_through_listing(window, now, found)
        parts = await asyncio.gather(
            *(self._ladder(coin, expiry, now) for coin, expiry in window), return_exceptions=True
        )
        failures = []
        for (coin, expiry), part in zip(window, parts, strict=True):
            if isinstance(part, Found):
                found.add(part)
                continue
            if not isinstance(part, Unreachable):
                raise part
            failures.append(part)
            found.troubles.append(str(part))
            found.unseen.add(_group(coin, expiry))
        if len(failures) == len(window):
            raise failures[0]
        self._forget(found, now)
        return found

    def _forget(self, found: Found, now: datetime) -> None:
        """Drop what is remembered of ladders that are over."""
        groups = {_group(coin, expiry) for coin, expiry in self.window(now)}
        self._listed = {group: slugs for group, slugs in self._listed.items() if group in groups}
        if not found.unseen:
            known = {"0x" + market.condition.hex() for market in found.markets}
            known |= {one.condition.lower() for one in found.refused}
            self._facts = {key: kept for key, kept in self._facts.items() if key in known}

    # --- the listing ----------------------------------------------------------------------------

    async def _go_through_listing(
        self, window: Sequence[tuple[str, Expiry]], now: datetime, found: Found
    ) -> None:
        """Note the names of ladders in the window, if it is time to look again."""
        groups = {_group(coin, expiry) for coin, expiry in window}
        new = not groups <= self._listed.keys()
        if not new and self._list_at is not None and now < self._list_at:
            return
        try:
            for slug, group in await self._listing(window, now):
                if group in groups:
                    self._listed.setdefault(group, {})[slug] = None
        except Unreachable as error:
            found.troubles.append(str(error))
            return
        for group in groups:
            self._listed.setdefault(group, {})
        self._list_at = now + timedelta(seconds=self._settings.list_every_s)

    async def _listing(
        self, window: Sequence[tuple[str, Expiry]], now: datetime
    ) -> list[tuple[str, int]]:
        """(slug, group) of every ladder in the listing that ends within the window."""
        last = max(expiry.at for _, expiry in window)
        url = (
            f"{self._gamma}/events/keyset?limit={PAGE_ROWS}&closed=false"
            f"&tag_id={self._settings.listing_tag}"
            f"&end_date_min={now:%Y-%m-%dT%H:%M:%SZ}&end_date_max={last:%Y-%m-%dT%H:%M:%SZ}"
        )
        ladders: list[tuple[str, int]] = []
        cursor: str | None = ""
        for _ in range(PAGES_MAX):
            body = await self._venue.get(f"{url}&after_cursor={quote(cursor)}" if cursor else url)
            if body is None:
                raise Unreachable(f"{url}: the venue has no such listing")
            try:
                page = decode_page(body)
            except UNREADABLE as error:
                raise Unreachable(f"listing of events: {error}") from None
            for event in page.events:
                ladder = ladder_of(event)
                if not isinstance(ladder, Refused):
                    ladders.append((event.slug, _group(ladder.coin, ladder.expiry)))
            cursor = page.next_cursor
            if not cursor:
                return ladders
        raise Unreachable(f"listing of events: more than {PAGES_MAX} pages")

    # --- one ladder -----------------------------------------------------------------------------

    async def _ladder(self, coin: str, expiry: Expiry, now: datetime) -> Found:
        found = Found()
        listed = self._listed.get(_group(coin, expiry), {})
        for event in await self._events(dict.fromkeys((*event_slugs(coin, expiry), *listed))):
            ladder = ladder_of(event)
            if isinstance(ladder, Refused):
                found.refused.append(ladder)
            elif (ladder.coin, ladder.expiry) != (coin, expiry):
                # A name without the year leads to last year's event, too.
                why = f"it ends {event.endDate}"
                found.refused.append(Refused("", event.slug, event.title or "", Refusal.END, why))
            else:
                found.events += 1
                reads = await asyncio.gather(
                    *(self._market(raw, event, ladder, now) for raw in event.markets)
                )
                for read in reads:
                    if isinstance(read, Refused):
                        found.refused.append(read)
                    else:
                        found.facts.append((read, expiry.horizon))
        found.absent = int(found.events == 0)
        return found

    async def _market(
        self, raw: bytes, event: GammaEvent, ladder: Ladder, now: datetime
    ) -> Facts | Refused:
        market = decoded(raw, event)
        if isinstance(market, Refused):
            return market
        return read_market(market, await self._clob_of(market, now), event, ladder)

    async def _events(self, slugs: Iterable[str]) -> list[GammaEvent]:
        query = "&".join(f"slug={quote(slug)}" for slug in slugs)
        body = await self._venue.get(f"{self._gamma}/events?{query}")
        try:
            events = decode_events(body or b"[]")
        except UNREADABLE as error:
            raise Unreachable(f"events of {query}: {error}") from None
        return list({event.slug: event for event in events}.values())

    async def _clob_of(self, market: GammaMarket, now: datetime) -> ClobMarket | None:
        """Trading facts; None if the CLOB does not know the market (yet), or nobody trades it."""
        if not market.acceptingOrders or not market.conditionId:
            return None
        key = market.conditionId.lower()
        kept = self._facts.get(key)
        if kept is not None and now - kept[0] < FACTS_AGE:
            return kept[1]
        body = await self._venue.get(f"{self._clob}/clob-markets/{quote(market.conditionId)}")
        if body is None:
            return None
        try:
            facts = decode_clob_market(body)
        except UNREADABLE as error:
            raise Unreachable(f"facts of {market.slug}: {error}") from None
        self._facts[key] = now, facts
        return facts


def _group(coin: str, expiry: Expiry) -> int:
    return group_number(coin, expiry.at_ms, expiry.horizon)
