"""diff: what was added, removed, moved or retyped between two layouts, and nothing else."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from shm.__main__ import main
from shm.difference import compare, this_build
from shm.errors import InputError, LayoutMismatch
from shm.schemas import parse
from shm.segments import LAYOUT_ID, SEGMENTS
from tests.shm.foreign import STRANGE_ID, path_of, teahouse, write


def run(*words: str):
    done = CliRunner().invoke(main, ["diff", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def layout_of(schema: dict) -> dict:
    return {"teahouse": parse(json.dumps(schema).encode(), "teahouse")}


def changed_fields(*fields: list) -> dict:
    schema = teahouse()
    schema["sections"][0]["parts"][0]["record"]["fields"] = list(fields)
    return schema


BEFORE = changed_fields(["a", "<u8", 0, 1], ["b", "<i4", 8, 1], ["c", "|S8", 16, 1])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([["a", "<u8", 0, 1], ["b", "<i4", 8, 1], ["c", "|S8", 16, 1]], []),
        (
            [["a", "<u8", 0, 1], ["b", "<i4", 8, 1], ["c", "|S8", 16, 1], ["d", "<u8", 24, 2]],
            [("added", "d", "", "u64 x2 at 24")],
        ),
        ([["a", "<u8", 0, 1], ["c", "|S8", 16, 1]], [("removed", "b", "i32 at 8", "")]),
        (
            [["a", "<u8", 0, 1], ["b", "<i4", 12, 1], ["c", "|S8", 16, 1]],
            [("moved", "b", "at 8", "at 12")],
        ),
        (
            [["a", "<u8", 0, 1], ["b", "<u4", 8, 1], ["c", "|V8", 16, 1]],
            [("retyped", "b", "i32", "u32"), ("retyped", "c", "text 8", "bytes 8")],
        ),
        (
            [["a", "<f8", 32, 1], ["b", "<i4", 8, 1], ["c", "|S8", 16, 1]],
            [("moved", "a", "at 0", "at 32"), ("retyped", "a", "u64", "f64")],
        ),
    ],
)
def test_each_change_of_a_field_has_its_name(fields, expected):
    found = compare(layout_of(BEFORE), layout_of(changed_fields(*fields)))
    assert [(c.what, c.place.rpartition(".")[2], c.was, c.now) for c in found] == expected
    assert all(change.place.startswith("teahouse.pots.tea") for change in found)


def test_sections_and_segments_that_come_go_or_move_are_named():
    shorter = teahouse()
    del shorter["sections"][3]
    shorter["sections"][2]["offset"] += 128
    shorter["sections"][2]["writers"] = ["cook"]
    found = [(c.what, c.place) for c in compare(layout_of(teahouse()), layout_of(shorter))]
    assert found == [
        ("moved", "teahouse.shelf"), ("changed", "teahouse.shelf writers"),
        ("removed", "teahouse.steam"),
    ]  # fmt: skip
    assert [c.what for c in compare({}, layout_of(teahouse()))] == ["added"]
    assert [c.what for c in compare(layout_of(teahouse()), {})] == ["removed"]


def test_this_build_equals_itself_and_the_segments_that_it_made(segments):
    assert not compare(this_build(), this_build())
    done = run("build", LAYOUT_ID, "--instance", segments)
    assert (done.exit_code, done.output) == (0, "the same\n")
    assert run("signals", "build", "--instance", segments).exit_code == 0


def test_two_layouts_that_are_present_are_compared_by_their_ids(segments):
    write(path_of(segments, "signals"), teahouse() | {"segment": "signals"})
    done = run(LAYOUT_ID, STRANGE_ID, "--instance", segments, "--json")
    assert done.exit_code == LayoutMismatch.exit_code
    changes = json.loads(done.stdout)
    removed = {c["place"] for c in changes if c["what"] == "removed"}
    assert set(SEGMENTS) - {"signals"} <= removed
    assert {"what": "added", "place": "signals.pots", "was": "", "now": "latch section"} in changes


def test_a_segment_is_compared_with_its_like_in_this_build_only(segments):
    write(path_of(segments, "signals"), teahouse() | {"segment": "signals"})
    path_of(segments, "signals", LAYOUT_ID).unlink()
    done = run("signals", "build", "--instance", segments, "--json")
    assert done.exit_code == LayoutMismatch.exit_code
    assert all(change["place"].startswith("signals") for change in json.loads(done.stdout))


def test_saved_schemas_are_compared_as_files(segments, tmp_path):
    def save(*words: str) -> Path:
        shown = CliRunner().invoke(main, ["show", *words, "--schema", "--instance", segments])
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
        path.write_text(shown.stdout)
        return path

    books, everything = save("books"), save()
    assert run(str(books), "build").exit_code == 0
    assert run(str(everything), "build").exit_code == 0
    assert run(str(everything), str(everything)).exit_code == 0
    book = json.loads(books.read_text())
    book["sections"][0]["parts"][0]["record"]["fields"][0][0] = "other_key"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(book))
    done = run(str(books), str(other))
    assert done.exit_code == LayoutMismatch.exit_code
    assert "books.books.book.market_key" in done.output
    assert "books.books.book.other_key" in done.output


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"segment": 1}', "null", "[" * 100_000])
def test_what_is_no_schema_is_refused_and_told_from_a_difference(text, tmp_path):
    path = tmp_path / "schema.json"
    path.write_text(text)
    assert run(str(path), "build").exit_code == InputError.exit_code


def test_a_word_that_names_no_layout_is_answered_with_those_that_there_are(segments):
    done = run("deadbeef", "build", "--instance", segments)
    assert done.exit_code == InputError.exit_code
    assert LAYOUT_ID in done.stderr
    assert len(done.stderr.splitlines()) == 1
