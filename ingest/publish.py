"""From a book in our memory to the books table and the updates ring."""

import time

from ingest.books import Tracked
from shm.codes import BookState
from shm.fabric import Counters, Fabric
from shm.layout import (
    BOOK,
    BOOK_LEVELS,
    UPDATE,
    Book,
    IngestStats,
    Update,
)

_NONE = (0,) * BOOK_LEVELS


class Publisher:
    """ingest's pen: writes a book, then tells the engine where to look."""

    def __init__(self, fabric: Fabric, epoch: int, counters: Counters[IngestStats]) -> None:
        self._books = fabric.write_table("books", BOOK)
        self._updates = fabric.produce("updates", UPDATE)
        self._dirty = fabric.dirty_marker()
        self._epoch = epoch
        self._counters = counters

    def publish(self, tracked: Tracked, frame_ns: int, parsed_ns: int) -> None:
        """Show a book's present state. If the ring is full the market is marked dirty instead."""
        version = self._books.write(tracked.row, book_row(tracked, self._epoch))
        update = Update(
            market=tracked.row,
            flags=0,
            book_version=version,
            exchange_ms=tracked.book.exchange_ms,
            frame_ns=frame_ns,
            parsed_ns=parsed_ns,
            published_ns=time.monotonic_ns(),
        )
        if self._updates.try_push(update):
            self._counters.add("updates_pushed")
        else:
            self._dirty.mark(tracked.row)
            self._counters.add("updates_conflated")
        if tracked.book.crossed:
            self._counters.add("crossed_books")

    def clear(self, row: int) -> None:
        """The market in this row is gone: leave an UNKNOWN book."""
        self._books.write(row, BOOK.blank()._replace(epoch=self._epoch, state=BookState.UNKNOWN))


def book_row(tracked: Tracked, epoch: int) -> Book:
    """A book as the books table shows it: the best levels of each side."""
    bids, asks = tracked.book.best_bids(), tracked.book.best_asks()
    bid_prices, bid_sizes = _columns(bids)
    ask_prices, ask_sizes = _columns(asks)
    return Book(
        market_key=tracked.key,
        epoch=epoch,
        exchange_ms=tracked.book.exchange_ms,
        received_ns=tracked.received_ns,
        frames=tracked.frames,
        state=tracked.book.state,
        tick_e4=tracked.tick_e4,
        bid_count=len(bids),
        ask_count=len(asks),
        last_trade_e4=tracked.last_trade_e4,
        hash_state=tracked.hash_state,
        bid_price_e4=bid_prices,
        ask_price_e4=ask_prices,
        bid_size_e6=bid_sizes,
        ask_size_e6=ask_sizes,
    )


def _columns(levels: list[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    missing = _NONE[len(levels) :]
    if not levels:
        return missing, missing
    prices, sizes = zip(*levels, strict=True)
    return prices + missing, sizes + missing
