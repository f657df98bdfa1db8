"""Opportunity windows: from when to when an edge stood, and who would still have met it. Pure.

A recording shows moments, and nothing of what lies between them. So nothing here is interpolated:

    length      at least from the first to the last look at which the edge was there; at most from
                the look before to the look after
    after d ms  FILLED   the edge was there at a look between d and 2d
                AGAIN    it was there at the next look, which came later than that
                GONE     it was seen to be gone by then
                UNKNOWN  it was gone at the next look, which came after d

A recording whose looks are minutes apart therefore says nothing but AGAIN and UNKNOWN of every
delay: that is what it knows. The resolution is reported beside the figures.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import median, median_low
from typing import Any

HOUR_MS = 3_600_000
DELAYS_MS = (1, 10, 50, 250)
TO_EXPIRY = (
    (HOUR_MS, "under 1 h"),
    (6 * HOUR_MS, "1 h to 6 h"),
    (24 * HOUR_MS, "6 h to 1 d"),
    (72 * HOUR_MS, "1 d to 3 d"),
)
FARTHEST = "over 3 d"
E14_PER_USD_E6 = 10**8


class Fate(Enum):
    """What an order that arrives some time after the first look would have found."""

    FILLED = "filled"
    AGAIN = "again"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sight:
    """A basket whose net edge was positive at one look."""

    number: int
    kind: str
    legs: str
    group: int
    net_e8: int
    size_e6: int
    left_ms: int
    """Until the expiry."""


@dataclass(slots=True)
class Window:
    """One stretch of looks at which a basket's net edge was positive."""

    kind: str
    legs: str
    group: int
    first_ms: int
    before_ms: int | None
    """The look before the first; None: the recording began with it."""
    left_ms: int
    net_e8: int
    """At the first look."""
    size_e6: int
    """Units that the best levels held at the first look."""
    best_net_e8: int
    seen_ms: list[int] = field(default_factory=list)
    """All looks at which it was there, the first one included."""
    after_ms: int | None = None
    """The look at which it was gone; None: the recording ended before."""

    @property
    def last_ms(self) -> int:
        """The last look at which it was there."""
        return self.seen_ms[-1]

    @property
    def at_least_ms(self) -> int:
        """Shortest length that agrees with what was seen."""
        return self.last_ms - self.first_ms

    @property
    def at_most_ms(self) -> int | None:
        """Longest length that agrees with what was seen; None if an end was not seen."""
        if self.before_ms is None or self.after_ms is None:
            return None
        return self.after_ms - self.before_ms

    def fate(self, delay_ms: int) -> Fate:
        """What an order that arrives this long after the first look would have found."""
        arrives_ms = self.first_ms + delay_ms
        if self.last_ms >= arrives_ms:
            again_ms = self.seen_ms[bisect_left(self.seen_ms, arrives_ms)]
            return Fate.FILLED if again_ms <= arrives_ms + delay_ms else Fate.AGAIN
        if self.after_ms is not None and self.after_ms <= arrives_ms:
            return Fate.GONE
        return Fate.UNKNOWN

    @property
    def profit_usd_e6(self) -> int:
        """Of the first look's size at its edge."""
        return self.net_e8 * self.size_e6 // E14_PER_USD_E6

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "kind": self.kind,
            "legs": self.legs,
            "first_ms": self.first_ms,
            "at_least_ms": self.at_least_ms,
            "at_most_ms": self.at_most_ms,
            "left_ms": self.left_ms,
            "net_e8": self.net_e8,
            "best_net_e8": self.best_net_e8,
            "size_e6": self.size_e6,
            "looks": len(self.seen_ms),
            "after_ms": {str(delay): self.fate(delay).value for delay in DELAYS_MS},
        }


