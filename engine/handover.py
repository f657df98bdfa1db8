"""What one core hands to another: signals on their way, cooldowns, what waits, books."""

from typing import NamedTuple

from shm.codes import Verdict
from shm.layout import Signal


class Held(NamedTuple):
    """A signal on its way, as a core remembers it."""

    signal: int
    basket: int
    created_ns: int
    reported_ns: int
    versions: dict[int, int]
    """By market row: version of the book that it was computed from."""
    place: int
    """Among all signals on their way: they are looked through in this order."""


class Waiter(NamedTuple):
    """A basket in the queue of those to look at again."""

    basket: int
    due_ns: int
    tries: int


class State(NamedTuple):
    """See the module."""

    signal_count: int
    ingest_epoch: int
    cooling: dict[int, int]
    """By basket id."""
    tries: dict[int, int]
    """By basket id, where it is not zero."""
    on_way: list[Held]
    held: dict[int, int]
    """By market row."""
    queue: list[Waiter]
    books: dict[int, tuple[int, bytes]]
    """By market row: version and record; empty if whoever takes over reads them itself."""


EMPTY = State(0, 0, {}, {}, [], {}, [], {})


class Decision(NamedTuple):
    """What a core said of a hit."""

    number: int
    verdict: Verdict
    signal: Signal | None
