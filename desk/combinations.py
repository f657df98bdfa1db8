"""What a best purchase is made of: single combinations, each with its payoff proven in integers.

A best purchase takes everything at once. Where it pays its least, a part of it that loses nothing
pays its own least, too: with that as a condition, the part with the best return on its cost is an
extreme ray, which cannot do without any of its tokens. Its weights follow, and from here on
everything is integers: payoff by enumeration, cost, and how many units there are. They are taken
out, and the search goes on in the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd, lcm
from typing import Any

from desk.linear import (
    E8,
    E14_PER_USD_E6,
    NOTHING,
    Answer,
    Field,
    Level,
    Offer,
    Program,
)
from shm.codes import Outcome
from shm.layout import MAX_LEGS
from shm.payoff import Payoff, payoff
from shm.units import PRICE_ONE_E4

ROUNDS_MAX = 200
WEIGHT_MAX = 12
DUST_E6 = 100
"""Less than this of a level is what rounding left of it."""
Name = tuple[int, Outcome]
"""Market key and outcome."""


@dataclass
class Combination:
    """Tokens with weights that pay at least `payout_e4` together, at any price that is no bound."""

    offers: tuple[Offer, ...]
    weights: tuple[int, ...]
    proof: Payoff
    net_e8: int
    """Edge of the first unit, fees included."""
    compiled: int
    """Id of the basket that it is; 0 if the compiled set lacks it."""
    size_e6: int = 0
    profit_e14: int = 0
    costs_e8: list[int] = field(default_factory=list)
    """Of each stretch of units."""

    @property
    def names(self) -> frozenset[Name]:
        """Its tokens."""
        return frozenset(offer.name for offer in self.offers)

    @property
    def payout_e4(self) -> int:
        """What a unit pays at least, exact ties aside."""
        return self.proof.interval_min_e4

    @property
    def profit_usd_e6(self) -> int:
        """Of all units that the offers hold."""
        return self.profit_e14 // E14_PER_USD_E6

    def why_not_promoted(self) -> str | None:
        """Why it cannot be watched by the engine; None if it can."""
        if self.compiled:
            return "it is a compiled basket already"
        if len(set(self.weights)) != 1:
            told = ":".join(map(str, self.weights))
            return f"its legs have the weights {told}; a basket buys the same size of every leg"
        if len(self.offers) > MAX_LEGS:
            return f"it has {len(self.offers)} legs; a basket has at most {MAX_LEGS}"
        if len({offer.market.key for offer in self.offers}) != len(self.offers):
            return "it has both tokens of one market, which are the same liquidity"
        return None

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the record."""
        return {
            "legs": [
                {
                    "market": f"{offer.market.key:016x}",
                    "slug": offer.market.slug.rstrip(b"\0").decode(errors="replace"),
                    "outcome": offer.outcome.name,
                    "weight": weight,
                }
                for offer, weight in zip(self.offers, self.weights, strict=True)
            ],
            "basket": f"{self.compiled:016x}" if self.compiled else None,
            "payout_e4": self.payout_e4,
            "tie_payout_e4": self.proof.tie_min_e4,
            "void_payout_e4": self.proof.void_e4,
            "payoff_by_interval_e4": self.proof.by_position_e4[::2],
            "bounds_usd_e6": self.proof.bounds_usd_e6,
            "net_e8": self.net_e8,
            "size_e6": self.size_e6,
            "profit_usd_e6": self.profit_usd_e6,
            "not_promoted_because": self.why_not_promoted(),
        }


def taken_apart(
    whole: Field, answer: Answer, compiled: Mapping[frozenset[Name], int], least_usd_e6: int
) -> list[Combination]:
    """Combinations of a best purchase, the most profitable first; see the module."""
    left = [
        [
            level._replace(size_e6=size_e6)
            for level, size_e6 in zip(offer.levels, sizes, strict=True)
            if size_e6
        ]
        for offer, sizes in zip(whole.offers, answer.bought.sizes_e6, strict=True)
    ]
    found: dict[tuple[frozenset[Name], tuple[int, ...]], Combination] = {}
    for _ in range(ROUNDS_MAX):
        one = _next(whole, left, compiled)
        if one is None:
            break
        known = found.setdefault((one.names, one.weights), one)
        _take(whole, left, known)
    every = sorted(found.values(), key=lambda one: -one.profit_e14)
    return [one for one in every if one.profit_usd_e6 >= least_usd_e6]


