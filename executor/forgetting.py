"""What the executor lets go of besides flights: strangers' orders, and tokens of markets long over.

Without it both would grow with every day of listing. Pure; called by executor/fold.py: strangers
after the names of fills were forgotten, tokens with each comparison with the venue.
"""

from executor.state import NAMES_MS, State

TOKENS_MS = NAMES_MS
"""A token of which we have nothing is known for so long after its market's end."""


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
    needed = {token for token, holding in ledger.holdings.items() if holding.size_e6}
    needed |= {fill.token for fill in ledger.fills.values()}
    needed |= {leg.token for flight in state.flights.values() for leg in flight.legs}
    kept = {state.tokens[token][0].key for token in needed if token in state.tokens}
    for token, (market, _) in list(state.tokens.items()):
        if market.expiry_ms < now_ms - TOKENS_MS and market.key not in kept:
            del state.tokens[token]
            ledger.holdings.pop(token, None)
            state.closed_ms.pop(token, None)
