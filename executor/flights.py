"""The life of a basket that was sent, and of its orders: two tables and the rule that joins them.

Pure. A flight is written to shared memory before its bytes leave (INTENT), so that a restarted
executor finds every order that may exist. It ends when every order has ended and every fill that
the venue announced has been seen in the ledger.
"""

from dataclasses import dataclass

from executor.ledger import Ledger, OrderFills
from shm import layout
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
from shm.errors import SegmentDamaged
from shm.layout import MAX_LEGS
from shm.units import PRICE_ONE_E4, SIZE_E6_MAX

NEXT_LEG: dict[LegState, frozenset[LegState]] = {
    LegState.INTENT: frozenset({LegState.SENT, LegState.REFUSED, LegState.DOUBT}),
    LegState.SENT: frozenset(
        {
            LegState.FILLED,
            LegState.KILLED,
            LegState.REFUSED,
            LegState.LANDED,
            LegState.DOUBT,
        }
    ),
    LegState.DOUBT: frozenset({LegState.FILLED, LegState.NEVER_LANDED}),
    LegState.LANDED: frozenset({LegState.FILLED, LegState.KILLED}),
    LegState.FILLED: frozenset(),
    LegState.KILLED: frozenset(),
    LegState.REFUSED: frozenset(),
    LegState.NEVER_LANDED: frozenset(),
}
LEG_OPEN = {LegState.INTENT, LegState.SENT, LegState.DOUBT, LegState.LANDED}

NEXT_FLIGHT: dict[FlightState, frozenset[FlightState]] = {
    FlightState.INTENT: frozenset({FlightState.SENT, FlightState.RESOLVING, FlightState.MISSED}),
    FlightState.SENT: frozenset(
        {
            FlightState.RESOLVING,
            FlightState.COMPLETE,
            FlightState.PARTIAL,
            FlightState.MISSED,
        }
    ),
    FlightState.RESOLVING: frozenset(
        {FlightState.COMPLETE, FlightState.PARTIAL, FlightState.MISSED}
    ),
    FlightState.COMPLETE: frozenset(),
    FlightState.PARTIAL: frozenset(),
    FlightState.NAKED: frozenset(),
    FlightState.UNWOUND: frozenset(),
    FlightState.MISSED: frozenset(),
}
FLIGHT_OPEN = {FlightState.INTENT, FlightState.SENT, FlightState.RESOLVING}

PARTIAL_REASON = {
    LegState.KILLED: PartialReason.KILLED,
    LegState.REFUSED: PartialReason.REFUSED,
    LegState.NEVER_LANDED: PartialReason.DOUBT,
}


@dataclass(slots=True)
class LegOrder:
    """One order of a flight."""

    row: int
    outcome: Outcome
    side: Side
    price_e4: int
    order_hash: str
    """ "0x..." in lower case: the order's identity here and at the venue."""
    state: LegState = LegState.INTENT
    reason: LegReason = LegReason.NONE

    def move(self, state: LegState, reason: LegReason = LegReason.NONE) -> None:
        """Go to the next state; a step that the table does not have is a defect."""
        assert state in NEXT_LEG[self.state], f"{self.state.name} -> {state.name}"
        self.state = state
        self.reason = reason


@dataclass(slots=True)
class Flight:
    """A basket on its way: all legs buy or sell `size_e6`."""

    place: int
    """Row in the flights table."""
    signal: int
    basket: int
    kind: BasketKind
    payout_e4: int
    size_e6: int
    reserved_usd_e6: int
    created_ms: int
    legs: list[LegOrder]
    state: FlightState = FlightState.INTENT
    reason: PartialReason = PartialReason.NONE
    sent_ns: int = 0
    restarted: bool = False
    """Found by a restart: the executor that sent it died before it ended."""

    def move(self, state: FlightState) -> None:
        """Go to the next state; a step that the table does not have is a defect."""
        assert state in NEXT_FLIGHT[self.state], f"{self.state.name} -> {state.name}"
        self.state = state

    @property
    def open(self) -> bool:
        """Whether anything about it is still unknown."""
        return self.state in FLIGHT_OPEN

    def fills(self, ledger: Ledger, leg: LegOrder) -> OrderFills:
        """What the ledger has seen of a leg's order."""
        return ledger.orders.get(leg.order_hash, _NO_FILLS)


_NO_FILLS = OrderFills()


def settle(flight: Flight, ledger: Ledger) -> bool:
    """Bring a flight up to what the ledger shows; True if this was its end.

    An order that the ledger shows filled is filled, whatever the reply said.
    """
    for leg in flight.legs:
        undecided = leg.state in {LegState.DOUBT, LegState.LANDED}
        if undecided and flight.fills(ledger, leg).size_e6 >= flight.size_e6:
            leg.move(LegState.FILLED)
    if any(leg.state in LEG_OPEN for leg in flight.legs):
        if flight.state is FlightState.SENT and _undecided(flight):
            flight.move(FlightState.RESOLVING)
        return False
    if awaited(flight, ledger):
        return False
    flight.move(_final_state(flight))
    return True


def _undecided(flight: Flight) -> bool:
    return any(leg.state in {LegState.DOUBT, LegState.LANDED} for leg in flight.legs)


def awaited(flight: Flight, ledger: Ledger) -> list[LegOrder]:
    """Legs that the venue called filled and whose fills the ledger has not (all) seen."""
    return [
        leg
        for leg in flight.legs
        if leg.state is LegState.FILLED and flight.fills(ledger, leg).size_e6 < flight.size_e6
    ]


