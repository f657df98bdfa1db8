"""The life of a basket that was sent, and of its orders: two tables and the rule that joins them.

Pure. A flight is a batch of orders that stands in the journal. A basket's flight ends when every
order has ended and every fill that was announced is in the ledger: all legs (COMPLETE), none
(MISSED), or some. Some is NAKED: a repair completes or unwinds it, with flights of its own that
name this one as their parent, or it is kept to the end (PARTIAL). An end is not for ever: a trade
that fails on chain, or an order that turns up after it was given up, opens the question again.

A leg may have been sent as the sale of what is held (shm/inventory.py). It counts as the purchase
that it stands for everywhere: a share of YES sold at p is a unit of NO that cost 1 - p, and the
dollar that the pair would have paid is not profit of this basket. So units, costs and the worst
case are the same in both forms, and cash and holdings are the ledger's.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from executor.ledger import Ledger, OrderFills
from executor.wire import OrderType
from shm.codes import (
    BasketKind,
    FlightState,
    LegReason,
    LegState,
    Outcome,
    PartialReason,
    Purpose,
    Side,
)
from shm.units import PRICE_ONE_E4

NEXT_LEG: dict[LegState, frozenset[LegState]] = {
    LegState.INTENT: frozenset({LegState.SENT, LegState.DOUBT, LegState.NEVER_LANDED}),
    LegState.SENT: frozenset(
        {LegState.FILLED, LegState.KILLED, LegState.REFUSED, LegState.LANDED, LegState.DOUBT}
    ),
    LegState.DOUBT: frozenset(
        {LegState.LANDED, LegState.FILLED, LegState.KILLED, LegState.NEVER_LANDED}
    ),
    LegState.LANDED: frozenset({LegState.FILLED, LegState.KILLED}),
    LegState.FILLED: frozenset(),
    # An order that was given up and turns up after all; a venue that says no and fills.
    LegState.KILLED: frozenset({LegState.FILLED}),
    LegState.REFUSED: frozenset({LegState.FILLED}),
    LegState.NEVER_LANDED: frozenset({LegState.FILLED}),
}
LEG_OPEN = frozenset({LegState.INTENT, LegState.SENT, LegState.DOUBT, LegState.LANDED})
LEG_UNDECIDED = frozenset({LegState.DOUBT, LegState.LANDED})

NEXT_FLIGHT: dict[FlightState, frozenset[FlightState]] = {
    FlightState.INTENT: frozenset({FlightState.SENT, FlightState.RESOLVING}),
    FlightState.SENT: frozenset(
        {FlightState.RESOLVING, FlightState.COMPLETE, FlightState.NAKED, FlightState.MISSED}
    ),
    FlightState.RESOLVING: frozenset({FlightState.COMPLETE, FlightState.NAKED, FlightState.MISSED}),
    FlightState.NAKED: frozenset(
        {FlightState.COMPLETE, FlightState.UNWOUND, FlightState.PARTIAL, FlightState.MISSED}
    ),
    FlightState.COMPLETE: frozenset({FlightState.NAKED, FlightState.MISSED}),
    FlightState.PARTIAL: frozenset(
        {FlightState.NAKED, FlightState.COMPLETE, FlightState.UNWOUND, FlightState.MISSED}
    ),
    FlightState.MISSED: frozenset({FlightState.NAKED, FlightState.COMPLETE}),
    FlightState.UNWOUND: frozenset({FlightState.NAKED, FlightState.COMPLETE, FlightState.MISSED}),
}
FLIGHT_OPEN = frozenset(
    {FlightState.INTENT, FlightState.SENT, FlightState.RESOLVING, FlightState.NAKED}
)

PARTIAL_REASON = {
    LegState.KILLED: PartialReason.KILLED,
    LegState.REFUSED: PartialReason.REFUSED,
    LegState.NEVER_LANDED: PartialReason.DOUBT,
}


@dataclass(slots=True)
class LegOrder:
    """One order of a flight."""

    row: int
    """Of its market, when it was sent."""
    outcome: Outcome
    side: Side
    price_e4: int
    size_e6: int
    order_hash: str
    """ "0x..." in lower case: the order's identity here and at the venue."""
    token: str
    order_type: OrderType = "FOK"
    state: LegState = LegState.INTENT
    reason: LegReason = LegReason.NONE
    other: str = ""
    """The opposite token of its market, where that is known."""

    def move(self, state: LegState, reason: LegReason = LegReason.NONE) -> None:
        """Go to the next state; a step that the table does not have is a defect."""
        assert state in NEXT_LEG[self.state], f"{self.state.name} -> {state.name}"
        self.state = state
        self.reason = reason

    @property
    def open(self) -> bool:
        """Whether it may still fill, as far as anyone knows."""
        return self.state in LEG_OPEN


