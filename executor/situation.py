"""Everything that is known at the moment of a decision, gathered for the pure code that decides.

What follows from the journal alone is worked out once a change, not once a signal.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from executor import gate, risk
from executor.breaker import Signs
from executor.chronicle import Chronicle
from executor.counting import Count
from executor.exposure import DAY_MS, Exposure
from executor.ledger import Ledger
from executor.reporting import Reports
from executor.stock import Stock, stock_of
from executor.tempo import Bucket
from executor.venue import Venue
from executor.watching import Books
from shm.codes import MarketState, Refusal
from shm.layout import Market, Signal
from shm.limits import RiskSettings
from shm.markets import MarketsReader
from shm.stage import Stage

EDGE_PAUSE_MS = 5_000
"""An edge that is not signalled for so long has gone, and what comes then is another one."""
EDGES_REMEMBERED = 8_192
BPS = 10_000
WORTH_EVERY_NS = 1_000_000_000
KILL_UNSEEN_NS = 100_000_000
"""After so long without a look at the kill switch's file, it is looked at before orders leave."""


@dataclass(slots=True)
class Derived:
    """What follows from the state, as long as nothing is told."""

    version: int = -1
    exposure: Exposure = field(default_factory=Exposure)
    open_flights: int = 0
    busy_rows: frozenset[int] = frozenset()
    free_cash_usd_e6: int = 0
    stock: Stock = field(default_factory=lambda: Stock(Ledger()))