@dataclass(slots=True)
class WindowLog:
    """Takes one look after the other, in the order of time."""

    closed: list[Window] = field(default_factory=list)
    spacings_ms: Counter[int] = field(default_factory=Counter)
    """How often two looks at one group were so far apart."""
    _open: dict[int, Window] = field(default_factory=dict)
    _looked_ms: dict[int, int] = field(default_factory=dict)
    """By group."""

    def look(self, at_ms: int, groups: Iterable[int], sights: Iterable[Sight]) -> None:
        """Everything that was seen at one moment of these groups; others were not looked at."""
        looked = set(groups)
        seen = {sight.number: sight for sight in sights}
        for number, window in list(self._open.items()):
            if window.group in looked and number not in seen:
                window.after_ms = at_ms
                self.closed.append(self._open.pop(number))
        for number, sight in seen.items():
            window = self._open.get(number) or self._begin(sight, at_ms)
            window.seen_ms.append(at_ms)
            window.best_net_e8 = max(window.best_net_e8, sight.net_e8)
        for group in looked:
            before_ms = self._looked_ms.get(group)
            if before_ms is not None:
                self.spacings_ms[at_ms - before_ms] += 1
            self._looked_ms[group] = at_ms

    def _begin(self, sight: Sight, at_ms: int) -> Window:
        window = Window(
            kind=sight.kind,
            legs=sight.legs,
            group=sight.group,
            first_ms=at_ms,
            before_ms=self._looked_ms.get(sight.group),
            left_ms=sight.left_ms,
            net_e8=sight.net_e8,
            size_e6=sight.size_e6,
            best_net_e8=sight.net_e8,
        )
        self._open[sight.number] = window
        return window

    def windows(self) -> list[Window]:
        """All of them, those that the recording's end cut off too, by their beginning."""
        every = [*self.closed, *self._open.values()]
        return sorted(every, key=lambda one: (one.first_ms, one.kind, one.legs))

    @property
    def resolution_ms(self) -> int | None:
        """Median distance of two looks at one group."""
        spacings = sorted(self.spacings_ms.elements())
        return median_low(spacings) if spacings else None


def to_expiry(left_ms: int) -> str:
    """The class of a time to expiry."""
    return next((name for limit_ms, name in TO_EXPIRY if left_ms < limit_ms), FARTHEST)


def summarised(windows: Sequence[Window]) -> list[dict[str, Any]]:
    """A row for each kind and class of time to expiry, the nearest expiry first."""
    order = [*(name for _, name in TO_EXPIRY), FARTHEST]
    rows: dict[tuple[str, str], list[Window]] = {}
    for window in windows:
        rows.setdefault((window.kind, to_expiry(window.left_ms)), []).append(window)
    return [
        _row(kind, name, members)
        for (kind, name), members in sorted(
            rows.items(), key=lambda item: (item[0][0], order.index(item[0][1]))
        )
    ]


def _row(kind: str, name: str, members: Sequence[Window]) -> dict[str, Any]:
    at_most = [one.at_most_ms for one in members if one.at_most_ms is not None]
    fates = {str(delay): Counter(one.fate(delay).value for one in members) for delay in DELAYS_MS}
    return {
        "kind": kind,
        "to_expiry": name,
        "windows": len(members),
        "at_least_ms": median(one.at_least_ms for one in members),
        "at_most_ms": median(at_most) if at_most else None,
        "size_e6": median(one.size_e6 for one in members),
        "net_e8": median(one.net_e8 for one in members),
        "best_net_e8": max(one.best_net_e8 for one in members),
        "profit_usd_e6": sum(one.profit_usd_e6 for one in members),
        "after_ms": {
            delay: {fate.value: count[fate.value] for fate in Fate}
            for delay, count in fates.items()
        },
    }


def honestly(resolution_ms: int | None) -> str:
    """What the figures can and cannot say, for people."""
    if resolution_ms is None:
        return "one look only: nothing can be said about lengths or delays"
    if resolution_ms <= min(DELAYS_MS):
        return f"looks {resolution_ms} ms apart (median): delays and lengths mean what they say"
    blind = ", ".join(str(delay) for delay in DELAYS_MS if delay < resolution_ms)
    return (
        f"looks {resolution_ms:,} ms apart (median): what an order would have found after {blind} "
        "ms is mostly not in the recording; 'again' is the next look, nobody watched in between"
    )
