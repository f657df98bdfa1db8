"""How the house quotes one market around its fair value.

One rule keeps the whole ladder free of riskless profit: at every moment every bid of the house is
at or below the fair value and every ask at or above it, for one set of fair values that belong
together. `withdraw_beyond` makes room for a new fair value; only then it becomes `fair`.

Fair values are floats in units of $0.0001; prices and sizes are integers.
"""

import math
from dataclasses import dataclass, field
from random import Random

from shm.units import PRICE_ONE_E4
from sim.events import Event
from sim.house import House, LevelKey
from sim.market import TICK_COARSE_E4, TICK_FINE_E4, Market
from sim.order import Side

LEVELS_MIN = 8
LEVELS_MAX = 25
NEAR_TICKS = 10
CENT_E6 = 10_000
_FAR_LEVELS = range(100, PRICE_ONE_E4, 100)


def half_spread_e4(fair_e4: float) -> float:
    """Distance of the best quotes from the fair value: over a cent in the middle, 0.1 far out."""
    chance = min(max(fair_e4 / PRICE_ONE_E4, 0.0), 1.0)
    return 10.0 + 110.0 * 4.0 * chance * (1.0 - chance)


def near_size_e6(rng: Random) -> int:
    """A size near the top: 20 to 500 shares, often a round number."""
    shares = min(500.0, max(20.0, rng.lognormvariate(4.4, 0.8)))
    if rng.random() < 0.4:
        return round(shares / 10) * 10_000_000
    return round(shares * 100) * CENT_E6


def deep_size_e6(rng: Random) -> int:
    """A size far from the top: from five shares to tens of thousands."""
    shares = min(60_000.0, max(5.0, rng.lognormvariate(7.0, 1.8)))
    if rng.random() < 0.3:
        return max(5, round(shares)) * 1_000_000
    return round(shares * 100) * CENT_E6


