"""Rows of the load test: `polytrio bench pipeline` for each profile, as time a frame.

The figure is the inverse of the sustained rate, so that less is better in every row of the report;
the latencies at a tenth, a half and nine tenths of it are rows of their own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.effort import QUICK, Effort
from tests.bench.report import Report, Row, Sample

ROOT = Path(__file__).parents[2]
SUITE = "pipeline: time a frame at the sustained rate"
LATENCY = "pipeline: from the intended time to the decision"
PROFILES = ("twice", "today", "venue")
TARGET_NS = 10_000.0
TIMEOUT_S = 240


def measure(report: Report, effort: Effort) -> None:
    """Add all rows of the suite."""
    seconds = "0.5" if effort == QUICK else "2"
    for profile in PROFILES:
        found = _measured(profile, seconds)
        if isinstance(found, str):
            report.add(Row(SUITE, profile, "ns", skipped=found))
            continue
        _add_rows(report, profile, found)


def _measured(profile: str, seconds: str) -> dict[str, Any] | str:
    command = [sys.executable, "-P", "-m", "desk", "bench", "pipeline", "--profile", profile]
    try:
        done = subprocess.run(
            [*command, "--seconds", seconds, "--json"],
            capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"did not end within {TIMEOUT_S} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:110]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found if found["sustained_per_s"] else "no rate was sustained"


def _add_rows(report: Report, profile: str, found: dict[str, Any]) -> None:
    per_s = found["sustained_per_s"]
    each_ns = 1e9 / per_s
    note = f"{per_s:,.0f}/s over {found['markets']} markets; {found['bottleneck']}"
    target = TARGET_NS if profile == "twice" else None
    sample = Sample(each_ns, each_ns, each_ns, 1)
    report.add(Row(SUITE, profile, "ns", [sample], target=target, note=note))
    for share, delays in found["latency_us"].items():
        values = [delays[key] * 1_000 for key in ("p50", "p99", "max")]
        report.add(Row(LATENCY, f"{profile}, {share} of it", "ns", [Sample(*values, 1)]))
