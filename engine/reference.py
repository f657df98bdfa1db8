"""What the engine decides, in plain Python: the reference, and what runs without compiler.

Knows books, baskets, what is on its way and the operator's switches; is told about updates and
reports, says signals. The compiled twin is engine/kernel.pyx over engine/core.h: same interface,
same integers, and `step` as one loop without Python. Tests run the two in lock step.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from engine.baskets import Basket
from engine.gate import Candidate, Holds, Moment, judge, size_cap_e6
from engine.handover import State, Waiter
from engine.onway import OnWay
from engine.pricer import Edge, Pricer
from engine.rows import basket_row, signal_row
from engine.waiting import Queue
from shm.codes import ReportKind, Role, Verdict
from shm.control import SwitchBoard
from shm.fabric import Fabric
from shm.layout import (
    BASKET_ROW,
    BOOK,
    ENGINE_STATS,
    REPORT,
    SIGNAL,
    UPDATE,
    Report,
    Signal,
    Update,
)
from shm.roles import RoleTable
from shm.settings import EngineSettings

BATCH = 256
"""Updates handled in one turn before the caller's loop comes round."""
SHOW_NS = 50_000_000
SHOW_ROWS = 64
HOLD_AFTER_REPORT_NS = 500_000_000
"""A market whose book has not moved after our orders is free again after this."""
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


class Tally(Protocol):
    """Counters or a histogram: whatever is added to."""

    def add(self, *what: Any) -> None:
        """Count."""


