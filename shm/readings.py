"""One look at an instance as plain numbers: roles, rings, tables, counters, latencies.

Everything that the inspector shows for people or machines is a `Look`; two of them, one after the
other, give rates (shm/watcher.py). A look never fails: what is missing is said in `missing`, what
is damaged in `trouble`, and the rest is shown.
"""

import time
from enum import IntEnum
from typing import Any

import msgspec

from shm.backend import Words
from shm.codes import StageState
from shm.errors import UNREADABLE, SegmentError
from shm.histogram import SUB_COUNT, percentile
from shm.holders import lock_held
from shm.inspector import (
    Row,
    View,
    chunks,
    decode,
    latch_of,
    newest,
    nothing_runs,
    plain_row,
    ring_state,
    rows,
    wall_time,
)
from shm.modes import EngineMode, Execution
from shm.process import boot_id
from shm.schemas import RecordSchema, SectionSchema
from shm.segment import SHM_ROOT, SegmentFile, list_files
from shm.segments import APP, Kind

OVERFLOW: dict[str, str] = {
    "updates": "conflated into dirty bits",
    "signals": "refused; the engine goes on",
    "reports": "kept by the writer",
}
"""What becomes of a message that finds its ring full; docs/shared-memory.md, "Overflow"."""

_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
_WORD = 8


class SystemReading(msgspec.Struct):
    """What the control segment says about the whole."""

    layout: str
    this_build: bool
    boot: str
    this_boot: bool
    created: str
    created_wall_ns: int
    uptime_s: float
    mode: str | None = None
    """Whose money: paper or live."""
    venue: str | None = None
    trading: bool | None = None
    execution: str | None = None
    """What the operator's switch says in place of the settings."""
    engine: str | None = None
    fallen_back: bool = False
    """The supervisor has started the engine in Python, because the native one kept crashing."""
    settings_version: int | None = None


class RoleReading(msgspec.Struct):
    """One role: alive is the kernel's word, everything else the holder's own."""

    alive: bool | None
    pid: int
    epoch: int
    state: int
    doing: str
    heartbeat_age_ms: float | None
    adopted_generation: int
    adopted_settings: int
    loops: int
    start_ticks: int


class RingReading(msgspec.Struct):
    """One ring; `lag_max` is the largest lag that this onlooker has seen."""

    written: int
    read: int
    lag: int
    lag_max: int
    capacity: int
    overflow: int
    full_means: str
    dirty: int | None = None
    """Markets marked and not yet taken, for a ring that conflates."""
    per_second: float | None = None


class TableReading(msgspec.Struct):
    """One table: rows in use, and the ages of the oldest and newest by the field `stamp`."""

    used: int
    rows: int
    busy: int
    stamp: str | None
    oldest_ms: float | None
    newest_ms: float | None


class Latency(msgspec.Struct):
    """A histogram in microseconds. `octaves` counts values by power of two of nanoseconds."""

    stage: str
    count: int
    p50: float
    p90: float
    p99: float
    p999: float
    max: float
    octaves: list[int]


class Look(msgspec.Struct):
    """Everything at one moment; each number a moment older or newer than its neighbour."""

    instance: str
    at_ns: int
    missing: str | None = None
    system: SystemReading | None = None
    roles: dict[str, RoleReading] = {}
    rings: dict[str, RingReading] = {}
    tables: dict[str, TableReading] = {}
    counters: dict[str, dict[str, int]] = {}
    rates: dict[str, dict[str, float]] = {}
    """Counters a second since the look before; gauges show by how much they moved."""
    latency_us: dict[str, Latency] = {}
    trouble: dict[str, str] = {}


def look(instance: str) -> Look:
    """Read everything that an instance has now."""
    seen = Look(instance, time.monotonic_ns())
    by_segment: dict[str, list[SegmentFile]] = {}
    for file in list_files(instance):
        by_segment.setdefault(file.segment, []).append(file)
    if not by_segment:
        seen.missing = nothing_runs(instance)
    for segment, files in by_segment.items():
        try:
            view = newest(files)
        except SegmentError as error:
            seen.trouble[segment] = str(error)
            continue
        _add_segment(seen, segment, view)
    if seen.missing is None and seen.system is None and "control" not in seen.trouble:
        seen.missing = f"instance {instance!r} has no control segment: it is being made or removed"
    return seen


