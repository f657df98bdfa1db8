"""The state in shared memory, for people: flights, positions, account. Nobody decides by these.

The truth is the journal; this is its picture, drawn anew where something has changed.
"""

import time
from collections.abc import Iterable, Mapping

from executor.exposure import Exposure
from executor.flights import Flight
from executor.reporting import column
from executor.state import State
from executor.stock import Stock
from shm import layout
from shm.fabric import Fabric
from shm.layout import ACCOUNT, FLIGHT, MAX_LEGS, POSITION, Account, Market, Position
from shm.segments import FLIGHTS_MAX
from shm.units import format_token


class Picture:
    """Draws a state."""

    def __init__(self, fabric: Fabric) -> None:
        self._flights = fabric.write_table("flights", FLIGHT)
        self._positions = fabric.write_table("positions", POSITION)
        self._account = fabric.write_table("positions.account", ACCOUNT)
        self._places: dict[int, int] = {}
        """By flight: its row."""
        self._tenants: dict[int, int] = {}
        self._next_place = 0
        self._rows: dict[int, Market] = {}
        """By row: the market that the table has there now."""
        self._drawn: dict[int, tuple[int, ...]] = {}
        """By row: what was drawn of a position."""

    def know(self, markets: Iterable[Market]) -> None:
        """Which market each row of the positions table belongs to from now on."""
        self._rows = {market.row: market for market in markets}
        self._drawn.clear()

    def draw_flights(self, flights: Iterable[Flight], state: State) -> None:
        """Draw some flights, each in its row."""
        for flight in flights:
            self._flights.write(self._place(flight, state), row_of(flight, state))

    def _place(self, flight: Flight, state: State) -> int:
        """Its row: the oldest one that no open flight has."""
        place = self._places.get(flight.id)
        if place is not None:
            return place
        for _ in range(FLIGHTS_MAX):
            place = self._next_place % FLIGHTS_MAX
            self._next_place += 1
            tenant = state.flights.get(self._tenants.get(place, 0))
            if tenant is None or not tenant.open:
                break
        assert place is not None
        self._places.pop(self._tenants.get(place, 0), None)
        self._places[flight.id], self._tenants[place] = place, flight.id
        return place

    def draw_positions(self, stock: Stock) -> None:
        """Draw every position that is not drawn as it is."""
        ledger = stock.ledger
        for row, market in self._rows.items():
            yes = ledger.holdings.get(format_token(market.yes_token))
            no = ledger.holdings.get(format_token(market.no_token))
            if yes is None and no is None and row not in self._drawn:
                continue
            figures = (
                yes.size_e6 if yes else 0,
                no.size_e6 if no else 0,
                yes.cost_usd_e6 if yes else 0,
                no.cost_usd_e6 if no else 0,
                (yes.fee_usd_e6 if yes else 0) + (no.fee_usd_e6 if no else 0),
                max(0, (yes.fills if yes else 0) + (no.fills if no else 0)),
                *stock.held(market),
            )
            if self._drawn.get(row) != figures:
                self._drawn[row] = figures
                self._positions.write(row, Position(market.key, *figures, time.monotonic_ns()))

    def draw_account(self, state: State, exposure: Exposure, sums: Mapping[str, int]) -> None:
        """Draw cash, profit and risk; `sums` has the fields that others know."""
        ledger = state.ledger
        profit, orphans = state.profit_usd_e6(), state.orphan_usd_e6()
        provisional = sum(abs(fill.spent_usd_e6) for fill in ledger.unconfirmed.values())
        self._account.write(
            0,
            Account(
                cash_usd_e6=ledger.cash_usd_e6,
                opening_usd_e6=ledger.opening_usd_e6,
                reserved_usd_e6=state.reserved_usd_e6,
                fee_usd_e6=ledger.fee_usd_e6,
                locked_profit_usd_e6=profit,
                orphan_cost_usd_e6=orphans,
                realised_usd_e6=profit - orphans,
                day_usd_e6=sums["worst_usd_e6"] - (state.day_open_usd_e6 or sums["worst_usd_e6"]),
                exposure_usd_e6=exposure.total_usd_e6,
                naked_usd_e6=exposure.naked_usd_e6,
                provisional_usd_e6=provisional,
                in_doubt=sum(exposure.doubts.values()),
                mode=state.mode,
                cause=state.cause,
                mode_since_ms=state.mode_since_ms,
                orders_intended=state.orders_intended,
                fills=ledger.fills_counted,
                updated_ns=time.monotonic_ns(),
                wallet=state.wallet,
                **sums,
            ),
        )


def row_of(flight: Flight, state: State) -> layout.Flight:
    """A flight as its record."""
    legs = flight.legs
    fills = [state.ledger.of_order(leg.order_hash) for leg in legs]
    parent = state.flights.get(flight.parent)
    hashes = b"".join(bytes.fromhex(leg.order_hash[2:]) for leg in legs)
    return layout.Flight(
        signal=flight.signal,
        basket=flight.basket,
        kind=flight.kind,
        state=flight.state,
        reason=flight.reason,
        leg_count=len(legs),
        purpose=flight.purpose,
        repairs=len(flight.repairs),
        parent=parent.signal if parent else 0,
        size_e6=flight.size_e6,
        payout_e4=flight.payout_e4,
        reserved_usd_e6=flight.reserved_usd_e6,
        created_ms=flight.created_ms,
        sent_ns=flight.sent_ns,
        leg_market=column([leg.row for leg in legs]),
        leg_outcome=column([leg.outcome for leg in legs]),
        leg_side=column([leg.side for leg in legs]),
        leg_state=column([leg.state for leg in legs]),
        leg_reason=column([leg.reason for leg in legs]),
        leg_price_e4=column([leg.price_e4 for leg in legs]),
        leg_size_e6=column([leg.size_e6 for leg in legs]),
        leg_filled_e6=column([fill.size_e6 for fill in fills]),
        leg_cost_usd_e6=column([fill.cost_usd_e6 for fill in fills]),
        leg_fee_usd_e6=column([fill.fee_usd_e6 for fill in fills]),
        leg_hash=hashes.ljust(32 * MAX_LEGS, b"\0"),
    )
