"""The engine stage: follows markets, settings and modes, and turns the loop that decides.

A new generation is compiled in a thread beside the loop and adopted between two turns, so that no
update waits for it. Changed settings and another mode take the same way: they hold from the moment
at which the plan that was made for them is adopted, all at once. A core that takes over from
another one is given what that one had on its way. What is decided, and how, stands in
engine/core.py.
"""

import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.baskets import Basket, compile_baskets
from engine.core import Core, make_core, make_plan, resolved
from engine.follower import Ground
from engine.hurdle import hurdle_e8
from engine.pricer import Pricer
from engine.reference import Plan
from engine.shadow import Shadow
from shm import backend
from shm.codes import StageState
from shm.errors import InputError
from shm.layout import BASKET_ROW, ENGINE_STATS, Market
from shm.markets import MarketsReader
from shm.modes import EngineMode
from shm.promoted import Promoted, read_promoted
from shm.segments import BASKETS_MAX
from shm.settings import EngineSettings
from shm.stage import Stage

SWITCH_INTERVAL_S = 0.0005
"""How long the compiling thread may keep the loop waiting for the interpreter."""
LOOK_NS = 20_000_000
"""How often switches and settings are looked at."""


class Order(NamedTuple):
    """What a plan is to be made for."""

    generation: int
    markets: Sequence[Market]
    settings: EngineSettings
    version: int
    mode: EngineMode


class Compiled(NamedTuple):
    """A plan that is ready to be adopted."""

    order: Order
    plan: Any
    shadow: Plan | None
    """The same for the shadow."""
    baskets: int
    left_out: int
    """That the table has no room for, or a signal not enough legs."""
    unproven: int


class Engine:
    """See the module."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        fabric = stage.fabric
        self._markets = MarketsReader(fabric)
        self._generation, self._rows = 0, list[Market]()
        self._table = fabric.write_table("baskets", BASKET_ROW)
        self._counters = fabric.counters("stats-engine.counters", ENGINE_STATS, write=True)
        self._version = stage.settings_version
        self._mode = self._wanted_mode()
        self._core: Core = make_core(fabric, stage.settings.engine, stage.holder.epoch, self._mode)
        self._core.configure(stage.settings.engine, self._version)
        self._shadow: Shadow | None = None
        self._look_ns = 0
        self._compiling: threading.Thread | None = None
        self._compiled: Compiled | None = None
        self._failure: BaseException | None = None
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._show_mode()
        stage.log.info("engine %s", self._mode.name.lower())

    def step(self, spins: int, turn_ns: int, *, may_sleep: bool) -> None:
        """One turn of the stage's loop."""
        self._follow()
        self._core.step(spins, turn_ns, may_sleep=may_sleep)
        if self._shadow is not None:
            self._shadow.turn()

    # --- what has changed -----------------------------------------------------------------------

    def _wanted_mode(self) -> EngineMode:
        board = self._stage.switches
        if not backend.NATIVE and board.read().engine_mode:
            return EngineMode.PYTHON  # desk refuses such a choice: it was made before a rebuild
        return resolved(board.engine(self._stage.settings))

    def _follow(self) -> None:
        if self._compiling is None:
            order = self._order()
            if order is not None:
                self._compiling = threading.Thread(target=self._compile, args=(order,), daemon=True)
                self._compiling.start()
        elif not self._compiling.is_alive():
            self._compiling = None
            if self._failure is not None:
                raise self._failure
            assert self._compiled is not None
            self._adopt(self._compiled)

    def _order(self) -> Order | None:
        """What is to be compiled, if anything that a plan depends on has changed."""
        changed = self._markets.changed()
        if changed:
            self._generation, self._rows = self._markets.read()
        now_ns = time.monotonic_ns()
        if not changed and now_ns - self._look_ns < LOOK_NS:
            return None
        self._look_ns = now_ns
        version, mode = self._stage.settings_version, self._wanted_mode()
        if not changed and (version, mode) == (self._version, self._mode):
            return None
        settings = self._stage.settings.engine
        return Order(self._generation, self._rows, settings, version, mode)

    def _compile(self, order: Order) -> None:
        try:
            compiled = compile_baskets(
                order.markets, wide=order.settings.wide, promoted=self._promoted()
            )
            baskets: Sequence[Basket] = compiled.baskets[:BASKETS_MAX]
            now_ms = time.time_ns() // 1_000_000
            hurdles_e8 = [hurdle_e8(basket, order.settings, now_ms) for basket in baskets]
            plan = make_plan(order.mode, baskets, hurdles_e8)
            shadowed = order.mode is EngineMode.SHADOW
            shadow = Plan(Pricer(baskets), hurdles_e8) if shadowed else None
            left_out = len(compiled.baskets) - len(baskets) + compiled.too_long
            self._compiled = Compiled(
                order, plan, shadow, len(baskets), left_out, compiled.unproven
            )
        except BaseException as error:  # noqa: BLE001  # raised again by the loop, which ends with it
            self._failure = error

    def _promoted(self) -> Sequence[Promoted]:
        try:
            return read_promoted(self._stage.settings.var_path)
        except InputError as error:  # a file that a person may have written is no reason to end
            self._stage.log.warning("no promoted baskets: %s", error)
            return ()

    # --- going over to it -----------------------------------------------------------------------

    def _adopt(self, compiled: Compiled) -> None:
        order, stage = compiled.order, self._stage
        if order.mode is not self._mode:
            self._change_core(order, compiled.plan)
        else:
            self._core.configure(order.settings, order.version)
            self._core.adopt(compiled.plan, order.generation)
        self._follow_in_shadow(compiled)
        self._clear_rows_from(compiled.baskets)
        self._counters.set("baskets", compiled.baskets)
        self._counters.add("baskets_unproven", compiled.unproven)
        self._counters.add("generations")
        stage.holder.adopt(order.generation)
        if order.version != self._version:
            self._version = order.version
            stage.holder.adopt_settings(order.version)
            stage.log.info("settings %d", order.version)
        stage.log.info("generation %d: %d baskets", order.generation, compiled.baskets)
        if compiled.left_out:
            stage.log.warning("%d baskets are too many or too long", compiled.left_out)

    def _change_core(self, order: Order, plan: Any) -> None:
        """Another core takes over, with everything that is on its way."""
        if self._shadow is not None:
            self._shadow.stop()
            self._shadow = None
        stage = self._stage
        before = self._core.state()
        self._core = make_core(stage.fabric, order.settings, stage.holder.epoch, order.mode)
        self._core.configure(order.settings, order.version)
        self._core.follow_ingest()
        self._core.adopt(plan, order.generation)
        self._core.restore(before)
        stage.log.warning(
            "engine %s takes over from %s", order.mode.name.lower(), self._mode.name.lower()
        )
        self._mode = order.mode
        self._counters.add("mode_changes")
        self._show_mode()

    def _follow_in_shadow(self, compiled: Compiled) -> None:
        if compiled.shadow is None:
            return
        order, stage = compiled.order, self._stage
        if self._shadow is None:
            self._shadow = Shadow(stage.fabric, self._core, stage.holder.epoch)
        self._shadow.stand_on(
            Ground(compiled.shadow, order.generation, order.settings, order.version)
        )

    def _show_mode(self) -> None:
        self._counters.set("mode", self._mode)

    def _clear_rows_from(self, first: int) -> None:
        blank = BASKET_ROW.blank()
        for row in range(first, BASKETS_MAX):
            if self._table.version(row):
                self._table.write(row, blank)


def work(stage: Stage) -> None:
    """The stage's body."""
    stage.holder.enter(StageState.WAITING)
    stage.run_poller(Engine(stage))
