"""The market channel's frames as the venue sends them -> events in our units, or a named refusal.

A frame is one JSON object, an array of objects, or the bare word PONG. Events of unknown type and
unknown keys are ignored, because the venue adds both; an event of a known type that is not exactly
what it should be is refused as a whole, and its good neighbours are still used.

Field names and shapes: docs/venue.md, section "Market channel".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from msgspec import UNSET, Raw, UnsetType

from shm.codes import Side
from shm.errors import UNREADABLE
from shm.units import UnitError, parse_price_e4, parse_size_e6

PONG = b"PONG"
EVENTS_MAX = 4_096
LEVELS_MAX = 10_001
"""A side has at most one level for each price."""
CHANGES_MAX = 4_096
HASH_CHARS = 40
LAST_TRADE_CHARS_MAX = 11
"""More than any text of a price; ingest/scan.h keeps it in an array of this size."""
_TIMESTAMP_DIGITS_MAX = 15


class Refusal(StrEnum):
    """Why a frame or an event was not used."""

    NOT_JSON = "not_json"
    NOT_AN_EVENT = "not_an_event"
    """Valid JSON, and neither an object nor an array of objects."""
    NO_TYPE = "no_event_type"
    SHAPE = "wrong_shape"
    """A field is missing or has another type."""
    NUMBER = "bad_number"
    TOO_MANY = "too_many"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`book`: the whole book of one token. Levels are (price_e4, size_e6), in wire order."""

    market: str
    token: str
    exchange_ms: int
    hash: str
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]
    tick_e4: int | None
    last_trade: str | None
    """Text of the last trade's price, which the book hash covers; None if the frame has none."""


@dataclass(frozen=True, slots=True)
class Change:
    """One level's new absolute size; 0 deletes it."""

    token: str
    side: Side
    price_e4: int
    size_e6: int
    hash: str


@dataclass(frozen=True, slots=True)
class Changes:
    """`price_change`: levels that changed together."""

    market: str
    exchange_ms: int
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class LastTrade:
    """`last_trade_price`."""

    market: str
    token: str
    exchange_ms: int
    price_e4: int


@dataclass(frozen=True, slots=True)
class TickChange:
    """`tick_size_change`; ticks only get finer."""

    market: str
    token: str
    exchange_ms: int
    tick_e4: int


@dataclass(frozen=True, slots=True)
class Other:
    """An event that is none of ours to use."""

    event_type: str


@dataclass(frozen=True, slots=True)
class Refused:
    """What could not be used, and the tokens that it was about, as far as they can be told."""

    reason: Refusal
    detail: str
    tokens: tuple[str, ...] = ()


Event = Snapshot | Changes | LastTrade | TickChange | Other | Refused


class _Level(msgspec.Struct):
    price: str
    size: str


class _Book(msgspec.Struct, tag_field="event_type", tag="book"):
    market: str
    asset_id: str
    timestamp: str
    bids: list[_Level]
    asks: list[_Level]
    hash: str = ""
    tick_size: str | UnsetType = UNSET
    last_trade_price: str | UnsetType = UNSET


class _PriceChange(msgspec.Struct):
    asset_id: str
    price: str
    size: str
    side: str
    hash: str = ""


class _PriceChanges(msgspec.Struct, tag_field="event_type", tag="price_change"):
    market: str
    timestamp: str
    price_changes: list[_PriceChange]


class _LastTrade(msgspec.Struct, tag_field="event_type", tag="last_trade_price"):
    market: str
    asset_id: str
    timestamp: str
    price: str


class _TickChange(msgspec.Struct, tag_field="event_type", tag="tick_size_change"):
    market: str
    asset_id: str
    timestamp: str
    new_tick_size: str


class _Head(msgspec.Struct):
    event_type: str | UnsetType = UNSET
    asset_id: str | UnsetType = UNSET


_Known = _Book | _PriceChanges | _LastTrade | _TickChange
_KNOWN_TYPES = {"book", "price_change", "last_trade_price", "tick_size_change"}

_decode_fast = msgspec.json.Decoder(_Known | list[_Known]).decode
_decode_parts = msgspec.json.Decoder(list[Raw]).decode
_decode_known = msgspec.json.Decoder(_Known).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}


def decode(frame: bytes | memoryview) -> list[Event]:
    """Every event of a frame in order; never raises for what the network sent.

    A PONG gives []. What is refused is in the list as `Refused`.
    """
    try:
        text = str(frame, "utf-8")  # msgspec does not look into what it skips
    except UnicodeDecodeError as error:
        return [Refused(Refusal.NOT_JSON, str(error))]
    try:
        decoded = _decode_fast(text)
    except UNREADABLE:
        return list(_decode_slowly(bytes(frame)))
    events = decoded if isinstance(decoded, list) else [decoded]
    if len(events) > EVENTS_MAX:
        return [Refused(Refusal.TOO_MANY, f"{len(events)} events in a frame")]
    return [_in_our_units(event) for event in events]


