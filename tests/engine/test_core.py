"""The two cores decide alike: in lock step over random worlds, to the last count."""

import random
from functools import lru_cache

import pytest

from engine.baskets import compile_baskets
from engine.core import make_core
from engine.reference import BATCH, PythonCore
from shm import backend, segment
from shm.codes import BookState, ReportKind, Role
from shm.control import SwitchPanel
from shm.errors import FencedError
from shm.fabric import Fabric
from shm.layout import BASKET_ROW, BOOK, ENGINE_STATS, REPORT, SIGNAL, UPDATE, Report, Update
from shm.roles import RoleHolder
from shm.segments import SEGMENTS, UPDATES_CAPACITY
from shm.settings import EngineSettings
from tests.conftest import require_or_skip
from tests.engine.books import book
from tests.engine.factory import ladder

MS = 1_000_000
STRIKES = [10, 20, 30, 40, 50, 60]
SETTINGS = EngineSettings(
    min_net_edge_e8=1_000_000, min_profit_usd_e6=500_000, cooldown_ms=40, max_book_age_ms=700,
    max_leg_skew_ms=500, signal_wait_ms=300, slippage_ticks=1,
)  # fmt: skip


@lru_cache(maxsize=2)
def baskets_of(markets):
    """The baskets of some markets: both worlds ask for the same ones."""
    return compile_baskets(markets).baskets


class World:
    """One core over segments of its own, with everybody else played by the test."""

    def __init__(self, instance: str, core_of, settings: EngineSettings) -> None:
        for plan in SEGMENTS.values():
            segment.create(instance, plan)
        ingest = Fabric(instance, Role.INGEST)
        self.ingest_role = RoleHolder(ingest.segment("control", writable=True), Role.INGEST)
        self.books = ingest.write_table("books", BOOK)
        self.updates = ingest.produce("updates", UPDATE)
        self.marker = ingest.dirty_marker()
        self.panel = SwitchPanel(Fabric(instance, Role.DESK))
        executor = Fabric(instance, Role.EXECUTOR)
        self.signals = executor.consume("signals", SIGNAL)
        self.reports = executor.produce("reports", REPORT)
        fabric = Fabric(instance, Role.ENGINE)
        self.holder = RoleHolder(fabric.segment("control", writable=True), Role.ENGINE)
        fabric.fence = self.holder.fence
        self._engine_fabric = fabric
        self.core = core_of(fabric, settings, self.holder.epoch)
        self.baskets = fabric.read_table("baskets", BASKET_ROW)
        self.counters = fabric.counters("stats-engine.counters", ENGINE_STATS, write=False)
        self.ingest_fabric = ingest

    def adopt(self, markets, generation: int) -> int:
        baskets = baskets_of(tuple(markets))
        hurdles = [SETTINGS.min_net_edge_e8 + number % 3 for number in range(len(baskets))]
        self.core.adopt(self.core.prepare(baskets, hurdles), generation)
        return len(baskets)

    def look(self, baskets: int):
        """Everything visible, apart from the clock that is read while a signal is made."""
        signals = []
        while (signal := self.signals.pop()) is not None:
            signals.append(signal._replace(created_ns=0))
        return (
            signals,
            [self.core.edge(number) for number in range(baskets)],
            [self.core.verdict(number) for number in range(baskets)],
            [self.baskets.read(number) for number in range(baskets)],
            self.counters.read(),
        )


@pytest.fixture
def worlds(instance):
    """The same world twice: plain and compiled."""
    require_or_skip(backend.NATIVE, "the compiled kernels")

    def make(settings=SETTINGS):
        plain = World(f"{instance}-a", PythonCore, settings)
        compiled = World(f"{instance}-b", make_core, settings)
        assert not isinstance(compiled.core, PythonCore)
        return plain, compiled

    yield make
    for suffix in ("a", "b"):
        for path in segment.SHM_ROOT.glob(f"polytrio.{instance}-{suffix}.*"):
            path.unlink()


