"""Reading a journal's segment: the longest prefix of valid groups, and what lies behind it.

Read-only, and safe while the file is being written: a group that is not whole yet is simply not
there. Where the valid prefix ends, three things can follow:

    nothing            zeros, or the end of the file
    a torn group       what a killed process or a lost power leaves of a group that nobody had
                       acknowledged: its first record is not sealed, or some of it is missing
    something whole    a sealed record that cannot be there: out of place, of another journal, not
                       in the chain, or the beginning of a later group. Then what ends the prefix
                       is no torn end but damage, a deletion, a repetition, a swap

`Walk` finds the prefix, `rest_of` says which of the three follows it. What is done about it depends
on what is known to be on disk, and is decided in executor/journal_start.py.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from shm.codes import Mode
from shm.errors import JournalForeign
from shm.journal_record import (
    CRC_AT,
    GROUP_MAX,
    HEAD,
    KINDS,
    MAGIC,
    RECORD_BYTES,
    SEAL,
    VERSION,
    ZERO_RECORD,
    Entry,
    Link,
    digest_of,
    entry_at,
)
from shm.records import Kind
from shm.snapshot_records import Checkpoint

CHUNK_BYTES = 4096 * RECORD_BYTES
_CHUNK_ZEROS = bytes(CHUNK_BYTES)
_ENDS = Struct(f"{SEAL.format}{CRC_AT - SEAL.size}x{SEAL.format.lstrip('<')}")
"""First and last word of a record: what it is, and its CRC."""


class Group(NamedTuple):
    """A valid group: `size` records in `data` from `at`."""

    data: memoryview
    at: int
    size: int
    seq: int

    def entries(self) -> Iterator[Entry]:
        """Its records, decoded."""
        for place in range(self.size):
            yield entry_at(self.data, self.at + place * RECORD_BYTES)


class Fault(NamedTuple):
    """Why there is no valid group here. Empty reason: there is nothing."""

    reason: str
    torn: bool
    """What an unfinished write can leave; otherwise it is whole and does not belong here."""


NOTHING = Fault("", torn=True)


def sealed(data: memoryview, at: int) -> bool:
    """Whether the 256 bytes at `at` are a record as some journal wrote it."""
    magic, crc = _ENDS.unpack_from(data, at)
    return bool(magic == MAGIC and crc == zlib.crc32(data[at : at + CRC_AT]))


def group_at(data: memoryview, at: int, link: Link | None) -> tuple[int, Link] | Fault:
    """The group at `at` that continues `link`: its size and the link behind it; or why not.

    Without a link, the first record says where the journal is continued.
    """
    if len(data) - at < RECORD_BYTES:
        return Fault("is cut short", torn=True) if any(data[at:]) else NOTHING
    if not sealed(data, at):
        blank = data[at : at + RECORD_BYTES] == ZERO_RECORD
        return NOTHING if blank else Fault("is not what was written (CRC)", torn=True)
    head = HEAD.unpack_from(data, at)
    if head[1] > VERSION:
        raise JournalForeign(
            f"record {head[5]} has format {head[1]}, and this version knows {VERSION}: the journal "
            "was written by a newer polytrio; use that one"
        )
    _, _, kind, place, count, seq, _, _, _, journal, previous, run, _ = head
    if link is None:
        link = Link(journal, seq, run - (kind == Kind.OPENED), previous)
    if journal != link.journal:
        return Fault(f"belongs to another journal ({journal:016x})", torn=False)
    if seq != link.seq:
        return Fault(f"has number {seq}", torn=False)
    if place != 0:
        return Fault("is the middle of a group that has no beginning", torn=True)
    if previous != link.previous:
        return Fault("does not follow the record before it (chain)", torn=False)
    return _members(data, at, count, link)


def _members(data: memoryview, at: int, count: int, link: Link) -> tuple[int, Link] | Fault:
    """The second half of `group_at`: every record; the first one is known to be sealed."""
    end = at + count * RECORD_BYTES
    if count == 0:
        return Fault("is a group of nothing", torn=False)
    run = link.run
    for place in range(count):
        here = at + place * RECORD_BYTES
        if here + RECORD_BYTES > len(data) or (place and not sealed(data, here)):
            return Fault(f"is one of {count} written together, and not all are there", torn=True)
        _, version, kind, its_place, its_count, seq, _, _, _, journal, previous, its_run, _ = (
            HEAD.unpack_from(data, here)
        )
        if (its_place, its_count, seq) != (place, count, link.seq + place):
            return Fault(f"is one of {count} written together, and not all are there", torn=True)
        run += kind == Kind.OPENED
        if (version, journal, previous, its_run) != (VERSION, link.journal, link.previous, run):
            return Fault("is in a group that contradicts itself", torn=False)
        if kind not in KINDS:
            raise JournalForeign(
                f"record {seq} is of kind {kind}, which this version does not know: the journal "
                "was written by a newer polytrio; use that one"
            )
    return count, Link(link.journal, link.seq + count, run, digest_of(data[at:end]))


class Walk:
    """Iterates over a segment's valid groups; afterwards knows where and why it ended.

    Iterating again goes on from there, which is how a growing file is followed.
    """

    def __init__(self, fd: int, link: Link | None, offset: int = 0) -> None:
        self._fd = fd
        self.link = link
        self.offset = offset
        self.fault = NOTHING

    def __iter__(self) -> Iterator[Group]:
        most = GROUP_MAX * RECORD_BYTES
        while True:
            data = memoryview(os.pread(self._fd, CHUNK_BYTES + most, self.offset))
            at = 0
            while at < CHUNK_BYTES:
                found = group_at(data, at, self.link)
                if isinstance(found, Fault):
                    self.fault = found
                    return
                count, self.link = found
                group = Group(data, at, count, self.link.seq - count)
                at += count * RECORD_BYTES
                self.offset += count * RECORD_BYTES
                yield group


@dataclass(frozen=True)
class Rest:
    """What lies behind the valid prefix."""

    end: int
    """Offset behind the last byte that is not zero; the prefix's end if there is none."""
    evidence: str
    """Empty, or: which whole record is there that no unfinished write can have left."""
    misplaced: bool = False
    """It is no later group of this journal at its own place: no loss of power explains it."""


