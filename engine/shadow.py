"""Shadow mode: the Python core is given what the native one was given, and the two are compared.

The native core decides as always and writes down beside its work what it was given and what it said
(engine/tape.h); it never waits for anybody. A thread of low priority repeats that in Python and
compares. When it cannot keep up, when the two have differed, and whenever there is too much to tell
(a new generation, a new ingest), it is given the whole state of the native core and goes on from
there: what was left out meanwhile is counted. Nothing that it finds, and no fault of its own, has
any effect on what is decided.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.comparison import (
    PROFIT_ALERT_USD_E6,
    Pair,
    counts_apart,
    differs,
    pairs,
    profit_apart_usd_e6,
    shadow_row,
)
from engine.handover import Decision, State
from engine.reference import HISTOGRAMS, Plan
from engine.repeater import UPDATE_ENTRY, VERDICT, Entry, Repeater
from shm.codes import Role
from shm.fabric import Fabric
from shm.layout import ENGINE_STATS, SHADOW_ROW, ShadowRow
from shm.modes import Differs
from shm.segments import SHADOW_ROWS
from shm.settings import EngineSettings

RESET_EVERY_NS = 1_000_000_000
"""The native core hands over its state so often at most: that takes it a moment."""
IDLE_S = 0.002
NICENESS = 10
_COUNTERS = {
    Differs.MISSING: "shadow_missing",
    Differs.EXTRA: "shadow_extra",
    Differs.PROFIT: "shadow_profit",
    Differs.SIZE: "shadow_size",
    Differs.LEGS: "shadow_legs",
    Differs.EDGE: "shadow_edge",
    Differs.VERDICT: "shadow_verdicts",
}
_log = logging.getLogger("shadow")


class Ground(NamedTuple):
    """What the shadow stands on: a generation and settings."""

    plan: Plan
    generation: int
    settings: EngineSettings
    version: int


class Shadow:
    """See the module. `turn` and `stand_on` are called by the thread that turns the kernel."""

    def __init__(
        self,
        fabric: Fabric,
        kernel: Any,
        epoch: int,
        make: Callable[[Fabric, EngineSettings, int], Repeater] = Repeater,
    ) -> None:
        self._fabric = fabric
        self._kernel = kernel
        self._epoch = epoch
        self._make = make
        self._counters = fabric.counters("stats-engine.counters", ENGINE_STATS, write=True)
        self._table = fabric.write_table("shadow", SHADOW_ROW)
        self._took = fabric.histogram(Role.ENGINE, len(HISTOGRAMS), "shadow_seen_to_signal")
        self._behind = fabric.histogram(Role.ENGINE, len(HISTOGRAMS) + 1, "shadow_behind")
        self._lock = threading.Lock()
        """Around the tape's reading end and what is handed over."""
        self._ground: Ground | None = None
        self._given: tuple[Ground, State] | None = None
        self._wanting = False
        self._reset_ns = 0
        self._found = max(
            (row.number for place in range(SHADOW_ROWS) if (row := self._shown(place))), default=0
        )
        self._signals = [0, 0]
        self._apart = False
        self._core: Repeater | None = None
        self._stood: Ground | None = None
        self._said: list[Decision] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)

    def _shown(self, place: int) -> ShadowRow | None:
        return self._fabric.read_table("shadow", SHADOW_ROW).read(place)

    # --- the side of the kernel -----------------------------------------------------------------

    def stand_on(self, ground: Ground) -> None:
        """Another generation, or other settings; the kernel has adopted them."""
        self._ground = ground
        self._wanting = True
        self._reset_ns = 0
        self.turn()

    def start(self) -> None:
        """Begin to follow, beside the loop."""
        self._thread.start()

    def turn(self) -> None:
        """Hand over the kernel's state, if that is wanted and not too often."""
        if not (self._wanting or self._kernel.tape_lost):
            return
        now_ns = time.monotonic_ns()
        if self._ground is None or now_ns - self._reset_ns < RESET_EVERY_NS:
            return
        with self._lock:
            self._kernel.tape(on=True)
            self._given = self._ground, self._kernel.state(books=True)
            self._wanting = False
        self._reset_ns = now_ns

    def stop(self) -> None:
        """End it; the kernel tells nothing more."""
        self._stopping = True
        if self._thread.ident is not None:
            self._thread.join()
        self._kernel.tape(on=False)

    # --- the side of the shadow -----------------------------------------------------------------

    def _work(self) -> None:
        _step_aside()
        while not self._stopping:
            try:
                if not self.follow():
                    time.sleep(IDLE_S)
            except Exception:  # noqa: BLE001  # whatever it is, it must not reach what decides
                _log.exception("the shadow stumbled; it starts anew")
                self._give_up()

    def follow(self) -> bool:
        """Repeat the next entry of the tape; False if there is none."""
        with self._lock:
            given, self._given = self._given, None
            raw = None if given else self._kernel.next_entry()
        if given is not None:
            self._begin(*given)
            return True
        if raw is None:
            return False
        entry = Entry(*raw)
        if self._core is None:
            self._counters.add("shadow_skipped", entry.kind != VERDICT)
        elif entry.kind == VERDICT:
            self._said.append(entry.decision())
        else:
            said, self._said = self._said, []
            self._compare(self._core, entry, said)
        return True

    def _begin(self, ground: Ground, state: State) -> None:
        core = self._make(self._fabric, ground.settings, self._epoch)
        core.configure(ground.settings, ground.version)
        core.begin(ground.plan, ground.generation, state)
        self._core, self._stood, self._said = core, ground, []
        self._counters.add("shadow_resets")

    def _give_up(self) -> None:
        self._core = None
        self._wanting = True

    def _compare(self, core: Repeater, entry: Entry, native: list[Decision]) -> None:
        began_ns = time.monotonic_ns()
        python = core.repeat(entry, native)
        ended_ns = time.monotonic_ns()
        self._counters.add("shadow_updates")
        self._behind.add(ended_ns - entry.now_ns)
        if any(decision.signal for decision in python):
            self._took.add(ended_ns - began_ns)
        for pair in pairs(native, python):
            self._judge(pair, entry)
        self._watch_counts()

    def _judge(self, pair: Pair, entry: Entry) -> None:
        for index, (name, signal) in enumerate(
            [("shadow_native", pair.native_signal), ("shadow_python", pair.python_signal)]
        ):
            if signal is not None:
                self._counters.add(name)
                self._signals[index] += 1
        found = differs(pair)
        if not found:
            return
        for kind in found:
            self._counters.add(_COUNTERS[kind])
        apart_usd_e6 = profit_apart_usd_e6(pair)
        worst = max(apart_usd_e6, self._counters.read().shadow_worst_usd_e6)
        self._counters.set("shadow_worst_usd_e6", worst)
        assert self._stood is not None
        basket = self._stood.plan.pricer.baskets[pair.number].id
        if apart_usd_e6 > PROFIT_ALERT_USD_E6:
            self._counters.add("shadow_profit_alerts")
            _log.error("basket %016x: profits differ by $%.6f", basket, apart_usd_e6 / 1e6)
        else:
            words = ", ".join(str(kind.name).lower() for kind in found)
            _log.warning("basket %016x differs: %s", basket, words)
        self._write(pair, found, basket, entry)
        self._give_up()

    def _write(self, pair: Pair, found: Differs, basket: int, entry: Entry) -> None:
        self._found += 1
        assert self._stood is not None
        row = shadow_row(pair, found, basket)._replace(
            number=self._found,
            generation=self._stood.generation,
            market=entry.number if entry.kind == UPDATE_ENTRY else 0,
            seen_wall_ns=time.time_ns(),
        )
        self._table.write((self._found - 1) % SHADOW_ROWS, row)

    def _watch_counts(self) -> None:
        native, python = self._signals
        apart = counts_apart(native, python)
        if apart and not self._apart:
            self._counters.add("shadow_count_alerts")
            _log.error("signals: %d native, %d python: more than 5 %% apart", native, python)
        self._apart = apart


def _step_aside() -> None:
    """Leave the core of the loop that decides, and its priority."""
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
