"""What the engine decides, in plain Python: the reference, and what runs without compiler.

Knows books, baskets, what is on its way and the operator's switches; is told about updates and
reports, says signals. The compiled twin is engine/kernel.pyx over engine/core.h: same interface,
same integers, and `step` as one loop without Python. Tests run the two in lock step.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.baskets import Basket
from engine.gate import Candidate, Holds, Moment, judge, size_cap_e6
from engine.pricer import Edge, Pricer
from engine.walk import Order
from shm.codes import Outcome, ReportKind, Role, Verdict
from shm.control import SwitchBoard
from shm.fabric import Fabric
from shm.layout import (
    BASKET_ROW,
    BOOK,
    ENGINE_STATS,
    MAX_LEGS,
    REPORT,
    SIGNAL,
    UPDATE,
    BasketRow,
    Report,
    Signal,
    Update,
)
from shm.payoff import Leg
from shm.roles import RoleTable
from shm.settings import EngineSettings

BATCH = 256
"""Updates handled in one turn before the caller's loop comes round."""
SHOW_NS = 50_000_000
SHOW_ROWS = 64
HOLD_AFTER_REPORT_NS = 500_000_000
"""A market whose book has not moved after our orders is free again after this."""
PENDING_MAX = 256
"""Signals on their way at one time."""
SIGNAL_COUNT_BITS = 40
HISTOGRAMS = ("frame_to_signal", "published_to_seen", "seen_to_signal")
FINAL = {ReportKind.REFUSED, ReportKind.COMPLETE, ReportKind.PARTIAL, ReportKind.MISSED}

COUNTER_OF = {
    Verdict.DISABLED: "held_disabled",
    Verdict.STALE: "held_stale",
    Verdict.SKEWED: "held_skew",
    Verdict.COOLING: "held_cooldown",
    Verdict.BUSY: "held_busy",
    Verdict.TOO_SMALL: "held_small",
    Verdict.RING_FULL: "signals_full",
    Verdict.SIGNALLED: "signals",
}


class Plan(NamedTuple):
    """The baskets of a generation, ready to be adopted at once. Making one may take a while."""

    pricer: Pricer
    hurdles_e8: Sequence[int]
    """By basket: the net edge that a signal needs."""


@dataclass(slots=True)
class _Pending:
    """A signal on its way."""

    basket: int
    versions: dict[int, int]
    """By market row: version of the book that it was computed from."""
    created_ns: int
    reported_ns: int = field(default=0)


