"""A contest: processes that measure in turn, so that what the machine does meets all of them.

Each entrant is a thing that a worker (tests/bench/workers/) can do. Rounds alternate in order, and
one process works at a time.
"""

import json
import select
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.effort import Effort
from tests.bench.report import Report, Row, Sample

WORKERS = Path(__file__).parent / "workers"
ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0


@dataclass
class Worker:
    """A measuring process, or the reason why there is none."""

    command: list[str]
    trouble: str = ""
    environment: dict[str, str] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        """Start it and hear what it can do."""
        if self.trouble:
            return
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, cwd=ROOT, env=self.environment,
        )  # fmt: skip
        answer = self._answer()
        self.versions = answer.get("versions", {})

    def round(self, thing: str, count: int) -> Sample | str:
        """One round, or why it failed."""
        if self.trouble or self.process is None:
            return self.trouble or "never started"
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"thing": thing, "count": count}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass_on = self._last_words()
            self.trouble = pass_on
            return pass_on
        answer = self._answer()
        if "error" in answer:
            return str(answer["error"])
        return Sample(answer["p50"], answer["p99"], answer["max"], int(answer["count"]))

    def _answer(self) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        line = self.process.stdout.readline() if ready else ""
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        self.trouble = self._last_words() if ready else f"no answer within {PATIENCE_S:.0f} s"
        self.stop()
        return {"error": self.trouble}

    def _last_words(self) -> str:
        assert self.process is not None
        assert self.process.stderr is not None
        self.process.wait(timeout=PATIENCE_S)
        lines = self.process.stderr.read().strip().splitlines()
        return (lines or [f"ended with {self.process.returncode}"])[-1][:110]

    def stop(self) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()


def worker(python: Path | str, file: str, *arguments: str) -> Worker:
    """A worker in an environment, or its reason."""
    if isinstance(python, str):
        return Worker([], trouble=python)
    return Worker([str(python), str(WORKERS / file), *arguments])


def our_worker(python: Path, module: str, *arguments: str) -> Worker:
    """A worker of ours: a module of this repository."""
    return Worker([str(python), "-m", f"tests.bench.workers.{module}", *arguments])


@dataclass(frozen=True)
class Entrant:
    """One row of a contest."""

    name: str
    worker: str
    thing: str
    count: int
    against: str = ""
    target: float | None = None
    peer: bool = True
    note: str = ""
    unit: str = "ns"


def hold(
    report: Report, suite: str, workers: dict[str, Worker], entrants: Sequence[Entrant],
    effort: Effort,
) -> None:  # fmt: skip
    """Let all workers measure in turn and add a row for each entrant."""
    for one in workers.values():
        one.start()
    rounds: dict[str, list[Sample]] = {one.name: [] for one in entrants}
    reasons: dict[str, str] = {}
    try:
        for turn in range(effort.rounds):
            for one in entrants if turn % 2 == 0 else reversed(entrants):
                if one.name in reasons:
                    continue
                found = workers[one.worker].round(one.thing, effort.scaled(one.count))
                if isinstance(found, str):
                    reasons[one.name] = found
                else:
                    rounds[one.name].append(found)
    finally:
        for running in workers.values():
            running.stop()
    for one in entrants:
        versions = workers[one.worker].versions.get(one.thing.partition("/")[0], "")
        note = ", ".join(part for part in (one.note, versions) if part)
        report.add(
            Row(
                suite, one.name, one.unit, [] if one.name in reasons else rounds[one.name],
                against=one.against, target=one.target, peer=one.peer, note=note,
                skipped=reasons.get(one.name, ""),
            )
        )  # fmt: skip
