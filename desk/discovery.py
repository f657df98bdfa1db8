"""Keeps the markets table up to date: new ladders in, expired ones out at once, nothing else moved.

Two clocks tick here. One asks the venue every `desk.discover_every_s` (and at once after an expiry)
and publishes a new generation if something changed. The other only looks at the time: a market is
retired in the moment it expires, whatever the venue answers or whether it answers at all, and a row
is freed when its grace is over. What the venue fails to say changes nothing: a market goes when it
is refused or expired, or when it was absent from several complete answers in a row. But only what
it says is confirmed: facts get old without it, and the executor believes none that are too old.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from desk.crawler import Crawler, Found, HttpVenue, Unreachable, Venue, open_session
from desk.families import Unpaired, groups_of, in_words, unpaired
from desk.findings import Findings, write_findings
from desk.ladders import Refused
from desk.rows import Tenancy
from shm.codes import MarketState
from shm.fabric import Fabric
from shm.layout import DESK_STATS, Market
from shm.markets import MarketsReader, MarketsWriter
from shm.promoted import signature
from shm.settings import Settings

RETRY_S = 1.0
TICK_S = 0.1
EAGER_S = 5.0
EAGER_FOR = timedelta(minutes=10)
"""A ladder that is wanted and not listed is asked for more often in the beginning. (The venue lists
the daily ones a week ahead, some minutes late; some days have none.)"""
ABSENT_ROUNDS = 3
"""A market that is missing from an answer may be missing by mistake; not from this many."""
_log = logging.getLogger("desk.discovery")


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Discovery:
    """Needs the desk's role."""

    def __init__(
        self, fabric: Fabric, settings: Settings, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._writer = MarketsWriter(fabric)
        self._counters = fabric.counters("stats-desk.counters", DESK_STATS, write=True)
        self._generation, rows = MarketsReader(fabric).read()
        self._tenancy = Tenancy(rows, self._now_ms(), settings.desk.row_grace_s * 1000)
        self._published = _comparable(rows)
        self._promoted: tuple[int, int] | None = None
        """Of the file that the last generation was made with; not known of a predecessor's."""
        self._absent: Counter[int] = Counter()
        """By key: in how many rounds a market was missing that had been there."""
        self._look_again = asyncio.Event()
        self._until: datetime | None = None
        """When another ladder will be wanted; None: it is being looked for."""
        self._wanted_since = clock()
        self._absent_ladders = 0
        self._said: set[str] = set()
        self._unreported = False
        """Whether the last report could not be written: said once."""
        self.trouble: str | None = "not asked yet"
        """Why the last round failed, wholly or in part; None if it did not."""
        self.refused: list[Refused] = []
        """What the last round left out."""
        self.unpaired: list[Unpaired] = []
        """Ladders whose two families settle by different rules."""

    def _now_ms(self) -> int:
        return int(self._clock().timestamp() * 1000)

    async def run(self) -> None:
        """Keep the table up to date until cancelled."""
        async with open_session() as session:
            clocks = [
                asyncio.ensure_future(one)
                for one in (self._ask_forever(HttpVenue(session)), self._tick_on())
            ]
            try:
                await asyncio.gather(*clocks)
            finally:
                for one in clocks:
                    one.cancel()

    async def _ask_forever(self, venue: Venue) -> None:
        settings, crawler = self._settings, Crawler(venue, self._settings)
        while True:
            self._look_again.clear()
            if settings is not self._settings:
                settings, crawler = self._settings, Crawler(venue, self._settings)
            await self.round(crawler)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_again.wait(), self.pause_s)

    @property
    def pause_s(self) -> float:
        """How long to wait before the venue is asked again."""
        if self.trouble:
            return RETRY_S
        eager = self._absent_ladders and self._clock() < self._wanted_since + EAGER_FOR
        every_s = self._settings.desk.discover_every_s
        return min(EAGER_S, every_s) if eager else every_s

    async def _tick_on(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(TICK_S)

    def follow(self, settings: Settings) -> None:
        """Go over to other settings: the venue is asked at once, and what is not wanted goes."""
        if settings.desk == self._settings.desk:
            self._settings = settings
            return
        self._settings = settings
        self._tenancy.retime(settings.desk.row_grace_s * 1000)
        self._absent = Counter({market.key: ABSENT_ROUNDS - 1 for market in self._active()})
        self._wanted_since = self._clock()
        self._look_again.set()

    # --- time -----------------------------------------------------------------------------------

    def tick(self) -> None:
        """Retire what has expired, free what has stood long enough, ask when a ladder has ended."""
        now = self._clock()
        if self._until is not None and now >= self._until:
            self._until = None
            self._wanted_since = now
            self._look_again.set()
        now_ms = self._now_ms()
        promoted = signature(self._settings.var_path)
        if self._tenancy.due(now_ms) or promoted != self._promoted:
            self.publish([market for market in self._active() if market.expiry_ms > now_ms])

    def _active(self) -> list[Market]:
        return [row for row in self._tenancy.rows if row.state == MarketState.ACTIVE]

    # --- the venue's word -------------------------------------------------------------------------

    async def round(self, crawler: Crawler) -> None:
        """Ask once, publish what changed, and confirm what was found."""
        asked_ns = time.monotonic_ns()
        try:
            found = await crawler.crawl(self._clock())
        except Unreachable as error:
            self._complain(str(error))
            return
        self._complain(found.troubles[0] if found.troubles else None)
        self._until = found.until
        self._absent_ladders = found.absent
        self._counters.add("discoveries")
        self._counters.set("events_read", found.events)
        self._counters.set("markets_refused", len(found.refused))
        self.refused = found.refused
        groups = groups_of(found.facts)
        self.unpaired = unpaired(groups)
        self._counters.set("families_unpaired", len(self.unpaired))
        self._tell(found)
        self.publish(self._wanted(found))
        told = {market.key for market in found.markets}
        self._writer.confirm((m.row for m in self._active() if m.key in told), asked_ns)
        self._report(Findings.of(self._generation, self._now_ms(), self.trouble, found, groups))

    def _report(self, findings: Findings) -> None:
        """For people alone: a disk that is full ends nothing here (docs/reliability.md, D1)."""
        try:
            write_findings(self._settings.var_path, findings)
        except OSError as error:
            if not self._unreported:
                _log.warning("the report of discovery cannot be written: %s", error)
            self._unreported = True
        else:
            self._unreported = False

    def _complain(self, trouble: str | None) -> None:
        if trouble is not None:
            self._counters.add("discovery_errors")
            if trouble != self.trouble:
                _log.warning("%s; trying again every %.0f s", trouble, RETRY_S)
        self.trouble = trouble

    def _tell(self, found: Found) -> None:
        """Log each refusal and mismatch once."""
        said = {
            f"{one.slug}: {one.reason.value}{one.detail and f' ({one.detail})'}"
            for one in found.refused
        }
        said |= {in_words(one) for one in self.unpaired}
        for line in sorted(said - self._said):
            _log.info("%s", line)
        self._said = said

    def _wanted(self, found: Found) -> list[Market]:
        """What was found, and what is kept although it was not."""
        now_ms = self._now_ms()
        wanted = {m.key: m for m in found.markets if m.expiry_ms > now_ms}
        refused = {one.condition.lower() for one in found.refused}
        absent: Counter[int] = Counter()
        for market in self._active():
            if market.key in wanted or market.expiry_ms <= now_ms:
                continue
            if "0x" + market.condition.hex() in refused:
                continue
            rounds = self._absent[market.key] + (market.group not in found.unseen)
            if rounds < ABSENT_ROUNDS:
                wanted[market.key] = market
                absent[market.key] = rounds
        self._absent = absent
        return list(wanted.values())

    # --- publication ----------------------------------------------------------------------------

    def publish(self, wanted: Sequence[Market]) -> None:
        """Make exactly these markets the active ones; a new generation if anything changed.

        Baskets that somebody promoted (shm/promoted.py) are compiled with a generation: a new file
        makes a new one.
        """
        homeless = self._tenancy.arrange(wanted, self._now_ms())
        if homeless:
            _log.warning("%d markets do not fit into the markets table", homeless)
        rows = self._tenancy.rows
        promoted = signature(self._settings.var_path)
        if _comparable(rows) == self._published and promoted == self._promoted:
            return
        self._promoted = promoted
        self._generation += 1
        self._published = _comparable(rows)
        self._writer.publish(self._generation, rows)
        active = len(self._active())
        self._counters.set("markets_published", active)
        _log.info("generation %d: %d markets", self._generation, active)


def _comparable(rows: Sequence[Market]) -> list[Market]:
    """The rows in use in a form that survives a trip through shared memory."""
    return [
        market._replace(coin=market.coin.rstrip(b"\0"), slug=market.slug.rstrip(b"\0"))
        for market in rows
        if market.state != MarketState.FREE
    ]
