"""Rows of the shared memory: hops, latches, streams; against the bare word and public queues.

The hop's target is a ratio: at most 1.15 times what one word needs to go between the same two cores
in the same rounds. That is the physical limit of a machine, and differs between machines by more
than anything that code can do.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import peers
from tests.bench.channels import CHANNELS, PEERS
from tests.bench.effort import Effort
from tests.bench.report import Report, Row, Sample

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).parent / "ipc.c"
SUITE = "shared memory"
TIMINGS = {"back-to-back": "back to back", "paced": "at a fixed pace"}
HOP_TARGET = 1.15
PACE_NS = 10_000
TIMEOUT_S = 300
ERRAND_S = 30

HOPS = {
    "word": ("bare u64", "the limit of these two cores"),
    "word-1024-lines": ("bare u64, walking", "over 1,024 lines, as a ring of that size must"),
    "ring-64x128": ("ring", "128 slots of 64 bytes: both ways stay in L1"),
    "ring-64x128-wake": ("ring, waking", "the same, and looks for a sleeper each time"),
    "ring-updates": ("ring of updates", "1,024 slots of 64 bytes, from L2"),
    "ring-signals": ("ring of signals", "64 slots of several lines each"),
}


def compiled(folder: Path, source: Path = SOURCE) -> Path | str:
    """A program of a C file, or why there is none."""
    if shutil.which("cc") is None:
        return "no C compiler"
    program = folder / source.stem
    command = ["cc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-I", str(ROOT / "shm")]
    done = subprocess.run(
        [*command, "-o", str(program), str(source)], capture_output=True, text=True
    )
    return f"does not compile: {done.stderr[:200]}" if done.returncode else program


def samples_of(output: str) -> dict[str, list[Sample]]:
    """Lines of `name p50 p99 max count` -> rounds by name."""
    found: dict[str, list[Sample]] = {}
    for line in output.splitlines():
        name, p50, p99, most, count = line.split()
        found.setdefault(name, []).append(Sample(float(p50), float(p99), float(most), int(count)))
    return found


def measure(report: Report, effort: Effort) -> None:
    """Add all rows of the suite."""
    if len(os.sched_getaffinity(0)) < 2:
        report.add(Row(SUITE, "everything", "ns", skipped="it takes two cores"))
        return
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(Path(folder))
        if isinstance(program, str):
            report.add(Row(SUITE, "everything in C", "ns", skipped=program))
        else:
            _in_c(report, program, effort)
    _in_python(report, effort)


# --- C --------------------------------------------------------------------------------------------


def _run(program: Path, what: str, *numbers: int) -> dict[str, list[Sample]]:
    cores = sorted(os.sched_getaffinity(0))[:2]
    command = [str(program), what, *map(str, (*cores, *numbers))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode} {done.stderr}")
    return samples_of(done.stdout)


def _in_c(report: Report, program: Path, effort: Effort) -> None:
    found = _run(program, "hop", effort.rounds, effort.scaled(20_000), PACE_NS)
    for timing, words in TIMINGS.items():
        for name, (what, note) in HOPS.items():
            report.add(
                Row(
                    f"{SUITE}: hop in C, {words}", what, "ns", found[f"{name}/{timing}"],
                    against="" if name == "word" else "bare u64", note=note,
                    target=HOP_TARGET if name == "ring-64x128" else None,
                )
            )  # fmt: skip
    for name, rounds in _run(program, "latch", effort.rounds, effort.scaled(20_000)).items():
        kind, size = name.removeprefix("latch-").split("-")
        words = {"contended": "read while it is written"}.get(kind, kind)
        report.add(Row(f"{SUITE}: latch in C", f"{size} bytes, {words}", "ns", rounds))
    for name, rounds in _run(program, "stream", effort.rounds, effort.scaled(1_000_000)).items():
        at_once = name.removeprefix("stream-by-")
        report.add(_stream_row("C", f"ring, {at_once} at once", rounds))


def _stream_row(language: str, what: str, rounds: list[Sample]) -> Row:
    """Time a message; what people ask for is the inverse."""
    row = Row(f"{SUITE}: stream of messages in {language}", what, "ns", rounds)
    if rounds:
        row.note = f"{1e9 / row.p50:,.0f} messages a second"
    return row


# --- Python ---------------------------------------------------------------------------------------


def _in_python(report: Report, effort: Effort) -> None:
    missing = peers.install()
    trouble = dict.fromkeys(CHANNELS, "") | missing
    rounds: dict[tuple[str, str], list[Sample]] = {}
    streams: dict[str, str] = {}
    for turn in range(effort.rounds):
        names = list(CHANNELS) if turn % 2 == 0 else list(CHANNELS)[::-1]
        for name, what, count in _errands(names, effort):
            place = trouble if what == "hop" else streams
            if trouble[name] or streams.get(name):
                continue
            answer = _errand(name, what, count)
            if isinstance(answer, str):
                place[name] = answer
                continue
            for kind, (sample,) in answer.items():
                rounds.setdefault((name, kind), []).append(sample)
    for kind, words in TIMINGS.items():
        for name in CHANNELS:
            row = Row(f"{SUITE}: hop from Python, {words}", name, "ns")
            row.rounds = rounds.get((name, kind), [])
            report.add(_compared(row, trouble[name]))
    for name in CHANNELS:
        row = _stream_row("Python", name, rounds.get((name, "stream"), []))
        report.add(_compared(row, trouble[name] or streams.get(name, "")))


def _errands(names: list[str], effort: Effort) -> Iterator[tuple[str, str, int]]:
    for name in names:
        yield name, "hop", effort.scaled(2_000)
        yield name, "stream", effort.scaled(20_000)


def _errand(name: str, what: str, count: int) -> dict[str, list[Sample]] | str:
    """One round of one way in a process of its own; or why it failed."""
    command = [sys.executable, "-m", "tests.bench.pingpong", name, what, str(count)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=ERRAND_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # it has a child, which would turn for ever
        process.communicate()
        return f"did not end within {ERRAND_S} s"
    if process.returncode:
        return (err.strip().splitlines() or [f"ended with {process.returncode}"])[-1][:80]
    return samples_of(out)


def _compared(row: Row, trouble: str) -> Row:
    """A row from Python beside our own ring."""
    row.skipped, row.peer = trouble, row.name in PEERS
    row.against = "" if row.name == "ring" else "ring"
    return row
