"""The engine stage: follows the market generations, and turns the loop that decides.

A new generation is compiled in a thread beside the loop and adopted between two turns, so that no
update waits for it. What is decided, and how, stands in engine/core.py.
"""

import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.baskets import Basket, compile_baskets
from engine.core import make_core
from engine.hurdle import hurdle_e8
from shm.codes import StageState
from shm.errors import InputError
from shm.layout import BASKET_ROW, ENGINE_STATS, Market
from shm.markets import MarketsReader
from shm.promoted import Promoted, read_promoted
from shm.segments import BASKETS_MAX
from shm.stage import Stage

SWITCH_INTERVAL_S = 0.0005
"""How long the compiling thread may keep the loop waiting for the interpreter."""


class Compiled(NamedTuple):
    """A generation that is ready to be adopted."""

    generation: int
    plan: Any
    baskets: int
    left_out: int
    """That the table has no room for, or a signal not enough legs."""
    unproven: int


class Engine:
    """See the module."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._settings = stage.settings.engine
        fabric = stage.fabric
        self._markets = MarketsReader(fabric)
        self._table = fabric.write_table("baskets", BASKET_ROW)
        self._counters = fabric.counters("stats-engine.counters", ENGINE_STATS, write=True)
        self._core = make_core(fabric, self._settings, stage.holder.epoch)
        self._compiling: threading.Thread | None = None
        self._compiled: Compiled | None = None
        self._failure: BaseException | None = None
        sys.setswitchinterval(SWITCH_INTERVAL_S)

    def step(self, spins: int, turn_ns: int, *, may_sleep: bool) -> None:
        """One turn of the stage's loop."""
        self._follow_markets()
        self._core.step(spins, turn_ns, may_sleep=may_sleep)

    def _follow_markets(self) -> None:
        if self._compiling is None:
            if self._markets.changed():
                generation, markets = self._markets.read()
                self._compiling = threading.Thread(
                    target=self._compile, args=(generation, markets), daemon=True
                )
                self._compiling.start()
        elif not self._compiling.is_alive():
            self._compiling = None
            if self._failure is not None:
                raise self._failure
            assert self._compiled is not None
            self._adopt(self._compiled)

    def _compile(self, generation: int, markets: Sequence[Market]) -> None:
        try:
            compiled = compile_baskets(markets, wide=self._settings.wide, promoted=self._promoted())
            baskets: Sequence[Basket] = compiled.baskets[:BASKETS_MAX]
            now_ms = time.time_ns() // 1_000_000
            hurdles_e8 = [hurdle_e8(basket, self._settings, now_ms) for basket in baskets]
            plan = self._core.prepare(baskets, hurdles_e8)
            left_out = len(compiled.baskets) - len(baskets) + compiled.too_long
            self._compiled = Compiled(generation, plan, len(baskets), left_out, compiled.unproven)
        except BaseException as error:  # noqa: BLE001  # raised again by the loop, which ends with it
            self._failure = error

    def _promoted(self) -> Sequence[Promoted]:
        try:
            return read_promoted(self._stage.settings.var_path)
        except InputError as error:  # a file that a person may have written is no reason to end
            self._stage.log.warning("no promoted baskets: %s", error)
            return ()

    def _adopt(self, compiled: Compiled) -> None:
        self._core.adopt(compiled.plan, compiled.generation)
        self._clear_rows_from(compiled.baskets)
        self._counters.set("baskets", compiled.baskets)
        self._counters.add("baskets_unproven", compiled.unproven)
        self._counters.add("generations")
        self._stage.holder.adopt(compiled.generation)
        self._stage.log.info("generation %d: %d baskets", compiled.generation, compiled.baskets)
        if compiled.left_out:
            self._stage.log.warning("%d baskets are too many or too long", compiled.left_out)

    def _clear_rows_from(self, first: int) -> None:
        blank = BASKET_ROW.blank()
        for row in range(first, BASKETS_MAX):
            if self._table.version(row):
                self._table.write(row, blank)


def work(stage: Stage) -> None:
    """The stage's body."""
    stage.holder.enter(StageState.WAITING)
    stage.run_poller(Engine(stage))
