"""When a basket stands with some of its legs only: what is done now, and when it is given up. Pure.

The plan itself is executor/legging.py's. Here is said when one is asked for: as soon as everything
about the last attempt is known, as long as the budget of time lasts, and not more often than makes
sense. What cannot be repaired in time is kept to the end, which its proof bounds. While every order
is forbidden time does not count: a venue that restarts, or an operator who takes a minute to arm,
would otherwise decide what is kept.

What the venue has refused is remembered. `FINAL` reasons close that side of the leg, or its market,
to this basket, so that the next plan is another one; after any other refusal the next attempt waits
longer each time. Shares that were bought a moment ago may not be there to be sold before the chain
has confirmed them: then that is waited for, and time does not count either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from executor.flights import Flight, awaited, leg_orders, positions_e6, units
from executor.ledger import Ledger
from executor.legging import Bounds, Choice, Plan, Standing, best_plan, is_even
from shm.codes import FlightState, LegReason, LegState, Purpose, Side

REPAIRS_MAX = 8
"""Attempts on one basket: each found less than the book had shown."""
REFUSED_PAUSE_MS = 500
"""After a repair that was refused; twice as long after each further one. So few fit into
`risk.max_naked_ms` that they are no row of refusals that halts (`risk.max_refusals`)."""
FINAL = frozenset({LegReason.MIN_SIZE, LegReason.AMOUNTS, LegReason.OTHER})
"""Refusals that the same order would meet again: that side of the leg is closed to this basket."""


class Step(Enum):
    """What to do with a basket at this moment."""

    WAIT = auto()
    SEND = auto()
    KEEP = auto()
    """Hold what there is to the end."""
    AWAIT_CHAIN = auto()
    """What is to be sold is ours, and the venue has it only when the chain has confirmed it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A step, and the plan to send."""

    step: Step
    plan: Plan | None = None


_WAIT, _KEEP, _AWAIT_CHAIN = map(Decision, (Step.WAIT, Step.KEEP, Step.AWAIT_CHAIN))


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
    if _awaits_chain(flight, ledger):
        return _AWAIT_CHAIN
    # A process that has just started, or was armed again, has the whole time to repair.
    over = now_ms - max(flight.naked_ms, budget.since_ms) > budget.naked_ms
    if over or len(flight.repairs) >= REPAIRS_MAX or is_even(positions_e6(flight, ledger)):
        return _KEEP
    if now_ms < _paused_until_ms(flight):
        return _WAIT
    plan = best_plan(_without_refused(flight, legs), budget.bounds)
    if plan.choice is not Choice.HOLD:
        return Decision(Step.SEND, plan)
    # Nothing better than keeping it: believed only where every book was there to be asked.
    dead = any(not leg.asks and not leg.bids for leg in legs)
    return _WAIT if dead else _KEEP


def _without_refused(flight: Flight, legs: Sequence[Standing]) -> list[Standing]:
    """The legs, without the levels that the venue has refused this basket for good."""
    left = list(legs)
    for leg, order in leg_orders(flight):
        if order.state is not LegState.REFUSED:
            continue
        place = flight.legs.index(leg)
        more = units(leg, order) > 0
        cash_was_short = order.reason is LegReason.BALANCE and order.side is Side.BUY
        if order.reason is LegReason.CLOSED:
            left[place] = replace(left[place], asks=(), bids=())
        elif order.reason in FINAL or cash_was_short:
            kept = left[place]
            left[place] = replace(kept, asks=()) if more else replace(kept, bids=())
    return left


def _awaits_chain(flight: Flight, ledger: Ledger) -> bool:
    """Whether the last attempt was to sell what the venue does not count as ours yet."""
    if not flight.repairs:
        return False
    refused = {
        order.token
        for order in flight.repairs[-1].legs
        if order.side is Side.SELL and order.reason is LegReason.BALANCE
    }
    return any(fill.token in refused for fill in ledger.unconfirmed.values())


def _paused_until_ms(flight: Flight) -> int:
    """When the next attempt may be made after those that were refused."""
    refused = [
        repair
        for repair in flight.repairs
        if any(order.state is LegState.REFUSED for order in repair.legs)
    ]
    if not refused:
        return 0
    return refused[-1].last_ms + (REFUSED_PAUSE_MS << len(refused) - 1)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a repair may use."""

    naked_ms: int
    """How long legs may stand alone,"""
    since_ms: int
    """since when anything may be done about it,"""
    bounds: Bounds
    """and what may be done."""
