"""What the system is doing, gathered once from shared memory: the figures behind every screen."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from desk.modes import ModesWatch
from shm import layout
from shm.codes import STAGES, SUPERVISED, FlightState, MarketState, Outcome, Role, Side
from shm.fabric import Fabric, TableReader
from shm.histogram import percentile
from shm.layout import (
    Account,
    BasketRow,
    Book,
    EngineStats,
    ExecutorStats,
    Histogram,
    IngestStats,
    Market,
    Position,
    Report,
    StageStats,
)
from shm.markets import MarketsReader
from shm.process import resident_bytes
from shm.roles import Health, RoleTable, health
from shm.segments import SEGMENTS, STAGE_HISTOGRAMS
from shm.units import PRICE_ONE_E4


@dataclass(frozen=True, slots=True)
class Latency:
    """A histogram in microseconds."""

    count: int
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    max_us: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look. Counters are totals since the segments were made."""

    taken_ns: int
    generation: int
    markets: Mapping[int, Market]
    health: Mapping[Role, Health]
    rss_bytes: Mapping[Role, int]
    stage: Mapping[Role, StageStats]
    ingest: IngestStats
    engine: EngineStats
    executor: ExecutorStats
    account: Account
    positions: Mapping[int, Position]
    best: list[BasketRow] = field(default_factory=list)
    """Baskets with a quoted edge, best net edge first."""
    latency: Mapping[str, Latency] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    """News since the last look."""
    notices: Sequence[str] = ()
    """What nobody may overlook: a fall-back, execution off, engines that differ."""
    orphan_value_usd_e6: int = 0
    """What the filled legs of partial baskets would bring at the present best bids."""


class Observer:
    """Reads everything and writes nothing."""

    def __init__(self, instance: str) -> None:
        fabric = Fabric(instance)
        self._fabric = fabric
        self._modes = ModesWatch(fabric)
        self._instance = instance
        self._roles = RoleTable(fabric.segment("control", writable=False))
        self._markets_reader = MarketsReader(fabric)
        self._generation = 0
        self._markets: dict[int, Market] = {}
        self._stage = {
            role: fabric.counters(f"stats-{role.label}.stage", layout.STAGE_STATS, write=False)
            for role in SUPERVISED
        }
        self._ingest = fabric.counters("stats-ingest.counters", layout.INGEST_STATS, write=False)
        self._engine = fabric.counters("stats-engine.counters", layout.ENGINE_STATS, write=False)
        self._executor = fabric.counters(
            "stats-executor.counters", layout.EXECUTOR_STATS, write=False
        )
        self._account = fabric.read_table("positions.account", layout.ACCOUNT)
        self._positions = fabric.read_table("positions", layout.POSITION)
        self._baskets = fabric.read_table("baskets", layout.BASKET_ROW)
        self._reports = fabric.tail("reports", layout.REPORT)
        self._flights = fabric.read_table("flights", layout.FLIGHT)
        self._books = fabric.read_table("books", layout.BOOK)

    def look(self) -> Snapshot:
        """Take a snapshot."""
        now_ns = time.monotonic_ns()
        if self._markets_reader.changed():
            self._generation, rows = self._markets_reader.read()
            self._markets = {m.row: m for m in rows if m.state == MarketState.ACTIVE}
        seen = {role: health(self._roles, self._instance, role, now_ns) for role in SUPERVISED}
        return Snapshot(
            taken_ns=now_ns,
            generation=self._generation,
            markets=self._markets,
            health=seen,
            rss_bytes={role: resident_bytes(seen[role].row.pid) for role in SUPERVISED},
            stage={role: counters.read() for role, counters in self._stage.items()},
            ingest=self._ingest.read(),
            engine=self._engine.read(),
            executor=self._executor.read(),
            account=self._account.read(0) or layout.ACCOUNT.blank(),
            positions={
                row: position
                for row in self._markets
                if (position := self._positions.read(row)) is not None and position.fills
            },
            best=self._best(),
            latency=self.latencies(),
            reports=self._reports.news(),
            notices=self._modes.look().notices,
            orphan_value_usd_e6=self._orphan_value_usd_e6(),
        )

    def _orphan_value_usd_e6(self) -> int:
        value_usd_e6 = 0
        for place in range(self._flights.count):
            flight = self._flights.read(place)
            if flight is None or flight.state != FlightState.PARTIAL:
                continue
            for leg in range(flight.leg_count):
                book = self._books.read(flight.leg_market[leg])
                if book is not None and flight.leg_filled_e6[leg]:
                    # What was sold from inventory stands for its opposite (executor/flights.py).
                    wants_yes = flight.leg_outcome[leg] == Outcome.YES
                    wants_yes = wants_yes is (flight.leg_side[leg] == Side.BUY)
                    bid_e4 = _bid_e4(book, yes=wants_yes)
                    value_usd_e6 += bid_e4 * flight.leg_filled_e6[leg] // PRICE_ONE_E4
        return value_usd_e6

    def _best(self) -> list[BasketRow]:
        count = self._engine.read().baskets
        rows = (_read(self._baskets, row) for row in range(count))
        quoted = [row for row in rows if row is not None and row.size_e6 > 0]
        return sorted(quoted, key=lambda row: -row.net_e8)

    def latencies(self) -> dict[str, Latency]:
        """Every histogram by its name."""
        found = {}
        for role in STAGES:
            for index in range(STAGE_HISTOGRAMS):
                histogram = self._histogram(role, index)
                name = histogram.name.rstrip(b"\0").decode()
                if name:
                    found[name] = _latency(histogram)
        return found

    def _histogram(self, role: Role, index: int) -> Histogram:
        name = f"stats-{role.label}"
        view = self._fabric.segment(name, writable=False).view
        offset = SEGMENTS[name].placed["histograms"].offset + index * layout.HISTOGRAM.size
        return layout.HISTOGRAM.unpack(view, offset)


def _read(table: TableReader[BasketRow], row: int) -> BasketRow | None:
    found = table.read(row)
    return found if found is not None and found.basket else None


def _latency(histogram: Histogram) -> Latency:
    def us(share: float) -> float:
        return percentile(histogram.bucket, share, histogram.max_ns) / 1e3

    return Latency(
        sum(histogram.bucket), us(0.5), us(0.9), us(0.99), us(0.999), histogram.max_ns / 1e3
    )


def _bid_e4(book: Book, *, yes: bool) -> int:
    """What one token sells for now; the NO bid is the mirror of the YES ask."""
    if yes:
        return book.bid_price_e4[0] if book.bid_count else 0
    return PRICE_ONE_E4 - book.ask_price_e4[0] if book.ask_count else 0
