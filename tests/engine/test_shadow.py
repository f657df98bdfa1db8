"""Shadow mode: both engines over one story; whatever one of them does otherwise is caught."""

import pytest

from engine import shadow as shadow_module
from engine.baskets import compile_baskets
from engine.comparison import counts_apart, differs, pairs, profit_apart_usd_e6
from engine.core import make_core
from engine.follower import Ground
from engine.handover import Decision
from engine.pricer import Pricer
from engine.reference import Plan
from engine.repeater import Repeater
from engine.shadow import Fork, Shadow
from shm import backend
from shm.codes import Verdict
from shm.layout import SHADOW_ROW, SIGNAL
from shm.modes import Differs
from shm.segments import SHADOW_ROWS
from shm.settings import EngineSettings
from tests.conftest import require_or_skip
from tests.engine.test_core import SETTINGS, Story, World
from tests.pipeline.system import until

SIGNALLED = SIGNAL.blank()._replace(
    signal=5, basket=9, leg_count=2, size_e6=10**6, profit_usd_e6=50_000, gross_e8=7, net_e8=6
)


class Shadowed(World):
    """A compiled core with a shadow that the test turns by hand."""

    def __init__(self, instance: str, make=Repeater, settings: EngineSettings = SETTINGS) -> None:
        super().__init__(instance, make_core, settings)
        self.fabric = self._engine_fabric
        self.follower = None
        self.shadow = Shadow(self.fabric, self.core, self.holder.epoch, make, self.launch)
        self.settings = settings

    def launch(self, follower):
        """In place of a process of its own."""
        self.follower = follower
        return self

    @property
    def alive(self) -> bool:
        return not self.follower.done

    def end(self) -> None:
        self.follower = None

    def adopt(self, markets, generation: int) -> int:
        count = super().adopt(markets, generation)
        baskets = compile_baskets(markets).baskets
        hurdles = [SETTINGS.min_net_edge_e8 + number % 3 for number in range(len(baskets))]
        self.shadow.stand_on(Ground(Plan(Pricer(baskets), hurdles), generation, self.settings, 0))
        return count

    def follow(self) -> None:
        while self.follower.follow():
            pass
        self.shadow.turn()

    def differences(self):
        rows = self.fabric.read_table("shadow", SHADOW_ROW)
        found = [rows.read(place) for place in range(SHADOW_ROWS)]
        return [row for row in found if row is not None and row.number]


@pytest.fixture
def shadowed(instance, monkeypatch):
    """Makes the world; the shadow may be given the state at any time."""
    require_or_skip(backend.NATIVE, "the compiled kernels")
    monkeypatch.setattr(shadow_module, "RESET_EVERY_NS", 0)
    return lambda make=Repeater: Shadowed(instance, make)


def play(world: Shadowed, acts: int, seed: int = 1) -> Story:
    story = Story(seed, (world,))
    world.panel.set_trading(enabled=True)
    world.ingest_role.beat(story.now_ns)
    world.core.follow_ingest()
    for number in range(acts):
        story.act()
        while (signal := world.signals.pop()) is not None:
            story.sent.append((signal.signal, signal.basket))
        del story.sent[:-20]
        if number % 7 == 0:
            world.follow()
    world.follow()
    return story


@pytest.mark.parametrize("seed", range(4))
def test_two_engines_that_are_alike_are_found_alike(shadowed, seed):
    world = shadowed()
    play(world, 2_500, seed)
    counters = world.counters.read()
    assert world.differences() == []
    assert counters.shadow_native == counters.shadow_python > 20
    assert counters.shadow_updates > 1_500
    assert counters.retries > 0
    for name in ("missing", "extra", "profit", "size", "legs", "edge", "verdicts"):
        assert getattr(counters, f"shadow_{name}") == 0, name


class Greedy(Repeater):
    """Believes that every signal earns two tenths of a cent more."""

    def _push(self, row):
        return super()._push(row._replace(profit_usd_e6=row.profit_usd_e6 + 2_000))


class Blind(Repeater):
    """Makes no signal."""

    def _push(self, _row):
        return False


class Large(Repeater):
    """Wants one micro-share more."""

    def _push(self, row):
        return super()._push(row._replace(size_e6=row.size_e6 + 1))


