"""Rows of the Node baseline: from frame to decision as a usual bot does it, and as we do.

JSON.parse, objects as state, trios in floats (tests/bench/node/baseline.js), in one thread. Ours is
the sum of two processes' work, without the hop between them: parser's row and engine's row.
"""

from tests.bench import corpus, environments
from tests.bench.contest import Entrant, hold, our_worker
from tests.bench.effort import Effort
from tests.bench.receive import node_worker
from tests.bench.report import Report

SUITE = "frame to decision: Node baseline"


def measure(report: Report, effort: Effort) -> None:
    """Add all rows of the suite."""
    with corpus.on_disk() as (path, sizes):
        workers = {
            "ours": our_worker(environments.ours(), "ours", str(path)),
            "node": node_worker(environments.node(), str(path)),
        }
        for name, size in sizes.items():
            if size == 0 or name == "book of 60 levels":
                continue
            ours = "ours: scanned, applied, published"
            entrants = [
                Entrant(ours, "ours", f"native/{name}", 4_000, peer=False),
                Entrant(
                    "node: JSON.parse, state, trios", "node", f"decide/{name}", 4_000, ours,
                ),
            ]  # fmt: skip
            if name == "change":
                entrants.append(
                    Entrant(
                        "ours: the decision that follows", "ours", "updates, native", 2_000,
                        ours, peer=False, note="ring, book read, six baskets",
                    )
                )  # fmt: skip
            hold(report, f"{SUITE}, {name}", workers, entrants, effort)