def rest_of(fd: int, walk: Walk) -> Rest:
    """Look at everything behind the end of a finished walk."""
    link = walk.link
    end, offset = walk.offset, walk.offset
    evidence, misplaced = "", False
    if not walk.fault.torn and link is not None:
        evidence, misplaced = f"record {link.seq} {walk.fault.reason}", True
    while data := memoryview(os.pread(fd, CHUNK_BYTES, offset)):
        if data != _CHUNK_ZEROS[: len(data)]:
            end = offset + len(bytes(data).rstrip(b"\0"))
            for at in range(0, len(data) - RECORD_BYTES + 1, RECORD_BYTES):
                if evidence or not sealed(data, at):
                    continue
                number = (offset + at - walk.offset) // RECORD_BYTES
                evidence, misplaced = _out_of_place(data, at, number, link)
        offset += len(data)
    return Rest(end, evidence, misplaced)


def _out_of_place(data: memoryview, at: int, number: int, link: Link | None) -> tuple[str, bool]:
    """Whether a sealed record `number` places behind the prefix proves that more was written.

    A write that failed half-way leaves records of its group at their places, and what is written
    there next may be shorter: so a record from the middle of a group proves nothing.
    """
    head = HEAD.unpack_from(data, at)
    place, seq, journal = head[3], head[5], head[9]
    if link is None:
        return f"record {seq} is there, and what is before it is not", True
    if journal != link.journal:
        return f"record {link.seq + number} belongs to another journal ({journal:016x})", True
    if seq != link.seq + number:
        return f"record {seq} stands where {link.seq + number} belongs", True
    if number and place == 0:
        return f"record {seq}, which was written later, is there", False
    return "", False


@dataclass(frozen=True)
class Segment:
    """One segment file, read from its beginning to its end."""

    path: Path
    number: int
    """From its name."""
    records: int
    groups: int
    first_seq: int
    begin: Link | None
    """Where it takes up the segment before; None if its first group is not valid."""
    link: Link | None
    """Where it can be continued."""
    checkpoint: Checkpoint | None
    """The one that ends its snapshot."""
    swept_boot_id: bytes
    """Of the last boot whose start told what it had found at the venue: an OPENED that a step to
    RECONCILING follows, here or before the checkpoint; zeros if there was none."""
    offset: int
    fault: Fault
    rest: Rest

    @property
    def last_seq(self) -> int:
        """0 if there is none."""
        return self.link.seq - 1 if self.link else 0

    @property
    def whole(self) -> bool:
        """Nothing but zeros behind the valid prefix."""
        return self.rest.end == self.offset and not self.rest.evidence


def read_segment(fd: int, path: Path, number: int, link: Link | None = None) -> Segment:
    """Verify one segment; `link` is where the one before it ended, if that is known."""
    walk = Walk(fd, link)
    begin = link
    records = groups = first_seq = 0
    checkpoint: Checkpoint | None = None
    boot_id = opened = bytes(16)
    for group in walk:
        if not groups:
            first_seq = group.seq
            begin = begin or _begin(group)
        for place in range(group.size):
            at = group.at + place * RECORD_BYTES
            kind = group.data[at + 5]
            if checkpoint is None and kind == Kind.CHECKPOINT:
                row = entry_at(group.data, at).payload
                if row.records == records + place:
                    checkpoint, boot_id, opened = row, row.boot_id, row.boot_id
            elif kind == Kind.OPENED:
                opened = entry_at(group.data, at).payload.boot_id
            elif kind == Kind.MODE and entry_at(group.data, at).payload.mode == Mode.RECONCILING:
                boot_id = opened
        records += group.size
        groups += 1
    return Segment(
        path, number, records, groups, first_seq, begin, walk.link, checkpoint, boot_id,
        walk.offset, walk.fault, rest_of(fd, walk),
    )  # fmt: skip


def _begin(group: Group) -> Link:
    head = HEAD.unpack_from(group.data, group.at)
    kind, seq, journal, previous, run = head[2], head[5], head[9], head[10], head[11]
    return Link(journal, seq, run - (kind == Kind.OPENED), previous)
