"""The shared-memory protocols in plain Python: reference for tests, and the mode without compiler.

Same classes, same behaviour as shm/native.pyx over shm/atomics.h, which holds the reasoning about
memory order. Python promises no order at all; what makes this correct between processes is that
CPython moves an aligned 8-byte word of a cast memoryview with one machine access and that x86
keeps stores in order and loads in order. On other processors `shm.backend` refuses to run stages
on this module. (Inside one process, as in replay and tests, it is correct everywhere.)

Every buffer argument is a bytes-like object; offsets and strides are in bytes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from shm.errors import FencedError
from shm.histogram import bucket_of
from shm.layout import COMMIT_BYTES, DIRTY_WORDS, HISTOGRAM, ROLE_ROW
from shm.segments import (
    LATCH_HEAD_BYTES,
    LAYOUT_ID,
    RING_READ_OFFSET,
    RING_SLOTS_OFFSET,
    RING_WAITER_OFFSET,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

__all__ = [
    "LAYOUT_ID",
    "DirtyMarker",
    "DirtyTaker",
    "Fence",
    "HistogramWriter",
    "LatchReader",
    "LatchWriter",
    "RingConsumer",
    "RingProducer",
    "RingTail",
    "Words",
    "die_with_parent",
    "take_role",
]

LATCH_TRIES = 64
_WORD_MASK = (1 << 64) - 1
_NAP_S = 0.0005
_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def _words(buffer: Buffer, offset: int, size: int) -> memoryview:
    view = memoryview(buffer)
    if offset % 8 or size % 8 or offset + size > view.nbytes:
        raise ValueError(f"{size} bytes at {offset} do not fit into {view.nbytes}")
    return view.cast("B")[offset : offset + size].cast("Q")


class Fence:
    """The epoch under which this process may publish; without arguments it never refuses."""

    def __init__(self, buffer: Buffer | None = None, offset: int = 0, epoch: int = 0) -> None:
        self.epoch = epoch
        self._word = None if buffer is None else _words(buffer, offset, 8)

    def check(self) -> None:
        """Raise `FencedError` if the role's epoch has moved on."""
        if self._word is not None and self._word[0] != self.epoch:
            raise FencedError(
                f"epoch {self.epoch} of this role is over (now {self._word[0]}): "
                "another process has taken it; nothing more is written here"
            )


class Words:
    """A row of u64 words, each with one writer."""

    def __init__(self, buffer: Buffer, offset: int, count: int, writable: bool) -> None:
        self._words = _words(buffer, offset, 8 * count)
        if writable and self._words.readonly:
            raise BufferError("mapped read-only")
        if not writable:
            self._words = self._words.toreadonly()
        self.count = count

    def load(self, index: int) -> int:
        """Value of a word; what its writer wrote before it is visible too."""
        self._check(index)
        return self._words[index]

    def store(self, index: int, value: int) -> None:
        """Set a word; only its writer may."""
        self._check(index)
        self._words[index] = value

    def add(self, index: int, amount: int = 1) -> None:
        """Count; only its writer may."""
        self._check(index)
        self._words[index] = (self._words[index] + amount) & _WORD_MASK

    def _check(self, index: int) -> None:
        if not 0 <= index < self.count:
            raise IndexError(index)


