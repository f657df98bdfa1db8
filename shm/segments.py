"""The map of the system: every segment, its sections, their records, capacity, writer and readers.

Three kinds of section, each with one protocol (shm/atomics.h has the operations):

| kind | for | one row is |
|---|---|---|
| PLAIN | counters, switches, the role table | the record; every word has one writer |
| LATCH | what is true now | a sequence line, then two copies; the sequence's parity picks one |
| RING  | what happened once | a commit word, then the record, in one slot |

Offsets are computed here in sequence and nowhere else; `LAYOUT_HASH` covers all of it.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from shm import layout
from shm.codes import ROLE_ROWS, STAGES, Role
from shm.layout import CACHE_LINE, COMMIT_BYTES, LINE_PAIR, Record

PAGE_BYTES = 4096
SCHEMA_OFFSET = 256
APP = "polytrio"


class Kind(StrEnum):
    """How a section's words may be touched."""

    PLAIN = "plain"
    LATCH = "latch"
    RING = "ring"


LATCH_HEAD_BYTES = CACHE_LINE
"""The sequence word has a line of its own in front of the two copies."""

RING_READ_OFFSET = LINE_PAIR
RING_WAITER_OFFSET = 2 * LINE_PAIR
RING_SLOTS_OFFSET = 3 * LINE_PAIR
"""Prelude of a ring: producer's words, consumer's position, consumer's waiting flag."""


@dataclass(frozen=True)
class Section:
    """A run of equal rows inside a segment. `parts` are the records inside one row, in order."""

    name: str
    kind: Kind
    parts: tuple[tuple[Record[Any], int], ...]
    rows: int
    writers: tuple[Role, ...]
    """One role, except where each row belongs to another role (the role table)."""
    readers: tuple[Role, ...]

    @property
    def payload_bytes(self) -> int:
        """Bytes of one row's records."""
        return sum(record.size * count for record, count in self.parts)

    @property
    def stride_bytes(self) -> int:
        """Distance from one row to the next."""
        match self.kind:
            case Kind.PLAIN:
                return self.payload_bytes
            case Kind.LATCH:
                return LATCH_HEAD_BYTES + 2 * self.payload_bytes
            case Kind.RING:
                return COMMIT_BYTES + self.payload_bytes

    @property
    def prelude_bytes(self) -> int:
        """Bytes before the first row."""
        return RING_SLOTS_OFFSET if self.kind is Kind.RING else 0

    @property
    def total_bytes(self) -> int:
        """Prelude and rows."""
        return self.prelude_bytes + self.stride_bytes * self.rows


@dataclass(frozen=True)
class Placed:
    """A section and where it starts in its segment."""

    section: Section
    offset: int


