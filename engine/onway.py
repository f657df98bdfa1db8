"""Signals on their way: what each has asked for, and which markets are spoken for by it."""

import heapq
from dataclasses import dataclass, field

from engine.handover import Held

PENDING_MAX = 256
"""Signals on their way at one time."""


@dataclass(slots=True)
class Pending:
    """A signal on its way."""

    basket: int
    versions: dict[int, int]
    """By market row: version of the book that it was computed from."""
    created_ns: int
    place: int
    """Among all of them: they are looked through in this order, as in the compiled core."""
    reported_ns: int = field(default=0)


class OnWay:
    """See the module."""

    def __init__(self) -> None:
        self.by_signal: dict[int, Pending] = {}
        """What each asked for, until the executor's last word on it."""
        self.held: dict[int, int] = {}
        """By market row: the signal that has asked for its liquidity."""
        self._places = list(range(PENDING_MAX))
        """Those that are free; a heap."""

    @property
    def full(self) -> bool:
        """Whether no more can be on their way."""
        return not self._places

    def hold(self, signal: int, basket: int, versions: dict[int, int], created_ns: int) -> None:
        """Remember a signal that was sent."""
        self.by_signal[signal] = Pending(basket, versions, created_ns, heapq.heappop(self._places))
        for row in versions:
            self.held[row] = signal

    def free(self, signal: int) -> int:
        """A signal is over: its markets are free; its basket."""
        pending = self.by_signal.pop(signal)
        heapq.heappush(self._places, pending.place)
        for row in pending.versions:
            if self.held.get(row) == signal:
                del self.held[row]
        return pending.basket

    def in_places(self) -> list[tuple[int, Pending]]:
        """All of them, in the order in which they are looked through."""
        return sorted(self.by_signal.items(), key=lambda one: one[1].place)

    def state(self) -> list[Held]:
        """For another core."""
        return [
            Held(signal, one.basket, one.created_ns, one.reported_ns, one.versions, one.place)
            for signal, one in self.in_places()
        ]

    def restore(self, on_way: list[Held], held: dict[int, int]) -> None:
        """Take over from another core."""
        self.by_signal = {
            one.signal: Pending(
                one.basket, one.versions, one.created_ns, one.place, one.reported_ns
            )
            for one in on_way
        }
        self.held.clear()
        self.held.update(held)
        taken = {one.place for one in on_way}
        self._places = [place for place in range(PENDING_MAX) if place not in taken]
