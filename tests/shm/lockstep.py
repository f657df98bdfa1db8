"""Machines that drive several kernels with the same acts: crashes, take-overs and old age included.

Each machine also keeps its own plain account of what must come out, so that two kernels with the
same mistake do not pass. `kernels` is a class attribute: a test that plants a mistake puts a spoilt
one beside the reference.
"""

from types import ModuleType

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shm import model
from shm.codes import StageState
from shm.errors import FencedError
from shm.layout import DIRTY_WORDS, ROLE_ROW
from shm.segments import (
    LATCH_HEAD_BYTES,
    RING_READ_OFFSET,
    RING_SLOTS_OFFSET,
    RING_WAITER_OFFSET,
)

STRIDE = 64
PAYLOAD = STRIDE - 8
CAPACITIES = (1, 2, 4, 8)
ACTS_MAX = 60
STARTS = (0, 1, 2**32 - 2, 2**63 - 3, 2**63 - 1, 2**64 - 16 * ACTS_MAX)
"""Positions at which a ring begins its life here: fresh, and at every age at which bits run out.
The last is as far from the end of 64 bits as one machine can push."""
MANY = st.integers(0, 10)


def message(number: int, size: int = PAYLOAD) -> bytes:
    """A payload that is full of its number."""
    return number.to_bytes(8, "little") * (size // 8)


def word(value: int) -> bytes:
    """Eight bytes as they lie in memory."""
    return value.to_bytes(8, "little")


class _Machine(RuleBasedStateMachine):
    """A role with an epoch for each kernel, and memory that must stay the same in all."""

    kernels: tuple[ModuleType, ...] = (model,)

    def __init__(self) -> None:
        super().__init__()
        self.roles = [bytearray(ROLE_ROW.size) for _ in self.kernels]
        self.memories: list[bytearray] = []
        self.epoch = 0
        self.our_epoch = 0
        self.number = 0

    @property
    def fenced(self) -> bool:
        """Whether a successor has taken the role."""
        return self.our_epoch != self.epoch

    def fences(self) -> list:
        at = ROLE_ROW.offset_of["epoch"]
        return [
            kernel.Fence(role, at, self.our_epoch)
            for kernel, role in zip(self.kernels, self.roles, strict=True)
        ]

    def take_role(self) -> None:
        self.epoch += 1
        holder = (self.epoch * 7, self.epoch * 11)
        epochs = {
            kernel.take_role(role, 0, holder, self.epoch * 13, StageState.STARTING)
            for kernel, role in zip(self.kernels, self.roles, strict=True)
        }
        assert epochs == {self.epoch}
        row = ROLE_ROW.unpack(self.roles[0])
        assert (row.epoch, row.pid, row.start_ticks) == (self.epoch, *holder)
        assert (row.started_ns, row.heartbeat_ns) == (self.epoch * 13, self.epoch * 13)
        assert (row.state, row.adopted_generation) == (StageState.STARTING, 0)

    def everywhere(self, acts) -> object:
        """Do an act in every kernel; the one outcome, `FencedError` itself if it was raised."""
        outcomes = []
        for act in acts:
            try:
                outcomes.append(act())
            except FencedError as error:
                outcomes.append((FencedError, str(error)))
        assert all(outcome == outcomes[0] for outcome in outcomes), outcomes
        refused = isinstance(outcomes[0], tuple) and outcomes[0][0] is FencedError
        return FencedError if refused else outcomes[0]

    def write(self, offset: int, data: bytes) -> None:
        """What a process did just before it was killed."""
        for memory in self.memories:
            memory[offset : offset + len(data)] = data

    def read(self, offset: int) -> int:
        return int.from_bytes(self.memories[0][offset : offset + 8], "little")

    @rule()
    def another_takes_the_role(self) -> None:
        self.take_role()

    @rule()
    def ask_the_fence(self) -> None:
        outcome = self.everywhere([fence.check for fence in self.fences()])
        assert outcome is (FencedError if self.fenced else None)

    @invariant()
    def the_bytes_are_the_same(self) -> None:
        assert all(memory == self.memories[0] for memory in self.memories)
        assert all(role == self.roles[0] for role in self.roles)


class Rings(_Machine):
    """One ring, its two ends and a passer-by."""

    @initialize(capacity=st.sampled_from(CAPACITIES), start=st.sampled_from(STARTS))
    def begin(self, capacity: int, start: int) -> None:
        self.capacity = capacity
        self.memories = [bytearray(RING_SLOTS_OFFSET + STRIDE * capacity) for _ in self.kernels]
        self.write(0, word(start))
        self.write(RING_READ_OFFSET, word(start))
        self.sent: dict[int, int] = {}
        """By position: the number that was published there."""
        self.written = self.next = start
        self.released = start
        self.overflow = 0
        self.take_role()
        self.our_epoch = self.epoch
        self._open_producers()
        self._open_consumers()
        self.tails = [
            kernel.RingTail(memory, 0, STRIDE, capacity)
            for kernel, memory in zip(self.kernels, self.memories, strict=True)
        ]

    def _open_producers(self) -> None:
        self.producers = [
            kernel.RingProducer(memory, 0, STRIDE, self.capacity, fence)
            for kernel, memory, fence in zip(
                self.kernels, self.memories, self.fences(), strict=True
            )
        ]
        assert {p.position for p in self.producers} == {self.written}

    def _open_consumers(self) -> None:
        self.consumers = [
            kernel.RingConsumer(memory, 0, STRIDE, self.capacity)
            for kernel, memory in zip(self.kernels, self.memories, strict=True)
        ]
        assert {c.position for c in self.consumers} == {self.released}
        self.next = self.released

    @property
    def room(self) -> int:
        return self.capacity - (self.written - self.released)

    # --- the producer ---------------------------------------------------------------------------

    @rule(wake=st.booleans())
    def push(self, wake: bool) -> None:
        self.number += 1
        payload = message(self.number)
        pushed = self.everywhere([lambda p=p: p.try_push(payload, wake) for p in self.producers])
        if self.room == 0:
            assert pushed is False
            self.overflow += 1
        elif self.fenced:
            assert pushed is FencedError
        else:
            assert pushed is True
            self._published([self.number])

    @rule(count=MANY, wake=st.booleans())
    def push_many(self, count: int, wake: bool) -> None:
        numbers = range(self.number + 1, self.number + 1 + count)
        self.number += count
        payloads = b"".join(map(message, numbers))
        pushed = self.everywhere([lambda p=p: p.push_many(payloads, wake) for p in self.producers])
        if self.fenced and count and self.room:
            assert pushed is FencedError
            return
        fits = min(count, self.room)
        assert pushed == fits
        self.overflow += count > fits
        self._published(numbers[:fits])

    def _published(self, numbers) -> None:
        for number in numbers:
            self.sent[self.written] = number
            self.written += 1

    @rule()
    def restart_producer(self) -> None:
        if self.fenced:
            self.take_role()
            self.our_epoch = self.epoch
        self._open_producers()

    @rule()
    def a_predecessor_cannot_open_the_ring(self) -> None:
        if self.fenced:
            acts = [
                lambda k=k, m=m, f=f: k.RingProducer(m, 0, STRIDE, self.capacity, f)
                for k, m, f in zip(self.kernels, self.memories, self.fences(), strict=True)
            ]
            assert self.everywhere(acts) is FencedError

    @rule()
    def kill_producer_before_the_hint(self) -> None:
        if self.written > self.released and self.written - 1 in self.sent:
            self.write(0, word(self.written - 1))
            self.restart_producer()

    @rule(words=st.integers(0, PAYLOAD // 8))
    def kill_producer_before_the_commit(self, words: int) -> None:
        if self.room:
            self.write(self._slot(self.written) + 8, b"\xee" * 8 * words)
            self.restart_producer()

    def _slot(self, position: int) -> int:
        return RING_SLOTS_OFFSET + position % self.capacity * STRIDE

    # --- the consumer ---------------------------------------------------------------------------

    @rule()
    def pop(self) -> None:
        popped = self.everywhere([c.pop for c in self.consumers])
        if self.next == self.written:
            assert popped is None
            return
        assert popped == message(self.sent[self.next])
        self.next += 1
        self.released = self.next

    @rule(most=MANY)
    def pop_many(self, most: int) -> None:
        popped = self.everywhere([lambda c=c: c.pop_many(most) for c in self.consumers])
        last = min(self.next + most, self.written)
        assert popped == b"".join(message(self.sent[p]) for p in range(self.next, last))
        self.next = last
        self.released = max(self.released, last)

    @rule(spins=st.integers(0, 150))
    def wait(self, spins: int) -> None:
        ready = self.everywhere([lambda c=c: c.wait(spins, 0) for c in self.consumers])
        assert ready is (self.next < self.written)

    @rule()
    def restart_consumer(self) -> None:
        self._open_consumers()

    @rule(most=st.integers(1, 10))
    def kill_consumer_before_the_release(self, most: int) -> None:
        """It had copied the messages; its successor gets every one of them again."""
        released = self.released
        for consumer in self.consumers:
            consumer.pop_many(most)
        self.write(RING_READ_OFFSET, word(released))
        self._open_consumers()

    @rule()
    def consumer_falls_asleep(self) -> None:
        """Only its flag: whoever pushes and wants to wake it says so once."""
        self.write(RING_WAITER_OFFSET, word(1))

    # --- onlookers ------------------------------------------------------------------------------

    @rule(back=st.integers(-2, 10))
    def peek(self, back: int) -> None:
        position = self.written - back
        if position < 0:
            return
        seen = self.everywhere([lambda t=t: t.peek(position) for t in self.tails])
        kept = self.written - self.capacity < position < self.written and position in self.sent
        assert seen == (message(self.sent[position]) if kept else None)

    @invariant()
    def the_account_agrees(self) -> None:
        for end in (*self.producers, *self.consumers, *self.tails):
            assert end.written == self.written
            assert end.overflow == self.overflow
            assert end.capacity == self.capacity
        assert {c.lag for c in self.consumers} == {self.written - self.next}
        assert self.read(RING_READ_OFFSET) == self.released


class Tables(_Machine):
    """Rows of a latch, dirty bits and words, each with its writer, its readers and their deaths."""

    rows = 3
    copy_bytes = 64
    stride = LATCH_HEAD_BYTES + 2 * copy_bytes
    words_offset = stride * rows
    marks_offset = words_offset + 64
    seen_offset = marks_offset + 8 * DIRTY_WORDS
    size = seen_offset + 8 * DIRTY_WORDS

    @initialize(age=st.sampled_from((0, 1, 2**63 - 2, 2**63 - 1)))
    def begin(self, age: int) -> None:
        self.memories = [bytearray(self.size) for _ in self.kernels]
        for row in range(self.rows):
            self.write(row * self.stride, word(age))
        self.versions = [age] * self.rows
        self.values = [0] * self.rows
        self.dirty: set[int] = set()
        self.counters = [0] * 8
        self.take_role()
        self.our_epoch = self.epoch
        self._open()
        shape = (0, self.copy_bytes, self.rows)
        pairs = list(zip(self.kernels, self.memories, strict=True))
        self.readers = [k.LatchReader(m, *shape) for k, m in pairs]
        self._open_takers()

    def _open(self) -> None:
        shape = (0, self.copy_bytes, self.rows)
        marks = (self.marks_offset, self.seen_offset)
        triples = list(zip(self.kernels, self.memories, self.fences(), strict=True))
        self.writers = [k.LatchWriter(m, *shape, f) for k, m, f in triples]
        self.markers = [k.DirtyMarker(m, *marks, f) for k, m, f in triples]
        self.words = [k.Words(m, self.words_offset, 8, True) for k, m, _ in triples]

    def _open_takers(self) -> None:
        self.takers = [
            kernel.DirtyTaker(memory, self.marks_offset, self.seen_offset)
            for kernel, memory in zip(self.kernels, self.memories, strict=True)
        ]

    @rule()
    def restart_writer(self) -> None:
        if self.fenced:
            self.take_role()
            self.our_epoch = self.epoch
        self._open()

    @rule(row=st.integers(0, rows - 1))
    def write_row(self, row: int) -> None:
        self.number += 1
        payload = message(self.number, self.copy_bytes)
        outcome = self.everywhere([lambda w=w: w.write(row, payload) for w in self.writers])
        if self.fenced:
            assert outcome is FencedError
            return
        self.versions[row] += 1
        self.values[row] = self.number
        assert outcome == self.versions[row]

    @rule(row=st.integers(0, rows - 1), words=st.integers(0, copy_bytes // 8))
    def kill_writer_inside_a_write(self, row: int, words: int) -> None:
        hidden = (self.versions[row] + 1) % 2
        start = row * self.stride + LATCH_HEAD_BYTES + hidden * self.copy_bytes
        self.write(start, b"\xee" * 8 * words)
        self.restart_writer()

    @rule(row=st.integers(0, rows - 1))
    def read_row(self, row: int) -> None:
        seen = self.everywhere([lambda r=r: r.read(row) for r in self.readers])
        assert seen == message(self.values[row], self.copy_bytes)
        assert {reader.seen for reader in self.readers} == {self.versions[row]}
        for latch in (*self.readers, *self.writers):
            assert latch.version(row) == self.versions[row]

    @rule(index=st.integers(0, 64 * DIRTY_WORDS - 1))
    def mark(self, index: int) -> None:
        outcome = self.everywhere([lambda m=m: m.mark(index) for m in self.markers])
        if self.fenced:
            assert outcome is FencedError
        else:
            self.dirty.add(index)

    @rule()
    def take(self) -> None:
        assert self.everywhere([taker.take for taker in self.takers]) == sorted(self.dirty)
        self.dirty.clear()

    @rule(words=st.integers(0, DIRTY_WORDS))
    def kill_taker_in_the_middle(self, words: int) -> None:
        """It had taken the bits of the first words, and its successor looks at all books anyway."""
        for at in range(0, 8 * words, 8):
            self.write(self.seen_offset + at, word(self.read(self.marks_offset + at)))
        self.dirty = {index for index in self.dirty if index >= 64 * words}
        self._open_takers()

    @rule(index=st.integers(0, 7), amount=st.integers(0, 2**64 - 1))
    def count(self, index: int, amount: int) -> None:
        self.everywhere([lambda w=w: w.add(index, amount) for w in self.words])
        self.counters[index] = (self.counters[index] + amount) % 2**64

    @rule(index=st.integers(0, 7), value=st.integers(0, 2**64 - 1))
    def store(self, index: int, value: int) -> None:
        self.everywhere([lambda w=w: w.store(index, value) for w in self.words])
        self.counters[index] = value

    @rule(index=st.integers(0, 7))
    def load(self, index: int) -> None:
        loaded = self.everywhere([lambda w=w: w.load(index) for w in self.words])
        assert loaded == self.counters[index]
