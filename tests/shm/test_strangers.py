"""Strange segments: invented ones are read from their own schema, hostile ones do no harm."""

import json
import os
import struct
from copy import deepcopy

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shm import inspector, segment
from shm.__main__ import main
from shm.errors import LayoutMismatch, SegmentError
from shm.layout import HEADER
from shm.schemas import parse
from shm.segment import list_files
from shm.segments import SCHEMA_OFFSET
from tests.shm.foreign import TEA, path_of, sealed, section, teahouse, write

pytestmark = pytest.mark.contract

ALLOWED = {0, SegmentError.exit_code}


def tea(number: int, label: str, record_bytes: int = 64) -> bytes:
    fields = struct.pack("<Q4Hi4xd16s8s", number, 1, 2, 3, 4, -number, 0.5, label.encode(), b"\1\2")
    return fields.ljust(record_bytes, b"\0")


def brewing() -> bytes:
    """Contents of the teahouse: one pot, two orders, one thing on the shelf."""
    data = bytearray(4096)
    data[192:200] = (3).to_bytes(8, "little")  # pots row 1 was written three times
    data[192 + 64 + 64 : 192 + 64 + 128] = tea(7, "Earl Grey")  # so its second copy is valid
    data[192 + 64 : 192 + 128] = tea(8, "half-written")
    data[1024:1032] = (2).to_bytes(8, "little")
    for position in (0, 1):
        slot = 1024 + 384 + position * 64
        data[slot : slot + 8] = (position + 1).to_bytes(8, "little")
        data[slot + 8 : slot + 64] = tea(position + 1, f"order {position}", 56)
    data[2048 + 64 : 2048 + 128] = tea(9, "Oolong")
    return bytes(data)


def run(*words: str):
    done = CliRunner().invoke(main, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def test_a_segment_with_invented_records_is_read_from_the_schema_in_its_header(instance):
    write(path_of(instance, "teahouse"), teahouse(), brewing())
    shown = json.loads(run("show", "teahouse", "--instance", instance, "--json").stdout)
    pots, orders = shown["sections"]["pots"], shown["sections"]["orders"]
    assert pots == [
        {
            "row": 1, "version": 3, "steeped_ns": 7, "leaves": [1, 2, 3, 4], "sugar_e3": -7,
            "warmth": 0.5, "label": "Earl Grey", "tannin": "0102",
        }
    ]  # fmt: skip
    assert [(row["position"], row["label"]) for row in orders] == [(0, "order 0"), (1, "order 1")]
    assert [row["label"] for row in shown["sections"]["shelf"]] == ["Oolong"]
    assert shown["sections"]["steam"] == [{"unknown_kind": "vapour"}]
    assert "sugar_e3=-7" in run("show", "teahouse.pots", "--instance", instance).output


def test_all_verbs_know_an_invented_segment(instance):
    write(path_of(instance, "teahouse"), teahouse(), brewing())
    line = next(li for li in json.loads(run("list", "--json").stdout) if li["instance"] == instance)
    assert (line["purpose"], line["this_build"], line["writers"]) == (
        "what is brewing", False, ["kitchen"]
    )  # fmt: skip
    stats = json.loads(run("stats", "--instance", instance, "--json").stdout)
    assert stats["rings"]["teahouse.orders"]["lag"] == 2
    assert stats["tables"]["teahouse.pots"]["used"] == 1
    assert stats["tables"]["teahouse.pots"]["stamp"] == "steeped_ns"
    tail = run("tail", "teahouse.orders", "--once", "--json", "--instance", instance)
    assert [json.loads(line)["label"] for line in tail.stdout.splitlines()] == [
        "order 0", "order 1"
    ]  # fmt: skip
    assert run("diff", "teahouse", "teahouse", "--instance", instance).exit_code == 0
    assert "other-version" in run("doctor", "--json", "--instance", instance).output


def planted(path: str, value: object) -> dict:
    """The teahouse with one value of its schema replaced."""
    schema = teahouse()
    place = schema
    *way, last = path.split("/")
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    place[int(last) if isinstance(place, list) else last] = value
    return schema


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("segment", "tea\x1b[2Jhouse"),
        ("purpose", "\x1b]0;gotcha\x07"),
        ("sections", []),
        ("sections/0/name", "orders"),
        ("sections/0/name", "../../etc"),
        ("sections/0/name", "pots\n"),
        ("sections/0/offset", 1 << 40),
        ("sections/0/offset", 4096),
        ("sections/0/offset", 4),
        ("sections/0/offset", -64),
        ("sections/0/rows", 1 << 20),
        ("sections/0/rows", 0),
        ("sections/0/stride", 64),
        ("sections/0/payload", 8),
        ("sections/0/prelude", 8),
        ("sections/0/parts", []),
        ("sections/0/parts/0/count", 1 << 19),
        ("sections/0/parts/0/record/size", 8),
        ("sections/0/parts/0/record/fields", []),
        ("sections/0/parts/0/record/fields/0/1", "O"),
        ("sections/0/parts/0/record/fields/0/1", "<u8,<u8"),
        ("sections/0/parts/0/record/fields/0/1", "|S0"),
        ("sections/0/parts/0/record/fields/0/2", 60),
        ("sections/0/parts/0/record/fields/0/3", 1 << 19),
        ("sections/0/parts/0/record/fields/0/0", "leaves"),
        ("sections/1/rows", 3),
        ("sections/1/prelude", 0),
        ("sections/2/stride", 256),
    ],
)
def test_a_schema_that_points_outside_itself_is_refused_before_anything_is_read(
    instance, path, value
):
    write(path_of(instance, "teahouse"), planted(path, value))
    (file,) = list_files(instance)
    with pytest.raises(LayoutMismatch, match=r"schema|outside"):
        inspector.open_view(file)
    for words in (["list"], ["show", "teahouse"], ["stats"], ["doctor"]):
        scope = [] if words == ["list"] else ["--instance", instance]
        assert run(*words, *scope).exit_code in ALLOWED


