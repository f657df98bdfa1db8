"""Riskless sets that are offered too cheaply, on purpose: choosing one, and its life as a table.

Payout and prices are exact integers; the edge is in units of $0.00000001 a share, after the
unrounded fees. Which set, how much and how long are drawn from the generator's random numbers.
"""

import enum
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from shm.units import PRICE_ONE_E4, SHARE_E6
from sim.fees import fee_per_share_e8
from sim.order import Outcome, Side

EDGE_MIN_E8 = 300_000
EDGE_MAX_E8 = 2_500_000
SIZE_MIN_SHARES = 20
SIZE_MAX_SHARES = 300
LIFE_MIN_MS = 400
LIFE_MAX_MS = 1_500
LEG_SPREAD_MS = 15
REPAIR_MAX_MS = 10
REST_MS = 300
MAX_SHIFT_E4 = 1_200
MAX_SHIFT_LADDER_E4 = 2_200
KINDS = ("trio", "complement", "ladder")
KIND_WEIGHTS = (5, 3, 3)
_E8_PER_E4 = 10_000

LegKey = tuple[int, Outcome]
"""Index of a listing in its ladder, and the token that the set buys."""


@dataclass(frozen=True, slots=True)
class BasketSet:
    """Tokens that together always pay at least `payout_e4` (units of $0.0001 a share).

    `screens` are sides of other markets, (index of the listing, side of its book), that have to
    give way while the set is cheap, or sets next to it would be cheaper still. Only ladders need
    them: a ladder is dear by the whole chance of the bracket in it, so its legs shift far.
    """

    kind: str
    legs: tuple[LegKey, ...]
    payout_e4: int
    max_shift_e4: int = MAX_SHIFT_E4
    screens: tuple[tuple[int, Side], ...] = ()


def sets_of(strike_count: int) -> list[BasketSet]:
    """All neighbour sets of a ladder: listings are the thresholds, then the brackets.

    Bracket number j lies between strikes j and j + 1; number 0 is the open one below strike 1.
    """
    found: list[BasketSet] = []
    yes, no = Outcome.YES, Outcome.NO
    for low in range(strike_count - 1):
        high, between = low + 1, strike_count + low
        screens = [(between + 1, Side.SELL)]
        if low > 0:
            screens += [(between - 1, Side.SELL), (between, Side.BUY)]
        legs = ((low, yes), (high, no))
        ladder = BasketSet("ladder", legs, PRICE_ONE_E4, MAX_SHIFT_LADDER_E4, tuple(screens))
        found.append(ladder)
        if low == 0:
            continue
        trio = ((low, yes), (between, no), (high, no))
        found.append(BasketSet("trio", trio, 2 * PRICE_ONE_E4))
        complement = ((low, no), (between, yes), (high, yes))
        found.append(BasketSet("complement", complement, PRICE_ONE_E4))
    return found


def net_edge_e8(payout_e4: int, prices_e4: list[int], rate_e6: int) -> int:
    """Payout less prices and fees, for one share of each leg."""
    fees = sum(fee_per_share_e8(price_e4, rate_e6) for price_e4 in prices_e4)
    return (payout_e4 - sum(prices_e4)) * _E8_PER_E4 - fees


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg as it is to be shown: price in the token's own terms, whole shares."""

    index: int
    outcome: Outcome
    price_e4: int
    size_e6: int


class Stage(enum.Enum):
    """Where an offer is in its life."""

    SHOWING = "legs become visible one by one"
    OFFERED = "all legs visible, net edge positive"
    TAKEN = "an account has bought every leg"
    EXPIRED = "its time is over"
    FAILED = "it never became net-positive"


TRANSITIONS: dict[Stage, frozenset[Stage]] = {
    Stage.SHOWING: frozenset({Stage.OFFERED, Stage.FAILED}),
    Stage.OFFERED: frozenset({Stage.TAKEN, Stage.EXPIRED}),
    Stage.TAKEN: frozenset(),
    Stage.EXPIRED: frozenset(),
    Stage.FAILED: frozenset(),
}


@dataclass(slots=True, eq=False)
class Offer:
    """A mispriced set on its way. `tokens` are the token ids of its legs."""

    basket: BasketSet
    legs: tuple[Leg, ...]
    tokens: frozenset[str]
    stage: Stage = Stage.SHOWING
    buyers: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def become(self, stage: Stage) -> None:
        """Move on; `ValueError` when the table does not allow it."""
        if stage not in TRANSITIONS[self.stage]:
            raise ValueError(f"offer: {self.stage.name} cannot become {stage.name}")
        self.stage = stage

    def count_purchase(self, wallet: str, token: str) -> None:
        """Remember that a user's wallet has bought a token of the set."""
        if token in self.tokens:
            self.buyers[wallet].add(token)

    def is_bought(self) -> bool:
        """Whether one wallet has bought every leg."""
        return any(bought == self.tokens for bought in self.buyers.values())


@dataclass(slots=True)
class Counts:
    """The truth about mispricings: how many became net-positive, and what became of them."""

    offered: int = 0
    taken: int = 0
    expired: int = 0

    def open(self) -> int:
        """Offered and neither taken nor expired."""
        return self.offered - self.taken - self.expired


@dataclass(frozen=True, slots=True)
class Quotes:
    """What choosing needs to know of a ladder: asks and ticks by leg; None where nobody sells."""

    ask_e4: Callable[[LegKey], int | None]
    tick_e4: Callable[[int], int]
    rate_e6: int


def choose(baskets: list[BasketSet], quotes: Quotes, rng: Random) -> tuple[BasketSet, list[int]]:
    """A set and the prices of its legs that give it an edge; no prices when none was possible.

    The kind is drawn first, as few ladders can be made cheap and trios nearly always can.
    """
    goal_e8 = rng.randint(EDGE_MIN_E8 + 50_000, EDGE_MAX_E8 - 300_000)
    wanted = rng.choices(KINDS, KIND_WEIGHTS)[0]
    order = rng.sample(baskets, len(baskets))
    for basket in sorted(order, key=lambda one: one.kind != wanted):
        prices = _cheapened(basket, quotes, goal_e8)
        if prices:
            return basket, prices
    return baskets[0], []


def _cheapened(basket: BasketSet, quotes: Quotes, goal_e8: int) -> list[int]:
    """Prices that reach the goal: legs give way one tick each in turn, down to their lowest."""
    asks = [quotes.ask_e4(leg) for leg in basket.legs]
    prices = [ask for ask in asks if ask is not None]
    if len(prices) != len(basket.legs):
        return []
    ticks = [quotes.tick_e4(index) for index, _ in basket.legs]
    start_e4, turn = sum(prices), 0
    while True:
        edge_e8 = net_edge_e8(basket.payout_e4, prices, quotes.rate_e6)
        if edge_e8 >= goal_e8:
            return prices if edge_e8 <= EDGE_MAX_E8 else []
        if start_e4 - sum(prices) >= basket.max_shift_e4:
            return []
        lowest = [price <= tick for price, tick in zip(prices, ticks, strict=True)]
        if all(lowest):
            return []
        while lowest[turn]:
            turn = (turn + 1) % len(prices)
        prices[turn] -= ticks[turn]
        turn = (turn + 1) % len(prices)


def shares_e6(rng: Random) -> int:
    """A best-level size: whole shares, a multiple of ten more often than not."""
    shares = rng.randint(SIZE_MIN_SHARES, SIZE_MAX_SHARES)
    if rng.random() < 0.7:
        shares = round(shares / 10) * 10
    return shares * SHARE_E6
