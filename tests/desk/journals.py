"""Journals to look at: short ones written by the executor's own journal, and ways to spoil them."""

from pathlib import Path

from executor.journal import Journal
from shm.codes import Cause, Mode
from shm.journal_record import RECORD_BYTES, Draft
from shm.limits import JournalSettings
from shm.records import Kind, Mark, ModeChange, Reply

WALLET = b"\x07" * 20
SETTINGS = JournalSettings(segment_records=1_024)


def opened(folder: Path) -> Journal:
    """The journal at a folder, with locks of its own."""
    return Journal.open(folder, WALLET, SETTINGS, root=folder.parent, threaded=False)


def mark(worth: int) -> Draft:
    """A small record that is easy to recognise."""
    return Draft(Kind.MARK, 0, 0, Mark(1, worth))


def reply(text: bytes, flight: int = 5, leg: int = 1) -> Draft:
    """Something that the venue wrote."""
    return Draft(Kind.REPLY, flight, leg, Reply(1, 400, 3, 2, b"\xab" * 32, bytes(16), text))


def newer_code() -> Draft:
    """What a version that knows one more cause could have written."""
    return Draft(Kind.MODE, 0, 0, ModeChange(0, Mode.HALTED, max(Cause) + 1, b"x", b"newer"))


def written(folder: Path, count: int = 8, rotations: int = 0) -> Journal:
    """Open, write `count` marks before each rotation and after the last; left open."""
    journal = opened(folder)
    for part in range(rotations + 1):
        for number in range(count):
            assert isinstance(journal.append([mark(1_000 * part + number)]), int)
        if part < rotations:
            assert isinstance(journal.rotate([mark(1_000 * part + 999)]), int)
    assert journal.sync() is None
    return journal


def whole(folder: Path, count: int = 8, rotations: int = 0) -> Path:
    """The same, and closed; the newest segment."""
    journal = written(folder, count, rotations)
    journal.close()
    return folder / f"{rotations + 1:06d}.journal"


def flip(path: Path, record: int, byte: int = 100) -> None:
    """Turn one bit of a record over."""
    data = bytearray(path.read_bytes())
    data[record * RECORD_BYTES + byte] ^= 1
    path.write_bytes(data)


def torn(folder: Path) -> None:
    """Put half a record where the next one would come, as a death in the middle of a write does."""
    path = max(folder.glob("*.journal"))
    data = bytearray(path.read_bytes())
    used = (len(bytes(data).rstrip(b"\0")) + RECORD_BYTES - 1) // RECORD_BYTES * RECORD_BYTES
    data[used : used + 100] = data[used - RECORD_BYTES : used - RECORD_BYTES + 100]
    path.write_bytes(data)
