"""Recordings of quotes: two CSV files -> market facts, and moments that are applied whole.

A moment is all quotes with one time stamp. It has the best prices of each market (`best_bid`,
`best_ask`: a crawl of a REST feed knows no more) or, where the file has the columns `bids` and
`asks`, whole sides: `price:size price:size ...`, best first. Times are ISO, to the millisecond.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec

from desk.ladders import group_number
from desk.wording import OPEN_LOWER, OPEN_UPPER
from shm.codes import Exchange, MarketKind, MarketState
from shm.errors import InputError
from shm.layout import MARKETS_MAX, Market
from shm.units import UnitError, parse_fixed, parse_price_e4, parse_size_e6

FEE_RATE_E6 = 70_000
SIZE_TEXT = "100"
"""Where a recording has no sizes each quote stands for a hundred shares."""
TICK_E4 = 10
MIN_SIZE_E6 = 5_000_000

KINDS = {
    "above": MarketKind.ABOVE,
    "range": MarketKind.RANGE,
    "below": MarketKind.BELOW,
    "higher": MarketKind.TOP,
}
MARKET_COLUMNS = {"market_id", "condition_id", "asset", "kind", "lower", "upper", "end_date"}
QUOTE_COLUMNS = {"timestamp_utc", "market_id", "best_bid", "best_ask"}
DEPTH_COLUMNS = ("bids", "asks")

Levels = tuple[tuple[str, str], ...]
"""(price, size) as the wire spells them, best first; empty: no quote."""


class Quote(NamedTuple):
    """One market's YES book at one moment."""

    row: int
    bids: Levels
    asks: Levels


@dataclass(frozen=True, slots=True)
class Moment:
    """All quotes with one time stamp."""

    stamp: str
    at_ms: int
    quotes: Sequence[Quote]


def _rows(path: Path, columns: set[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV file; `InputError` names file and line."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            missing = columns - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{path}: no column {', '.join(sorted(missing))}")
            for row in reader:
                if None in row.values():
                    raise InputError(f"{path}, line {reader.line_num}: too few fields")
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: {error}") from None


def _bound(text: str, open_value: int) -> int:
    return parse_fixed(text, 6) if text else open_value


def _token(market_id: str, outcome: str) -> bytes:
    return sha256(f"{market_id}|{outcome}".encode()).digest()


def read_markets(path: Path) -> tuple[list[Market], list[str]]:
    """Market facts with row numbers in file order, and each row's market id.

    The recording names no tokens and no resolution texts: tokens are derived from the id, and all
    markets of a coin and expiry count as having the same rule.
    """
    markets: list[Market] = []
    ids: list[str] = []
    for line, row in _rows(path, MARKET_COLUMNS):
        try:
            kind = KINDS[row["kind"]]
            expiry_ms = int(datetime.fromisoformat(row["end_date"]).timestamp() * 1000)
            condition = bytes.fromhex(row["condition_id"].removeprefix("0x")).rjust(32, b"\0")
            lower_usd_e6 = _bound(row["lower"], OPEN_LOWER)
            upper_usd_e6 = _bound(row["upper"], OPEN_UPPER)
        except (KeyError, ValueError, UnitError) as error:
            raise InputError(f"{path}, line {line}: {error}") from None
        if len(markets) == MARKETS_MAX:
            raise InputError(f"{path}, line {line}: more than {MARKETS_MAX} markets")
        group = group_number(row["asset"], expiry_ms)
        ids.append(row["market_id"])
        markets.append(
            Market(
                key=int.from_bytes(condition[:8], "big"),
                lower_usd_e6=lower_usd_e6,
                upper_usd_e6=upper_usd_e6,
                expiry_ms=expiry_ms,
                min_size_e6=MIN_SIZE_E6,
                fingerprint=group,
                condition=condition,
                yes_token=_token(row["market_id"], "yes"),
                no_token=_token(row["market_id"], "no"),
                row=len(markets),
                group=group,
                kind=kind,
                state=MarketState.ACTIVE,
                exchange=Exchange.STANDARD,
                tick_e4=TICK_E4,
                fee_rate_e6=FEE_RATE_E6,
                taker_delay_ms=0,
                coin=row["asset"].encode()[:8],
                slug=row.get("slug", "").encode()[:96],
            )
        )
    return markets, ids


def read_moments(path: Path, ids: Sequence[str]) -> Iterator[Moment]:
    """The recording in file order, grouped by time stamp."""
    row_of = {market_id: row for row, market_id in enumerate(ids)}
    for stamp, group in groupby(_rows(path, QUOTE_COLUMNS), lambda r: r[1]["timestamp_utc"]):
        quotes = []
        for line, row in group:
            if row["market_id"] not in row_of:
                raise InputError(f"{path}, line {line}: unknown market {row['market_id']!r}")
            try:
                bids, asks = _sides(row)
            except UnitError as error:
                raise InputError(f"{path}, line {line}: {error}") from None
            quotes.append(Quote(row_of[row["market_id"]], bids, asks))
        try:
            at_ms = round(datetime.fromisoformat(stamp).timestamp() * 1000)
        except ValueError as error:
            raise InputError(f"{path}: time stamp {stamp!r}: {error}") from None
        yield Moment(stamp, at_ms, quotes)


def _sides(row: dict[str, str]) -> tuple[Levels, Levels]:
    if all(column in row for column in DEPTH_COLUMNS):
        bids, asks = (_levels(row[column]) for column in DEPTH_COLUMNS)
        return bids, asks
    return _best(row["best_bid"]), _best(row["best_ask"])


def _best(price: str) -> Levels:
    """A single quote; a bid of 0 and an ask of 1 are the absence of one."""
    if not price or parse_price_e4(price) in {0, 10_000}:
        return ()
    return ((price, SIZE_TEXT),)


def _levels(text: str) -> Levels:
    found = []
    for one in text.split():
        price, _, size = one.partition(":")
        if parse_price_e4(price) not in {0, 10_000} and parse_size_e6(size):
            found.append((price, size))
    return tuple(found)


def frame_of(moment: Moment, markets: Sequence[Market]) -> bytes:
    """A moment as the venue would send it: one array of whole books."""

    def side(levels: Levels) -> list[dict[str, str]]:
        return [{"price": price, "size": size} for price, size in levels]

    return msgspec.json.encode(
        [
            {
                "market": "0x" + markets[quote.row].condition.hex(),
                "asset_id": str(int.from_bytes(markets[quote.row].yes_token, "big")),
                "timestamp": str(moment.at_ms),
                "hash": "",
                "bids": side(quote.bids),
                "asks": side(quote.asks),
                "event_type": "book",
            }
            for quote in moment.quotes
        ]
    )
