"""What a bench run found: rows with percentiles, ratios within the run, targets, and the machine.

A suite (see tests/bench/__main__.py) is a function that adds rows. What belongs together is
measured in rounds that alternate, and a ratio is the median of the rounds' own ratios: what the
machine does meanwhile meets both sides.
"""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

CLOCKSOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
BUSY = 3.0
"""Load average of a bench on two cores is up to two; more is somebody else."""
UNITS = ("ns", "us", "ms", "s")


@dataclass(frozen=True)
class Sample:
    """One round of one row: percentiles of its samples."""

    p50: float
    p99: float
    max: float
    count: int


def sample_of(values: Sequence[float]) -> Sample:
    """The percentiles of one round's measurements."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return Sample(ordered[len(ordered) // 2], ordered[last * 99 // 100], ordered[last], last + 1)


@dataclass
class Row:
    """One line of the report."""

    suite: str
    name: str
    unit: str
    rounds: list[Sample] = field(default_factory=list)
    against: str = ""
    """Row of the same suite that this one is compared with, round by round."""
    target: float | None = None
    """The ratio (or, without `against`, the p50) should be at most this."""
    peer: bool = False
    """Somebody else's work."""
    note: str = ""
    skipped: str = ""
    """Why there is nothing."""
    ratio: float | None = None

    @property
    def p50(self) -> float:
        """Median over the rounds."""
        return median(sample.p50 for sample in self.rounds)

    @property
    def p99(self) -> float:
        """Median over the rounds."""
        return median(sample.p99 for sample in self.rounds)

    @property
    def max(self) -> float:
        """The worst of all rounds."""
        return max(sample.max for sample in self.rounds)

    @property
    def missed(self) -> bool:
        """Whether there is a target, and this is beyond it."""
        if self.target is None or self.skipped:
            return False
        return (self.ratio if self.against else self.p50) > self.target


class Report:
    """All rows of a run."""

    def __init__(self) -> None:
        self.machine = machine()
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        """Take a row up; the row that it is compared with must be there already."""
        if not row.rounds and not row.skipped:
            row.skipped = "nothing was measured"
        if row.against and not row.skipped:
            base = self.find(row.suite, row.against)
            pairs = list(zip(row.rounds, base.rounds, strict=False))
            if pairs:
                row.ratio = median(ours.p50 / theirs.p50 for ours, theirs in pairs)
            else:
                row.against, row.note = "", f"{row.note} ({base.name} is missing)".strip()
        self.rows.append(row)

    def find(self, suite: str, name: str) -> Row:
        """The row of that name."""
        return next(row for row in self.rows if (row.suite, row.name) == (suite, name))

    def print(self, console: Console) -> None:
        """For people."""
        for key, value in self.machine.items():
            console.print(f"{key:<12} {value}", highlight=False)
        for suite in dict.fromkeys(row.suite for row in self.rows):
            columns = ("what", "p50", "p99", "max", "ratio", "to", "target", "note")
            table = Table(*columns, title=suite, title_justify="left")
            for row in self.rows:
                if row.suite == suite:
                    table.add_row(*_cells(row), style="dim" if row.peer or row.skipped else "")
            console.print(table)
        missed = [f"{row.name} ({row.suite})" for row in self.rows if row.missed]
        console.print(f"beyond their targets: {', '.join(missed) or 'none'}")
        if os.getloadavg()[0] > BUSY:
            console.print("other work ran meanwhile: believe medians back to back, no others")

    def write(self, path: Path, **more: Any) -> None:
        """For machines: everything, round by round, with the load before and after."""
        rows = [
            asdict(row)
            | ({} if row.skipped else {"p50": row.p50, "p99": row.p99, "max": row.max})
            | {"missed": row.missed}
            for row in self.rows
        ]
        whole = {"machine": self.machine, "load_after": os.getloadavg(), "rows": rows} | more
        path.write_text(json.dumps(whole, indent=1) + "\n")


def _cells(row: Row) -> list[str]:
    if row.skipped:
        return [row.name, "", "", "", "", "", "", f"skipped: {row.skipped}"]
    figures = [figure(value, row.unit) for value in (row.p50, row.p99, row.max)]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    target = "" if row.target is None else f"<= {row.target:g}{' MISSED' if row.missed else ''}"
    return [row.name, *figures, ratio, row.against, target, row.note]


def figure(value: float, unit: str) -> str:
    """1,234 ns as 1.23 us: three digits are what one remembers."""
    if unit in UNITS:
        place = UNITS.index(unit)
        while value >= 1000 and place < len(UNITS) - 1:
            value, place = value / 1000, place + 1
        unit = UNITS[place]
    if not unit:
        return f"{value:,g}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def machine() -> dict[str, str]:
    """What the numbers are worth: processor, cores, kernel, Python, clock, load."""
    info = Path("/proc/cpuinfo").read_text("ascii", errors="replace")
    names = [line.partition(":")[2].strip() for line in info.splitlines() if "model name" in line]
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    clock = CLOCKSOURCE.read_text("ascii").strip() if CLOCKSOURCE.exists() else "unknown"
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": f"{len(os.sched_getaffinity(0))} for us, {os.cpu_count()} in all",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "clock": clock,
        "load": f"{load} (quiet is below 0.5; other work shows in p99 and max)",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
