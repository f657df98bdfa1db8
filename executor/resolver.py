"""What became of an order whose reply did not say: by what the venue shows, or lacks. Pure.

Whatever is shown proves at once. That something is not shown proves only after the settle window,
and only if the three places where it could be (the order by its hash, the open orders, the trades)
were all read twice, some time apart, and had nothing both times: a late order has been seen to
arrive long after its sender had given up (docs/venue.md "Orders that arrive late"). The window is
real time: all times here are monotonic, so that no step of the wall clock ends it. Nor is anything
proven while the venue has another number of the order's token than the ledger: a fill may be there
before its trade is listed. That, which may have other reasons, holds the proof up for one more
window and not for ever.
"""

from dataclasses import dataclass
from enum import StrEnum

from executor.flights import LegOrder
from executor.wire import OpenOrder
from shm.codes import LegReason, LegState
from shm.records import Evidence
from shm.units import UnitError, parse_size_e6

READS_APART_MS = 5_000
"""Between the two readings that find nothing; where the window is shorter, as long as that."""
_MATCHED, _RESTING = "MATCHED", ("LIVE", "DELAYED", "UNMATCHED")
_GONE = ("CANCELED", "CANCELLED", "INVALID", "EXPIRED", "REJECTED")
"""The venue's engine has removed it, for whatever reason."""
_PREFIX = "ORDER_STATUS_"


@dataclass(frozen=True, slots=True)
class Seen:
    """One complete reading about one order."""

    at_ms: int
    """By the clock by which `sent_ms` is told here: one that nobody can set (executor/proving.py).
    """
    order: OpenOrder | None
    """By its hash; None: the venue knows none."""
    rests: bool
    """It is among the open orders."""
    traded: bool
    """One of our trades names it."""
    held: bool | None = None
    """The venue has another number of its token for us than the ledger says; None: not asked."""

    @property
    def nothing(self) -> bool:
        """Whether no place shows anything of it."""
        return self.order is None and not self.rests and not self.traded and not self.held


class Unheard(StrEnum):
    """What became of an order that the venue has called filled, and of which no trade is seen.

    The values begin the name of the failed trade that stands for it in the ledger.
    """

    NEVER = "unheard:"
    """Proven: no place shows anything of it, and nothing was bought or sold."""
    UNPROVEN = "unproven:"
    """Something shows it, and no trade does: nobody can say what it brought."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is proven, and by what."""

    state: LegState
    reason: LegReason
    evidence: Evidence


def proof(
    leg: LegOrder, seen: Seen, earlier: Seen | None, *, sent_ms: int, window_ms: int
) -> Proof | None:
    """The proof that there is, or None. `earlier`: the last reading that found nothing."""
    shown = _shown(leg, seen)
    if shown is not None:
        return shown
    if not _twice_nothing(seen, earlier, sent_ms, window_ms):
        return None
    evidence = Evidence.ORDER | Evidence.OPEN_ORDERS | Evidence.TRADES | Evidence.WINDOW
    if seen.held is False:
        evidence |= Evidence.BALANCE
    gone = LegState.KILLED if leg.state is LegState.LANDED else LegState.NEVER_LANDED
    return Proof(gone, leg.reason, evidence)


def unheard(seen: Seen, earlier: Seen | None, *, sent_ms: int, window_ms: int) -> Unheard | None:
    """What is to be made of an order without its trades; None: it may still be heard of.

    Nothing waits for ever: after two windows it is given up, proven or not.
    """
    if _twice_nothing(seen, earlier, sent_ms, window_ms):
        return Unheard.NEVER
    over_ms = sent_ms + 2 * window_ms + READS_APART_MS
    return Unheard.UNPROVEN if seen.at_ms >= over_ms else None


def balance_counts(now_ms: int, *, sent_ms: int, window_ms: int) -> bool:
    """Whether the balance is to be asked about an order in doubt: late enough, and not for ever."""
    return sent_ms + window_ms <= now_ms < sent_ms + 2 * window_ms + READS_APART_MS


def _twice_nothing(seen: Seen, earlier: Seen | None, sent_ms: int, window_ms: int) -> bool:
    """Whether two readings after the window, some time apart, had nothing."""
    return (
        seen.nothing
        and earlier is not None
        and earlier.at_ms >= sent_ms + window_ms
        and seen.at_ms >= earlier.at_ms + min(READS_APART_MS, window_ms)
    )


def _shown(leg: LegOrder, seen: Seen) -> Proof | None:
    order = seen.order
    if seen.traded:  # the fills themselves say how much; all of a fill-or-kill order, or nothing
        return Proof(LegState.FILLED, leg.reason, Evidence.TRADES)
    status = order.status.upper().removeprefix(_PREFIX) if order else ""
    if order is not None and status.startswith(_MATCHED):
        return Proof(LegState.FILLED, leg.reason, Evidence.ORDER)
    if order is not None and status.startswith(_GONE):
        filled = matched_e6(order) > 0
        state = LegState.FILLED if filled else LegState.KILLED
        return Proof(state, leg.reason, Evidence.ORDER)
    rests = seen.rests or status.startswith(_RESTING)
    if rests and leg.state is LegState.DOUBT:
        evidence = Evidence.OPEN_ORDERS if seen.rests else Evidence.ORDER
        return Proof(LegState.LANDED, leg.reason, evidence)
    return None


def matched_e6(order: OpenOrder) -> int:
    """How much of an order has matched; 0 where that cannot be read."""
    try:
        return parse_size_e6(order.size_matched)
    except UnitError:
        return 0
