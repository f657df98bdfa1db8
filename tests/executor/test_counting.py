"""Counting: what leaves is counted where it leaves, and compared from one moment on."""

import pytest

from executor.batch import PlainBatch
from executor.breaker import Signs
from executor.counting import Count, Meter
from executor.wire import encode_batch
from tests.executor.test_batch import Orders, account, build
from tests.executor.test_launching import built
from tests.executor.written import Written


def test_each_order_of_a_batch_counts_and_nothing_else_does():
    meter = Meter()
    request = built()[1]
    meter.note(request)
    assert meter.orders == 3
    for other in (b"GET /time HTTP/1.1\r\n\r\n", b"", encode_batch([])):
        meter.note(other)
    assert meter.orders == 3
    meter.note(request)
    assert meter.orders == 6


@pytest.mark.parametrize("signature_type", [0, 1, 2, 3])
def test_every_order_of_every_kind_of_wallet_has_the_mark_once(signature_type):
    batch, stream = PlainBatch(account(signature_type)), Orders(signature_type)
    for _ in range(20):
        orders, meter = stream.many(), Meter()
        meter.note(build(batch, orders, 1_795_000_000_000)[1])
        assert meter.orders == len(orders)


@pytest.fixture
def written(tmp_path):
    return Written(tmp_path).begin()


def test_what_was_before_does_not_count(written):
    meter, signs = Meter(), Signs()
    written.launch()
    meter.note(built()[1])
    count = Count(written.chronicle, meter)
    count.look(signs)
    assert (signs.orders_intended, signs.orders_on_wire) == (0, 0)
    written.launch(signal=2)
    count.look(signs)
    assert (signs.orders_intended, signs.orders_on_wire) == (3, 0)
    meter.note(built()[1])
    count.look(signs)
    assert (signs.orders_intended, signs.orders_on_wire) == (3, 3)


def test_what_was_not_written_does_not_count(written):
    count, signs = Count(written.chronicle, Meter()), Signs()
    written.fill_disk()
    assert not written.chronicle.write_orders(*written.orders())
    count.look(signs)
    assert signs.orders_intended == 0
