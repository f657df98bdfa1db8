"""Market facts -> baskets: which sets of tokens always pay, each with its proof.

The brackets of a group (lowest, ranges, highest) cut the settlement line at bounds; a strike K asks
whether the price is above K. For bounds a < b between which the brackets form a chain without gap,

    YES of the chain = above(a) - above(b)         (exact ties with a bound aside)

where above(no lower end) is certain and above(no upper end) impossible. So with n brackets between,

    triangle     YES above(a) + NO of each + NO above(b)     pays n + 1
    complement   NO above(a) + YES of each + YES above(b)    pays 1
    ladder       YES above(a) + NO above(b)                  pays at least 1

and at an open end the leg is left out (in a triangle with a payout of one less). Neighbouring
strikes with one range give the trio and its complement; a bracket with an open end gives the top
and bottom pairs; both ends open give the whole set of brackets, whose NO form pays one less than
the number bought, so that brackets without a quote may be missing.

A basket whose enumerated payoff is not what its family claims is not built: no proof, no basket.
Which ones are not built because another one is never worse: `undominated`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import NamedTuple

from shm.baskets import basket_id
from shm.codes import BasketKind, MarketKind, MarketState, Outcome, Side
from shm.layout import MAX_LEGS, Market
from shm.payoff import Leg, Payoff, payoff
from shm.promoted import Promoted
from shm.units import PRICE_ONE_E4

OPTIONAL_LEGS = frozenset({BasketKind.BRACKETS_NO})
"""Kinds that also pay without some of their legs: one dollar less for each."""

NARROW = frozenset({BasketKind.TRIANGLE_BUY, BasketKind.COMPLEMENT_BUY, BasketKind.LADDER_BUY})
"""Kinds over two neighbouring strikes."""

WIDE = frozenset({BasketKind.WIDE_TRIANGLE, BasketKind.WIDE_COMPLEMENT, BasketKind.WIDE_LADDER})
"""What goes first where there is no room for all."""

End = int | None
"""A bound in micro-dollars, or an open end of the line."""


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
        """Guaranteed payout of one unit of every leg, exact ties with a bound aside."""
        return self.proof.interval_min_e4

    @property
    def optional(self) -> bool:
        """Whether legs may be left out, each for a dollar of payout."""
        return self.kind in OPTIONAL_LEGS


@dataclass(frozen=True, slots=True)
class Compiled:
    """The baskets of one generation, and how many candidates are none."""

    baskets: tuple[Basket, ...]
    unproven: int
    """Whose payoff is not what their family claims: a fault in this file or in a market's facts."""
    too_long: int
    """With more than `MAX_LEGS` legs."""
    dominated: int


class Candidate(NamedTuple):
    """Legs and what their family says they pay."""

    kind: BasketKind
    legs: tuple[Leg, ...]
    claim_e4: int


def compile_baskets(
    markets: Sequence[Market], *, wide: bool = True, promoted: Sequence[Promoted] = ()
) -> Compiled:
    """Every basket among the active markets: trios first, then what is wider, if that is wanted.

    And what was promoted, where it is none of these.
    """
    families: dict[tuple[int, int], list[Market]] = {}
    for market in markets:
        if market.state == MarketState.ACTIVE:
            families.setdefault((market.group, market.fingerprint), []).append(market)
    proven: list[Basket] = []
    unproven = too_long = 0
    for (group, _), members in sorted(families.items()):
        family = Family(members)
        for candidate in (*_candidates(family), *_promoted(members, promoted)):
            if not wide and candidate.kind not in NARROW | {BasketKind.PROMOTED}:
                continue
            if len(candidate.legs) > MAX_LEGS:
                too_long += 1
            elif basket := prove(candidate, group):
                proven.append(basket)
            else:
                unproven += 1
    kept = undominated(_once(proven))
    in_order = sorted(kept, key=lambda basket: basket.kind in WIDE)
    return Compiled(tuple(in_order), unproven, too_long, len(proven) - len(kept))


