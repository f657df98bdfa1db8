"""Looks into segments from outside: read-only, from the schema inside them, also when all is dead.

Nothing here uses the layout of this build: a segment of a version never seen before is shown as
well as our own. The mapping is read-only in the page tables (`r--s`), so that looking cannot harm,
and what a damaged or hostile file can cause is one of our errors, never a traceback.

Latches and rings are read by the compiled operations (shm/backend.py), which also keep the order
of loads on processors where Python promises none.
"""

import mmap
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from shm.backend import LatchReader, RingTail
from shm.errors import LayoutMismatch, SegmentError, SegmentMissing
from shm.layout import Header
from shm.schemas import (
    PartSchema,
    RecordSchema,
    SectionSchema,
    SegmentSchema,
    dtype_of,
    parse,
    require_inside,
)
from shm.segment import SegmentFile, list_files, read_head
from shm.segments import LAYOUT_HASH, RING_READ_OFFSET, RING_WAITER_OFFSET, Kind

_WORD = 8
_WAKES_OFFSET = _WORD
_OVERFLOW_OFFSET = 2 * _WORD
_STILL_TRIES = 16

Row = dict[str, Any]
_NAMED = 5
"""Instances that an error names."""


@dataclass(frozen=True)
class View:
    """A segment that can be looked at. It is unmapped when the last reference goes."""

    file: SegmentFile
    header: Header
    schema: SegmentSchema
    memory: memoryview
    identity: tuple[int, int]
    """Device and inode: a name may lead to another file later."""

    @property
    def of_this_build(self) -> bool:
        """Whether our own layout made it."""
        return self.header.layout_hash == LAYOUT_HASH

    @property
    def is_current(self) -> bool:
        """Whether its name still leads to it."""
        try:
            status = self.file.path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == self.identity

    def section(self, name: str) -> SectionSchema:
        """Schema of a section; `SegmentMissing` names the ones that exist."""
        for section in self.schema.sections:
            if section.name == name:
                return section
        known = ", ".join(section.name for section in self.schema.sections)
        raise SegmentMissing(f"segment {self.file.segment} has no section {name!r}, only {known}")

    def start(self, section: SectionSchema) -> int:
        """Where a section begins in this segment."""
        return self.header.data_offset + section.offset

    def word(self, offset: int) -> int:
        """One 64-bit word, loaded at once."""
        return int(self.memory[offset : offset + _WORD].cast("Q")[0])


def open_file(file: SegmentFile) -> int:
    """A descriptor for reading; refuses what is no plain file, and never waits for a writer."""
    try:
        fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise SegmentMissing(f"segment {file.path.name} is gone") from None
    except PermissionError:
        raise LayoutMismatch(f"segment {file.path.name} belongs to another user") from None
    except OSError as error:
        raise LayoutMismatch(
            f"segment {file.path.name} cannot be opened: {error.strerror}"
        ) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise LayoutMismatch(f"segment {file.path.name} is not a file: remove it")
    return fd


def open_view(file: SegmentFile) -> View:
    """Map one segment for reading; `LayoutMismatch` if its header or schema is damaged."""
    fd = open_file(file)
    try:
        name = f"/{file.path.name}"
        header, text = read_head(name, fd)
        schema = parse(text, f"segment {name}")
        require_inside(schema, f"segment {name}", header.data_offset, header.total_bytes)
        mapping = mmap.mmap(fd, header.total_bytes, access=mmap.ACCESS_READ)
        status = os.fstat(fd)
    finally:
        os.close(fd)
    return View(file, header, schema, memoryview(mapping), (status.st_dev, status.st_ino))


def find(instance: str, segment: str) -> View:
    """The segment of an instance by its short name; the newest if several versions exist."""
    files = list(list_files(instance))
    candidates = [file for file in files if file.segment == segment]
    if not files:
        raise SegmentMissing(nothing_runs(instance))
    if not candidates:
        known = ", ".join(sorted({file.segment for file in files}))
        raise SegmentMissing(f"instance {instance!r} has no segment {segment!r}: there are {known}")
    return newest(candidates)


