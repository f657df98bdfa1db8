"""Rows of the journal: what a basket's records cost between the decision and the wire.

Three legs are a group of four records, written by one call before the orders leave. The floor is a
plain write of the same bytes to a file of the same kind, taken in turns with it. In the second pair
the syncing thread works behind, as it does while orders travel.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from executor.journal import Journal
from shm import records
from shm.backend import NATIVE
from shm.journal_record import RECORD_BYTES
from shm.limits import JournalSettings
from shm.records import Kind
from tests.bench.effort import Effort
from tests.bench.report import Report, Row, Sample, sample_of

SUITE = "journal"
LEGS = 3
SAMPLES = 4_000
TARGET_NS = 5_000.0
WALLET = b"\x11" * 20
BASKET = records.Basket(1, 5, 0, 20_000, 10**7, 2 * 10**7, 10**6, 1_795_000_000_000, 1, 1, 1, LEGS)
INTENTS = [
    records.Intent(
        7 + leg, 6_000_000, 10_000_000, 1_795_000_000_000, 10**7, leg, 6_000, 1, 1, 1, 1, 0,
        bytes([leg]) * 32, bytes([leg]) * 32, bytes([leg]) * 65,
    )
    for leg in range(LEGS)
]  # fmt: skip
SENT = (Kind.SENT, 1, 0, records.Sent(1_795_000_000_000, 1, 4_000, bytes(16)))


def measure(report: Report, effort: Effort) -> None:
    """Add all rows of the suite."""
    if not NATIVE:
        report.add(Row(SUITE, "everything", "ns", skipped="the compiled kernels are missing"))
        return
    for threaded, when in ((False, "disk at rest"), (True, "disk syncing")):
        plain: list[Sample] = []
        ours: list[Sample] = []
        for _ in range(effort.rounds):
            with tempfile.TemporaryDirectory() as folder:
                floor, cost = compare(Path(folder), effort.scaled(SAMPLES), threaded=threaded)
            plain.append(sample_of(floor))
            ours.append(sample_of(cost))
        name = f"pwrite of the same bytes, {when}"
        report.add(Row(SUITE, name, "ns", plain, note=f"{(1 + LEGS) * RECORD_BYTES} bytes"))
        title = f"append_orders, {LEGS} legs, {when}"
        report.add(Row(SUITE, title, "ns", ours, target=TARGET_NS))
        above = [mine.p50 - his.p50 for mine, his in zip(ours, plain, strict=True)]
        report.add(Row(SUITE, f"of it our own, {when}", "ns",
                       [Sample(value, value, value, 1) for value in above]))  # fmt: skip


def compare(folder: Path, count: int, *, threaded: bool) -> tuple[list[int], list[int]]:
    """Nanoseconds of (plain writes, groups of orders), taken in turns."""
    records_in_all = max(1_024, 8 * count)
    settings = JournalSettings(segment_records=min(records_in_all, 4_194_304))
    journal = Journal.open(
        folder / "journal", WALLET, settings, native=True, root=folder, threaded=threaded
    )
    group = bytes((1 + LEGS) * RECORD_BYTES)
    fd = os.open(folder / "plain", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.posix_fallocate(fd, 0, (count + 1) * len(group))
    plain: list[int] = []
    ours: list[int] = []
    for turn in range(count):
        offset = turn * len(group)
        plain.append(timed(lambda at=offset: os.pwrite(fd, group, at)))
        flight = journal.written_seq + 1
        written, took_ns = answered(lambda n=flight: journal.append_orders(n, BASKET, INTENTS))
        assert isinstance(written, int), written
        ours.append(took_ns)
        journal.append([SENT])
    os.close(fd)
    journal.close()
    return plain, ours


def timed(act: Callable[[], Any]) -> int:
    """How long something takes."""
    return answered(act)[1]


def answered(act: Callable[[], Any]) -> tuple[Any, int]:
    """What something gives, and how long it takes."""
    before_ns = time.perf_counter_ns()
    answer = act()
    return answer, time.perf_counter_ns() - before_ns