def test_the_schema_that_the_plants_start_from_is_accepted():
    parse(json.dumps(teahouse()).encode(), "teahouse")


@pytest.mark.parametrize(
    "changed",
    [
        {"data_offset": 1 << 63},
        {"data_offset": 4},
        {"schema_offset": 1 << 63},
        {"created_wall_ns": (1 << 64) - 1},
        {"creator_pid": (1 << 64) - 1},
        {"header_bytes": 1},
        {"endian_tag": 1},
        {"total_bytes": 1},
        {"boot_id": bytes(16)},
        {"segment": b"other"},
        {"layout_hash": bytes(16)},
    ],
)
def test_a_header_with_a_right_checksum_and_a_wrong_field_gives_no_traceback(instance, changed):
    write(path_of(instance, "teahouse"), teahouse(), brewing(), **changed)
    for words in (["list"], ["show", "teahouse"], ["stats"], ["doctor"]):
        scope = [] if words == ["list"] else ["--instance", instance]
        assert run(*words, *scope).exit_code in ALLOWED


def test_a_name_that_is_no_file_is_named_as_trouble(instance, tmp_path):
    path_of(instance, "folder").mkdir()
    path_of(instance, "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(path_of(instance, "pipe"))  # opening it for reading would wait for a writer
    try:
        lines = json.loads(run("list", "--json").stdout)
        trouble = [line["trouble"] for line in lines if line["instance"] == instance]
        assert len(trouble) == 3
        done = run("stats", "--instance", instance, "--json")
        assert len(json.loads(done.stdout)["trouble"]) == 3
        findings = json.loads(run("doctor", "--instance", instance, "--json").stdout)
        assert [f["code"] for f in findings].count("damaged") == 3
    finally:
        path_of(instance, "folder").rmdir()


def test_a_file_of_absurd_size_is_refused_without_reading_it(instance):
    path = write(path_of(instance, "teahouse"), teahouse(), total_bytes=1 << 40)
    with open(path, "r+b") as file:
        file.truncate(1 << 40)
        assert "too large" in run("list").output
        head = HEADER.unpack(file.read(HEADER.size))
        file.seek(0)
        file.write(HEADER.pack(head._replace(schema_bytes=1 << 39)))
    assert "impossible schema" in run("list").output


QUIET = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def look_at_everything(instance: str, name: str) -> None:
    """All reading verbs; a traceback or a strange exit code fails."""
    for words in (
        ["list", "--json"],
        ["show", name, "--instance", instance],
        ["show", name, "--instance", instance, "--json"],
        ["stats", "--instance", instance],
        ["watch", "--once", "--instance", instance],
        ["doctor", "--instance", instance],
        ["tail", f"{name}.orders", "--once", "--instance", instance],
        ["diff", name, "build", "--instance", instance],
    ):
        assert run(*words).exit_code in ALLOWED | {10}, words


@given(data=st.data())
@QUIET
def test_flipped_bytes_anywhere_in_header_and_schema_never_give_a_traceback(instance, data):
    path = write(path_of(instance, "teahouse"), teahouse(), brewing())
    image = bytearray(path.read_bytes())
    used = SCHEMA_OFFSET + HEADER.unpack(image).schema_bytes
    for at in data.draw(st.lists(st.integers(0, used - 1), min_size=1, max_size=4)):
        image[at] ^= data.draw(st.integers(1, 255))
    hostile = data.draw(st.booleans(), label="with a right checksum")
    path.write_bytes(sealed(bytes(image)) if hostile else bytes(image))
    look_at_everything(instance, "teahouse")


def places(value: object, way: tuple = ()) -> list[tuple]:
    """Every place in a JSON value."""
    found = [way] if way else []
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in steps:
        found += places(inner, (*way, step)) if isinstance(inner, dict | list) else [(*way, step)]
    return found


ODD = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=6), st.just([]), st.just({}),
    st.integers(-(1 << 70), 1 << 70), st.integers(0, 200),
    st.sampled_from(["latch", "ring", "plain", "<u8", "<i4", "|S8", "|V64", "<f8", "O", "[b]"]),
)  # fmt: skip


