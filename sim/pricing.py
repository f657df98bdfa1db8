"""The prices that coins have and the probabilities that follow: floats, and nothing but floats.

These numbers decide where the house quotes. They become integers on the tick before they enter an
order, so none of them ever is money.
"""

import itertools
import math
from random import Random

from sim.ladders import Ladder

DAY_MS = 86_400_000.0
_SHORTEST_DAYS = 1.0 / 86_400_000.0


class Underlying:
    """The price of one coin: geometric Brownian motion on the times it is asked for."""

    def __init__(self, start_usd: float, daily_volatility: float, rng: Random) -> None:
        self.price_usd = start_usd
        self.daily_volatility = daily_volatility
        self._rng = rng
        self._at_ms: int | None = None

    def advance(self, now_ms: int) -> float:
        """Price at `now_ms`; time that runs backwards changes nothing."""
        if self._at_ms is None:
            self._at_ms = now_ms
        days = max(0, now_ms - self._at_ms) / DAY_MS
        if days:
            self._at_ms = now_ms
            spread = self.daily_volatility * math.sqrt(days)
            self.price_usd *= math.exp(self._rng.gauss(0.0, 1.0) * spread - spread * spread / 2.0)
        return self.price_usd


def chance_above(spot_usd: float, strike_usd: float, spread: float) -> float:
    """Probability that the price ends above the strike; `spread` is its volatility to the end."""
    distance = math.log(spot_usd / strike_usd) - spread * spread / 2.0
    return 0.5 * math.erfc(-distance / (spread * math.sqrt(2.0)))


def fair_values(ladder: Ladder, spot_usd: float, now_ms: int) -> list[float]:
    """Fair YES prices of all listings in units of $0.0001, consistent with each other.

    A bracket is the difference of its two thresholds, so every riskless set is worth its payout.
    """
    days = max((ladder.expiry_ms - now_ms) / DAY_MS, _SHORTEST_DAYS)
    spread = ladder.coin.daily_volatility * math.sqrt(days)
    above = [
        10_000.0 * chance_above(spot_usd, strike_e4 / 10_000, spread)
        for strike_e4 in ladder.strikes_e4
    ]
    inner = above[1:]
    between = [low - high for low, high in itertools.pairwise(inner)]
    return [*above, 10_000.0 - inner[0], *between, inner[-1]]
