"""How a journal is opened: found or begun, verified, its torn end cut off; or refused, saying why.

One path for a start and for a restart. The caller holds both locks. Whether the journal may be gone
on with is judged in shm/journal_verify.py. A torn end, which is what a group leaves that nobody had
acknowledged, is copied aside and cut.

Records that were written and perhaps never reached the disk are written once more: when a sync
fails, Linux may call their pages clean, and a process started later would see them and believe.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from shm.errors import JournalForeign
from shm.journal_files import (
    Clock,
    Head,
    Place,
    begin,
    new_head,
    new_journal_id,
    read_head,
    replace_head,
    save_aside,
    wallet_word,
)
from shm.journal_record import RECORD_BYTES
from shm.journal_scan import Segment, read_segment
from shm.journal_verify import head_missing, living, require_sound

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Cut:
    """What was cut off, and where it is kept."""

    path: Path
    seq: int
    """Number of the first record that is not there any more."""
    bytes_cut: int
    reason: str
    records_lost: str
    """Empty, or which later record shows that more than a torn end was lost."""


@dataclass(frozen=True)
class Started:
    """A journal that may be written on."""

    place: Place
    head: Head
    segment: Segment
    fd: int
    room_bytes: int
    cut: Cut | None


def start(place: Place, wallet: bytes, *, records: int, clock: Clock) -> Started:
    """Open the journal at a place, or begin it where there never was one; `JournalError` if not."""
    place.sweep()
    place.require_private()
    head = _find_head(place, wallet)
    if head.segment == 0 and not place.segments():
        place.prepare()
        head = begin(place, head, (), records, clock)
        replace_head(place, head)
    number = living(place, head)
    path = place.segment(number)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        segment = read_segment(fd, path, number)
        require_sound(place, head, segment)
        cut = _cut(fd, place, segment, clock)
        room = _restore(fd, head, segment, records)
    except BaseException:
        os.close(fd)
        raise
    return Started(place, head, segment, fd, room, cut)


def _find_head(place: Place, wallet: bytes) -> Head:
    head = read_head(place)
    if head is None:
        if place.segments():
            raise head_missing(place)
        head = new_head(new_journal_id(), wallet, bytes(16))
        replace_head(place, head)
    if head.wallet != wallet_word(wallet):
        raise JournalForeign(
            f"the journal at {place.folder} is of wallet 0x{head.wallet[-20:].hex()}, and this "
            f"instance trades with 0x{wallet[-20:].hex()}: give it an instance of its own"
        )
    return head


# --- its end ----------------------------------------------------------------------------------


def _cut(fd: int, place: Place, segment: Segment, clock: Clock) -> Cut | None:
    """Copy what lies behind the valid prefix aside, and put zeros in its place."""
    if segment.whole:
        return None
    start, end = segment.offset, segment.rest.end
    seq = segment.last_seq + 1
    kept = place.folder / f"{segment.number:06d}.cut-{seq}-{clock.wall_ns()}"
    save_aside(kept, [os.pread(fd, min(_CHUNK_BYTES, end - at), at) for at in _chunks(start, end)])
    for at in _chunks(start, end):
        length = min(_CHUNK_BYTES, end - at)
        if os.pwrite(fd, bytes(length), at) != length:
            raise OSError(f"{segment.path} was written short")
    os.fdatasync(fd)
    reason = segment.fault.reason or "is missing"
    return Cut(kept, seq, end - start, reason, segment.rest.evidence)


def _restore(fd: int, head: Head, segment: Segment, records: int) -> int:
    """Write again what may never have reached the disk, take the room again; its size in bytes."""
    unsure = max(0, head.durable_seq + 1 - segment.first_seq) * RECORD_BYTES
    for at in _chunks(unsure, segment.offset):
        piece = os.pread(fd, min(_CHUNK_BYTES, segment.offset - at), at)
        if os.pwrite(fd, piece, at) != len(piece):
            raise OSError(f"{segment.path} was written short")
    room = max(os.fstat(fd).st_size, records * RECORD_BYTES)
    os.posix_fallocate(fd, 0, room)
    os.fdatasync(fd)
    return room


def _chunks(start: int, end: int) -> range:
    return range(start, end, _CHUNK_BYTES)
