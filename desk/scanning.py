"""Scans of a running system and of recordings: shown, written down, and promoted to baskets.

What the last scan found beyond the compiled set stands in `scan.json` in the instance's folder,
under the numbers that people were shown; every scan adds its finds to `scans.jsonl`. `promote`
takes a number and writes `promoted.json` (shm/promoted.py), which desk answers with a new
generation.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from desk.combinations import Combination
from desk.recording import read_markets, read_moments
from desk.replay import EPOCH, Player
from desk.scan import LadderScan, offers_of, scan_ladder
from engine.baskets import compile_baskets
from shm import wordfiles
from shm.codes import BookState, Role
from shm.control import require_settings
from shm.errors import UNREADABLE, InputError
from shm.fabric import Fabric
from shm.layout import BOOK
from shm.markets import MarketsReader, active
from shm.promoted import Promoted, PromotedLeg, promote, read_promoted
from shm.roles import RoleTable

LAST_FILE = "scan.json"
RECORD_FILE = "scans.jsonl"
NUMBERS_MAX = 50


class Find(msgspec.Struct, frozen=True):
    """A combination of the last scan, as it can be promoted, or why it cannot."""

    number: int
    legs: tuple[PromotedLeg, ...]
    payout_e4: int
    expiry_ms: int
    why_not: str | None


@dataclass(frozen=True)
class Scan:
    """One look at all ladders of a running system."""

    at_ms: int
    generation: int
    ladders: list[LadderScan]

    @property
    def beyond(self) -> list[tuple[LadderScan, Combination]]:
        """What the compiled set lacks, the most profitable first: their places are the numbers."""
        every = [(ladder, one) for ladder in self.ladders for one in ladder.beyond]
        return sorted(every, key=lambda pair: -pair[1].profit_usd_e6)[:NUMBERS_MAX]

    def finds(self) -> list[Find]:
        """The same for the file."""
        return [
            Find(number, legs_of(one), one.payout_e4, ladder.expiry_ms, one.why_not_promoted())
            for number, (ladder, one) in enumerate(self.beyond, 1)
        ]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "at_ms": self.at_ms,
            "generation": self.generation,
            "ladders": [ladder.as_json() for ladder in self.ladders],
            "beyond": [
                {"number": number, **one.as_json()}
                for number, (_, one) in enumerate(self.beyond, 1)
            ],
        }


def legs_of(one: Combination) -> tuple[PromotedLeg, ...]:
    """The legs as the file names them."""
    return tuple(
        PromotedLeg(
            f"{offer.market.key:016x}",
            offer.outcome.name,
            offer.market.slug.rstrip(b"\0").decode(errors="replace"),
        )
        for offer in one.offers
    )


def running(instance: str) -> tuple[Scan, Path]:
    """Scan the books of a running system; also its folder."""
    fabric = Fabric(instance)
    settings = require_settings(fabric)
    generation, rows = MarketsReader(fabric).read()
    markets = active(rows)
    table = fabric.read_table("books", BOOK)
    epoch = RoleTable(fabric.segment("control", writable=False)).epoch(Role.INGEST)
    books = {
        market.row: book
        for market in markets
        if (book := table.read(market.row)) is not None and book.state == BookState.LIVE
    }
    baskets = compile_baskets(
        markets, wide=settings.engine.wide, promoted=read_promoted(settings.var_path)
    ).baskets
    ladders = [scan_ladder(offers, baskets) for offers in offers_of(markets, books, epoch)]
    return Scan(time.time_ns() // 1_000_000, generation, ladders), settings.var_path


def write_down(scan: Scan, folder: Path) -> None:
    """Leave what was found under its numbers, and add it to the record."""
    folder.mkdir(parents=True, exist_ok=True)
    wordfiles.put(folder / LAST_FILE, msgspec.json.encode(scan.finds()))
    lines = [
        msgspec.json.encode({"at_ms": scan.at_ms, **ladder.as_json()})
        for ladder in scan.ladders
        if ladder.more_usd_e6
    ]
    if lines:
        with (folder / RECORD_FILE).open("ab") as file:
            file.write(b"".join(line + b"\n" for line in lines))


def promote_find(folder: Path, number: int, now_ms: int) -> tuple[Find, bool]:
    """Make a find of the last scan a watched basket; False if it was one already."""
    try:
        finds = msgspec.json.decode((folder / LAST_FILE).read_bytes(), type=list[Find])
    except (OSError, *UNREADABLE):
        raise InputError("nothing to promote: run `polytrio scan` first") from None
    found = next((one for one in finds if one.number == number), None)
    if found is None:
        found_some = f"1 to {len(finds)}" if finds else "nothing beyond the compiled baskets"
        raise InputError(f"the last scan has no number {number}: it found {found_some}")
    if found.why_not is not None:
        raise InputError(f"number {number} cannot be promoted: {found.why_not}")
    if found.expiry_ms <= now_ms:
        raise InputError(f"number {number} has expired: scan again")
    return found, promote(folder, Promoted(found.legs, found.payout_e4, found.expiry_ms, now_ms))


# --- recordings ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Measure:
    """The compiled set against the linear program, over a whole recording."""

    moments: int = 0
    scans: int = 0
    with_profit: int = 0
    with_more: int = 0
    """Scans in which the compiled set missed something."""
    profit_usd_e6: int = 0
    compiled_usd_e6: int = 0
    more_usd_e6: int = 0
    most_usd_e6: int = 0
    unproven: int = 0
    """Scans in which purchase and certificate differ by more than a cent of a cent: none should."""
    promotable: int = 0
    not_promotable: int = 0
    shapes: dict[str, int] = field(default_factory=dict)
    """How often a shape of combination was beyond the compiled set."""

    def add(self, ladder: LadderScan) -> None:
        """Count one scan."""
        self.scans += 1
        self.with_profit += ladder.profit_usd_e6 > 0
        self.profit_usd_e6 += ladder.profit_usd_e6
        self.compiled_usd_e6 += min(ladder.compiled_usd_e6, ladder.profit_usd_e6)
        self.with_more += ladder.more_usd_e6 > 0
        self.more_usd_e6 += ladder.more_usd_e6
        self.most_usd_e6 = max(self.most_usd_e6, ladder.more_usd_e6)
        self.unproven += ladder.answer.bound.profit_usd_e6 - ladder.profit_usd_e6 > PROVEN_USD_E6
        for one in ladder.beyond:
            refused = one.why_not_promoted() is not None
            self.promotable += not refused
            self.not_promotable += refused
            shape = shape_of(one)
            self.shapes[shape] = self.shapes.get(shape, 0) + 1


PROVEN_USD_E6 = 100


def shape_of(one: Combination) -> str:
    """A combination without its numbers: kinds, outcomes and weights."""
    words = sorted(
        f"{'' if weight == 1 else f'{weight} x '}{offer.outcome.name} "
        f"{_KIND_WORDS.get(offer.market.kind, '?')}"
        for offer, weight in zip(one.offers, one.weights, strict=True)
    )
    counted = {word: words.count(word) for word in words}
    return ", ".join(word if n == 1 else f"{n} of {word}" for word, n in counted.items())


_KIND_WORDS = {1: "above", 2: "range", 3: "below", 4: "higher"}


def recorded(
    markets_path: Path, quotes_path: Path, *, keep: bool = False
) -> Iterator[tuple[str, LadderScan]]:
    """Scan every ladder at every moment of a recording: (time stamp, what was found)."""
    markets, ids = read_markets(markets_path)
    player = Player(markets, keep=keep)
    for moment in read_moments(quotes_path, ids):
        player.show(moment)
        looked = player.groups(moment)
        for offers in offers_of(markets, player.shown, EPOCH):
            if offers.offers[0].market.group in looked:
                yield moment.stamp, scan_ladder(offers, player.baskets)


def measured(scans: Iterable[tuple[str, LadderScan]], out: Path | None) -> Measure:
    """Count, and write what the compiled set lacks to `out`, a line each."""
    measure, lines, stamps = Measure(), [], set()
    for stamp, ladder in scans:
        stamps.add(stamp)
        measure.add(ladder)
        if out is not None and ladder.more_usd_e6:
            lines.append(msgspec.json.encode({"at": stamp, **ladder.as_json()}) + b"\n")
    measure.moments = len(stamps)
    if out is not None:
        try:
            out.write_bytes(b"".join(lines))
        except OSError as error:
            raise InputError(f"{out} cannot be written: {error.strerror}") from None
    return measure


# --- for people ---------------------------------------------------------------------------------


def show(scan: Scan, console: Console) -> None:
    """A line for each ladder, and each find."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("ladder", "tokens", "best, $", "compiled", "more", "no purchase exceeds"):
        table.add_column(heading, no_wrap=True)
    for ladder in scan.ladders:
        when = datetime.fromtimestamp(ladder.expiry_ms / 1000, UTC)
        table.add_row(
            f"{ladder.coin} {when:%Y-%m-%d %H:%M}",
            str(len(ladder.offers.offers)),
            *(
                f"{usd_e6 / 1e6:.4f}"
                for usd_e6 in (
                    ladder.profit_usd_e6,
                    ladder.compiled_usd_e6,
                    ladder.more_usd_e6,
                    ladder.answer.bound.profit_usd_e6,
                )
            ),
        )
    console.print(table)
    if not scan.beyond:
        console.print("nothing beyond the compiled baskets", highlight=False)
    for number, (_, one) in enumerate(scan.beyond, 1):
        console.print("\n".join(_lines(number, one)), highlight=False, soft_wrap=True)


