"""What feeds the books of an exchange, as the server knows it: a generator or a recording."""

from typing import Protocol

from sim.events import Event
from sim.ladders import Ladder
from sim.mispricing import Counts

LadderView = tuple[Ladder, list[float | None]]
"""A ladder, and the fair YES price of each of its listings in units of $0.0001, where known."""


class Source(Protocol):
    """A source of markets and of house liquidity."""

    counts: Counts

    def start(self, now_ms: int) -> list[Event]:
        """List the first markets; called once."""

    def wake(self, now_ms: int) -> None:
        """A client has subscribed for the first time; a recording begins to play."""

    def step(self, now_ms: int) -> list[Event]:
        """Everything that is due; called often, with times that do not go back."""

    def ladders(self) -> list[LadderView]:
        """The ladders that trade now."""
