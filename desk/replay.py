"""`polytrio replay`: a recording through parser, books and engine in one process, deterministic.

The one place outside the tests where the cores of different stages meet. Each moment of the
recording becomes one frame in the venue's own format and goes the way of a live frame: decoded,
applied whole, shown as a book row, priced. Then every basket is evaluated once. Markets that a
crawl does not mention are stale, exactly as after a lost connection; in a recording of changes
(`keep`) they stand as they were. No clock is read: two runs give the same bytes.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track as with_progress
from rich.table import Table

from desk.recording import Moment, frame_of, read_markets, read_moments
from desk.windows import DELAYS_MS, Fate, Sight, WindowLog, honestly, summarised
from engine.baskets import Basket, compile_baskets
from engine.pricer import Edge, Pricer
from ingest.books import Books, track
from ingest.publish import book_row
from shm import backend
from shm.codes import KIND_WORDS, BasketKind
from shm.errors import InputError
from shm.layout import Book, Market

EPOCH = 1
NEVER_CHECK_HASHES = 1 << 62

ANALYSED = (
    BasketKind.TRIANGLE_BUY,
    BasketKind.COMPLEMENT_BUY,
    BasketKind.LADDER_BUY,
    BasketKind.TOP_BRACKET,
    BasketKind.BRACKETS_YES,
    BasketKind.BRACKETS_NO,
)
"""The kinds that an independent analysis of recordings counts, and so `kinds`; others: `wider`."""
PAIRS = frozenset({BasketKind.TOP_BRACKET, BasketKind.BOTTOM_BRACKET})
"""Two markets that ask the same thing: one evaluation, of the better of the two directions."""
OUT_COLUMNS = ("timestamp_utc", "kind", "market_ids", "gross_e8", "net_e8")


@dataclass(slots=True)
class KindCount:
    """Counts of one kind of basket."""

    evaluations: int = 0
    gross_positive: int = 0
    net_positive: int = 0


def _counts(kinds: Iterable[BasketKind]) -> dict[str, KindCount]:
    return {KIND_WORDS[kind]: KindCount() for kind in kinds}


@dataclass(slots=True)
class Outcome:
    """What a replay found."""

    markets: int
    baskets: int
    crawls: int = 0
    frames_refused: int = 0
    kinds: dict[str, KindCount] = field(default_factory=lambda: _counts(ANALYSED))
    wider: dict[str, KindCount] = field(
        default_factory=lambda: _counts(
            kind for kind in BasketKind if kind not in {BasketKind.NONE, *ANALYSED}
        )
    )
    """Kinds beyond `kinds`."""
    best_net_e8: dict[str, int] = field(default_factory=dict)
    log: WindowLog = field(default_factory=WindowLog)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        windows = self.log.windows()
        return {
            "markets": self.markets,
            "baskets": self.baskets,
            "crawls": self.crawls,
            "frames_refused": self.frames_refused,
            "kinds": msgspec.to_builtins(self.kinds),
            "wider": msgspec.to_builtins(self.wider),
            "best_net_e8": self.best_net_e8,
            "windows": {
                "resolution_ms": self.log.resolution_ms,
                "note": honestly(self.log.resolution_ms),
                "delays_ms": DELAYS_MS,
                "by_kind_and_expiry": summarised(windows),
                "each": [window.as_json() for window in windows],
            },
        }


class Player:
    """Books and baskets of a recording, moved on moment by moment."""

    def __init__(self, markets: Sequence[Market], *, keep: bool = False) -> None:
        self.markets = markets
        self.books = Books(NEVER_CHECK_HASHES)
        for market in markets:
            self.books.add(track(market))
        self.baskets = compile_baskets(markets).baskets
        self.pricer = _make_pricer(self.baskets)
        self.shown: dict[int, Book] = {}
        """By row: books as shared memory would have them."""
        self._keep = keep

    def show(self, moment: Moment) -> None:
        """Apply a whole moment; nothing is evaluated before."""
        lost = []
        if not self._keep:
            present = {quote.row for quote in moment.quotes}
            lost = self.books.lose(row for row in list(self.books.by_row) if row not in present)
        applied = self.books.apply(frame_of(moment, self.markets), moment.at_ms * 1_000_000)
        for tracked in (*lost, *applied.changed.values()):
            book = self.shown[tracked.row] = book_row(tracked, EPOCH)
            self.pricer.observe(tracked.row, book, tracked.frames, EPOCH)

    def groups(self, moment: Moment) -> set[int]:
        """Groups that this moment is a look at."""
        if self._keep:
            return {market.group for market in self.markets}
        return {self.markets[quote.row].group for quote in moment.quotes}

    def edges(self) -> list[tuple[int, Edge]]:
        """Every basket all of whose prices are quoted now, by number."""
        found = ((number, self.pricer.edge(number)) for number in range(len(self.baskets)))
        return [(number, edge) for number, edge in found if edge is not None]


def _make_pricer(baskets: Sequence[Basket]) -> Pricer:
    if not backend.NATIVE:
        return Pricer(baskets)
    pricer: Pricer = backend.compiled("engine.kernel").Pricer(baskets)
    return pricer


def replay(
    player: Player, ids: Sequence[str], moments: Iterable[Moment], out: TextIO | None
) -> Outcome:
    """Run the moments through the cores; rows of positive evaluations go to `out`."""
    outcome = Outcome(markets=len(player.markets), baskets=len(player.baskets))
    writer = csv.writer(out, lineterminator="\n") if out else None
    if writer:
        writer.writerow(OUT_COLUMNS)
    for moment in moments:
        player.show(moment)
        outcome.crawls += 1
        edges = player.edges()
        _count(outcome, player.baskets, edges)
        outcome.log.look(
            moment.at_ms, player.groups(moment), _sights(player.baskets, edges, moment, ids)
        )
        if writer:
            for number, edge in edges:
                if edge.gross_e8 > 0:
                    writer.writerow(_out_row(moment, player.baskets[number], edge, ids))
    tally = player.books.tally
    outcome.frames_refused = tally["frames_refused"] + tally["events_refused"]
    return outcome


def _count(outcome: Outcome, baskets: Sequence[Basket], edges: Sequence[tuple[int, Edge]]) -> None:
    best: dict[object, tuple[BasketKind, int, int]] = {}
    for number, edge in edges:
        basket = baskets[number]
        name: object = number
        if basket.kind in PAIRS:
            name = basket.kind, frozenset(leg.market.row for leg in basket.legs)
        _, gross_e8, net_e8 = best.get(name, (basket.kind, edge.gross_e8, edge.net_e8))
        best[name] = basket.kind, max(gross_e8, edge.gross_e8), max(net_e8, edge.net_e8)
    for kind, gross_e8, net_e8 in best.values():
        word = KIND_WORDS[kind]
        count = outcome.kinds[word] if kind in ANALYSED else outcome.wider[word]
        count.evaluations += 1
        count.gross_positive += gross_e8 > 0
        count.net_positive += net_e8 > 0
        outcome.best_net_e8[word] = max(outcome.best_net_e8.get(word, net_e8), net_e8)


def _sights(
    baskets: Sequence[Basket],
    edges: Sequence[tuple[int, Edge]],
    moment: Moment,
    ids: Sequence[str],
) -> Iterator[Sight]:
    for number, edge in edges:
        if edge.net_e8 > 0:
            basket = baskets[number]
            yield Sight(
                number=number,
                kind=KIND_WORDS[basket.kind],
                legs=_legs(basket, ids),
                group=basket.group,
                net_e8=edge.net_e8,
                size_e6=edge.size_e6,
                left_ms=max(leg.market.expiry_ms for leg in basket.legs) - moment.at_ms,
            )


def _legs(basket: Basket, ids: Sequence[str]) -> str:
    return " ".join(ids[leg.market.row] for leg in basket.legs)


def _out_row(moment: Moment, basket: Basket, edge: Edge, ids: Sequence[str]) -> tuple[object, ...]:
    word = KIND_WORDS[basket.kind]
    return moment.stamp, word, _legs(basket, ids), edge.gross_e8, edge.net_e8


def run(
    markets_path: Path, quotes_path: Path, out_path: Path | None, *, keep: bool = False
) -> Outcome:
    """Read the files, replay, write; progress on stderr when somebody looks."""
    markets, ids = read_markets(markets_path)
    moments = list(read_moments(quotes_path, ids))
    console = Console(stderr=True)
    shown = with_progress(moments, "replaying", console=console, disable=not console.is_terminal)
    player = Player(markets, keep=keep)
    if out_path is None:
        return replay(player, ids, shown, None)
    try:
        with out_path.open("w", encoding="utf-8", newline="") as out:
            return replay(player, ids, shown, out)
    except OSError as error:
        raise InputError(f"{out_path} cannot be written: {error.strerror}") from None


def show(outcome: Outcome, console: Console) -> None:
    """The figures for people."""
    table = Table("basket", "evaluations", "gross > 0", "net > 0", "best net, cents")
    for name, count in (outcome.kinds | outcome.wider).items():
        if name in outcome.wider and not count.evaluations:
            continue
        best = outcome.best_net_e8.get(name)
        table.add_row(
            name,
            f"{count.evaluations:,}",
            f"{count.gross_positive:,}",
            f"{count.net_positive:,}",
            "-" if best is None else f"{best / 1e6:+.2f}",
        )
    console.print(table)
    rows = summarised(outcome.log.windows())
    if rows:
        console.print(_windows_table(rows))
    console.print(honestly(outcome.log.resolution_ms), highlight=False)
    console.print(
        f"{outcome.crawls} crawls, {outcome.markets} markets, {outcome.baskets} baskets",
        highlight=False,
    )


def _windows_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        title="windows with a net edge (medians)",
        title_justify="left",
        caption="by delay: filled; there again, but seen later only; unknown; the rest was gone",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    delays = "/".join(map(str, DELAYS_MS))
    for heading in (
        "basket", "to expiry", "windows", "length", "shares", "cents",
        f"filled {delays} ms", "again", "unknown",
    ):  # fmt: skip
        table.add_column(heading, no_wrap=True)
    for row in rows:
        fates = [row["after_ms"][str(delay)] for delay in DELAYS_MS]
        table.add_row(
            row["kind"],
            row["to_expiry"],
            f"{row['windows']:,}",
            f"{_duration(row['at_least_ms'])} - {_duration(row['at_most_ms'])}",
            f"{row['size_e6'] / 1e6:,.0f}",
            f"{row['net_e8'] / 1e6:.2f}",
            *(
                "/".join(str(one[fate.value]) for one in fates)
                for fate in (Fate.FILLED, Fate.AGAIN, Fate.UNKNOWN)
            ),
        )
    return table


def _duration(length_ms: float | None) -> str:
    if length_ms is None:
        return "?"
    if length_ms < 1000:
        return f"{length_ms:.0f} ms"
    return f"{length_ms / 1000:.0f} s" if length_ms < 120_000 else f"{length_ms / 60_000:.0f} min"
