"""When a basket stands with some of its legs only: what is done now, and when it is given up. Pure.

The plan itself is executor/legging.py's. Here is said when one is asked for: as soon as everything
about the last attempt is known, as long as the budget of time lasts, and not more often than makes
sense. What cannot be repaired in time is kept to the end, which its proof bounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from executor.flights import Flight, awaited, positions_e6
from executor.ledger import Ledger
from executor.legging import Choice, Plan, Standing, best_plan, is_even
from shm.codes import FlightState, Purpose

REPAIRS_MAX = 8
"""Attempts on one basket: each found less than the book had shown."""


class Step(Enum):
    """What to do with a basket at this moment."""

    WAIT = auto()
    SEND = auto()
    KEEP = auto()
    """Hold what there is to the end."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A step, and the plan to send."""

    step: Step
    plan: Plan | None = None


_WAIT, _KEEP = Decision(Step.WAIT), Decision(Step.KEEP)


def needs_repair(flight: Flight, ledger: Ledger) -> bool:
    """Whether a basket's legs stand alone and all that was sent for it so far is known."""
    return (
        flight.purpose is Purpose.BASKET
        and flight.state is FlightState.NAKED
        and not any(order.open for order in flight.all_orders)
        and not any(awaited(one, ledger) for one in (flight, *flight.repairs))
    )


def decide(
    flight: Flight,
    ledger: Ledger,
    legs: Sequence[Standing],
    *,
    now_ms: int,
    budget: "Budget",
) -> Decision:
    """The step for a flight that needs repair."""
    # A process that has just started, or was armed again, has the whole time to repair.
    over = now_ms - max(flight.naked_ms, budget.since_ms) > budget.naked_ms
    if over or len(flight.repairs) >= REPAIRS_MAX or is_even(positions_e6(flight, ledger)):
        return _KEEP
    plan = best_plan(legs, budget.cost_usd_e6)
    if plan.choice is not Choice.HOLD:
        return Decision(Step.SEND, plan) if budget.may_send else _WAIT
    # Nothing better than keeping it: believed only where every book was there to be asked.
    dead = any(not leg.asks and not leg.bids for leg in legs)
    return _WAIT if dead else _KEEP


@dataclass(frozen=True, slots=True)
class Budget:
    """What a repair may use."""

    naked_ms: int
    """How long legs may stand alone,"""
    since_ms: int
    """since when anything may be done about it,"""
    cost_usd_e6: int
    """and what completing may cost."""
    may_send: bool
    """Whether orders may leave at this moment."""
