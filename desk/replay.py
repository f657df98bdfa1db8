"""`polytrio replay`: a recording through parser, books and engine in one process, deterministic.

The one place outside the tests where the cores of different stages meet. Each crawl of the
recording becomes one frame in the venue's own format and goes the way of a live frame: decoded,
applied whole, shown as a book row, priced. Then every basket is evaluated once. Markets that a
crawl does not mention are stale, exactly as after a lost connection. No clock is read: two runs
give the same bytes.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

import msgspec
from rich.console import Console
from rich.progress import track as with_progress

from desk.ladders import group_number
from desk.wording import OPEN_LOWER, OPEN_UPPER
from engine.baskets import Basket, compile_baskets
from engine.pricer import Edge, Pricer
from ingest.books import Books, track
from ingest.publish import book_row
from shm import backend
from shm.codes import BasketKind, Exchange, MarketKind, MarketState
from shm.errors import InputError
from shm.layout import MARKETS_MAX, Market
from shm.units import UnitError, parse_fixed, parse_price_e4

FEE_RATE_E6 = 70_000
SIZE_TEXT = "100"
"""The recording has no sizes; each quote stands for a hundred shares."""
TICK_E4 = 10
MIN_SIZE_E6 = 5_000_000
EPOCH = 1
NEVER_CHECK_HASHES = 1 << 62

KINDS = {
    "above": MarketKind.ABOVE,
    "range": MarketKind.RANGE,
    "below": MarketKind.BELOW,
    "higher": MarketKind.TOP,
}
NAMES = {
    BasketKind.TRIANGLE_BUY: "trio",
    BasketKind.COMPLEMENT_BUY: "complement",
    BasketKind.LADDER_BUY: "ladder",
}
MARKET_COLUMNS = {"market_id", "condition_id", "asset", "kind", "lower", "upper", "end_date"}
QUOTE_COLUMNS = {"timestamp_utc", "market_id", "best_bid", "best_ask"}
OUT_COLUMNS = ("timestamp_utc", "kind", "market_ids", "gross_e8", "net_e8")


@dataclass(slots=True)
class KindCount:
    """Counts of one kind of basket."""

    evaluations: int = 0
    gross_positive: int = 0
    net_positive: int = 0


@dataclass(slots=True)
class Outcome:
    """What a replay found."""

    markets: int
    baskets: int
    crawls: int = 0
    frames_refused: int = 0
    kinds: dict[str, KindCount] = field(
        default_factory=lambda: {name: KindCount() for name in NAMES.values()}
    )
    best_net_e8: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        described: dict[str, Any] = msgspec.to_builtins(self)
        return described


# --- reading ----------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class Crawl:
    """All quotes of one moment: (row, bid text, ask text), a missing side empty."""

    stamp: str
    at_ms: int
    quotes: Sequence[tuple[int, str, str]]


def read_crawls(path: Path, ids: Sequence[str]) -> Iterator[Crawl]:
    """The recording in file order, grouped by time stamp."""
    row_of = {market_id: row for row, market_id in enumerate(ids)}
    for stamp, group in groupby(_rows(path, QUOTE_COLUMNS), lambda r: r[1]["timestamp_utc"]):
        quotes = []
        for line, row in group:
            if row["market_id"] not in row_of:
                raise InputError(f"{path}, line {line}: unknown market {row['market_id']!r}")
            try:
                quotes.append(
                    (row_of[row["market_id"]], _quote(row["best_bid"]), _quote(row["best_ask"]))
                )
            except UnitError as error:
                raise InputError(f"{path}, line {line}: {error}") from None
        try:
            at_ms = int(datetime.fromisoformat(stamp).timestamp() * 1000)
        except ValueError as error:
            raise InputError(f"{path}: time stamp {stamp!r}: {error}") from None
        yield Crawl(stamp, at_ms, quotes)


def _quote(text: str) -> str:
    """The wire text of a quote; a bid of 0 and an ask of 1 are the absence of one."""
    if not text or parse_price_e4(text) in {0, 10_000}:
        return ""
    return text


def frame_of(crawl: Crawl, markets: Sequence[Market]) -> bytes:
    """A crawl as the venue would send it: one array of whole books."""

    def side(price: str) -> list[dict[str, str]]:
        return [{"price": price, "size": SIZE_TEXT}] if price else []

    return msgspec.json.encode(
        [
            {
                "market": "0x" + markets[row].condition.hex(),
                "asset_id": str(int.from_bytes(markets[row].yes_token, "big")),
                "timestamp": str(crawl.at_ms),
                "hash": "",
                "bids": side(bid),
                "asks": side(ask),
                "event_type": "book",
            }
            for row, bid, ask in crawl.quotes
        ]
    )


# --- replaying --------------------------------------------------------------------------------


def _make_pricer(baskets: Sequence[Basket]) -> Pricer:
    if not backend.NATIVE:
        return Pricer(baskets)
    pricer: Pricer = backend.compiled("engine.kernel").Pricer(baskets)
    return pricer


def replay(
    markets: Sequence[Market], ids: Sequence[str], crawls: Iterator[Crawl], out: TextIO | None
) -> Outcome:
    """Run the crawls through the cores; rows of positive evaluations go to `out`."""
    books = Books(NEVER_CHECK_HASHES)
    for market in markets:
        books.add(track(market))
    baskets = compile_baskets(markets, wide=False).baskets
    pricer = _make_pricer(baskets)
    outcome = Outcome(markets=len(markets), baskets=len(baskets))
    writer = csv.writer(out, lineterminator="\n") if out else None
    if writer:
        writer.writerow(OUT_COLUMNS)
    for crawl in crawls:
        present = {row for row, _, _ in crawl.quotes}
        lost = books.lose(row for row in list(books.by_row) if row not in present)
        applied = books.apply(frame_of(crawl, markets), crawl.at_ms * 1_000_000)
        for tracked in (*lost, *applied.changed.values()):
            pricer.observe(tracked.row, book_row(tracked, EPOCH), tracked.frames, EPOCH)
        outcome.crawls += 1
        for number, basket in enumerate(baskets):
            edge = pricer.edge(number)
            if edge is None:
                continue
            _count(outcome, basket, edge)
            if writer and edge.gross_e8 > 0:
                writer.writerow(_out_row(crawl, basket, edge, ids))
    outcome.frames_refused = books.tally["frames_refused"] + books.tally["events_refused"]
    return outcome


def _count(outcome: Outcome, basket: Basket, edge: Edge) -> None:
    name = NAMES[basket.kind]
    count = outcome.kinds[name]
    count.evaluations += 1
    count.gross_positive += edge.gross_e8 > 0
    count.net_positive += edge.net_e8 > 0
    outcome.best_net_e8[name] = max(outcome.best_net_e8.get(name, edge.net_e8), edge.net_e8)


def _out_row(crawl: Crawl, basket: Basket, edge: Edge, ids: Sequence[str]) -> tuple[object, ...]:
    legs = " ".join(ids[leg.market.row] for leg in basket.legs)
    return crawl.stamp, NAMES[basket.kind], legs, edge.gross_e8, edge.net_e8


def run(markets_path: Path, quotes_path: Path, out_path: Path | None) -> Outcome:
    """Read the files, replay, write; progress on stderr when somebody looks."""
    markets, ids = read_markets(markets_path)
    crawls = list(read_crawls(quotes_path, ids))
    console = Console(stderr=True)
    shown = iter(
        with_progress(crawls, "replaying", console=console, disable=not console.is_terminal)
    )
    if out_path is None:
        return replay(markets, ids, shown, None)
    try:
        with out_path.open("w", encoding="utf-8", newline="") as out:
            return replay(markets, ids, shown, out)
    except OSError as error:
        raise InputError(f"{out_path} cannot be written: {error.strerror}") from None
