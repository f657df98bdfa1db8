"""Where every field lies, said by four that do not ask each other: the C compiler in a program that
runs, numpy, Python's packer, and the JSON inside a segment. And changes of the layout are noticed.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec import convert

from shm import backend, cheader, layout, segment, segments
from shm.errors import LayoutMismatch
from shm.inspector import find
from shm.layout import RECORDS, Record
from shm.schemas import RecordSchema, dtype_of
from shm.segments import SEGMENTS, SegmentPlan
from tests.conftest import require_or_skip

pytestmark = pytest.mark.contract

SHM = Path(cheader.__file__).parent
Places = dict[tuple[str, str], tuple[int, int]]
"""(record, field) -> offset and size; the field "" is the record itself."""


def told_by_the_table() -> Places:
    places: Places = {(r.name, ""): (0, r.size) for r in RECORDS}
    return places | {(r.name, f.name): (f.offset, f.size) for r in RECORDS for f in r.fields}


def told_by_c(folder: Path, header: str) -> Places:
    """Compile a program that prints offsetof and sizeof of everything, and run it."""
    (folder / "layout.h").write_text(header)
    lines = [
        f'    printf("{record} . 0 %zu\\n", sizeof(pt_{record}));'
        if not field
        else f'    printf("{record} {field} %zu %zu\\n", offsetof(pt_{record}, {field}), '
        f"sizeof(((pt_{record} *)0)->{field}));"
        for record, field in told_by_the_table()
    ]
    source = ["#include <stdio.h>", '#include "layout.h"', "int main(void) {", *lines, "}"]
    (folder / "print.c").write_text("\n".join(source) + "\n")
    program = str(folder / "print")
    subprocess.run(["cc", "-std=c11", "-o", program, str(folder / "print.c")], check=True)
    done = subprocess.run([program], check=True, capture_output=True, text=True)
    words = [line.split() for line in done.stdout.splitlines()]
    return {(r, f.strip(".")): (int(offset), int(size)) for r, f, offset, size in words}


def told_by_numpy(schemas: dict[str, RecordSchema]) -> Places:
    places: Places = {}
    for name, schema in schemas.items():
        dtype = dtype_of(schema)
        places[name, ""] = (0, dtype.itemsize)
        for field, (kind, offset, *_) in dtype.fields.items():
            places[name, field] = (offset, kind.itemsize)
    return places


def told_by_segments(instance: str) -> dict[str, RecordSchema]:
    """The records as the JSON inside freshly made segments describes them."""
    found = {}
    for name in SEGMENTS:
        for section in find(instance, name).schema.sections:
            for part in section.parts:
                found[part.record.name] = part.record
    return found


def only(places: Places, names: set[str]) -> Places:
    return {key: place for key, place in places.items() if key[0] in names}


def test_c_numpy_python_and_the_json_in_the_segments_say_the_same(segments, tmp_path):
    require_or_skip(shutil.which("cc") is not None, "a C compiler")
    table = told_by_the_table()
    assert len(table) > 250
    assert told_by_c(tmp_path, (SHM / "_layout.h").read_text()) == table
    assert told_by_numpy({r.name: convert(r.schema(), RecordSchema) for r in RECORDS}) == table
    inside = told_by_segments(segments)
    shared = {record.name for record in RECORDS} - {"header"}  # which is before the JSON
    assert set(inside) == shared
    assert told_by_numpy(inside) == only(table, shared)


def test_a_header_of_another_layout_is_caught_by_the_program(tmp_path):
    """The compiler's own assertions are taken out, as a C side of its own would not have them."""
    require_or_skip(shutil.which("cc") is not None, "a C compiler")
    header = re.sub(r"_Static_assert\(.*\);\n", "", (SHM / "_layout.h").read_text())
    assert told_by_c(tmp_path, header) == told_by_the_table()
    fields = "    uint64_t market_key;\n    uint64_t epoch;\n"
    assert fields in header
    moved = header.replace(fields, "    uint64_t epoch;\n    uint64_t market_key;\n")
    told = told_by_c(tmp_path, moved)
    wrong = {key for key, place in told_by_the_table().items() if told[key] != place}
    assert wrong == {("book", "market_key"), ("book", "epoch")}


# --- a layout that changed ------------------------------------------------------------------------


class Update(NamedTuple):
    """The record of the updates ring with two neighbours of one size exchanged."""

    market: layout.U32
    flags: layout.U32
    exchange_ms: layout.I64
    book_version: layout.U64
    frame_ns: layout.U64
    parsed_ns: layout.U64
    published_ns: layout.U64


def changed_plan() -> SegmentPlan:
    record = Record(Update, head=layout.COMMIT_BYTES)
    plan = SEGMENTS["updates"]
    ring = segments.Section("updates", segments.Kind.RING, ((record, 1),), 1024, (), ())
    return SegmentPlan(plan.name, plan.purpose, (ring, *plan.sections[1:]))


def test_a_planted_change_that_keeps_every_size_is_seen_everywhere(instance, monkeypatch):
    before = cheader.c_header(), segments._hash_everything()
    plan = changed_plan()
    assert plan.sections[0].total_bytes == SEGMENTS["updates"].sections[0].total_bytes
    assert plan.schema != SEGMENTS["updates"].schema
    changed = tuple(
        plan.sections[0].parts[0][0] if record is layout.UPDATE else record for record in RECORDS
    )
    monkeypatch.setattr(layout, "RECORDS", changed)
    monkeypatch.setitem(SEGMENTS, "updates", plan)
    assert cheader.c_header() != before[0]
    assert segments._hash_everything() != before[1]
    segment.create(instance, plan)  # of the new layout, under the old one's name
    monkeypatch.undo()
    with pytest.raises(LayoutMismatch, match="another version"):
        segment.attach(instance, SEGMENTS["updates"], writable=False)


def test_a_kernel_of_another_layout_is_refused(monkeypatch):
    monkeypatch.setattr(backend.chosen, "LAYOUT_ID", "deadbeef")
    with pytest.raises(LayoutMismatch, match="run `make setup` again"):
        backend.require_usable()