class Dear(Repeater):
    """Pays a tick more for its first leg."""

    def _push(self, row):
        first, *others = row.leg_price_e4
        return super()._push(row._replace(leg_price_e4=(first + 10, *others)))


@pytest.mark.parametrize(
    ("wrong", "counter", "kind"),
    [(Greedy, "profit", Differs.PROFIT), (Blind, "missing", Differs.MISSING),
     (Large, "size", Differs.SIZE), (Dear, "legs", Differs.LEGS)],
)  # fmt: skip
def test_a_planted_difference_is_caught_and_told(shadowed, wrong, counter, kind):
    world = shadowed(wrong)
    play(world, 1_500)
    counters = world.counters.read()
    assert getattr(counters, f"shadow_{counter}") > 5
    # Within the same look others may differ, too: markets that only one of them has spoken for.
    of_kind = [row for row in world.differences() if row.differs & kind]
    assert len(of_kind) * 2 > len(world.differences()) > 5
    assert counters.shadow_resets > 5, "after each it starts from the native one's state again"


def test_a_profit_that_is_a_tenth_of_a_cent_apart_is_an_alert(shadowed, caplog):
    world = shadowed(Greedy)
    play(world, 600)
    counters = world.counters.read()
    assert counters.shadow_profit_alerts == counters.shadow_profit > 0
    assert counters.shadow_worst_usd_e6 == 2_000
    assert "profits differ by $0.002000" in caplog.text
    row = world.differences()[0]
    assert row.python_profit_usd_e6 - row.native_profit_usd_e6 == 2_000
    assert row.native_legs == row.python_legs >= 2


def test_numbers_of_signals_that_are_five_percent_apart_are_an_alert(shadowed, caplog):
    world = shadowed(Blind)
    play(world, 2_000)
    assert world.counters.read().shadow_count_alerts == 1
    assert "more than 5 % apart" in caplog.text


def test_the_shadow_changes_nothing_of_what_is_decided(shadowed, instance):
    """The same story with and without a shadow, even one that is wrong: to the last bit."""
    with_shadow = shadowed(Greedy)
    alone = World(f"{instance}-b", make_core, SETTINGS)
    story = Story(5, (alone, with_shadow))
    story.both(lambda world: world.panel.set_trading(enabled=True))
    story.both(lambda world: world.ingest_role.beat(story.now_ns))
    story.both(lambda world: world.core.follow_ingest())
    for number in range(1_500):
        story.act()
        if number % 5 == 0:
            with_shadow.follow()
        looks = [world.look(story.baskets) for world in story.worlds]
        assert looks[0][:4] == looks[1][:4]
        story.sent += [(signal.signal, signal.basket) for signal in looks[0][0]]
        del story.sent[:-20]
    assert with_shadow.counters.read().shadow_profit > 0


def test_a_tape_without_room_is_given_up_and_begun_anew_and_the_core_never_waits(shadowed):
    world = shadowed()
    story = play(world, 100)
    before = world.counters.read()
    story.tell_many(3_000)  # three times what the tape holds
    assert world.core.tape_lost
    assert world.counters.read().updates_seen == before.updates_seen + 3_000
    world.follow()
    assert not world.core.tape_lost
    story.tell_many(200)
    world.follow()
    counters = world.counters.read()
    assert counters.shadow_resets == before.shadow_resets + 1
    assert counters.shadow_updates > before.shadow_updates + 150
    assert world.differences() == []


class Stumbling(Repeater):
    """Cannot stand reports."""

    def hear(self, *_report):
        raise RuntimeError("planted")


@pytest.fixture
def forked(instance, monkeypatch):
    """Makes the world with a shadow in a process of its own."""
    require_or_skip(backend.NATIVE, "the compiled kernels")
    monkeypatch.setattr(shadow_module, "RESET_EVERY_NS", 0)
    monkeypatch.setattr(Shadowed, "launch", lambda _self, follower: Fork(follower))
    worlds = []

    def make(core=Repeater):
        worlds.append(Shadowed(instance, core))
        return worlds[-1]

    yield make
    for world in worlds:
        world.shadow.stop()


