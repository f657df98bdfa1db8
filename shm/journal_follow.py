"""Reading a journal while it is being written, over rotations: only whole groups are ever seen."""

import os
from collections.abc import Iterator
from pathlib import Path

from shm.errors import JournalError
from shm.journal_files import Place
from shm.journal_record import Entry, Link
from shm.journal_scan import Walk


class Follower:
    """Yields the records of all segments from one on; `poll` goes on where it ended."""

    def __init__(self, place: Place, number: int) -> None:
        self._place = place
        self._number = number
        self._walk: Walk | None = None
        self._fd = -1

    def poll(self) -> Iterator[Entry]:
        """What has come since; ends when there is no more for now."""
        while True:
            # Looked at first: what a segment has when its successor is there, it has for good.
            later = self._place.segment(self._number + 1).exists()
            if self._walk is None:
                self._open()
            assert self._walk is not None
            for group in self._walk:
                yield from group.entries()
            if not later:
                return
            link = self._walk.link
            if self.trouble and not self._goes_on(link):
                return
            self.close()
            self._number += 1
            self._open(link)

    def _open(self, link: Link | None = None) -> None:
        path: Path = self._place.segment(self._number)
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise JournalError(f"{path} cannot be read: {error.strerror}") from None
        self._walk = Walk(self._fd, link)

    def _goes_on(self, link: Link | None) -> bool:
        """Whether the next segment takes up here, so that what lies behind is no group of ours."""
        after = Follower(self._place, self._number + 1)
        after._open(link)
        assert after._walk is not None
        try:
            return link is not None and next(iter(after._walk), None) is not None
        finally:
            after.close()

    @property
    def trouble(self) -> str:
        """What is wrong behind the last record that was read. A group being written looks torn."""
        if self._walk is None or not self._walk.fault.reason:
            return ""
        return f"{self._place.segment(self._number)}: the next record {self._walk.fault.reason}"

    def close(self) -> None:
        """Give the descriptor back."""
        if self._walk is not None:
            os.close(self._fd)
            self._walk = None
