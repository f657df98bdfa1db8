"""Crawled quotes on file: a table of markets and a table of best bids and asks over time.

`markets.csv` names the markets with their bounds, `quotes.csv` has one row for each market and
crawl. Every level stands for 100 shares. Dates and slugs stay as recorded,
titles and questions follow from them.
"""

import csv
import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shm.errors import InputError
from shm.units import PRICE_ONE_E4, UnitError, parse_fixed, parse_price_e4
from sim import wording
from sim.coins import COINS, Coin
from sim.ladders import (
    NEW_YORK,
    Ladder,
    ListedEvent,
    Listing,
    gamma_id,
    hex_id,
    neg_risk_market_id,
    token_id,
)
from sim.market import Facts

LEVEL_E6 = 100_000_000
KINDS = ("above", "below", "range", "higher")


@dataclass(frozen=True, slots=True)
class MarketRow:
    """One line of the table of markets; bounds in units of $0.0001."""

    market_id: str
    condition_id: str
    slug: str
    event_slug: str
    coin: Coin
    kind: str
    lower_e4: int | None
    upper_e4: int | None
    end_ms: int


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask of one market (YES), None where nothing is quoted."""

    market_id: str
    bid_e4: int | None
    ask_e4: int | None


@dataclass(frozen=True, slots=True)
class Crawl:
    """All quotes of one moment."""

    at_ms: int
    quotes: tuple[Quote, ...]


def _rows(path: Path, columns: set[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            missing = columns - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{path}, line 1: no column {', '.join(sorted(missing))}")
            for row in reader:
                if None in row.values():
                    raise InputError(f"{path}, line {reader.line_num}: too few columns")
                yield reader.line_num, row
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error}") from error


def read_markets(path: Path) -> list[MarketRow]:
    """The table of markets; `InputError` names file, line and reason."""
    columns = {
        "market_id",
        "condition_id",
        "slug",
        "event_slug",
        "asset",
        "kind",
        "lower",
        "upper",
        "end_date",
    }
    found: list[MarketRow] = []
    for line, row in _rows(path, columns):
        try:
            found.append(_market_row(row))
        except (UnitError, ValueError) as error:
            raise InputError(f"{path}, line {line}: {error}") from error
    if not found:
        raise InputError(f"{path}: no markets")
    return found


def _market_row(row: dict[str, str]) -> MarketRow:
    coin = COINS.get(row["asset"])
    if coin is None:
        raise ValueError(f"unknown asset {row['asset']!r}; known are {', '.join(COINS)}")
    kind, lower_e4, upper_e4 = row["kind"], _bound_e4(row["lower"]), _bound_e4(row["upper"])
    expected = {"above": (1, 0), "higher": (1, 0), "below": (0, 1), "range": (1, 1)}
    if kind not in KINDS or expected[kind] != (lower_e4 is not None, upper_e4 is not None):
        raise ValueError(f"kind {kind!r} with bounds {row['lower']!r} and {row['upper']!r}")
    return MarketRow(
        market_id=row["market_id"],
        condition_id=row["condition_id"],
        slug=row["slug"],
        event_slug=row["event_slug"],
        coin=coin,
        kind=kind,
        lower_e4=lower_e4,
        upper_e4=upper_e4,
        end_ms=_time_ms(row["end_date"]),
    )


def _bound_e4(text: str) -> int | None:
    return parse_fixed(text, 4) if text else None


def _time_ms(text: str) -> int:
    when = dt.datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"time without a zone: {text!r}")
    return round(when.timestamp() * 1000)


def read_crawls(path: Path, known: set[str]) -> list[Crawl]:
    """The table of quotes, grouped by time; quotes of markets that are not `known` are refused."""
    crawls: dict[int, list[Quote]] = {}
    for line, row in _rows(path, {"timestamp_utc", "market_id", "best_bid", "best_ask"}):
        try:
            quote = _quote(row, known)
            crawls.setdefault(_time_ms(row["timestamp_utc"]), []).append(quote)
        except (UnitError, ValueError) as error:
            raise InputError(f"{path}, line {line}: {error}") from error
    if not crawls:
        raise InputError(f"{path}: no quotes")
    return [Crawl(at_ms, tuple(quotes)) for at_ms, quotes in sorted(crawls.items())]


def _quote(row: dict[str, str], known: set[str]) -> Quote:
    if row["market_id"] not in known:
        raise ValueError(f"market {row['market_id']!r} is not in the table of markets")
    quote = Quote(row["market_id"], _quoted(row["best_bid"]), _quoted(row["best_ask"]))
    if quote.bid_e4 and quote.ask_e4 and quote.bid_e4 >= quote.ask_e4:
        raise ValueError("the bid is not below the ask")
    return quote


def _quoted(text: str) -> int | None:
    """A price that is a quote: a bid of 0 and an ask of 1 stand for nobody."""
    price_e4 = parse_price_e4(text) if text else 0
    return price_e4 if 0 < price_e4 < PRICE_ONE_E4 else None


def ladders_of(seed: int, rows: list[MarketRow]) -> list[Ladder]:
    """One ladder for each coin and expiry; an event that was not recorded has no listings."""
    groups: defaultdict[tuple[str, int], list[MarketRow]] = defaultdict(list)
    for row in rows:
        groups[row.coin.symbol, row.end_ms].append(row)
    return [_ladder(seed, group) for group in groups.values()]


def _ladder(seed: int, rows: list[MarketRow]) -> Ladder:
    coin, end_ms = rows[0].coin, rows[0].end_ms
    day = dt.datetime.fromtimestamp(end_ms / 1000, NEW_YORK).date()
    above = sorted((row for row in rows if row.kind == "above"), key=lambda row: row.lower_e4 or 0)
    brackets = sorted(
        (row for row in rows if row.kind != "above"), key=lambda row: row.lower_e4 or 0
    )
    titles = (wording.above_event_title(coin, day), wording.price_event_title(coin, day))
    return Ladder(
        name=f"{coin.symbol}-{day.isoformat()}",
        coin=coin,
        expiry_ms=end_ms,
        strikes_e4=tuple(row.lower_e4 or 0 for row in above),
        above=_event(seed, above, (titles[0], wording.above_description(coin)), (coin, end_ms)),
        price=_event(seed, brackets, (titles[1], wording.price_description(coin)), (coin, end_ms)),
    )


def _event(
    seed: int, rows: list[MarketRow], texts: tuple[str, str], when: tuple[Coin, int]
) -> ListedEvent:
    coin, end_ms = when
    slug = rows[0].event_slug if rows else ""
    neg_risk_id = neg_risk_market_id(seed, slug) if rows and rows[0].kind != "above" else ""
    return ListedEvent(
        event_id=gamma_id(seed, slug),
        slug=slug,
        title=texts[0],
        description=texts[1],
        series=f"{coin.series}-weekly",
        coin=coin,
        neg_risk_market_id=neg_risk_id,
        start_ms=end_ms - 7 * 86_400_000,
        end_ms=end_ms,
        listings=tuple(
            _listing(seed, row, ordinal, neg_risk_id) for ordinal, row in enumerate(rows)
        ),
    )


def _listing(seed: int, row: MarketRow, ordinal: int, neg_risk_id: str) -> Listing:
    day = dt.datetime.fromtimestamp(row.end_ms / 1000, NEW_YORK).date()
    if row.kind == "above":
        texts = wording.above_texts(row.coin, day, row.lower_e4 or 0)
    else:
        texts = wording.range_texts(row.coin, day, (row.lower_e4, row.upper_e4))
    question_id = hex_id(seed, f"question {row.slug}")
    return Listing(
        facts=Facts(
            condition_id=row.condition_id,
            tokens=(token_id(seed, f"{row.slug} yes"), token_id(seed, f"{row.slug} no")),
            neg_risk=bool(neg_risk_id),
            tick_follows_price=False,
        ),
        market_id=row.market_id,
        question_id=f"{neg_risk_id[:-2]}{ordinal:02x}" if neg_risk_id else question_id,
        request_id=hex_id(seed, f"request {row.slug}") if neg_risk_id else "",
        slug=row.slug,
        question=texts[1],
        title=texts[2],
        kind=row.kind,
        lower_e4=row.lower_e4,
        upper_e4=row.upper_e4,
        ordinal=ordinal,
    )
