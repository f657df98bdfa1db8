"""Backoff: full jitter under a ceiling that doubles and stops, also after very many failures."""

import random

from hypothesis import given
from hypothesis import strategies as st

from ingest.backoff import ceiling_s, delay_s


@given(st.integers(0, 10_000), st.integers(0, 2**32))
def test_every_delay_lies_between_zero_and_the_ceiling(attempt, seed):
    delay = delay_s(attempt, 0.25, 30.0, random.Random(seed))
    assert 0.0 <= delay <= ceiling_s(attempt, 0.25, 30.0) <= 30.0


def test_the_ceiling_doubles_up_to_its_cap_and_never_falls_back():
    ceilings = [ceiling_s(attempt, 0.25, 30.0) for attempt in range(200)]
    assert ceilings[:4] == [0.25, 0.5, 1.0, 2.0]
    assert ceilings == sorted(ceilings)
    assert ceilings[-1] == 30.0


def test_delays_are_spread_over_the_whole_range():
    source = random.Random(1)
    delays = [delay_s(10, 0.25, 30.0, source) for _ in range(2_000)]
    assert min(delays) < 1.0
    assert max(delays) > 29.0