def _final_state(flight: Flight) -> FlightState:
    filled = [leg.state is LegState.FILLED for leg in flight.legs]
    if all(filled):
        return FlightState.COMPLETE
    if not any(filled):
        return FlightState.MISSED
    missing = next(leg for leg in flight.legs if leg.state is not LegState.FILLED)
    flight.reason = PartialReason.RESTART if flight.restarted else PARTIAL_REASON[missing.state]
    return FlightState.PARTIAL


@dataclass(frozen=True, slots=True)
class Tally:
    """What a finished flight came to."""

    legs_filled: int
    cost_usd_e6: int
    fee_usd_e6: int
    locked_profit_usd_e6: int
    """Guaranteed payout less cost and fees; 0 unless complete."""
    orphan_cost_usd_e6: int
    """Cost and fees of the filled legs of a partial basket; 0 otherwise."""


def tally(flight: Flight, ledger: Ledger) -> Tally:
    """Add up a flight from the ledger's fills."""
    fills = [flight.fills(ledger, leg) for leg in flight.legs]
    cost_usd_e6 = sum(fill.cost_usd_e6 for fill in fills)
    fee_usd_e6 = sum(fill.fee_usd_e6 for fill in fills)
    payout_usd_e6 = flight.payout_e4 * flight.size_e6 // PRICE_ONE_E4
    complete = flight.state is FlightState.COMPLETE
    partial = flight.state is FlightState.PARTIAL
    return Tally(
        legs_filled=sum(leg.state is LegState.FILLED for leg in flight.legs),
        cost_usd_e6=cost_usd_e6,
        fee_usd_e6=fee_usd_e6,
        locked_profit_usd_e6=payout_usd_e6 - cost_usd_e6 - fee_usd_e6 if complete else 0,
        orphan_cost_usd_e6=cost_usd_e6 + fee_usd_e6 if partial else 0,
    )


# --- to and from shared memory ----------------------------------------------------------------


def padded(values: list[int]) -> tuple[int, ...]:
    """A column of `MAX_LEGS` values."""
    return (*values, *([0] * (MAX_LEGS - len(values))))


def to_row(flight: Flight, ledger: Ledger) -> layout.Flight:
    """Flight -> its record in the flights table."""
    legs = flight.legs
    fills = [flight.fills(ledger, leg) for leg in legs]
    hashes = b"".join(bytes.fromhex(leg.order_hash[2:]) for leg in legs)
    return layout.Flight(
        signal=flight.signal,
        basket=flight.basket,
        kind=flight.kind,
        state=flight.state,
        reason=flight.reason,
        leg_count=len(legs),
        purpose=Purpose.BASKET,
        repairs=0,
        parent=0,
        size_e6=flight.size_e6,
        payout_e4=flight.payout_e4,
        reserved_usd_e6=flight.reserved_usd_e6,
        created_ms=flight.created_ms,
        sent_ns=flight.sent_ns,
        leg_market=padded([leg.row for leg in legs]),
        leg_outcome=padded([leg.outcome for leg in legs]),
        leg_side=padded([leg.side for leg in legs]),
        leg_state=padded([leg.state for leg in legs]),
        leg_reason=padded([leg.reason for leg in legs]),
        leg_price_e4=padded([leg.price_e4 for leg in legs]),
        leg_size_e6=padded([flight.size_e6] * len(flight.legs)),
        leg_filled_e6=padded([fill.size_e6 for fill in fills]),
        leg_cost_usd_e6=padded([fill.cost_usd_e6 for fill in fills]),
        leg_fee_usd_e6=padded([fill.fee_usd_e6 for fill in fills]),
        leg_hash=hashes.ljust(32 * MAX_LEGS, b"\0"),
    )


def from_row(place: int, row: layout.Flight) -> Flight:
    """A record that another executor process left -> flight. Orders it may have sent are doubts.

    `SegmentDamaged` if no executor can have written it.
    """
    if not _possible(row):
        raise SegmentDamaged(
            f"row {place} of the flights table was changed by something that is not the executor: "
            "stop the system and start it again (what was ordered is found at the venue)"
        )
    legs = []
    for i in range(row.leg_count):
        state = LegState(row.leg_state[i])
        if state in {LegState.INTENT, LegState.SENT}:
            state = LegState.DOUBT
        legs.append(
            LegOrder(
                row=row.leg_market[i],
                outcome=Outcome(row.leg_outcome[i]),
                side=Side(row.leg_side[i]),
                price_e4=row.leg_price_e4[i],
                order_hash="0x" + row.leg_hash[32 * i : 32 * i + 32].hex(),
                state=state,
                reason=LegReason(row.leg_reason[i]),
            )
        )
    return Flight(
        place=place,
        signal=row.signal,
        basket=row.basket,
        kind=BasketKind(row.kind),
        payout_e4=row.payout_e4,
        size_e6=row.size_e6,
        reserved_usd_e6=row.reserved_usd_e6,
        created_ms=row.created_ms,
        legs=legs,
        state=FlightState.RESOLVING,
        sent_ns=row.sent_ns,
        restarted=True,
    )


def _possible(row: layout.Flight) -> bool:
    """Whether every field has a value that an executor writes."""
    count = row.leg_count
    codes = (
        (FlightState, (row.state,)),
        (BasketKind, (row.kind,)),
        (Outcome, row.leg_outcome[:count]),
        (Side, row.leg_side[:count]),
        (LegState, row.leg_state[:count]),
        (LegReason, row.leg_reason[:count]),
    )
    return (
        0 < count <= MAX_LEGS
        and all(value in set(code) for code, values in codes for value in values)
        and all(0 < price_e4 < PRICE_ONE_E4 for price_e4 in row.leg_price_e4[:count])
        and 0 < row.size_e6 <= SIZE_E6_MAX
        and 0 <= row.reserved_usd_e6 <= SIZE_E6_MAX
    )
