"""Our side: frames into published books, signals into signed batches, updates into evaluations.

Everything through the same doors that the stages use, over segments that this process makes and
removes.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ingest.keeper import PythonKeeper, make_keeper
from shm import backend
from shm.codes import Role
from shm.fabric import Fabric
from shm.layout import INGEST_STATS, UPDATE
from tests.bench.workers import deciding, signing
from tests.bench.workers.line import Thing, serve
from tests.bench.workers.places import fresh_instance, market

READABLE_NS = 1


def parsing(given: Any, keeper_of: Any, corpus: str) -> Thing:
    """A keeper with its books filled, and a reader that keeps the ring of updates from filling."""
    instance = fresh_instance()
    fabric = Fabric(instance, Role.INGEST)
    keeper = keeper_of(fabric, 1, 64)
    for row, facts in enumerate(given["markets"][corpus]):
        keeper.add(market(row, facts))
    updates = Fabric(instance, Role.ENGINE).consume("updates", UPDATE)
    counters = fabric.counters("stats-ingest.counters", INGEST_STATS, write=False)
    if corpus == "change":
        first = next(name for name in given["frames"] if name.startswith("book"))
        keeper.take(given["frames"][first][0].encode(), READABLE_NS)
    inputs = [(text.encode(), READABLE_NS) for text in given["frames"][corpus]]
    pushed = counters.read().updates_pushed
    for frame, readable_ns in inputs[:16]:
        keeper.take(frame, readable_ns)
        keeper.news()
    grown = counters.read().updates_pushed - pushed
    assert corpus == "recorded" or grown == min(16, len(inputs)), "frames were refused"

    def between() -> None:
        keeper.news()
        while updates.ring.pop() is not None:
            pass

    return Thing(keeper.take, inputs, group=5, between=between)


def things(given: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for corpus in given["frames"]:
        found[f"python/{corpus}"] = lambda c=corpus: parsing(given, PythonKeeper, c)
        if backend.NATIVE:
            found[f"native/{corpus}"] = lambda c=corpus: parsing(given, make_keeper, c)
    found |= deciding.things(fresh_instance)
    found |= signing.things()
    return found


if __name__ == "__main__":
    serve(things(json.loads(Path(sys.argv[1]).read_text())), {})
