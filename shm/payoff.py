"""What a basket pays, by enumeration: in every interval of the settlement line, at every tie, void.

The bounds of a basket's markets cut the settlement line into open intervals and single points.
Inside one interval, and at one point, every market has one outcome, so looking at each of them once
is a proof and not a sample. Rule for YES (the venue's resolution texts, docs/venue.md "Payoffs"):

    ABOVE  S > lower          RANGE  lower <= S < upper
    BELOW  S < upper          TOP    S >= lower

Positions on the line: with bounds b0 < b1 < ..., position 2i+1 is the point bi, position 2i the
open interval below it, and the last position the interval above all bounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shm.codes import MarketKind, Outcome, Side
from shm.layout import Market
from shm.units import PRICE_ONE_E4

VOID_E4 = PRICE_ONE_E4 // 2
"""A market that resolves 50-50 pays half on both tokens."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One token that the basket buys or sells."""

    market: Market
    outcome: Outcome
    side: Side


@dataclass(frozen=True, slots=True)
class Payoff:
    """Payoff of one unit, in units of $0.0001, over the whole line."""

    bounds_usd_e6: tuple[int, ...]
    by_position_e4: tuple[int, ...]
    """One per position: interval, point, interval, ..., interval."""
    void_e4: int

    @property
    def interval_min_e4(self) -> int:
        """Least payoff when the settlement price is no bound: what the basket is sold as."""
        return min(self.by_position_e4[::2])

    @property
    def tie_min_e4(self) -> int:
        """Least payoff when the settlement price is exactly a bound."""
        return min(self.by_position_e4[1::2])

    @property
    def everywhere_min_e4(self) -> int:
        """Least payoff at any settlement price."""
        return min(self.by_position_e4)


def pays_yes(market: Market, bounds: Sequence[int], position: int) -> bool:
    """Whether YES of a market pays at a position of the line cut by `bounds`."""
    match market.kind:
        case MarketKind.ABOVE:
            return position > 2 * bounds.index(market.lower_usd_e6) + 1
        case MarketKind.RANGE:
            lower, upper = bounds.index(market.lower_usd_e6), bounds.index(market.upper_usd_e6)
            return 2 * lower + 1 <= position < 2 * upper + 1
        case MarketKind.BELOW:
            return position < 2 * bounds.index(market.upper_usd_e6) + 1
        case MarketKind.TOP:
            return position >= 2 * bounds.index(market.lower_usd_e6) + 1
        case _:
            raise AssertionError(f"market of kind {market.kind} has no payoff")


def bounds_of(market: Market) -> tuple[int, ...]:
    """The finite bounds of one market."""
    match market.kind:
        case MarketKind.RANGE:
            return (market.lower_usd_e6, market.upper_usd_e6)
        case MarketKind.BELOW:
            return (market.upper_usd_e6,)
        case _:
            return (market.lower_usd_e6,)


def payoff(legs: Sequence[Leg]) -> Payoff:
    """Enumerate the payoff of one unit of every leg."""
    bounds = tuple(sorted({bound for leg in legs for bound in bounds_of(leg.market)}))
    return Payoff(
        bounds_usd_e6=bounds,
        by_position_e4=tuple(
            sum(_leg_pays_e4(leg, bounds, position) for leg in legs)
            for position in range(2 * len(bounds) + 1)
        ),
        void_e4=sum(VOID_E4 if leg.side is Side.BUY else -VOID_E4 for leg in legs),
    )


def worst_usd_e6(holdings: Sequence[tuple[Market, Outcome, int]]) -> int:
    """What (market, outcome, size_e6) pay together at least, at any settlement that is no tie."""
    bounds = tuple(sorted({bound for market, _, _ in holdings for bound in bounds_of(market)}))
    worst_e6: int | None = None
    for position in range(0, 2 * len(bounds) + 1, 2):
        pays_e6 = sum(
            size_e6
            for market, outcome, size_e6 in holdings
            if pays_yes(market, bounds, position) is (outcome is Outcome.YES)
        )
        worst_e6 = pays_e6 if worst_e6 is None else min(worst_e6, pays_e6)
    return worst_e6 or 0  # a share that pays is a dollar


def _leg_pays_e4(leg: Leg, bounds: tuple[int, ...], position: int) -> int:
    yes = pays_yes(leg.market, bounds, position)
    pays = yes if leg.outcome is Outcome.YES else not yes
    return (PRICE_ONE_E4 if pays else 0) * (1 if leg.side is Side.BUY else -1)
