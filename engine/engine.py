"""The engine stage: follows the updates, prices the baskets they touch, sends signals.

One turn of the loop (`step`): adopt a new generation if there is one, read the reports of the
executor, look at every market that changed, evaluate its baskets, and signal those that pass the
gate. What it shows to people (the baskets table) is written on a slow timer, off the hot path.
"""

import time
from collections.abc import Sequence

from engine.baskets import Basket, compile_baskets
from engine.gate import Candidate, Holds, Moment, judge, size_of
from engine.pricer import Edge, Pricer, Top
from shm import backend
from shm.codes import Outcome, ReportKind, Role, StageState, Verdict
from shm.errors import ConfigError
from shm.fabric import Fabric, find_section
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
from shm.markets import MarketsReader
from shm.roles import RoleTable
from shm.segments import BASKETS_MAX
from shm.stage import Stage
from shm.units import PRICE_ONE_E4

BATCH = 256
"""Updates handled in one turn before the heartbeat is stamped again."""
SHOW_NS = 250_000_000
HOLD_AFTER_REPORT_NS = 500_000_000
"""A market whose book has not moved after our orders is free again after this."""
SIGNAL_COUNT_BITS = 40
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


def make_pricer(fabric: Fabric, baskets: Sequence[Basket], kernel: str) -> Pricer:
    """The compiled pricer where there is one and it is wanted, else the reference."""
    native = backend.NATIVE if kernel == "auto" else kernel == "native"
    if not native:
        return Pricer(baskets, fabric.read_table("books", BOOK))
    if not backend.NATIVE:
        raise ConfigError(
            'engine.kernel = "native", and the kernels are not built: install a C compiler and '
            'run `make clean setup`, or set engine.kernel = "auto"'
        )
    plan, placed = find_section("books")
    view = fabric.segment(plan.name, writable=False).view
    pricer: Pricer = backend.compiled("engine.kernel").Pricer(baskets, view, placed.offset)
    return pricer


