"""`polytrio baskets`: every compiled basket of a running system with its edge, depth and expiry.

Reads what the engine shows of itself in shared memory; computes nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from shm.codes import KIND_WORDS, BasketKind, Outcome, Verdict
from shm.control import require_settings
from shm.errors import InputError
from shm.fabric import Fabric
from shm.layout import BASKET_ROW, BasketRow, Market
from shm.markets import MarketsReader, active

UNQUOTED = frozenset({Verdict.UNQUOTED, Verdict.NONE})


@dataclass(frozen=True, slots=True)
class Listed:
    """One basket with the markets of its legs."""

    row: BasketRow
    legs: Sequence[Market]
    now_ms: int

    @property
    def id(self) -> str:
        """As people name it."""
        return f"{self.row.basket:016x}"

    @property
    def kind(self) -> str:
        """As people name it."""
        return kind_word(self.row.kind)

    @property
    def coin(self) -> str:
        """Of its ladder."""
        return self.legs[0].coin.rstrip(b"\0").decode()

    @property
    def expiry_ms(self) -> int:
        """When it pays."""
        return max(market.expiry_ms for market in self.legs)

    @property
    def quoted(self) -> bool:
        """Whether all prices that it needs are there."""
        return self.row.verdict not in UNQUOTED and self.row.size_e6 > 0

    @property
    def distance_e8(self) -> int:
        """What the edge lacks of the hurdle; not positive: it is worth a signal."""
        return self.row.hurdle_e8 - self.row.net_e8

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        row, quoted = self.row, self.quoted
        return {
            "id": self.id,
            "kind": self.kind,
            "coin": self.coin,
            "expiry_ms": self.expiry_ms,
            "left_ms": self.expiry_ms - self.now_ms,
            "payout_e4": row.payout_e4,
            "gross_e8": row.gross_e8 if quoted else None,
            "net_e8": row.net_e8 if quoted else None,
            "hurdle_e8": row.hurdle_e8,
            "distance_e8": self.distance_e8 if quoted else None,
            "size_e6": row.size_e6,
            "verdict": verdict_word(row.verdict),
            "legs": [
                {"slug": slug_of(market), "outcome": outcome_word(outcome)}
                for market, outcome in zip(self.legs, row.leg_outcome, strict=False)
            ],
        }


_Key = Callable[[Listed], Any]
SORTS: Mapping[str, _Key] = {
    "edge": lambda one: (not one.quoted, -one.row.net_e8),
    "distance": lambda one: (not one.quoted, one.distance_e8),
    "depth": lambda one: (not one.quoted, -one.row.size_e6),
    "expiry": lambda one: (one.expiry_ms, not one.quoted, -one.row.net_e8),
}


def kind_word(kind: int) -> str:
    """A basket kind in words, also one of another version."""
    try:
        return KIND_WORDS[BasketKind(kind)]
    except ValueError:
        return f"kind {kind}"


def verdict_word(verdict: int) -> str:
    """A verdict in words."""
    try:
        return Verdict(verdict).name.lower()
    except ValueError:
        return f"verdict {verdict}"


def outcome_word(outcome: int) -> str:
    """YES or NO."""
    return "YES" if outcome == Outcome.YES else "NO"


def slug_of(market: Market) -> str:
    """A market's name."""
    return market.slug.rstrip(b"\0").decode(errors="replace")


def listed(instance: str) -> list[Listed]:
    """All baskets of a running system; `SegmentMissing` if there is none."""
    fabric = Fabric(instance)
    require_settings(fabric)
    _, rows = MarketsReader(fabric).read()
    markets = {market.row: market for market in active(rows)}
    table = fabric.read_table("baskets", BASKET_ROW)
    now_ms = time.time_ns() // 1_000_000
    found = []
    for place in range(table.count):
        row = table.read(place)
        if row is None or not row.basket:
            continue
        places = row.leg_market[: row.leg_count]
        if places and all(place in markets for place in places):
            found.append(Listed(row, [markets[place] for place in places], now_ms))
    return found


def chosen(
    every: Sequence[Listed], *, coin: str | None, kind: str | None, sort: str, top: int | None
) -> list[Listed]:
    """Those that were asked for, in the order that was asked for."""
    if kind is not None and kind not in KIND_WORDS.values():
        raise InputError(f"no kind {kind!r}: one of {', '.join(list(KIND_WORDS.values())[1:])}")
    some = [
        one
        for one in every
        if (coin is None or one.coin == coin.upper()) and (kind is None or one.kind == kind)
    ]
    return sorted(some, key=SORTS[sort])[:top]


def show(some: Sequence[Listed], total: int, console: Console) -> None:
    """A line for each."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in (
        "id", "kind", "coin", "expires", "legs", "pays", "net, cents", "lacks", "shares", "verdict",
    ):  # fmt: skip
        table.add_column(heading, no_wrap=True)
    for one in some:
        row = one.row
        expires = datetime.fromtimestamp(one.expiry_ms / 1000, UTC)
        table.add_row(
            one.id,
            one.kind,
            one.coin,
            f"{expires:%m-%d %H:%M}",
            str(row.leg_count),
            f"${row.payout_e4 / 1e4:.0f}",
            f"{row.net_e8 / 1e6:+.3f}" if one.quoted else "-",
            f"{max(0, one.distance_e8) / 1e6:.3f}" if one.quoted else "-",
            f"{row.size_e6 / 1e6:,.0f}" if one.quoted else "-",
            verdict_word(row.verdict),
        )
    console.print(table)
    console.print(
        f"{len(some):,} of {total:,} baskets; `polytrio explain ID` tells all about one",
        highlight=False,
    )
