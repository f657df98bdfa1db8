"""Preparing: the pool is full before the first order, and fills again beside the orders."""

import time

import pytest

from executor.curve import PlainKey
from executor.preparing import Refill
from executor.wallet import make_key
from shm import backend
from tests.conftest import require_or_skip
from tests.executor import vectors

POOL = 16


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def key():
    require_or_skip(backend.NATIVE, "the compiled kernels")
    return make_key(bytearray(vectors.TEST_KEY))


def until_full(key) -> None:
    deadline_s = time.monotonic() + 30
    while key.pooled < POOL:
        assert time.monotonic() < deadline_s, "the pool never fills"
        time.sleep(0.001)


def test_the_pool_is_full_before_the_first_order_and_again_after_many(key):
    refill = Refill(key, POOL)
    try:
        assert key.pooled == POOL
        for number in range(1, 5 * POOL):
            key.sign(digest(number))
        until_full(key)
        assert key.prepared + refill.missing == 5 * POOL - 1
        assert key.prepared >= POOL
    finally:
        refill.stop()


def test_an_empty_pool_is_counted_and_signs_all_the_same(key):
    refill = Refill(key, POOL)
    refill.stop()
    signatures = [key.sign(digest(number)) for number in range(1, POOL + 4)]
    assert refill.missing == 3
    assert len(set(signatures)) == POOL + 3
    assert signatures[-1] == PlainKey(bytearray(vectors.TEST_KEY)).sign(digest(POOL + 3))


def test_a_stopped_thread_prepares_nothing_more(key):
    refill = Refill(key, POOL)
    refill.stop()
    key.sign(digest(1))
    time.sleep(0.1)
    assert key.pooled == POOL - 1