class Surroundings:
    """See the module."""

    def __init__(
        self, stage: Stage, chronicle: Chronicle, venue: Venue, books: Books, reports: Reports
    ) -> None:
        self._stage = stage
        self._chronicle = chronicle
        self._venue = venue
        self._books = books
        self._reports = reports
        self._table = MarketsReader(stage.fabric)
        self._derived = Derived()
        self._edges: dict[int, tuple[int, int]] = {}
        """By basket: (since when its edge is offered, when it was last), ms."""
        self._quarantined_ms: dict[int, int] = {}
        """By group: until when nothing of it is bought."""
        self._looked_ns = 0
        self._worth_ns = 0
        self._peak_told_usd_e6 = 0
        self._worth: tuple[int, int] = (-1, 0)
        """(version of the state, what it is worth)."""
        self.signs = Signs()
        self._count = Count(chronicle)
        self.ready = False
        """The ledger is true, so that fills find their place,"""
        self.channel_up = False
        """and would be seen."""
        self.markets: dict[int, Market] = {}
        self._shapes: dict[gate.ShapeKey, gate.Shape] = {}
        """Of those markets, and of no others."""
        self.generation = 0
        self._adopted_ms = 0
        self.seen_signal = 0
        """Highest signal number looked at so far."""
        risk_settings = stage.settings.risk
        self.bucket = Bucket(risk_settings.orders_per_second, risk_settings.orders_burst)

    # --- markets --------------------------------------------------------------------------------

    def adopt(self) -> list[Market] | None:
        """All rows of a generation that has come; None if none has."""
        if not self._table.changed():
            return None
        self.generation, rows = self._table.read()
        self._adopted_ms = time.time_ns() // 1_000_000
        self.markets = {m.row: m for m in rows if m.state == MarketState.ACTIVE}
        self._shapes = {}
        return rows

    def _leave_out_closed(self) -> None:
        """Markets that the venue has refused as closed: no basket needs them until facts come."""
        state = self._chronicle.state
        for token, at_ms in state.closed_ms.items():
            if at_ms < self._adopted_ms or token not in state.tokens:
                continue
            market = state.tokens[token][0]
            known = self.markets.get(market.row)
            if known is not None and known.key == market.key:
                del self.markets[market.row]
                self._shapes = {}

    # --- what follows from the journal ---

    @property
    def derived(self) -> Derived:
        """What the state comes to now."""
        if self._derived.version != self._chronicle.version:
            state = self._chronicle.state
            flights = state.open_flights
            self._derived = Derived(
                version=self._chronicle.version,
                exposure=state.exposure(),
                open_flights=len(flights),
                busy_rows=frozenset(leg.row for f in flights for leg in f.legs),
                free_cash_usd_e6=state.free_cash_usd_e6,
                stock=stock_of(flights, state.ledger),
            )
        return self._derived

    def bring_up_to_date(self) -> None:
        """Work it out now, so that the next signal does not have to."""
        assert self.derived.version == self._chronicle.version

    @property
    def worth_usd_e6(self) -> int:
        """Cash, and what everything held pays at least: each ladder is gone through, so once."""
        if self._worth[0] != self._chronicle.version:
            self._worth = (self._chronicle.version, self._chronicle.state.worth_usd_e6())
        return self._worth[1]

    def look(self, *, taking: bool) -> None:
        """Bring the signs up to date; `taking`: the kill that stands is being ended."""
        signs, stage = self.signs, self._stage
        signs.now_ms = time.time_ns() // 1_000_000
        self._looked_ns = time.monotonic_ns()
        signs.killed = stage.kill.look() and not taking
        self._count.look(signs)
        self.note_trouble()
        self._leave_out_closed()
        if self._looked_ns - self._worth_ns > WORTH_EVERY_NS:
            self._worth_ns = self._looked_ns
            signs.worth_usd_e6 = self.worth_usd_e6
            self._note_peak()

    def _note_peak(self) -> None:
        """The highest worth, between two of the journal's own marks, too.

        The journal's falls where a halt was forgiven, or money taken away: then it begins anew.
        """
        signs, told = self.signs, self._chronicle.state.peak_usd_e6
        if told < self._peak_told_usd_e6:
            signs.peak_usd_e6 = 0
        self._peak_told_usd_e6 = told
        signs.peak_usd_e6 = max(signs.peak_usd_e6, signs.worth_usd_e6)

    def note_trouble(self) -> None:
        """A disk that was full halts, also if there is room again before anyone looks."""
        self.signs.journal_trouble = self.signs.journal_trouble or self._chronicle.trouble

    # --- one signal ---

    def quotes(self, signal: Signal) -> dict[int, risk.Quote]:
        """The best levels of its markets at this moment."""
        return self._books.quotes(signal.leg_market[: signal.leg_count])

    def situation(self, quotes: dict[int, risk.Quote]) -> gate.Situation:
        """What the gate asks about."""
        derived, stage = self.derived, self._stage
        margin_bps = BPS - stage.settings.risk.cash_margin_bps
        return gate.Situation(
            now_ns=time.monotonic_ns(),
            trading=stage.switches.trading,
            armed=self.ready and self.channel_up and not self._chronicle.blocked,
            generation=self.generation,
            last_signal=max(self.seen_signal, self._chronicle.state.last_signal),
            open_flights=derived.open_flights,
            busy_rows=derived.busy_rows,
            connection_idle=self._venue.idle_connection() is not None,
            reports_waiting=self._reports.waiting,
            free_cash_usd_e6=derived.free_cash_usd_e6 * margin_bps // BPS,
            markets=self.markets,
            ticks_e4={row: quote.tick_e4 for row, quote in quotes.items() if quote.tick_e4},
            held={
                row: derived.stock.held(self.markets[row]) for row in quotes if row in self.markets
            },
            shapes=self._shapes,
        )

    def standing(self, group: int = 0, basket: int = 0, rows: Sequence[int] = ()) -> risk.Standing:
        """What the limits ask about; `rows`: the markets of which facts are to be believed.

        A row that is no known market has none (a signal may say anything): the gate refuses it.
        """
        state = self._chronicle.state
        now_ns, now_ms = time.monotonic_ns(), time.time_ns() // 1_000_000
        pace = state.pace.get(group)
        return risk.Standing(
            now_ns=now_ns,
            now_ms=now_ms,
            killed=self._stage.kill.requested(),
            mode=state.mode,
            equity_usd_e6=self.signs.worth_usd_e6,
            exposure=self.derived.exposure,
            order_tokens=self.bucket.room(now_ns),
            orders_today=state.orders_on(now_ms // DAY_MS),
            last_basket_ms={group: pace.last_ms} if pace else {},
            baskets_this_hour={group: state.baskets_in_hour(group, now_ms)},
            edge_since_ms={basket: self._edges[basket][0]} if basket in self._edges else {},
            clock_offset_ms=self.signs.clock_offset_ms,
            facts_age_ms=(now_ns - self._confirmed_ns(rows, now_ns)) // 1_000_000,
            feed_silence_ns=self._books.feed_silence_ns(),
            restarted_ms=self.signs.restarted_ms,
            held_up=self.held_up,
            quarantined=now_ms < self._quarantined_ms.get(group, 0),
        )

    def _confirmed_ns(self, rows: Sequence[int], now_ns: int) -> int:
        """When the one was confirmed that has waited longest; now, where there is none."""
        known = [self._table.confirmed_ns(row) for row in rows if row in self.markets]
        return min(known, default=now_ns)

    def objection(self, decided_ns: int) -> Refusal | None:
        """What has come up against orders while they were signed and written; see LookAgain.

        Writing waits for the disk (docs/journal.md, "Durability"), and the kill switch, the age of
        the signal and a standstill do not. A repair has no age of its own (0).
        """
        now_ns, kill = time.monotonic_ns(), self._stage.kill
        if kill.requested() or (now_ns - self._looked_ns > KILL_UNSEEN_NS and kill.look()):
            return Refusal.KILLED
        oldest_ns = now_ns - self._stage.settings.executor.max_signal_age_ms * 1_000_000
        if (decided_ns and decided_ns < oldest_ns) or self.held_up:
            return Refusal.STALE
        return None

    @property
    def held_up(self) -> bool:
        """Whether we stood still and nobody has heeded it yet (executor/second_look.py)."""
        return self._stage.still.unheeded(self.signs.stops_heeded)

    def note_edge(self, basket: int, now_ms: int) -> None:
        """Remember since when a basket's edge has been offered."""
        known = self._edges.get(basket)
        fresh = known is None or now_ms - known[1] > EDGE_PAUSE_MS
        since_ms = now_ms if fresh or known is None else known[0]
        if len(self._edges) >= EDGES_REMEMBERED and basket not in self._edges:
            self._edges.clear()
        self._edges[basket] = (since_ms, now_ms)

    def quarantine(self, group: int, duration_ms: int) -> None:
        """An edge of this ladder is too good to be true; nothing of it for a while, from now on."""
        now_ms = time.time_ns() // 1_000_000
        known = {one: until for one, until in self._quarantined_ms.items() if until > now_ms}
        if group not in known:
            known[group] = now_ms + duration_ms
            self._stage.log.warning(
                "an edge of ladder %d is too good to be true: nothing of it for %.3f s",
                group, duration_ms / 1e3,
            )  # fmt: skip
        self._quarantined_ms = known

    def forget_edge(self, basket: int) -> None:
        """Its orders went out: what is offered now is what they leave."""
        self._edges.pop(basket, None)

    def limit_tempo(self, limits: RiskSettings) -> None:
        """Take over changed limits of pace."""
        self.bucket.per_second = limits.orders_per_second
        self.bucket.burst = limits.orders_burst
