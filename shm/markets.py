"""The markets table: one generation of market facts, replaced and read as a whole; their age."""

import time
import zlib
from collections.abc import Iterable, Sequence

from shm.backend import LatchReader, LatchWriter, Words
from shm.codes import MarketState
from shm.errors import SegmentDamaged
from shm.fabric import Fabric, find_section
from shm.layout import GENERATION, MARKET, MARKETS_MAX, Generation, Market

_, _PLACED = find_section("markets")
_BYTES = _PLACED.section.payload_bytes
_, _TIMES = find_section("markets.confirmed")


class MarketsWriter:
    """desk's pen."""

    def __init__(self, fabric: Fabric) -> None:
        view = fabric.segment("markets", writable=True).view
        self._latch = LatchWriter(view, _PLACED.offset, _BYTES, 1, fabric.fence)
        self._confirmed = Words(view, _TIMES.offset, MARKETS_MAX, True)

    def publish(self, generation: int, markets: Sequence[Market]) -> None:
        """Replace the whole table; each market must stand at its own row number."""
        assert len(markets) <= MARKETS_MAX
        assert all(market.row == i for i, market in enumerate(markets))
        rows = b"".join(MARKET.pack(market) for market in markets)
        head = Generation(generation, len(markets), time.monotonic_ns(), checksum=0)
        head = head._replace(checksum=_checksum(head, rows))
        self._latch.write(0, (GENERATION.pack(head) + rows).ljust(_BYTES, b"\0"))

    def confirm(self, rows: Iterable[int], asked_ns: int) -> None:
        """The venue says what these rows say; it was asked at `asked_ns`, monotonic.

        Only after `publish`: who reads a new tenant with the time of the old one sees older facts
        than there are, never younger ones.
        """
        for row in rows:
            self._confirmed.store(row, asked_ns)


class MarketsReader:
    """Everyone's view. `changed()` costs one load."""

    def __init__(self, fabric: Fabric) -> None:
        view = fabric.segment("markets", writable=False).view
        self._latch = LatchReader(view, _PLACED.offset, _BYTES, 1)
        self._confirmed = Words(view, _TIMES.offset, MARKETS_MAX, False)
        self._version = 0

    def changed(self) -> bool:
        """Whether a generation was published since the last `read`."""
        return self._latch.version(0) != self._version

    def confirmed_ns(self, row: int) -> int:
        """When a row was confirmed last (`MarketsWriter.confirm`), 0: never. One load.

        A word of its own: no order against the table is needed, see there.
        """
        return self._confirmed.load(row)

    def read(self) -> tuple[int, list[Market]]:
        """Generation number and its rows (free and retired ones too); (0, []) before the first.

        `SegmentDamaged` if they are not what desk wrote.
        """
        payload = None
        while payload is None:  # desk writes a few times a day; a second try always succeeds
            payload = self._latch.read(0)
        self._version = self._latch.seen
        if self._version == 0:
            return 0, []
        head = GENERATION.unpack(payload)
        used = payload[GENERATION.size : GENERATION.size + head.rows_used * MARKET.size]
        if head.rows_used > MARKETS_MAX or _checksum(head, used) != head.checksum:
            raise SegmentDamaged(
                "the markets table was changed by something that is not desk: "
                "stop the system and start it again (its memory is made anew)"
            )
        return head.generation, [MARKET.unpack(used, at) for at in range(0, len(used), MARKET.size)]


def _checksum(head: Generation, rows: bytes) -> int:
    return zlib.crc32(rows, zlib.crc32(GENERATION.pack(head._replace(checksum=0))))


def active(markets: Sequence[Market]) -> list[Market]:
    """The rows that are in use."""
    return [market for market in markets if market.state == MarketState.ACTIVE]
