"""The circuit breaker: what may be sent in which mode, and which mode follows which. Tables, pure.

    BOOT -> RECONCILING -> DISARMED -> ARMED -> THROTTLED, VENUE_RESTART, REDUCE_ONLY, CANCEL_ONLY
    and from everywhere -> HALTED, which only the operator's word ends, by way of RECONCILING.

Falling is immediate and always allowed; every way back has its own condition. A process starts in
BOOT whatever it was before; a halt outlives it (`State.halt`) and is entered again after
reconciliation.
"""

from dataclasses import dataclass

from shm.codes import Cause, Mode, Purpose

MAY_SEND: dict[Mode, frozenset[Purpose]] = {
    Mode.BOOT: frozenset(),
    Mode.RECONCILING: frozenset(),
    Mode.DISARMED: frozenset(),
    Mode.ARMED: frozenset({Purpose.BASKET, Purpose.REPAIR}),
    Mode.THROTTLED: frozenset(),
    Mode.VENUE_RESTART: frozenset(),
    Mode.REDUCE_ONLY: frozenset({Purpose.REPAIR}),
    Mode.CANCEL_ONLY: frozenset(),
    Mode.HALTED: frozenset(),
}

_FALLS = (Mode.THROTTLED, Mode.VENUE_RESTART, Mode.REDUCE_ONLY, Mode.CANCEL_ONLY, Mode.HALTED)
"""From the least harm to the greatest."""

NEXT: dict[Mode, frozenset[Mode]] = {
    Mode.BOOT: frozenset({Mode.RECONCILING, Mode.HALTED}),
    Mode.RECONCILING: frozenset({Mode.DISARMED, Mode.HALTED}),
    Mode.DISARMED: frozenset({Mode.ARMED, Mode.RECONCILING, Mode.HALTED}),
    Mode.ARMED: frozenset({*_FALLS, Mode.DISARMED}),
    Mode.THROTTLED: frozenset({*_FALLS[1:], Mode.ARMED, Mode.DISARMED}),
    Mode.VENUE_RESTART: frozenset({*_FALLS[2:], Mode.ARMED, Mode.DISARMED}),
    Mode.REDUCE_ONLY: frozenset({*_FALLS[3:], Mode.ARMED, Mode.DISARMED}),
    Mode.CANCEL_ONLY: frozenset({*_FALLS[4:], Mode.ARMED, Mode.DISARMED}),
    Mode.HALTED: frozenset({Mode.RECONCILING}),
}

PASSING = frozenset({Mode.THROTTLED, Mode.VENUE_RESTART, Mode.REDUCE_ONLY, Mode.CANCEL_ONLY})
"""Modes that end by themselves when their reason is over."""

CAUSES_OF_BACK: dict[Mode, frozenset[Cause]] = {
    Mode.RECONCILING: frozenset({Cause.START, Cause.OPERATOR}),
    Mode.DISARMED: frozenset({Cause.CLEAN, Cause.OPERATOR}),
    Mode.ARMED: frozenset({Cause.OPERATOR, Cause.CALM}),
}
"""What a step to more freedom needs for a reason."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A mode that something asks for."""

    mode: Mode
    cause: Cause
    text: str = ""
    """For people: what exactly was wrong."""


def may_send(mode: Mode, purpose: Purpose) -> bool:
    """Whether orders of a purpose may leave in a mode."""
    return purpose in MAY_SEND[mode]


def is_fall(now: Mode, demanded: Mode) -> bool:
    """Whether a demanded mode takes more freedom than the present one, and may be entered from it.

    Before it is armed, the system can fall nowhere but to a halt: it has nothing else to lose.
    """
    return demanded in _FALLS and demanded in NEXT[now] and demanded > now


def worst(now: Mode, demands: list[Demand]) -> Demand | None:
    """The demand to follow: of those that are a fall, the deepest; the first of equals."""
    falls = [demand for demand in demands if is_fall(now, demand.mode)]
    return max(falls, key=lambda demand: demand.mode, default=None)


def check_step(now: Mode, then: Mode, cause: Cause) -> None:
    """A step that the tables do not have is a defect."""
    assert then in NEXT[now], f"{now.name} -> {then.name}"
    allowed = CAUSES_OF_BACK.get(then)
    assert allowed is None or cause in allowed, f"{then.name} because of {cause.name}"
