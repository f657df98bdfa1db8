"""Admission: the gate first, then risk, then the size; the smallest of all limits, by name."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.admission import admit, wanted_of
from executor.exposure import Exposure
from executor.gate import Admitted, shape_of
from executor.risk import Quote, leg_usd_e6, refusal, units_allowed
from shm.codes import Mode, Outcome, Purpose, Refusal
from shm.limits import RiskSettings
from shm.settings import ExecutorSettings
from tests.executor import test_gate, test_risk
from tests.executor.test_gate import MARKETS, signal

LIMITS = RiskSettings()
SETTINGS = ExecutorSettings()
OUTCOMES = (Outcome.YES, Outcome.NO, Outcome.NO)
PRICES = (6_000, 7_000, 5_900)
NOW_NS = test_gate.NOW_NS


def quotes():
    found = {}
    for row, outcome in enumerate(OUTCOMES):
        ask, bid = (PRICES[row], 0) if outcome is Outcome.YES else (0, 10_000 - PRICES[row])
        found[row] = Quote(True, bid, ask, 10, NOW_NS - 10**6)
    return found


def ask(one=None, standing=None, seen=None, limits=LIMITS, settings=SETTINGS, **situation):
    known = test_gate.situation(ticks_e4={0: 10, 1: 10, 2: 10}, **situation)
    where = standing or test_risk.standing(now_ms=1_795_000_000_000)
    return admit(one or signal(), known, where, seen or quotes(), (settings, limits))


def test_what_nothing_speaks_against_is_admitted_up_to_the_smallest_limit():
    found = ask()
    assert isinstance(found, Admitted)
    dearest = max(leg_usd_e6(MARKETS[i], PRICES[i]) for i in range(3))
    assert found.size_e6 // 10**6 * dearest <= LIMITS.max_order_usd_e6
    assert found.size_e6 > 0


def test_the_gate_speaks_before_risk():
    killed = test_risk.standing(killed=True)
    assert ask(standing=killed, trading=False) is Refusal.DISABLED
    assert ask(standing=killed) is Refusal.KILLED


@pytest.mark.parametrize("mode", [m for m in Mode if m is not Mode.ARMED])
def test_in_no_other_mode_than_armed_is_a_basket_sent(mode):
    if mode is Mode.NONE:
        return
    assert ask(standing=test_risk.standing(mode=mode)) is Refusal.MODE


def test_the_refusal_names_the_limit_that_left_too_little():
    exposure = Exposure()
    exposure.total_usd_e6 = LIMITS.max_total_usd_e6 - 1_000_000
    assert ask(standing=test_risk.standing(exposure=exposure)) is Refusal.EXPOSURE
    few = RiskSettings(max_order_shares=1)
    assert ask(limits=few) is Refusal.SHARES


def test_risk_sees_the_legs_of_the_signal_and_no_others():
    one = signal()
    wanted = wanted_of(one, shape_of(one, test_gate.situation()), quotes())
    assert [m.row for m in wanted.markets] == [0, 1, 2]
    assert tuple(wanted.outcomes) == OUTCOMES
    assert tuple(wanted.prices_e4) == PRICES
    assert (wanted.purpose, wanted.basket, wanted.payout_e4) == (
        Purpose.BASKET, one.basket, one.payout_e4,
    )  # fmt: skip
    assert len(wanted.quotes) == 3


@given(st.integers(5, 400), st.integers(10**6, 10**10), st.integers(0, 5 * 10**8))
def test_what_is_admitted_is_within_every_limit_at_once(size, equity, at_risk):
    exposure = Exposure()
    exposure.total_usd_e6 = at_risk
    standing = test_risk.standing(equity_usd_e6=equity, exposure=exposure)
    one = signal(size=size)
    found = ask(one, standing)
    if isinstance(found, Refusal):
        return
    known = test_gate.situation(ticks_e4={0: 10, 1: 10, 2: 10})
    wanted = wanted_of(one, shape_of(one, known), quotes())
    assert refusal(wanted, standing, LIMITS) is None
    assert found.size_e6 <= min(size, units_allowed(wanted, standing, LIMITS)[0]) * 10**6
    assert found.reserve_usd_e6 <= SETTINGS.max_basket_usd_e6
    smaller = ask(one, replace(standing, equity_usd_e6=equity // 2))
    assert isinstance(smaller, Refusal) or smaller.size_e6 <= found.size_e6
