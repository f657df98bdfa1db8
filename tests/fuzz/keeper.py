"""The keeper's fuzz target: sequences of frames lead both keepers to the same books, byte for byte.

Run by tests/fuzz/campaign.py as `python -m tests.fuzz.keeper MODULE INSTANCE [options]`, with a
build of ingest.native that libFuzzer can look into.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ingest.wire", "ingest.books", "ingest.book"]):
    from ingest.keeper import PythonKeeper, make_keeper

from shm.fabric import Fabric
from shm.layout import Update
from shm.segments import SEGMENTS
from tests.fuzz.instrumented import load
from tests.fuzz.mutations import SequenceChanger
from tests.fuzz.seeds import SEPARATOR
from tests.ingest.test_keeper import World, market

MARKETS = [market(row, tick_e4=(10, 100, 1)[row]) for row in range(3)]
BOOKS = SEGMENTS["books"].placed["books"]
EVERY = 1
"""Each change is due for a hash check: a sequence does not depend on the ones before."""


class Watched(World):
    """A world, seen as bytes."""

    def __init__(self, instance: str, keeper_of) -> None:
        super().__init__(instance, keeper_of, MARKETS, EVERY)
        view = Fabric(instance).segment("books", writable=False).view
        self._shown = view[BOOKS.offset : BOOKS.offset + 3 * BOOKS.section.stride_bytes]

    def begin(self) -> None:
        """Forget all books."""
        for one in MARKETS:
            self.keeper.remove(one.row)
            self.keeper.add(one)

    def after(self, frame: bytes, now_ns: int) -> tuple[object, bytes, list[Update]]:
        """What a frame did: news, all bytes of the books' rows, and the updates without clocks."""
        news = self.keeper.news() if self.keeper.take(frame, now_ns) else None
        updates = []
        while (update := self._updates.pop()) is not None:
            updates.append(update._replace(parsed_ns=0, published_ns=0))
        return news, bytes(self._shown), updates

    def counts(self) -> object:
        """All counters."""
        self.keeper.show_counts()
        return self._counters.read()


class Comparison:
    """Called with each sequence."""

    def __init__(self, instance: str) -> None:
        self._plain = Watched(f"{instance}-a", PythonKeeper)
        self._compiled = Watched(f"{instance}-b", make_keeper)
        assert not isinstance(self._compiled.keeper, PythonKeeper)

    def __call__(self, sequence: bytes) -> None:
        self._plain.begin()
        self._compiled.begin()
        for number, frame in enumerate(sequence.split(SEPARATOR), 1):
            expected = self._plain.after(frame, number)
            found = self._compiled.after(frame, number)
            if found != expected:
                raise AssertionError(f"frame {number} {frame!r}: {expected} and {found}")
        if self._plain.counts() != self._compiled.counts():
            raise AssertionError(f"{self._plain.counts()} and {self._compiled.counts()}")


def main() -> None:
    """Hand over to libFuzzer, which does not come back."""
    program, module, instance, *options = sys.argv
    load("ingest.native", Path(module))
    compare = Comparison(instance)
    atheris.Setup([program, *options], compare, custom_mutator=SequenceChanger())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
