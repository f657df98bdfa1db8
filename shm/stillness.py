"""Notices that its loop was held up: the process was stopped, or the whole machine slept.

Ages are monotonic here, and a machine's sleep is in none of them: after ten minutes of it every
quote still looks a second old. So this asks the clock that goes on while the machine sleeps.
"""

import time
from collections.abc import Callable

from shm.roles import HEARTBEAT_LIMIT_NS

LIMIT_NS = HEARTBEAT_LIMIT_NS
"""What stands still for longer alone is killed by whoever watches it; so the watcher did, too."""
WATCHER_LIMIT_NS = HEARTBEAT_LIMIT_NS // 2
"""A watcher that was held up for so long judges nobody: the last beats may be older than that."""


def boot_ns() -> int:
    """Since the machine started, with the time that it slept."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Stillness:
    """See the module. `look` is called on every turn of the loop."""

    def __init__(self, clock: Callable[[], int] = boot_ns, limit_ns: int = LIMIT_NS) -> None:
        self._clock = clock
        self._limit_ns = limit_ns
        self._looked_ns = self._resumed_ns = clock()
        self.stops = 0
        """How often it has stood still so far,"""
        self.lasted_ns = 0
        """and for how long the last time."""

    def look(self) -> bool:
        """Whether it has stood still since the last call."""
        now_ns = self._clock()
        lasted_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        if lasted_ns <= self._limit_ns:
            return False
        self.stops += 1
        self.lasted_ns, self._resumed_ns = lasted_ns, now_ns
        return True

    def unheeded(self, stops: int) -> bool:
        """Whether it stood still after somebody has seen `stops` of them: noticed here or not."""
        return self.stops != stops or self._clock() - self._looked_ns > self._limit_ns

    @property
    def recent(self) -> bool:
        """Whether it stood still, or began, a moment ago: nobody else could prove itself yet."""
        return self._looked_ns - self._resumed_ns < self._limit_ns