def _next(
    whole: Field,
    left: Sequence[Sequence[Level]],
    compiled: Mapping[frozenset[Name], int],
) -> Combination | None:
    """One combination that the best levels still hold, proven; None if there is none."""
    amounts = _ray(whole, left)
    chosen = list(amounts)
    weights = _whole_numbers(list(amounts.values()))
    if weights is None:
        return None
    offers = tuple(whole.offers[at] for at in chosen)
    proof = weighted_payoff(offers, weights)
    cost_e8 = sum(w * left[at][0].cost_e8 for at, w in zip(chosen, weights, strict=True))
    net_e8 = proof.interval_min_e4 * (E8 // PRICE_ONE_E4) - cost_e8
    if net_e8 <= 0:
        return None  # the solver saw a profit that integers do not
    names = frozenset(offer.name for offer in offers)
    same = set(weights) == {1}
    return Combination(offers, weights, proof, net_e8, compiled.get(names, 0) if same else 0)


def _ray(whole: Field, left: Sequence[Sequence[Level]]) -> dict[int, float]:
    """The best use of one dollar at the best levels: amounts by offer; empty if nothing gains."""
    rows = len(whole.bounds_usd_e6) + 1
    slack_e6 = _slack_e6(whole, left)
    tight = {at for at, above_e6 in enumerate(slack_e6) if above_e6 < DUST_E6}
    program = Program(rows + 1, exact=tight)
    program.column(1.0, 0.0, program.infinity, dict.fromkeys(range(rows), -1.0))
    program.column(0.0, 1.0, 1.0, {rows: 1.0})  # the dollar
    chosen = [at for at, levels in enumerate(left) if levels]
    for at in chosen:
        cost = left[at][0].cost_e8 / E8
        entries = {row: 1.0 for row, pay in enumerate(whole.pays[at]) if pay}
        program.column(-cost, 0.0, program.infinity, entries | {rows: -cost})
    values, _, gained = program.solved()
    if gained <= NOTHING:
        return {}
    amounts = zip(chosen, values[2:], strict=True)
    return {at: amount for at, amount in amounts if amount > NOTHING}


def _whole_numbers(amounts: Sequence[float]) -> tuple[int, ...] | None:
    """The same proportions in small whole numbers; None if there are none."""
    if not amounts:
        return None
    least = min(amounts)
    parts = [Fraction(amount / least).limit_denominator(WEIGHT_MAX) for amount in amounts]
    scale = lcm(*(part.denominator for part in parts))
    weights = [int(part * scale) for part in parts]
    shared = gcd(*weights)
    return tuple(weight // shared for weight in weights)


def weighted_payoff(offers: Sequence[Offer], weights: Sequence[int]) -> Payoff:
    """By enumeration: a leg of weight two is two legs."""
    return payoff(
        [offer.leg for offer, weight in zip(offers, weights, strict=True) for _ in range(weight)]
    )


def _slack_e6(whole: Field, left: Sequence[Sequence[Level]]) -> list[int]:
    """By interval: what all that is left pays there beyond its least."""
    held_e6 = [sum(level.size_e6 for level in levels) for levels in left]
    paid_e6 = [
        sum(held for held, pays in zip(held_e6, whole.pays, strict=True) if pays[row])
        for row in range(len(whole.bounds_usd_e6) + 1)
    ]
    return [paid - min(paid_e6) for paid in paid_e6]


def _take(whole: Field, left: list[list[Level]], one: Combination) -> None:
    """As many units as the best levels of its tokens hold, out of the offers."""
    places = [whole.offers.index(offer) for offer in one.offers]
    pairs = list(zip(places, one.weights, strict=True))
    units_e6 = min(left[at][0].size_e6 // weight for at, weight in pairs)
    # What pays more than its least uses up what the whole pays more than its own.
    pays = [
        sum(weight for at, weight in pairs if whole.pays[at][row])
        for row in range(len(whole.bounds_usd_e6) + 1)
    ]
    for paid, slack_e6 in zip(pays, _slack_e6(whole, left), strict=True):
        if paid > min(pays) and slack_e6 >= DUST_E6:
            units_e6 = min(units_e6, slack_e6 // (paid - min(pays)))
    cost_e8 = sum(weight * left[at][0].cost_e8 for at, weight in pairs)
    one.size_e6 += units_e6
    one.profit_e14 += units_e6 * (one.payout_e4 * (E8 // PRICE_ONE_E4) - cost_e8)
    one.costs_e8.append(cost_e8)
    for at, weight in pairs:
        best = left[at][0]
        rest_e6 = best.size_e6 - units_e6 * weight
        if rest_e6 < DUST_E6:
            del left[at][0]
        else:
            left[at][0] = best._replace(size_e6=rest_e6)
