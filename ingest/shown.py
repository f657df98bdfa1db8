"""Our own live books as the books table shows them: how fresh one is, what one has missed.

Reads the few words that it needs; a record of forty levels is not unpacked for them.
"""

import struct
from typing import NamedTuple

from shm.codes import BookState
from shm.fabric import Fabric
from shm.layout import BOOK

_AT = BOOK.offset_of
_head = struct.Struct("<QqQQI").unpack_from
"""epoch, exchange_ms, received_ns, frames, state: neighbours in the record."""
_HEAD, _LEVELS = _AT["epoch"], _AT["bid_price_e4"]
_NAMES = ("exchange_ms", "received_ns", "frames", "state")
assert [_AT[name] - _HEAD for name in _NAMES] == [8, 16, 24, 32]


class Look(NamedTuple):
    """A live book at one moment."""

    exchange_ms: int
    received_ns: int
    frames: int
    levels: bytes

    def missed_since(self, before: "Look") -> bool:
        """Whether the one frame that came since then shows a change that never came by itself.

        A snapshot carries the time of its book's last change, not that of its sending.
        """
        return (
            self.frames == before.frames + 1
            and self.exchange_ms > before.exchange_ms
            and self.levels != before.levels
        )


class Shown:
    """See the module."""

    def __init__(self, fabric: Fabric, epoch: int) -> None:
        self._read = fabric.read_table("books", BOOK).latch.read
        self._epoch = epoch

    def live(self, row: int) -> Look | None:
        """The book in a row; None unless it may be believed."""
        data = self._read(row)
        if data is None:
            return None
        epoch, exchange_ms, received_ns, frames, state = _head(data, _HEAD)
        if state != BookState.LIVE or epoch != self._epoch:
            return None
        return Look(exchange_ms, received_ns, frames, data[_LEVELS:])