def prove(candidate: Candidate, group: int) -> Basket | None:
    """The basket, if enumeration finds exactly the claimed payout."""
    proof = payoff(candidate.legs)
    if proof.interval_min_e4 != candidate.claim_e4:
        return None
    identity = basket_id(
        candidate.kind, ((leg.market.key, leg.outcome, leg.side) for leg in candidate.legs)
    )
    return Basket(identity, candidate.kind, group, candidate.legs, proof)


def _promoted(members: Sequence[Market], promoted: Sequence[Promoted]) -> Iterator[Candidate]:
    """What was promoted of these markets; each claim is still to be proven."""
    by_key = {market.key: market for market in members}
    for one in promoted:
        names = [leg.name for leg in one.legs]
        if all(key in by_key for key, _ in names) and len(dict(names)) == len(names):
            legs = tuple(Leg(by_key[key], outcome, Side.BUY) for key, outcome in names)
            yield Candidate(BasketKind.PROMOTED, legs, one.payout_e4)


def _once(baskets: Sequence[Basket]) -> list[Basket]:
    """Without promoted baskets that have become ones of the families, or were promoted twice."""
    seen = {names_of(one) for one in baskets if one.kind is not BasketKind.PROMOTED}
    found = []
    for basket in baskets:
        if basket.kind is BasketKind.PROMOTED:
            if names_of(basket) in seen:
                continue
            seen.add(names_of(basket))
        found.append(basket)
    return found


class Family:
    """Markets of one group and one rule of settlement, by what they are about."""

    def __init__(self, members: Sequence[Market]) -> None:
        self.strikes: dict[int, list[Market]] = {}
        self.brackets: dict[tuple[End, End], list[Market]] = {}
        for market in members:
            match market.kind:
                case MarketKind.ABOVE:
                    self.strikes.setdefault(market.lower_usd_e6, []).append(market)
                case MarketKind.RANGE:
                    self._add((market.lower_usd_e6, market.upper_usd_e6), market)
                case MarketKind.BELOW:
                    self._add((None, market.upper_usd_e6), market)
                case MarketKind.TOP:
                    self._add((market.lower_usd_e6, None), market)
        self._next: dict[End, list[End]] = {}
        for lower, upper in self.brackets:
            self._next.setdefault(lower, []).append(upper)

    def _add(self, bounds: tuple[End, End], market: Market) -> None:
        self.brackets.setdefault(bounds, []).append(market)

    def next_to(self, lower: int, upper: int) -> bool:
        """Whether no strike lies between two others."""
        return not any(lower < strike < upper for strike in self.strikes)

    def chain(self, lower: End, upper: End) -> list[tuple[End, End]] | None:
        """The brackets from `lower` to `upper` without gap; None if there are none.

        Where brackets overlap, the narrowest next one is taken first.
        """
        if lower == upper and lower is not None:
            return []
        ways = self._next.get(lower, [])
        for end in sorted(ways, key=lambda end: (end is None, end or 0)):
            if end == upper:
                return [(lower, end)]
            if end is None or (upper is not None and end > upper):
                continue
            rest = self.chain(end, upper)
            if rest:
                return [(lower, end), *rest]
        return None


def _candidates(family: Family) -> Iterator[Candidate]:
    ends: list[End] = [None, *sorted(family.strikes), None]
    for i, lower in enumerate(ends):
        for upper in ends[i + 1 :]:
            yield from _between(family, lower, upper)
    for lower, upper in _pairs(sorted(family.strikes)):
        near = family.next_to(lower, upper)
        kind = BasketKind.LADDER_BUY if near else BasketKind.WIDE_LADDER
        for low, high in product(family.strikes[lower], family.strikes[upper]):
            yield Candidate(kind, (_yes(low), _no(high)), PRICE_ONE_E4)


