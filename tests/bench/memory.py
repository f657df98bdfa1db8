"""Rows of the whole system as it says itself: memory, collections, and from frame to POST."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from shm.codes import STAGES
from shm.segment import SHM_ROOT
from tests.bench.effort import QUICK, Effort
from tests.bench.report import Report, Row, Sample

ROOT = Path(__file__).parents[2]
SUITE = "whole system"
STAGE_TARGET_MB = 40.0
POST_TARGETS_US = {"p50": 150.0, "p99": 500.0}
MISPRICINGS_PER_MINUTE = 600


def measure(report: Report, effort: Effort) -> None:
    """Run the whole system for a while, with much to trade, and take its own figures."""
    seconds = 5 if effort == QUICK else 30
    instance = f"bench-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("POLYTRIO__")} | {
            "POLYTRIO__INSTANCE": instance,
            "POLYTRIO__DESK__VAR_DIR": folder,
            "POLYTRIO__SIM__MISPRICINGS_PER_MINUTE": str(MISPRICINGS_PER_MINUTE),
            "POLYTRIO__SIGNING__NONCES": "prepared",
        }
        done = subprocess.run(
            [sys.executable, "-P", "-m", "desk", "run", "--for", str(seconds), "--json"],
            capture_output=True, text=True, cwd=ROOT, env=environment,
        )  # fmt: skip
    for path in SHM_ROOT.glob(f"polytrio.{instance}.*.lock"):
        path.unlink(missing_ok=True)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no summary"])[-1]
        report.add(Row(SUITE, "everything", "MB", skipped=why))
        return
    _add_rows(report, json.loads(done.stdout.strip().splitlines()[-1]), seconds)


def _add_rows(report: Report, summary: dict[str, Any], seconds: int) -> None:
    after = f"after {seconds} s"
    for role in STAGES:
        size_mb = float(summary["rss_mb"][role.label])
        report.add(_single(f"{role.label}, memory", "MB", size_mb, STAGE_TARGET_MB, after))
    for role in STAGES:
        count = float(summary["gc_collections"][role.label])
        report.add(_single(f"{role.label}, collections", "", count, 0.0, after))
    latency = summary["latency_us"].get("frame_to_post")
    note = f"{summary['orders_sent']} orders, prepared nonces, {len(os.sched_getaffinity(0))} cores"
    for share, target_us in POST_TARGETS_US.items():
        name = f"frame to POST, {share}"
        if latency is None or not summary["orders_sent"]:
            report.add(Row(SUITE, name, "us", skipped="no order was sent"))
            continue
        row = _single(name, "us", latency[share], target_us, note)
        row.rounds = [
            Sample(latency[share], latency["p99"], latency["max"], summary["orders_sent"])
        ]
        report.add(row)


def _single(name: str, unit: str, value: float, target: float, note: str) -> Row:
    sample = Sample(value, value, value, 1)
    return Row(SUITE, name, unit, [sample], target=target, note=note)