def _add_segment(seen: Look, segment: str, view: View) -> None:
    if segment == "control":
        seen.system = _system(view)
    for section in view.schema.sections:
        short = section.name if section.name == segment else f"{segment}.{section.name}"
        match section.kind:
            case Kind.RING:
                seen.rings[short] = _ring(view, section)
            case Kind.LATCH:
                seen.tables[short] = _table(view, section, seen.at_ns)
            case Kind.PLAIN if short == "control.roles":
                seen.roles = _roles(view, section, seen)
            case Kind.PLAIN if segment.startswith("stats-"):
                _add_statistics(seen, segment.removeprefix("stats-"), view, section)


def _section(view: View, name: str) -> SectionSchema | None:
    return next((section for section in view.schema.sections if section.name == name), None)


def _first_row(view: View, name: str) -> Row:
    section = _section(view, name)
    return next(rows(view, section), {}) if section else {}


def _system(view: View) -> SystemReading:
    header = view.header
    reading = SystemReading(
        layout=view.file.layout_id,
        this_build=view.of_this_build,
        boot=header.boot_id.hex()[:8],
        this_boot=header.boot_id == boot_id(),
        created=wall_time(header.created_wall_ns),
        created_wall_ns=header.created_wall_ns,
        uptime_s=max(0.0, round((time.time_ns() - header.created_wall_ns) / 1e9, 1)),
    )
    switches = _first_row(view, "switches")
    if _section(view, "switches") is not None:
        reading.trading = switches.get("trading_enabled") == 1
    published = _first_row(view, "settings")
    reading.settings_version = published.get("generation")
    settings = _settings(published)
    venue, execution = settings.get("venue"), settings.get("execution", settings.get("mode"))
    if isinstance(venue, str) and venue.isprintable():
        reading.venue = venue
    if isinstance(execution, str):
        reading.mode = "live" if execution == "live" else "paper"
    _add_modes(reading, switches, _first_row(view, "supervision"))
    return reading


def _add_modes(reading: SystemReading, switches: Row, supervision: Row) -> None:
    """What operator and supervisor have chosen instead of what the settings say."""
    reading.execution = _word_for(Execution, switches.get("execution", 0))
    reading.engine = _word_for(EngineMode, switches.get("engine_mode", 0))
    choices, fallback = switches.get("choices", 0), supervision.get("fallback", 0)
    reading.fallen_back = fallback != 0 and fallback == choices + 1


def _word_for(codes: type[IntEnum], number: Any) -> str | None:
    """A code's name; None for "nothing", and for what a later version may mean."""
    return codes(number).name.lower() if number and number in set(codes) else None


def _settings(row: Row) -> Row:
    try:
        settings = msgspec.json.decode(row.get("text") or "{}")
    except (TypeError, *UNREADABLE):
        return {}
    return settings if isinstance(settings, dict) else {}


def lock_path(instance: str, label: str) -> str:
    """Name of a role's lock file; by label, so that roles of other versions are found, too."""
    return f"{APP}.{instance}.{label}.lock"


def role_rows(view: View, section: SectionSchema) -> dict[str, Row]:
    """Role -> its row. Row numbers are roles: their names are the section's writers, in order."""
    found: dict[str, Row] = {}
    for row, label in zip(range(section.rows), section.writers, strict=False):
        for part, chunk in chunks(section, _in_order(view, section, row)):
            found[label] = decode(part.record, chunk)
    return found


