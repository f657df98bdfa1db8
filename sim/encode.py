"""The bytes of the market channel: every frame as the venue writes it (protocol.md A.3).

The venue has two encoders. The initial dump and `new_market` are compact; all other frames put
", " between members and nothing after the colon. Key order is the recorded one.
"""

from dataclasses import dataclass

from sim.hashing import BookText


@dataclass(frozen=True, slots=True)
class Entry:
    """One element of `price_changes`; texts ready for the wire."""

    asset_id: str
    price: str
    size: str
    side: str
    book_hash: str
    best_bid: str
    best_ask: str

    def text(self) -> str:
        """The element as JSON."""
        return (
            f'{{"asset_id":"{self.asset_id}", "price":"{self.price}", "size":"{self.size}", '
            f'"side":"{self.side}", "hash":"{self.book_hash}", '
            f'"best_bid":"{self.best_bid}", "best_ask":"{self.best_ask}"}}'
        )


def price_change(market: str, first: Entry, second: Entry, timestamp: str) -> str:
    """One level of both tokens: the acting order's own token first, then its mirror."""
    return (
        f'{{"market":"{market}", "price_changes":[{first.text()}, {second.text()}], '
        f'"timestamp":"{timestamp}", "event_type":"price_change"}}'
    )


def book_midstream(text: BookText, book_hash: str) -> str:
    """The book that follows a trade; it names neither tick nor last trade."""
    bids, asks = (_spaced(levels) for levels in (text.bids, text.asks))
    return (
        f'{{"market":"{text.market}", "asset_id":"{text.asset_id}", "bids":[{bids}], '
        f'"asks":[{asks}], "hash":"{book_hash}", "timestamp":"{text.timestamp}", '
        f'"event_type":"book"}}'
    )


def _spaced(levels: list[str]) -> str:
    return ", ".join(level.replace('","', '", "') for level in levels)


def book_initial(text: BookText, book_hash: str) -> str:
    """One element of the initial dump; compact, with tick size and last trade."""
    return (
        f'{{"market":"{text.market}","asset_id":"{text.asset_id}",'
        f'"timestamp":"{text.timestamp}","hash":"{book_hash}",'
        f'"bids":[{",".join(text.bids)}],"asks":[{",".join(text.asks)}],'
        f'"tick_size":"{text.tick_size}","event_type":"book",'
        f'"last_trade_price":"{text.last_trade_price}"}}'
    )


def initial_dump(books: list[str]) -> str:
    """The answer to a subscription: one JSON array and a newline."""
    return f"[{','.join(books)}]\n"


@dataclass(frozen=True, slots=True)
class LastTrade:
    """A trade as the market channel tells it: the taker's token, price, size and side."""

    market: str
    asset_id: str
    price: str
    size: str
    side: str
    timestamp: str
    transaction_hash: str

    def text(self) -> str:
        """The `last_trade_price` frame; `fee_rate_bps` is not the real fee on the venue either."""
        return (
            f'{{"market":"{self.market}", "asset_id":"{self.asset_id}", '
            f'"price":"{self.price}", "size":"{self.size}", "fee_rate_bps":"0", '
            f'"side":"{self.side}", "timestamp":"{self.timestamp}", '
            f'"event_type":"last_trade_price", "transaction_hash":"{self.transaction_hash}"}}'
        )


def tick_size_change(market: str, asset_id: str, ticks: tuple[str, str], timestamp: str) -> str:
    """`ticks` are (old, new)."""
    return (
        f'{{"market":"{market}", "asset_id":"{asset_id}", "old_tick_size":"{ticks[0]}", '
        f'"new_tick_size":"{ticks[1]}", "timestamp":"{timestamp}", '
        f'"event_type":"tick_size_change"}}'
    )


def best_bid_ask(market: str, asset_id: str, prices: tuple[str, str, str], timestamp: str) -> str:
    """`prices` are (best bid, best ask, spread)."""
    return (
        f'{{"market":"{market}", "asset_id":"{asset_id}", "best_bid":"{prices[0]}", '
        f'"best_ask":"{prices[1]}", "spread":"{prices[2]}", "timestamp":"{timestamp}", '
        f'"event_type":"best_bid_ask"}}'
    )
