"""What is due when: actions in the order of their times, run with the time that is given in."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from sim.events import Event

Action = Callable[[int], list[Event]]


@dataclass(slots=True)
class Agenda:
    """A queue of actions. Equal times run in the order in which they were put in."""

    _due: list[tuple[int, int, Action]] = field(default_factory=list)
    _count: int = 0

    def at(self, due_ms: int, action: Action) -> None:
        """Run `action` at the first step that is not before `due_ms`."""
        self._count += 1
        heapq.heappush(self._due, (due_ms, self._count, action))

    def run(self, now_ms: int) -> list[Event]:
        """Run what is due; actions get `now_ms`, also when they are late.

        What an action puts in for now or earlier waits for the next step, so a step always ends.
        """
        ready: list[Action] = []
        while self._due and self._due[0][0] <= now_ms:
            ready.append(heapq.heappop(self._due)[2])
        events: list[Event] = []
        for action in ready:
            events += action(now_ms)
        return events
