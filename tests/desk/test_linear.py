"""The linear program of the scan: what it buys is really there, and nothing better is."""

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desk.combinations import Combination, taken_apart, weighted_payoff
from desk.linear import Field, Level, Offer, best_purchase, bounded, exactly
from engine.baskets import compile_baskets
from shm.codes import MarketKind, Outcome
from shm.layout import MAX_LEGS
from tests.engine.factory import ladder, market

YES, NO = Outcome.YES, Outcome.NO
SHARE = 10**6


def level(price_e4: int, shares: int = 100) -> Level:
    """Without fee."""
    return Level(price_e4 * 10_000, shares * SHARE, price_e4)


def offer(one, outcome: Outcome, *levels: Level) -> Offer:
    return Offer(one, outcome, levels)


LOW, HIGH, BETWEEN = (
    market(0, MarketKind.ABOVE, 10),
    market(1, MarketKind.ABOVE, 20),
    market(2, MarketKind.RANGE, 10, 20),
)


def trio(price_e4: int) -> Field:
    """The trio for three times this price; it pays 2."""
    return Field(
        (
            offer(LOW, YES, level(price_e4, 10)),
            offer(BETWEEN, NO, level(price_e4, 20)),
            offer(HIGH, NO, level(price_e4, 30)),
        )
    )