@dataclass(slots=True)
class Flight:
    """A batch of orders: the legs of a basket, or what repairs one."""

    id: int
    """Number of its first record in the journal: never repeated."""
    signal: int
    """The engine's number for it; 0 for a repair."""
    purpose: Purpose
    basket: int
    kind: BasketKind
    group: int
    parent: int
    payout_e4: int
    size_e6: int
    """Units of a basket; of a repair, the units that it aims at."""
    reserved_usd_e6: int
    limit_net_e8: int
    created_ms: int
    legs: list[LegOrder] = field(default_factory=list)
    repairs: list["Flight"] = field(default_factory=list)
    """Of a basket's flight, in the order in which they were sent."""
    state: FlightState = FlightState.INTENT
    reason: PartialReason = PartialReason.NONE
    sent_ms: int = 0
    sent_ns: int = 0
    """On this process's clock; 0 if another one sent it."""
    left_ns: int = 0
    """By CLOCK_MONOTONIC of this boot: when it had left at the latest; 0 if nobody has said."""
    restarted: bool = False
    """An executor died while it was on its way."""
    held: bool = False
    """It was decided to keep what filled to the end."""
    naked_ms: int = 0
    """Since when its legs stand alone."""
    last_ms: int = 0
    """Time of the latest thing that was heard of it."""

    def move(self, state: FlightState) -> None:
        """Go to the next state; a step that the table does not have is a defect."""
        assert state in NEXT_FLIGHT[self.state], f"{self.state.name} -> {state.name}"
        self.state = state

    @property
    def open(self) -> bool:
        """Whether anything about it is still unknown or undecided."""
        return self.state in FLIGHT_OPEN

    @property
    def all_orders(self) -> Iterable[LegOrder]:
        """Its own orders and those of its repairs."""
        yield from self.legs
        for repair in self.repairs:
            yield from repair.legs


def units(leg: LegOrder, order: LegOrder) -> int:
    """What a share of an order is to a leg of a basket: a unit more (1), one less (-1), nothing.

    Whatever trades its market does: buying NO and selling YES is one thing, selling NO and buying
    YES the other. More of it is what the leg itself was sent for.
    """
    if order.token not in {leg.token, leg.other}:
        return 0
    return 1 if (order.token == leg.token) is (order.side is leg.side) else -1


def cost_usd_e6(leg: LegOrder, order: LegOrder, seen: OrderFills) -> int:
    """What an order's fills cost, in terms of the token that the basket wants of this leg.

    Selling the opposite token brings p and is to have paid 1 - p; buying it is the way back.
    """
    mirrored = (order.token == leg.token) is (leg.side is Side.SELL)
    if not mirrored:
        return seen.cost_usd_e6
    return seen.cost_usd_e6 + (seen.size_e6 if order.side is Side.SELL else -seen.size_e6)


def leg_orders(flight: Flight) -> Iterator[tuple[LegOrder, LegOrder]]:
    """Each order of a basket's flight and of its repairs, with the leg that it is about."""
    for order in flight.all_orders:
        for leg in flight.legs:
            if units(leg, order):
                yield leg, order


def positions_e6(flight: Flight, ledger: Ledger) -> list[int]:
    """Units that a basket's flight and its repairs have of each leg."""
    return [
        sum(
            units(leg, order) * ledger.of_order(order.order_hash).size_e6
            for order in flight.all_orders
        )
        for leg in flight.legs
    ]


def awaited(flight: Flight, ledger: Ledger) -> list[LegOrder]:
    """Legs that the venue called filled and whose fills the ledger has not (all) seen.

    What was matched and failed on chain has been seen: it will not come again. Nor is waited for
    what never appeared (executor/resolver.py): it stands in the ledger as failed.
    """

    def missing(leg: LegOrder) -> bool:
        seen = ledger.of_order(leg.order_hash)
        return seen.size_e6 + seen.voided_e6 < leg.size_e6

    # An immediate order that may fill in part was filled as far as the ledger says.
    return [
        leg
        for leg in flight.legs
        if leg.state is LegState.FILLED and leg.order_type == "FOK" and missing(leg)
    ]


def settle(flight: Flight, ledger: Ledger, now_ms: int) -> bool:
    """Bring a flight up to what the ledger shows; whether its state changed.

    An order that the ledger shows filled is filled, whatever the venue said of it before.
    """
    flight.last_ms = max(flight.last_ms, now_ms)
    for leg in flight.legs:
        if _shows_filled(leg, ledger.of_order(leg.order_hash)):
            leg.move(LegState.FILLED, leg.reason)
    before = flight.state
    if any(leg.open for leg in flight.legs):
        undecided = any(leg.state in LEG_UNDECIDED for leg in flight.legs)
        if before is FlightState.SENT and undecided:
            flight.move(FlightState.RESOLVING)
    elif before is not FlightState.INTENT and not awaited(flight, ledger):
        after = _end(flight, ledger)
        if after is not before:
            _enter(flight, after)
    return flight.state is not before


