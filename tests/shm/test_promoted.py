"""Promoted baskets: a file that is written whole, read strictly, and compiled only with proof."""

import pytest

from engine.baskets import compile_baskets
from shm.codes import BasketKind, MarketKind, MarketState, Outcome
from shm.errors import InputError
from shm.promoted import (
    FILE_NAME,
    PROMOTED_MAX,
    Promoted,
    PromotedLeg,
    promote,
    read_promoted,
    signature,
)
from tests.engine.factory import ladder, market

NOW_MS = 1_795_000_000_000
LATER_MS = NOW_MS + 3_600_000


def of(*legs, payout_e4=10_000, expiry_ms=LATER_MS, now_ms=NOW_MS) -> Promoted:
    """Legs as (market, outcome)."""
    named = tuple(PromotedLeg(f"{one.key:016x}", outcome.name) for one, outcome in legs)
    return Promoted(named, payout_e4, expiry_ms, now_ms)


HIGH = market(0, MarketKind.ABOVE, 10)
RANGES = [market(1, MarketKind.RANGE, 10, 20), market(2, MarketKind.RANGE, 20, 30)]
HALF_LINE = of(
    (HIGH, Outcome.YES), *((one, Outcome.NO) for one in RANGES), payout_e4=20_000
)  # above 10, without any strike above the ranges: of no compiled family
MARKETS = [HIGH, *RANGES]


def kinds(found) -> list[BasketKind]:
    return [basket.kind for basket in found.baskets]


def test_what_is_promoted_is_read_back_and_only_once(tmp_path):
    assert read_promoted(tmp_path) == []
    assert signature(tmp_path) is None
    assert promote(tmp_path, HALF_LINE)
    before = signature(tmp_path)
    pairs = zip(MARKETS, HALF_LINE.legs, strict=True)
    turned = [(one, leg.name[1]) for one, leg in pairs][::-1]
    assert not promote(tmp_path, of(*turned))
    assert read_promoted(tmp_path) == [HALF_LINE]
    assert signature(tmp_path) == before
    assert promote(tmp_path, of((HIGH, Outcome.YES), (RANGES[0], Outcome.NO)))
    assert signature(tmp_path) != before


def test_what_has_ended_leaves_the_file_with_the_next_promotion(tmp_path):
    promote(tmp_path, HALF_LINE)
    later = of((HIGH, Outcome.NO), (RANGES[0], Outcome.NO), expiry_ms=LATER_MS * 2, now_ms=LATER_MS)
    promote(tmp_path, later)
    assert read_promoted(tmp_path) == [later]


def test_a_full_file_says_so(tmp_path):
    for row in range(PROMOTED_MAX):
        promote(tmp_path, of((market(row, MarketKind.ABOVE, 10), Outcome.YES), (HIGH, Outcome.NO)))
    with pytest.raises(InputError, match=str(PROMOTED_MAX)):
        promote(tmp_path, HALF_LINE)


@pytest.mark.parametrize("text", ["", "{", '{"baskets": [{}]}', '{"baskets": [], "more": 1}'])
def test_another_file_is_refused_with_its_name(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(InputError, match=FILE_NAME):
        read_promoted(tmp_path)


def test_a_promoted_combination_is_a_basket_with_its_own_proof():
    assert BasketKind.PROMOTED not in kinds(compile_baskets(MARKETS))
    found = compile_baskets(MARKETS, promoted=[HALF_LINE, HALF_LINE])
    assert kinds(found).count(BasketKind.PROMOTED) == 1
    basket = next(one for one in found.baskets if one.kind is BasketKind.PROMOTED)
    assert basket.payout_e4 == 20_000
    assert not basket.optional
    narrow = compile_baskets(MARKETS, wide=False, promoted=[HALF_LINE])
    assert kinds(narrow) == [BasketKind.PROMOTED]


def test_a_claim_that_enumeration_does_not_find_is_no_basket():
    for payout_e4 in (10_000, 20_001, 30_000):
        lie = of(*[(m, leg.name[1]) for m, leg in zip(MARKETS, HALF_LINE.legs, strict=True)],
                 payout_e4=payout_e4)  # fmt: skip
        found = compile_baskets(MARKETS, promoted=[lie])
        assert BasketKind.PROMOTED not in kinds(found)
        assert found.unproven == 1


def test_a_compiled_basket_is_not_made_twice():
    markets = ladder([10, 20])
    trio = next(b for b in compile_baskets(markets).baskets if b.kind is BasketKind.TRIANGLE_BUY)
    again = of(*[(leg.market, leg.outcome) for leg in trio.legs], payout_e4=trio.payout_e4)
    assert kinds(compile_baskets(markets, promoted=[again])) == kinds(compile_baskets(markets))


@pytest.mark.parametrize(
    "changed",
    [
        {"state": MarketState.RETIRED},
        {"group": 2},
        {"fingerprint": 2},
        {"key": 77},
    ],
)
def test_markets_that_do_not_belong_together_any_more_are_no_basket(changed):
    markets = [HIGH, RANGES[0], RANGES[1]._replace(**changed)]
    assert BasketKind.PROMOTED not in kinds(compile_baskets(markets, promoted=[HALF_LINE]))


def test_both_tokens_of_one_market_are_no_basket():
    both = of((HIGH, Outcome.YES), (HIGH, Outcome.NO))
    assert BasketKind.PROMOTED not in kinds(compile_baskets(MARKETS, promoted=[both]))
