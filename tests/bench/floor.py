"""Rows of the floor under frame to POST: signal taken, records written, bytes sent, and no more.

Nothing is decided, built or signed, and all of it is C. What it takes here no executor can be
faster than on this machine; the whole system's own figure is in tests/bench/memory.py.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from tests.bench.effort import Effort
from tests.bench.ipc import compiled, samples_of
from tests.bench.report import Report, Row

SUITE = "floor of signal to POST"
SOURCE = Path(__file__).parent / "floor.c"
GAP_NS = 20_000_000
"""Between two signals: long enough for a core to go to sleep."""
SIGNALS = 150
FILE_BYTES = 2**20
SCRATCH_BYTES = 2**21
"""More than a core's own caches hold, as other stages' work is."""
TIMEOUT_S = 300
NAMES = {
    ("sleeps", 0): "woken from a futex",
    ("polls", 0): "polling on a core of its own",
    ("sleeps", SCRATCH_BYTES): "woken from a futex, after other work",
    ("polls", SCRATCH_BYTES): "polling, after other work",
}


def measure(report: Report, effort: Effort) -> None:
    """Add all rows of the suite."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        report.add(Row(SUITE, "everything", "ns", skipped="it takes two cores"))
        return
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(Path(folder), SOURCE)
        if isinstance(program, str):
            report.add(Row(SUITE, "everything", "ns", skipped=program))
            return
        records = Path(folder) / "records"
        records.write_bytes(bytes(FILE_BYTES))
        for scratch in (0, SCRATCH_BYTES):
            numbers = (*cores, effort.rounds, effort.scaled(SIGNALS), GAP_NS, scratch)
            command = [str(program), *map(str, numbers), str(records)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)}: {done.returncode} {done.stderr}")
            for name, rounds in samples_of(done.stdout).items():
                note = "in C: taken, one pwrite of 1 kB, one send of 4 kB over loopback"
                report.add(Row(SUITE, NAMES[name, scratch], "ns", rounds, note=note))
