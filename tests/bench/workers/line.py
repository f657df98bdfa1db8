"""The line protocol of a measuring process: one JSON line asks for a round, one answers.

    -> {"thing": "price_change", "count": 2000}
    <- {"p50": 8900.0, "p99": 12000.0, "max": 51000.0, "count": 2000}

Knows nothing but the standard library, because it runs in peers' environments. Both sides of a
comparison are measured by this file, each in its own process. Times are nanoseconds.
"""

import gc
import json
import sys
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any, NamedTuple


class Thing(NamedTuple):
    """What is measured: a call for each of the inputs (tuples of arguments), over and over."""

    call: Callable[..., Any]
    inputs: Sequence[tuple[Any, ...]]
    group: int = 1
    """Calls between two looks at the clock; a short call needs several."""
    between: Callable[[], Any] | None = None
    """Done after each group, and not measured."""
    units: int = 1
    """How many of what the row is about one call does."""


def timed(thing: Thing, count: int) -> list[float]:
    """Nanoseconds a unit, for each group."""
    call, inputs, group, between, units = thing
    size = len(inputs)
    found: list[float] = []
    at = 0
    while len(found) * group < count:
        chunk = [inputs[(at + i) % size] for i in range(group)]
        at = (at + group) % size
        start = perf_counter_ns()
        for arguments in chunk:
            call(*arguments)
        found.append((perf_counter_ns() - start) / (group * units))
        if between is not None:
            between()
    return found


def sample(values: Sequence[float]) -> dict[str, float]:
    """As tests/bench/report.py `sample_of`."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[last * 99 // 100],
        "max": ordered[last],
        "count": last + 1,
    }


def serve(things: dict[str, Callable[[], Thing]], versions: dict[str, str]) -> None:
    """Say what there is, then measure until the input ends; a thing is made when asked for."""
    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    made: dict[str, Thing] = {}

    def say(answer: dict[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    say({"things": list(things), "versions": versions})
    for line in sys.stdin:
        wanted = json.loads(line)
        name, count = wanted["thing"], wanted["count"]
        try:
            if name not in made:
                made[name] = things[name]()
                timed(made[name], min(count, 200))  # warm
            gc.collect()
            gc.disable()
            say(sample(timed(made[name], count)))
        except Exception as error:  # noqa: BLE001  # the row says why
            say({"error": f"{type(error).__name__}: {error}"[:110]})
        finally:
            gc.enable()
