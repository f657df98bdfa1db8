from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.pace import BANK_MAX_MS, BURST_MAX_FRAMES, Pace


@settings(max_examples=30, deadline=None)
@given(st.integers(20, 3000), st.integers(0, 99), st.integers(1, 50))
def test_in_the_long_run_as_many_are_promised_as_the_rate_allows(rate, seed, step_ms):
    pace, made = Pace(float(rate), Random(seed)), 0
    for now_ms in range(0, 60_000, step_ms):
        pace.advance(now_ms)
        while size := pace.burst():
            for _ in range(size):
                pace.kept()
            pace.made(size)
            made += size
    assert abs(made - rate * 60) <= rate * 60 * 0.02 + 2 * BURST_MAX_FRAMES


def test_bursts_are_uneven():
    pace = Pace(300.0, Random(1))
    sizes = []
    for now_ms in range(0, 60_000, 5):
        pace.advance(now_ms)
        while size := pace.burst():
            sizes.append(size)
            for _ in range(size):
                pace.kept()
            pace.made(size)
    assert min(sizes) < 5
    assert max(sizes) > 40


def test_promises_count_before_they_are_kept():
    pace = Pace(100.0, Random(1))
    pace.advance(0)
    pace.advance(1000)
    promised = 0
    while size := pace.burst():
        promised += size
    assert 0 < promised <= 100


def test_frames_beyond_the_rate_make_a_debt():
    pace = Pace(100.0, Random(1))
    pace.advance(0)
    pace.advance(500)
    assert pace.is_free()
    pace.made(80)
    assert not pace.is_free()
    pace.advance(900)
    assert pace.is_free()


def test_a_long_pause_is_not_made_up_for():
    pace = Pace(100.0, Random(1))
    pace.advance(0)
    pace.advance(3_600_000)
    promised = 0
    while size := pace.burst():
        promised += size
    assert promised <= 100 * BANK_MAX_MS / 1000


def test_a_rate_of_zero_makes_nothing():
    pace = Pace(0.0, Random(1))
    pace.advance(0)
    pace.advance(10_000)
    assert pace.burst() == 0
    assert not pace.is_free()