class PythonCore:
    """See the module. All clocks are given, so that a test can replay them; `step` reads them."""

    def __init__(self, fabric: Fabric, settings: EngineSettings, epoch: int) -> None:
        self._settings = settings
        self._settings_version = 0
        self._epoch = epoch
        self._attach(fabric)
        self._plan = self.prepare((), ())
        self._verdicts: list[Verdict] = []
        self._on_way = OnWay()
        self._holds = Holds({}, self._on_way.held)
        self._queue = Queue(0)
        self._generation = 0
        self._signal_count = 0
        self._ingest_epoch = 0
        self._moment = Moment(0, False, 0)
        self._shown_ns = 0
        self._show_from = 0

    def _attach(self, fabric: Fabric) -> None:
        """Open the ends of the segments that the engine holds."""
        self._books = fabric.read_table("books", BOOK)
        self._updates = fabric.consume("updates", UPDATE)
        self._dirty = fabric.dirty_taker()
        self._signals = fabric.produce("signals", SIGNAL)
        self._reports = fabric.consume("reports", REPORT)
        self._table = fabric.write_table("baskets", BASKET_ROW)
        self._counters: Tally = fabric.counters("stats-engine.counters", ENGINE_STATS, write=True)
        self._histograms: Mapping[str, Tally] = {
            name: fabric.histogram(Role.ENGINE, index, name)
            for index, name in enumerate(HISTOGRAMS)
        }
        self._switches = SwitchBoard(fabric)
        self._roles = RoleTable(fabric.segment("control", writable=False))

    # --- what there is to trade ---------------------------------------------------------------

    def configure(self, settings: EngineSettings, version: int = 0) -> None:
        """See Core."""
        self._settings = settings
        self._settings_version = version

    def prepare(self, baskets: Sequence[Basket], hurdles_e8: Sequence[int]) -> Plan:
        """See Core."""
        return Plan(Pricer(baskets), hurdles_e8)

    def adopt(self, plan: Plan, generation: int) -> None:
        """See Core."""
        self._plan = plan
        self._generation = generation
        cooling = self._holds.cooling_until_ns
        for stranger in cooling.keys() - plan.pricer.number_of.keys():
            del cooling[stranger]
        self._look_at_everything()
        self._reset_for(plan)
        self._queue.wait_for_all()

    def _reset_for(self, plan: Plan) -> None:
        count = len(plan.pricer.baskets)
        self._verdicts = [Verdict.NONE] * count
        self._queue = Queue(count)

    def state(self) -> State:
        """See Core."""
        baskets, queue = self._plan.pricer.baskets, self._queue
        return State(
            self._signal_count,
            self._ingest_epoch,
            dict(self._holds.cooling_until_ns),
            {b.id: queue.tries[n] for n, b in enumerate(baskets) if queue.tries[n]},
            self._on_way.state(),
            dict(self._holds.held),
            [Waiter(baskets[n].id, queue.due_ns[n], queue.tries[n]) for n in queue.order],
            {},
        )

    def restore(self, state: State) -> None:
        """See Core."""
        self._signal_count = state.signal_count
        self._holds.cooling_until_ns.update(state.cooling)
        self._on_way.restore(state.on_way, state.held)

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
            due_ns, now_ns = self._queue.next_due_ns(), time.monotonic_ns()
            left_ns = turn_ns if due_ns is None else min(turn_ns, due_ns - now_ns)
            if left_ns > 0:
                self._updates.wait(spins, left_ns if may_sleep else 0)
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
        self.retry(now_ns)
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
        self._look_around(seen_ns)
        pricer = self._plan.pricer
        before = pricer.evaluations
        for number in pricer.hits(update.market, self._plan.hurdles_e8):
            self._counters.add("hits")
            self._queue.tries[number] = 0
            verdict = self._consider(number, update, seen_ns)
            self._counters.add(COUNTER_OF[verdict])
        self._counters.add("evaluations", pricer.evaluations - before)

    def take_conflated(self, row: int, seen_ns: int) -> None:
        """The ring was full when this book changed; its own stamp stands for the lost message."""
        self._counters.add("updates_conflated")
        self.look(row)
        received_ns = self._plan.pricer.top(row).received_ns
        self.take(Update(row, 0, 0, 0, received_ns, received_ns, received_ns), seen_ns)

    def retry(self, now_ns: int) -> bool:
        """Look at baskets whose time has come (engine/waiting.py); whether any left the queue."""
        if not self._queue.order:
            return False
        self._look_around(now_ns)
        return self._queue.pass_by(now_ns, lambda number: self._look_again(number, now_ns))

    def _look_again(self, number: int, now_ns: int) -> None:
        edge = self.edge(number)
        if edge is None or edge.net_e8 < self._plan.hurdles_e8[number]:
            return
        self._counters.add("retries")
        before = self._verdicts[number]
        self._queue.tries[number] += 1
        verdict = self._consider(number, Update(0, 0, 0, 0, now_ns, now_ns, now_ns), now_ns)
        if verdict is not before:  # what has not changed since the last look is not counted again
            self._counters.add(COUNTER_OF[verdict])
        if verdict is Verdict.SIGNALLED:
            self._counters.add("retries_signalled")

    def _look_around(self, now_ns: int) -> None:
        """What else the world looks like, read once: all baskets are judged by the same."""
        silent_ns = now_ns - self._roles.row(Role.INGEST).heartbeat_ns
        self._moment = Moment(now_ns, self._switches.trading, silent_ns)

    def _consider(self, number: int, update: Update, seen_ns: int) -> Verdict:
        pricer = self._plan.pricer
        legs = pricer.taken(number)
        assert legs is not None, "a basket that cannot be bought is no hit"
        tops = [pricer.top(leg.market.row) for leg in legs]
        candidate = Candidate(pricer.baskets[number], legs, tops)
        verdict = judge(candidate, self._moment, self._holds, self._settings)
        if verdict is Verdict.SIGNALLED:
            verdict = self._signal(number, candidate, update, seen_ns)
        self._verdicts[number] = verdict
        cool_ns = self._holds.cooling_until_ns.get(candidate.basket.id, 0)
        self._queue.judged(number, verdict, seen_ns, cool_ns)
        return verdict

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
        if self._on_way.full:
            return Verdict.RING_FULL
        signal = self._epoch << SIGNAL_COUNT_BITS | self._signal_count + 1
        edge = self.edge(number)
        assert edge is not None
        created_ns = time.monotonic_ns()
        row = signal_row(candidate, edge, order)._replace(
            payout_e4=pricer.payout_e4(number, candidate.legs),
            signal=signal,
            generation=self._generation,
            settings_version=self._settings_version,
            frame_ns=update.frame_ns,
            parsed_ns=update.parsed_ns,
            published_ns=update.published_ns,
            seen_ns=seen_ns,
            created_ns=created_ns,
        )
        if not self._push(row):
            return Verdict.RING_FULL
        self._signal_count += 1
        self._histograms["frame_to_signal"].add(created_ns - update.frame_ns)
        self._histograms["seen_to_signal"].add(created_ns - seen_ns)
        pairs = zip(candidate.legs, candidate.tops, strict=True)
        versions = {leg.market.row: top.version for leg, top in pairs}
        self._on_way.hold(signal, candidate.basket.id, versions, seen_ns)
        return Verdict.SIGNALLED

    def _push(self, row: Signal) -> bool:
        return self._signals.try_push(row)

    # --- what became of signals ---------------------------------------------------------------

    def hear(self, report: Report, now_ns: int) -> None:
        """Charge a cooldown for what was sent; free what is over."""
        self._counters.add("reports_seen")
        if report.kind == ReportKind.SENT and report.basket in self._plan.pricer.number_of:
            cooldown_ns = self._settings.cooldown_ms * 1_000_000
            self._holds.cooling_until_ns[report.basket] = now_ns + cooldown_ns
            self._show_one(self._plan.pricer.number_of[report.basket], now_ns)
        pending = self._on_way.by_signal.get(report.signal)
        if pending is None or report.kind not in FINAL:
            return
        if report.kind == ReportKind.REFUSED:
            self._free(report.signal, now_ns)
        else:
            pending.reported_ns = now_ns

    def release_overdue(self, now_ns: int) -> None:
        """Free what is finished: reported and the books have moved on, or nobody ever reported."""
        patience_ns = self._settings.signal_wait_ms * 1_000_000
        pricer = self._plan.pricer
        for signal, pending in self._on_way.in_places():
            if pending.reported_ns:
                moved = all(
                    pricer.top(row).version != version for row, version in pending.versions.items()
                )
                if moved or now_ns - pending.reported_ns > HOLD_AFTER_REPORT_NS:
                    self._free(signal, now_ns)
            elif now_ns - pending.created_ns > patience_ns:
                self._free(signal, now_ns)

    def _free(self, signal: int, now_ns: int) -> None:
        basket = self._on_way.free(signal)
        number = self._plan.pricer.number_of.get(basket)
        if number is not None:
            cool_ns = self._holds.cooling_until_ns.get(basket, 0)
            self._queue.freed(number, now_ns, cool_ns)

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
            self._show_one((self._show_from + offset) % count, now_ns)
        self._show_from = (self._show_from + SHOW_ROWS) % max(1, count)

    def _show_one(self, number: int, now_ns: int) -> None:
        basket, verdict = self._plan.pricer.baskets[number], self._verdicts[number]
        row = basket_row(basket, self.edge(number), self._plan.hurdles_e8[number], verdict)
        self._table.write(
            number,
            row._replace(
                generation=self._generation,
                settings_version=self._settings_version,
                evaluated_ns=now_ns,
                cooling_until_ns=self._holds.cooling_until_ns.get(basket.id, 0),
            ),
        )
