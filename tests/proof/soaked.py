"""The two stages that tests/proof/soak.py kills, and the account by which their work is checked.

The producer does what ingest does: it writes rows (latches), then pushes updates that name them,
and marks the rows of those that found no room. The consumer does what engine does: it pops, looks
at the rows, takes dirty marks, and looks at every row when it starts. Everything is checked by
whoever reads it: a message holds its own position, so that a lost, doubled or foreign one is seen
at once, the incarnation that wrote it, and a checksum; every word of a row says which row and
version it is.

Messages are made and checked many at a time (numpy), so that a process that is killed at random is
often inside the compiled operations and not always in the Python around them.
"""

import mmap
import random
import sys

import numpy as np

from shm import backend
from shm.codes import Role
from shm.fabric import Fabric, find_section
from shm.layout import UPDATE
from shm.roles import RoleHolder, RoleLock
from shm.segments import RING_SLOTS_OFFSET
from tests.proof.deaths import require

BOOKS = 128
ROWS = BOOKS + 1
"""Rows of the books table that are used; the row after them is the markets table, all of it."""
WIDE_ROW = BOOKS
ROWS_A_TURN = 8
BURST = 512
POP_MOST = 256
NEVER = 2**63
SALT = np.uint64(0x5A5A5A5A5A5A5A5A)
WORDS = UPDATE.size // 8
KEYS = np.array(
    [(2 * i + 1) * 0x9E3779B97F4A7C15 % 2**64 for i in range(WORDS - 1)], dtype=np.uint64
)
assert WORDS >= 7, "position, incarnation, epoch, row, version, salt, checksum"


class Account:
    """Words that outlive everybody, in memory that forked processes share. One writer each."""

    def __init__(self, incarnations: int) -> None:
        size = 8 + ROWS + 2 * incarnations
        self._memory = mmap.mmap(-1, 8 * size)
        self._words = backend.Words(self._memory, 0, size, True)
        self._floors = 8 + ROWS
        self._limits = self._floors + incarnations

    def _get(self, index: int) -> int:
        return self._words.load(index)

    def _set(self, index: int, value: int) -> None:
        self._words.store(index, value)

    handled = property(lambda self: self._get(0), lambda self, value: self._set(0, value))
    """Consumer: every message before this position has been dealt with."""
    row_at_hand = property(lambda self: self._get(1), lambda self, value: self._set(1, value))
    """Producer: the first of the rows that it is about to write and announce."""
    pause = property(lambda self: self._get(2), lambda self, value: self._set(2, value))
    """Driver: while odd, produce nothing, so that the consumer can come to the end."""
    paused = property(lambda self: self._get(3), lambda self, value: self._set(3, value))
    """Producer: the pause that it keeps."""
    drained = property(lambda self: self._get(4), lambda self, value: self._set(4, value))
    """Consumer: the pause in which it has found nothing more."""
    produced = property(lambda self: self._get(5), lambda self, value: self._set(5, value))
    """Producer: how far it came."""

    def looked(self, row: int) -> int:
        """Version of a row that the consumer has looked at."""
        return self._get(8 + row)

    def look(self, row: int, version: int) -> None:
        self._set(8 + row, version)

    def born(self, incarnation: int, position: int) -> None:
        """Driver: a producer starts, and everything before `position` is committed."""
        self._set(self._floors + incarnation, position)
        self._set(self._limits + incarnation, NEVER)

    def died(self, incarnation: int, position: int) -> None:
        """Driver: it has committed nothing from `position` on."""
        self._set(self._limits + incarnation, position)

    def wrote(self, incarnation: int, first: int, last: int) -> bool:
        """Whether the messages of these positions can be of this incarnation."""
        limit = self._get(self._limits + incarnation)
        return self.floor(incarnation) <= first and last < limit

    def floor(self, incarnation: int) -> int:
        """Where the committed messages ended when this incarnation was born."""
        return self._get(self._floors + incarnation)


def messages(start: int, author: tuple[int, int], rows: list[int], versions: list[int]) -> bytes:
    """Messages for the positions from `start` on, by an incarnation under an epoch."""
    made = np.empty((len(rows), WORDS), dtype=np.uint64)
    made[:, 0] = np.arange(start, start + len(rows), dtype=np.uint64)
    made[:, 1], made[:, 2] = author
    made[:, 3] = rows
    made[:, 4] = versions
    made[:, 5:-1] = made[:, :1] ^ SALT
    made[:, -1] = np.bitwise_xor.reduce(made[:, :-1] * KEYS, axis=1)
    return made.tobytes()