def _in_order(view: View, section: SectionSchema, row: int) -> bytes:
    """A row loaded word by word, first to last: so a pid is never older than its start time."""
    if section.stride % _WORD:
        return plain_row(view, section, row)
    start = view.start(section) + row * section.stride
    words = Words(view.memory, start, section.stride // _WORD, False)
    return b"".join(words.load(index).to_bytes(_WORD, "little") for index in range(words.count))


def _roles(view: View, section: SectionSchema, seen: Look) -> dict[str, RoleReading]:
    found: dict[str, RoleReading] = {}
    for label, row in role_rows(view, section).items():
        alive = lock_held(SHM_ROOT / lock_path(seen.instance, label))
        words = {key: value for key, value in row.items() if isinstance(value, int)}
        if not alive and not words.get("epoch"):
            continue  # nobody has ever filled this role
        heartbeat_ns = words.get("heartbeat_ns", 0)
        found[label] = RoleReading(
            alive=alive,
            pid=words.get("pid", 0),
            epoch=words.get("epoch", 0),
            state=words.get("state", 0),
            doing=state_name(words.get("state", 0)),
            heartbeat_age_ms=_age_ms(heartbeat_ns, seen.at_ns),
            adopted_generation=words.get("adopted_generation", 0),
            adopted_settings=words.get("adopted_settings", 0),
            loops=words.get("loops", 0),
            start_ticks=words.get("start_ticks", 0),
        )
    return found


def state_name(state: int) -> str:
    """A stage state for people; numbers of later versions stay numbers."""
    return StageState(state).name.lower() if state in set(StageState) else f"state {state}"


def _age_ms(stamp_ns: int, now_ns: int) -> float | None:
    return round(max(0, now_ns - stamp_ns) / 1e6, 1) if stamp_ns else None


def _ring(view: View, section: SectionSchema) -> RingReading:
    state = ring_state(view, section)
    reading = RingReading(
        written=state.written,
        read=state.read,
        lag=state.lag,
        lag_max=state.lag,
        capacity=state.capacity,
        overflow=state.overflow,
        full_means=OVERFLOW.get(section.name, "counted"),
    )
    marks, taken = _section(view, "dirty"), _section(view, "dirty_seen")
    if marks and taken and marks.kind == taken.kind == Kind.PLAIN:
        pairs = zip(plain_row(view, marks, 0), plain_row(view, taken, 0), strict=False)
        reading.dirty = sum((a ^ b).bit_count() for a, b in pairs)
    return reading


def stamp_of(record: RecordSchema) -> str | None:
    """The first field that holds a moment of the monotonic clock."""
    names = (field.name for field in record.fields if field.is_word)
    return next((n for n in names if n.endswith("_ns") and not n.endswith("_wall_ns")), None)


def _table(view: View, section: SectionSchema, now_ns: int) -> TableReading:
    """Rows in use are those that were written; where one row holds many records, those."""
    repeated = max(section.parts, key=lambda part: part.count)
    whole = repeated.count == 1
    stamped = next((part.record for part in section.parts if stamp_of(part.record)), None)
    stamp = stamp_of(stamped) if stamped else None
    latch = latch_of(view, section)
    used = busy = 0
    stamps: list[int] = []
    for row in range(section.rows):
        if latch.version(row) == 0:
            continue
        payload = latch.read(row)
        if payload is None:
            busy += 1
            continue
        used += whole
        for part, chunk in chunks(section, payload):
            used += not whole and part is repeated and any(chunk)
            if part.record is stamped and stamp:
                stamps.append(_word_of(part.record, stamp, chunk))
    known = [value for value in stamps if 0 < value <= now_ns]
    return TableReading(
        used=used,
        rows=section.rows * repeated.count,
        busy=busy,
        stamp=stamp,
        oldest_ms=_age_ms(min(known, default=0), now_ns),
        newest_ms=_age_ms(max(known, default=0), now_ns),
    )


def _word_of(record: RecordSchema, name: str, chunk: bytes) -> int:
    field = record.field(name)
    assert field is not None, f"{record.name} has no {name}"
    return int.from_bytes(chunk[field.offset : field.offset + _WORD], "little")


def _is_histogram(record: RecordSchema) -> bool:
    name, largest, buckets = (record.field(key) for key in ("name", "max_ns", "bucket"))
    if name is None or largest is None or buckets is None:
        return False
    shaped = name.count == 1 and name.format[1] == "S" and buckets.format == "<u8"
    return shaped and largest.is_word and buckets.count > 1


def _add_statistics(seen: Look, stage: str, view: View, section: SectionSchema) -> None:
    """Counters are the words of any record; a histogram is known by its fields."""
    if any(_is_histogram(part.record) for part in section.parts):
        for row in rows(view, section):
            name = str(row.get("name") or f"{section.name}[{row['row']}]")
            key = name if name not in seen.latency_us else f"{stage}.{name}"
            seen.latency_us[key] = summary_us(stage, row["bucket"], int(row["max_ns"]))
        return
    cells = seen.counters.setdefault(stage, {})
    for part, chunk in chunks(section, plain_row(view, section, 0)):
        for field in part.record.fields:
            if field.is_word:
                cells[field.name] = _word_of(part.record, field.name, chunk)


def summary_us(stage: str, buckets: list[int], max_ns: int) -> Latency:
    """Count, percentiles, maximum (in microseconds) and coarse shape of a histogram."""
    shares = {name: percentile(buckets, share, max_ns) for name, share in _PERCENTILES.items()}
    # The first SUB_COUNT buckets hold 0..31 ns, each following run of as many one power of two.
    octaves = [sum(buckets[at : at + SUB_COUNT]) for at in range(0, len(buckets), SUB_COUNT)]
    return Latency(
        stage=stage,
        count=sum(buckets),
        max=max_ns / 1e3,
        octaves=octaves,
        **{name: value / 1e3 for name, value in shares.items()},
    )