@given(data=st.data())
@QUIET
def test_hostile_schemas_with_a_right_checksum_never_give_a_traceback(instance, data):
    schema = teahouse()
    for way in data.draw(st.lists(st.sampled_from(places(schema)), min_size=1, max_size=3)):
        place = schema
        try:
            for step in way[:-1]:
                place = place[step]
            place[way[-1]] = deepcopy(data.draw(ODD))
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    write(path_of(instance, "teahouse"), schema, brewing())
    look_at_everything(instance, "teahouse")


@given(content=st.binary(min_size=64, max_size=4096))
@QUIET
def test_any_contents_behind_a_right_schema_never_give_a_traceback(instance, content):
    write(path_of(instance, "teahouse"), teahouse(), content)
    look_at_everything(instance, "teahouse")


def test_the_fuzzers_would_see_a_traceback(instance, monkeypatch):
    """The same flip with the checks taken out: the test above it fails."""
    schema = planted("sections/0/parts/0/record/fields/0/1", "O")
    write(path_of(instance, "teahouse"), schema, brewing())
    monkeypatch.setattr("shm.schemas._check", lambda *_: None)
    with pytest.raises(AssertionError):
        look_at_everything(instance, "teahouse")


def test_words_out_of_a_segment_are_never_markup(instance):
    schema = teahouse() | {"purpose": "[/red] [bold]x"}
    record = deepcopy(TEA) | {"name": "tea"}
    schema["sections"] = [section("pots", "plain", 1, 0, (record, 1))]
    write(path_of(instance, "teahouse"), schema, tea(1, "[/b]:skull:"))
    assert "[/red] [bold]x" in run("list").output
    assert "label=[/b]:skull:" in run("show", "teahouse", "--instance", instance).output


def test_damage_in_one_segment_hides_nothing_of_the_others(segments):
    path = segment._path(f"/polytrio.{segments}.books.{next(list_files(segments)).layout_id}")
    with open(path, "r+b") as file:
        file.write(b"\0")
    done = run("stats", "--instance", segments, "--json")
    stats = json.loads(done.stdout)
    assert done.exit_code == 0
    assert list(stats["trouble"]) == ["books"]
    assert "signals" in stats["rings"]
    assert "no polytrio header" in run("stats", "--instance", segments).output
