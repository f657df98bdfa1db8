"""What a load test found: latency from the intended time, growth of the backlog, and the verdict.

Pure. Who sends is told a number of frames for each slot, who receives counts. A frame is done when
the count has passed it; its latency runs from the slot that it was meant for, not from when it was
really sent: so neither a late sender nor a slow receiver hides what a frame had to wait
(coordinated omission). The count is looked at now and then, which makes every figure an upper
bound, by as much as the time between two looks.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

MS_NS = 1_000_000
BACKLOG_LIMIT_NS = 250 * MS_NS
"""How long after the last slot the last frame may be done."""
GROWTH_LIMIT = 1.8
GROWTH_FLOOR_NS = 20 * MS_NS
"""Half of the frames of the last quarter waiting so long, and so much longer than in the second
quarter, is a delay that grows (one that rises evenly is 2.3 times as long by then)."""


FULL = 0.9
"""Of a core, or of all: no time left."""


class Seen(NamedTuple):
    """One look at the counters: how many frames have come to their end."""

    at_ns: int
    done: int


@dataclass(frozen=True, slots=True)
class Delays:
    """Latency of frames from their intended time, in microseconds."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One rate, tried."""

    per_s: float
    frames: int
    lost: int
    conflated: int
    """Updates for which the ring was full: the book is looked at all the same, once for several."""
    delays_us: Delays
    late_us: float
    """Most that the sender itself was late; it is part of the delays."""
    drained_ms: float
    """From the last slot to the last frame's end."""
    grew: bool
    cpu: dict[str, float]
    """By process: cores that it used, over all."""
    cpu_peak: dict[str, float]
    """The same in the busiest tenth of a second of each."""

    @property
    def sustained(self) -> bool:
        """Nothing lost, and no delay that grows."""
        return not (self.lost or self.grew)


def delays_ns(
    start_ns: int, slot_ns: int, counts: Sequence[int], seen: Sequence[Seen]
) -> list[tuple[int, int]]:
    """(latency, frames) of each slot with any, by its last frame; what never ended is missing."""
    dones = [one.done for one in seen]
    found = []
    for slot, (count, total) in enumerate(zip(counts, accumulate(counts), strict=True)):
        if count:
            place = bisect_left(dones, total)
            if place < len(seen):
                found.append((seen[place].at_ns - start_ns - slot * slot_ns, count))
    return found


def weighted(values: Sequence[tuple[int, int]], share: float) -> int:
    """The value that `share` of the weight does not exceed; 0 of nothing."""
    ordered = sorted(values)
    wanted = share * sum(weight for _, weight in ordered)
    seen = 0
    for value, weight in ordered:
        seen += weight
        if seen >= wanted:
            return value
    return 0


def percentiles(values: Sequence[tuple[int, int]]) -> Delays:
    """In microseconds."""
    p50, p90, p99, p999 = (weighted(values, share) / 1e3 for share in (0.5, 0.9, 0.99, 0.999))
    return Delays(p50, p90, p99, p999, max((value for value, _ in values), default=0) / 1e3)


def grows(values: Sequence[tuple[int, int]], drained_ns: int) -> bool:
    """Whether the delay is longer at the end than it was, beyond what noise does."""
    quarter = len(values) // 4
    early = weighted(values[quarter : 2 * quarter], 0.5)
    late = weighted(values[-quarter:], 0.5) if quarter else 0
    longer = late > GROWTH_FLOOR_NS and late > GROWTH_LIMIT * early
    # What was caught up with by the end was a burst, and no growth.
    return drained_ns > BACKLOG_LIMIT_NS or (longer and drained_ns > GROWTH_FLOOR_NS)


def bottleneck(outcome: Outcome, cores: int) -> str:
    """In words: who had no time left."""
    peak = outcome.cpu_peak
    busiest = max(peak, key=lambda name: peak[name], default="")
    used = sum(peak.values())
    if busiest and peak[busiest] > FULL:
        return f"{busiest} uses {peak[busiest]:.2f} of a core in its busiest tenth of a second"
    if used > FULL * cores:
        return f"the machine: up to {used:.2f} of {cores} cores are used, most by {busiest}"
    return (
        f"no process of ours is out of time ({used:.2f} of {cores} cores at the peak, most by "
        f"{busiest}): it waits for a core that others have"
    )
