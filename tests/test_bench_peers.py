"""The contest with peers: who measures how, what becomes of a missing peer, and what is shown."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console

from shm import backend
from tests.bench import corpus, drawing, environments, targets
from tests.bench.contest import Entrant, Worker, hold, our_worker, worker
from tests.bench.effort import Effort
from tests.bench.report import Report, Row, Sample, figure
from tests.bench.workers.line import Thing, sample, timed
from tests.conftest import require_or_skip
from tests.ingest.frames import token_of

ONCE = Effort(rounds=1, share=0.0)
OURS_IN_PARSE = "ours: scanned, applied, published"


@pytest.fixture
def written(tmp_path) -> Path:
    path = tmp_path / "corpus.json"
    corpus.write(path)
    return path


def row(suite: str, name: str, value: float, **more) -> Row:
    return Row(suite, name, "ns", [Sample(value, 2 * value, 3 * value, 10)], **more)


def answered() -> Report:
    """A report in which every target has its row, all met."""
    report = Report()
    for target in targets.TARGETS:
        report.add(row(target.suite, target.name, 1.0, target=1.0))
    return report


# --- measuring ------------------------------------------------------------------------------------


def test_a_group_is_measured_as_a_whole_and_what_is_between_is_not():
    calls, between = [], []
    thing = Thing(calls.append, [(n,) for n in range(7)], 3, lambda: between.append(len(calls)), 2)
    found = timed(thing, 12)
    assert calls == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4], "every input in its turn"
    assert between == [3, 6, 9, 12]
    assert len(found) == 4
    assert sample([3.0, 1.0, 2.0]) == {"p50": 2.0, "p99": 2.0, "max": 3.0, "count": 3}


SLOW_WORKER = """
import sys, time
sys.path.insert(0, {folder!r})
from line import Thing, serve
serve({{"slow": lambda: Thing(time.sleep, [(0.002,)]), "bad": lambda: 1 / 0}}, {{"slow": "v1"}})
"""


def line_worker(tmp_path) -> Worker:
    script = tmp_path / "worker.py"
    folder = str(Path(environments.__file__).parent / "workers")
    script.write_text(SLOW_WORKER.format(folder=folder))
    return Worker([sys.executable, str(script)])


def test_rounds_alternate_and_who_cannot_measure_says_why(tmp_path):
    report = Report()
    workers = {"here": line_worker(tmp_path), "gone": worker("needs Python 4", "nothing.py")}
    entrants = [
        Entrant("slow", "here", "slow", 5),
        Entrant("bad", "here", "bad", 5, against="slow"),
        Entrant("gone", "gone", "thing", 5, against="slow"),
    ]
    hold(report, "s", workers, entrants, Effort(rounds=2, share=0.01))
    slow, bad, gone = report.rows
    assert len(slow.rounds) == 2
    assert slow.p50 >= 2_000_000
    assert slow.note == "v1"
    assert bad.skipped == "ZeroDivisionError: division by zero"
    assert gone.skipped == "needs Python 4"


def test_a_worker_that_dies_is_a_reason_and_not_the_end(tmp_path):
    script = tmp_path / "dies.py"
    script.write_text("raise SystemExit('no such library')")
    report = Report()
    workers = {"dies": Worker([sys.executable, str(script)])}
    hold(report, "s", workers, [Entrant("one", "dies", "x", 1)], ONCE)
    assert report.rows[0].skipped == "no such library"


@pytest.mark.parametrize(
    "thing",
    [
        "native/change", "native/book of 98 levels", "native/book of 60 levels", "python/change",
        "batch of three, prepared", "batch of three, rfc6979", "batch of three, python",
        "updates, native", "updates, python",
    ],
)  # fmt: skip
def test_everything_of_ours_can_be_measured(written, thing):
    require_or_skip(backend.NATIVE, "the compiled kernels")
    one = our_worker(environments.ours(), "ours", str(written))
    one.start()
    try:
        found = one.round(thing, 20)
        assert isinstance(found, Sample), found
        assert 0 < found.p50 <= found.max
    finally:
        one.stop()


def test_the_node_baseline_measures_what_it_is_asked(written):
    require_or_skip(shutil.which("node") is not None, "node")
    command = ["node", str(environments.NODE_FOLDER / "baseline.js"), str(written)]
    one = Worker(command)
    one.start()
    try:
        for thing in ("parse/change", "decide/change", "decide/book of 98 levels"):
            assert isinstance(one.round(thing, 20), Sample)
        assert str(one.round("decide/nothing", 20)).startswith("TypeError")
    finally:
        one.stop()


# --- environments ---------------------------------------------------------------------------------


def test_every_environment_is_pinned_with_hashes():
    for name in environments.WANTED:
        text = (environments.REQUIREMENTS / f"{name}.txt").read_text()
        blocks = [line for line in text.splitlines() if "==" in line and line[:1].isalnum()]
        assert blocks
        assert text.count("--hash=sha256:") >= len(blocks)
        assert "://" not in text, "no addresses of registries"


def test_a_peer_that_cannot_be_installed_says_the_line_that_tells_most(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    (tmp_path / "decoders.txt").write_text("no-such-package-at-all==1 --hash=sha256:" + "0" * 64)
    said = iter(["", "noise\n  x.c:9:10: fatal error: x.h: No such file\nERROR: it failed"])
    monkeypatch.setattr(environments, "_run", lambda _command: next(said))
    assert "fatal error" in str(environments.python_of("decoders"))
    nowhere = environments.Wanted(least=(3, 98), most=(3, 99))
    monkeypatch.setitem(environments.WANTED, "decoders", nowhere)
    assert environments.python_of("decoders") == "needs Python 3.98 or newer, and there is none"


# --- what is measured, and what is shown ----------------------------------------------------------


def test_the_corpus_is_the_size_that_is_talked_of(written):
    frames = json.loads(written.read_text())["frames"]
    assert {len(text) for text in frames["change"]} <= set(range(605, 630))
    for name, levels in corpus.SIDES.items():
        assert all(text.count('"price"') == 2 * levels for text in frames[name])
    assert corpus.markets_of(frames["change"])[0]["yes"] == token_of(0)


def test_recorded_frames_keep_all_bytes_but_their_time(shared):
    found = corpus.recorded_frames()
    assert len(found) == 50
    assert all(str(corpus.AT_MS) in text for text in found)
    raw = (shared / "data/raw_ws_frames/market-ws-frames-h1-run-8.jsonl").read_text().splitlines()
    first = json.loads(raw[0])["payloadUtf8"]
    assert found[0] != first
    assert corpus.STAMP.split(found[0]) == corpus.STAMP.split(first)


def test_every_target_is_answered_met_missed_or_open():
    report = answered()
    assert {one.verdict for one in targets.answers(report)} == {"met"}
    report.rows[0].rounds = [Sample(1.1, 2, 3, 1)]
    report.rows[1].skipped = "no core"
    del report.rows[2]
    verdicts = [one.verdict for one in targets.answers(report)]
    assert verdicts[:3] == ["missed", "skipped: no core", "not measured"]
    assert set(verdicts[3:]) == {"met"}


def test_the_tables_take_the_place_between_their_marks(tmp_path):
    path = tmp_path / "performance.md"
    path.write_text(f"before\n{targets.START}\nold\n{targets.END}\nafter\n")
    targets.write_docs(answered(), path)
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("| met |") == len(targets.TARGETS)
    targets.write_docs(answered(), path)
    assert path.read_text() == text, "written twice is written once"


def test_the_picture_shows_what_was_measured_and_leaves_out_what_was_not(tmp_path):
    pytest.importorskip("matplotlib")
    report = Report()
    suite = drawing.PANELS[0][0]
    report.add(row(suite, OURS_IN_PARSE, 500.0))
    report.add(row(suite, "orjson, decoded", 1_200.0, peer=True))
    report.add(Row(suite, "absent, decoded", "ns", skipped="no wheel"))
    path = tmp_path / "bench.svg"
    drawing.draw(report, path)
    assert path.read_text().startswith("<?xml")
    ((title, rows),) = drawing.panels(report)
    assert title == drawing.PANELS[0][1]
    assert [one.name for one in rows] == [OURS_IN_PARSE, "orjson, decoded"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(508.4, "ns", "508 ns"), (1_790.0, "ns", "1.79 us"), (39.4, "MB", "39.4 MB"), (0.0, "", "0")],
)
def test_figures_have_three_digits_and_counts_have_no_unit(value, unit, text):
    assert figure(value, unit) == text


def test_the_terminal_shows_every_target():
    from tests.bench.__main__ import _print_targets

    console = Console(file=io.StringIO(), width=200)
    _print_targets(console, targets.answers(answered()))
    text = console.file.getvalue()
    assert all(target.step in text for target in targets.TARGETS)


def test_a_way_that_does_not_end_is_ended_with_its_children(monkeypatch):
    from tests.bench import ipc

    monkeypatch.setattr(ipc, "ERRAND_S", 3)
    monkeypatch.setattr(ipc, "ROOT", environments.ROOT)
    found = ipc._errand("ring", "hop", 10**9)
    assert found == "did not end within 3 s"
    processes = Path("/proc").glob("[0-9]*/cmdline")
    left = [path for path in processes if b"1000000000" in _read(path)]
    assert not left


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
