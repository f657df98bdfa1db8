"""What the books say at this moment, read from shared memory: best quotes, and whole ladders.

A book counts only if ingest, as it runs now, holds it for live; anything else is shown as dead. A
repair sees no levels of one that has not changed for too long either.
"""

import struct
import time
from collections.abc import Iterable

from executor.amounts import TICKS_E4
from executor.exposure import Token, wanted
from executor.flights import Flight, positions_e6
from executor.legging import Ladder, Standing
from executor.risk import Quote
from executor.stock import Stock
from shm.codes import BookState, Outcome, Role, Side
from shm.fabric import Fabric
from shm.layout import BOOK, Book
from shm.roles import RoleTable
from shm.units import PRICE_ONE_E4

_NO_QUOTE = Quote(live=False, bid_e4=0, ask_e4=0, tick_e4=0, changed_ns=0)
_AT = BOOK.offset_of
_EPOCH, _RECEIVED, _STATE = _AT["epoch"], _AT["received_ns"], _AT["state"]
_BID, _ASK = _AT["bid_price_e4"], _AT["ask_price_e4"]
_u32, _u64 = struct.Struct("<I").unpack_from, struct.Struct("<Q").unpack_from
_head = struct.Struct("<IIII").unpack_from
"""state, tick_e4, bid_count, ask_count: neighbours in the record."""
assert [_AT[n] - _AT["state"] for n in ("tick_e4", "bid_count", "ask_count")] == [4, 8, 12]


class Books:
    """The executor's view of what ingest publishes."""

    def __init__(self, fabric: Fabric) -> None:
        self._table = fabric.read_table("books", BOOK)
        self._roles = RoleTable(fabric.segment("control", writable=False))

    def feed_silence_ns(self) -> int:
        """Since ingest last proved that it works."""
        return time.monotonic_ns() - self._roles.heartbeat_ns(Role.INGEST)

    def quote(self, row: int) -> Quote:
        """The best levels of a market; nothing else of its book is read."""
        return self.quotes((row,))[row]

    def quotes(self, rows: Iterable[int]) -> dict[int, Quote]:
        """The same of many, by row."""
        epoch, read, count = (
            self._roles.epoch(Role.INGEST),
            self._table.latch.read,
            self._table.count,
        )
        found = {}
        for row in rows:
            data = read(row) if 0 <= row < count else None
            if data is None:
                found[row] = _NO_QUOTE
                continue
            state, tick_e4, bids, asks = _head(data, _STATE)
            found[row] = Quote(
                state == BookState.LIVE and _u64(data, _EPOCH)[0] == epoch,
                _u32(data, _BID)[0] if bids else 0,
                _u32(data, _ASK)[0] if asks else 0,
                tick_e4,
                _u64(data, _RECEIVED)[0],
            )
        return found

    def standing(
        self, token: Token, held_e6: int, free_e6: int, other_e6: int, *, oldest_ns: int
    ) -> Standing:
        """One leg as a repair sees it; no levels where the book is not to be trusted.

        `oldest_ns`: monotonic time since which it has to have changed.
        """
        market, outcome = token
        book = self._table.read(market.row)
        if (
            book is None
            or book.market_key != market.key
            or book.state != BookState.LIVE
            or book.epoch != self._roles.epoch(Role.INGEST)
            or book.received_ns < oldest_ns
        ):
            return Standing(market, outcome, held_e6, (), (), market.tick_e4, free_e6, other_e6)
        tick_e4 = book.tick_e4 or market.tick_e4
        asks, bids = (_on_tick(ladder, tick_e4) for ladder in ladders(book, outcome))
        return Standing(market, outcome, held_e6, asks, bids, tick_e4, free_e6, other_e6)

    def standings(
        self,
        flight: Flight,
        stock: Stock,
        tokens: dict[str, Token],
        *,
        inventory: bool,
        oldest_ns: int,
    ) -> list[Standing]:
        """The legs of a basket, as they stand; `inventory`: what is held may be sold for it."""
        found = []
        for leg, held_e6 in zip(flight.legs, positions_e6(flight, stock.ledger), strict=True):
            its, other = (leg.token, leg.other) if leg.side is Side.BUY else (leg.other, leg.token)
            other_e6 = stock.free_e6(other) if inventory else 0
            free_e6 = stock.sellable_e6(its)
            found.append(
                self.standing(wanted(leg, tokens), held_e6, free_e6, other_e6, oldest_ns=oldest_ns)
            )
        return found


def _on_tick(ladder: Ladder, tick_e4: int) -> Ladder:
    """The levels at which an order may stand: a limit off the tick cannot be signed.

    Where a tick has just changed, a book may show both; the next level is only a worse limit.
    """
    if tick_e4 not in TICKS_E4:
        return ()
    return [(price_e4, size_e6) for price_e4, size_e6 in ladder if price_e4 % tick_e4 == 0]


def ladders(book: Book, outcome: Outcome) -> tuple[Ladder, Ladder]:
    """(asks, bids) of a token, best first. The NO side is the mirror of the book."""
    asks = list(zip(book.ask_price_e4, book.ask_size_e6, strict=True))[: book.ask_count]
    bids = list(zip(book.bid_price_e4, book.bid_size_e6, strict=True))[: book.bid_count]
    if outcome is Outcome.YES:
        return asks, bids
    return (
        [(PRICE_ONE_E4 - price_e4, size_e6) for price_e4, size_e6 in bids],
        [(PRICE_ONE_E4 - price_e4, size_e6) for price_e4, size_e6 in asks],
    )
