"""Rows of the engine: an update, and every basket it affects, evaluated.

A ladder pair of nineteen strikes, so eighteen trios with their complements and ladders: 54 baskets,
of which the updated strike is in six. Ours starts at the ring and ends at the verdict; Node's row
starts at the frame, because JSON.parse is where its objects come from.
"""

from tests.bench import corpus, environments
from tests.bench.contest import Entrant, hold, our_worker
from tests.bench.effort import Effort
from tests.bench.report import Report

SUITE = "engine: update to verdict"
OURS = "ours, native"
TARGET_NS = 150.0


def measure(report: Report, effort: Effort) -> None:
    """Add all rows of the suite."""
    with corpus.on_disk() as (path, _):
        workers = {"ours": our_worker(environments.ours(), "ours", str(path))}
        entrants = [
            Entrant(
                OURS, "ours", "updates, native", 2_000, target=TARGET_NS, peer=False,
                note="ring, book read, six baskets; a 64th of a step of 64 updates",
            ),
            Entrant("ours, Python reference", "ours", "updates, python", 100, OURS, peer=False),
        ]  # fmt: skip
        hold(report, SUITE, workers, entrants, effort)
