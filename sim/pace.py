"""How many frames the generator may make: a budget that fills with time and empties in bursts.

Real traffic is uneven (recorded: mean 6.8 messages a second on a hot market, 46 in its 99th
percentile second, 32 within 100 ms). So the budget is let to grow to a random size before it is
spent at once.
"""

from dataclasses import dataclass, field
from random import Random

BURST_MEDIAN_FRAMES = 9.0
BURST_SPREAD = 0.9
BURST_MAX_FRAMES = 80
BANK_MAX_MS = 1_000
"""A generator that was not called for longer than this does not make up for it."""


@dataclass(slots=True)
class Pace:
    """Frames earned, made and promised. `frames_per_second` is the target over all markets."""

    frames_per_second: float
    rng: Random
    _available: float = 0.0
    _promised: int = 0
    _at_ms: int | None = None
    _wanted: int = field(init=False)

    def __post_init__(self) -> None:
        self._wanted = self._draw()

    def advance(self, now_ms: int) -> None:
        """Let time pass."""
        passed_ms = 0 if self._at_ms is None else max(0, now_ms - self._at_ms)
        self._at_ms = now_ms
        self._available += self.frames_per_second * min(passed_ms, BANK_MAX_MS) / 1000.0

    def made(self, frames: int) -> None:
        """Count frames that went out; more than allowed makes a debt."""
        self._available -= frames

    def kept(self) -> None:
        """One promised operation has run; its frames are counted by `made`."""
        self._promised -= 1

    def is_free(self) -> bool:
        """Whether there is budget for a move of a whole ladder."""
        return self._available - self._promised > 0

    def burst(self) -> int:
        """Operations to promise now, 0 while the budget for the next burst is not together."""
        if self._available - self._promised < self._wanted:
            return 0
        size, self._wanted = self._wanted, self._draw()
        self._promised += size
        return size

    def _draw(self) -> int:
        if self.frames_per_second <= 0:
            return BURST_MAX_FRAMES
        size = BURST_MEDIAN_FRAMES * self.rng.lognormvariate(0.0, BURST_SPREAD)
        return max(1, min(BURST_MAX_FRAMES, round(size)))