def _shows_filled(leg: LegOrder, seen: OrderFills) -> bool:
    if leg.state in {LegState.INTENT, LegState.SENT, LegState.FILLED}:
        return False  # the reply is on its way, and says more; or nothing is new
    if leg.state in LEG_UNDECIDED:
        return seen.size_e6 + seen.voided_e6 >= leg.size_e6
    # A part of an order that may fill in part is no surprise.
    return leg.order_type == "FOK" and seen.size_e6 > 0


def _end(flight: Flight, ledger: Ledger) -> FlightState:
    if flight.purpose is Purpose.REPAIR:
        return _end_of_repair(flight, ledger)
    held = positions_e6(flight, ledger)
    if not any(held):
        sold = any(repair.legs for repair in flight.repairs) and _bought(flight, ledger)
        return FlightState.UNWOUND if sold else FlightState.MISSED
    if min(held) == max(held):
        return FlightState.COMPLETE
    return FlightState.PARTIAL if flight.held else FlightState.NAKED


def _bought(flight: Flight, ledger: Ledger) -> bool:
    return any(ledger.of_order(leg.order_hash).size_e6 for leg in flight.legs)


def _end_of_repair(flight: Flight, ledger: Ledger) -> FlightState:
    fills_e6 = [ledger.of_order(leg.order_hash).size_e6 for leg in flight.legs]
    if all(fill >= leg.size_e6 for fill, leg in zip(fills_e6, flight.legs, strict=True)):
        return FlightState.COMPLETE
    return FlightState.PARTIAL if any(fills_e6) else FlightState.MISSED


def _enter(flight: Flight, state: FlightState) -> None:
    if flight.purpose is Purpose.REPAIR:
        flight.state = state  # its ends are words for people; what counts is the parent's position
        return
    flight.move(state)
    if state is FlightState.NAKED:
        flight.naked_ms = flight.last_ms
    if state in {FlightState.NAKED, FlightState.PARTIAL}:
        flight.reason = _why(flight)


def _why(flight: Flight) -> PartialReason:
    if flight.restarted:
        return PartialReason.RESTART
    for leg in flight.legs:
        if leg.state in PARTIAL_REASON:
            return PARTIAL_REASON[leg.state]
    return PartialReason.VOIDED


@dataclass(frozen=True, slots=True)
class Tally:
    """What a flight came to, repairs included."""

    legs_filled: int
    cost_usd_e6: int
    """Of what was bought, less what was got for what was sold again; sales from inventory as the
    purchases that they stand for."""
    fee_usd_e6: int
    locked_profit_usd_e6: int
    """Guaranteed payout less cost and fees, if complete; what unwinding got less what it cost."""
    orphan_cost_usd_e6: int
    """Cost and fees of legs that are kept without the others."""


def tally(flight: Flight, ledger: Ledger) -> Tally:
    """Add up a flight from the ledger's fills."""
    fills = [ledger.of_order(order.order_hash) for order in flight.all_orders]
    spent_usd_e6 = sum(
        cost_usd_e6(leg, order, ledger.of_order(order.order_hash))
        for leg, order in leg_orders(flight)
    )
    fee_usd_e6 = sum(fill.fee_usd_e6 for fill in fills)
    held = positions_e6(flight, ledger)
    payout_usd_e6 = flight.payout_e4 * min(held, default=0) // PRICE_ONE_E4
    closed = flight.state in {FlightState.COMPLETE, FlightState.UNWOUND}
    return Tally(
        legs_filled=sum(size_e6 > 0 for size_e6 in held),
        cost_usd_e6=spent_usd_e6,
        fee_usd_e6=fee_usd_e6,
        locked_profit_usd_e6=payout_usd_e6 - spent_usd_e6 - fee_usd_e6 if closed else 0,
        orphan_cost_usd_e6=spent_usd_e6 + fee_usd_e6 if flight.state is FlightState.PARTIAL else 0,
    )


def unconfirmed(flight: Flight, waiting: Container[str]) -> bool:
    """Whether the chain has yet to confirm a fill of it; `waiting`: `Ledger.unconfirmed_orders`."""
    return any(order.order_hash in waiting for order in flight.all_orders)


def in_words(flight: Flight, legs: Sequence[LegOrder] | None = None) -> str:
    """One line for the log."""
    what = ", ".join(
        f"{leg.side.name} {leg.outcome.name} of market {leg.row} {leg.state.name.lower()}"
        + (f" ({leg.reason.name.lower()})" if leg.reason else "")
        for leg in (flight.legs if legs is None else legs)
    )
    why = f" {flight.reason.name.lower()}" if flight.reason else ""
    return f"{flight.kind.name} x{flight.size_e6 / 1e6:g}{why}: {what}"
