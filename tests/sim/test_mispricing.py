from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.mispricing import (
    EDGE_MAX_E8,
    EDGE_MIN_E8,
    MAX_SHIFT_E4,
    TRANSITIONS,
    BasketSet,
    Counts,
    Offer,
    Quotes,
    Stage,
    choose,
    net_edge_e8,
    sets_of,
    shares_e6,
)
from sim.order import Outcome


def test_a_ladder_of_eleven_strikes_has_ten_ladders_nine_trios_and_nine_complements():
    found = sets_of(11)
    kinds = [one.kind for one in found]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "ladder": 10,
        "trio": 9,
        "complement": 9,
    }


def payoff(leg, settlement):
    """Payoff of one leg in a toy ladder: strikes at 0..10, settlement between integers."""
    index, outcome = leg
    if index < 11:
        yes = settlement > index
    else:
        number = index - 11
        low = -1e9 if number == 0 else number
        high = 1e9 if number == 10 else number + 1
        yes = low <= settlement < high
    return yes if outcome is Outcome.YES else not yes


@pytest.mark.parametrize("basket", sets_of(11), ids=lambda one: f"{one.kind}{one.legs[0][0]}")
def test_every_set_pays_at_least_its_payout_wherever_the_price_ends(basket):
    worst = min(sum(payoff(leg, half / 2 + 0.25) for leg in basket.legs) for half in range(-4, 26))
    assert worst * 10_000 == basket.payout_e4


@given(st.lists(st.integers(1, 9_999), min_size=2, max_size=3), st.sampled_from([10_000, 20_000]))
def test_the_edge_is_exact(prices, payout):
    exact = Decimal(payout) / 10_000
    for price_e4 in prices:
        price = Decimal(price_e4) / 10_000
        exact -= price + Decimal("0.07") * price * (1 - price)
    edge = Decimal(net_edge_e8(payout, prices, 70_000))
    assert exact * 10**8 - len(prices) < edge <= exact * 10**8


@given(
    st.integers(200, 9_800), st.integers(1, 150), st.integers(1, 150), st.integers(0, 10**6),
    st.sampled_from([10, 100]),
)  # fmt: skip
def test_a_chosen_set_has_an_edge_within_bounds_and_moderate_shifts(low, half, other, seed, tick):
    asks = {
        (0, Outcome.YES): (low + half) // tick * tick,
        (1, Outcome.NO): (10_000 - low // 2 + other) // tick * tick,
    }
    basket = BasketSet("ladder", tuple(asks), 10_000)
    quotes = Quotes(lambda leg: asks[leg], lambda _: tick, 70_000)
    _, prices = choose([basket], quotes, Random(seed))
    if not prices:
        return
    assert EDGE_MIN_E8 <= net_edge_e8(10_000, prices, 70_000) <= EDGE_MAX_E8
    shifts = [ask - price for ask, price in zip(asks.values(), prices, strict=True)]
    assert all(shift >= 0 and shift % tick == 0 for shift in shifts)
    assert sum(shifts) < basket.max_shift_e4 + tick == MAX_SHIFT_E4 + tick
    if min(prices) > tick:
        assert max(shifts) - min(shifts) <= tick


def test_a_set_with_a_leg_that_nobody_sells_is_not_chosen():
    basket = sets_of(11)[0]
    quotes = Quotes(lambda leg: None if leg[0] else 5000, lambda _: 10, 70_000)
    assert choose([basket], quotes, Random(1)) == (basket, [])


def test_sizes_are_whole_shares_and_mostly_tens():
    rng = Random(1)
    sizes = [shares_e6(rng) for _ in range(3000)]
    assert min(sizes) == 20_000_000
    assert max(sizes) == 300_000_000
    assert all(size % 1_000_000 == 0 for size in sizes)
    assert sum(size % 10_000_000 == 0 for size in sizes) > len(sizes) / 2


def offer():
    return Offer(sets_of(11)[0], (), frozenset({"a", "b"}))


def test_an_offer_is_taken_when_one_wallet_has_bought_every_leg():
    one = offer()
    one.count_purchase("w1", "a")
    one.count_purchase("w2", "b")
    one.count_purchase("w1", "elsewhere")
    assert not one.is_bought()
    one.count_purchase("w1", "b")
    assert one.is_bought()


@pytest.mark.parametrize("start", Stage)
def test_only_the_tables_steps_are_possible(start):
    for goal in Stage:
        one = offer()
        one.stage = start
        if goal in TRANSITIONS[start]:
            one.become(goal)
            assert one.stage is goal
        else:
            with pytest.raises(ValueError, match="cannot become"):
                one.become(goal)


def test_open_offers_are_those_without_an_end():
    assert Counts(offered=5, taken=2, expired=1).open() == 2
