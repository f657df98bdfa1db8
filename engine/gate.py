"""May this hit become a signal? Named checks in a fixed order, pure: values in, a verdict out.

A cooldown is charged when an order went out, never when a signal was refused, so that a refused
opportunity is looked at again with the next update. What passes here is then walked down its
levels (engine/walk.py) and must be worth its least profit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.baskets import Basket
from engine.pricer import Top
from shm.codes import Outcome, Verdict
from shm.payoff import Leg
from shm.settings import EngineSettings
from shm.units import PRICE_ONE_E4, SHARE_E6


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
    legs: Sequence[Leg]
    """Those that would be bought."""
    tops: Sequence[Top]
    """One for each leg."""


def size_cap_e6(candidate: Candidate, settings: EngineSettings) -> int:
    """Most units to buy: the settings' cap, and what may be lost if one leg is left alone.

    A leg that the others did not follow is sold again at the other side of its book, or is worth
    nothing if there is none: that loss must stay within its budget.
    """
    cap_e6 = settings.max_basket_shares * SHARE_E6
    for leg, top in zip(candidate.legs, candidate.tops, strict=True):
        bid_e4, ask_e4 = top.bid_price_e4, top.ask_price_e4
        if leg.outcome is Outcome.YES:
            loss_e4 = ask_e4 - bid_e4
        else:
            loss_e4 = (ask_e4 or PRICE_ONE_E4) - bid_e4
        cap_e6 = min(cap_e6, settings.max_leg_loss_usd_e6 * PRICE_ONE_E4 // loss_e4)
    return cap_e6


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
    return any(leg.market.row in holds.held for leg in candidate.legs)


_CHECKS: tuple[tuple[Verdict, _Check], ...] = (
    (Verdict.DISABLED, _disabled),
    (Verdict.STALE, _stale),
    (Verdict.SKEWED, _skewed),
    (Verdict.COOLING, _cooling),
    (Verdict.BUSY, _busy),
)
