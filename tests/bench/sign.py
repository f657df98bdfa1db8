"""Rows of the executor: three legs hashed, signed, serialised and authenticated, as one request.

The peers do the same with their own functions: three orders built and signed, one JSON body, the
request's HMAC. They have coincurve installed, which their packages do not see to.
"""

from tests.bench import corpus, environments
from tests.bench.contest import Entrant, hold, our_worker, worker
from tests.bench.effort import Effort
from tests.bench.report import Report

SUITE = "three legs: hash, sign, body, HMAC"
OURS = "ours, prepared nonces"
TARGET_PREPARED_NS, TARGET_RFC6979_NS = 45_000.0, 150_000.0


def measure(report: Report, effort: Effort) -> None:
    """Add all rows of the suite."""
    with corpus.on_disk() as (path, _):
        workers = {
            "ours": our_worker(environments.ours(), "ours", str(path)),
            "official": worker(environments.python_of("official"), "official.py", str(path)),
            "fastclob": worker(environments.python_of("fastclob"), "fastclob.py"),
        }
        entrants = [
            Entrant(
                OURS, "ours", "batch of three, prepared", 1_000, target=TARGET_PREPARED_NS,
                peer=False, note="the opt-in setting",
            ),
            Entrant(
                "ours, RFC 6979", "ours", "batch of three, rfc6979", 1_000,
                target=TARGET_RFC6979_NS, peer=False, note="the default",
            ),
            Entrant("ours in Python", "ours", "batch of three, python", 1_000, OURS, peer=False),
            Entrant("fast-clob-tools", "fastclob", "fast-clob-tools", 1_000, OURS),
            Entrant("py-clob-client-v2", "official", "py-clob-client-v2", 150, OURS),
            Entrant("polymarket-client", "official", "polymarket-client", 150, OURS),
        ]  # fmt: skip
        hold(report, SUITE, workers, entrants, effort)
