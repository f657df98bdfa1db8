"""Looks into segments from outside: read-only, from the schema inside them, also when all is dead.

Nothing here uses the layout of this build: a segment of a version never seen before is shown as
well as our own. The mapping is read-only in the page tables (`r--s`), so that looking cannot harm.
"""

import mmap
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from shm.errors import LayoutMismatch, SegmentMissing
from shm.histogram import percentile
from shm.layout import Header
from shm.segment import SegmentFile, list_files, read_head
from shm.segments import LATCH_HEAD_BYTES, LAYOUT_HASH, RING_READ_OFFSET

_LATCH_TRIES = 64
_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}

Row = dict[str, Any]


@dataclass(frozen=True)
class View:
    """A segment that can be looked at."""

    file: SegmentFile
    header: Header
    schema: dict[str, Any]
    data: npt.NDArray[np.uint8]

    @property
    def of_this_build(self) -> bool:
        """Whether our own layout made it."""
        return self.header.layout_hash == LAYOUT_HASH

    def section(self, name: str) -> dict[str, Any]:
        """Schema of a section; `SegmentMissing` names the ones that exist."""
        for section in self.schema["sections"]:
            if section["name"] == name:
                return dict(section)
        known = ", ".join(section["name"] for section in self.schema["sections"])
        raise SegmentMissing(f"segment {self.file.segment} has no section {name!r}, only {known}")


def open_view(file: SegmentFile) -> View:
    """Map one segment for reading; `LayoutMismatch` if its header is damaged."""
    try:
        fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise SegmentMissing(f"segment {file.path.name} is gone") from None
    except PermissionError:
        raise LayoutMismatch(f"segment {file.path.name} belongs to another user") from None
    try:
        header, schema = read_head(f"/{file.path.name}", fd)
        mapping = mmap.mmap(fd, header.total_bytes, access=mmap.ACCESS_READ)
    finally:
        os.close(fd)
    described = msgspec.json.decode(schema)
    for section in described["sections"]:
        section["offset"] += header.data_offset
    return View(file, header, described, np.frombuffer(mapping, np.uint8))


def find(instance: str, segment: str) -> View:
    """The segment of an instance by its short name; the newest if several versions exist."""
    files = [file for file in list_files(instance) if file.segment == segment]
    if not files:
        known = sorted({file.segment for file in list_files(instance)})
        hint = f"there are {', '.join(known)}" if known else "nothing runs under this name"
        raise SegmentMissing(f"instance {instance!r} has no segment {segment!r}: {hint}")
    views = [open_view(file) for file in files]
    return max(views, key=lambda view: view.header.created_wall_ns)


def describe(file: SegmentFile) -> Row:
    """One line of `list`."""
    row: Row = {"instance": file.instance, "segment": file.segment, "layout": file.layout_id}
    try:
        view = open_view(file)
    except (LayoutMismatch, SegmentMissing) as error:
        return row | {"bytes": file.path.stat().st_size, "trouble": str(error)}
    return row | {
        "bytes": view.header.total_bytes,
        "created": time.strftime(
            "%Y-%m-%dT%H:%M:%S", time.localtime(view.header.created_wall_ns / 1e9)
        ),
        "this_build": view.of_this_build,
        "purpose": view.schema["purpose"],
        "writers": sorted({w for s in view.schema["sections"] for w in s["writers"]}),
    }


def _dtype(record: Row) -> np.dtype[Any]:
    names, formats, offsets, counts = zip(*record["fields"], strict=True)
    shaped = [f if n == 1 else (f, (n,)) for f, n in zip(formats, (*counts,), strict=True)]
    # fields are [name, format, offset, count]
    return np.dtype(
        {
            "names": list(names),
            "formats": shaped,
            "offsets": list(offsets),
            "itemsize": record["size"],
        }
    )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        text = value.rstrip(b"\0")
        return (
            text.decode("ascii") if text.isascii() and text.decode().isprintable() else text.hex()
        )
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value


def _decode(record: Row, data: bytes) -> Row:
    item = np.frombuffer(data, _dtype(record), count=1)[0]
    return {
        name: _plain(item[name].item() if item[name].ndim == 0 else item[name])
        for name in item.dtype.names or ()
    }


