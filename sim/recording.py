"""Recorded frames of the market channel: JSON lines in, checked values out.

Three shapes of line are known: {"raw": text}, {"receivedAt": time, "payloadUtf8": text} and
{"t": time, "dir": "recv", "data": text}; of the last one only received frames count. What cannot
be read is refused with file, line and reason: half a recording would be worse than none.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from shm.errors import InputError
from shm.units import UnitError, parse_price_e4, parse_size_e6, parse_token_id
from sim.limits import MAX_RECORDED_FRAMES, MAX_RECORDED_LINE_BYTES
from sim.order import Side


class _Line(msgspec.Struct):
    raw: str | None = None
    receivedAt: str | None = None  # noqa: N815  # the recorder's spelling
    payloadUtf8: str | None = None  # noqa: N815  # the recorder's spelling
    t: str | None = None
    dir: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Level(msgspec.Struct):
    price: str
    size: str


class _Book(msgspec.Struct):
    market: str
    asset_id: str
    timestamp: str
    hash: str
    bids: list[_Level]
    asks: list[_Level]
    tick_size: str | None = None
    last_trade_price: str | None = None
    version: str = "v1"


class _Change(msgspec.Struct):
    asset_id: str
    price: str
    size: str
    side: str
    best_bid: str = ""
    best_ask: str = ""


class _PriceChange(msgspec.Struct):
    market: str
    timestamp: str
    price_changes: list[_Change]


class _TickChange(msgspec.Struct):
    market: str
    asset_id: str
    new_tick_size: str
    timestamp: str


class _LastTrade(msgspec.Struct):
    market: str
    asset_id: str
    price: str
    side: str
    timestamp: str
    size: str = "0"
    transaction_hash: str | None = None


class _Other(msgspec.Struct):
    market: str | None = None


Levels = tuple[tuple[int, int], ...]
"""(price_e4, size_e6), as the token itself is quoted."""


@dataclass(frozen=True, slots=True)
class RecordedBook:
    """A full book of one token. `last_trade` is the text of the frame, "" or None."""

    market: str
    token: str
    stamp_ms: int
    book_hash: str
    bids: Levels
    asks: Levels
    tick_e4: int | None
    last_trade: str | None
    version: str


@dataclass(frozen=True, slots=True)
class RecordedLevel:
    """The new absolute size of one level of one token."""

    market: str
    token: str
    stamp_ms: int
    side: Side
    price_e4: int
    size_e6: int
    best_bid: str = ""
    best_ask: str = ""
    """Top of the token's book after the whole transaction, as told; "" if it was not."""


@dataclass(frozen=True, slots=True)
class RecordedTick:
    """A finer tick for a market."""

    market: str
    token: str
    stamp_ms: int
    tick_e4: int


@dataclass(frozen=True, slots=True)
class RecordedTrade:
    """A trade of one token, in its own price."""

    market: str
    token: str
    stamp_ms: int
    side: Side
    price_e4: int
    size_e6: int = 0
    transaction_hash: str = ""


