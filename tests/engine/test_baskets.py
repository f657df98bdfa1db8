"""Baskets: chains over one line, one rule of settlement, each with its proof, none dominated."""

import random
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import baskets
from engine.baskets import Candidate, Family, compile_baskets, prove, undominated
from shm.baskets import basket_id
from shm.codes import BasketKind, MarketKind, MarketState, Outcome, Side
from shm.layout import MAX_LEGS
from shm.payoff import Leg, payoff
from tests.engine.factory import OPEN_LOWER, OPEN_UPPER, ladder, market

YES, NO = Outcome.YES, Outcome.NO


def kinds(markets, *, wide: bool = True) -> dict[BasketKind, int]:
    return dict(Counter(basket.kind for basket in compile_baskets(markets, wide=wide).baskets))


def legs_of(markets) -> dict[BasketKind, list[tuple[int, Outcome]]]:
    return {
        basket.kind: [(leg.market.row, leg.outcome) for leg in basket.legs]
        for basket in compile_baskets(markets).baskets
    }


def test_a_ladder_of_eleven_strikes_gives_ten_of_each_narrow_kind():
    strikes = list(range(60_000, 82_000, 2_000))
    assert len(strikes) == 11
    assert kinds(ladder(strikes), wide=False) == {
        BasketKind.TRIANGLE_BUY: 10,
        BasketKind.COMPLEMENT_BUY: 10,
        BasketKind.LADDER_BUY: 10,
    }


def test_the_whole_set_over_eleven_strikes():
    """Wide ones: 45 pairs of strikes that are no neighbours, and ten chains to each open end."""
    assert kinds(ladder(list(range(60, 82, 2)))) == {
        BasketKind.TRIANGLE_BUY: 10,
        BasketKind.COMPLEMENT_BUY: 10,
        BasketKind.LADDER_BUY: 10,
        BasketKind.TOP_BRACKET: 2,
        BasketKind.BOTTOM_BRACKET: 2,
        BasketKind.BRACKETS_YES: 1,
        BasketKind.BRACKETS_NO: 1,
        BasketKind.WIDE_TRIANGLE: 65,
        BasketKind.WIDE_COMPLEMENT: 65,
        BasketKind.WIDE_LADDER: 45,
    }


def test_the_legs_are_the_documented_ones():
    low, high = market(0, MarketKind.ABOVE, 10), market(1, MarketKind.ABOVE, 20)
    middle = market(2, MarketKind.RANGE, 10, 20)
    assert legs_of([low, high, middle]) == {
        BasketKind.TRIANGLE_BUY: [(0, YES), (2, NO), (1, NO)],
        BasketKind.COMPLEMENT_BUY: [(0, NO), (2, YES), (1, YES)],
        BasketKind.LADDER_BUY: [(0, YES), (1, NO)],
    }


def test_the_highest_and_lowest_brackets_pair_with_the_strikes_at_their_bounds():
    low, high = market(0, MarketKind.ABOVE, 10), market(1, MarketKind.ABOVE, 20)
    below, top = market(2, MarketKind.BELOW, None, 10), market(3, MarketKind.TOP, 20)
    found = {
        frozenset((leg.market.row, leg.outcome) for leg in basket.legs): basket
        for basket in compile_baskets([low, high, below, top]).baskets
    }
    assert set(found) == {
        frozenset({(0, YES), (1, NO)}),
        frozenset({(2, YES), (0, YES)}),
        frozenset({(2, NO), (0, NO)}),
        frozenset({(1, YES), (3, NO)}),
        frozenset({(1, NO), (3, YES)}),
    }
    assert {basket.payout_e4 for basket in found.values()} == {10_000}


def test_wide_chains_and_whole_sets_pay_by_their_length():
    markets = ladder([10, 20, 30, 40])
    by_kind: dict[BasketKind, set[tuple[int, int]]] = {}
    for basket in compile_baskets(markets).baskets:
        by_kind.setdefault(basket.kind, set()).add((len(basket.legs), basket.payout_e4))
    # Between two strikes n + 2 legs pay n + 1; to an open end n + 1 legs pay n.
    assert by_kind[BasketKind.WIDE_TRIANGLE] == {
        (4, 30_000), (5, 40_000), (3, 20_000), (4, 30_000),
    }  # fmt: skip
    assert by_kind[BasketKind.WIDE_COMPLEMENT] == {(4, 10_000), (5, 10_000), (3, 10_000)}
    assert by_kind[BasketKind.BRACKETS_YES] == {(5, 10_000)}
    assert by_kind[BasketKind.BRACKETS_NO] == {(5, 40_000)}


def test_only_the_set_of_all_no_may_leave_legs_out():
    optional = [b for b in compile_baskets(ladder([10, 20, 30])).baskets if b.optional]
    assert [basket.kind for basket in optional] == [BasketKind.BRACKETS_NO]


