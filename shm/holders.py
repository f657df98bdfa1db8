"""Who holds what, asked from the kernel: role locks, mapped segments, the processes behind them.

Everything here is read from /proc and changes nothing. Processes of other users, and those in other
containers, are only visible to root: what cannot be read is left out.
"""

import fcntl
import os
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_FLOCK = struct.Struct("hhqqi4x")
_PROC = Path("/proc")
_COMMAND_MAX = 60
_NUMBER = re.compile(r"[0-9]+")
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


def lock_held(path: Path) -> bool | None:
    """Whether some process holds the role lock on this file; None if we may not ask."""
    try:
        # The kernel answers a query on a descriptor for reading, too.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))
    except OSError:
        return None
    finally:
        os.close(fd)
    return bool(answer[0] != fcntl.F_UNLCK)


def pids() -> Iterator[int]:
    """Every process that we can see."""
    for path in _PROC.iterdir():
        if _NUMBER.fullmatch(path.name):
            yield int(path.name)


def lock_holders(paths: Iterable[Path]) -> dict[Path, list[int]]:
    """Lock file -> processes with a descriptor through which it is locked.

    /proc/locks names no process for locks of this kind (a descriptor may be in several), but the
    information about each descriptor says whether a lock hangs on it.
    """
    wanted: dict[tuple[int, int], Path] = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            wanted[status.st_dev, status.st_ino] = path
    holders: dict[Path, list[int]] = {path: [] for path in wanted.values()}
    for pid in pids():
        with suppress(*_GONE):
            for descriptor in (_PROC / str(pid) / "fd").iterdir():
                lock = _locked_through(pid, descriptor, wanted)
                if lock is not None and pid not in holders[lock]:
                    holders[lock].append(pid)
    return holders


def _locked_through(pid: int, fd: Path, wanted: dict[tuple[int, int], Path]) -> Path | None:
    with suppress(OSError):
        status = fd.stat()
        path = wanted.get((status.st_dev, status.st_ino))
        if path is not None:
            information = (_PROC / str(pid) / "fdinfo" / fd.name).read_text("ascii", "replace")
            if "\nlock:" in information:
                return path
    return None


@dataclass(frozen=True)
class Mapped:
    """A file that a process has mapped."""

    pid: int
    path: Path
    removed: bool
    """Its name is gone: the process holds the last of it."""


def mapped_files(pid: int) -> set[Mapped]:
    """The files that a process has mapped; empty if we may not look or it is gone."""
    found: set[Mapped] = set()
    with suppress(*_GONE):
        text = (_PROC / str(pid) / "maps").read_text("utf-8", "replace")
        for line in text.splitlines():
            # address, permissions, offset, device, inode, then the path, which may hold spaces
            columns = line.split(maxsplit=5)
            if len(columns) == 6 and columns[5].startswith("/"):
                name = columns[5].removesuffix(" (deleted)")
                found.add(Mapped(pid, Path(name), removed=name != columns[5]))
    return found


def command(pid: int) -> str:
    """The command line of a process, shortened for one line of text: programs without folders."""
    with suppress(*_GONE):
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        texts = [word.decode("utf-8", "replace") for word in words if word]
        text = " ".join([*(Path(one).name for one in texts[:2]), *texts[2:]])
        text = "".join(letter if letter.isprintable() else "?" for letter in text)
        return text if len(text) <= _COMMAND_MAX else text[: _COMMAND_MAX - 3] + "..."
    return ""


def stopped(pid: int) -> bool:
    """Whether a signal (SIGSTOP) or a debugger keeps the process from running."""
    with suppress(*_GONE):
        text = (_PROC / str(pid) / "stat").read_text("ascii", "replace")
        return text.rpartition(")")[2].split()[0] in {"T", "t"}
    return False