def nothing_runs(instance: str) -> str:
    """Why an instance shows nothing, and what could be looked at instead."""
    others = sorted({file.instance for file in list_files()})
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    hint = (
        f"there are {', '.join(others[:_NAMED])}{more}: name one with --instance"
        if others
        else "polytrio run, or supervisor.py up, makes them"
    )
    return f"instance {instance!r} has no segments: nothing runs under this name ({hint})"


def newest(files: list[SegmentFile]) -> View:
    """The segment made last of those that can be read; the error of one if none can."""
    views: list[View] = []
    trouble: SegmentError | None = None
    for file in files:
        try:
            views.append(open_view(file))
        except SegmentError as error:
            trouble = error
    if views:
        return max(views, key=lambda view: view.header.created_wall_ns)
    assert trouble is not None, "asked for the newest of nothing"
    raise trouble


def describe(file: SegmentFile) -> Row:
    """One line of `list`."""
    row: Row = {"instance": file.instance, "segment": file.segment, "layout": file.layout_id}
    try:
        view = open_view(file)
    except SegmentError as error:
        return row | {"bytes": _file_bytes(file), "trouble": str(error)}
    return row | {
        "bytes": view.header.total_bytes,
        "created": wall_time(view.header.created_wall_ns),
        "this_build": view.of_this_build,
        "purpose": view.schema.purpose,
        "writers": sorted({w for section in view.schema.sections for w in section.writers}),
    }


