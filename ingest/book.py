"""One market's order book in YES terms: a pure state machine over snapshots and level changes.

Sizes are absolute and 0 deletes a level; the best prices are the maximum of the bids and the
minimum of the asks, whatever order the venue sends levels in. A change is believed only on top of a
snapshot: after a loss (disconnect, failed check) the book is STALE until the next one.
"""

from bisect import bisect_left, insort
from enum import IntEnum

from shm.codes import BookState, Side
from shm.layout import BOOK_LEVELS


class Input(IntEnum):
    """What can happen to a book."""

    SNAPSHOT = 1
    CHANGE = 2
    LOSS = 3


NEXT_STATE: dict[tuple[BookState, Input], BookState] = {
    (BookState.UNKNOWN, Input.SNAPSHOT): BookState.LIVE,
    (BookState.UNKNOWN, Input.CHANGE): BookState.UNKNOWN,
    (BookState.UNKNOWN, Input.LOSS): BookState.UNKNOWN,
    (BookState.LIVE, Input.SNAPSHOT): BookState.LIVE,
    (BookState.LIVE, Input.CHANGE): BookState.LIVE,
    (BookState.LIVE, Input.LOSS): BookState.STALE,
    (BookState.STALE, Input.SNAPSHOT): BookState.LIVE,
    (BookState.STALE, Input.CHANGE): BookState.STALE,
    (BookState.STALE, Input.LOSS): BookState.STALE,
}

Level = tuple[int, int]
"""(price_e4, size_e6)"""


class Ladder:
    """One side: sizes by price, and the prices in ascending order."""

    __slots__ = ("prices", "sizes")

    def __init__(self) -> None:
        self.prices: list[int] = []
        self.sizes: dict[int, int] = {}

    def replace(self, levels: list[Level]) -> None:
        """Forget everything and take these levels; a repeated price counts with its last size.

        A size of 0 is no level here, and takes none away: a snapshot says what is there.
        """
        self.sizes = {price_e4: size_e6 for price_e4, size_e6 in levels if size_e6}
        self.prices = sorted(self.sizes)

    def put(self, price_e4: int, size_e6: int) -> None:
        """Set one level to an absolute size; 0 deletes it."""
        known = price_e4 in self.sizes
        if size_e6:
            self.sizes[price_e4] = size_e6
            if not known:
                insort(self.prices, price_e4)
        elif known:
            del self.sizes[price_e4]
            del self.prices[bisect_left(self.prices, price_e4)]

    def levels(self, prices: list[int]) -> list[Level]:
        """The given prices with their sizes."""
        return [(price_e4, self.sizes[price_e4]) for price_e4 in prices]


class Book:
    """See the module."""

    __slots__ = ("asks", "bids", "exchange_ms", "state")

    def __init__(self) -> None:
        self.state = BookState.UNKNOWN
        self.exchange_ms = 0
        self.bids = Ladder()
        self.asks = Ladder()

    def _move(self, what: Input) -> None:
        self.state = NEXT_STATE[self.state, what]

    def replace(self, exchange_ms: int, bids: list[Level], asks: list[Level]) -> None:
        """Take a snapshot."""
        self._move(Input.SNAPSHOT)
        self.exchange_ms = exchange_ms
        self.bids.replace(bids)
        self.asks.replace(asks)

    def change(self, exchange_ms: int, side: Side, price_e4: int, size_e6: int) -> None:
        """Set one level; without effect unless the book is LIVE."""
        self._move(Input.CHANGE)
        if self.state is BookState.LIVE:
            self.exchange_ms = exchange_ms
            (self.bids if side is Side.BUY else self.asks).put(price_e4, size_e6)

    def lose(self) -> None:
        """Stop believing the book until the next snapshot."""
        self._move(Input.LOSS)

    def best_bids(self) -> list[Level]:
        """Up to `BOOK_LEVELS` bids, best (highest) first."""
        return self.bids.levels(self.bids.prices[: -BOOK_LEVELS - 1 : -1])

    def best_asks(self) -> list[Level]:
        """Up to `BOOK_LEVELS` asks, best (lowest) first."""
        return self.asks.levels(self.asks.prices[:BOOK_LEVELS])

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask: a moment inside one transaction."""
        bids, asks = self.bids.prices, self.asks.prices
        return bool(bids and asks and bids[-1] >= asks[0])

    def on_grid(self, tick_e4: int) -> bool:
        """Whether every level stands on a multiple of the tick."""
        return all(p % tick_e4 == 0 for p in self.bids.prices) and all(
            p % tick_e4 == 0 for p in self.asks.prices
        )