class Engine:
    """See the module."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._settings = stage.settings.engine
        fabric = stage.fabric
        self._markets = MarketsReader(fabric)
        self._updates = fabric.consume("updates", UPDATE)
        self._dirty = fabric.dirty_taker()
        self._signals = fabric.produce("signals", SIGNAL)
        self._reports = fabric.consume("reports", REPORT)
        self._table = fabric.write_table("baskets", BASKET_ROW)
        self._counters = fabric.counters("stats-engine.counters", ENGINE_STATS, write=True)
        self._latency = fabric.histogram(Role.ENGINE, 0, "frame_to_signal")
        self._hop = fabric.histogram(Role.ENGINE, 1, "published_to_seen")
        self._roles = RoleTable(fabric.segment("control", writable=False))
        self._baskets: tuple[Basket, ...] = ()
        self._pricer: Pricer = make_pricer(fabric, (), self._settings.kernel)
        self._verdicts: list[Verdict] = []
        self._holds = Holds({}, {})
        self._pending: dict[int, _Pending] = {}
        """By signal: what it asked for, until the executor's last word on it."""
        self._generation = 0
        self._signal_count = 0
        self._evaluations_shown = 0
        self._shown_ns = 0
        self._show_from = 0
        self._ingest_epoch = 0

    # --- the loop --------------------------------------------------------------------------------

    def step(self) -> int:
        """One turn; how many updates and reports it handled."""
        done = 0
        if self._markets.changed():
            self._adopt()
        while (report := self._reports.pop()) is not None:
            self._hear(report)
            done += 1
        self._follow_ingest()
        for _ in range(BATCH):
            update = self._updates.pop()
            if update is None:
                break
            done += 1
            self._take(update)
        for row in self._dirty.take():
            done += 1
            self._take_conflated(row)
        now_ns = time.monotonic_ns()
        if now_ns - self._shown_ns > SHOW_NS:
            self._shown_ns = now_ns
            self._release_overdue(now_ns)
            self._show(now_ns)
        return done

    def wait(self, spins: int, timeout_ns: int) -> None:
        """Rest until ingest has something."""
        self._updates.wait(spins, timeout_ns)

    # --- what there is to trade ---------------------------------------------------------------

    def _adopt(self) -> None:
        generation, markets = self._markets.read()
        compiled = compile_baskets(markets)
        baskets = compiled.baskets[:BASKETS_MAX]
        self._show_evaluations()
        self._evaluations_shown = 0
        self._pricer = make_pricer(self._stage.fabric, baskets, self._settings.kernel)
        self._baskets = baskets
        self._verdicts = [Verdict.NONE] * len(baskets)
        self._generation = generation
        known = {basket.id for basket in baskets}
        cooling = self._holds.cooling_until_ns
        for stranger in cooling.keys() - known:
            del cooling[stranger]
        self._look_at_everything()
        self._counters.set("baskets", len(baskets))
        self._counters.add("baskets_unproven", compiled.unproven)
        self._counters.add("generations")
        self._clear_rows_from(len(baskets))
        self._stage.holder.adopt(generation)
        self._stage.log.info("generation %d: %d baskets", generation, len(baskets))
        if len(compiled.baskets) > BASKETS_MAX:
            self._stage.log.warning(
                "%d baskets do not fit into the table", len(compiled.baskets) - BASKETS_MAX
            )

    def _look_at_everything(self) -> None:
        for row in {leg.market.row for basket in self._baskets for leg in basket.legs}:
            self._pricer.look(row, self._ingest_epoch)

    def _follow_ingest(self) -> None:
        """A new ingest process: all books of the old one are stale until written again."""
        epoch = self._roles.epoch(Role.INGEST)
        if epoch != self._ingest_epoch:
            self._ingest_epoch = epoch
            self._look_at_everything()

    # --- hot path -----------------------------------------------------------------------------

    def _take(self, update: Update) -> None:
        seen_ns = time.monotonic_ns()
        self._hop.add(seen_ns - update.published_ns)
        self._counters.add("updates_seen")
        if not self._pricer.look(update.market, self._ingest_epoch):
            self._counters.add("books_busy")  # its writer is at it: the next update will tell
            return
        for number in self._pricer.hits(update.market, self._settings.min_net_edge_e8):
            self._counters.add("hits")
            self._consider(number, update, seen_ns)

    def _take_conflated(self, row: int) -> None:
        """The ring was full when this book changed; its own stamp stands for the lost message."""
        self._counters.add("updates_conflated")
        self._pricer.look(row, self._ingest_epoch)
        received_ns = self._pricer.top(row).received_ns
        self._take(Update(row, 0, 0, 0, received_ns, received_ns, received_ns))

    def _consider(self, number: int, update: Update, seen_ns: int) -> None:
        basket = self._baskets[number]
        edge = self._pricer.edge(number)
        assert edge is not None
        tops = [self._pricer.top(leg.market.row) for leg in basket.legs]
        candidate = Candidate(basket, edge, tops)
        moment = Moment(seen_ns, self._stage.switches.trading, self._ingest_silence_ns(seen_ns))
        verdict = judge(candidate, moment, self._holds, self._settings)
        if verdict is Verdict.SIGNALLED:
            verdict = self._signal(candidate, update, seen_ns)
        self._verdicts[number] = verdict
        self._counters.add(COUNTER_OF[verdict])

    def _ingest_silence_ns(self, now_ns: int) -> int:
        return now_ns - self._roles.row(Role.INGEST).heartbeat_ns

    def _signal(self, candidate: Candidate, update: Update, seen_ns: int) -> Verdict:
        epoch = self._stage.holder.epoch
        signal = epoch << SIGNAL_COUNT_BITS | self._signal_count + 1
        created_ns = time.monotonic_ns()
        row = signal_row(candidate, size_of(candidate, self._settings), signal, self._generation)
        row = row._replace(
            frame_ns=update.frame_ns,
            parsed_ns=update.parsed_ns,
            published_ns=update.published_ns,
            seen_ns=seen_ns,
            created_ns=created_ns,
        )
        if not self._signals.try_push(row):
            return Verdict.RING_FULL
        self._signal_count += 1
        self._latency.add(created_ns - update.frame_ns)
        legs = candidate.basket.legs
        versions = {
            leg.market.row: top.version for leg, top in zip(legs, candidate.tops, strict=True)
        }
        self._pending[signal] = _Pending(candidate.basket.id, versions, created_ns)
        for market_row in versions:
            self._holds.held[market_row] = signal
        return Verdict.SIGNALLED

    # --- what became of signals ---------------------------------------------------------------

    def _hear(self, report: Report) -> None:
        self._counters.add("reports_seen")
        now_ns = time.monotonic_ns()
        if report.kind == ReportKind.SENT:
            cooldown_ns = self._settings.cooldown_ms * 1_000_000
            self._holds.cooling_until_ns[report.basket] = now_ns + cooldown_ns
        pending = self._pending.get(report.signal)
        if pending is None or report.kind not in FINAL:
            return
        if report.kind == ReportKind.REFUSED:
            self._free(report.signal)
        else:
            pending.reported_ns = now_ns

    def _release_overdue(self, now_ns: int) -> None:
        """Free what is finished: reported and the books have moved on, or nobody ever reported."""
        patience_ns = self._settings.signal_wait_ms * 1_000_000
        for signal, pending in list(self._pending.items()):
            if pending.reported_ns:
                moved = all(
                    self._pricer.top(row).version != version
                    for row, version in pending.versions.items()
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

    def _show(self, now_ns: int) -> None:
        """Write what every basket is worth; a slice a turn, so that no turn is long."""
        slice_rows = 64
        count = len(self._baskets)
        for offset in range(min(slice_rows, count)):
            number = (self._show_from + offset) % count
            self._table.write(number, self._row(number, now_ns))
        self._show_from = (self._show_from + slice_rows) % max(1, count)
        self._show_evaluations()

    def _show_evaluations(self) -> None:
        done = self._pricer.evaluations
        self._counters.add("evaluations", done - self._evaluations_shown)
        self._evaluations_shown = done

    def _row(self, number: int, now_ns: int) -> BasketRow:
        basket = self._baskets[number]
        edge = self._pricer.edge(number)
        verdict = self._verdicts[number]
        if edge is None:
            verdict = Verdict.UNQUOTED
        elif edge.net_e8 < self._settings.min_net_edge_e8:
            verdict = Verdict.NO_EDGE
        shown = edge or Edge(0, 0, 0)
        markets, outcomes, sides = leg_columns(basket)
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
            size_e6=shown.size_e6,
            evaluated_ns=now_ns,
            leg_market=markets,
            leg_outcome=outcomes,
            leg_side=sides,
        )

    def _clear_rows_from(self, first: int) -> None:
        blank = BASKET_ROW.blank()
        for row in range(first, BASKETS_MAX):
            if self._table.version(row):
                self._table.write(row, blank)