class Story:
    """A seeded sequence of acts, each done to both worlds."""

    def __init__(self, seed: int, worlds: tuple[World, World]) -> None:
        self.random = random.Random(seed)
        self.worlds = worlds
        self.now_ns = 10**15
        self.markets = ladder(STRIKES)
        self.keys = {market.row: market.key for market in self.markets}
        self.rows = list(self.keys)
        self.generation = 0
        self.sent: list[tuple[int, int]] = []
        self.baskets = 0
        self.next_generation()

    def both(self, act) -> None:
        for world in self.worlds:
            act(world)

    def next_generation(self) -> None:
        """Another set of the markets, with another fee now and then."""
        self.generation += 1
        some = self.random.sample(self.markets, len(self.markets) - self.generation % 3)
        some = [m._replace(fee_rate_e6=self.random.choice((0, 40_000, 70_000))) for m in some]
        counts = [world.adopt(some, self.generation) for world in self.worlds]
        self.baskets = counts[0]

    def levels(self, best_e4: int, direction: int) -> list[tuple[int, int]]:
        levels, price_e4 = [], best_e4
        for _ in range(self.random.randint(0, 5)):
            if not 0 < price_e4 < 10_000:
                break
            levels.append((price_e4, self.random.choice((10**6, 7_300_000, 60 * 10**6, 10**9))))
            price_e4 += direction * self.random.randint(1, 300)
        return levels

    def new_book(self, row: int):
        """Around a fair price that falls with the strike, so that edges come and go."""
        rank = (row % len(STRIKES)) / len(STRIKES)
        fair_e4 = int(9_000 - 8_000 * rank) + self.random.randint(-900, 900)
        fair_e4 = min(max(fair_e4, 10), 9_990)
        gap = self.random.randint(-1, 40)
        age_ns = self.random.choice((0, 0, 0, 5 * MS, 400 * MS, 900 * MS))
        one = book(
            self.levels(fair_e4 - gap, -1), self.levels(fair_e4 + gap, 1),
            key=self.keys[row], received_ns=self.now_ns - age_ns, tick_e4=10,
        )  # fmt: skip
        epoch = self.worlds[0].ingest_role.epoch
        one = one._replace(epoch=epoch if self.random.random() < 0.97 else epoch + 1)
        if self.random.random() < 0.02:
            one = one._replace(state=BookState.STALE)
        return one

    def update(self, row: int) -> Update:
        at = self.now_ns - self.random.randint(0, 2 * MS)
        return Update(row, 0, 0, 0, at, at + 1, at + 2)

    def report(self) -> Report:
        signal, basket = self.random.choice(self.sent)
        kind = self.random.choice(list(ReportKind))
        if self.random.random() < 0.1:
            signal += 1
        return REPORT.blank()._replace(signal=signal, basket=basket, kind=kind)

    def act(self) -> None:
        self.now_ns += self.random.choice((0, 1_000, MS, 20 * MS))
        now_ns, roll = self.now_ns, self.random.random()
        row = self.random.choice([*self.rows, 1000])
        if roll < 0.8:
            if row in self.keys:
                one = self.new_book(row)
                self.both(lambda world: world.books.write(row, one))
            update = self.update(row)
            self.both(lambda world: world.core.take(update, now_ns))
        elif roll < 0.83:
            self.both(lambda world: world.core.take_conflated(row, now_ns))
        elif roll < 0.91 and self.sent:
            report = self.report()
            self.both(lambda world: world.core.hear(report, now_ns))
        elif roll < 0.95:
            self.both(lambda world: world.core.release_overdue(now_ns))
            self.both(lambda world: world.core.show(now_ns))
            self.both(lambda world: world.core.retry(now_ns))
        elif roll < 0.97:
            enabled = self.random.random() < 0.9
            self.both(lambda world: world.panel.set_trading(enabled=enabled))
        elif roll < 0.995:
            silent_ns = self.random.choice((0, 0, 0, 2_000 * MS))
            self.both(lambda world: world.ingest_role.beat(now_ns - silent_ns))
        elif self.random.random() < 0.5:
            self.next_generation()
        else:
            self.both(replace_ingest)
            self.both(lambda world: world.ingest_role.beat(now_ns))
            self.both(lambda world: world.core.follow_ingest())

    def tell(self, number: int) -> None:
        """A fresh book of the next market, to one world."""
        self.now_ns += 100 * MS
        row = self.rows[number % len(self.rows)]
        one, update = self.new_book(row), self.update(row)
        world = self.worlds[0]
        world.ingest_role.beat(self.now_ns)
        world.books.write(row, one)
        world.core.take(update, self.now_ns)

    def tell_many(self, count: int) -> None:
        for number in range(count):
            self.tell(number)

    def compare(self) -> None:
        expected, found = (world.look(self.baskets) for world in self.worlds)
        assert found == expected
        self.sent += [(signal.signal, signal.basket) for signal in found[0]]
        del self.sent[:-20]


