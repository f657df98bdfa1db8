"""Whether a journal is what was written: the judgement that a start makes, and the whole of it.

`living` and `require_sound` decide whether the living segment may be gone on with, and
executor/journal_start.py acts on it. `verify` reads all segments and names each fault; it only
reads, and may run beside the executor.

The head file (shm/journal_files.py) knows up to which record everything was on disk. A record up to
there that is not valid now is damage. So is anything whole behind the valid part, with one
exception: after a loss of power, pages that had not been synced may be missing between others that
are there. That shows in the boot id, and then the orphan sweep is mandatory anyway.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from shm.errors import JournalDamaged, JournalError, JournalGone, JournalOlder
from shm.journal_files import Head, Place, accept_loss_remedy, read_head
from shm.journal_record import RECORD_BYTES, Link
from shm.journal_scan import Segment, read_segment
from shm.process import boot_id


def living(place: Place, head: Head) -> int:
    """Number of the living segment; `JournalGone` or `JournalOlder` if it is not there."""
    number = max(place.segments(), default=0)
    if number == 0:
        raise JournalGone(
            f"no journal at {place.folder}, and {place.head.name} says that there was one, up to "
            f"record {head.durable_seq}: {accept_loss_remedy(place)}"
        )
    if number < head.segment:
        raise JournalOlder(
            f"the newest segment at {place.folder} is {number}, and {place.head.name} knows "
            f"segment {head.segment}: this is an older copy; {accept_loss_remedy(place)}"
        )
    return number


def head_missing(place: Place) -> JournalGone:
    """The error of a journal without its head file."""
    return JournalGone(
        f"{place.head} is missing, so nothing says whether the journal beside it is the newest: "
        f"{accept_loss_remedy(place)}"
    )


def require_sound(place: Place, head: Head, segment: Segment) -> None:
    """The living segment is ours, and nothing that was acknowledged is missing in it."""
    _require_ours(place, head, segment)
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


def _require_ours(place: Place, head: Head, segment: Segment) -> None:
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


def _damaged(place: Place, segment: Segment, why: str) -> JournalDamaged:
    return JournalDamaged(
        f"{described(segment)}: {why}. `polytrio journal verify` says what can be read; "
        f"{accept_loss_remedy(place)}"
    )


def described(segment: Segment) -> str:
    """Where the valid part of a segment ends, and why."""
    number = segment.offset // RECORD_BYTES + 1
    seq = segment.last_seq + 1 if segment.link else 0
    what = segment.fault.reason or "is missing"
    return f"{segment.path}: record {seq} (number {number} of the file) {what}"


# --- all of it --------------------------------------------------------------------------------


@dataclass
class Verified:
    """What is there, what is wrong with it, and what is only worth knowing."""

    place: Place
    head: Head | None = None
    segments: list[Segment] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def records(self) -> int:
        """Valid ones."""
        return sum(segment.records for segment in self.segments)


def verify(place: Place) -> Verified:
    """Read everything. The head first: what it says was on disk has to be there a moment later."""
    found = Verified(place)
    try:
        found.head = read_head(place)
        if found.head is None and place.segments():
            raise head_missing(place)
        if found.head is not None and found.head.segment:
            living(place, found.head)
    except JournalError as error:
        found.faults.append(str(error))
    except OSError as error:
        found.faults.append(_unreadable(place.head, error))
    before: Segment | None = None
    expected = 1
    for number, path in _listed(found).items():
        if expected < number:
            found.notes.append(f"segments {expected} to {number - 1} are not here")
            before = None
        expected = number + 1
        try:
            before = _read(found, path, number, before)
        except OSError as error:
            found.faults.append(_unreadable(path, error))
            before = None
        else:
            found.segments.append(before)
    if before is not None:
        _judge_living(found, before)
    return found


def _listed(found: Verified) -> dict[int, Path]:
    try:
        return found.place.segments()
    except OSError as error:
        found.faults.append(_unreadable(found.place.folder, error))
        return {}


def _unreadable(path: Path, error: OSError) -> str:
    """The fault of what the disk does not read. What somebody else owns is no fault of it."""
    if isinstance(error, PermissionError):
        raise JournalError(f"{path} cannot be read: {error.strerror}; ask as its owner") from error
    return f"{path} cannot be read: {error.strerror or error}"


def _read(found: Verified, path: Path, number: int, before: Segment | None) -> Segment:
    link: Link | None = before.link if before else None
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        segment = read_segment(fd, path, number, link)
        follows = segment.records > 0
        if link is not None and not follows:
            found.faults.append(f"{described(segment)}: it does not follow segment {number - 1}")
            segment = read_segment(fd, path, number)
    finally:
        os.close(fd)
    if before is not None and not before.whole:
        if follows and not before.rest.evidence:
            # Its number and the digest of the last group prove that nothing is missing between.
            found.notes.append(f"{described(before)}: remains of a write that failed, and the next "
                               "segment follows what stands before them")  # fmt: skip
        else:
            found.faults.append(f"{described(before)}: and there is a segment after it")
    if segment.checkpoint is None:
        found.faults.append(f"{described(segment)}: the snapshot it begins with is not whole")
    elif segment.checkpoint.segment != number:
        found.faults.append(f"{path}: it was made as segment {segment.checkpoint.segment}")
    return segment


def _judge_living(found: Verified, segment: Segment) -> None:
    """The living segment as a start would see it."""
    if found.head is not None and segment.checkpoint is not None:
        try:
            require_sound(found.place, found.head, segment)
        except JournalError as error:
            found.faults.append(str(error))
            return
    if not segment.whole:
        found.notes.append(f"{described(segment)}: a torn end, which the next start cuts off")