@dataclass(slots=True, eq=False)
class Quoter:
    """The quotes of one market.

    `fair_e4` is the value that all quotes enclose, `quoted_e4` the one they were last centred on,
    `width` scales the spread. While `busy` a mispricing owns the market and nothing else quotes.
    """

    market: Market
    house: House
    rng: Random
    fair_e4: float
    width: float
    busy: bool = False
    quoted_e4: float = field(init=False)

    def __post_init__(self) -> None:
        self.quoted_e4 = self.fair_e4

    def half_e4(self) -> float:
        """Half of the present target spread."""
        return half_spread_e4(self.fair_e4) * self.width

    def target_e4(self, side: Side) -> int | None:
        """Where the best quote of a side belongs; None where the grid has no room for it."""
        tick_e4 = self.market.tick_e4
        if side is Side.BUY:
            price_e4 = math.floor((self.fair_e4 - self.half_e4()) / tick_e4) * tick_e4
        else:
            price_e4 = math.ceil((self.fair_e4 + self.half_e4()) / tick_e4) * tick_e4
        inside = tick_e4 <= price_e4 <= PRICE_ONE_E4 - tick_e4
        return price_e4 if inside else None

    def is_stale(self, fair_e4: float) -> bool:
        """Whether quotes centred as now would be wrong for this fair value."""
        allowed = max(self.market.tick_e4 / 2, self.half_e4() / 4)
        return abs(fair_e4 - self.quoted_e4) > allowed

    def open(self, now_ms: int) -> list[Event]:
        """The first book of the market, as one transaction."""
        wanted = [
            ((side, price_e4), near_size_e6(self.rng) if near else deep_size_e6(self.rng))
            for side in Side
            for price_e4, near in self._ladder(side)
        ]
        return self.house.set_levels(self.market, wanted, now_ms)

    def withdraw_beyond(self, fair_e4: float, now_ms: int) -> list[Event]:
        """Remove what would not enclose `fair_e4`; what is left encloses both values."""
        leaving = [
            ((side, price_e4), 0)
            for side in Side
            for price_e4 in self.house.levels(self.market, side)
            if beyond(side, price_e4, fair_e4)
        ]
        return self.house.set_levels(self.market, leaving, now_ms)

    def requote(self, now_ms: int) -> list[Event]:
        """Centre the best quotes on the fair value: remove what is too near, put what is missing.

        Removing is one transaction, every new level one of its own, like orders of makers.
        """
        self.quoted_e4 = self.fair_e4
        events: list[Event] = []
        leaving: list[tuple[LevelKey, int]] = []
        for side in Side:
            target_e4 = self.target_e4(side)
            leaving += [
                ((side, price_e4), 0)
                for price_e4 in self.house.levels(self.market, side)
                if target_e4 is None or beyond(side, price_e4, target_e4)
            ]
        events += self.house.set_levels(self.market, leaving, now_ms)
        for side in Side:
            target_e4 = self.target_e4(side)
            if target_e4 is not None and not self.house.size_e6(self.market, side, target_e4):
                wanted = [((side, target_e4), near_size_e6(self.rng))]
                events += self.house.set_levels(self.market, wanted, now_ms)
            events += self._keep_count(side, now_ms)
        return events

    def stir(self, now_ms: int) -> list[Event]:
        """One small change somewhere in the book: a size, a new level, or one less."""
        side = self.rng.choice((Side.BUY, Side.SELL))
        levels = self.house.levels(self.market, side)
        target_e4 = self.target_e4(side)
        if target_e4 is None or not levels:
            return []
        roll = self.rng.random()
        if roll < 0.15 and len(levels) > LEVELS_MIN:
            chosen = self.rng.choice(levels[:-1])
            return self.house.set_levels(self.market, [((side, chosen), 0)], now_ms)
        if roll < 0.35 and len(levels) < LEVELS_MAX:
            return self._add_near(side, target_e4, now_ms)
        chosen = levels[-1 - min(int(self.rng.expovariate(0.4)), len(levels) - 1)]
        wanted = [((side, chosen), near_size_e6(self.rng))]
        return self.house.set_levels(self.market, wanted, now_ms)

    def _add_near(self, side: Side, target_e4: int, now_ms: int) -> list[Event]:
        away = self.rng.randint(0, NEAR_TICKS) * self.market.tick_e4
        price_e4 = target_e4 - away if side is Side.BUY else target_e4 + away
        if not 0 < price_e4 < PRICE_ONE_E4:
            return []
        wanted = [((side, price_e4), near_size_e6(self.rng))]
        return self.house.set_levels(self.market, wanted, now_ms)

    def _keep_count(self, side: Side, now_ms: int) -> list[Event]:
        levels = self.house.levels(self.market, side)
        if len(levels) > LEVELS_MAX:
            chosen = self.rng.choice(levels[:-2])
            return self.house.set_levels(self.market, [((side, chosen), 0)], now_ms)
        if len(levels) < LEVELS_MIN:
            free = [price for price, _ in self._ladder(side) if price not in set(levels)]
            if free:
                wanted = [((side, self.rng.choice(free)), near_size_e6(self.rng))]
                return self.house.set_levels(self.market, wanted, now_ms)
        return []

    def _ladder(self, side: Side) -> list[tuple[int, bool]]:
        """Prices for a fresh side, best first, and whether each is near the top."""
        best_e4 = self.target_e4(side)
        if best_e4 is None:
            return []
        step = -self.market.tick_e4 if side is Side.BUY else self.market.tick_e4
        near_step = step if self.market.tick_e4 == TICK_COARSE_E4 else step * self._near_ticks()
        near = [best_e4 + near_step * index for index in range(self.rng.randint(5, 9))]
        edge_e4 = near[-1]
        far = [price for price in _FAR_LEVELS if (price < edge_e4) == (side is Side.BUY)]
        far = [price for price in far if price != edge_e4]
        chosen = self.rng.sample(far, min(len(far), self.rng.randint(4, LEVELS_MAX - 10)))
        inside = [(price, True) for price in near if 0 < price < PRICE_ONE_E4]
        return inside + [(price, False) for price in chosen]

    def _near_ticks(self) -> int:
        # In the middle the recorded books are a cent apart although the tick is finer.
        return max(1, round(self.half_e4() / 2 / TICK_FINE_E4))


def beyond(side: Side, price_e4: int, limit_e4: float) -> bool:
    """Whether a quote is on the wrong side of a limit: a bid above it, an ask below it."""
    return price_e4 > limit_e4 if side is Side.BUY else price_e4 < limit_e4