def opened(payloads: bytes, start: int, account: Account) -> dict[int, int]:
    """Row -> highest version, of the messages that must be at the positions from `start` on."""
    found = np.frombuffer(payloads, dtype=np.uint64).reshape(-1, WORDS)
    checksums = np.bitwise_xor.reduce(found[:, :-1] * KEYS, axis=1)
    require(bool((checksums == found[:, -1]).all()), "a torn message")
    due = np.arange(start, start + len(found), dtype=np.uint64)
    wrong = np.flatnonzero(found[:, 0] != due)
    if len(wrong):
        at = int(wrong[0])
        require(False, f"message {found[at, 0]} at position {start + at}: lost or doubled")
    authors = found[:, 1]
    for incarnation in set(authors.tolist()):
        at = np.flatnonzero(authors == incarnation)
        first, last = start + int(at[0]), start + int(at[-1])
        require(
            account.wrote(incarnation, first, last),
            f"messages {first} to {last} cannot be by {incarnation}: they were overwritten",
        )
    versions: dict[int, int] = {}
    for row, version in zip(found[:, 3].tolist(), found[:, 4].tolist(), strict=True):
        versions[row] = max(version, versions.get(row, 0))
    return versions


def content(row: int, version: int, size: int) -> bytes:
    """What a row holds at a version: nothing before its first."""
    word = (row << 40 | version) * 0x9E3779B97F4A7C15 % 2**64 if version else 0
    return word.to_bytes(8, "little") * (size // 8)


class Ends:
    """What both stages and the driver map of an instance."""

    def __init__(self, instance: str, role: Role | None) -> None:
        self.fabric = Fabric(instance, role)
        plan, ring = find_section("updates")
        self.ring_view = self.fabric.segment(plan.name, writable=role is not None).view
        self.stride = ring.section.stride_bytes
        self.capacity = ring.section.rows
        self.shape = (ring.offset, self.stride, self.capacity)
        self.dirty_at = plan.placed["dirty"].offset, plan.placed["dirty_seen"].offset
        self.tables = []
        for name, rows in (("books", BOOKS), ("markets", 1)):
            plan, placed = find_section(name)
            view = self.fabric.segment(plan.name, writable=role is Role.INGEST).view
            self.tables.append((view, placed.offset, placed.section.payload_bytes, rows))
        self._readers = [backend.LatchReader(*table) for table in self.tables]

    def slot(self, position: int) -> int:
        """Where the slot of a position is in the view of the ring."""
        return self.shape[0] + RING_SLOTS_OFFSET + position % self.capacity * self.stride

    def _slots(self) -> np.ndarray:
        start = self.slot(0)
        view = self.ring_view[start : start + self.stride * self.capacity]
        return np.frombuffer(view, dtype=np.uint64).reshape(self.capacity, -1)

    def committed(self) -> int:
        """Where the committed messages end, from the bytes of all slots; no hole before."""
        commits = self._slots()[:, 0].tolist()
        end = max(commits)
        for position in range(max(0, end - self.capacity), end):
            require(commits[position % self.capacity] == position + 1, "a hole in the ring")
        return end

    def last_messages(self, end: int) -> tuple[bytes, int]:
        """What a dead producer left in the ring, but for the slot that it may have begun anew."""
        start = max(0, end - self.capacity + 1)
        places = [position % self.capacity for position in range(start, end)]
        return self._slots()[places, 1:].tobytes(), start

    def look(self, row: int) -> int:
        """Version of a row, which must be whole."""
        reader, at = self._readers[row // BOOKS], row % BOOKS
        size = self.tables[row // BOOKS][2]
        seen = reader.read(at)
        while seen is None:
            seen = reader.read(at)
        require(seen == content(row, reader.seen, size), f"row {row} is a mixture at {reader.seen}")
        return reader.seen


def take(ends: Ends, instance: str, role: Role) -> RoleHolder:
    """The role, as every stage takes it; a predecessor that is dead never stands in the way."""
    RoleLock(instance, role).take()
    holder = RoleHolder(ends.fabric.segment("control", writable=True), role)
    ends.fabric.fence = holder.fence
    return holder


class Producer:
    """ingest, as far as memory is concerned. Here it writes the markets table, too."""

    ring = backend.RingProducer
    latch = backend.LatchWriter
    marker = backend.DirtyMarker

    def __init__(self, instance: str, account: Account, incarnation: int, seed: int) -> None:
        self._account = account
        self._chance = random.Random(seed)
        ends = Ends(instance, Role.INGEST)
        holder = take(ends, instance, Role.INGEST)
        self._author = (incarnation, holder.epoch)
        self._sizes = [table[2] for table in ends.tables]
        self._writers = [self.latch(*table, holder.fence) for table in ends.tables]
        self._ring = self.ring(ends.ring_view, *ends.shape, holder.fence)
        require(
            self._ring.position == account.floor(incarnation),
            f"a producer starts at {self._ring.position}, not where the committed messages end",
        )
        self._marker = self.marker(ends.ring_view, *ends.dirty_at, holder.fence)

    def run(self) -> None:
        """Until killed. First again what the predecessor may have written and not announced."""
        account = self._account
        for row in range(account.row_at_hand, account.row_at_hand + ROWS_A_TURN):
            self._marker.mark(row % ROWS)
        while True:
            pause = account.pause
            if pause != account.paused:
                account.paused = pause
            if pause % 2 == 0:
                self._turn()

    def _turn(self) -> None:
        chance = self._chance
        first = chance.randrange(ROWS)
        self._account.row_at_hand = first
        rows = [(first + i) % ROWS for i in range(chance.randint(1, ROWS_A_TURN))]
        versions = [self._write(row) for row in rows]
        start = self._ring.position
        if chance.random() < 0.1:
            update = messages(start, self._author, rows[:1], versions[:1])
            pushed = int(self._ring.try_push(update))
        else:
            times = chance.randint(1, BURST) // len(rows) + 1
            burst = messages(start, self._author, rows * times, versions * times)
            pushed = self._ring.push_many(burst)
        for row in rows[pushed:]:
            self._marker.mark(row)
        self._account.produced = self._ring.position

    def _write(self, row: int) -> int:
        writer, at = self._writers[row // BOOKS], row % BOOKS
        version = writer.version(at) + 1
        return writer.write(at, content(row, version, self._sizes[row // BOOKS]))


class Consumer:
    """engine, as far as memory is concerned. It handles a message and then gives its slot back, or,
    as the stages do it, pops it and then handles it; a death shows the difference."""

    def __init__(self, instance: str, account: Account, handles_first: bool, seed: int) -> None:
        self._account = account
        self._turn = self._handle_then_pop if handles_first else self._pop_then_handle
        self._chance = random.Random(seed)
        self._ends = Ends(instance, Role.ENGINE)
        take(self._ends, instance, Role.ENGINE)
        ends = self._ends
        self._ring = backend.RingConsumer(ends.ring_view, *ends.shape)
        self._taker = backend.DirtyTaker(ends.ring_view, *ends.dirty_at)

    def run(self) -> None:
        """Until killed. First a look at everything: what a predecessor took may be unseen."""
        account = self._account
        for row in range(ROWS):
            account.look(row, self._ends.look(row))
        while True:
            pause = account.paused
            done = self._turn()
            dirty = self._taker.take() if not done or self._chance.random() < 0.1 else []
            for row in dirty:
                account.look(row, self._ends.look(row))
            if done or dirty:
                continue
            if pause % 2 and account.drained != pause:
                account.drained = pause
            self._ring.wait(20, 500_000)

    def _handle(self, payloads: bytes, position: int) -> None:
        versions = opened(payloads, position, self._account)
        self._account.handled = position + len(payloads) // UPDATE.size
        for row, version in versions.items():
            seen = self._ends.look(row)
            require(seen >= version, f"an update came before its row ({version}, {seen})")
            self._account.look(row, seen)

    def _handle_then_pop(self) -> int:
        if not self._ring.wait(0, 0):
            return 0
        position = self._ring.position
        at = self._ends.slot(position) + 8
        payload = bytes(self._ends.ring_view[at : at + UPDATE.size])
        self._handle(payload, position)
        require(self._ring.pop() == payload, "a message changed while it was ours")
        return 1

    def _pop_then_handle(self) -> int:
        position = self._ring.position
        if self._chance.random() < 0.1:
            popped = self._ring.pop() or b""
        else:
            popped = self._ring.pop_many(self._chance.randint(1, POP_MOST))
        if popped:
            self._handle(popped, position)
        return len(popped)


def perish(error: BaseException) -> int:
    """The exit of a stage that was not killed: what it has found goes to the driver's stderr."""
    sys.stderr.write(f"\n{type(error).__name__}: {error}\n")
    sys.stderr.flush()
    return 70
