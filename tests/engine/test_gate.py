"""Gate: each reason against a signal, alone and in order."""

import pytest

from engine.baskets import compile_baskets
from engine.gate import Candidate, Holds, Moment, judge
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
    return Candidate(BASKET, [top(age) for age in (ages_ms or (1, 1, 1))])


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