def take_role(buffer: Buffer, offset: int, holder: tuple[int, int], now_ns: int, state: int) -> int:
    """Raise a role's epoch, then describe its new holder (pid, start ticks); returns the epoch.

    The caller has the role's lock.
    """
    pid, start_ticks = holder
    words = _words(buffer, offset, ROLE_ROW.size)
    at = {name: field // 8 for name, field in ROLE_ROW.offset_of.items()}
    epoch = words[at["epoch"]] + 1
    words[at["epoch"]] = epoch  # first: from here on a predecessor's publications are refused
    words[at["start_ticks"]] = start_ticks
    words[at["pid"]] = pid
    words[at["started_ns"]] = now_ns
    words[at["adopted_generation"]] = 0
    words[at["state"]] = state
    words[at["heartbeat_ns"]] = now_ns
    return epoch


class _Ring:
    def __init__(self, buffer: Buffer, offset: int, stride: int, capacity: int) -> None:
        if capacity == 0 or capacity & (capacity - 1):
            raise ValueError(f"capacity {capacity} is not a power of two")
        words = _words(buffer, offset, RING_SLOTS_OFFSET + stride * capacity)
        self._producer = words[: RING_READ_OFFSET // 8]
        self._consumer = words[RING_READ_OFFSET // 8 : RING_WAITER_OFFSET // 8]
        self._waiter = words[RING_WAITER_OFFSET // 8 : RING_SLOTS_OFFSET // 8]
        self._slots = words[RING_SLOTS_OFFSET // 8 :]
        self._bytes = self._slots.cast("B")
        self._stride = stride
        self._payload = stride - COMMIT_BYTES
        self._mask = capacity - 1
        self.position = 0

    @property
    def written(self) -> int:
        """Messages ever published, as the producer's hint says."""
        return self._producer[0]

    @property
    def overflow(self) -> int:
        """Pushes that found the ring full."""
        return self._producer[2]

    @property
    def capacity(self) -> int:
        """Slots."""
        return self._mask + 1

    def _commit_index(self, position: int) -> int:
        return (position & self._mask) * self._stride // 8

    def _payload_slice(self, position: int) -> slice:
        start = (position & self._mask) * self._stride + COMMIT_BYTES
        return slice(start, start + self._payload)

    def _ready(self) -> bool:
        return self._slots[self._commit_index(self.position)] == self.position + 1


class RingProducer(_Ring):
    """The writing end. Opening it rolls forward over what a killed predecessor committed."""

    def __init__(
        self, buffer: Buffer, offset: int, stride: int, capacity: int, fence: Fence
    ) -> None:
        super().__init__(buffer, offset, stride, capacity)
        self._fence = fence
        fence.check()
        position = self._producer[0]
        while self._slots[self._commit_index(position)] == position + 1:
            position += 1
        self._producer[0] = position
        self.position = position
        self._read_cache = self._consumer[0]

    def try_push(self, payload: bytes, wake: bool = True) -> bool:
        """Publish one message; False and a counted overflow if the ring is full."""
        if len(payload) != self._payload:
            raise ValueError(f"payload is {len(payload)} bytes, slot takes {self._payload}")
        if self.position - self._read_cache > self._mask:
            self._read_cache = self._consumer[0]
            if self.position - self._read_cache > self._mask:
                self._producer[2] += 1
                return False
        self._fence.check()
        self._bytes[self._payload_slice(self.position)] = payload
        self._fence.check()
        self._slots[self._commit_index(self.position)] = self.position + 1
        self.position += 1
        self._producer[0] = self.position
        if wake:
            self._wake()
        return True

    def _wake(self) -> None:
        if self._waiter[0]:
            self._producer[1] += 1

    def push_many(self, payloads: bytes, wake: bool = True) -> int:
        """Publish messages that lie one after the other, oldest first; how many found room."""
        if len(payloads) % self._payload:
            raise ValueError(f"{len(payloads)} bytes are no multiple of {self._payload}")
        pushed = 0
        for start in range(0, len(payloads), self._payload):
            if not self.try_push(payloads[start : start + self._payload], wake=False):
                break
            pushed += 1
        if wake and pushed:
            self._wake()  # once for all of them
        return pushed


class RingConsumer(_Ring):
    """The reading end. It starts at the last released position: at-least-once after a crash."""

    def __init__(self, buffer: Buffer, offset: int, stride: int, capacity: int) -> None:
        super().__init__(buffer, offset, stride, capacity)
        self.position = self._consumer[0]
        self._waiter[0] = 0  # a predecessor may have died in its sleep

    def pop(self) -> bytes | None:
        """The next message, or None."""
        if not self._ready():
            return None
        payload = bytes(self._bytes[self._payload_slice(self.position)])
        self.position += 1
        self._consumer[0] = self.position
        return payload

    def pop_many(self, most: int) -> bytes:
        """Up to `most` messages, one after the other; their slots are given back together."""
        taken: list[bytes] = []
        while len(taken) < most and self._ready():
            taken.append(bytes(self._bytes[self._payload_slice(self.position)]))
            self.position += 1
        if taken:
            self._consumer[0] = self.position
        return b"".join(taken)

    def wait(self, spins: int, timeout_ns: int) -> bool:
        """True as soon as a message is there, False after `timeout_ns`; bounded."""
        for _ in range(min(spins, 100) + 1):
            if self._ready():
                return True
        deadline_ns = time.monotonic_ns() + timeout_ns
        while time.monotonic_ns() < deadline_ns:
            time.sleep(_NAP_S)
            if self._ready():
                return True
        return self._ready()

    @property
    def lag(self) -> int:
        """Messages published and not yet read."""
        return max(0, self._producer[0] - self.position)


class RingTail(_Ring):
    """A passer-by: copies messages that are still there, moves nothing."""

    def peek(self, position: int) -> bytes | None:
        """Message number `position`, or None if it is gone or not yet there."""
        index = self._commit_index(position)
        if self._slots[index] != position + 1:
            return None
        payload = bytes(self._bytes[self._payload_slice(position)])
        return payload if self._producer[0] <= position + self._mask else None


class _Latch:
    def __init__(self, buffer: Buffer, offset: int, copy_bytes: int, rows: int) -> None:
        if copy_bytes % 8:
            raise ValueError(f"a copy of {copy_bytes} bytes is not a multiple of 8")
        self._stride = LATCH_HEAD_BYTES + 2 * copy_bytes
        self._words = _words(buffer, offset, self._stride * rows)
        self._bytes = self._words.cast("B")
        self._copy_bytes = copy_bytes
        self.count = rows

    def version(self, row: int) -> int:
        """How often the row was written; grows with each write."""
        return self._words[self._sequence_index(row)]

    def _sequence_index(self, row: int) -> int:
        if not 0 <= row < self.count:
            raise IndexError(row)
        return row * self._stride // 8

    def _copy_slice(self, row: int, sequence: int) -> slice:
        start = row * self._stride + LATCH_HEAD_BYTES + (sequence & 1) * self._copy_bytes
        return slice(start, start + self._copy_bytes)


class LatchWriter(_Latch):
    """Writes rows; readers see the old copy or the new one, never a mixture."""

    def __init__(
        self, buffer: Buffer, offset: int, copy_bytes: int, rows: int, fence: Fence
    ) -> None:
        super().__init__(buffer, offset, copy_bytes, rows)
        self._fence = fence

    def write(self, row: int, payload: bytes) -> int:
        """Replace a row; returns its new version."""
        if len(payload) != self._copy_bytes:
            raise ValueError(f"payload is {len(payload)} bytes, a copy takes {self._copy_bytes}")
        self._fence.check()
        index = self._sequence_index(row)
        sequence = self._words[index]
        self._bytes[self._copy_slice(row, sequence + 1)] = payload
        self._fence.check()
        self._words[index] = sequence + 1
        return sequence + 1


class LatchReader(_Latch):
    """Reads rows whole. `seen` is the version of the last row read."""

    def __init__(self, buffer: Buffer, offset: int, copy_bytes: int, rows: int) -> None:
        super().__init__(buffer, offset, copy_bytes, rows)
        self.seen = 0

    def read(self, row: int) -> bytes | None:
        """The row's bytes, or None if the writer was faster every time."""
        index = self._sequence_index(row)
        for _ in range(LATCH_TRIES):
            sequence = self._words[index]
            payload = bytes(self._bytes[self._copy_slice(row, sequence)])
            if self._words[index] == sequence:
                self.seen = sequence
                return payload
        return None


class DirtyMarker:
    """ingest's side of the dirty bits; see shm/atomics.h."""

    def __init__(self, buffer: Buffer, marks_offset: int, seen_offset: int, fence: Fence) -> None:
        self._marks = _words(buffer, marks_offset, 8 * DIRTY_WORDS)
        self._seen = _words(buffer, seen_offset, 8 * DIRTY_WORDS).toreadonly()
        self._fence = fence

    def mark(self, index: int) -> None:
        """Say "look again at this market" without a message."""
        if not 0 <= index < 64 * DIRTY_WORDS:
            raise IndexError(index)
        self._fence.check()
        word, bit = index // 64, 1 << index % 64
        if not (self._marks[word] ^ self._seen[word]) & bit:
            self._marks[word] ^= bit


class DirtyTaker:
    """engine's side of the dirty bits."""

    def __init__(self, buffer: Buffer, marks_offset: int, seen_offset: int) -> None:
        self._marks = _words(buffer, marks_offset, 8 * DIRTY_WORDS).toreadonly()
        self._seen = _words(buffer, seen_offset, 8 * DIRTY_WORDS)

    def take(self) -> list[int]:
        """Indices that were dirty, which are clean afterwards; read their books after this."""
        taken: list[int] = []
        for word in range(DIRTY_WORDS):
            now = self._marks[word]
            dirty = now ^ self._seen[word]
            self._seen[word] = now
            taken.extend(64 * word + bit for bit in range(64) if dirty >> bit & 1)
        return taken


class HistogramWriter:
    """Counts values into a shared histogram."""

    def __init__(self, buffer: Buffer, offset: int) -> None:
        words = _words(buffer, offset, HISTOGRAM.size)
        self._max = words[HISTOGRAM.offset_of["max_ns"] // 8 :]
        self._buckets = words[HISTOGRAM.offset_of["bucket"] // 8 :]

    def add(self, value_ns: int) -> None:
        """Count one value; negative values count as 0."""
        value = max(0, value_ns)
        self._buckets[bucket_of(value)] += 1
        self._max[0] = max(self._max[0], value)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends."""
    import ctypes  # noqa: PLC0415  # costs memory; the compiled module does without

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
