"""Latency histograms: which bucket a value falls into, and what the buckets say.

Log-linear: values below 32 have a bucket each, above that every power of two is cut into 32, so a
bucket is 3 % wide. 1024 buckets reach 68 seconds; what is larger counts in the last one, and the
exact maximum is kept beside the buckets. The compiled twin of `bucket_of` is `pt_bucket_of` in
shm/atomics.h.
"""

from collections.abc import Sequence

from shm.layout import HISTOGRAM_BUCKETS

SUB_BITS = 5
SUB_COUNT = 1 << SUB_BITS


def bucket_of(value: int) -> int:
    """Bucket of a non-negative value."""
    if value < SUB_COUNT:
        return value
    shift = value.bit_length() - 1 - SUB_BITS
    return min(((shift + 1) << SUB_BITS) + (value >> shift) - SUB_COUNT, HISTOGRAM_BUCKETS - 1)


def bucket_upper(bucket: int) -> int:
    """Largest value that falls into a bucket."""
    if bucket < SUB_COUNT:
        return bucket
    shift = (bucket >> SUB_BITS) - 1
    return ((bucket & (SUB_COUNT - 1)) + SUB_COUNT + 1 << shift) - 1


def percentile(buckets: Sequence[int], share: float, max_ns: int) -> int:
    """Upper end of the bucket in which the `share` (0..1) of the counted values is reached.

    0 when nothing was counted; never above the recorded maximum.
    """
    total = sum(buckets)
    if total == 0:
        return 0
    wanted = max(1, -(-int(total * share * 1_000_000) // 1_000_000))
    seen = 0
    for bucket, count in enumerate(buckets):
        seen += count
        if seen >= wanted:
            return min(bucket_upper(bucket), max_ns)
    return max_ns
