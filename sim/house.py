"""The house: makers with an endless purse whose orders stand for the venue's other traders.

It works in levels, "this much at that price", and turns them into real orders of real owners. An
order of a user in the way is traded with, as on any exchange.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from eth_utils.address import to_checksum_address

from sim.events import Event
from sim.floor import Floor
from sim.market import Market
from sim.order import (
    OTHER_SIDE,
    Order,
    Outcome,
    Side,
    Status,
    own_price_e4,
)

PERSONAS = 6
MAX_ORDERS_A_LEVEL = 3

LevelKey = tuple[Side, int]
"""A side and a price of the book, in YES terms."""


@dataclass(frozen=True, slots=True)
class Persona:
    """One maker of the house. `outcome` is the token that it prefers to name in its orders."""

    owner: str
    wallet: str
    outcome: Outcome


@dataclass(slots=True, eq=False)
class House:
    """All makers of the house on one floor."""

    floor: Floor
    rng: Random
    personas: tuple[Persona, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.personas = tuple(
            Persona(
                str(uuid.UUID(int=self.rng.getrandbits(128), version=4)),
                to_checksum_address(self.rng.getrandbits(160).to_bytes(20, "big")),
                Outcome(index % 2),
            )
            for index in range(PERSONAS)
        )

    def size_e6(self, market: Market, side: Side, price_e4: int) -> int:
        """What the house has at a level."""
        return sum(order.remaining_e6 for order in self._orders(market, side, price_e4))

    def levels(self, market: Market, side: Side) -> list[int]:
        """Prices at which the house has orders, the best one last."""
        half = market.book.halves[side]
        return [
            price_e4
            for price_e4 in half.prices()
            if any(order.house for order in half.levels[price_e4])
        ]

    def set_levels(
        self, market: Market, wanted: Iterable[tuple[LevelKey, int]], now_ms: int
    ) -> list[Event]:
        """Make the house have exactly these sizes at these levels, as one transaction."""
        leaving: list[Order] = []
        entering: list[Order] = []
        for (side, price_e4), size_e6 in wanted:
            standing = self._orders(market, side, price_e4)
            missing_e6 = size_e6 - sum(order.remaining_e6 for order in standing)
            if missing_e6 < 0 or len(standing) >= MAX_ORDERS_A_LEVEL:
                leaving += standing
                missing_e6 = size_e6
            if missing_e6 > 0:
                entering.append(self._order(market, (side, price_e4), missing_e6, now_ms))
        return self.floor.swap(leaving, entering, now_ms)

    def take(
        self, market: Market, outcome: Outcome, side: Side, limits: tuple[int, int], now_ms: int
    ) -> list[Event]:
        """Trade against the book as an unnamed trader; `limits` are (price in own terms, size)."""
        price_e4, size_e6 = limits
        persona = self.rng.choice(self.personas)
        order = self._new(market, (outcome, side, price_e4, size_e6), persona, now_ms)
        events = self.floor.submit(order, now_ms, rest=False).events
        if order.status is Status.LIVE:
            events += self.floor.withdraw([order], Status.CANCELED, now_ms)
        return events

    def _orders(self, market: Market, side: Side, price_e4: int) -> list[Order]:
        return [order for order in market.book.orders(side, price_e4) if order.house]

    def _order(self, market: Market, level: LevelKey, size_e6: int, now_ms: int) -> Order:
        side, price_e4 = level
        persona = self.personas[(price_e4 // 10 * 7 + (side is Side.BUY)) % PERSONAS]
        own_side = side if persona.outcome is Outcome.YES else OTHER_SIDE[side]
        own_e4 = own_price_e4(persona.outcome, price_e4)
        return self._new(market, (persona.outcome, own_side, own_e4, size_e6), persona, now_ms)

    def _new(
        self,
        market: Market,
        terms: tuple[Outcome, Side, int, int],
        persona: Persona,
        now_ms: int,
    ) -> Order:
        outcome, side, price_e4, size_e6 = terms
        return Order(
            order_id=f"0x{self.rng.getrandbits(256):064x}",
            owner=persona.owner,
            wallet=persona.wallet,
            condition_id=market.facts.condition_id,
            token=market.facts.tokens[outcome],
            outcome=outcome,
            side=side,
            price_e4=price_e4,
            original_e6=size_e6,
            order_type="GTC",
            created_ms=now_ms,
            house=True,
        )
