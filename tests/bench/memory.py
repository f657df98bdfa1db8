"""Rows of memory: what each hot stage of a running system has resident, as it says itself."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from shm.codes import STAGES
from tests.bench.effort import QUICK, Effort
from tests.bench.report import Report, Row, Sample

ROOT = Path(__file__).parents[2]
SUITE = "memory"
STAGE_TARGET_MB = 50.0


def measure(report: Report, effort: Effort) -> None:
    """Run the whole system for a while and take its own figures."""
    seconds = 5 if effort == QUICK else 20
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("POLYTRIO__")} | {
            "POLYTRIO__INSTANCE": f"bench-{secrets.token_hex(4)}",
            "POLYTRIO__DESK__VAR_DIR": folder,
        }
        done = subprocess.run(
            [sys.executable, "-P", "-m", "desk", "run", "--for", str(seconds), "--json"],
            capture_output=True, text=True, cwd=ROOT, env=environment,
        )  # fmt: skip
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no summary"])[-1]
        report.add(Row(SUITE, "resident memory", "MB", skipped=why))
        return
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    for role in STAGES:
        size_mb = float(summary["rss_mb"][role.label])
        sample = Sample(size_mb, size_mb, size_mb, 1)
        note = f"after {seconds} s, {summary['gc_collections'][role.label]} collections"
        report.add(Row(SUITE, role.label, "MB", [sample], target=STAGE_TARGET_MB, note=note))
