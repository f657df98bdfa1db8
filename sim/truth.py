"""The exchange's own account of everything that happened: one JSON line each, never shared.

A line is written with one `write` before anybody is told what it says, so that it is in the page
cache, and survives `kill -9`, before a client can act on it. The last lines are kept in memory for
/sim/truth. Lines have a dense sequence number, the venue's time (`ms`) and the machine's monotonic
time (`mono_ns`), which all processes of a machine share.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from shm.errors import ConfigError

MEMORY_LINES = 20_000
_MARK_EVERY = 1_000
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Truth:
    """Where lines go. `ms` is the venue's time of what is recorded next."""

    file: "TruthFile | None" = None
    mono_ns: Callable[[], int] = time.monotonic_ns
    ms: int = 0
    seq: int = 0
    _lines: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MEMORY_LINES))
    _context: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file is not None:
            self.seq = self.file.last_seq

    def record(self, kind: str, **what: Any) -> None:
        """Append one line; members of `what` replace those of the context."""
        self.seq += 1
        line = {
            "seq": self.seq,
            "kind": kind,
            "ms": self.ms,
            "mono_ns": self.mono_ns(),
            **self._context,
            **what,
        }
        self._lines.append(line)
        if self.file is not None:
            self.file.append(self.seq, _encode(line) + b"\n")

    @contextmanager
    def about(self, **context: Any) -> Iterator[None]:
        """Members that all lines inside have as well, such as the number of the request."""
        before, self._context = self._context, {**self._context, **context}
        try:
            yield
        finally:
            self._context = before

    def context(self) -> dict[str, Any]:
        """The members that lines have now, for what is decided later."""
        return dict(self._context)

    def since(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """At most `limit` lines with a number above `seq`, oldest first.

        What has left the memory is read from the file, if there is one.
        """
        oldest = self._lines[0]["seq"] if self._lines else self.seq + 1
        if seq + 1 < oldest and self.file is not None:
            return self.file.since(seq, limit)
        return list(islice(self._lines, max(0, seq + 1 - oldest), max(0, seq + 1 - oldest) + limit))


class TruthFile:
    """The lines on disk; appended to, never cut.

    A file that exists is continued, on a new line if its last one is torn, with the next number.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"--truth {path}: {error.strerror}") from error
        self.path = path
        self.last_seq = 0
        torn = False
        for raw in _raw_lines(path, 0):
            torn = not raw.endswith(b"\n")
            number = seq_of(raw)
            self.last_seq = self.last_seq if number is None else number
        self._size = os.fstat(self._fd).st_size
        self._marks: list[tuple[int, int]] = [(0, 0)]
        if torn:
            self._write(b"\n")

    def append(self, seq: int, line: bytes) -> None:
        """Write one whole line."""
        if seq % _MARK_EVERY == 0:
            self._marks.append((seq, self._size))
        self._write(line)

    def since(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """Lines with a number above `seq`."""
        offset = max(at for number, at in self._marks if number <= max(seq, 0) + 1)
        found: list[dict[str, Any]] = []
        for raw in _raw_lines(self.path, offset):
            number = seq_of(raw)
            if number is not None and number > seq:
                found.append(msgspec.json.decode(raw))
            if len(found) >= limit:
                break
        return found

    def close(self) -> None:
        """Give the file back; the lines are there whatever happens."""
        os.close(self._fd)

    def _write(self, data: bytes) -> None:
        left = data
        while left:
            left = left[os.write(self._fd, left) :]
        self._size += len(data)


class _Numbered(msgspec.Struct):
    seq: int


def seq_of(raw: bytes) -> int | None:
    """Number of a line; None when it is torn or no line of a truth log."""
    try:
        return msgspec.json.decode(raw, type=_Numbered).seq
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _raw_lines(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        yield from file


def read_truth(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a file, also of one whose writer was killed in the middle of a line."""
    return [msgspec.json.decode(raw) for raw in _raw_lines(path, 0) if seq_of(raw) is not None]
