"""Rows of the parser: a frame into the published book, against those who only decode it.

Ours does everything: scanned, applied, checked against its mirrored entry, published. A decoder's
row ends with Python objects, from which a book would have yet to be made.
"""

from tests.bench import corpus, environments
from tests.bench.contest import Entrant, hold, our_worker, worker
from tests.bench.effort import Effort
from tests.bench.receive import node_worker
from tests.bench.report import Report, Row

SUITE = "parse"
OURS = "ours: scanned, applied, published"
DECODERS = ("json", "orjson", "msgspec", "msgspec typed", "pysimdjson")
TARGETS_NS = {"change": 1_000.0, "book of 98 levels": 8_000.0}
NAMES = {"change": "price_change of two entries"}
COUNT = 4_000


def measure(report: Report, effort: Effort) -> None:
    """Add all rows of the suite."""
    with corpus.on_disk() as (path, sizes):
        workers = {
            "ours": our_worker(environments.ours(), "ours", str(path)),
            "decoders": worker(environments.python_of("decoders"), "decoders.py", str(path)),
            "official": worker(environments.python_of("official"), "official.py", str(path)),
            "node": node_worker(environments.node(), str(path)),
        }
        for name, size in sizes.items():
            suite = f"{SUITE}: {NAMES.get(name, name)}"
            if size == 0:
                report.add(Row(suite, OURS, "ns", skipped="the recordings are not here"))
                continue
            hold(report, suite, workers, _entrants(name), effort)


def _entrants(name: str) -> list[Entrant]:
    count = COUNT if name in {"change", "recorded"} else COUNT // 4
    return [
        Entrant(OURS, "ours", f"native/{name}", count, peer=False, target=TARGETS_NS.get(name)),
        Entrant("ours in Python", "ours", f"python/{name}", count // 4, OURS, peer=False),
        *(Entrant(f"{one}, decoded", "decoders", f"{one}/{name}", count, OURS) for one in DECODERS),
        Entrant("polymarket-client, typed event", "official", f"parse/{name}", count // 4, OURS),
        Entrant("node JSON.parse, decoded", "node", f"parse/{name}", count, OURS),
    ]
