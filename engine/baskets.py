"""Market facts -> baskets: which sets of tokens always pay, each with its proof.

Three families are built, for neighbouring strikes L < U of one group (same coin, expiry and
resolution rule):

    TRIANGLE_BUY    YES above(L) + NO range[L,U) + NO above(U)     pays 2
    COMPLEMENT_BUY  NO above(L) + YES range[L,U) + YES above(U)    pays 1
    LADDER_BUY      YES above(L) + NO above(U)                     pays at least 1

A basket whose enumerated payoff is not what its family claims is not built: no proof, no basket.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.proof import Leg, Payoff, payoff
from shm.baskets import basket_id
from shm.codes import BasketKind, MarketKind, MarketState, Outcome, Side
from shm.layout import MAX_LEGS, Market
from shm.units import PRICE_ONE_E4

CLAIM_E4 = {
    BasketKind.TRIANGLE_BUY: 2 * PRICE_ONE_E4,
    BasketKind.COMPLEMENT_BUY: PRICE_ONE_E4,
    BasketKind.LADDER_BUY: PRICE_ONE_E4,
}
"""What one unit of each family must pay at least, wherever the price settles between bounds."""


@dataclass(frozen=True, slots=True)
class Basket:
    """Legs with a guaranteed payout."""

    id: int
    kind: BasketKind
    group: int
    legs: tuple[Leg, ...]
    proof: Payoff

    @property
    def payout_e4(self) -> int:
        """Guaranteed payout of one unit, exact ties with a bound aside."""
        return self.proof.interval_min_e4


@dataclass(frozen=True, slots=True)
class Compiled:
    """The baskets of one generation, and how many candidates failed their proof."""

    baskets: tuple[Basket, ...]
    unproven: int


def compile_baskets(markets: Sequence[Market]) -> Compiled:
    """Every basket among the active markets, groups in order of their number."""
    families: dict[tuple[int, int], list[Market]] = {}
    for market in markets:
        if market.state == MarketState.ACTIVE:
            families.setdefault((market.group, market.fingerprint), []).append(market)
    baskets: list[Basket] = []
    unproven = 0
    for (group, _), members in sorted(families.items()):
        for kind, legs in _candidates(members):
            assert len(legs) <= MAX_LEGS
            proof = payoff(legs)
            if proof.interval_min_e4 != CLAIM_E4[kind]:
                unproven += 1
                continue
            number = basket_id(kind, [(leg.market.key, leg.outcome, leg.side) for leg in legs])
            baskets.append(Basket(number, kind, group, tuple(legs), proof))
    return Compiled(tuple(baskets), unproven)


def _candidates(members: Sequence[Market]) -> Iterator[tuple[BasketKind, list[Leg]]]:
    """Two markets may share a strike; each of them takes part."""
    by_strike: dict[int, list[Market]] = {}
    by_bounds: dict[tuple[int, int], list[Market]] = {}
    for market in members:
        if market.kind == MarketKind.ABOVE:
            by_strike.setdefault(market.lower_usd_e6, []).append(market)
        elif market.kind == MarketKind.RANGE:
            bounds = market.lower_usd_e6, market.upper_usd_e6
            by_bounds.setdefault(bounds, []).append(market)
    for lower_usd_e6, upper_usd_e6 in pairwise(sorted(by_strike)):
        for low in by_strike[lower_usd_e6]:
            for high in by_strike[upper_usd_e6]:
                yield BasketKind.LADDER_BUY, [_yes(low), _no(high)]
                for middle in by_bounds.get((lower_usd_e6, upper_usd_e6), ()):
                    yield BasketKind.TRIANGLE_BUY, [_yes(low), _no(middle), _no(high)]
                    yield BasketKind.COMPLEMENT_BUY, [_no(low), _yes(middle), _yes(high)]


def _yes(market: Market) -> Leg:
    return Leg(market, Outcome.YES, Side.BUY)


def _no(market: Market) -> Leg:
    return Leg(market, Outcome.NO, Side.BUY)
