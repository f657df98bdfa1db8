"""Half-made segments: files under a temporary name whose maker was killed before it took it away.

A maker that dies between putting its segment in place and removing the temporary name leaves a
second name of the same file. While that name exists, the file never counts as removed, and those
who have it mapped would not notice (`Segment.require_named`): so leftovers are removed together
with the segments.

Who made a file is in its name. A process number is no proof of life, but one that is free is proof
of death: what may belong to a living maker is never touched.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shm.layout import HEADER
from shm.process import start_ticks
from shm.segment import BUILDING, SHM_ROOT

_NAME = re.compile(rf"{BUILDING}\.(?P<pid>[0-9]{{1,10}})\.[0-9a-f]+")


@dataclass(frozen=True)
class Leftover:
    """A file under a temporary name."""

    path: Path
    pid: int
    abandoned: bool
    """Its maker is dead; otherwise it is being made now."""
    linked: bool
    """It has its final name, too: its maker died at the last step."""


def leftovers(root: Path = SHM_ROOT) -> Iterator[Leftover]:
    """Every file under a temporary name, sorted by name."""
    for path in sorted(root.glob(f"{BUILDING}.*")):
        match = _NAME.fullmatch(path.name)
        if match:
            with suppress(OSError):
                linked = path.stat(follow_symlinks=False).st_nlink > 1
                pid = int(match["pid"])
                yield Leftover(path, pid, not _maker_lives(path, pid), linked)


def _maker_lives(path: Path, pid: int) -> bool:
    """Whether the process of this number can be the maker: the header may say when it started."""
    started = start_ticks(pid)
    if started == 0:
        return False
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        head = os.pread(fd, HEADER.size, 0)
    finally:
        os.close(fd)
    if len(head) < HEADER.size:
        return True
    header = HEADER.unpack(head)
    return header.creator_pid != pid or header.creator_start_ticks in {0, started}


def remove_leftovers() -> int:
    """Remove what dead makers left; how many there were."""
    found = [leftover for leftover in leftovers() if leftover.abandoned]
    for leftover in found:
        with suppress(FileNotFoundError, PermissionError):  # another user's is theirs to remove
            leftover.path.unlink()
    return len(found)
