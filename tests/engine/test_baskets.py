"""Baskets: neighbours only, one rule of settlement, each with its proof."""

from engine.baskets import CLAIM_E4, compile_baskets
from shm.baskets import basket_id
from shm.codes import BasketKind, MarketKind, MarketState, Outcome
from tests.engine.factory import ladder, market


def kinds(markets):
    found = {}
    for basket in compile_baskets(markets).baskets:
        found[basket.kind] = found.get(basket.kind, 0) + 1
    return found


def test_a_ladder_of_eleven_strikes_gives_ten_of_each_kind():
    strikes = list(range(60_000, 82_000, 2_000))
    assert len(strikes) == 11
    assert kinds(ladder(strikes)) == {
        BasketKind.TRIANGLE_BUY: 10,
        BasketKind.COMPLEMENT_BUY: 10,
        BasketKind.LADDER_BUY: 10,
    }


def test_every_basket_pays_what_its_family_claims():
    for basket in compile_baskets(ladder([10, 20, 30])).baskets:
        assert basket.payout_e4 == CLAIM_E4[basket.kind]


def test_the_legs_are_the_documented_ones():
    low, high = market(0, MarketKind.ABOVE, 10), market(1, MarketKind.ABOVE, 20)
    middle = market(2, MarketKind.RANGE, 10, 20)
    legs = {
        basket.kind: [(leg.market.row, leg.outcome) for leg in basket.legs]
        for basket in compile_baskets([low, high, middle]).baskets
    }
    yes, no = Outcome.YES, Outcome.NO
    assert legs == {
        BasketKind.TRIANGLE_BUY: [(0, yes), (2, no), (1, no)],
        BasketKind.COMPLEMENT_BUY: [(0, no), (2, yes), (1, yes)],
        BasketKind.LADDER_BUY: [(0, yes), (1, no)],
    }


def test_a_strike_without_a_range_gives_only_the_ladder():
    markets = [market(0, MarketKind.ABOVE, 10), market(1, MarketKind.ABOVE, 20)]
    assert kinds(markets) == {BasketKind.LADDER_BUY: 1}
    wider = market(2, MarketKind.RANGE, 10, 30)
    assert kinds([*markets, wider]) == {BasketKind.LADDER_BUY: 1}


def test_two_markets_with_one_strike_both_take_part():
    markets = [*ladder([10, 20]), market(9, MarketKind.ABOVE, 10)]
    assert kinds(markets)[BasketKind.TRIANGLE_BUY] == 2


def test_other_rules_groups_and_retired_markets_do_not_mix():
    low, high = market(0, MarketKind.ABOVE, 10), market(1, MarketKind.ABOVE, 20)
    assert kinds([low, high._replace(fingerprint=2)]) == {}
    assert kinds([low, high._replace(group=2)]) == {}
    assert kinds([low, high._replace(state=MarketState.RETIRED)]) == {}


def test_a_candidate_whose_payoff_is_not_the_claim_is_not_built(monkeypatch):
    monkeypatch.setitem(CLAIM_E4, BasketKind.TRIANGLE_BUY, 30_000)
    compiled = compile_baskets(ladder([10, 20]))
    assert compiled.unproven == 1
    assert BasketKind.TRIANGLE_BUY not in {basket.kind for basket in compiled.baskets}


def test_ids_are_stable_over_rows_and_different_for_different_baskets():
    first = compile_baskets(ladder([10, 20, 30])).baskets
    moved = [m._replace(row=m.row + 100) for m in ladder([10, 20, 30])]
    second = compile_baskets(moved).baskets
    assert [basket.id for basket in first] == [basket.id for basket in second]
    assert len({basket.id for basket in first}) == len(first)
    legs = [(leg.market.key, leg.outcome, leg.side) for leg in first[0].legs]
    assert basket_id(first[0].kind, legs) == first[0].id