def signals_and_a_report(world: Shadowed) -> None:
    story = Story(1, (world,))
    world.panel.set_trading(enabled=True)
    world.core.follow_ingest()
    world.shadow.turn()
    story.tell_many(100)
    while (signal := world.signals.pop()) is not None:
        story.sent.append((signal.signal, signal.basket))
    world.core.hear(story.report(), story.now_ns)
    story.tell_many(20)


def test_a_shadow_in_a_process_of_its_own_says_the_same(forked):
    world = forked()
    signals_and_a_report(world)
    updates = world.counters.read().updates_seen
    until(lambda: world.counters.read().shadow_updates > 0.8 * updates, "it follows")
    counters = world.counters.read()
    assert counters.shadow_native == counters.shadow_python
    assert world.differences() == []


def test_a_shadow_that_has_found_a_difference_is_followed_by_another_one(forked):
    world = forked(Greedy)
    signals_and_a_report(world)
    until(world.differences, "the difference")
    resets = world.counters.read().shadow_resets
    until(lambda: world.shadow.turn() or world.counters.read().shadow_resets > resets, "another")


def test_a_shadow_that_stumbles_harms_nobody_and_another_one_begins(forked):
    world = forked(Stumbling)
    signals_and_a_report(world)
    assert not world.core.tape_lost
    resets = world.counters.read().shadow_resets
    until(lambda: world.shadow.turn() or world.counters.read().shadow_resets > resets, "another")
    assert world.counters.read().signals > 0


def test_a_shadow_that_is_killed_is_replaced(forked):
    world = forked()
    signals_and_a_report(world)
    world.shadow._companion.end()
    resets = world.counters.read().shadow_resets
    world.shadow.turn()
    assert world.counters.read().shadow_resets == resets + 1
    assert world.shadow._companion.alive


# --- the comparison itself ----------------------------------------------------------------------


def said(verdict: Verdict, **changes) -> Decision:
    signalled = verdict is Verdict.SIGNALLED
    return Decision(3, verdict, SIGNALLED._replace(**changes) if signalled else None)


@pytest.mark.parametrize(
    ("native", "python", "found"),
    [
        ([said(Verdict.SIGNALLED)], [said(Verdict.SIGNALLED, created_ns=99)], Differs(0)),
        ([said(Verdict.BUSY)], [said(Verdict.BUSY)], Differs(0)),
        ([said(Verdict.BUSY)], [said(Verdict.COOLING)], Differs.VERDICT),
        ([said(Verdict.BUSY)], [], Differs.VERDICT),
        ([], [said(Verdict.SIGNALLED)], Differs.EXTRA),
        ([said(Verdict.SIGNALLED)], [said(Verdict.BUSY)], Differs.MISSING),
        ([said(Verdict.SIGNALLED)], [said(Verdict.SIGNALLED, size_e6=1)], Differs.SIZE),
        ([said(Verdict.SIGNALLED)], [said(Verdict.SIGNALLED, net_e8=5)], Differs.EDGE),
        ([said(Verdict.SIGNALLED)], [said(Verdict.SIGNALLED, profit_usd_e6=1, leg_count=3)],
         Differs.PROFIT | Differs.LEGS),
    ],
)  # fmt: skip
def test_every_kind_of_difference_has_its_name(native, python, found):
    (pair,) = pairs(native, python)
    assert differs(pair) == found


def test_profits_are_compared_only_where_there_are_two():
    (pair,) = pairs([said(Verdict.SIGNALLED)], [said(Verdict.SIGNALLED, profit_usd_e6=48_999)])
    assert profit_apart_usd_e6(pair) == 1_001
    (pair,) = pairs([said(Verdict.SIGNALLED)], [])
    assert profit_apart_usd_e6(pair) == 0


@pytest.mark.parametrize(
    ("native", "python", "apart"),
    [(0, 0, False), (19, 0, False), (20, 19, False), (20, 18, True), (18, 20, True),
     (100, 95, False), (100, 94, True), (1_000, 1_050, False), (1_000, 1_053, True)],
)  # fmt: skip
def test_counts_are_apart_beyond_five_percent_of_the_larger_one(native, python, apart):
    assert counts_apart(native, python) is apart
