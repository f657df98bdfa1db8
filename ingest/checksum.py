"""The venue's book hash: proves that our copy of a book is the venue's, level for level.

SHA-1 over a compact JSON text with fixed key order, in which the hash itself is empty, bids ascend
and asks descend, and all numbers are the venue's own texts. Our integers give those texts back
exactly, since the venue prints the shortest form. Rule: docs/venue.md, section "Book hash".
"""

from dataclasses import dataclass
from hashlib import sha1

from ingest.book import Book, Ladder
from shm.units import PRICE_ONE_E4, format_price, format_size


@dataclass(frozen=True, slots=True)
class HashFacts:
    """What the hash covers and a frame may not say."""

    condition: str
    min_size: str
    neg_risk: bool


def _side(ladder: Ladder, *, mirrored: bool, ascending: bool) -> str:
    """Level texts; a mirrored ladder is the other token's opposite side at 1 - price."""
    # Mirroring turns the order round, so ascending mirrored prices are descending own ones.
    prices = ladder.prices if ascending != mirrored else reversed(ladder.prices)
    one = PRICE_ONE_E4
    return ",".join(
        f'{{"price":"{format_price(one - p if mirrored else p)}",'
        f'"size":"{format_size(ladder.sizes[p])}"}}'
        for p in prices
    )


def book_hash(
    book: Book, facts: HashFacts, token: str, *, no_side: bool, tick_e4: int, last_trade: str
) -> str:
    """40 hex digits. `no_side`: hash the mirrored book, as the NO token's frames carry it."""
    bids = _side(book.asks if no_side else book.bids, mirrored=no_side, ascending=True)
    asks = _side(book.bids if no_side else book.asks, mirrored=no_side, ascending=False)
    head = hash_head(facts, token, book.exchange_ms)
    tail = hash_tail(facts, tick_e4, last_trade)
    return sha1(f"{head}{bids}{BETWEEN}{asks}{tail}".encode(), usedforsecurity=False).hexdigest()


BETWEEN = '],"asks":['
"""Stands between the levels of the two sides."""


def hash_head(facts: HashFacts, token: str, exchange_ms: int) -> str:
    """The hashed text up to its first bid."""
    return (
        f'{{"market":"{facts.condition}","asset_id":"{token}","timestamp":"{exchange_ms}",'
        '"hash":"","bids":['
    )


def hash_tail(facts: HashFacts, tick_e4: int, last_trade: str) -> str:
    """The hashed text behind its last ask."""
    return (
        f'],"min_order_size":"{facts.min_size}","tick_size":"{format_price(tick_e4)}",'
        f'"neg_risk":{str(facts.neg_risk).lower()},"last_trade_price":"{last_trade}"}}'
    )


def last_trade_texts(price_e4: int) -> tuple[str, ...]:
    """How the venue may print a trade's price inside the hash: three decimals were recorded."""
    thousandths, rest = divmod(price_e4, 10)
    shortest = format_price(price_e4)
    if rest:
        return (shortest,)
    return (f"{thousandths // 1000}.{thousandths % 1000:03d}", shortest)