class PythonCore:
    """See the module. All clocks are given, so that a test can replay them; `step` reads them."""

    def __init__(self, fabric: Fabric, settings: EngineSettings, epoch: int) -> None:
        self._settings = settings
        self._epoch = epoch
        self._books = fabric.read_table("books", BOOK)
        self._updates = fabric.consume("updates", UPDATE)
        self._dirty = fabric.dirty_taker()
        self._signals = fabric.produce("signals", SIGNAL)
        self._reports = fabric.consume("reports", REPORT)
        self._table = fabric.write_table("baskets", BASKET_ROW)
        self._counters = fabric.counters("stats-engine.counters", ENGINE_STATS, write=True)
        self._histograms = {
            name: fabric.histogram(Role.ENGINE, index, name)
            for index, name in enumerate(HISTOGRAMS)
        }
        self._switches = SwitchBoard(fabric)
        self._roles = RoleTable(fabric.segment("control", writable=False))
        self._plan = self.prepare((), ())
        self._verdicts: list[Verdict] = []
        self._holds = Holds({}, {})
        self._pending: dict[int, _Pending] = {}
        """By signal: what it asked for, until the executor's last word on it."""
        self._generation = 0
        self._signal_count = 0
        self._ingest_epoch = 0
        self._shown_ns = 0
        self._show_from = 0

    # --- what there is to trade ---------------------------------------------------------------

    def prepare(self, baskets: Sequence[Basket], hurdles_e8: Sequence[int]) -> Plan:
        """See Core."""
        return Plan(Pricer(baskets), hurdles_e8)

    def adopt(self, plan: Plan, generation: int) -> None:
        """See Core."""
        self._plan = plan
        self._generation = generation
        baskets = plan.pricer.baskets
        self._verdicts = [Verdict.NONE] * len(baskets)
        cooling = self._holds.cooling_until_ns
        for stranger in cooling.keys() - plan.pricer.number_of.keys():
            del cooling[stranger]
        self._look_at_everything()

    def _look_at_everything(self) -> None:
        for row in self._plan.pricer.keys:
            self.look(row)

    def look(self, row: int) -> bool:
        """Read a market's book; False if its writer was faster every time."""
        if row not in self._plan.pricer.keys:
            return True  # of no basket, or of no row at all
        book = self._books.read(row)
        if book is None:
            self._plan.pricer.forget(row)
            return False
        self._plan.pricer.observe(row, book, self._books.seen, self._ingest_epoch)
        return True

    # --- the loop -----------------------------------------------------------------------------

    def step(self, spins: int, turn_ns: int, *, may_sleep: bool) -> int:
        """See Core."""
        done = self._turn()
        if not done:
            self._updates.wait(spins, turn_ns if may_sleep else 0)
        return done

    def _turn(self) -> int:
        done = 0
        while (report := self._reports.pop()) is not None:
            self.hear(report, time.monotonic_ns())
            done += 1
        self.follow_ingest()
        for _ in range(BATCH):
            update = self._updates.pop()
            if update is None:
                break
            done += 1
            self.take(update, time.monotonic_ns())
        for row in self._dirty.take():
            done += 1
            self.take_conflated(row, time.monotonic_ns())
        now_ns = time.monotonic_ns()
        if now_ns - self._shown_ns > SHOW_NS:
            self._shown_ns = now_ns
            self.release_overdue(now_ns)
            self.show(now_ns)
        return done

    def follow_ingest(self) -> None:
        """A new ingest process: all books of the old one are stale until written again."""
        epoch = self._roles.epoch(Role.INGEST)
        if epoch != self._ingest_epoch:
            self._ingest_epoch = epoch
            self._look_at_everything()

    # --- hot path -----------------------------------------------------------------------------

    def take(self, update: Update, seen_ns: int) -> None:
        """Look at a market that changed, and at every basket that it is a leg of."""
        self._histograms["published_to_seen"].add(seen_ns - update.published_ns)
        self._counters.add("updates_seen")
        if not self.look(update.market):
            self._counters.add("books_busy")  # its writer is at it: the next update will tell
            return
        pricer = self._plan.pricer
        before = pricer.evaluations
        for number in pricer.hits(update.market, self._plan.hurdles_e8):
            self._counters.add("hits")
            self._consider(number, update, seen_ns)
        self._counters.add("evaluations", pricer.evaluations - before)

    def take_conflated(self, row: int, seen_ns: int) -> None:
        """The ring was full when this book changed; its own stamp stands for the lost message."""
        self._counters.add("updates_conflated")
        self.look(row)
        received_ns = self._plan.pricer.top(row).received_ns
        self.take(Update(row, 0, 0, 0, received_ns, received_ns, received_ns), seen_ns)

    def _consider(self, number: int, update: Update, seen_ns: int) -> None:
        pricer = self._plan.pricer
        legs = pricer.taken(number)
        assert legs is not None, "a basket that cannot be bought is no hit"
        tops = [pricer.top(leg.market.row) for leg in legs]
        candidate = Candidate(pricer.baskets[number], legs, tops)
        heartbeat_ns = self._roles.row(Role.INGEST).heartbeat_ns
        moment = Moment(seen_ns, self._switches.trading, seen_ns - heartbeat_ns)
        verdict = judge(candidate, moment, self._holds, self._settings)
        if verdict is Verdict.SIGNALLED:
            verdict = self._signal(number, candidate, update, seen_ns)
        self._verdicts[number] = verdict
        self._counters.add(COUNTER_OF[verdict])

    def _signal(self, number: int, candidate: Candidate, update: Update, seen_ns: int) -> Verdict:
        pricer = self._plan.pricer
        order = pricer.order(
            number,
            self._plan.hurdles_e8[number],
            size_cap_e6(candidate, self._settings),
            self._settings.slippage_ticks,
        )
        if order is None or order.profit_usd_e6 < self._settings.min_profit_usd_e6:
            return Verdict.TOO_SMALL
        if len(self._pending) == PENDING_MAX:
            return Verdict.RING_FULL
        signal = self._epoch << SIGNAL_COUNT_BITS | self._signal_count + 1
        edge = self.edge(number)
        assert edge is not None
        created_ns = time.monotonic_ns()
        row = signal_row(candidate, edge, order)._replace(
            payout_e4=pricer.payout_e4(number, candidate.legs),
            signal=signal,
            generation=self._generation,
            frame_ns=update.frame_ns,
            parsed_ns=update.parsed_ns,
            published_ns=update.published_ns,
            seen_ns=seen_ns,
            created_ns=created_ns,
        )
        if not self._signals.try_push(row):
            return Verdict.RING_FULL
        self._signal_count += 1
        self._histograms["frame_to_signal"].add(created_ns - update.frame_ns)
        self._histograms["seen_to_signal"].add(created_ns - seen_ns)
        pairs = zip(candidate.legs, candidate.tops, strict=True)
        versions = {leg.market.row: top.version for leg, top in pairs}
        self._pending[signal] = _Pending(candidate.basket.id, versions, seen_ns)
        for market_row in versions:
            self._holds.held[market_row] = signal
        return Verdict.SIGNALLED

    # --- what became of signals ---------------------------------------------------------------

    def hear(self, report: Report, now_ns: int) -> None:
        """Charge a cooldown for what was sent; free what is over."""
        self._counters.add("reports_seen")
        if report.kind == ReportKind.SENT and report.basket in self._plan.pricer.number_of:
            cooldown_ns = self._settings.cooldown_ms * 1_000_000
            self._holds.cooling_until_ns[report.basket] = now_ns + cooldown_ns
        pending = self._pending.get(report.signal)
        if pending is None or report.kind not in FINAL:
            return
        if report.kind == ReportKind.REFUSED:
            self._free(report.signal)
        else:
            pending.reported_ns = now_ns

    def release_overdue(self, now_ns: int) -> None:
        """Free what is finished: reported and the books have moved on, or nobody ever reported."""
        patience_ns = self._settings.signal_wait_ms * 1_000_000
        pricer = self._plan.pricer
        for signal, pending in list(self._pending.items()):
            if pending.reported_ns:
                moved = all(
                    pricer.top(row).version != version for row, version in pending.versions.items()
                )
                if moved or now_ns - pending.reported_ns > HOLD_AFTER_REPORT_NS:
                    self._free(signal)
            elif now_ns - pending.created_ns > patience_ns:
                self._free(signal)

    def _free(self, signal: int) -> None:
        pending = self._pending.pop(signal)
        for row in pending.versions:
            if self._holds.held.get(row) == signal:
                del self._holds.held[row]

    # --- for people ---------------------------------------------------------------------------

    def edge(self, number: int) -> Edge | None:
        """See Core."""
        return self._plan.pricer.edge(number)

    def verdict(self, number: int) -> Verdict:
        """See Core."""
        return self._verdicts[number]

    def show(self, now_ns: int) -> None:
        """Write what some baskets are worth; a slice a turn, so that no turn is long."""
        count = len(self._plan.pricer.baskets)
        for offset in range(min(SHOW_ROWS, count)):
            number = (self._show_from + offset) % count
            self._table.write(number, self._basket_row(number, now_ns))
        self._show_from = (self._show_from + SHOW_ROWS) % max(1, count)

    def _basket_row(self, number: int, now_ns: int) -> BasketRow:
        basket = self._plan.pricer.baskets[number]
        hurdle_e8 = self._plan.hurdles_e8[number]
        edge = self.edge(number)
        verdict = self._verdicts[number]
        if edge is None:
            verdict = Verdict.UNQUOTED
        elif edge.net_e8 < hurdle_e8:
            verdict = Verdict.NO_EDGE
        shown = edge or Edge(0, 0, 0)
        markets, outcomes, sides = leg_columns(basket.legs)
        return BasketRow(
            basket=basket.id,
            generation=self._generation,
            kind=basket.kind,
            group=basket.group,
            leg_count=len(basket.legs),
            verdict=verdict,
            payout_e4=basket.payout_e4,
            tie_payout_e4=basket.proof.tie_min_e4,
            void_payout_e4=basket.proof.void_e4,
            gross_e8=shown.gross_e8,
            net_e8=shown.net_e8,
            hurdle_e8=hurdle_e8,
            size_e6=shown.size_e6,
            evaluated_ns=now_ns,
            leg_market=markets,
            leg_outcome=outcomes,
            leg_side=sides,
        )