def test_a_trio_below_two_dollars_is_bought_as_far_as_its_shortest_leg_goes():
    answer = best_purchase(trio(6_600))
    assert answer.bought.profit_e14 == 10 * SHARE * 2_000_000  # 2 cents a share
    assert [sum(sizes) // SHARE for sizes in answer.bought.sizes_e6] == [10, 10, 10]
    assert answer.bound.profit_usd_e6 == 200_000


def test_a_trio_at_two_dollars_is_refused_with_a_state_price_measure():
    answer = best_purchase(trio(6_700))
    assert answer.bought.profit_e14 == 0
    assert answer.bound.profit_usd_e6 == 0
    measure, offers = answer.bound.measure, trio(6_700)
    for one, pays in zip(offers.offers, offers.pays, strict=True):
        expected = sum(weight for weight, pay in zip(measure, pays, strict=True) if pay)
        # Nobody pays less than the expectation: that is what "no arbitrage" means.
        assert expected * 10_000 <= one.levels[0].price_e4 * sum(measure)


def test_deeper_levels_are_bought_while_they_pay():
    cheap, dear, too_dear = level(6_600, 10), level(6_650, 5), level(6_900, 50)
    field = Field(
        (
            offer(LOW, YES, cheap, dear, too_dear),
            offer(BETWEEN, NO, level(6_600, 90)),
            offer(HIGH, NO, level(6_600, 90)),
        )
    )
    answer = best_purchase(field)
    assert answer.bought.sizes_e6[0] == (10 * SHARE, 5 * SHARE, 0)
    assert answer.bought.profit_e14 == SHARE * (10 * 2_000_000 + 5 * 1_500_000)


def test_amounts_that_the_solver_made_up_prove_nothing():
    """Were the solver to say 'buy one leg', integers would show the loss."""
    bought = exactly(trio(6_600), [[10.0], [0.0], [0.0]])
    assert bought.profit_e14 < 0
    assert exactly(trio(6_600), [[1e9], [1e9], [1e9]]).sizes_e6[0] == (10 * SHARE,)
    assert exactly(trio(6_600), [[-5.0], [0.0], [0.0]]).sizes_e6[0] == (0,)


def test_weights_that_the_solver_made_up_give_a_bound_that_is_only_worse():
    rng = random.Random(5)
    true = best_purchase(trio(6_600)).bought.profit_e14 // 10**8
    for _ in range(200):
        bound = bounded(trio(6_600), [rng.random() for _ in range(3)])
        assert bound.profit_usd_e6 >= true
    assert bounded(trio(6_600), [0.0, 0.0, 0.0]).profit_usd_e6 >= true
    assert bounded(trio(6_600), [-1.0, 1.0, 0.0]).profit_usd_e6 >= true


@st.composite
def fields(draw) -> Field:
    """Any offers over a small ladder, some with two levels."""
    offers = []
    for one in ladder(draw(st.sampled_from([[10], [10, 20], [10, 20, 30]]))):
        for outcome in (YES, NO):
            if draw(st.booleans()):
                price_e4 = draw(st.integers(1, 9_990))
                levels = [level(price_e4, draw(st.integers(1, 50)))]
                if draw(st.booleans()):
                    levels.append(level(draw(st.integers(price_e4 + 1, 9_999)), 10))
                offers.append(offer(one, outcome, *levels))
    return Field(tuple(offers))


@given(fields())
@settings(max_examples=150, deadline=None)
def test_purchase_and_certificate_meet_to_a_fraction_of_a_cent(field):
    if not field.offers:
        return
    answer = best_purchase(field)
    profit_usd_e6 = max(0, answer.bought.profit_e14 // 10**8)
    assert profit_usd_e6 <= answer.bound.profit_usd_e6 <= profit_usd_e6 + 100
    assert all(weight >= 0 for weight in answer.bound.measure)


@given(fields())
@settings(max_examples=60, deadline=None)
def test_no_combination_of_single_tokens_is_better_than_the_bound(field):
    """Brute force over every subset of up to eight tokens, one share of each."""
    offers = field.offers[:8]
    bound = best_purchase(Field(offers)).bound.profit_usd_e6 if offers else 0
    for chosen in product((0, 1), repeat=len(offers)):
        some = [one for one, taken in zip(offers, chosen, strict=True) if taken]
        if some:
            paid_e4 = weighted_payoff(some, [1] * len(some)).interval_min_e4
            worth_e4 = paid_e4 - sum(one.levels[0].price_e4 for one in some)
            assert worth_e4 * 100 <= bound


@given(fields())
@settings(max_examples=100, deadline=None)
def test_the_parts_of_a_purchase_add_up_to_it_and_each_is_proven(field):
    if not field.offers:
        return
    answer = best_purchase(field)
    if answer.bought.profit_e14 < 10**12:
        return
    parts = taken_apart(field, answer, {}, 0)
    profit_usd_e6 = answer.bought.profit_e14 // 10**8
    assert profit_usd_e6 - 1_000 <= sum(one.profit_usd_e6 for one in parts) <= profit_usd_e6
    for one in parts:
        legs = [o.leg for o, w in zip(one.offers, one.weights, strict=True) for _ in range(w)]
        worst = min(realised_e4(legs, price) for price in (5, 15, 25, 35))
        assert worst == one.payout_e4
        assert one.net_e8 > 0


def realised_e4(legs, price: int) -> int:
    """What legs pay at a settlement price, by the venue's rule and nothing else."""

    def yes(one) -> bool:
        if one.kind is MarketKind.ABOVE:
            return price * 10**6 > one.lower_usd_e6
        return one.lower_usd_e6 <= price * 10**6 < one.upper_usd_e6

    return sum(10_000 for leg in legs if yes(leg.market) == (leg.outcome is YES))


def part(offers, weights=None, compiled=0) -> Combination:
    weights = tuple(weights or [1] * len(offers))
    return Combination(tuple(offers), weights, weighted_payoff(offers, weights), 1, compiled)


def test_what_cannot_be_a_basket_says_why():
    offers = trio(6_600).offers
    assert part(offers).why_not_promoted() is None
    assert "compiled" in part(offers, compiled=7).why_not_promoted()
    assert "weights 1:2:1" in part(offers, (1, 2, 1)).why_not_promoted()
    both = [*offers, offer(LOW, NO, level(1))]
    assert "both tokens" in part(both).why_not_promoted()
    many = [offer(market(row, MarketKind.ABOVE, row), YES, level(1)) for row in range(MAX_LEGS + 1)]
    assert f"{MAX_LEGS + 1} legs" in part(many).why_not_promoted()


def test_a_purchase_of_several_parts_is_taken_apart_into_all_of_them():
    """One token in two parts: as much of it as both need."""
    low, high = market(0, MarketKind.ABOVE, 10), market(1, MarketKind.ABOVE, 20)
    offers = (
        offer(low, YES, level(100, 200)),
        offer(market(2, MarketKind.BELOW, None, 10), YES, level(9_000, 100)),
        offer(market(3, MarketKind.BELOW, None, 10), YES, level(9_100, 100)),
        offer(high, NO, level(9_999, 1)),
    )
    answer = best_purchase(Field(offers))
    parts = taken_apart(Field(offers), answer, {}, 0)
    assert sum(one.profit_usd_e6 for one in parts) == answer.bought.profit_e14 // 10**8
    assert len(parts) == 2


@pytest.mark.parametrize("strikes", [[10, 20, 30], [10, 20, 30, 40, 50]])
def test_each_compiled_basket_is_recognised_when_it_alone_is_cheap(strikes):
    markets = ladder(strikes)
    baskets = compile_baskets(markets).baskets
    compiled = {frozenset((leg.market.key, leg.outcome) for leg in b.legs): b.id for b in baskets}
    for basket in baskets:
        price_e4 = (basket.payout_e4 - 100) // len(basket.legs)
        field = Field(tuple(offer(leg.market, leg.outcome, level(price_e4)) for leg in basket.legs))
        parts = taken_apart(field, best_purchase(field), compiled, 0)
        assert parts
        assert sum(one.profit_usd_e6 for one in parts) >= 100 * 10_000