def _word(view: View, offset: int) -> int:
    return int(view.data[offset : offset + 8].view(np.uint64)[0])


def _latch_bytes(view: View, section: Row, row: int) -> tuple[int, bytes] | None:
    base = section["offset"] + row * section["stride"]
    for _ in range(_LATCH_TRIES):
        sequence = _word(view, base)
        start = base + LATCH_HEAD_BYTES + (sequence & 1) * section["payload"]
        payload = view.data[start : start + section["payload"]].tobytes()
        if _word(view, base) == sequence:
            return sequence, payload
    return None


def _parts(section: Row, payload: bytes) -> Iterator[Row]:
    at = 0
    for part in section["parts"]:
        for _ in range(part["count"]):
            size = part["record"]["size"]
            chunk = payload[at : at + size]
            at += size
            if any(chunk):
                yield _decode(part["record"], chunk)


def rows(view: View, section: Row) -> Iterator[Row]:
    """The rows of a table or plain section that hold anything; for a ring, what is in its slots."""
    match section["kind"]:
        case "latch":
            for row in range(section["rows"]):
                found = _latch_bytes(view, section, row)
                if found is None:
                    yield {"row": row, "busy": True}
                elif found[0]:
                    for part in _parts(section, found[1]):
                        yield {"row": row, "version": found[0], **part}
        case "plain":
            for row in range(section["rows"]):
                start = section["offset"] + row * section["stride"]
                payload = view.data[start : start + section["stride"]].tobytes()
                for part in _parts(section, payload):
                    yield {"row": row, **part}
        case "ring":
            yield from _messages(view, section)


def _messages(view: View, section: Row) -> Iterator[Row]:
    written = ring_state(view, section)["written"]
    for position in range(max(0, written - section["rows"] + 1), written):
        slot = position % section["rows"] * section["stride"]
        start = section["offset"] + section["prelude"] + slot
        if _word(view, start) != position + 1:
            continue
        payload = view.data[start + 8 : start + section["stride"]].tobytes()
        if _word(view, section["offset"]) <= position + section["rows"] - 1:
            for part in _parts(section, payload):
                yield {"position": position, **part}


def ring_state(view: View, section: Row) -> Row:
    """Positions of a ring."""
    written = _word(view, section["offset"])
    read = _word(view, section["offset"] + RING_READ_OFFSET)
    return {
        "written": written,
        "read": read,
        "lag": max(0, written - read),
        "capacity": section["rows"],
        "overflow": _word(view, section["offset"] + 16),
    }


def stats(instance: str) -> Row:
    """Counters, latencies, roles and rings of an instance, from whatever segments it has."""
    answer: Row = {"instance": instance, "roles": {}, "rings": {}, "counters": {}, "latency_us": {}}
    for file in list_files(instance):
        view = open_view(file)
        for section in view.schema["sections"]:
            if section["kind"] == "ring":
                answer["rings"][section["name"]] = ring_state(view, section)
        if file.segment == "control":
            answer["roles"] = _roles(view)
        if file.segment.startswith("stats-"):
            _add_stage(answer, file.segment.removeprefix("stats-"), view)
    return answer


def _roles(view: View) -> Row:
    section = view.section("roles")
    now_ns = time.monotonic_ns()
    # Row numbers are roles; their names are the section's writers in the same order.
    return {
        section["writers"][row["row"]]: {
            **row,
            "heartbeat_age_ms": round((now_ns - row["heartbeat_ns"]) / 1e6, 1),
        }
        for row in rows(view, section)
    }


def _add_stage(answer: Row, label: str, view: View) -> None:
    counters: Row = {}
    for name in ("stage", "counters"):
        for row in rows(view, view.section(name)):
            counters |= {key: value for key, value in row.items() if key != "row"}
    answer["counters"][label] = counters
    for row in rows(view, view.section("histograms")):
        answer["latency_us"][row["name"]] = summary_us(row["bucket"], row["max_ns"])


def summary_us(buckets: list[int], max_ns: int) -> Row:
    """Count, percentiles and maximum of a histogram, in microseconds."""
    return {
        "count": sum(buckets),
        **{name: percentile(buckets, share, max_ns) / 1e3 for name, share in _PERCENTILES.items()},
        "max": max_ns / 1e3,
    }