def _pairs(strikes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Every pair of strikes, lower first; neighbours before all others."""
    neighbours = list(pairwise(strikes))
    yield from neighbours
    for i, lower in enumerate(strikes):
        for upper in strikes[i + 2 :]:
            yield lower, upper


def _between(family: Family, lower: End, upper: End) -> Iterator[Candidate]:
    """Triangle and complement over the chain of brackets between two ends."""
    chain = family.chain(lower, upper)
    if not chain:
        return
    triangle, complement = _kinds(family, lower, upper, len(chain))
    some = [family.brackets[bounds] for bounds in chain]
    # Two markets about one range each take part in the trio; wider baskets take the first.
    ways = product(*some) if len(chain) == 1 else [tuple(markets[0] for markets in some)]
    for low, brackets, high in product(_at(family, lower), ways, _at(family, upper)):
        legs = (*map(_yes, low), *map(_no, brackets), *map(_no, high))
        # An open end leaves its leg out, which in a triangle would have paid a dollar for certain.
        payout = len(chain) - 1 + len(low) + len(high)
        yield Candidate(triangle, legs, payout * PRICE_ONE_E4)
        legs = (*map(_no, low), *map(_yes, brackets), *map(_yes, high))
        yield Candidate(complement, legs, PRICE_ONE_E4)


def _at(family: Family, end: End) -> list[tuple[Market, ...]]:
    """The choices of a strike at an end: one market each, or none at an open end."""
    return [()] if end is None else [(market,) for market in family.strikes[end]]


def _kinds(family: Family, lower: End, upper: End, brackets: int) -> tuple[BasketKind, BasketKind]:
    """What people call the triangle and the complement between two ends."""
    if lower is None and upper is None:
        return BasketKind.BRACKETS_NO, BasketKind.BRACKETS_YES
    if brackets == 1 and upper is None:
        return BasketKind.TOP_BRACKET, BasketKind.TOP_BRACKET
    if brackets == 1 and lower is None:
        return BasketKind.BOTTOM_BRACKET, BasketKind.BOTTOM_BRACKET
    if brackets == 1 and lower is not None and upper is not None and family.next_to(lower, upper):
        return BasketKind.TRIANGLE_BUY, BasketKind.COMPLEMENT_BUY
    return BasketKind.WIDE_TRIANGLE, BasketKind.WIDE_COMPLEMENT


def undominated(baskets: Sequence[Basket]) -> list[Basket]:
    """Leave out every basket of which some of the legs alone guarantee as much.

    If B' has a part of B's legs, and pays at least what B pays between bounds and at ties, then
    what B buys in addition costs something and guarantees nothing: whenever B has an edge, B' has a
    greater one, at least as much of it, and needs fewer orders. (A void pays half for every leg,
    also for those that are not needed: that is no reason to buy them.)

    No other basket can be left out, whatever pays at least as much: where the legs differ, there
    are prices at which each is the better one. A wide ladder, say, can be the only one with an edge
    among all pairs of its strikes: when the strike between has a low bid and a high ask.
    """
    by_leg: dict[tuple[int, int], list[Basket]] = {}
    for basket in baskets:
        for name in names_of(basket):
            by_leg.setdefault(name, []).append(basket)
    return [basket for basket in baskets if not _dominated(basket, by_leg)]


def _dominated(basket: Basket, by_leg: dict[tuple[int, int], list[Basket]]) -> bool:
    mine = names_of(basket)
    return not basket.optional and any(
        guarantees_no_less(rival.proof, basket.proof) and names_of(rival) < mine
        for name in mine
        for rival in by_leg[name]
        if len(rival.legs) < len(mine) and not rival.optional
    )


def guarantees_no_less(rival: Payoff, proof: Payoff) -> bool:
    """Whether a payoff is at least another's, both between bounds and at every price."""
    return (
        rival.interval_min_e4 >= proof.interval_min_e4
        and rival.everywhere_min_e4 >= proof.everywhere_min_e4
    )


def names_of(basket: Basket) -> frozenset[tuple[int, int]]:
    """Market and outcome of each leg."""
    return frozenset((leg.market.key, leg.outcome) for leg in basket.legs)


def _yes(market: Market) -> Leg:
    return Leg(market, Outcome.YES, Side.BUY)


def _no(market: Market) -> Leg:
    return Leg(market, Outcome.NO, Side.BUY)
