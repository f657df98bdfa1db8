"""May this hit become a signal? Named checks in a fixed order, pure: values in, a verdict out.

A cooldown is charged when an order went out, never when a signal was refused, so that a refused
opportunity is looked at again with the next update. What passes here is then walked down its
levels (engine/walk.py) and must be worth its least profit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.baskets import Basket
from engine.pricer import Top
from shm.codes import Verdict
from shm.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class Moment:
    """What the world looks like apart from the basket."""

    now_ns: int
    trading: bool
    ingest_silent_ns: int


@dataclass(slots=True)
class Holds:
    """What is on its way: baskets that cool down, markets whose liquidity is spoken for."""

    cooling_until_ns: dict[int, int]
    """By basket id."""
    held: dict[int, int]
    """By market row: the signal that has asked for its liquidity."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A basket whose edge is large enough, with the tops that it was computed from."""

    basket: Basket
    tops: Sequence[Top]


def judge(candidate: Candidate, moment: Moment, holds: Holds, settings: EngineSettings) -> Verdict:
    """`SIGNALLED` if nothing speaks against it, else the first thing that does."""
    for verdict, objects in _CHECKS:
        if objects(candidate, moment, holds, settings):
            return verdict
    return Verdict.SIGNALLED


_Check = Callable[[Candidate, Moment, Holds, EngineSettings], bool]


def _disabled(_c: Candidate, moment: Moment, _h: Holds, _s: EngineSettings) -> bool:
    return not moment.trading


def _stale(candidate: Candidate, moment: Moment, _h: Holds, settings: EngineSettings) -> bool:
    # A heartbeat from the future is as little worth as an old one.
    if abs(moment.ingest_silent_ns) > settings.max_ingest_silence_ms * 1_000_000:
        return True
    oldest_ns = min(top.received_ns for top in candidate.tops)
    return moment.now_ns - oldest_ns > settings.max_book_age_ms * 1_000_000


def _skewed(candidate: Candidate, _m: Moment, _h: Holds, settings: EngineSettings) -> bool:
    received = [top.received_ns for top in candidate.tops]
    return max(received) - min(received) > settings.max_leg_skew_ms * 1_000_000


def _cooling(candidate: Candidate, moment: Moment, holds: Holds, _s: EngineSettings) -> bool:
    return holds.cooling_until_ns.get(candidate.basket.id, 0) > moment.now_ns


def _busy(candidate: Candidate, _m: Moment, holds: Holds, _s: EngineSettings) -> bool:
    return any(leg.market.row in holds.held for leg in candidate.basket.legs)


_CHECKS: tuple[tuple[Verdict, _Check], ...] = (
    (Verdict.DISABLED, _disabled),
    (Verdict.STALE, _stale),
    (Verdict.SKEWED, _skewed),
    (Verdict.COOLING, _cooling),
    (Verdict.BUSY, _busy),
)
