"""One process's hold on the segments of an instance: typed tables, rings, counters by name.

The map in shm/segments.py decides what a role may open for writing; opening anything else for
writing is a defect and crashes. Reading a table maps it read-only, so that a reader's mistake
cannot change it. A ring's consumer writes its position, so it maps its ring for writing.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from shm import layout, segment
from shm.backend import (
    DirtyMarker,
    DirtyTaker,
    Fence,
    HistogramWriter,
    LatchReader,
    LatchWriter,
    RingConsumer,
    RingProducer,
    RingTail,
    Words,
)
from shm.codes import Role
from shm.layout import Record
from shm.segment import Segment
from shm.segments import SEGMENTS, Kind, Placed, SegmentPlan

RowT = TypeVar("RowT", bound=tuple[Any, ...])
NOT_TOUCHED = frozenset({"markets"})
"""Large, and read a few times a day, never on the way of an order: its empty rows stay unmapped."""


class TableReader(Generic[RowT]):
    """Latest value of each row, read whole."""

    def __init__(self, latch: LatchReader, record: Record[RowT]) -> None:
        self.latch = latch
        self._record = record
        self.count = latch.count

    def read(self, row: int) -> RowT | None:
        """The row, zeros if never written, None if its writer was faster every time."""
        payload = self.latch.read(row)
        return None if payload is None else self._record.unpack(payload)

    def version(self, row: int) -> int:
        """Grows with each write; 0 means never written."""
        return self.latch.version(row)

    @property
    def seen(self) -> int:
        """Version of the row read last."""
        return self.latch.seen


class TableWriter(Generic[RowT]):
    """The one writer of a table."""

    def __init__(self, latch: LatchWriter, record: Record[RowT]) -> None:
        self.latch = latch
        self._record = record
        self.count = latch.count

    def write(self, row: int, value: RowT) -> int:
        """Replace a row; returns its new version."""
        return self.latch.write(row, self._record.pack(value))

    def version(self, row: int) -> int:
        """How often the row was written, by this process or an earlier one."""
        return self.latch.version(row)


class Producer(Generic[RowT]):
    """The writing end of a ring."""

    def __init__(self, ring: RingProducer, record: Record[RowT]) -> None:
        self.ring = ring
        self._record = record

    def try_push(self, row: RowT) -> bool:
        """Publish; False if the ring is full."""
        return self.ring.try_push(self._record.pack(row))


class Consumer(Generic[RowT]):
    """The reading end of a ring."""

    def __init__(self, ring: RingConsumer, record: Record[RowT]) -> None:
        self.ring = ring
        self._record = record

    def pop(self) -> RowT | None:
        """The next message, or None."""
        payload = self.ring.pop()
        return None if payload is None else self._record.unpack(payload)

    def wait(self, spins: int, timeout_ns: int) -> bool:
        """True as soon as a message is there, False after the timeout."""
        return self.ring.wait(spins, timeout_ns)

    @property
    def lag(self) -> int:
        """Messages not yet read."""
        return self.ring.lag


class Tail(Generic[RowT]):
    """Follows a ring without taking part; what is overwritten before it looks is lost to it."""

    def __init__(self, ring: RingTail, record: Record[RowT]) -> None:
        self.ring = ring
        self._record = record
        self._next = max(0, ring.written - ring.capacity + 1)

    def news(self) -> list[RowT]:
        """Messages since the last call that are still there."""
        rows = []
        written = self.ring.written
        self._next = max(self._next, written - self.ring.capacity + 1)
        while self._next < written:
            payload = self.ring.peek(self._next)
            if payload is not None:
                rows.append(self._record.unpack(payload))
            self._next += 1
        return rows


class Counters(Generic[RowT]):
    """The counters of one stage, addressed by field name."""

    def __init__(self, words: Words, record: Record[RowT]) -> None:
        self.words = words
        self._index = {name: offset // 8 for name, offset in record.offset_of.items()}
        self._row = record.row

    def add(self, name: str, amount: int = 1) -> None:
        """Count; only the stage that owns the record may."""
        self.words.add(self._index[name], amount)

    def set(self, name: str, value: int) -> None:
        """Set a gauge; only the stage that owns the record may."""
        self.words.store(self._index[name], value)

    def get(self, name: str) -> int:
        """One of them."""
        return self.words.load(self._index[name])

    def read(self) -> RowT:
        """All counters at once; each a moment older or newer than its neighbour."""
        return self._row(*[self.words.load(index) for index in self._index.values()])  # type: ignore[arg-type]


class Fabric:
    """What one process has mapped. `role` None may only read."""

    def __init__(self, instance: str, role: Role | None = None) -> None:
        self.instance = instance
        self.role = role
        self.fence = Fence()
        self.touch = False
        """Whether pages are touched as soon as they are mapped, so that no use of one is slow."""
        self._mapped: dict[tuple[str, bool], Segment] = {}

    def segment(self, name: str, *, writable: bool) -> Segment:
        """Attach a segment once and keep it; errors of `shm.segment.attach`."""
        key = (name, writable)
        if key not in self._mapped:
            self._mapped[key] = segment.attach(self.instance, SEGMENTS[name], writable=writable)
            if self.touch and name not in NOT_TOUCHED:
                self._mapped[key].touch()
        return self._mapped[key]

    def require_named(self) -> None:
        """Raise `SegmentOrphaned` if any mapped segment has been removed."""
        for mapped in self._mapped.values():
            mapped.require_named()

    def _open(
        self, section: str, kind: Kind, record: Record[Any], *, write: bool, consume: bool = False
    ) -> tuple[memoryview, Placed]:
        plan, placed = find_section(section)
        allowed = placed.section.readers if consume else placed.section.writers
        assert not (write or consume) or self.role in allowed, f"{self.role} may not open {section}"
        assert placed.section.kind is kind, f"{section} is no {kind}"
        assert placed.section.parts[0][0] is record, f"{section} does not hold {record.name}"
        return self.segment(plan.name, writable=write or consume).view, placed

    def read_table(self, section: str, record: Record[RowT]) -> TableReader[RowT]:
        """Read a LATCH section."""
        view, placed = self._open(section, Kind.LATCH, record, write=False)
        return TableReader(
            LatchReader(view, placed.offset, record.size, placed.section.rows), record
        )

    def write_table(self, section: str, record: Record[RowT]) -> TableWriter[RowT]:
        """Write a LATCH section that this role owns."""
        view, placed = self._open(section, Kind.LATCH, record, write=True)
        return TableWriter(
            LatchWriter(view, placed.offset, record.size, placed.section.rows, self.fence), record
        )

    def produce(self, section: str, record: Record[RowT]) -> Producer[RowT]:
        """Write a RING section that this role owns."""
        view, placed = self._open(section, Kind.RING, record, write=True)
        ring = RingProducer(view, *_ring_shape(placed), self.fence)
        return Producer(ring, record)

    def consume(self, section: str, record: Record[RowT]) -> Consumer[RowT]:
        """Read a RING section whose reader this role is."""
        view, placed = self._open(section, Kind.RING, record, write=False, consume=True)
        return Consumer(RingConsumer(view, *_ring_shape(placed)), record)

    def tail(self, section: str, record: Record[RowT]) -> Tail[RowT]:
        """Look over the shoulder of a ring's reader."""
        view, placed = self._open(section, Kind.RING, record, write=False)
        return Tail(RingTail(view, *_ring_shape(placed)), record)

    def counters(self, section: str, record: Record[RowT], *, write: bool) -> Counters[RowT]:
        """A PLAIN section of one row whose fields are words."""
        view, placed = self._open(section, Kind.PLAIN, record, write=write)
        return Counters(Words(view, placed.offset, record.size // 8, write), record)

    def histogram(self, role: Role, index: int, name: str) -> HistogramWriter:
        """Histogram `index` of this role's own statistics, labelled `name`."""
        view, placed = self._open(
            f"stats-{role.label}.histograms", Kind.PLAIN, layout.HISTOGRAM, write=True
        )
        start = placed.offset + index * layout.HISTOGRAM.size
        label = start + layout.HISTOGRAM.offset_of["name"]
        view[label : label + 32] = name.encode().ljust(32, b"\0")
        return HistogramWriter(view, start)

    def dirty_marker(self) -> DirtyMarker:
        """Ingest's side of the dirty bits."""
        view, marks = self._open("updates.dirty", Kind.PLAIN, layout.DIRTY_BITS, write=True)
        seen = SEGMENTS["updates"].placed["dirty_seen"]
        return DirtyMarker(view, marks.offset, seen.offset, self.fence)

    def dirty_taker(self) -> DirtyTaker:
        """Engine's side of the dirty bits."""
        view, seen = self._open("updates.dirty_seen", Kind.PLAIN, layout.DIRTY_BITS, write=True)
        marks = SEGMENTS["updates"].placed["dirty"]
        return DirtyTaker(view, marks.offset, seen.offset)


def find_section(path: str) -> tuple[SegmentPlan, Placed]:
    """`segment.section`, or just `segment` where the section has the same name."""
    segment_part, _, section_part = path.partition(".")
    plan = SEGMENTS[segment_part]
    return plan, plan.placed[section_part or segment_part]


def _ring_shape(placed: Placed) -> tuple[int, int, int]:
    return placed.offset, placed.section.stride_bytes, placed.section.rows
