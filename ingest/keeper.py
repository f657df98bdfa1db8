"""Keeps the books of all subscribed markets and publishes them: what a feed needs to know.

A keeper takes whole frames. It applies one, publishes every book that changed and only then says
whether anything is left to do: books that were lost and need a new snapshot, books that got one,
and comparisons with the venue's hash, which are made here, after publication.
"""

import time
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from ingest.books import Applied, Books, track
from ingest.publish import Publisher
from shm import backend
from shm.backend import HistogramWriter
from shm.codes import BookState, Role
from shm.fabric import Fabric
from shm.layout import BOOK, INGEST_STATS, UPDATE, Market

HISTOGRAMS = ("readable_to_parsed", "parsed_to_published")


class News(NamedTuple):
    """What the last frame left to do, by row."""

    lost: list[int]
    refreshed: list[int]


class Keeper(Protocol):
    """See the module."""

    def add(self, market: Market) -> None:
        """Start following a market, in its own row."""

    def remove(self, row: int) -> None:
        """Stop following a market; its row shows an UNKNOWN book."""

    def take(self, frame: bytes | memoryview, readable_ns: int) -> bool:
        """Apply and publish one whole frame; True if `news` has to be called before the next."""

    def news(self) -> News:
        """Make the comparisons that the last frame left due, and say which books it touched how."""

    def lose(self, rows: Iterable[int]) -> None:
        """The connection of these markets is gone: none of their books may be believed."""

    def show_counts(self) -> None:
        """Bring gauges and slow counters in shared memory up to date."""


class PythonKeeper:
    """The keeper in plain Python: the reference, and what runs without compiler."""

    def __init__(self, fabric: Fabric, epoch: int, hash_check_every: int) -> None:
        self._counters = fabric.counters("stats-ingest.counters", INGEST_STATS, write=True)
        self._publisher = Publisher(fabric, epoch, self._counters)
        self._books = Books(hash_check_every)
        self._histograms = _histograms(fabric)
        self._applied = Applied()

    def add(self, market: Market) -> None:
        """See Keeper."""
        self._books.add(track(market))

    def remove(self, row: int) -> None:
        """See Keeper."""
        self._books.remove(row)
        self._publisher.clear(row)

    def take(self, frame: bytes | memoryview, readable_ns: int) -> bool:
        """See Keeper."""
        applied = self._applied = self._books.apply(frame, readable_ns)
        parsed_ns = time.monotonic_ns()
        for tracked in applied.changed.values():
            self._publisher.publish(tracked, readable_ns, parsed_ns)
        self._histograms["readable_to_parsed"].add(parsed_ns - readable_ns)
        self._histograms["parsed_to_published"].add(time.monotonic_ns() - parsed_ns)
        self._counters.add("frames_in")
        self._counters.add("bytes_in", len(frame))
        return bool(applied.lost or applied.refreshed or applied.checks)

    def news(self) -> News:
        """See Keeper."""
        applied = self._applied
        for row, check in applied.checks.items():
            self._books.check(row, check)
        refreshed = [row for row in applied.changed if row in applied.refreshed]
        return News([row for row in applied.changed if row in applied.lost], refreshed)

    def lose(self, rows: Iterable[int]) -> None:
        """See Keeper."""
        now_ns = time.monotonic_ns()
        for tracked in self._books.lose(rows):
            self._publisher.publish(tracked, now_ns, now_ns)

    def show_counts(self) -> None:
        """See Keeper."""
        for name, amount in self._books.tally.items():
            self._counters.add(name, amount)
        self._books.tally.clear()
        books = self._books.by_row.values()
        live = sum(tracked.book.state is BookState.LIVE for tracked in books)
        self._counters.set("books_live", live)
        self._counters.set("books_stale", len(books) - live)


def make_keeper(
    fabric: Fabric, epoch: int, hash_check_every: int, *, native: bool = True
) -> Keeper:
    """The compiled keeper where there is one and it is wanted."""
    if not (native and backend.NATIVE):
        return PythonKeeper(fabric, epoch, hash_check_every)
    parts = {
        "books": fabric.write_table("books", BOOK).latch,
        "updates": fabric.produce("updates", UPDATE).ring,
        "dirty": fabric.dirty_marker(),
        "counters": fabric.counters("stats-ingest.counters", INGEST_STATS, write=True).words,
        **_histograms(fabric),
    }
    keeper: Keeper = backend.compiled("ingest.native").Keeper(parts, epoch, hash_check_every)
    return keeper


def _histograms(fabric: Fabric) -> dict[str, HistogramWriter]:
    return {
        name: fabric.histogram(Role.INGEST, index, name) for index, name in enumerate(HISTOGRAMS)
    }
