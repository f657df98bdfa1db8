"""The executor's memory: what it is about to do is written here before it is done.

One thread appends; a group of records is written by one call and counts as a whole or not at all.
A second thread syncs what was written, many groups at once, while orders travel. To `written_seq`
records survive the death of any process, to `durable_seq` a loss of power.

    append, append_orders    the last record's number; or why nothing was written, as a value: then
                             nothing may be sent, and trading halts
    found                    at start: the snapshot of the living segment and all that followed
    full, rotate             a new segment that begins with a snapshot of the state

Format: shm/journal_record.py, shm/records.py. Files: shm/journal_files.py. How it is opened:
executor/journal_start.py. docs/journal.md tells the whole story.
"""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from executor.failpoints import reach
from executor.journal_start import Cut, Started, start
from executor.pens import make_pen
from executor.syncing import Syncer
from shm import backend
from shm.codes import Mode
from shm.errors import JournalError, JournalGone, JournalNoRoom
from shm.journal_files import (
    FOLDER_MODE,
    NO_ROOM,
    SYSTEM_CLOCK,
    Clock,
    FileLock,
    HeadFile,
    Place,
    Plan,
    locks_of,
    make_segment,
    wallet_word,
)
from shm.journal_found import Found
from shm.journal_record import RECORD_BYTES, Draft
from shm.limits import JournalSettings
from shm.payloads import PAYLOADS
from shm.process import boot_id
from shm.records import Basket, Intent, Kind, ModeChange
from shm.segment import SHM_ROOT
from shm.snapshot_records import Checkpoint

HEAD_SYNC_NS = 1_000_000_000
"""The head file is written with each sync and itself synced this often: an older head only sees
less."""
_FULL_EIGHTHS = 7


@dataclass(frozen=True)
class JournalFull:
    """The disk had no room for the group; nothing of it counts. It may be tried again."""

    why: str


@dataclass(frozen=True)
class JournalPoisoned:
    """The disk failed: what was written may be lost, and nothing can be written any more.

    A failed sync is never repeated: the kernel forgets the failure, the second one succeeds, and
    the data is gone. The process has to end; the next start writes again what is in doubt.
    """

    why: str


Unwritten = JournalFull | JournalPoisoned


