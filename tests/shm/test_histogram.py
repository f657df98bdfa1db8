"""Histograms: buckets without gaps, percentiles near the truth."""

from hypothesis import given
from hypothesis import strategies as st

from shm.histogram import bucket_of, bucket_upper, percentile
from shm.layout import HISTOGRAM_BUCKETS


def test_buckets_follow_each_other_without_gap_or_overlap():
    for bucket in range(HISTOGRAM_BUCKETS - 1):
        assert bucket_of(bucket_upper(bucket)) == bucket
        assert bucket_of(bucket_upper(bucket) + 1) == bucket + 1


@given(st.integers(0, 2**36 - 1))
def test_a_bucket_is_at_most_about_three_percent_wide(value):
    upper = bucket_upper(bucket_of(value))
    assert value <= upper <= value + value // 32 + 1


def test_what_is_too_large_counts_in_the_last_bucket():
    assert bucket_of(2**60) == HISTOGRAM_BUCKETS - 1


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_percentile_is_within_a_bucket_of_the_exact_one(values, share):
    buckets = [0] * HISTOGRAM_BUCKETS
    for value in values:
        buckets[bucket_of(value)] += 1
    rank = max(1, -(-int(len(values) * share * 1_000_000) // 1_000_000))
    exact = sorted(values)[rank - 1]
    said = percentile(buckets, share, max(values))
    assert exact <= said <= exact + exact // 32 + 1


def test_nothing_counted_gives_zero():
    assert percentile([0] * HISTOGRAM_BUCKETS, 0.5, 0) == 0