Change = RecordedBook | RecordedLevel | RecordedTick | RecordedTrade


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One frame: when (milliseconds of the recorder's clock, if it kept one), its text, its sense.

    `markets` are the condition ids that it is about, for delivery.
    """

    at_ms: int | None
    text: str
    markets: tuple[str, ...]
    changes: tuple[Change, ...]


def read_recording(path: Path) -> list[RecordedFrame]:
    """All frames of a file; `InputError` names file, line and reason."""
    try:
        with path.open("rb") as lines:
            frames = list(_frames(path, lines))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if not any(isinstance(change, RecordedBook) for one in frames for change in one.changes):
        raise InputError(f"{path}: no `book` frame in it, so there is nothing to trade against")
    return frames


def _frames(path: Path, lines: Any) -> Iterator[RecordedFrame]:
    for number, line in enumerate(iter(lambda: lines.readline(MAX_RECORDED_LINE_BYTES), b""), 1):
        if number > MAX_RECORDED_FRAMES:
            raise InputError(f"{path}: more than {MAX_RECORDED_FRAMES} lines")
        if not line.strip():
            continue
        try:
            frame = parse_line(line)
        except (msgspec.DecodeError, UnitError, ValueError) as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        if frame is not None:
            yield frame


def parse_line(line: bytes) -> RecordedFrame | None:
    """One line of a recording; None for lines that hold no market frame (PONG, sent frames)."""
    outer = msgspec.json.decode(line, type=_Line)
    if outer.dir is not None and outer.dir != "recv":
        return None
    text, when = outer.raw, outer.receivedAt or outer.t
    if outer.payloadUtf8 is not None:
        text = outer.payloadUtf8
    if outer.dir is not None:
        text = msgspec.json.decode(outer.data, type=str)
    if text is None:
        raise ValueError("no `raw`, `payloadUtf8` or `data`: not a recorded frame")
    if text == "PONG":
        return None
    parts = parts_of(text)
    changes = [change for part in parts for change in changes_of(part)]
    markets = dict.fromkeys(market_of(part) for part in parts)
    known = tuple(market for market in markets if market is not None)
    return RecordedFrame(_time_ms(when), text, known, tuple(changes))


def parts_of(text: str) -> list[msgspec.Raw]:
    """The objects of a frame, which is one object or an array of them; `ValueError` otherwise."""
    array = text.lstrip().startswith("[")
    return msgspec.json.decode(text if array else f"[{text}]", type=list[msgspec.Raw])


def market_of(part: msgspec.Raw) -> str | None:
    """The condition id that an object of a frame is about; `ValueError` for what is no object."""
    return msgspec.json.decode(part, type=_Other).market


def _time_ms(when: str | None) -> int | None:
    if when is None:
        return None
    return round(dt.datetime.fromisoformat(when).timestamp() * 1000)


def changes_of(part: msgspec.Raw) -> list[Change]:
    """What an object of a frame says; nothing for types that are not known.

    `ValueError` (msgspec's errors are of this kind) or `UnitError` for what cannot be read.
    """
    head: Any = msgspec.json.decode(part)
    if not isinstance(head, dict):
        raise ValueError("a frame is an object or an array of objects")  # noqa: TRY004  # reported
    kind = head.get("event_type")
    if kind == "book":
        return [_book(msgspec.json.decode(part, type=_Book))]
    if kind == "price_change":
        if "price_changes" not in head:
            raise ValueError("price_change of the shape before 2025-09-15, which is not supported")
        return list(_levels(msgspec.json.decode(part, type=_PriceChange)))
    if kind == "tick_size_change":
        one = msgspec.json.decode(part, type=_TickChange)
        tick_e4 = parse_price_e4(one.new_tick_size)
        return [RecordedTick(one.market, _token(one.asset_id), int(one.timestamp), tick_e4)]
    if kind == "last_trade_price":
        trade = msgspec.json.decode(part, type=_LastTrade)
        price_e4 = parse_price_e4(trade.price)
        return [
            RecordedTrade(
                market=trade.market,
                token=_token(trade.asset_id),
                stamp_ms=int(trade.timestamp),
                side=Side(trade.side),
                price_e4=price_e4,
                size_e6=parse_size_e6(trade.size),
                transaction_hash=trade.transaction_hash or "",
            )
        ]
    if not isinstance(kind, str):
        raise ValueError("no `event_type`")  # noqa: TRY004  # reported with file and line
    return []


def _book(book: _Book) -> RecordedBook:
    return RecordedBook(
        market=book.market,
        token=_token(book.asset_id),
        stamp_ms=int(book.timestamp),
        book_hash=book.hash,
        bids=_book_side(book.bids),
        asks=_book_side(book.asks),
        tick_e4=parse_price_e4(book.tick_size) if book.tick_size else None,
        last_trade=book.last_trade_price,
        version=book.version,
    )


def _book_side(levels: list[_Level]) -> Levels:
    return tuple((parse_price_e4(level.price), parse_size_e6(level.size)) for level in levels)


def _levels(frame: _PriceChange) -> Iterator[RecordedLevel]:
    for one in frame.price_changes:
        yield RecordedLevel(
            market=frame.market,
            token=_token(one.asset_id),
            stamp_ms=int(frame.timestamp),
            side=Side(one.side),
            price_e4=parse_price_e4(one.price),
            size_e6=parse_size_e6(one.size),
            best_bid=one.best_bid,
            best_ask=one.best_ask,
        )


def _token(text: str) -> str:
    return str(parse_token_id(text))
