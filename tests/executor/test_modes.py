"""Modes: everything falls to a halt at once, nothing rises without its reason."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.modes import (
    CAUSES_OF_BACK,
    MAY_SEND,
    NEXT,
    PASSING,
    Demand,
    check_step,
    is_fall,
    may_send,
    worst,
)
from shm.codes import Cause, Mode, Purpose

MODES = [mode for mode in Mode if mode is not Mode.NONE]
FREE = {Mode.ARMED}


def test_the_tables_name_every_mode():
    assert set(NEXT) == set(MAY_SEND) == set(MODES)
    assert all(after <= set(MODES) for after in NEXT.values())


def test_every_mode_can_halt_at_once_and_a_halt_ends_only_by_reconciling():
    for mode in MODES:
        if mode is not Mode.HALTED:
            assert is_fall(mode, Mode.HALTED)
    assert NEXT[Mode.HALTED] == {Mode.RECONCILING}
    with pytest.raises(AssertionError, match="CALM"):
        check_step(Mode.HALTED, Mode.RECONCILING, Cause.CALM)


@pytest.mark.parametrize(("now", "then"), list(product(MODES, MODES)))
def test_more_freedom_needs_a_reason_that_gives_it(now, then):
    if then not in NEXT[now] or then > now:
        return
    for cause in Cause:
        if cause in CAUSES_OF_BACK[then]:
            check_step(now, then, cause)
        else:
            with pytest.raises(AssertionError):
                check_step(now, then, cause)


def test_armed_is_reached_only_from_disarmed_or_from_a_passing_mode():
    assert {mode for mode in MODES if Mode.ARMED in NEXT[mode]} == {Mode.DISARMED} | PASSING


def test_baskets_leave_only_when_armed_and_repairs_also_when_reducing():
    assert {mode for mode in MODES if may_send(mode, Purpose.BASKET)} == FREE
    assert {mode for mode in MODES if may_send(mode, Purpose.REPAIR)} == FREE | {Mode.REDUCE_ONLY}


demands = st.lists(st.builds(Demand, st.sampled_from(MODES), st.sampled_from(list(Cause))))


@given(st.sampled_from(MODES), demands)
def test_of_many_demands_the_deepest_fall_is_followed_and_none_ever_rises(now, some):
    followed = worst(now, some)
    if followed is None:
        assert not any(is_fall(now, demand.mode) for demand in some)
        return
    assert followed.mode > now
    assert followed.mode in NEXT[now]
    assert all(d.mode <= followed.mode for d in some if is_fall(now, d.mode))
    assert len(MAY_SEND[followed.mode]) <= len(MAY_SEND[now]) or not MAY_SEND[now]


def test_before_it_is_armed_nothing_but_a_halt_is_a_fall():
    for mode in (Mode.BOOT, Mode.RECONCILING, Mode.DISARMED):
        assert worst(mode, [Demand(Mode.REDUCE_ONLY, Cause.DAY_LOSS)]) is None
