"""The journal's files: where they are, who may open them, how a segment and the head file are made.

    <var>/journal/000001.journal ...   segments; the highest number is the living one
    <var>/journal.head                 how far the journal had come; beside the folder, so that
                                       neither its deletion nor an older copy goes unnoticed
    <var>/journal.lock                 held for life by the one process that writes here
    <shm>/polytrio.wallet.<address>.lock   held for life by the one process of this machine that
                                       trades with a wallet, whatever its instance

Everything is private to its owner. A segment is made under another name, filled, synced, and only
then put in its place: what has a segment's name is whole, with the snapshot that it begins with.
"""

import errno
import fcntl
import os
import re
import secrets
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from shm.errors import JournalDamaged, JournalError, JournalNoRoom, RoleTaken
from shm.journal_record import RECORD_BYTES, SEAL, Draft, Link, first_link, seal_all
from shm.layout import U32, U64, Record, Word256
from shm.payloads import PAYLOADS
from shm.records import Digest16, Kind
from shm.segments import APP
from shm.snapshot_records import Checkpoint

FOLDER_MODE = 0o700
FILE_MODE = 0o600
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NAME = re.compile(r"(\d{6})\.journal")
_MAKING = ".making"


class Clock(NamedTuple):
    """Both clocks, for whoever stamps records."""

    mono_ns: Callable[[], int]
    wall_ns: Callable[[], int]


SYSTEM_CLOCK = Clock(time.monotonic_ns, time.time_ns)


