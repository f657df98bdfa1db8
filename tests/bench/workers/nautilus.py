"""Nautilus' Polymarket adapter from Python: a message decoded, made into deltas, applied to a book.

As its data client does it for every subscribed token, and to the best ask, which is where our
published top of book stands, too. It takes one token at a time: a change of two entries is two.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from line import Thing, serve
from nautilus_trader.adapters.polymarket.common.parsing import parse_polymarket_instrument
from nautilus_trader.adapters.polymarket.schemas.book import (
    PolymarketBookSnapshot,
    PolymarketQuotes,
)
from nautilus_trader.adapters.polymarket.websocket.types import MARKET_WS_MESSAGE
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.enums import BookType

CORPUS = json.loads(Path(sys.argv[1]).read_text())
DECODER = msgspec.json.Decoder(MARKET_WS_MESSAGE)


def instrument_of(market: dict[str, str], token: str) -> Any:
    facts = {
        "condition_id": market["condition"],
        "question": "?",
        "minimum_tick_size": 0.001,
        "minimum_order_size": 5,
        "end_date_iso": "2027-01-01T00:00:00Z",
        "maker_base_fee": 0,
        "taker_base_fee": 0,
        "tokens": [],
    }
    return parse_polymarket_instrument(facts, token, "Yes", ts_init=0)


class Books:
    """By token: instrument and book."""

    def __init__(self, corpus: str) -> None:
        self.of: dict[str, tuple[Any, Any]] = {}
        for market in CORPUS["markets"][corpus]:
            for token in (market["yes"], market["no"]):
                instrument = instrument_of(market, token)
                book = OrderBook(instrument.id, book_type=BookType.L2_MBP)
                self.of[token] = instrument, book

    def take(self, frame: bytes) -> object:
        message = DECODER.decode(frame)
        best = None
        for one in message if isinstance(message, list) else (message,):
            if isinstance(one, PolymarketQuotes):
                for change in one.price_changes:
                    instrument, book = self.of[change.asset_id]
                    single = PolymarketQuotes(one.market, [change], one.timestamp)
                    book.apply_deltas(single.parse_to_deltas(instrument=instrument, ts_init=0))
                    best = book.best_ask_price()
            elif isinstance(one, PolymarketBookSnapshot):
                instrument, _ = self.of[one.asset_id]
                deltas = one.parse_to_snapshot(instrument=instrument, ts_init=0)
                book = OrderBook(instrument.id, book_type=BookType.L2_MBP)
                if deltas is not None:
                    book.apply_deltas(deltas)
                self.of[one.asset_id] = instrument, book
                best = book.best_ask_price()
        return best


def applying(corpus: str) -> Thing:
    books = Books(corpus)
    texts = CORPUS["frames"][corpus]
    if corpus == "change":
        first = next(name for name in CORPUS["frames"] if name.startswith("book"))
        books.take(CORPUS["frames"][first][0].encode())
    return Thing(books.take, [(text.encode(),) for text in texts])


serve(
    {f"apply/{corpus}": (lambda c=corpus: applying(c)) for corpus in CORPUS["frames"]},
    {"apply": f"nautilus_trader {version('nautilus_trader')}, python {sys.version.split()[0]}"},
)