@dataclass(frozen=True)
class SegmentPlan:
    """One segment of POSIX shared memory."""

    name: str
    purpose: str
    sections: tuple[Section, ...]

    @cached_property
    def schema(self) -> bytes:
        """The JSON that every segment carries, so that a reader needs no code of ours."""
        return json.dumps(self._described(), separators=(",", ":"), sort_keys=True).encode()

    def _described(self) -> dict[str, Any]:
        return {
            "segment": self.name,
            "purpose": self.purpose,
            "sections": [
                {
                    "name": placed.section.name,
                    "kind": placed.section.kind.value,
                    "offset": placed.offset,
                    "rows": placed.section.rows,
                    "stride": placed.section.stride_bytes,
                    "prelude": placed.section.prelude_bytes,
                    "payload": placed.section.payload_bytes,
                    "writers": [role.label for role in placed.section.writers],
                    "readers": [role.label for role in placed.section.readers],
                    "parts": [
                        {"count": count, "record": record.schema()}
                        for record, count in placed.section.parts
                    ],
                }
                for placed in self._place(first=0)
            ],
        }

    def _place(self, first: int) -> list[Placed]:
        placed = []
        offset = first
        for section in self.sections:
            placed.append(Placed(section, offset))
            offset += -(-section.total_bytes // LINE_PAIR) * LINE_PAIR
        return placed

    @cached_property
    def data_offset(self) -> int:
        """Where the first section starts: header and schema, rounded up to whole pages."""
        return -(-(SCHEMA_OFFSET + len(self.schema)) // PAGE_BYTES) * PAGE_BYTES

    @cached_property
    def placed(self) -> dict[str, Placed]:
        """Section name -> section and its offset from the start of the segment."""
        return {p.section.name: p for p in self._place(self.data_offset)}

    @cached_property
    def total_bytes(self) -> int:
        """Size of the segment, whole pages."""
        last = list(self.placed.values())[-1]
        end = last.offset + last.section.total_bytes
        return -(-end // PAGE_BYTES) * PAGE_BYTES


UPDATES_CAPACITY = 1024
SIGNALS_CAPACITY = 64
REPORTS_CAPACITY = 1024
BASKETS_MAX = 8192
"""Five coins and seven days compile to 7,385."""
FLIGHTS_MAX = 256
SHADOW_ROWS = 64
STAGE_HISTOGRAMS = 8

_EVERYONE = (Role.SUPERVISOR, Role.DESK, *STAGES, Role.KILLER, Role.OPERATOR)
_STATS_RECORD: dict[Role, Record[Any]] = {
    Role.INGEST: layout.INGEST_STATS,
    Role.ENGINE: layout.ENGINE_STATS,
    Role.EXECUTOR: layout.EXECUTOR_STATS,
    Role.KILLER: layout.KILLER_STATS,
    Role.DESK: layout.DESK_STATS,
}


def _table(
    name: str, record: Record[Any], rows: int, writer: Role, readers: tuple[Role, ...]
) -> Section:
    return Section(name, Kind.LATCH, ((record, 1),), rows, (writer,), readers)


def _ring(name: str, record: Record[Any], capacity: int, writer: Role, reader: Role) -> Section:
    assert capacity & (capacity - 1) == 0, f"{name}: capacity must be a power of two"
    return Section(name, Kind.RING, ((record, 1),), capacity, (writer,), (reader,))


def _stats(role: Role) -> SegmentPlan:
    def plain(name: str, record: Record[Any], rows: int) -> Section:
        return Section(name, Kind.PLAIN, ((record, 1),), rows, (role,), (Role.DESK,))

    return SegmentPlan(
        f"stats-{role.label}",
        f"counters and latency histograms of {role.label}",
        (
            plain("stage", layout.STAGE_STATS, 1),
            plain("counters", _STATS_RECORD[role], 1),
            plain("histograms", layout.HISTOGRAM, STAGE_HISTOGRAMS),
        ),
    )


SEGMENTS: dict[str, SegmentPlan] = {
    plan.name: plan
    for plan in (
        SegmentPlan(
            "control",
            "who runs, with which settings, and what the operator wants",
            (
                Section(
                    "roles",
                    Kind.PLAIN,
                    ((layout.ROLE_ROW, 1),),
                    ROLE_ROWS,
                    _EVERYONE,
                    _EVERYONE,
                ),
                Section(
                    "switches",
                    Kind.PLAIN,
                    ((layout.SWITCHES, 1),),
                    1,
                    (Role.DESK,),
                    _EVERYONE,
                ),
                Section(
                    "kill",
                    Kind.PLAIN,
                    ((layout.KILL_LATCH, 1),),
                    1,
                    (Role.KILLER,),
                    _EVERYONE,
                ),
                _table("wish", layout.WISH, 1, Role.OPERATOR, (Role.SUPERVISOR, Role.DESK)),
                Section(
                    "supervision",
                    Kind.PLAIN,
                    ((layout.SUPERVISION, 1),),
                    1,
                    (Role.SUPERVISOR,),
                    _EVERYONE,
                ),
                _table("settings", layout.SETTINGS_BLOB, 1, Role.SUPERVISOR, _EVERYONE),
                _table(
                    "reloading", layout.RELOADING, 1, Role.SUPERVISOR, (Role.DESK, Role.OPERATOR)
                ),
            ),
        ),
        SegmentPlan(
            "markets",
            "which markets exist: one generation, replaced as a whole; how old its facts are",
            (
                Section(
                    "markets",
                    Kind.LATCH,
                    ((layout.GENERATION, 1), (layout.MARKET, layout.MARKETS_MAX)),
                    1,
                    (Role.DESK,),
                    _EVERYONE,
                ),
                Section(
                    "confirmed",
                    Kind.PLAIN,
                    ((layout.FACTS_TIMES, 1),),
                    1,
                    (Role.DESK,),
                    (Role.EXECUTOR,),
                ),
            ),
        ),
        SegmentPlan(
            "books",
            "the order book of every market, YES terms, best levels first",
            (_table("books", layout.BOOK, layout.MARKETS_MAX, Role.INGEST, _EVERYONE),),
        ),
        SegmentPlan(
            "updates",
            "which books changed, and which changed while the ring was full",
            (
                _ring("updates", layout.UPDATE, UPDATES_CAPACITY, Role.INGEST, Role.ENGINE),
                Section(
                    "dirty",
                    Kind.PLAIN,
                    ((layout.DIRTY_BITS, 1),),
                    1,
                    (Role.INGEST,),
                    (Role.ENGINE,),
                ),
                Section(
                    "dirty_seen",
                    Kind.PLAIN,
                    ((layout.DIRTY_BITS, 1),),
                    1,
                    (Role.ENGINE,),
                    (Role.INGEST,),
                ),
            ),
        ),
        SegmentPlan(
            "baskets",
            "the compiled baskets and what each was worth when last looked at",
            (_table("baskets", layout.BASKET_ROW, BASKETS_MAX, Role.ENGINE, (Role.DESK,)),),
        ),
        SegmentPlan(
            "signals",
            "baskets to buy, from engine to executor",
            (_ring("signals", layout.SIGNAL, SIGNALS_CAPACITY, Role.ENGINE, Role.EXECUTOR),),
        ),
        SegmentPlan(
            "shadow",
            "on which baskets the two engines did not agree",
            (_table("shadow", layout.SHADOW_ROW, SHADOW_ROWS, Role.ENGINE, (Role.DESK,)),),
        ),
        SegmentPlan(
            "reports",
            "what became of the signals, from executor to engine",
            (_ring("reports", layout.REPORT, REPORTS_CAPACITY, Role.EXECUTOR, Role.ENGINE),),
        ),
        SegmentPlan(
            "flights",
            "baskets that were sent, with the hash of every order",
            (_table("flights", layout.FLIGHT, FLIGHTS_MAX, Role.EXECUTOR, (Role.DESK,)),),
        ),
        SegmentPlan(
            "positions",
            "what we hold and what cash is left, from fills",
            (
                _table("account", layout.ACCOUNT, 1, Role.EXECUTOR, (Role.DESK, Role.ENGINE)),
                _table(
                    "positions",
                    layout.POSITION,
                    layout.MARKETS_MAX,
                    Role.EXECUTOR,
                    (Role.DESK, Role.ENGINE),
                ),
            ),
        ),
        *(_stats(role) for role in _STATS_RECORD),
    )
}


def _hash_everything() -> bytes:
    digest = hashlib.sha256(layout.HEADER.name.encode())
    for plan in SEGMENTS.values():
        digest.update(plan.schema)
    return digest.digest()[:16]


LAYOUT_HASH = _hash_everything()
LAYOUT_ID = LAYOUT_HASH.hex()[:8]
"""Part of every segment's name: two versions of the layout cannot meet by accident."""


def segment_name(instance: str, segment: str, layout_id: str = LAYOUT_ID) -> str:
    """POSIX name of a segment, for example `/polytrio.main.books.1a2b3c4d`."""
    return f"/{APP}.{instance}.{segment}.{layout_id}"
