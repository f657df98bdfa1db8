"""A brute-force look for riskless profit in the frames of a generated market.

It knows the listings (kind and bounds) and the frames, and nothing of the generator. The only asks
are those of YES; NO costs one less the YES bid. Money is exact: units of $0.00000001 a share.
"""

import itertools
from dataclasses import dataclass, field
from decimal import Decimal

from sim.ladders import Ladder
from tests.sim.worlds import Watcher

RATE = Decimal("0.07")
ONE = Decimal(1)


@dataclass(frozen=True)
class Basket:
    """Tokens, as (condition id, outcome name), and what they pay together at least."""

    name: str
    legs: tuple[tuple[str, str], ...]
    payout: Decimal

    @property
    def markets(self) -> frozenset[str]:
        return frozenset(market for market, _ in self.legs)


def baskets_of(ladder: Ladder) -> list[Basket]:
    """Every neighbour set and every whole set of brackets."""
    above = {one.lower_e4: one.facts.condition_id for one in ladder.above.listings}
    strikes = sorted(above)
    between = {
        (one.lower_e4, one.upper_e4): one.facts.condition_id for one in ladder.price.listings
    }
    found = []
    for low, high in itertools.pairwise(strikes):
        down, up = above[low], above[high]
        found.append(Basket("ladder", ((down, "yes"), (up, "no")), ONE))
        middle = between.get((low, high))
        if middle is None:
            continue
        trio = ((down, "yes"), (middle, "no"), (up, "no"))
        found.append(Basket("trio", trio, 2 * ONE))
        complement = ((down, "no"), (middle, "yes"), (up, "yes"))
        found.append(Basket("complement", complement, ONE))
    brackets = sorted(between.values())
    found.append(Basket("all yes", tuple((one, "yes") for one in brackets), ONE))
    found.append(
        Basket("all no", tuple((one, "no") for one in brackets), (len(brackets) - 1) * ONE)
    )
    top = strikes[-1]
    highest = between[top, None]
    found.append(Basket("top", ((highest, "yes"), (above[top], "no")), ONE))
    found.append(Basket("top reversed", ((highest, "no"), (above[top], "yes")), ONE))
    return found


@dataclass
class Checker:
    """Follows frames; `positive` tells which baskets of a market have a net edge right now."""

    ladders: list[Ladder]
    watcher: Watcher = field(default_factory=Watcher)

    def __post_init__(self):
        self.token = {}
        self.group = {}
        self.by_market: dict[str, list[Basket]] = {}
        for ladder in self.ladders:
            self.add(ladder)

    def add(self, ladder: Ladder) -> None:
        for listing in ladder.listings:
            self.token[listing.facts.condition_id] = listing.facts.tokens[0]
            self.group[listing.facts.condition_id] = ladder.name
        for basket in baskets_of(ladder):
            for market in basket.markets:
                self.by_market.setdefault(market, []).append(basket)

    def ask(self, leg: tuple[str, str]) -> Decimal | None:
        market, outcome = leg
        side = "SELL" if outcome == "yes" else "BUY"
        best = self.watcher.best(self.token[market], side)
        if best is None:
            return None
        price = Decimal(best) / 10_000
        return price if outcome == "yes" else ONE - price

    def edge(self, basket: Basket) -> Decimal | None:
        """Net edge of one share of each leg at the best asks; None when a leg is not for sale."""
        asks = [self.ask(leg) for leg in basket.legs]
        if None in asks:
            return None
        return basket.payout - sum(asks) - sum(RATE * ask * (ONE - ask) for ask in asks)

    def size(self, leg: tuple[str, str]) -> Decimal:
        """Shares at the best ask of a leg."""
        market, outcome = leg
        side = "SELL" if outcome == "yes" else "BUY"
        levels = self.watcher.books[self.token[market]][side]
        best = (min if side == "SELL" else max)(levels, key=Decimal)
        return Decimal(levels[best])

    def positive(self, market: str) -> list[Basket]:
        """Baskets with a leg in this market that have a net edge above zero."""
        found = []
        for basket in self.by_market.get(market, ()):
            edge = self.edge(basket)
            if edge is not None and edge > 0:
                found.append(basket)
        return found
