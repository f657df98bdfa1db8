"""Runs fuzz targets: some processes over one corpus, so many inputs, and libFuzzer's own numbers.

The corpus of a plain run is made anew from the seeds. POLYTRIO_FUZZ_TIMES=100 makes everything a
hundred times as long, and POLYTRIO_FUZZ_CORPUS=folder keeps what was found for the next run.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import require_or_skip
from tests.fuzz.instrumented import ROOT

TIMES = int(os.environ.get("POLYTRIO_FUZZ_TIMES", "1"))
PROCESSES = min(2, len(os.sched_getaffinity(0)))
CALM = ("-mutate_depth=2",)
"""Few changes one upon the other: what lies close to a right frame is what is read in two ways."""
_DONE = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)/(\w+)")
_FOUND = re.compile(r".*(?:Error|runtime error|contradiction|ERROR: AddressSanitizer): .*")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one process."""

    text: str
    """All that it printed."""
    returncode: int
    seconds: float

    @property
    def inputs(self) -> int:
        """How many it has tried."""
        found = _DONE.search(self.text)
        return int(found.group(1)) if found else 0

    @property
    def complaint(self) -> str:
        """In a line, why it ended before its time."""
        found = _FOUND.search(self.text)
        return found.group()[:300] if found else self.text[-300:]


class Campaign:
    """Processes of one target over one corpus in a folder."""

    def __init__(self, name: str, folder: Path, command: Sequence[str], longest: int) -> None:
        self.name = name
        self.folder = folder
        self._command = command
        self._longest = longest
        kept = os.environ.get("POLYTRIO_FUZZ_CORPUS")
        self.corpus = Path(kept) / name if kept else folder / "corpus"
        self.corpus.mkdir(parents=True, exist_ok=True)

    def run(self, inputs: int, processes: int = PROCESSES) -> list[Result]:
        """Try so many inputs, shared among the processes."""
        started = time.monotonic()
        children = [self._start(number, inputs // processes) for number in range(processes)]
        results = []
        for number, child in enumerate(children):
            returncode = child.wait()
            text = self._said(number).read_text(errors="replace")
            results.append(Result(text, returncode, time.monotonic() - started))
        return results

    def _said(self, number: int) -> Path:
        """What a process prints: a file, since nobody reads one's pipe while waiting for another's
        end, and who writes to a full pipe stands still."""
        return self.folder / f"said{number}"

    def _start(self, number: int, runs: int) -> subprocess.Popen[bytes]:
        words = [word.replace("{}", str(number)) for word in self._command]
        options = [f"-runs={runs}", f"-seed={number + 1}", f"-max_len={self._longest}",
                   f"-artifact_prefix={self.folder}/", "-timeout=10", *CALM]  # fmt: skip
        if (self.folder / "words").exists():
            options.append(f"-dict={self.folder}/words")
        places = [str(self.corpus)]
        if (self.folder / "seeds").is_dir():
            places.append(str(self.folder / "seeds"))
        with self._said(number).open("wb") as said:
            return subprocess.Popen(
                [*words, *options, *places], cwd=ROOT, env=self._environment(),
                stdout=said, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}
        if self._command[0] == sys.executable:
            environment["LD_PRELOAD"] = preloaded()
        return environment

    def report(self, results: Sequence[Result]) -> str:
        """One line for people: how much was tried, how fast, and how far it got."""
        done = [_DONE.search(result.text) for result in results]
        inputs = sum(result.inputs for result in results)
        seconds = max(result.seconds for result in results)
        best = max((match for match in done if match), key=lambda match: int(match.group(3)))
        line = (
            f"{self.name}: {inputs:,} inputs in {seconds:.0f} s ({inputs / seconds:,.0f}/s by "
            f"{len(results)} processes), branches {best.group(2)}, features {best.group(3)}, "
            f"corpus {best.group(4)} inputs of {best.group(5)}"
        )
        stats = [json.loads(path.read_text()) for path in self.folder.glob("stats*.json")]
        if stats:
            read, seen = (sum(one[key] for one in stats) for key in ("read", "inputs"))
            slowest_us = max(one["slowest_ns"] for one in stats) / 1e3
            line += f", accepted {read / seen:.0%}, slowest {slowest_us:,.0f} us"
        return line


def require_atheris() -> None:
    """Skip without it."""
    present = importlib.util.find_spec("atheris") is not None
    require_or_skip(present, "Atheris (pip install atheris)")


def preloaded() -> str:
    """What comes before everything else: libFuzzer with UBSan, and the way to our own mutator."""
    mutator = importlib.util.find_spec("atheris.custom_mutator")
    assert mutator is not None
    assert mutator.origin is not None
    return f"{mutator.origin} {Path(mutator.origin).parents[1] / 'ubsan_with_fuzzer.so'}"


def require_nothing_found(results: Sequence[Result], inputs: int) -> None:
    """Every process came to its end, and together they tried as many as they should."""
    for result in results:
        assert result.returncode == 0, result.text[-6000:]
    assert sum(result.inputs for result in results) >= inputs // len(results) * len(results)