def _padded(values: Sequence[int]) -> tuple[int, ...]:
    return (*values, *(0 for _ in range(MAX_LEGS - len(values))))


def leg_columns(
    legs: Sequence[Leg],
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Rows, outcomes and sides of legs, padded to `MAX_LEGS`."""
    return (
        _padded([leg.market.row for leg in legs]),
        _padded([leg.outcome for leg in legs]),
        _padded([leg.side for leg in legs]),
    )


def signal_row(candidate: Candidate, edge: Edge, order: Order) -> Signal:
    """The message to the executor; payout, number, generation and time stamps are left at zero."""
    basket, legs = candidate.basket, candidate.legs
    markets, outcomes, sides = leg_columns(legs)
    yes_legs = [leg.outcome is Outcome.YES for leg in legs]
    pairs = list(zip(candidate.tops, yes_legs, strict=True))
    return SIGNAL.blank()._replace(
        basket=basket.id,
        kind=basket.kind,
        leg_count=len(legs),
        size_e6=order.size_e6,
        gross_e8=edge.gross_e8,
        net_e8=edge.net_e8,
        limit_net_e8=order.limit_net_e8,
        profit_usd_e6=order.profit_usd_e6,
        leg_market=markets,
        leg_outcome=outcomes,
        leg_side=sides,
        leg_price_e4=_padded(order.limits_e4),
        leg_size_e6=_padded([t.ask_size_e6 if yes else t.bid_size_e6 for t, yes in pairs]),
        leg_version=_padded([top.version for top in candidate.tops]),
    )