class _Pending:
    """A signal on its way."""

    __slots__ = ("basket", "created_ns", "reported_ns", "versions")

    def __init__(self, basket: int, versions: dict[int, int], created_ns: int) -> None:
        self.basket = basket
        self.versions = versions
        self.created_ns = created_ns
        self.reported_ns = 0


def _padded(values: Sequence[int]) -> tuple[int, ...]:
    return (*values, *(0 for _ in range(MAX_LEGS - len(values))))


def leg_columns(basket: Basket) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Rows, outcomes and sides of a basket's legs, padded to `MAX_LEGS`."""
    return (
        _padded([leg.market.row for leg in basket.legs]),
        _padded([leg.outcome for leg in basket.legs]),
        _padded([leg.side for leg in basket.legs]),
    )


def leg_price_e4(top: Top, *, yes: bool) -> int:
    """What buying the token costs at the top of the book."""
    return top.ask_price_e4 if yes else PRICE_ONE_E4 - top.bid_price_e4


def signal_row(candidate: Candidate, size_e6: int, signal: int, generation: int) -> Signal:
    """The message to the executor, time stamps left at zero."""
    basket, edge = candidate.basket, candidate.edge
    markets, outcomes, sides = leg_columns(basket)
    yes_legs = [leg.outcome is Outcome.YES for leg in basket.legs]
    pairs = list(zip(candidate.tops, yes_legs, strict=True))
    return Signal(
        signal=signal,
        basket=basket.id,
        generation=generation,
        kind=basket.kind,
        leg_count=len(basket.legs),
        payout_e4=basket.payout_e4,
        size_e6=size_e6,
        gross_e8=edge.gross_e8,
        net_e8=edge.net_e8,
        frame_ns=0,
        parsed_ns=0,
        published_ns=0,
        seen_ns=0,
        created_ns=0,
        leg_market=markets,
        leg_outcome=outcomes,
        leg_side=sides,
        leg_price_e4=_padded([leg_price_e4(top, yes=yes) for top, yes in pairs]),
        leg_size_e6=_padded([t.ask_size_e6 if yes else t.bid_size_e6 for t, yes in pairs]),
        leg_version=_padded([top.version for top in candidate.tops]),
    )


def work(stage: Stage) -> None:
    """The stage's body."""
    stage.holder.enter(StageState.WAITING)
    stage.run_poller(Engine(stage))
