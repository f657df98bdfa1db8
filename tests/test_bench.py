"""What the bench says of its numbers, and that every row can be measured. No time is asserted."""

import io
import json
import os
import shutil
import subprocess
import sys

import pytest
from rich.console import Console

from shm import backend
from tests.bench import ipc, journal, kill, peers
from tests.bench.channels import CHANNELS, PEERS
from tests.bench.effort import Effort
from tests.bench.report import Report, Row, Sample, sample_of
from tests.conftest import require_or_skip


def rounds(*medians: float) -> list[Sample]:
    return [Sample(value, 2 * value, 3 * value, 10) for value in medians]


def printed(report: Report) -> str:
    console = Console(file=io.StringIO(), width=200)
    report.print(console)
    return console.file.getvalue()


def test_a_ratio_is_the_median_of_the_rounds_own_ratios():
    report = Report()
    report.add(Row("s", "word", "ns", rounds(100, 1_000, 100)))
    report.add(Row("s", "ring", "ns", rounds(110, 1_100, 400), against="word", target=1.15))
    ring = report.find("s", "ring")
    assert ring.ratio == pytest.approx(1.1)
    assert (ring.p50, ring.p99, ring.max) == (400, 800, 3_300)
    assert not ring.missed


def test_a_target_that_is_missed_is_named():
    report = Report()
    report.add(Row("s", "word", "ns", rounds(100)))
    report.add(Row("s", "slow", "ns", rounds(116), against="word", target=1.15))
    report.add(Row("s", "fat", "MB", rounds(51), target=50))
    report.add(Row("s", "thin", "MB", rounds(50), target=50))
    assert [row.name for row in report.rows if row.missed] == ["slow", "fat"]
    assert "beyond their targets: slow (s), fat (s)" in printed(report)


def test_what_was_not_measured_says_why_and_spoils_nothing(tmp_path):
    report = Report()
    report.add(Row("s", "ring", "ns", skipped="it takes two cores"))
    report.add(Row("s", "peer", "ns", rounds(5), against="ring", target=1))
    report.add(Row("s", "empty", "ns"))
    text = printed(report)
    assert "skipped: it takes two cores" in text
    assert "skipped: nothing was measured" in text
    assert "(ring is missing)" in text
    report.write(tmp_path / "bench.json")
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["machine"].keys() >= {"processor", "cores", "kernel", "python"}
    assert [row["name"] for row in written["rows"]] == ["ring", "peer", "empty"]


def test_percentiles_are_of_the_samples():
    assert sample_of(range(1, 1_001)) == Sample(501, 990, 1_000, 1_000)
    assert sample_of([7]) == Sample(7, 7, 7, 1)


def test_the_c_program_measures_every_row(tmp_path):
    require_or_skip(shutil.which("cc") is not None, "a C compiler")
    require_or_skip(len(os.sched_getaffinity(0)) > 1, "two cores")
    program = ipc.compiled(tmp_path)
    found = ipc._run(program, "hop", 2, 200, 1_000)
    assert set(found) == {f"{name}/{timing}" for name in ipc.HOPS for timing in ipc.TIMINGS}
    assert {len(samples) for samples in found.values()} == {2}
    sizes = (64, 512, 2_048, 8_192)
    kinds = ("read", "write", "contended")
    assert set(ipc._run(program, "latch", 1, 100)) == {
        f"latch-{kind}-{size}" for kind in kinds for size in sizes
    }
    assert set(ipc._run(program, "stream", 1, 2_000)) == {"stream-by-1", "stream-by-64"}


@pytest.mark.parametrize("name", [name for name in CHANNELS if name not in PEERS])
def test_every_way_of_ours_and_of_the_standard_library_carries_messages(name):
    for what in ("hop", "stream"):
        command = [sys.executable, "-m", "tests.bench.pingpong", name, what, "100"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ipc.ROOT)
        assert done.returncode == 0, done.stderr
        assert set(ipc.samples_of(done.stdout)) == (
            set(ipc.TIMINGS) if what == "hop" else {"stream"}
        )


def test_peers_are_pinned_and_one_that_cannot_be_had_is_left_out_with_the_reason(
    tmp_path, monkeypatch
):
    assert set(peers.wanted()) == PEERS
    assert all(block.count("--hash=sha256:") for block in peers.wanted().values())
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    failed = subprocess.CompletedProcess([], 1, "", "noise\nERROR: No matching distribution\n")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: failed)
    assert set(peers.install().values()) == {"No matching distribution"}


def test_the_journals_cost_is_measured_beside_the_plain_write(tmp_path):
    require_or_skip(backend.NATIVE, "the compiled kernels")
    report = Report()
    journal.measure(report, Effort(rounds=1, share=0.01))
    for when in ("disk at rest", "disk syncing"):
        plain = report.find(journal.SUITE, f"pwrite of the same bytes, {when}")
        ours = report.find(journal.SUITE, f"append_orders, 3 legs, {when}")
        assert plain.rounds[0].count == ours.rounds[0].count == 100
        assert ours.target == journal.TARGET_NS


@pytest.mark.slow
def test_the_kill_switch_is_timed_from_the_request_to_the_last_byte_and_the_last_cancel():
    report = Report()
    kill.measure(report, Effort(trials=2))
    done = report.find(kill.SUITE, "cancel-all acknowledged after the request")
    assert done.rounds[0].count == 2
    assert done.p50 > kill.VENUE_DELAY_MS * 1e6  # else nobody waited for the venue
    assert report.find(kill.SUITE, "latch set after the request").p50 > 0
