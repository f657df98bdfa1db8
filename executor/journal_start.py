"""How a journal is opened: found or begun, verified, its torn end cut off; or refused, saying why.

One path for a start and for a restart. The caller holds both locks. What decides:

    the head file      knows the journal's id, its living segment, and up to which record everything
                       was on disk (shm/journal_files.py)
    the segment        verified from its first byte to its last (shm/journal_scan.py)

A torn end is what a group leaves that nobody had acknowledged; it is copied aside and cut. A record
that was on disk and is not valid now is damage, and so is anything whole behind the valid part,
with one exception: after a loss of power pages that had not been synced may be missing between
others that are there. That shows in the boot id, and then the orphan sweep is mandatory anyway.

Records that were written and perhaps never reached the disk are written once more: when a sync
fails, Linux may call their pages clean, and a process started later would see them and believe.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from shm.errors import JournalDamaged, JournalForeign, JournalGone, JournalOlder
from shm.journal_files import (
    Clock,
    Head,
    Place,
    accept_loss_remedy,
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
from shm.process import boot_id

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
    segments = place.segments()
    if head.segment == 0 and not segments:
        place.prepare()
        head = begin(place, head, (), records, clock)
        replace_head(place, head)
        segments = place.segments()
    number = max(segments, default=0)
    if not segments:
        raise JournalGone(
            f"no journal at {place.folder}, and {place.head.name} says that there was one, up to "
            f"record {head.durable_seq}: {accept_loss_remedy(place)}"
        )
    if number < head.segment:
        raise JournalOlder(
            f"the newest segment at {place.folder} is {number}, and {place.head.name} knows "
            f"segment {head.segment}: this is an older copy; {accept_loss_remedy(place)}"
        )
    fd = os.open(segments[number], os.O_RDWR | os.O_CLOEXEC)
    try:
        segment = read_segment(fd, segments[number], number)
        _require_ours(place, head, segment)
        _require_sound(place, head, segment)
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
            raise JournalGone(
                f"{place.head} is missing, so nothing says whether the journal beside it is the "
                f"newest: {accept_loss_remedy(place)}"
            )
        head = new_head(new_journal_id(), wallet, bytes(16))
        replace_head(place, head)
    if head.wallet != wallet_word(wallet):
        raise JournalForeign(
            f"the journal at {place.folder} is of wallet 0x{head.wallet[-20:].hex()}, and this "
            f"instance trades with 0x{wallet[-20:].hex()}: give it an instance of its own"
        )
    return head


# --- may it be gone on with -------------------------------------------------------------------


def _require_ours(place: Place, head: Head, segment: Segment) -> None:
    """The segment is of this journal, and the one that its name says."""
    link, checkpoint = segment.link, segment.checkpoint
    if link is None or checkpoint is None:
        raise _damaged(place, segment, "the snapshot that it begins with is not whole")
    if link.journal != head.journal:
        raise JournalGone(
            f"{segment.path} is of journal {link.journal:016x}, and {place.head.name} names "
            f"{head.journal:016x}: {accept_loss_remedy(place)}"
        )
    if checkpoint.wallet != head.wallet:
        raise _damaged(place, segment, "its wallet is another one than the head file's")
    if checkpoint.segment != segment.number:
        raise _damaged(place, segment, f"it was made as segment {checkpoint.segment}")


def _require_sound(place: Place, head: Head, segment: Segment) -> None:
    """Nothing that was acknowledged is missing."""
    if segment.last_seq < head.durable_seq:
        if segment.whole and not segment.fault.reason:
            raise JournalOlder(
                f"{segment.path} ends with record {segment.last_seq}, and record "
                f"{head.durable_seq} was on disk: an older copy, or its end is lost; "
                f"{accept_loss_remedy(place)}"
            )
        raise _damaged(place, segment, "it had been on disk")
    if not segment.rest.evidence:
        return
    lost_power = head.boot_id != boot_id()
    if segment.rest.misplaced or not lost_power:
        raise _damaged(place, segment, segment.rest.evidence)


def _damaged(place: Place, segment: Segment, why: str) -> JournalDamaged:
    number = segment.offset // RECORD_BYTES + 1
    seq = segment.last_seq + 1 if segment.link else 0
    what = segment.fault.reason or "is missing"
    return JournalDamaged(
        f"{segment.path} is damaged: record {seq} (number {number} of the file) {what}: {why}. "
        f"`polytrio journal verify` lists what can be read; {accept_loss_remedy(place)}"
    )


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