def story_of(world: World) -> Story:
    """A story with one world, which trades and follows its ingest."""
    story = Story(3, (world, world))
    world.panel.set_trading(enabled=True)
    world.core.follow_ingest()
    return story


def replace_ingest(world: World) -> None:
    control = world.ingest_fabric.segment("control", writable=True)
    world.ingest_role = RoleHolder(control, Role.INGEST)


@pytest.mark.parametrize("seed", range(8))
def test_random_worlds_are_decided_alike(worlds, seed):
    story = Story(seed, worlds())
    story.both(lambda world: world.panel.set_trading(enabled=True))
    story.both(lambda world: world.ingest_role.beat(story.now_ns))
    story.both(lambda world: world.core.follow_ingest())
    for _ in range(2_500):
        story.act()
        story.compare()
    counters = story.worlds[1].counters.read()
    for name in ("signals", "held_stale", "held_skew", "held_cooldown", "held_busy", "held_small",
                 "held_disabled", "retries", "retries_signalled"):  # fmt: skip
        assert getattr(counters, name) > 0, name


def test_a_step_takes_what_is_in_the_rings_and_marks(worlds):
    for world in worlds():
        markets = ladder(STRIKES)
        world.adopt(markets, 1)
        world.ingest_role.beat(1)
        for number in range(UPDATES_CAPACITY + 5):
            market = markets[number % len(markets)]
            world.books.write(market.row, book([(4_000, 10**6)], [], key=market.key))
            if not world.updates.try_push(Update(market.row, 0, 1, 1, 1, 1, 1)):
                world.marker.mark(market.row)
        world.reports.try_push(REPORT.blank())
        done = 0
        while (did := world.core.step(1, 100_000, may_sleep=False)) > 0:
            done += did
        counters = world.counters.read()
        assert counters.updates_seen == UPDATES_CAPACITY + 5
        assert counters.updates_conflated == 5
        assert counters.reports_seen == 1
        assert done == UPDATES_CAPACITY + 6
        assert BATCH < UPDATES_CAPACITY


def test_a_basket_whose_orders_went_out_is_shown_at_once_with_its_pause(worlds):
    for world in worlds():
        count = world.adopt(ladder(STRIKES), 1)
        world.core.show(1)
        assert count > 2
        assert world.baskets.read(2).cooling_until_ns == 0
        sent = REPORT.blank()._replace(basket=world.baskets.read(2).basket, kind=ReportKind.SENT)
        world.core.hear(sent, 10**9)
        until_ns = 10**9 + SETTINGS.cooldown_ms * MS
        assert world.baskets.read(2).cooling_until_ns == until_ns
        assert world.baskets.read(2).evaluated_ns == 10**9
        world.core.show(2 * 10**9)
        assert world.baskets.read(2).cooling_until_ns == until_ns  # until orders go out again
        assert world.baskets.read(1).cooling_until_ns == 0


def test_a_full_signals_ring_refuses_and_is_said_to_be_full(worlds):
    settings = EngineSettings(cooldown_ms=1, max_book_age_ms=3_600_000, min_profit_usd_e6=1)
    plain, compiled = worlds(settings)
    for world in (plain, compiled):
        story = story_of(world)
        for number in range(6_000):
            story.tell(number)
            world.core.release_overdue(story.now_ns)
        assert world.counters.read().signals == 64
        assert world.counters.read().signals_full > 0
    assert plain.look(story.baskets)[0] == compiled.look(story.baskets)[0]


def test_a_core_whose_epoch_is_over_sends_nothing_more(worlds):
    for world in worlds():
        story = story_of(world)
        successor = Fabric(world.ingest_fabric.instance, Role.ENGINE)
        RoleHolder(successor.segment("control", writable=True), Role.ENGINE)
        with pytest.raises(FencedError):
            story.tell_many(500)
        assert world.signals.pop() is None


def test_a_generation_with_more_baskets_than_rows_is_refused(worlds):
    _, compiled = worlds()
    baskets = compile_baskets(ladder(STRIKES)).baskets * 200
    with pytest.raises(ValueError, match="do not fit"):
        compiled.core.prepare(baskets, [0] * len(baskets))
