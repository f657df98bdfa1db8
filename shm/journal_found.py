"""Records of a segment as a sequence, decoded when looked at and never kept in memory."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from shm.journal_record import RECORD_BYTES, Entry, entry_at

_CHUNK_RECORDS = 1024


class Found(Sequence[Entry]):
    """The first `count` records of a segment that has been verified."""

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        """Decode one after the other, a chunk of the file at a time."""
        with self._path.open("rb", buffering=0) as file:
            for first in range(0, self._count, _CHUNK_RECORDS):
                count = min(_CHUNK_RECORDS, self._count - first)
                data = os.pread(file.fileno(), count * RECORD_BYTES, first * RECORD_BYTES)
                for place in range(count):
                    yield entry_at(data, place * RECORD_BYTES)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        """One record, or a list of some."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        place = range(self._count)[index]
        with self._path.open("rb", buffering=0) as file:
            return entry_at(os.pread(file.fileno(), RECORD_BYTES, place * RECORD_BYTES), 0)
