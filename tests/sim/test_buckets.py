import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.buckets import Bucket, RateLimits, Rates, Window


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 8)), max_size=40))
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(asked):
    bucket, now_ms, given_tokens = Bucket(7, 5, 0), 0, 0
    for passed_ms, tokens in asked:
        now_ms += passed_ms
        given_tokens += tokens * bucket.take(tokens, now_ms)
        assert given_tokens <= 5 + 7 * now_ms / 1000
        assert bucket.remaining(now_ms) <= 5


@given(st.integers(1, 20), st.integers(1, 100))
def test_after_the_time_it_names_a_bucket_gives(tokens, per_s):
    bucket = Bucket(per_s, 20, 0)
    bucket.spend(35, 0)
    wait_ms = bucket.wait_ms(tokens, 0)
    assert not bucket.take(tokens, wait_ms - 1)
    assert bucket.take(tokens, wait_ms)


def test_a_bucket_may_be_overdrawn_and_fills_up_again():
    bucket = Bucket(2, 3, 0)
    bucket.spend(9, 0)
    assert bucket.remaining(0) == -6
    assert bucket.remaining(2_500) == -1
    assert bucket.remaining(60_000) == 3


def test_without_limits_there_are_no_headers():
    limits = RateLimits()
    assert limits.take("a", "orders", 1000, 0) == (True, {})
    assert limits.spend("a", "cancels", 1000, 0) == {}
    assert limits.rows(0) == {}


def test_limits_that_end_forget_everything():
    limits = RateLimits()
    limits.set(Rates("Gold", 1, 1, 1, 1, enforce=True))
    assert limits.take("a", "orders", 1, 0)[0]
    assert not limits.take("a", "orders", 1, 0)[0]
    limits.set(None)
    assert limits.take("a", "orders", 1, 0) == (True, {})


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60))
def test_a_window_lets_no_more_pass_than_it_says_in_any_span(gaps):
    window, now_ms, passed = Window(3, 1_000), 0, []
    for gap_ms in gaps:
        now_ms += gap_ms
        wait_ms = window.book(now_ms, 5_000)
        if wait_ms is not None:
            assert 0 <= wait_ms <= 5_000
            passed.append(now_ms + wait_ms)
    assert passed == sorted(passed)
    for first, fourth in zip(passed, passed[3:], strict=False):
        assert fourth - first >= 1_000


@pytest.mark.parametrize(("longest_ms", "wait_ms"), [(1_000, 1_000), (999, None)])
def test_who_would_wait_too_long_is_told_so(longest_ms, wait_ms):
    window = Window(1, 1_000)
    assert window.book(0, 0) == 0
    assert window.book(0, longest_ms) == wait_ms
