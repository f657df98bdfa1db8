"""Stillness: what counts as having stood still, on a clock that the test turns."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shm.stillness import LIMIT_NS, Stillness, boot_ns


class Clock:
    def __init__(self) -> None:
        self.now_ns = 10**15

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock():
    return Clock()


def test_a_loop_that_turns_in_time_has_not_stood_still(clock):
    still = Stillness(clock)
    for _ in range(100):
        clock.now_ns += LIMIT_NS
        assert not still.look()
    assert still.stops == 0


def test_a_stop_is_noticed_once_with_its_length(clock):
    still = Stillness(clock)
    clock.now_ns += LIMIT_NS + 1
    assert still.look()
    assert (still.stops, still.lasted_ns) == (1, LIMIT_NS + 1)
    assert not still.look()
    assert still.stops == 1


def test_who_has_not_heeded_a_stop_sees_it_whether_the_loop_has_noticed_or_not(clock):
    still = Stillness(clock)
    clock.now_ns += LIMIT_NS
    assert not still.unheeded(0)
    clock.now_ns += 1
    assert still.unheeded(0)
    still.look()
    assert still.unheeded(0)
    assert not still.unheeded(1)


def test_a_watcher_may_be_more_careful(clock):
    still = Stillness(clock, limit_ns=10)
    clock.now_ns += 11
    assert still.look()
    assert still.recent
    clock.now_ns += 10
    assert not still.look()
    assert not still.recent


def test_for_a_while_after_a_stop_nobody_else_is_judged(clock):
    still = Stillness(clock)
    clock.now_ns += 10 * LIMIT_NS
    assert still.look()
    assert still.recent
    clock.now_ns += LIMIT_NS - 1
    still.look()
    assert still.recent
    clock.now_ns += 1
    still.look()
    assert not still.recent


@given(st.lists(st.integers(0, 4 * LIMIT_NS), max_size=50))
def test_every_gap_beyond_the_limit_is_a_stop_and_no_other(gaps):
    clock = Clock()
    still = Stillness(clock)
    noticed = []
    for gap_ns in gaps:
        clock.now_ns += gap_ns
        noticed.append(still.look())
    assert noticed == [gap_ns > LIMIT_NS for gap_ns in gaps]
    assert still.stops == sum(noticed)


def test_the_clock_counts_what_the_monotonic_one_does_and_sleep_besides():
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert before <= boot_ns() <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert boot_ns() >= time.monotonic_ns() - 10**9
