"""Gate: each reason against a signal, alone and in order."""

import pytest

from engine.baskets import compile_baskets
from engine.gate import Candidate, Holds, Moment, judge, size_cap_e6
from engine.pricer import Top
from shm.codes import BasketKind, Verdict
from shm.settings import EngineSettings
from tests.engine.factory import ladder

SETTINGS = EngineSettings()
BASKET = next(
    basket
    for basket in compile_baskets(ladder([10, 20])).baskets
    if basket.kind is BasketKind.TRIANGLE_BUY
)
NOW_NS = 10**15
MOMENT = Moment(now_ns=NOW_NS, trading=True, ingest_silent_ns=0)


def top(age_ms: int = 1) -> Top:
    return Top(True, 4_000, 10**9, 5_000, 10**9, NOW_NS - age_ms * 1_000_000, 1)


def candidate(*ages_ms: int) -> Candidate:
    return Candidate(BASKET, BASKET.legs, [top(age) for age in (ages_ms or (1, 1, 1))])


def holds(**some) -> Holds:
    return Holds(**({"cooling_until_ns": {}, "held": {}} | some))


def test_nothing_against_it_means_signalled():
    assert judge(candidate(), MOMENT, holds(), SETTINGS) is Verdict.SIGNALLED


@pytest.mark.parametrize(
    ("case", "moment", "held", "verdict"),
    [
        (candidate(), Moment(NOW_NS, False, 0), holds(), Verdict.DISABLED),
        (candidate(), Moment(NOW_NS, True, 1_000_000_001), holds(), Verdict.STALE),
        (candidate(1, 1, 60_001), MOMENT, holds(), Verdict.STALE),
        (candidate(), MOMENT, holds(cooling_until_ns={BASKET.id: NOW_NS + 1}), Verdict.COOLING),
        (candidate(), MOMENT, holds(held={BASKET.legs[2].market.row: 5}), Verdict.BUSY),
    ],
)
def test_each_reason_is_named(case, moment, held, verdict):
    assert judge(case, moment, held, SETTINGS) is verdict


def test_legs_of_very_different_age_are_skewed():
    settings = EngineSettings(max_leg_skew_ms=100)
    assert judge(candidate(1, 1, 102), MOMENT, holds(), settings) is Verdict.SKEWED
    assert judge(candidate(1, 1, 101), MOMENT, holds(), settings) is Verdict.SIGNALLED


def test_a_cooldown_that_is_over_and_a_strangers_hold_do_not_matter():
    free = holds(cooling_until_ns={BASKET.id: NOW_NS}, held={999: 1})
    assert judge(candidate(), MOMENT, free, SETTINGS) is Verdict.SIGNALLED


def test_the_size_is_capped_by_what_one_leg_left_alone_may_lose():
    settings = EngineSettings(max_basket_shares=500, max_leg_loss_usd_e6=20_000_000)
    # Bought at 0.50 and sold again at 0.40: ten cents a share, so 200 shares for twenty dollars.
    assert size_cap_e6(candidate(), settings) == 200 * 10**6
    roomy = EngineSettings(max_basket_shares=500, max_leg_loss_usd_e6=10**9)
    assert size_cap_e6(candidate(), roomy) == 500 * 10**6


def test_a_leg_that_nobody_would_buy_back_may_lose_all_that_it_costs():
    settings = EngineSettings(max_basket_shares=500, max_leg_loss_usd_e6=20_000_000)
    no_bid = Top(True, 0, 0, 5_000, 10**9, NOW_NS, 1)
    no_ask = Top(True, 6_000, 10**9, 0, 0, NOW_NS, 1)
    yes, other_no, *_ = BASKET.legs
    one = Candidate(BASKET, [yes], [no_bid])
    assert size_cap_e6(one, settings) == 40 * 10**6
    two = Candidate(BASKET, [other_no], [no_ask])  # NO at 0.40
    assert size_cap_e6(two, settings) == 50 * 10**6
