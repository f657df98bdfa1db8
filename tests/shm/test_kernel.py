"""The protocols, act by act, in both kernels; tests/shm/test_lockstep.py drives them at random."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shm import backend, model
from shm.errors import FencedError
from shm.layout import HISTOGRAM
from shm.segments import LATCH_HEAD_BYTES, RING_SLOTS_OFFSET
from tests.conftest import require_or_skip

try:
    from shm import native
except ImportError:
    native = None

KERNELS = [model] if native is None else [model, native]
both = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)

STRIDE = 64
PAYLOAD = STRIDE - 8


def message(number: int) -> bytes:
    return number.to_bytes(8, "little") * (PAYLOAD // 8)


def ring_memory(capacity: int) -> bytearray:
    return bytearray(RING_SLOTS_OFFSET + STRIDE * capacity)


def test_ci_runs_these_tests_on_the_compiled_kernel_too():
    require_or_skip(native is not None, "the compiled kernel")
    assert backend.NATIVE


def test_both_kernels_have_the_same_classes_and_methods():
    require_or_skip(native is not None, "the compiled kernel")
    for name in model.__all__:
        theirs = getattr(native, name)
        ours = getattr(model, name)
        if isinstance(ours, type):
            public = {m for m in dir(ours) if not m.startswith("_")}
            assert public <= set(dir(theirs)), name


@both
def test_messages_arrive_once_and_in_order(kernel):
    memory = ring_memory(4)
    producer = kernel.RingProducer(memory, 0, STRIDE, 4, kernel.Fence())
    consumer = kernel.RingConsumer(memory, 0, STRIDE, 4)
    sent = got = 0
    for burst in (1, 4, 3, 2, 4):
        for _ in range(burst):
            assert producer.try_push(message(sent))
            sent += 1
        while (payload := consumer.pop()) is not None:
            assert payload == message(got)
            got += 1
    assert got == sent == 14


@both
def test_a_full_ring_refuses_counts_and_changes_nothing(kernel):
    memory = ring_memory(2)
    producer = kernel.RingProducer(memory, 0, STRIDE, 2, kernel.Fence())
    consumer = kernel.RingConsumer(memory, 0, STRIDE, 2)
    assert producer.try_push(message(1))
    assert producer.try_push(message(2))
    assert not producer.try_push(message(3))
    assert producer.overflow == 1
    assert consumer.lag == 2
    assert consumer.pop() == message(1)
    assert producer.try_push(message(3))
    assert [consumer.pop(), consumer.pop(), consumer.pop()] == [message(2), message(3), None]


@both
def test_a_producer_killed_between_commit_and_hint_is_rolled_forward(kernel):
    memory = ring_memory(4)
    producer = kernel.RingProducer(memory, 0, STRIDE, 4, kernel.Fence())
    for number in range(3):
        producer.try_push(message(number))
    memory[0:8] = (1).to_bytes(8, "little")  # the hint never got to 3
    successor = kernel.RingProducer(memory, 0, STRIDE, 4, kernel.Fence())
    assert successor.position == 3
    consumer = kernel.RingConsumer(memory, 0, STRIDE, 4)
    assert [consumer.pop() for _ in range(4)] == [message(0), message(1), message(2), None]


@both
def test_a_killed_consumer_gets_its_last_message_again(kernel):
    memory = ring_memory(4)
    producer = kernel.RingProducer(memory, 0, STRIDE, 4, kernel.Fence())
    consumer = kernel.RingConsumer(memory, 0, STRIDE, 4)
    producer.try_push(message(7))
    before = bytes(memory)
    consumer.pop()
    memory[:] = before  # killed before it could release
    assert kernel.RingConsumer(memory, 0, STRIDE, 4).pop() == message(7)


@both
def test_positions_near_the_end_of_63_bits_work(kernel):
    memory = ring_memory(2)
    start = 2**63 - 2
    for offset in (0, 128):
        memory[offset : offset + 8] = start.to_bytes(8, "little")
    producer = kernel.RingProducer(memory, 0, STRIDE, 2, kernel.Fence())
    consumer = kernel.RingConsumer(memory, 0, STRIDE, 2)
    for number in range(5):
        assert producer.try_push(message(number))
        assert consumer.pop() == message(number)
    assert producer.position == start + 5


@both
def test_a_tail_sees_messages_without_taking_them(kernel):
    memory = ring_memory(4)
    producer = kernel.RingProducer(memory, 0, STRIDE, 4, kernel.Fence())
    consumer = kernel.RingConsumer(memory, 0, STRIDE, 4)
    tail = kernel.RingTail(memory, 0, STRIDE, 4)
    for number in range(6):
        producer.try_push(message(number))
        consumer.pop()
    assert [tail.peek(p) for p in range(7)] == [
        None, None, None, message(3), message(4), message(5), None,
    ]  # fmt: skip


@both
def test_wait_returns_at_once_with_a_message_and_gives_up_without(kernel):
    memory = ring_memory(2)
    producer = kernel.RingProducer(memory, 0, STRIDE, 2, kernel.Fence())
    consumer = kernel.RingConsumer(memory, 0, STRIDE, 2)
    assert not consumer.wait(10, 1_000_000)
    producer.try_push(message(1))
    assert consumer.wait(0, 0)


@both
def test_a_latch_shows_the_last_write_and_counts_versions(kernel):
    memory = bytearray((LATCH_HEAD_BYTES + 2 * 64) * 3)
    writer = kernel.LatchWriter(memory, 0, 64, 3, kernel.Fence())
    reader = kernel.LatchReader(memory, 0, 64, 3)
    assert reader.read(1) == bytes(64)
    for version in range(1, 6):
        assert writer.write(1, bytes([version]) * 64) == version
        assert reader.read(1) == bytes([version]) * 64
        assert reader.seen == reader.version(1) == version
    assert reader.read(0) == reader.read(2) == bytes(64)


@both
def test_a_writer_killed_inside_a_write_has_spoilt_only_what_nobody_reads(kernel):
    memory = bytearray(LATCH_HEAD_BYTES + 2 * 64)
    writer = kernel.LatchWriter(memory, 0, 64, 1, kernel.Fence())
    writer.write(0, b"a" * 64)
    hidden = LATCH_HEAD_BYTES  # version 1 is in copy 1
    memory[hidden : hidden + 32] = b"x" * 32
    assert kernel.LatchReader(memory, 0, 64, 1).read(0) == b"a" * 64
    successor = kernel.LatchWriter(memory, 0, 64, 1, kernel.Fence())
    successor.write(0, b"b" * 64)
    assert kernel.LatchReader(memory, 0, 64, 1).read(0) == b"b" * 64


@both
def test_a_fenced_writer_changes_nothing(kernel):
    epoch = bytearray(8)
    epoch[0] = 5
    memory = ring_memory(2)
    rows = bytearray(LATCH_HEAD_BYTES + 2 * 64)
    dirty = bytearray(256)
    fence = kernel.Fence(epoch, 0, 5)
    producer = kernel.RingProducer(memory, 0, STRIDE, 2, fence)
    latch = kernel.LatchWriter(rows, 0, 64, 1, fence)
    marker = kernel.DirtyMarker(dirty, 0, 128, fence)
    fence.check()
    epoch[0] = 6
    before = bytes(memory), bytes(rows), bytes(dirty)
    for act in (
        fence.check,
        lambda: producer.try_push(message(1)),
        lambda: latch.write(0, bytes(64)),
        lambda: marker.mark(3),
        lambda: kernel.RingProducer(memory, 0, STRIDE, 2, fence),
    ):
        with pytest.raises(FencedError, match="epoch 5"):
            act()
    assert (bytes(memory), bytes(rows), bytes(dirty)) == before


@both
@given(st.lists(st.one_of(st.integers(0, 1023), st.none()), max_size=60))
def test_every_dirty_mark_is_taken_once_and_none_is_lost(kernel, acts):
    memory = bytearray(256)
    marker = kernel.DirtyMarker(memory, 0, 128, kernel.Fence())
    taker = kernel.DirtyTaker(memory, 0, 128)
    expected: set[int] = set()
    for index in [*acts, None]:
        if index is None:
            assert set(taker.take()) == expected
            expected.clear()
        else:
            marker.mark(index)
            expected.add(index)


@given(st.integers(0, 2**63))
@settings(max_examples=500)
def test_both_kernels_count_a_value_in_the_same_bucket(value):
    require_or_skip(native is not None, "the compiled kernel")
    histograms = [bytearray(HISTOGRAM.size) for _ in KERNELS]
    for kernel, memory in zip(KERNELS, histograms, strict=True):
        kernel.HistogramWriter(memory, 0).add(min(value, 2**62))
    assert histograms[0] == histograms[1]


@both
def test_words_are_bounded_and_respect_a_read_only_view(kernel):
    memory = bytearray(64)
    words = kernel.Words(memory, 0, 8, True)
    words.store(3, 41)
    words.add(3)
    assert kernel.Words(memory, 0, 8, False).load(3) == 42
    with pytest.raises(IndexError):
        words.load(8)
    with pytest.raises(TypeError):
        kernel.Words(memory, 0, 8, False).store(0, 1)
    with pytest.raises(ValueError, match="do not fit"):
        kernel.Words(memory, 8, 8, False)