def test_a_gap_in_the_brackets_breaks_the_chain():
    markets = [m for m in ladder([10, 20, 30, 40]) if m.lower_usd_e6 != 20 * 10**6 or m.kind is not
               MarketKind.RANGE]  # fmt: skip
    found = kinds(markets)
    assert BasketKind.BRACKETS_YES not in found
    assert BasketKind.BRACKETS_NO not in found
    # 10-20 and 30-40 stand, each also reaching its open end; nothing crosses 20-30.
    assert found[BasketKind.TRIANGLE_BUY] == 2
    assert found[BasketKind.WIDE_TRIANGLE] == 2


def test_a_strike_without_a_range_gives_only_the_ladder():
    markets = [market(0, MarketKind.ABOVE, 10), market(1, MarketKind.ABOVE, 20)]
    assert kinds(markets) == {BasketKind.LADDER_BUY: 1}
    wider = market(2, MarketKind.RANGE, 10, 30)
    assert kinds([*markets, wider]) == {BasketKind.LADDER_BUY: 1}


def test_a_range_over_a_strike_between_is_a_wide_pair():
    markets = [market(row, MarketKind.ABOVE, k) for row, k in enumerate((10, 20, 30))]
    found = kinds([*markets, market(9, MarketKind.RANGE, 10, 30)])
    assert found == {
        BasketKind.LADDER_BUY: 2,
        BasketKind.WIDE_LADDER: 1,
        BasketKind.WIDE_TRIANGLE: 1,
        BasketKind.WIDE_COMPLEMENT: 1,
    }


def test_two_markets_with_one_strike_both_take_part():
    markets = [*ladder([10, 20]), market(9, MarketKind.ABOVE, 10)]
    assert kinds(markets)[BasketKind.TRIANGLE_BUY] == 2


def test_other_rules_groups_and_retired_markets_do_not_mix():
    low, high = market(0, MarketKind.ABOVE, 10), market(1, MarketKind.ABOVE, 20)
    assert kinds([low, high._replace(fingerprint=2)]) == {}
    assert kinds([low, high._replace(group=2)]) == {}
    assert kinds([low, high._replace(state=MarketState.RETIRED)]) == {}


def test_a_candidate_whose_payoff_is_not_the_claim_is_not_built(monkeypatch):
    low, high = market(0, MarketKind.ABOVE, 10), market(1, MarketKind.ABOVE, 20)
    legs = (Leg(low, YES, Side.BUY), Leg(high, NO, Side.BUY))
    assert prove(Candidate(BasketKind.LADDER_BUY, legs, 10_000), group=1) is not None
    for claim_e4 in (9_999, 10_001, 20_000):
        assert prove(Candidate(BasketKind.LADDER_BUY, legs, claim_e4), group=1) is None
    wrong_way = (Leg(low, NO, Side.BUY), Leg(high, YES, Side.BUY))
    bad = Candidate(BasketKind.LADDER_BUY, wrong_way, 10_000)
    monkeypatch.setattr(baskets, "_candidates", lambda _family: iter([bad]))
    compiled = compile_baskets([low, high])
    assert (compiled.baskets, compiled.unproven) == ((), 1)


def test_a_basket_with_more_legs_than_a_signal_has_is_not_built():
    # The ladders of the venue have eleven strikes, so twelve brackets.
    assert BasketKind.BRACKETS_YES in kinds(ladder(list(range(10, 10 + MAX_LEGS - 1))))
    found = compile_baskets(ladder(list(range(10, 10 + MAX_LEGS))))
    assert (found.unproven, found.too_long) == (0, 8)
    assert BasketKind.BRACKETS_YES not in {basket.kind for basket in found.baskets}


def test_ids_are_stable_over_rows_and_different_for_different_baskets():
    first = compile_baskets(ladder([10, 20, 30])).baskets
    moved = [m._replace(row=m.row + 100) for m in ladder([10, 20, 30])]
    second = compile_baskets(moved).baskets
    assert [basket.id for basket in first] == [basket.id for basket in second]
    assert len({basket.id for basket in first}) == len(first)
    legs = [(leg.market.key, leg.outcome, leg.side) for leg in first[0].legs]
    assert basket_id(first[0].kind, legs) == first[0].id


# --- random ladders ---------------------------------------------------------------------------


@st.composite
def families(draw) -> list:
    """Any markets over a short line: overlapping, double, with gaps and open ends."""
    bounds = draw(st.lists(st.integers(1, 9), unique=True, min_size=1, max_size=6).map(sorted))
    found = []
    for row in range(draw(st.integers(2, 12))):
        kind = draw(st.sampled_from(list(MarketKind)[1:]))
        lower = draw(st.sampled_from(bounds))
        upper = draw(st.sampled_from([b for b in bounds if b > lower] or [lower + 1]))
        match kind:
            case MarketKind.ABOVE | MarketKind.TOP:
                found.append(market(row, kind, lower, None))
            case MarketKind.BELOW:
                found.append(market(row, kind, None, lower))
            case _:
                found.append(market(row, kind, lower, upper))
    return found


def pays_yes(one, price_usd_e6: float) -> bool:
    """The venue's rule, at a price and nothing else."""
    if one.kind is MarketKind.ABOVE:
        return price_usd_e6 > one.lower_usd_e6
    lower = one.lower_usd_e6 if one.lower_usd_e6 != OPEN_LOWER else float("-inf")
    upper = one.upper_usd_e6 if one.upper_usd_e6 != OPEN_UPPER else float("inf")
    return lower <= price_usd_e6 < upper