def _file_bytes(file: SegmentFile) -> int:
    try:
        return file.path.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def wall_time(wall_ns: int) -> str:
    """Local time for people; a time that no calendar has is shown as the number."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(wall_ns // 10**9))
    except (OverflowError, OSError, ValueError):
        return str(wall_ns)


def decode(record: RecordSchema, data: bytes) -> Row:
    """The fields of one record as plain values."""
    item = np.frombuffer(data, dtype_of(record), count=1)[0]
    return {name: _plain(item[name]) for name in item.dtype.names or ()}


def _plain(value: Any) -> Any:
    if value.ndim:
        numbers = value.dtype.kind in "iuf"
        return value.tolist() if numbers else [_plain(element) for element in value]
    value = value.item()
    if not isinstance(value, bytes):
        return value
    text = value.rstrip(b"\0")
    printable = text.isascii() and text.decode("ascii").isprintable()
    return text.decode("ascii") if printable else text.hex()


def latch_of(view: View, section: SectionSchema) -> LatchReader:
    """The compiled reader of a LATCH section."""
    return LatchReader(view.memory, view.start(section), section.payload, section.rows)


def tail_of(view: View, section: SectionSchema) -> RingTail:
    """The compiled onlooker of a RING section."""
    return RingTail(view.memory, view.start(section), section.stride, section.rows)


def chunks(section: SectionSchema, payload: bytes) -> Iterator[tuple[PartSchema, bytes]]:
    """The records of one row, in order."""
    at = 0
    for part in section.parts:
        for _ in range(part.count):
            yield part, payload[at : at + part.record.size]
            at += part.record.size


def rows(view: View, section: SectionSchema) -> Iterator[Row]:
    """The rows of a table or plain section that hold anything; for a ring, what is in its slots."""
    match section.kind:
        case Kind.LATCH:
            yield from _latch_rows(view, section)
        case Kind.PLAIN:
            for row in range(section.rows):
                for part, chunk in chunks(section, plain_row(view, section, row)):
                    if any(chunk):
                        yield {"row": row, **decode(part.record, chunk)}
        case Kind.RING:
            state = ring_state(view, section)
            tail = tail_of(view, section)
            for position in range(max(0, state.written - section.rows + 1), state.written):
                payload = tail.peek(position)
                if payload is not None:
                    yield message(section, position, payload)
        case _:
            yield {"unknown_kind": section.kind}


def plain_row(view: View, section: SectionSchema, row: int) -> bytes:
    """A copy of one row of a PLAIN section; each word a moment older or newer than the next."""
    start = view.start(section) + row * section.stride
    return bytes(view.memory[start : start + section.stride])


def _latch_rows(view: View, section: SectionSchema) -> Iterator[Row]:
    latch = latch_of(view, section)
    for row in range(section.rows):
        if latch.version(row) == 0:
            continue
        payload = latch.read(row)
        if payload is None:
            yield {"row": row, "busy": True}
            continue
        for part, chunk in chunks(section, payload):
            if any(chunk):
                yield {"row": row, "version": latch.seen, **decode(part.record, chunk)}


def message(section: SectionSchema, position: int, payload: bytes) -> Row:
    """One message of a ring as a row."""
    row: Row = {"position": position}
    for part, chunk in chunks(section, payload):
        row |= decode(part.record, chunk)
    return row


@dataclass(frozen=True)
class RingState:
    """Positions of a ring, as an onlooker sees them."""

    written: int
    read: int
    capacity: int
    overflow: int
    wakes: int
    waiting: bool

    @property
    def lag(self) -> int:
        """Messages published and not yet given back."""
        return max(0, self.written - self.read)


def ring_state(view: View, section: SectionSchema) -> RingState:
    """Positions of a ring. `written` counts what is committed, also beyond a dead producer's hint.

    Only the slot right after the hint is looked at: a producer that dies between commit word and
    hint leaves one such message. The two positions are taken while the reader stands still, if
    it does for a moment: otherwise a busy ring could look fuller than it ever was.
    """
    start = view.start(section)
    read = written = 0
    for _ in range(_STILL_TRIES):
        read = view.word(start + RING_READ_OFFSET)
        written = view.word(start)
        if view.word(start + RING_READ_OFFSET) == read:
            break
    slot = start + section.prelude + written % section.rows * section.stride
    if view.word(slot) == written + 1:
        written += 1
    return RingState(
        written=written,
        read=read,
        capacity=section.rows,
        overflow=view.word(start + _OVERFLOW_OFFSET),
        wakes=view.word(start + _WAKES_OFFSET),
        waiting=view.word(start + RING_WAITER_OFFSET) == 1,
    )


def find_ring(instance: str, path: str) -> tuple[View, SectionSchema]:
    """A ring by `segment` or `segment.section`; `SegmentMissing` names the rings that exist."""
    segment, _, name = path.partition(".")
    view = find(instance, segment)
    rings = [section for section in view.schema.sections if section.kind == Kind.RING]
    for section in rings:
        if section.name == (name or segment) or (not name and len(rings) == 1):
            return view, section
    known = ", ".join(f"{segment}.{ring.name}" for ring in rings) or "none in this segment"
    raise SegmentMissing(f"{path!r} is no ring; rings: {known}")


class Follower:
    """Follows a ring without taking part: what is overwritten before it looks is lost to it."""

    def __init__(self, view: View, section: SectionSchema, backlog: int) -> None:
        self._view = view
        self._section = section
        self._tail = tail_of(view, section)
        written = ring_state(view, section).written
        oldest = max(0, written - section.rows + 1)
        self._next = max(oldest, written - backlog)
        self.lost = 0

    def news(self) -> list[Row]:
        """The messages since the last call that are still there; counts the others as `lost`."""
        written = ring_state(self._view, self._section).written
        oldest = max(0, written - self._section.rows + 1)
        if self._next < oldest:
            self.lost += oldest - self._next
            self._next = oldest
        found: list[Row] = []
        for position in range(self._next, written):
            payload = self._tail.peek(position)
            if payload is None:
                self.lost += 1  # overwritten while we copied
            else:
                found.append(message(self._section, position, payload))
        self._next = max(self._next, written)
        return found