def _lines(number: int, one: Combination) -> Sequence[str]:
    why_not = one.why_not_promoted()
    head = (
        f"{number}: pays ${one.payout_e4 / 1e4:.0f} a unit, net {one.net_e8 / 1e6:.3f} cents, "
        f"{one.size_e6 / 1e6:,.0f} units, ${one.profit_usd_e6 / 1e6:.4f}"
    )
    legs = [
        f"   {'' if weight == 1 else f'{weight} x '}{offer.outcome.name:<3} {leg.slug}"
        for offer, weight, leg in zip(one.offers, one.weights, legs_of(one), strict=True)
    ]
    last = f"   not for promotion: {why_not}" if why_not else f"   polytrio scan --promote {number}"
    return [head, *legs, last]


def show_measure(measure: Measure, console: Console) -> None:
    """The figures of a recording."""
    console.print(
        f"{measure.scans:,} scans of ladders at {measure.moments:,} moments; "
        f"{measure.with_profit:,} with a riskless purchase, together "
        f"${measure.profit_usd_e6 / 1e6:,.2f}\n"
        f"compiled baskets get ${measure.compiled_usd_e6 / 1e6:,.2f} of it; "
        f"{measure.with_more:,} scans found more: ${measure.more_usd_e6 / 1e6:,.2f} together, "
        f"${measure.most_usd_e6 / 1e6:,.4f} at most\n"
        f"certificates that do not meet the purchase: {measure.unproven}",
        highlight=False,
    )
    for shape, count in sorted(measure.shapes.items(), key=lambda item: -item[1]):
        console.print(f"  {count:>5}  {shape}", highlight=False)
