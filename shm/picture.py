"""Draws the bytes of every segment for docs/shared-memory.md, from the tables that make them.

Run `python -m shm.picture` after a change of shm/layout.py or shm/segments.py; a test compares the
document with what this module says.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shm.codes import ROLE_ROWS
from shm.layout import COMMIT_BYTES, HEADER, LINE_PAIR, RECORDS, Field, Record
from shm.schemas import FieldSchema
from shm.segments import (
    LATCH_HEAD_BYTES,
    PAGE_BYTES,
    RING_READ_OFFSET,
    RING_SLOTS_OFFSET,
    RING_WAITER_OFFSET,
    SCHEMA_OFFSET,
    SEGMENTS,
    Kind,
    Placed,
    SegmentPlan,
)

BEGIN = "<!-- picture: written by shm/picture.py -->"
END = "<!-- end of picture -->"
DOCUMENT = Path(__file__).parents[1] / "docs" / "shared-memory.md"
_WIDTH = 96
_WORD = 8


def picture() -> str:
    """All of the drawings, as they stand between the markers."""
    return "\n".join(
        [
            "### Any segment",
            "",
            *_drawn(_whole()),
            "### Its header",
            "",
            *_drawn(_fields(HEADER)),
            "### Every segment",
            "",
            *_drawn(line for plan in SEGMENTS.values() for line in _segment(plan)),
            "### One section of each kind",
            "",
            *_drawn(_ring(*_first(Kind.RING))),
            *_drawn(_latch(*_first(Kind.LATCH))),
            *_drawn(_plain(*_first(Kind.PLAIN))),
            "### Every record",
            "",
            *_drawn(line for record in RECORDS if record is not HEADER for line in _record(record)),
        ]
    )


def _drawn(lines: Iterator[str]) -> list[str]:
    return ["```text", *lines, "```", ""]


def _line(start: int | str, end: int | str, what: str, who: str = "") -> str:
    return f"{start:>9} .. {end:<9} {what:<48} {who}".rstrip()


def _whole() -> Iterator[str]:
    yield _line("from", "to", "what", "written by")
    yield _line(0, HEADER.size - 1, "header", "its maker, the magic last")
    yield _line(HEADER.size, SCHEMA_OFFSET - 1, "zeros")
    yield _line(SCHEMA_OFFSET, "S - 1", "schema: JSON, S = 256 + schema_bytes", "its maker")
    yield _line("S", "D - 1", f"zeros, up to a multiple of {PAGE_BYTES:,}: D = data_offset")
    yield _line("D", "T - 1", f"sections, each from a multiple of {LINE_PAIR}", "see below")
    yield _line("T", "", f"end: T = total_bytes, a multiple of {PAGE_BYTES:,}")


def _type_of(field: Field) -> str:
    return FieldSchema(field.name, field.dtype, field.offset, field.count).type_name


def _fields(record: Record[Any]) -> Iterator[str]:
    for field in record.fields:
        yield _line(field.offset, field.offset + field.size - 1, field.name, _type_of(field))
    end = record.fields[-1].offset + record.fields[-1].size
    if end < record.size:
        yield _line(end, record.size - 1, "(zeros)")


def _segment(plan: SegmentPlan) -> Iterator[str]:
    yield f"{plan.name}: {plan.purpose}"
    yield _line(0, plan.data_offset - 1, "header, schema")
    end = plan.data_offset
    for name, placed in plan.placed.items():
        section = placed.section
        if placed.offset > end:
            yield _line(end, placed.offset - 1, "(zeros)")
        end = placed.offset + section.total_bytes
        rows = f"{section.rows:,} x {section.stride_bytes:,}"
        what = f"{name}: {section.kind.value}, {rows} bytes"
        one = len(section.writers) == 1
        who = section.writers[0].label if one else "each role its own row"
        yield _line(placed.offset, end - 1, what, who)
    if end < plan.total_bytes:
        yield _line(end, plan.total_bytes - 1, "(zeros)")
    yield ""


def _first(kind: Kind) -> tuple[str, Placed]:
    """An example: the first section of a kind with plain rows, in the order of the map."""
    return next(
        (f"{plan.name}.{name}", placed)
        for plan in SEGMENTS.values()
        for name, placed in plan.placed.items()
        if placed.section.kind is kind and len(placed.section.parts) == 1
    )


def _ring(name: str, placed: Placed) -> Iterator[str]:
    section, (record, _) = placed.section, placed.section.parts[0]
    yield f"RING, here {name}: {section.rows:,} slots, a power of two"
    producer, consumer = f"producer ({section.writers[0].label})", section.readers[0].label
    yield _line(0, _WORD - 1, "write hint: messages published", producer)
    yield _line(_WORD, 2 * _WORD - 1, "wakes: the futex word, low half", producer)
    yield _line(2 * _WORD, 3 * _WORD - 1, "overflows: pushes that found it full", producer)
    yield _line(3 * _WORD, RING_READ_OFFSET - 1, "(zeros: a pair of cache lines for each writer)")
    yield _line(
        RING_READ_OFFSET,
        RING_READ_OFFSET + _WORD - 1,
        "read position: slots given back",
        f"consumer ({consumer})",
    )
    yield _line(RING_READ_OFFSET + _WORD, RING_WAITER_OFFSET - 1, "(zeros)")
    yield _line(
        RING_WAITER_OFFSET,
        RING_WAITER_OFFSET + _WORD - 1,
        "waiting: 1 while the consumer sleeps",
        f"consumer ({consumer})",
    )
    yield _line(RING_WAITER_OFFSET + _WORD, RING_SLOTS_OFFSET - 1, "(zeros)")
    for slot in range(2):
        start = RING_SLOTS_OFFSET + slot * section.stride_bytes
        said = f"slot {slot}: commit word, p + 1 once p is there"
        yield _line(start, start + COMMIT_BYTES - 1, said, producer)
        end = start + section.stride_bytes - 1
        yield _line(start + COMMIT_BYTES, end, f"slot {slot}: record {record.name}", producer)
    yield _line("...", section.total_bytes - 1, f"message p is in slot p mod {section.rows:,}")


def _latch(name: str, placed: Placed) -> Iterator[str]:
    section, (record, _) = placed.section, placed.section.parts[0]
    yield f"LATCH, here {name}: {section.rows:,} rows"
    writer = f"writer ({section.writers[0].label})"
    for row in range(2 if section.rows > 1 else 1):
        start = row * section.stride_bytes
        yield _line(
            start, start + _WORD - 1, f"row {row}: sequence s; readers use copy s mod 2", writer
        )
        yield _line(start + _WORD, start + LATCH_HEAD_BYTES - 1, "(zeros: a cache line of its own)")
        for copy in range(2):
            at = start + LATCH_HEAD_BYTES + copy * section.payload_bytes
            end = at + section.payload_bytes - 1
            yield _line(at, end, f"row {row}: copy {copy}, record {record.name}", writer)
    if section.rows > 1:
        yield _line("...", section.total_bytes - 1, "")


def _plain(name: str, placed: Placed) -> Iterator[str]:
    section, (record, _) = placed.section, placed.section.parts[0]
    yield f"PLAIN, here {name}: {section.rows:,} rows, each word with one writer"
    for row in range(2):
        start = row * section.stride_bytes
        whose = f"row {row}: record {record.name}"
        yield _line(start, start + section.stride_bytes - 1, whose, f"{section.writers[row].label}")
    yield _line("...", section.total_bytes - 1, f"{ROLE_ROWS} rows, the last ones free")


def _record(record: Record[Any]) -> Iterator[str]:
    yield f"{record.name}: {record.size:,} bytes" + (
        f", after a commit word of {record.head}" if record.head else ""
    )
    if len(record.fields) > 5 and all(_type_of(field) == "u64" for field in record.fields):
        yield from _words(record)
    else:
        yield from _fields(record)
    yield ""


def _words(record: Record[Any]) -> Iterator[str]:
    """A record of words only: their names in order, one every eight bytes."""
    line = "        u64 each: "
    for field in record.fields:
        word = field.name + ("" if field is record.fields[-1] else ", ")
        if len(line) + len(word) > _WIDTH:
            yield line.rstrip()
            line = " " * 10
        line += word
    yield line.rstrip()


def written(document: str) -> str:
    """The document with the drawings of this layout between the markers."""
    before, found, rest = document.partition(BEGIN)
    _, also, after = rest.partition(END)
    assert found == BEGIN, "the document has lost its first marker"
    assert also == END, "the document has lost its last marker"
    return f"{before}{BEGIN}\n\n{picture()}\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8")), "utf-8")
