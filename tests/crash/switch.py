"""Presses of the kill switch while everything goes wrong, and what they are held against.

A press comes by a file, by hand or by a signal; executor or killer, or both, may die just after it.
As soon as the executor says that it has halted, or is dead, no byte of an order may leave until the
operator's word: `halts` are those times on the monotonic clock, from the moment on at which the
proxy had taken all that was sent before.
"""

import os
import random
import signal
import time
from collections.abc import Callable

from shm.codes import Mode
from tests.crash.place import Life, Place
from tests.crash.report import Report

WAYS = ("file", "touch", "signal to the executor", "signal to the killer")
FATES = (((), 5), (("executor",), 2), (("killer",), 2), (("executor", "killer"), 1))
"""Who dies just after a press, and how often."""
LINGER_S = 0.15
HALTED_WITHIN_S = 10.0
BIRTHS_S = 0.6


class Switch:
    """See the module."""

    def __init__(self, place: Place, chosen: random.Random, report: Report) -> None:
        self._place = place
        self._random = chosen
        self._report = report
        self.halts: list[tuple[int, int | None]] = []

    def press(self, executor: Life, killer: Life) -> Life:
        """Press, see it through, give the operator's word; the executor that lives then."""
        place = self._place
        way, dying = self._choose()
        self._report.ways[way] += 1
        presses: dict[str, Callable[[], None]] = {
            "file": place.press,
            "touch": place.touch,
            "signal to the executor": lambda: os.kill(executor.pid, signal.SIGUSR2),
            "signal to the killer": lambda: os.kill(killer.pid, signal.SIGUSR2),
        }
        presses[way]()
        if "killer" in dying:
            place.kill(killer)
            self._report.killer_deaths += 1
        if "executor" in dying:
            place.kill(executor)
            self._report.deaths["pressed"] += 1
            self._report.cycles += 1
        else:
            place.until(
                lambda: place.mode is Mode.HALTED or place.dead(executor), "halted", HALTED_WITHIN_S
            )
        since_ns = place.barrier()
        if "executor" in dying:
            executor = self._reborn()
        time.sleep(LINGER_S)
        if place.stopped:  # a signal to a process that died before it had heard it is no press
            self.halts.append((since_ns, time.monotonic_ns()))
        place.arm()
        return executor

    def _choose(self) -> tuple[str, tuple[str, ...]]:
        """(way, who dies). Whoever gets the signal has to live to hear it."""
        way = self._random.choice(WAYS)
        fates, weights = zip(*FATES, strict=True)
        dying = self._random.choices(fates, weights)[0]
        return way, () if "signal" in way else dying

    def _reborn(self) -> Life:
        """A new executor after a press that stands: it has to come up halted by itself."""
        place = self._place
        before_ms = place.account().mode_since_ms
        executor = place.birth()
        deadline_s = time.monotonic() + BIRTHS_S
        while time.monotonic() < deadline_s:
            now = place.account()
            if now.mode == Mode.HALTED and now.mode_since_ms != before_ms:
                break
            time.sleep(0.005)
        return executor
