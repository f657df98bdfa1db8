"""Looks at an instance again and again: rates between two looks, and the largest lags seen."""

from shm.readings import Look, look


class Watcher:
    """Looks again and again: rates since the look before, and the largest lags seen."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._before: Look | None = None

    def look(self) -> Look:
        """The next look. A system that was made anew in between starts without rates."""
        now = look(self._instance)
        before = self._before
        if now.system is None:
            return now
        made_ns = before.system.created_wall_ns if before and before.system else None
        if before and made_ns == now.system.created_wall_ns:
            _compare(before, now)
        self._before = now
        return now


def _compare(before: Look, now: Look) -> None:
    seconds = max(now.at_ns - before.at_ns, 1) / 1e9
    for name, ring in now.rings.items():
        was = before.rings.get(name)
        if was is not None:
            ring.lag_max = max(ring.lag_max, was.lag_max)
            ring.per_second = max(0, ring.written - was.written) / seconds
    for stage, cells in now.counters.items():
        earlier = before.counters.get(stage, {})
        now.rates[stage] = {
            name: (value - earlier[name]) / seconds
            for name, value in cells.items()
            if name in earlier
        }
