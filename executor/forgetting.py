"""What the executor lets go of: what is over, and what would grow with every day of listing.

Pure; called by executor/fold.py: flights, then names of fills, then strangers and paces, once a
minute at most; tokens with each comparison with the venue.
"""

from executor.exposure import is_kept
from executor.flights import Flight, tally, unconfirmed
from executor.state import HOUR_MS, MINUTE_MS, NAMES_MS, State
from shm.codes import FlightState

REMEMBER_MS = 10 * MINUTE_MS
"""A flight that is over and confirmed is no longer looked at after this: longer than any order that
was given up has ever taken to turn up."""
TOKENS_MS = NAMES_MS
"""A token of which we have nothing is known for so long after its market's end."""


def forget_flights(state: State, now_ms: int) -> None:
    """Let go of what is over: its results stay as sums."""
    failed = {order for _, order in state.failed_ms}
    waiting = state.ledger.unconfirmed_orders
    for flight in list(state.flights.values()):
        over = not any(one.open for one in (flight, *flight.repairs))
        over = over and not unconfirmed(flight, waiting)
        # CONFIRMED has the last word: while a failed fill is known, so is what it belongs to.
        known = any(order.order_hash in failed for order in flight.all_orders)
        recent = flight.last_ms > now_ms - REMEMBER_MS
        recent = recent or (known and flight.last_ms >= now_ms - NAMES_MS)
        # What is kept alone stays in sight until it is paid or sold.
        kept = flight.state is FlightState.PARTIAL and is_kept(flight, state.ledger, state.tokens)
        if over and not recent and not flight.parent and not kept:
            sums = tally(flight, state.ledger)
            state.sums.profit_usd_e6 += sums.locked_profit_usd_e6
            state.sums.orphan_usd_e6 += sums.orphan_cost_usd_e6
            for one in (flight, *flight.repairs):
                _drop(state, one)


def _drop(state: State, flight: Flight) -> None:
    del state.flights[flight.id]
    for leg in flight.legs:
        del state.flight_by_order[leg.order_hash]
        state.ledger.orders.pop(leg.order_hash, None)


def forget_fills(state: State, now_ms: int) -> None:
    """The names of final fills that belong to nothing, after two days."""
    for key, fill in list(state.ledger.fills.items()):
        final = key not in state.ledger.unconfirmed
        if final and fill.at_ms < now_ms - NAMES_MS and state.flight_of(fill.order) is None:
            del state.ledger.fills[key]
            state.failed_ms.pop(key, None)


def forget_paces(state: State, now_ms: int) -> None:
    """How often baskets of a ladder were sent, an hour after the last one."""
    for group, pace in list(state.pace.items()):
        if pace.last_ms < now_ms - HOUR_MS:
            del state.pace[group]


def forget_strangers(state: State) -> None:
    """A stranger's order without a fill that is known by name: it is over, and adds no exposure."""
    named = {fill.order for fill in state.ledger.fills.values()}
    for order_hash in state.strangers - named:
        state.strangers.discard(order_hash)
        state.ledger.orders.pop(order_hash, None)


def forget_tokens(state: State, now_ms: int) -> None:
    """Markets long over, of which nothing is held, on its way, or in a flight that is remembered.

    What such a token came to is in cash and sums; its empty holding goes with it.
    """
    ledger = state.ledger
    needed = {*ledger.held}
    needed |= {fill.token for fill in ledger.fills.values()}
    needed |= {leg.token for flight in state.flights.values() for leg in flight.legs}
    kept = {state.tokens[token][0].key for token in needed if token in state.tokens}
    for token, (market, _) in list(state.tokens.items()):
        if market.expiry_ms < now_ms - TOKENS_MS and market.key not in kept:
            del state.tokens[token]
            ledger.holdings.pop(token, None)
            state.closed_ms.pop(token, None)
