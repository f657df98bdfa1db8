"""The truth log read back: lines by kind, orders with their ends, runs of the exchange. Pure.

A run is what lies between two `start` lines: a restarted exchange has forgotten everything.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.rules import PLACING

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation: which checker, the line of the log that shows it, and in words."""

    check: str
    seq: int
    text: str


@dataclass(slots=True)
class OrderStory:
    """One accepted order. `end` is the line that ended it, None while it is open."""

    accepted: Line
    end: Line | None = None

    @property
    def order_id(self) -> str:
        """The hash."""
        return str(self.accepted["order_id"])

    @property
    def wallet(self) -> str:
        """Who pays."""
        return str(self.accepted["wallet"])

    @property
    def by_hand(self) -> bool:
        """Whether a rule placed it, as somebody else with the same wallet."""
        return bool(self.accepted.get("by_hand", False))


@dataclass(slots=True)
class Run:
    """One life of the exchange."""

    lines: list[Line] = field(default_factory=list)

    def of(self, *kinds: str) -> list[Line]:
        """Lines of these kinds, in order."""
        return [line for line in self.lines if line["kind"] in kinds]

    def orders(self) -> dict[str, OrderStory]:
        """Accepted orders by hash; of a hash that was accepted twice, the first."""
        stories: dict[str, OrderStory] = {}
        for line in self.of("order", "order_end"):
            order_id = line["order_id"]
            if line["kind"] == "order_end":
                if order_id in stories:
                    stories[order_id].end = line
            elif line["accepted"]:
                stories.setdefault(order_id, OrderStory(line))
        return stories


@dataclass(slots=True)
class Chronicle:
    """All runs of one log."""

    runs: list[Run]

    def of(self, *kinds: str) -> list[Line]:
        """Lines of these kinds, of all runs in order."""
        return [line for run in self.runs for line in run.of(*kinds)]

    def accepted(self) -> list[Line]:
        """Every acceptance of an order that a client sent, also of the same order twice."""
        lines = self.of("order")
        return [line for line in lines if line["accepted"] and not line.get("by_hand", False)]

    def posts(self) -> list[Line]:
        """Every request, whole or torn, that wants to place orders."""
        return [line for line in self.of("request", "request_torn") if line["place"] in PLACING]


def chronicle(lines: Iterable[Line]) -> Chronicle:
    """Split lines into runs."""
    runs = [Run()]
    for line in lines:
        if line["kind"] == "start" and runs[-1].lines:
            runs.append(Run())
        runs[-1].lines.append(line)
    return Chronicle(runs)


def missing_lines(lines: Sequence[Line]) -> list[Finding]:
    """Numbers that the log leaves out: no checker can vouch for a log with a hole."""
    return [
        Finding("log", line["seq"], f"line {before['seq']} is followed by line {line['seq']}")
        for before, line in itertools.pairwise(lines)
        if line["seq"] != before["seq"] + 1
    ]
