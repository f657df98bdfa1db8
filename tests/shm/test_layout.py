"""Layout: one table, and everything derived from it says the same."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert

from shm import cheader, layout
from shm.layout import RECORDS, Array, Octets, Record, Scalar
from shm.schemas import RecordSchema, dtype_of
from shm.segments import SEGMENTS
from tests.conftest import require_or_skip

pytestmark = pytest.mark.contract

SNAPSHOT = Path(__file__).parent / "layout.txt"
HEADER = Path(cheader.__file__).parent / "_layout.h"


def described() -> str:
    lines = []
    for record in RECORDS:
        lines.append(f"{record.name} {record.size}")
        lines += [f"    {f.offset:5} {f.name} {f.code}" for f in record.fields]
    for plan in SEGMENTS.values():
        lines.append(f"segment {plan.name} {plan.total_bytes}")
        for placed in plan.placed.values():
            section = placed.section
            lines.append(
                f"    {placed.offset:7} {section.name} {section.kind} x{section.rows} "
                f"stride {section.stride_bytes}"
            )
    return "\n".join(lines) + "\n"


def test_a_change_of_the_layout_is_a_visible_difference_in_the_snapshot():
    assert described() == SNAPSHOT.read_text(), (
        "the layout changed: if that is wanted, run `python -m tests.shm.test_layout` and commit"
    )


def test_the_committed_c_header_is_the_generated_one():
    assert HEADER.read_text() == cheader.c_header(), "run `python -m shm.cheader > shm/_layout.h`"


def test_the_c_compiler_agrees_with_every_offset_and_size(tmp_path):
    require_or_skip(_has_compiler(), "a C compiler")
    unit = tmp_path / "unit.c"
    unit.write_text('#include "atomics.h"\n')
    subprocess.run(
        ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
         f"-I{HEADER.parent}", str(unit)],
        check=True,
    )  # fmt: skip


def test_the_c_compiler_notices_a_wrong_offset(tmp_path):
    require_or_skip(_has_compiler(), "a C compiler")
    fields = ["    uint64_t market_key;\n", "    uint64_t epoch;\n"]
    text = HEADER.read_text()
    assert "".join(fields) in text
    spoiled = text.replace("".join(fields), "".join(reversed(fields)))
    unit = tmp_path / "unit.c"
    unit.write_text(spoiled)
    done = subprocess.run(["cc", "-std=c11", "-fsyntax-only", str(unit)], capture_output=True)
    assert done.returncode != 0
    assert b"offsetof(pt_book, market_key)" in done.stderr


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_numpy_finds_every_field_where_python_packs_it(record):
    dtype = dtype_of(convert(record.schema(), RecordSchema))
    assert dtype.itemsize == record.size
    for field in record.fields:
        assert dtype.fields[field.name][1] == field.offset
        assert dtype.fields[field.name][0].itemsize == field.size


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_records_fill_whole_cache_lines(record):
    assert (record.size + record.head) % layout.CACHE_LINE == 0


def values_of(record: Record) -> st.SearchStrategy:
    def scalar(kind: Scalar) -> st.SearchStrategy:
        bits = 8 * kind.size
        if kind.code.islower():
            return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return st.integers(0, 2**bits - 1)

    def value(kind) -> st.SearchStrategy:
        match kind:
            case Scalar():
                return scalar(kind)
            case Array(item=item, count=count):
                return st.lists(scalar(item), min_size=count, max_size=count).map(tuple)
            case Octets(count=count):
                return st.binary(min_size=count, max_size=count)

    return st.tuples(*(value(f.kind) for f in record.fields)).map(lambda v: record.row(*v))


SMALL = [record for record in RECORDS if record.size <= 1024]


@pytest.mark.parametrize("record", SMALL, ids=lambda record: record.name)
def test_what_is_packed_comes_back_unchanged(record):
    @given(values_of(record))
    def check(row):
        data = record.pack(row)
        assert len(data) == record.size
        assert record.unpack(data) == row
        item = np.frombuffer(data, dtype_of(convert(record.schema(), RecordSchema)), count=1)[0]
        for field, value in zip(record.fields, row, strict=True):
            if isinstance(field.kind, Scalar):
                assert item[field.name] == value

    check()


def test_a_value_that_does_not_fit_its_field_is_an_error_and_not_another_value():
    with pytest.raises(Exception, match="format requires"):
        layout.UPDATE.pack(layout.UPDATE.blank()._replace(market=2**32))


def _has_compiler() -> bool:
    from shutil import which

    return which("cc") is not None


if __name__ == "__main__":
    SNAPSHOT.write_text(described())
