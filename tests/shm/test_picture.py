"""docs/shared-memory.md says what the code says: drawings, marks, operations, files, numbers."""

import re
from pathlib import Path

import pytest

from shm import picture, segments
from shm.layout import RECORDS
from shm.readings import OVERFLOW
from shm.segments import SEGMENTS

ROOT = Path(__file__).parents[2]
TEXT = picture.DOCUMENT.read_text("utf-8")
PROSE = TEXT.partition(picture.BEGIN)[0] + TEXT.partition(picture.END)[2]
HEADER = (ROOT / "shm" / "atomics.h").read_text()

STRUCTURE = {"pt_ring_map", "pt_ring_slot", "pt_ring_ready", "pt_latch_copy"}
"""Parts of operations: they store nothing."""


def test_the_drawings_are_those_of_the_present_layout():
    assert picture.written(TEXT) == TEXT, "the layout changed: run `python -m shm.picture`"


def test_a_changed_layout_changes_the_drawings(monkeypatch):
    before = picture.picture()
    monkeypatch.setattr(picture, "SEGMENTS", dict(list(SEGMENTS.items())[:-1]))
    assert picture.picture() != before
    monkeypatch.undo()
    monkeypatch.setattr(picture, "RECORDS", RECORDS[:-1])
    assert picture.picture() != before


def test_the_drawings_hold_every_byte_of_every_segment_once():
    drawn = picture.picture().partition("### Every segment")[2].partition("### One section")[0]
    for name, plan in SEGMENTS.items():
        lines = drawn.partition(f"\n{name}: ")[2].partition("\n\n")[0].splitlines()[1:]
        spans = [tuple(map(int, re.findall(r"\d+", line)[:2])) for line in lines]
        starts = [start for start, _ in spans]
        assert starts == [0, *(end + 1 for _, end in spans[:-1])], name
        assert spans[-1][1] == plan.total_bytes - 1


def test_every_record_and_field_is_drawn():
    drawn = picture.picture()
    for record in RECORDS:
        for field in record.fields:
            assert re.search(rf"\b{field.name}\b", drawn), f"{record.name}.{field.name}"


@pytest.mark.parametrize("text", ["", picture.BEGIN, picture.END])
def test_a_document_without_its_markers_is_not_written(text):
    with pytest.raises(AssertionError, match="marker"):
        picture.written(text)


def test_every_mark_of_an_order_is_explained_and_none_is_invented():
    marks = set(re.findall(r"SYNC ([a-z]+(?:-[a-z]+)?)", HEADER))
    explained = set(re.findall(r"^\| `([a-z-]+)` \| [a-z]+:", PROSE, re.MULTILINE))
    assert explained == marks


def test_every_operation_has_its_crash_points():
    found = set(re.findall(r"\b(pt_(?:ring|latch|dirty|role)_\w+)\(", HEADER))
    told = set(re.findall(r"^\| `(pt_\w+)` \|", PROSE, re.MULTILINE))
    assert told == found - STRUCTURE


def test_every_overflow_policy_is_told():
    section = PROSE.partition("## Overflow")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert told == set(OVERFLOW)


def test_the_files_and_tests_that_it_names_exist():
    files = set(re.findall(r"`((?:tests|shm|docs|deploy|desk|executor)/[\w./-]+)`", PROSE))
    assert len(files) > 20
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []
    linked = set(re.findall(r"\]\(([\w./-]+\.md)", PROSE))
    assert all((picture.DOCUMENT.parent / name).exists() for name in linked)


def test_the_numbers_in_its_text_are_those_of_the_code():
    from shm import model, roles

    assert f"gives up after {model.LATCH_TRIES} tries" in PROSE
    assert roles.HEARTBEAT_PERIOD_NS // 2 == 25_000_000
    assert "its time-out (25 ms)" in PROSE
    assert 10**9 // roles.HEARTBEAT_PERIOD_NS == 20
    assert "checks the epoch 20 times a second" in PROSE
    assert segments.RING_READ_OFFSET == 128
    assert "128 bytes apart" in PROSE


def test_it_can_be_found():
    assert "shared-memory.md" in (ROOT / "README.md").read_text()
    assert "shared-memory.md" in (ROOT / "docs" / "architecture.md").read_text()
