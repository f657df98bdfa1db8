"""Inspector: reads what is there from the schema inside it, and changes nothing."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from shm import inspector, layout, segment
from shm.__main__ import main
from shm.codes import Role, StageState
from shm.errors import LayoutMismatch, SegmentExists, SegmentMissing
from shm.fabric import Fabric
from shm.layout import BOOK, SIGNAL
from shm.roles import RoleHolder, RoleLock
from shm.segments import LAYOUT_ID, SEGMENTS


def run(*words: str):
    return CliRunner().invoke(main, list(words))


def as_json(*words: str):
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def busy(segments):
    """An instance in which something has happened."""
    ingest = Fabric(segments, Role.INGEST)
    holder = RoleHolder(ingest.segment("control", writable=True), Role.INGEST)
    holder.enter(StageState.RUNNING)
    books = ingest.write_table("books", BOOK)
    prices = (4_100, *(0,) * 15)
    books.write(5, BOOK.blank()._replace(market_key=77, state=1, bid_price_e4=prices))
    engine = Fabric(segments, Role.ENGINE)
    signals = engine.produce("signals", SIGNAL)
    for number in (1, 2):
        signals.try_push(SIGNAL.blank()._replace(signal=number, net_e8=-5))
    counters = engine.counters("stats-engine.counters", layout.ENGINE_STATS, write=True)
    counters.add("hits", 3)
    histogram = engine.histogram(Role.ENGINE, 0, "frame_to_signal")
    for value in (1_000, 2_000, 1_000_000):
        histogram.add(value)
    return segments


def test_list_shows_every_segment_with_its_purpose(busy):
    lines = [line for line in as_json("list") if line["instance"] == busy]
    assert {line["segment"] for line in lines} == set(SEGMENTS)
    books = next(line for line in lines if line["segment"] == "books")
    assert books["writers"] == ["ingest"]
    assert books["layout"] == LAYOUT_ID
    assert books["this_build"]
    assert busy in run("list").output


def test_show_decodes_tables_rings_and_plain_sections(busy):
    books = as_json("show", "books", "--instance", busy)["sections"]["books"]
    assert len(books) == 1
    assert (books[0]["row"], books[0]["market_key"], books[0]["version"]) == (5, 77, 1)
    assert books[0]["bid_price_e4"][0] == 4_100
    signals = as_json("show", "signals", "--instance", busy)["sections"]["signals"]
    assert [(row["position"], row["signal"], row["net_e8"]) for row in signals] == [
        (0, 1, -5), (1, 2, -5)
    ]  # fmt: skip
    roles = as_json("show", "control.roles", "--instance", busy)["sections"]["roles"]
    assert roles[0]["pid"] == os.getpid()
    assert "market_key=77" in run("show", "books", "--instance", busy).output


def test_stats_has_roles_rings_counters_and_latencies(busy):
    stats = as_json("stats", "--instance", busy)
    assert stats["roles"]["ingest"]["state"] == StageState.RUNNING
    assert stats["rings"]["signals"]["lag"] == 2
    assert stats["counters"]["engine"]["hits"] == 3
    latency = stats["latency_us"]["frame_to_signal"]
    assert latency["count"] == 3
    assert 0.9 <= latency["p50"] <= 2.1
    assert latency["max"] == 1_000
    assert "frame_to_signal" in run("stats", "--instance", busy).output


def test_watch_looks_again_and_again(busy):
    done = run("watch", "--count", "3", "--interval", "0.01", "--instance", busy, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 3
    assert all(line["counters"]["engine"]["hits"] == 3 for line in lines)
    assert run("watch", "--count", "2", "--interval", "0.01", "--instance", busy).exit_code == 0


def test_a_segment_of_an_unknown_version_is_read_from_its_own_schema(busy, monkeypatch):
    ours = segment._path(f"/polytrio.{busy}.signals.{LAYOUT_ID}")
    with monkeypatch.context() as patch:
        patch.setattr(segment, "LAYOUT_HASH", bytes(range(16)))
        patch.setattr(segment, "segment_name", lambda i, s: f"/polytrio.{i}.{s}.deadbeef")
        segment.create(busy, SEGMENTS["signals"])
    ours.unlink()
    stranger = inspector.find(busy, "signals")
    assert not stranger.of_this_build
    shown = as_json("show", "signals", "--instance", busy)
    assert shown["layout"] == "deadbeef"


def test_looking_leaves_no_trace(busy):
    """Neither a byte nor a file: also the question who holds a lock makes no lock file."""

    def everything() -> dict[str, bytes]:
        files = segment.SHM_ROOT.glob(f"polytrio.{busy}.*")
        return {path.name: path.read_bytes() for path in files}

    before = everything()
    scope = ["--instance", busy]
    for words in (
        ["list"], ["stats", *scope], ["show", "books", *scope], ["show", "--schema", *scope],
        ["watch", "--once", *scope], ["tail", "signals", "--once", *scope],
        ["diff", "books", "build", *scope],
    ):  # fmt: skip
        assert run(*words).exit_code == 0
    run("doctor", *scope)
    assert everything() == before


MAPPINGS = """
from shm import inspector, readings
from shm.segments import SEGMENTS
seen = set()
views = [inspector.find({instance!r}, name) for name in SEGMENTS]
followers = [inspector.Follower(*inspector.find_ring({instance!r}, "signals"), 0)]
readings.look({instance!r})
lines = [line.split() for line in open("/proc/self/maps") if "/polytrio." in line]
print(len({{line[5] for line in lines}}), {{line[1] for line in lines}})
"""


def test_its_mappings_are_read_only(busy):
    code = MAPPINGS.format(instance=busy)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{len(SEGMENTS)} {{'r--s'}}\n"


def test_a_writer_of_the_segment_shows_up_in_the_same_list(busy):
    """The check above can fail: a process that attaches for writing is seen as `rw-s`."""
    code = MAPPINGS.format(instance=busy).replace(
        "seen = set()",
        "from shm.segment import attach\n"
        f"writer = attach({busy!r}, SEGMENTS['books'], writable=True)",
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "rw-s" in done.stdout


def test_unknown_names_say_what_there_is(busy):
    with pytest.raises(SegmentMissing, match="there are baskets, books"):
        inspector.find(busy, "book")
    done = run("show", "books.levels", "--instance", busy)
    assert done.exit_code == SegmentMissing.exit_code
    assert "only books" in done.stderr
    assert "nothing runs" in run("show", "books", "--instance", "t-none").stderr


def test_a_damaged_segment_is_listed_with_its_trouble(busy):
    path = segment._path(f"/polytrio.{busy}.books.{LAYOUT_ID}")
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    line = next(li for li in as_json("list") if li["instance"] == busy and li["segment"] == "books")
    assert "damaged" in line["trouble"]
    with pytest.raises(LayoutMismatch):
        inspector.find(busy, "books")


def test_destroy_refuses_while_somebody_lives_and_removes_everything_else(busy):
    lock = RoleLock(busy, Role.ENGINE)
    lock.take()
    done = run("destroy", "--instance", busy)
    assert done.exit_code == SegmentExists.exit_code
    assert "in use by engine" in done.stderr
    assert list(segment.list_files(busy))
    lock.release()
    assert run("destroy", "--instance", busy).exit_code == 0
    assert not list(segment.list_files(busy))