def _decode_slowly(frame: bytes) -> Iterator[Event]:
    """One event at a time: for frames with anything unknown or wrong in them."""
    stripped = frame.strip()
    if stripped == PONG:
        return
    try:
        parts = _decode_parts(stripped) if stripped.startswith(b"[") else [Raw(stripped)]
        if len(parts) > EVENTS_MAX:
            yield Refused(Refusal.TOO_MANY, f"{len(parts)} events in a frame")
            return
    except UNREADABLE as error:
        yield Refused(Refusal.NOT_JSON, str(error))
        return
    for part in parts:
        yield _decode_part(part)


def _decode_part(part: Raw) -> Event:
    try:
        head = _decode_head(part)
    except msgspec.ValidationError as error:
        return Refused(Refusal.NOT_AN_EVENT, str(error))
    except UNREADABLE as error:
        return Refused(Refusal.NOT_JSON, str(error))
    tokens = () if head.asset_id is UNSET else (head.asset_id,)
    if head.event_type is UNSET:
        return Refused(Refusal.NO_TYPE, "no event_type", tokens)
    if head.event_type not in _KNOWN_TYPES:
        return Other(head.event_type)
    try:
        return _in_our_units(_decode_known(part))
    except UNREADABLE as error:
        return Refused(Refusal.SHAPE, f"{head.event_type}: {error}", tokens)


def _in_our_units(event: _Known) -> Event:
    try:
        match event:
            case _PriceChanges():
                return _changes(event)
            case _Book():
                return _snapshot(event)
            case _LastTrade():
                millis, price_e4 = _millis(event.timestamp), parse_price_e4(event.price)
                return LastTrade(event.market, event.asset_id, millis, price_e4)
            case _TickChange():
                millis, tick_e4 = _millis(event.timestamp), _tick(event.new_tick_size)
                return TickChange(event.market, event.asset_id, millis, tick_e4)
    except UnitError as error:
        return Refused(Refusal.NUMBER, str(error), _tokens_of(event))


def _tokens_of(event: _Known) -> tuple[str, ...]:
    if isinstance(event, _PriceChanges):
        return tuple(dict.fromkeys(change.asset_id for change in event.price_changes))
    return (event.asset_id,)


def _changes(event: _PriceChanges) -> Event:
    if len(event.price_changes) > CHANGES_MAX:
        return Refused(Refusal.TOO_MANY, f"{len(event.price_changes)} changes", _tokens_of(event))
    changes = []
    for change in event.price_changes:
        side = _SIDES.get(change.side)
        if side is None:
            return Refused(Refusal.SHAPE, f"side {change.side[:20]!r}", _tokens_of(event))
        changes.append(
            Change(
                change.asset_id,
                side,
                _level_price(change.price),
                parse_size_e6(change.size),
                _book_hash(change.hash),
            )
        )
    return Changes(event.market, _millis(event.timestamp), changes)


def _snapshot(event: _Book) -> Event:
    if max(len(event.bids), len(event.asks)) > LEVELS_MAX:
        return Refused(Refusal.TOO_MANY, "levels", _tokens_of(event))
    last_trade = None if event.last_trade_price is UNSET else event.last_trade_price
    if last_trade and not (last_trade.isascii() and len(last_trade) <= LAST_TRADE_CHARS_MAX):
        raise UnitError(f"not a price: {last_trade[:40]!r}")
    return Snapshot(
        market=event.market,
        token=event.asset_id,
        exchange_ms=_millis(event.timestamp),
        hash=_book_hash(event.hash),
        bids=[(_level_price(level.price), parse_size_e6(level.size)) for level in event.bids],
        asks=[(_level_price(level.price), parse_size_e6(level.size)) for level in event.asks],
        tick_e4=None if event.tick_size in {UNSET, ""} else _tick(str(event.tick_size)),
        last_trade=last_trade,
    )


def _book_hash(text: str) -> str:
    """A book hash has 40 characters; anything else can match no book and counts as none."""
    return text if len(text) == HASH_CHARS and text.isascii() else ""


def _level_price(text: str) -> int:
    """A level stands strictly between 0 and 1: at the ends there is nothing to trade."""
    price_e4 = parse_price_e4(text)
    if not 0 < price_e4 < 10_000:
        raise UnitError(f"no level can be at {text[:40]!r}")
    return price_e4


def _tick(text: str) -> int:
    tick_e4 = parse_price_e4(text)
    if tick_e4 == 0:
        raise UnitError("tick size 0")
    return tick_e4


def _millis(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _TIMESTAMP_DIGITS_MAX):
        raise UnitError(f"not a timestamp in milliseconds: {text[:40]!r}")
    return int(text)
