"""The shadow itself: repeats what the tape says, compares, and tells every difference.

It lives in a process of its own (engine/shadow.py), which is done with the first difference: from
there on the two cores are not in the same state, and the next one starts from the native one's.
"""

import logging
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
from shm.layout import ENGINE_STATS, SHADOW_ROW
from shm.modes import Differs
from shm.segments import SHADOW_ROWS
from shm.settings import EngineSettings

Make = Callable[[Fabric, EngineSettings, int], Repeater]
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
    """What a shadow stands on: a generation and settings."""

    plan: Plan
    generation: int
    settings: EngineSettings
    version: int


class Follower:
    """See the module."""

    def __init__(
        self, fabric: Fabric, kernel: Any, epoch: int, make: Make, start: tuple[Ground, State]
    ) -> None:
        self._fabric = fabric
        self._kernel = kernel
        self._epoch = epoch
        self._make = make
        self._counters = fabric.counters("stats-engine.counters", ENGINE_STATS, write=True)
        self._table = fabric.write_table("shadow", SHADOW_ROW)
        self._rows = fabric.read_table("shadow", SHADOW_ROW)
        self._took = fabric.histogram(Role.ENGINE, len(HISTOGRAMS), "shadow_seen_to_signal")
        self._behind = fabric.histogram(Role.ENGINE, len(HISTOGRAMS) + 1, "shadow_behind")
        self._start: tuple[Ground, State] | None = start
        """Where it begins when it is first asked to follow: not before it is on its own."""
        self._said: list[Decision] = []
        self.done = False
        """Whether the two have differed: nothing more is to be learnt from this one."""

    def _begin(self, ground: Ground, state: State) -> None:
        self._ground = ground
        self._core = self._make(self._fabric, ground.settings, self._epoch)
        self._core.configure(ground.settings, ground.version)
        self._core.begin(ground.plan, ground.generation, state)
        rows = (self._rows.read(place) for place in range(SHADOW_ROWS))
        self._found = max((row.number for row in rows if row is not None), default=0)
        self._apart = self._counts_apart()

    def follow(self) -> bool:
        """Repeat the next entry of the tape; False if there is none, or it is done."""
        if self._start is not None:
            self._begin(*self._start)
            self._start = None
        raw = None if self.done else self._kernel.next_entry()
        if raw is None:
            return False
        entry = Entry(*raw)
        if entry.kind == VERDICT:
            self._said.append(entry.decision())
        else:
            said, self._said = self._said, []
            self._compare(entry, said)
        return True

    def _compare(self, entry: Entry, native: list[Decision]) -> None:
        began_ns = time.monotonic_ns()
        python = self._core.repeat(entry, native)
        ended_ns = time.monotonic_ns()
        self._counters.add("shadow_updates")
        self._behind.add(max(0, ended_ns - entry.now_ns))
        if any(decision.signal for decision in python):
            self._took.add(ended_ns - began_ns)
        for pair in pairs(native, python):
            self._judge(pair, entry)
        self._watch_counts()

    def _judge(self, pair: Pair, entry: Entry) -> None:
        self._counters.add("shadow_native", pair.native_signal is not None)
        self._counters.add("shadow_python", pair.python_signal is not None)
        found = differs(pair)
        if not found:
            return
        for kind in found:
            self._counters.add(_COUNTERS[kind])
        apart_usd_e6 = profit_apart_usd_e6(pair)
        worst_usd_e6 = max(apart_usd_e6, self._counters.read().shadow_worst_usd_e6)
        self._counters.set("shadow_worst_usd_e6", worst_usd_e6)
        basket = self._ground.plan.pricer.baskets[pair.number].id
        if apart_usd_e6 > PROFIT_ALERT_USD_E6:
            self._counters.add("shadow_profit_alerts")
            _log.error("basket %016x: profits differ by $%.6f", basket, apart_usd_e6 / 1e6)
        else:
            words = ", ".join(str(kind.name).lower() for kind in found)
            _log.warning("basket %016x differs: %s", basket, words)
        self._write(pair, found, basket, entry)
        self.done = True

    def _write(self, pair: Pair, found: Differs, basket: int, entry: Entry) -> None:
        self._found += 1
        row = shadow_row(pair, found, basket)._replace(
            number=self._found,
            generation=self._ground.generation,
            market=entry.number if entry.kind == UPDATE_ENTRY else 0,
            seen_wall_ns=time.time_ns(),
        )
        self._table.write((self._found - 1) % SHADOW_ROWS, row)

    def _counts_apart(self) -> bool:
        counts = self._counters.read()
        return counts_apart(counts.shadow_native, counts.shadow_python)

    def _watch_counts(self) -> None:
        apart = self._counts_apart()
        if apart and not self._apart:
            counts = self._counters.read()
            self._counters.add("shadow_count_alerts")
            _log.error(
                "signals: %d native, %d python: more than 5 %% apart",
                counts.shadow_native, counts.shadow_python,
            )  # fmt: skip
        self._apart = apart
