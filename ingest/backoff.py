"""How long to wait before the next attempt to connect: full jitter under a doubling ceiling."""

import random

_DOUBLINGS_MAX = 32


def ceiling_s(attempt: int, base_s: float, cap_s: float) -> float:
    """Longest wait before attempt number `attempt` (0 is the first retry)."""
    return min(cap_s, base_s * 2.0 ** min(attempt, _DOUBLINGS_MAX))


def delay_s(attempt: int, base_s: float, cap_s: float, source: random.Random) -> float:
    """A wait drawn evenly from 0 to the ceiling, so that many clients do not come back at once."""
    return source.uniform(0.0, ceiling_s(attempt, base_s, cap_s))
