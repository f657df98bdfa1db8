"""Shares that may be sold: what is held, less what orders on their way may sell. Pure.

Shares are reserved like cash: from the record of an order's intent until it is known what became of
it, and of fills that were announced until they are in the ledger. So no share is promised twice,
neither by two baskets nor by a basket and a repair. From inventory only what the chain has
confirmed is sold: a purchase that fails takes its shares back.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from executor.flights import Flight, awaited
from executor.ledger import Ledger
from shm.codes import Side
from shm.inventory import Held
from shm.layout import Market
from shm.units import format_token

_name = lru_cache(maxsize=8_192)(format_token)
"""As the ledger calls a token: asked for every leg of every signal."""


@dataclass(frozen=True, slots=True)
class Stock:
    """What is held at some moment, and who has a claim on it."""

    ledger: Ledger
    promised_e6: Mapping[str, int] = field(default_factory=dict)
    """By token: what orders on their way may still sell."""
    unconfirmed_e6: Mapping[str, int] = field(default_factory=dict)
    """By token: bought, and not confirmed by the chain."""

    def sellable_e6(self, token: str) -> int:
        """Of a token, what no order has a claim on."""
        return max(0, self.ledger.size_e6(token) - self.promised_e6.get(token, 0))

    def free_e6(self, token: str) -> int:
        """The confirmed part of it: what a basket may sell."""
        return max(0, self.sellable_e6(token) - self.unconfirmed_e6.get(token, 0))

    def held(self, market: Market) -> Held:
        """What a basket may sell of a market."""
        if not self.ledger.holdings:
            return Held(0, 0)
        return Held(self.free_e6(_name(market.yes_token)), self.free_e6(_name(market.no_token)))


def stock_of(flights: Iterable[Flight], ledger: Ledger) -> Stock:
    """What is held while these flights are open."""
    promised: Counter[str] = Counter()
    for flight in flights:
        outstanding = awaited(flight, ledger)
        for order in flight.legs:
            if order.side is Side.SELL and (order.open or order in outstanding):
                seen = ledger.of_order(order.order_hash)
                promised[order.token] += max(0, order.size_e6 - seen.size_e6 - seen.voided_e6)
    unconfirmed: Counter[str] = Counter()
    for fill in ledger.unconfirmed.values():
        if fill.side is Side.BUY:
            unconfirmed[fill.token] += fill.size_e6
    return Stock(ledger, promised, unconfirmed)