def realised_e4(legs, price_usd_e6: float) -> int:
    return sum(10_000 for leg in legs if pays_yes(leg.market, price_usd_e6) == (leg.outcome is YES))


@given(families(), st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None)
def test_no_settlement_price_pays_less_than_the_proof(markets, rng):
    for basket in compile_baskets(markets).baskets:
        for _ in range(6):
            price = rng.randint(0, 9) * 10**6 + rng.randint(1, 999_999)  # never a bound
            assert realised_e4(basket.legs, price) >= basket.payout_e4
            bound = rng.randint(0, 10) * 10**6
            proven_e4 = min(basket.payout_e4, basket.proof.tie_min_e4)
            assert realised_e4(basket.legs, bound) >= proven_e4


@given(families(), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_a_leg_left_out_of_an_optional_basket_costs_a_dollar_at_most(markets, rng):
    for basket in compile_baskets(markets).baskets:
        if not basket.optional:
            continue
        some = rng.sample(basket.legs, rng.randint(1, len(basket.legs)))
        promised_e4 = basket.payout_e4 - 10_000 * (len(basket.legs) - len(some))
        for _ in range(8):
            price = rng.randint(0, 10 * 10**6)
            assert realised_e4(some, price) >= promised_e4


@given(families())
@settings(max_examples=200, deadline=None)
def test_a_chain_has_no_gap_and_no_overlap(markets):
    family = Family(markets)
    ends = [None, *sorted(family.strikes), None]
    for i, lower in enumerate(ends):
        for upper in ends[i + 1 :]:
            chain = family.chain(lower, upper)
            if chain:
                assert (chain[0][0], chain[-1][1]) == (lower, upper)
                assert all(a[1] == b[0] for a, b in pairwise(chain))


def enumerated(markets) -> list:
    """Every proven basket, before the dominated ones go."""
    family = Family(markets)
    made = (prove(candidate, 1) for candidate in baskets._candidates(family))
    return [basket for basket in made if basket is not None]


@given(families(), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_what_is_pruned_would_never_have_been_worth_more(markets, seed):
    """At any prices, a dominated basket is worth less than one that was kept."""
    every = enumerated(markets)
    kept = undominated(every)
    rng = random.Random(seed)
    cost_e4 = {
        (one.key, outcome): rng.randint(1, 9_999) for one in markets for outcome in (YES, NO)
    }

    def worth_e4(basket) -> int:
        return basket.payout_e4 - sum(cost_e4[leg.market.key, leg.outcome] for leg in basket.legs)

    for basket in every:
        if basket not in kept:
            rivals = [k for k in kept if {*k.legs} < {*basket.legs}]
            assert any(worth_e4(rival) > worth_e4(basket) for rival in rivals)


def test_a_leg_that_guarantees_nothing_makes_a_basket_dominated():
    low, high, more = (market(row, MarketKind.ABOVE, k) for row, k in enumerate((10, 20, 30)))
    two = (Leg(low, YES, Side.BUY), Leg(high, NO, Side.BUY))
    pair = prove(Candidate(BasketKind.LADDER_BUY, two, 10_000), 1)
    for extra in (Leg(more, YES, Side.BUY), Leg(more, NO, Side.BUY), Leg(low, NO, Side.BUY)):
        claim_e4 = payoff((*two, extra)).interval_min_e4
        three = prove(Candidate(BasketKind.WIDE_LADDER, (*two, extra), claim_e4), 1)
        assert undominated([pair, three]) == ([pair] if claim_e4 == 10_000 else [pair, three])


def test_a_regular_ladder_has_no_dominated_basket():
    assert compile_baskets(ladder(list(range(60, 82, 2)))).dominated == 0


def test_a_wide_ladder_can_be_the_only_one_with_an_edge():
    """Bid and ask of the strikes 10, 20, 30: only above(10) against above(30) is out of order."""
    bid_e4, ask_e4 = {10: 4_000, 20: 3_000, 30: 4_600}, {10: 4_500, 20: 6_000, 30: 5_000}
    edge_e4 = {
        (low, high): 10_000 - ask_e4[low] - (10_000 - bid_e4[high])
        for low, high in ((10, 20), (20, 30), (10, 30))
    }
    assert [pair for pair, edge in edge_e4.items() if edge > 0] == [(10, 30)]


@pytest.mark.parametrize("field", ["interval_min_e4", "everywhere_min_e4"])
def test_a_smaller_basket_dominates_only_if_neither_guarantee_is_less(field):
    whole = compile_baskets(ladder([10, 20])).baskets[0].proof
    one = SimpleNamespace(
        interval_min_e4=whole.interval_min_e4, everywhere_min_e4=whole.everywhere_min_e4
    )
    assert baskets.guarantees_no_less(one, whole)
    setattr(one, field, getattr(whole, field) - 1)
    assert not baskets.guarantees_no_less(one, whole)