class Journal:
    """See the module. Appending and rotating are one thread's; `sync` may be anybody's."""

    def __init__(
        self,
        started: Started,
        settings: JournalSettings,
        *,
        native: bool,
        clock: Clock,
        locks: Sequence[FileLock],
    ) -> None:
        segment = started.segment
        assert segment.link is not None
        assert segment.checkpoint is not None
        self._place = started.place
        self._settings = settings
        self._native = native
        self._clock = clock
        self._locks = locks
        self._fd = started.fd
        self._offset = segment.offset
        self._full_at = _full_at(segment.offset, started.room_bytes)
        self._pen = make_pen(segment.link, native=native)
        self._swept_boot_id = segment.swept_boot_id
        self._opened = False
        self._poisoned: JournalPoisoned | None = None
        self._syncing = threading.Lock()
        self._head_synced_ns = clock.mono_ns()
        self._head_stale = False
        self.journal_id = segment.link.journal
        self.segment = segment.number
        self.stamp = (0, 0)
        """CLOCK_MONOTONIC and wall time, in ns, that the last group carries."""
        self.written_seq = segment.last_seq
        self.durable_seq = segment.last_seq
        self.intents = 0
        """INTENT records that this process has written."""
        self.checkpoint: Checkpoint = segment.checkpoint
        self.quarantined: Cut | None = started.cut
        """What was cut off at this start."""
        self.needs_sweep = self._swept_boot_id != boot_id()
        """Orders may have been sent that are not here: a new journal, a loss of power, an accepted
        loss. Holds until OPENED, what was found at the venue, and RECONCILING are appended."""
        self.found = Found(segment.path, segment.records)
        """The living segment as it was at this start: snapshot, CHECKPOINT, what followed."""
        self._head = HeadFile(
            started.place,
            started.head._replace(
                segment=segment.number, durable_seq=segment.last_seq, boot_id=boot_id()
            ),
        )
        self._head.write(self._head.head)
        self._head.sync()
        self._syncer: Syncer | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        wallet: bytes,
        settings: JournalSettings,
        *,
        native: bool = backend.NATIVE,
        clock: Clock = SYSTEM_CLOCK,
        root: Path = SHM_ROOT,
        threaded: bool = True,
    ) -> Self:
        """Open or begin the journal of a wallet, and hold both until this process ends.

        `RoleTaken` if another process has one of them, `JournalError` if it cannot be gone on with.
        Without a thread the caller syncs.
        """
        place = Place(folder)
        taken: list[FileLock] = []
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            for lock in locks_of(place, wallet, root):
                lock.take()
                taken.append(lock)
            started = start(place, wallet, records=settings.segment_records, clock=clock)
            journal = cls(started, settings, native=native, clock=clock, locks=taken)
        except BaseException as error:
            for lock in taken:
                lock.release()
            if isinstance(error, PermissionError):
                raise JournalGone(f"the journal at {folder} cannot be opened: {error}") from error
            if isinstance(error, OSError):
                raise _unusable(folder, error) from error
            raise
        if threaded:
            journal._syncer = Syncer(journal.sync)
        return journal

    # --- writing --------------------------------------------------------------------------------

    def append(
        self, drafts: Sequence[tuple[Any, ...]], *, durable: bool = False
    ) -> int | Unwritten:
        """Write a group; the number of its last record. `durable`: it is on disk, too."""
        if self._poisoned is not None:
            return self._poisoned
        self._pen.settle()
        self.stamp = stamp = (self._clock.mono_ns(), self._clock.wall_ns())
        written = self._pen.write(self._fd, self._offset, drafts, *stamp)
        count = len(drafts)
        if written != count * RECORD_BYTES:
            return self._unwritten(written)
        self._advance(count)
        self._pen.settle()
        for draft in drafts:
            if draft[0] == Kind.OPENED:
                self._opened = True
            elif draft[0] == Kind.MODE and self._opened:
                self._note_mode(draft[3])
            elif draft[0] == Kind.INTENT:
                self.intents += 1
                durable = durable or self._settings.durability == "D2"
        return self._finish(durable=durable)

    def _note_mode(self, row: tuple[Any, ...] | bytes) -> None:
        """What a start found is told before it reconciles: then it need not be looked for again."""
        step = PAYLOADS[Kind.MODE].unpack(row) if isinstance(row, bytes) else ModeChange(*row)
        if step.mode == Mode.RECONCILING:
            self._swept_boot_id = boot_id()
            self.needs_sweep = False

    def append_orders(
        self,
        flight: int,
        basket: Basket | tuple[Any, ...],
        intents: Sequence[Intent | tuple[Any, ...]],
        *,
        durable: bool = False,
    ) -> int | Unwritten:
        """A BASKET and its INTENTs as one group, on the way to the wire: what can wait, waits.

        The next append, which comes when the orders have left, makes the digest and wakes the sync.
        """
        if self._poisoned is not None:
            return self._poisoned
        self.stamp = stamp = (self._clock.mono_ns(), self._clock.wall_ns())
        written = self._pen.write_orders(self._fd, self._offset, (flight, basket, intents), *stamp)
        count = 1 + len(intents)
        if written != count * RECORD_BYTES:
            return self._unwritten(written)
        self._advance(count)
        self.intents += len(intents)
        if durable or self._settings.durability == "D2":
            return self._finish(durable=True)
        return self.written_seq

    def must_sync(self, reserved_usd_e6: int) -> bool:
        """Whether orders of this worth have to be on disk before they leave."""
        match self._settings.durability:
            case "D0":
                return False
            case "D1":
                return reserved_usd_e6 > self._settings.sync_above_usd_e6
            case "D2":
                return True

    def _advance(self, count: int) -> None:
        self._offset += count * RECORD_BYTES
        self.written_seq += count

    def _finish(self, *, durable: bool) -> int | Unwritten:
        seq = self.written_seq
        if durable:
            return self.sync() or seq
        if self._syncer is not None:
            self._syncer.wake()
        return seq

    def _unwritten(self, written: int) -> Unwritten:
        """The group is not whole. Its remains will be written over, or cut at a start."""
        if written >= 0 or -written in NO_ROOM:
            said = os.strerror(-written) if written < 0 else f"{written} bytes were written"
            return JournalFull(f"no room in {self._place.folder}: {said}; make room on that disk")
        return self._poison(OSError(-written, os.strerror(-written)), "written")

    def _poison(self, error: OSError, what: str) -> JournalPoisoned:
        self._poisoned = JournalPoisoned(
            f"{self._place.folder} cannot be {what}: {error.strerror or error}; see what the "
            "kernel's log says of that disk, then start again"
        )
        return self._poisoned

    @property
    def trouble(self) -> JournalPoisoned | None:
        """Set for good once the disk has failed, also if only the syncing thread has seen it."""
        return self._poisoned

    # --- syncing --------------------------------------------------------------------------------

    def sync(self) -> JournalPoisoned | None:
        """Bring everything written so far to disk; why not, if the disk fails."""
        with self._syncing:
            if self._poisoned is not None:
                return self._poisoned
            try:
                self._sync()
            except OSError as error:
                return self._poison(error, "synced")
            return None

    def _sync(self) -> None:
        seq = self.written_seq
        if seq != self.durable_seq:
            os.fdatasync(self._fd)
            self.durable_seq = seq
            self._head.write(self._head.head._replace(durable_seq=seq))
            self._head_stale = True
        if self._head_stale and self._clock.mono_ns() - self._head_synced_ns > HEAD_SYNC_NS:
            self._sync_head()

    def _sync_head(self) -> None:
        self._head.sync()
        self._head_synced_ns = self._clock.mono_ns()
        self._head_stale = False

    # --- segments -------------------------------------------------------------------------------

    @property
    def run(self) -> int:
        """How many processes have opened a run here; the last one's own number."""
        return self._pen.link.run

    @property
    def full(self) -> bool:
        """Time to rotate, at a quiet moment. Meanwhile the file grows if it has to."""
        return self._offset >= self._full_at

    def rotate(self, snapshot: Sequence[Draft], *, digest: bytes = bytes(32)) -> int | Unwritten:
        """Begin a new segment with a snapshot of the state; the old one stays, for the record.

        `digest`: of the state, which the fold of this snapshot has to come to again. Takes a few
        syncs of the disk. `JournalFull`: there was no room, and the old segment goes on.
        """
        trouble = self.sync()
        if trouble is not None:
            return trouble
        with self._syncing:
            try:
                return self._rotate(snapshot, digest)
            except JournalNoRoom as error:
                return JournalFull(str(error))
            except OSError as error:
                return self._poison(error, "rotated")

    def _rotate(self, snapshot: Sequence[Draft], digest: bytes) -> int:
        place, number = self._place, self.segment + 1
        wallet = wallet_word(self._head.head.wallet)
        plan = Plan(number, wallet, self._swept_boot_id, self.durable_seq, digest)
        link, offset = make_segment(
            place, plan, self._pen.link, snapshot,
            records=self._settings.segment_records, clock=self._clock,
        )  # fmt: skip
        reach("rotation-made")
        fd = os.open(place.segment(number), os.O_RDWR | os.O_CLOEXEC)
        os.close(self._fd)
        self._fd, self._offset, self.segment = fd, offset, number
        self._full_at = _full_at(offset, os.fstat(fd).st_size)
        self._pen = make_pen(link, native=self._native)
        self.written_seq = self.durable_seq = link.seq - 1
        self._head.write(self._head.head._replace(segment=number, durable_seq=self.durable_seq))
        self._sync_head()
        return self.written_seq

    def close(self) -> None:
        """Sync, and give everything back; again, nothing. Whoever trades ends without: the same."""
        if self._fd < 0:
            return
        if self._syncer is not None:
            self._syncer.stop()
        if self.sync() is None:
            self._sync_head()
        os.close(self._fd)
        self._fd = -1
        self._head.close()
        for lock in self._locks:
            lock.release()


def _full_at(offset: int, room_bytes: int) -> int:
    return offset + (room_bytes - offset) * _FULL_EIGHTHS // 8


def _unusable(folder: Path, error: OSError) -> JournalError:
    if error.errno in NO_ROOM:
        return JournalNoRoom(f"no room for the journal at {folder}: {error.strerror}")
    return JournalError(f"the journal at {folder} cannot be opened: {error}")
