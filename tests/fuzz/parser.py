"""The parser's fuzz target: what the scanner reads of a frame is what the strict decoder reads.

Run by tests/fuzz/campaign.py as `python -m tests.fuzz.parser MODULE STATS [libFuzzer's options]`,
with a build of ingest.scanner that libFuzzer can look into. A file instead of options replays it.
"""

import json
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ingest.wire", "shm.units"]):
    from ingest.wire import decode

from tests.fuzz.instrumented import load
from tests.fuzz.mutations import FrameChanger

SAY_EVERY = 1 << 14


class Comparison:
    """Called with each input. What it has seen is in a file now and then: libFuzzer just exits."""

    def __init__(self, module: Path, stats: Path) -> None:
        self._scan = load("ingest.scanner", module).scan_frame
        self._stats = stats
        self._inputs = self._read = self._slowest_ns = 0

    def __call__(self, frame: bytes) -> None:
        self._inputs += 1
        started_ns = time.perf_counter_ns()
        found = self._scan(frame)
        if time.perf_counter_ns() - started_ns > self._slowest_ns:
            self._slowest_ns = max(self._slowest_ns, self._own_time_ns(frame))
        expected = decode(frame)
        if found is not None:
            self._read += 1
            if found != expected:
                raise AssertionError(
                    f"input {self._inputs}: {found} by scanner, {expected} by decoder"
                )
        if self._inputs % SAY_EVERY == 0:
            seen = {"inputs": self._inputs, "read": self._read, "slowest_ns": self._slowest_ns}
            self._stats.write_text(json.dumps(seen))

    def _own_time_ns(self, frame: bytes) -> int:
        """Of the processor alone; to ask for it is a system call, and too dear for each input."""
        started_ns = time.thread_time_ns()
        self._scan(frame)
        return time.thread_time_ns() - started_ns


def main() -> None:
    """Hand over to libFuzzer, which does not come back."""
    program, module, stats, *options = sys.argv
    compare = Comparison(Path(module), Path(stats))
    atheris.Setup([program, *options], compare, custom_mutator=FrameChanger())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
