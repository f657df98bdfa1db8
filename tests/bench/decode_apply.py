"""Rows of the book: decoded, applied, best ask known; against Nautilus' adapter from Python.

The adapter keeps a book for each token, so a change of two entries is two changes for it; ours
keeps one for both, and checks that they agree.
"""

from tests.bench import corpus, environments
from tests.bench.contest import Entrant, hold, our_worker, worker
from tests.bench.effort import Effort
from tests.bench.report import Report

SUITE = "decode and apply"
TARGET = 10.0
"""Times that the adapter's path takes at least, for a change of two entries."""


def measure(report: Report, effort: Effort) -> None:
    """Add all rows of the suite."""
    with corpus.on_disk() as (path, sizes):
        workers = {
            "ours": our_worker(environments.ours(), "ours", str(path)),
            "nautilus": worker(environments.python_of("nautilus"), "nautilus.py", str(path)),
        }
        for name, size in sizes.items():
            if size == 0 or name == "book of 60 levels":
                continue
            suite = f"{SUITE}: {name}"
            theirs, count = "Nautilus adapter, to best ask", 2_000 if name == "change" else 600
            hold(
                report, suite, workers,
                [
                    Entrant(theirs, "nautilus", f"apply/{name}", count),
                    Entrant(
                        "ours, published", "ours", f"native/{name}", 4_000, against=theirs,
                        target=1 / TARGET if name == "change" else None, peer=False,
                    ),
                ],
                effort,
            )  # fmt: skip
