"""A long journal, written by the executor's own pen, and every state that it may be found in.

The state at each group is kept while it is written: what a recovery has to come to is known from
the other side, never from what the recovery itself reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from executor.journal import Journal
from executor.remembering import remembered
from executor.snapshot import may_be_taken, snapshot
from executor.state import State
from shm.journal_files import Clock, Place, read_head, replace_head
from shm.journal_record import RECORD_BYTES, Draft
from shm.limits import JournalSettings
from tests.executor.stories import Story

WALLET = b"\x01" * 20
SETTINGS = JournalSettings(segment_records=1_024)
BEGAN_MS = 1_795_000_000_000
CLOCK = Clock(lambda: 1, lambda: BEGAN_MS * 1_000_000)


def opened(folder: Path, clock: Clock = CLOCK) -> Journal:
    """Open as the executor does at a start."""
    return Journal.open(
        folder, WALLET, SETTINGS, clock=clock, root=folder.parent, threaded=False
    )  # fmt: skip


@dataclass
class Chapter:
    """One segment of the long journal."""

    number: int
    data: bytes
    """Without the zeros at its end."""
    states: list[tuple[int, bytes]] = field(default_factory=list)
    """(last record, digest of the state) at the end of each group, the snapshot's first."""

    @property
    def first_seq(self) -> int:
        """Of its snapshot."""
        return self.states[-1][0] + 1 - len(self.data) // RECORD_BYTES

    def state_at(self, seq: int) -> tuple[int, bytes] | None:
        """The last whole group at or before a record."""
        found = None
        for last, digest in self.states:
            if last > seq:
                break
            found = (last, digest)
        return found


class Author(Story):
    """A story that also goes into a journal, which rotates when it is full."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.now_ms = BEGAN_MS
        self.journal = opened(folder, Clock(lambda: 1, lambda: self.now_ms * 1_000_000))
        self.chapters = [Chapter(1, b"", [(1, State().digest())])]
        super().__init__(seed)

    def tell(self, drafts: Sequence[Draft]) -> list:
        self.link = self.link._replace(seq=self.journal.written_seq + 1)
        turns = super().tell(drafts)
        written = self.journal.append(drafts)
        assert isinstance(written, int)
        self.chapters[-1].states.append((written, self.state.digest()))
        return turns

    def turn_the_page(self) -> None:
        if not (self.journal.full and may_be_taken(self.state)):
            return
        digest = self.state.digest()
        assert isinstance(self.journal.rotate(snapshot(self.state), digest=digest), int)
        self.chapters.append(
            Chapter(self.journal.segment, b"", [(self.journal.written_seq, digest)])
        )


def write(folder: Path, records: int, seed: int = 1) -> list[Chapter]:
    """A journal of at least so many records; what stands in each of its segments."""
    author = Author(seed, folder)
    while author.journal.written_seq < records:
        author.act()
        author.turn_the_page()
    author.journal.close()
    for chapter in author.chapters:
        data = Place(folder).segment(chapter.number).read_bytes()
        last = chapter.states[-1][0]
        chapter.data = data.rstrip(b"\0")
        short = -len(chapter.data) % RECORD_BYTES
        chapter.data += bytes(short)
        assert chapter.first_seq >= 1
        assert last - chapter.first_seq + 1 == len(chapter.data) // RECORD_BYTES
    return author.chapters


def lay_out(folder: Path, chapter: Chapter, data: bytes, durable_seq: int) -> None:
    """The journal as a start finds it: this living segment, and a head that knows so much."""
    place = Place(folder)
    for number, path in place.segments().items():
        if number != chapter.number:
            path.unlink()
    room = bytes(SETTINGS.segment_records * RECORD_BYTES)
    place.segment(chapter.number).write_bytes(data.ljust(len(room), b"\0"))
    place.segment(chapter.number).chmod(0o600)
    head = read_head(place)
    assert head is not None
    replace_head(place, head._replace(segment=chapter.number, durable_seq=durable_seq))


def recovered(folder: Path, *, fold: bool = True) -> tuple[int, bytes, bool]:
    """(last record, digest of the state, something was cut off) of a start; closes it again."""
    journal = opened(folder)
    try:
        digest = remembered(journal.found).digest() if fold else b""
        return journal.written_seq, digest, journal.quarantined is not None
    finally:
        journal.close()
        for path in folder.glob("*.cut-*"):
            path.unlink()
