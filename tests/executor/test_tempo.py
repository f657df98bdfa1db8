"""The bucket of tokens: never more than burst and rate allow, exactly."""

from hypothesis import given
from hypothesis import strategies as st

from executor.tempo import Bucket

SECOND = 10**9
steps = st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 10)), max_size=60)


@given(st.integers(1, 50), st.integers(1, 50), steps)
def test_whoever_asks_first_never_sends_more_than_rate_and_burst(per_second, burst, wishes):
    bucket, now_ns, taken = Bucket(per_second, burst), SECOND, []
    for wait_ns, count in wishes:
        now_ns += wait_ns
        room = bucket.room(now_ns)
        assert 0 <= room <= burst
        if count <= room:
            bucket.take(now_ns, count)
            taken.append((now_ns, count))
    for start, (since_ns, _) in enumerate(taken):
        sent = 0
        for at_ns, count in taken[start:]:
            sent += count
            assert (sent - burst) * SECOND <= (at_ns - since_ns) * per_second


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 10**4))
def test_what_was_used_comes_back_at_the_rate_and_not_sooner(per_second, burst, wait_ms):
    bucket = Bucket(per_second, burst)
    bucket.take(SECOND, burst)
    assert bucket.room(SECOND) == 0
    assert bucket.room(SECOND + wait_ms * 10**6) == min(burst, wait_ms * per_second // 1_000)


def test_who_takes_more_than_there_is_owes_it():
    bucket = Bucket(5, 10)
    bucket.take(SECOND, 15)
    assert bucket.room(SECOND) == -5
    assert bucket.room(2 * SECOND) == 0
    assert bucket.room(3 * SECOND) == 5


def test_a_clock_that_goes_back_gives_nothing():
    bucket = Bucket(5, 10)
    bucket.take(5 * SECOND, 10)
    assert bucket.room(SECOND) == 0


def test_parts_of_a_token_are_kept():
    bucket = Bucket(1, 1)
    bucket.take(SECOND, 1)
    for part in range(1, 10):
        assert bucket.room(SECOND + part * SECOND // 10) == 0
    assert bucket.room(2 * SECOND) == 1
