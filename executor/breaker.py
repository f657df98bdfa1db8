"""What asks for less freedom: every reason as a demand, from what is known now. Pure, in integers.

The mode follows the deepest demand (executor/modes.py). A pause ends when nothing asks for it any
more; a halt is the operator's. Limits and their defaults: shm/limits.py.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from executor.exposure import DAY_MS, Exposure
from executor.flights import LEG_UNDECIDED
from executor.modes import Demand
from executor.risk import BPS, loss_limit_usd_e6
from executor.state import State
from shm.codes import Cause, LegReason, Mode
from shm.limits import RiskSettings

REFUSALS_AT_LEAST = 10
"""Orders before a share of refusals says anything."""
PAUSE_MAX_S = 600
"""Longest pause that one answer of the venue can ask for: its next one may ask for more."""


@dataclass(slots=True)
class Signs:
    """What is known beside the journal."""

    now_ms: int = 0
    killed: bool = False
    worth_usd_e6: int = 0
    peak_usd_e6: int = 0
    """The highest that this process has seen, looked at every second,"""
    orders_intended: int = 0
    """Written down by this process,"""
    orders_on_wire: int = 0
    """what its sockets were given (executor/counting.py),"""
    orders_withheld: int = 0
    """and what was written down and did not leave (executor/dispatch.py)."""
    clock_offset_ms: int = 0
    journal_trouble: str = ""
    restarted_ms: int = 0
    """When the venue was last seen to restart,"""
    throttled_until_ms: int = 0
    """until when it wants a pause,"""
    unauthorized: str = ""
    banned: str = ""
    identity: str = ""
    """and an order id in a reply that nobody here knows."""
    short_of_cash: str = ""
    """The venue refused a purchase for want of cash or allowance,"""
    shortages: int = 0
    """so often so far, sales for want of shares included,"""
    short_again: str = ""
    """and again soon after both had agreed on the cash."""
    stops_heeded: int = 0
    """How often we stood still (shm/stillness.py), as far as somebody has acted on it,"""
    stood_still: str = ""
    """and what is known may be old because of it."""
    difference: str = ""
    """What a comparison could not explain."""
    strangers_known: frozenset[str] = frozenset()
    """Orders of others with this wallet that were there when the ledger was found true."""


def demands(state: State, exposure: Exposure, signs: Signs, limits: RiskSettings) -> list[Demand]:
    """Everything that asks for less freedom now."""
    return [demand for check in _CHECKS for demand in check(state, exposure, signs, limits)]


def still_asked(now: Mode, asked: Sequence[Demand]) -> bool:
    """Whether anything still asks for a mode, or for a deeper one."""
    return any(demand.mode >= now for demand in asked)


Check = Callable[[State, Exposure, Signs, RiskSettings], Iterator[Demand]]


def _losses(
    state: State, _exposure: Exposure, signs: Signs, limits: RiskSettings
) -> Iterator[Demand]:
    """Of the UTC day and of any 24 hours; half of the limit leaves only what reduces.

    So does what is lost together with all that an order whose fate is unknown may still cost.
    """
    limit = loss_limit_usd_e6(max(state.day_open_usd_e6, signs.worth_usd_e6), limits)
    opens = [mark.worth_usd_e6 for mark in state.marks if mark.at_ms > signs.now_ms - DAY_MS]
    since = max([state.day_open_usd_e6, *opens] if state.day else opens, default=None)
    if since is not None and limit:
        loss = since - signs.worth_usd_e6
        text = f"${loss / 1e6:.2f} lost of ${limit / 1e6:.2f} that a day may cost"
        if loss >= limit:
            yield Demand(Mode.HALTED, Cause.DAY_LOSS, text)
        elif 2 * loss >= limit:
            yield Demand(Mode.REDUCE_ONLY, Cause.DAY_LOSS, text)
        elif loss + (stake := _in_doubt_usd_e6(state)) >= limit:
            text = f"{text}, and ${stake / 1e6:.2f} of orders whose fate is unknown"
            yield Demand(Mode.REDUCE_ONLY, Cause.DAY_LOSS, text)
    peak = max(state.peak_usd_e6, signs.peak_usd_e6)
    fall = peak - signs.worth_usd_e6
    if peak and fall * BPS >= peak * limits.max_drawdown_bps:
        text = f"${fall / 1e6:.2f} below the highest worth so far"
        yield Demand(Mode.HALTED, Cause.DRAWDOWN, text)


def _in_doubt_usd_e6(state: State) -> int:
    """What may still be lost by orders of which nobody knows: all that they may cost."""
    return sum(
        flight.reserved_usd_e6
        for flight in state.open_flights
        if any(leg.state in LEG_UNDECIDED for leg in flight.legs)
    )


def _refusals(
    state: State, _exposure: Exposure, _signs: Signs, limits: RiskSettings
) -> Iterator[Demand]:
    """In a row, or too many of the last fifty."""
    last = list(state.outcomes)
    refused = last.count(False)
    row = last[-limits.max_refusals :]
    if len(row) == limits.max_refusals and not any(row):
        text = f"the venue refused {len(row)} orders in a row"
        yield Demand(Mode.HALTED, Cause.REFUSALS, text)
    elif len(last) >= REFUSALS_AT_LEAST and refused * BPS > len(last) * limits.max_refusal_bps:
        text = f"the venue refused {refused} of the last {len(last)} orders"
        yield Demand(Mode.HALTED, Cause.REFUSALS, text)


def _settlement(
    state: State, _exposure: Exposure, signs: Signs, limits: RiskSettings
) -> Iterator[Demand]:
    failures = state.failures(signs.now_ms)
    if failures >= limits.max_settlement_failures:
        text = f"{failures} trades of the last hour failed on chain"
        yield Demand(Mode.HALTED, Cause.SETTLEMENT, text)
    if state.unproven():
        text = "an order was called filled, and nobody can say what became of it"
        yield Demand(Mode.HALTED, Cause.SETTLEMENT, text)
    waits_ms = state.unsettled_ms(signs.now_ms, after_ms=state.forgiven_ms)
    if waits_ms > limits.max_unsettled_s * 1_000:
        text = f"a trade is not on chain after {waits_ms // 1_000} s"
        yield Demand(Mode.HALTED, Cause.SETTLEMENT, text)


def _doubts(
    _state: State, exposure: Exposure, _signs: Signs, limits: RiskSettings
) -> Iterator[Demand]:
    """Orders that are known to have arrived, and only wait, let nothing new out and do not halt."""
    if exposure.astray >= limits.max_doubt:
        text = f"the fate of orders of {exposure.astray} baskets is unknown"
        yield Demand(Mode.HALTED, Cause.DOUBT, text)


def _socket(
    _state: State, _exposure: Exposure, signs: Signs, _limits: RiskSettings
) -> Iterator[Demand]:
    if signs.orders_on_wire + signs.orders_withheld != signs.orders_intended:
        text = (
            f"{signs.orders_on_wire} orders left and {signs.orders_withheld} were withheld, "
            f"where {signs.orders_intended} were written down"
        )
        yield Demand(Mode.HALTED, Cause.RUNAWAY, text)


def _clock(
    _state: State, _exposure: Exposure, signs: Signs, limits: RiskSettings
) -> Iterator[Demand]:
    if abs(signs.clock_offset_ms) > limits.clock_halt_ms:
        text = f"our clock is {signs.clock_offset_ms} ms off the venue's: set it"
        yield Demand(Mode.HALTED, Cause.CLOCK, text)


def _venue(
    _state: State, _exposure: Exposure, signs: Signs, limits: RiskSettings
) -> Iterator[Demand]:
    if signs.now_ms < signs.throttled_until_ms:
        yield Demand(Mode.THROTTLED, Cause.VENUE_THROTTLED, "the venue wants a pause")
    since_ms = signs.now_ms - signs.restarted_ms
    if signs.restarted_ms and since_ms < limits.fence_restart_s * 1_000:
        yield Demand(Mode.VENUE_RESTART, Cause.VENUE_RESTARTING, "the venue restarts")
    if signs.unauthorized:
        yield Demand(Mode.HALTED, Cause.UNAUTHORIZED, signs.unauthorized)
    if signs.banned:
        yield Demand(Mode.HALTED, Cause.BANNED, signs.banned)
    if signs.identity:
        text = f"the venue calls an order {signs.identity[:20]}…, which is none of ours"
        yield Demand(Mode.HALTED, Cause.IDENTITY, text)
    if signs.short_again:
        text = f"{signs.short_again}: the cash agrees, so an allowance? `polytrio doctor` knows"
        yield Demand(Mode.HALTED, Cause.BALANCE, text)
    if signs.short_of_cash:
        yield Demand(Mode.REDUCE_ONLY, Cause.BALANCE, signs.short_of_cash)


def _own(
    state: State, _exposure: Exposure, signs: Signs, _limits: RiskSettings
) -> Iterator[Demand]:
    if signs.killed:
        yield Demand(Mode.HALTED, Cause.KILL, "everything was stopped")
    if signs.journal_trouble:
        yield Demand(Mode.HALTED, Cause.JOURNAL, signs.journal_trouble)
    if signs.stood_still:
        text = f"{signs.stood_still}: compares before anything new"
        yield Demand(Mode.CANCEL_ONLY, Cause.STOOD_STILL, text)
    if signs.difference:
        yield Demand(Mode.HALTED, Cause.DIFFERENCE, signs.difference)
    if not state.strangers <= signs.strangers_known:
        text = "an order of this wallet filled that is not ours"
        yield Demand(Mode.HALTED, Cause.STRANGER, text)


_CHECKS: tuple[Check, ...] = (
    _own, _losses, _refusals, _settlement, _doubts, _socket, _clock, _venue,
)  # fmt: skip


def note_refusal(signs: Signs, cause: Cause, text: str) -> None:
    """Remember that the venue does not even let us read."""
    match cause:
        case Cause.UNAUTHORIZED:
            signs.unauthorized = text
        case Cause.BANNED:
            signs.banned = text


def note_reply(
    signs: Signs, reason: LegReason, text: str, retry_after_s: int, *, sale: bool = False
) -> None:
    """Remember what a refusal of the venue means for all that follow.

    Shares that it has not for a sale may be on their way to the chain: that is compared, too, and
    is no want of cash.
    """
    match reason:
        case LegReason.RESTARTING | LegReason.POST_ONLY_MODE:
            signs.restarted_ms = signs.now_ms
        case LegReason.THROTTLED:
            pause_s = min(max(1, retry_after_s), PAUSE_MAX_S)
            signs.throttled_until_ms = signs.now_ms + pause_s * 1_000
        case LegReason.UNAUTHORIZED:
            signs.unauthorized = text or "the venue does not accept our credentials"
        case LegReason.BANNED:
            signs.banned = text or "the venue does not let this account trade"
        case LegReason.BALANCE:
            signs.shortages += 1
            if not sale:
                signs.short_of_cash = text or "the venue says that cash is missing"