class Place:
    """The paths that belong to a journal, from its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.head = folder.with_name(f"{folder.name}.head")
        self.lock = folder.with_name(f"{folder.name}.lock")

    def segment(self, number: int) -> Path:
        """Path of a segment."""
        return self.folder / f"{number:06d}.journal"

    def segments(self) -> dict[int, Path]:
        """Number -> path of those that are there, in order."""
        if not self.folder.is_dir():
            return {}
        found = {
            int(m[1]): path for path in self.folder.iterdir() if (m := _NAME.fullmatch(path.name))
        }
        return dict(sorted(found.items()))

    def sweep(self) -> None:
        """Remove what a death left half made. Under the lock only."""
        for path in (*self.folder.parent.glob(f"{_MAKING}*"), *self.folder.glob(f"{_MAKING}*")):
            path.unlink()

    def prepare(self) -> None:
        """Make the folder, private, and see that it is."""
        self.folder.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        with suppress(FileExistsError):
            self.folder.mkdir(mode=FOLDER_MODE)
            sync_folder(self.folder.parent)

    def require_private(self) -> None:
        """Refuse a journal that others could read or write."""
        for path in (self.folder, *self.segments().values(), self.head):
            with suppress(FileNotFoundError):
                mode = path.stat().st_mode & 0o7777
                if mode & 0o077:
                    wanted = FOLDER_MODE if path is self.folder else FILE_MODE
                    raise JournalError(
                        f"{path} is open to others (mode {mode:o}): chmod {wanted:o} {path}"
                    )


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# --- locks ------------------------------------------------------------------------------------


class FileLock:
    """A kernel-held lock: gone with the process that holds it, however that ends."""

    def __init__(self, path: Path, whose: str) -> None:
        self._path = path
        self._whose = whose
        self._fd: int | None = None

    def take(self) -> None:
        """Hold it until this process ends; `RoleTaken` if another has it."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except PermissionError:
            raise RoleTaken(
                f"{self._path} belongs to another user, and so does {self._whose}"
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise RoleTaken(
                f"another process has {self._whose} (lock {self._path}): stop it first"
            ) from None
        self._fd = fd

    def release(self) -> None:
        """Give it back; who trades keeps it for life."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def wallet_word(wallet: bytes) -> bytes:
    """An address as records hold it: 32 bytes, padded on the left."""
    assert len(wallet) in {20, 32}, f"a wallet of {len(wallet)} bytes"
    return wallet.rjust(32, b"\0")


def locks_of(place: Place, wallet: bytes, root: Path) -> tuple[FileLock, FileLock]:
    """The locks that whoever writes a wallet's journal has to hold, in the order of taking."""
    address = wallet_word(wallet)[-20:].hex()
    return (
        FileLock(place.lock, f"the journal {place.folder}"),
        FileLock(root / f"{APP}.wallet.{address}.lock", f"the wallet 0x{address}"),
    )


# --- the head file ----------------------------------------------------------------------------


class Head(NamedTuple):
    """How far the journal had come when last synced."""

    magic: U32
    version: U32
    stamp: U64
    """Grows with each write."""
    journal: U64
    durable_seq: U64
    """This record and all before it were on disk."""
    segment: U64
    """0 while the first one is being made."""
    boot_id: Digest16
    wallet: Word256


_HEAD = Record(Head, head=SEAL.size)
_HEAD_MAGIC = int.from_bytes(b"PTJH", "little")
_HEAD_VERSION = 1
_SLOT_BYTES = 512
"""A sector: a loss of power can spoil only the head that was being written."""


def new_head(journal: int, wallet: bytes, boot_id: bytes) -> Head:
    """Head of a journal that has no segment yet."""
    return Head(_HEAD_MAGIC, _HEAD_VERSION, 0, journal, 0, 0, boot_id, wallet_word(wallet))


def pack_head(head: Head) -> bytes:
    """Sealed bytes of one slot."""
    body = _HEAD.pack(head)
    return (body + SEAL.pack(zlib.crc32(body))).ljust(_SLOT_BYTES, b"\0")


def parse_head(data: bytes) -> Head | None:
    """The newest of two slots that is whole."""
    found: list[Head] = []
    for at in (0, _SLOT_BYTES):
        slot = data[at : at + _SLOT_BYTES]
        if len(slot) < _HEAD.size + SEAL.size:
            continue
        head = _HEAD.unpack(slot)
        (crc,) = SEAL.unpack_from(slot, _HEAD.size)
        if head.magic == _HEAD_MAGIC and crc == zlib.crc32(slot[: _HEAD.size]):
            found.append(head)
    return max(found, key=lambda head: head.stamp, default=None)


def read_head(place: Place) -> Head | None:
    """What the head file says; None if there is none, `JournalDamaged` if it cannot be read."""
    try:
        data = place.head.read_bytes()
    except FileNotFoundError:
        return None
    head = parse_head(data)
    if head is None:
        raise JournalDamaged(
            f"{place.head} is not what was written, so nothing says whether the journal beside it "
            f"is the newest: {accept_loss_remedy(place)}"
        )
    return head


class HeadFile:
    """Writes the head in place, one slot after the other."""

    def __init__(self, place: Place, head: Head) -> None:
        self.head = head
        self._fd = os.open(place.head, os.O_WRONLY | os.O_CLOEXEC)

    def write(self, head: Head) -> None:
        """Put the head into the slot that does not hold the newest one."""
        head = head._replace(stamp=self.head.stamp + 1)
        slot = pack_head(head)
        if os.pwrite(self._fd, slot, head.stamp % 2 * _SLOT_BYTES) != len(slot):
            raise OSError(errno.ENOSPC, "the head file was written short")
        self.head = head

    def sync(self) -> None:
        """Make it survive a loss of power."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)


def replace_head(place: Place, head: Head) -> None:
    """Put a head file in place, whole and synced, whatever was there."""
    temporary = place.head.with_name(f"{_MAKING}-{place.head.name}")
    _write_whole(temporary, [pack_head(head), pack_head(head)], 2 * _SLOT_BYTES)
    temporary.rename(place.head)
    sync_folder(place.head.parent)


# --- segments ---------------------------------------------------------------------------------


def _write_whole(path: Path, pieces: Sequence[bytes], room_bytes: int) -> None:
    """A new private file with this in it, on disk, and with its whole room taken."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        os.fchmod(fd, FILE_MODE)  # whatever the umask says
        os.posix_fallocate(fd, 0, room_bytes)
        offset = 0
        for piece in pieces:
            if os.pwrite(fd, piece, offset) != len(piece):
                raise OSError(errno.ENOSPC, "written short")
            offset += len(piece)
        os.fsync(fd)
    finally:
        os.close(fd)


def save_aside(path: Path, pieces: Sequence[bytes]) -> None:
    """Keep bytes that are about to be cut off, on disk before they are."""
    temporary = path.with_name(f"{_MAKING}-{path.name}")
    _write_whole(temporary, pieces, sum(map(len, pieces)))
    temporary.rename(path)
    sync_folder(path.parent)


class Plan(NamedTuple):
    """What a new segment begins with."""

    number: int
    wallet: bytes
    boot_id: bytes
    """Of the last boot whose start told what it had found."""
    durable_seq: int
    state_digest: bytes = bytes(32)


def make_segment(
    place: Place, plan: Plan, link: Link, snapshot: Sequence[Draft], *, records: int, clock: Clock
) -> tuple[Link, int]:
    """Make a segment that begins with a snapshot and its checkpoint; the link and offset behind.

    `JournalNoRoom` if the disk has no room for it: then nothing has changed.
    """
    checkpoint = Checkpoint(
        durable_seq=plan.durable_seq,
        records=len(snapshot),
        segment=plan.number,
        state_digest=plan.state_digest,
        wallet=wallet_word(plan.wallet),
        boot_id=plan.boot_id,
    )
    drafts = [*snapshot, Draft(Kind.CHECKPOINT, 0, 0, PAYLOADS[Kind.CHECKPOINT].pack(checkpoint))]
    groups, link = seal_all(link, drafts, clock.mono_ns(), clock.wall_ns())
    room = max(records, 2 * len(drafts)) * RECORD_BYTES
    final = place.segment(plan.number)
    temporary = place.folder / f"{_MAKING}-{final.name}"
    assert not final.exists(), f"{final} is there already"
    try:
        _write_whole(temporary, groups, room)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        if error.errno not in NO_ROOM:
            raise
        raise JournalNoRoom(
            f"no room for {room:,} bytes of {final}: make room on that disk, or set a smaller "
            "journal.segment_records"
        ) from None
    temporary.rename(final)
    sync_folder(place.folder)
    return link, len(drafts) * RECORD_BYTES


def begin(place: Place, head: Head, snapshot: Sequence[Draft], records: int, clock: Clock) -> Head:
    """Make a journal's first segment; the head that says so, which is the caller's to write."""
    plan = Plan(1, head.wallet, bytes(16), 0)
    link, _ = make_segment(
        place, plan, first_link(head.journal), snapshot, records=records, clock=clock
    )
    return head._replace(segment=1, durable_seq=link.seq - 1)


def new_journal_id() -> int:
    """Random, and never 0."""
    return secrets.randbelow(2**64 - 1) + 1


def accept_loss_remedy(place: Place) -> str:
    """The way out that every refusal names."""
    return (
        f"restore what belongs at {place.folder} from where it went; if it is lost for good, "
        "`polytrio journal accept-loss` begins a new one, and the next start looks for every order "
        "and position at the venue"
    )
