"""The two engines in lock step at length: `python -m tests.fuzz.lockstep [UPDATES [PROCESSES]]`.

The stories are those of tests/engine/test_core.py, seed after seed, in one process for each core of
the machine unless told otherwise, and come more often to where a decision turns: hurdles that are
met to the last unit, books as old as they may be. After every act signals, counters and the edges
of what was touched are compared, now and then everything else. Ten million updates unless told
otherwise.
"""

import multiprocessing
import os
import secrets
import sys
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from engine.core import make_core
from engine.reference import PythonCore
from shm import segment
from shm.fabric import Fabric
from shm.layout import Update
from shm.segments import SEGMENTS
from tests.engine.test_core import MS, SETTINGS, Story, World, baskets_of
from tests.fuzz.instrumented import load

UPDATES = 10_000_000
STORY_UPDATES = 50_000
EVERYTHING_EVERY = 200
GENERATIONS_LEFT_OUT = 2 / 3
SAY_EVERY_S = 5.0
COUNTERS = SEGMENTS["stats-engine"].placed["counters"]
TABLE = SEGMENTS["baskets"].placed["baskets"]


class Watched(World):
    """A world, seen as bytes: reading rows would take longer than what is compared."""

    def __init__(self, instance: str, core_of) -> None:
        super().__init__(instance, core_of, SETTINGS)
        onlooker = Fabric(instance)
        stats = onlooker.segment("stats-engine", writable=False).view
        self._counted = stats[COUNTERS.offset : COUNTERS.offset + COUNTERS.section.stride_bytes]
        self._table = onlooker.segment("baskets", writable=False).view[TABLE.offset :]

    def adopt(self, markets, generation: int) -> int:
        """Every second time, with what each basket is worth now as its hurdle."""
        count = super().adopt(markets, generation)
        if generation % 2 == 0:
            edges = [self.core.edge(number) for number in range(count)]
            hurdles = [SETTINGS.min_net_edge_e8 if edge is None else edge.net_e8 for edge in edges]
            plan = self.core.prepare(baskets_of(tuple(markets)), hurdles)
            self.core.adopt(plan, generation)
        return count

    def glance(self, numbers: tuple[int, ...]):
        """What an act can have changed: signals, all counters, and these baskets' edges."""
        signals = []
        while (signal := self.signals.pop()) is not None:
            signals.append(signal._replace(created_ns=0))
        core = self.core
        edges = [(core.edge(number), core.verdict(number)) for number in numbers]
        return signals, bytes(self._counted), edges

    def shown(self, baskets: int) -> bytes:
        """The rows of the baskets' table, both copies of each."""
        return bytes(self._table[: baskets * TABLE.section.stride_bytes])


class LongStory(Story):
    """A story that remembers which market it touched last."""

    touched = 0

    def update(self, row: int) -> Update:
        self.touched = row
        return super().update(row)

    def next_generation(self) -> None:
        """Another set of markets; each of them is looked at again, with the book that it has.

        One takes as long as a hundred updates: two of three are left out.
        """
        if self.generation and self.random.random() < GENERATIONS_LEFT_OUT:
            return
        super().next_generation()
        for row in self.rows:
            update = self.update(row)
            self.both(lambda world, update=update: world.core.take(update, self.now_ns))

    def new_book(self, row: int):
        """Now and then one that is exactly as old as it may be."""
        one = super().new_book(row)
        if self.random.random() < 0.1:
            one = one._replace(received_ns=self.now_ns - SETTINGS.max_book_age_ms * MS)
        return one

    def compare(self) -> None:
        """Glance at everything that matters now."""
        plain, compiled = self.worlds
        numbers = compiled.core.of_row(self.touched)
        expected, found = plain.glance(numbers), compiled.glance(numbers)
        assert found == expected
        self.sent += [(signal.signal, signal.basket) for signal in found[0]]
        del self.sent[:-20]

    def compare_everything(self) -> None:
        """Also what people see, and every basket."""
        super().compare()
        plain, compiled = self.worlds
        assert compiled.shown(self.baskets) == plain.shown(self.baskets)


def tell(seed: int, instance: str, updates: int, done: "Synchronized[int]") -> int:
    """One story; returns how many updates it had."""
    worlds = Watched(f"{instance}-a", PythonCore), Watched(f"{instance}-b", make_core)
    assert not isinstance(worlds[1].core, PythonCore)
    story = LongStory(seed, worlds)
    story.both(lambda world: world.panel.set_trading(enabled=True))
    story.both(lambda world: world.ingest_role.beat(story.now_ns))
    story.both(lambda world: world.core.follow_ingest())
    before, acts, seen = done.value, 0, 0
    while seen < updates:
        story.act()
        story.compare()
        acts += 1
        if acts % EVERYTHING_EVERY == 0:
            story.compare_everything()
            seen = worlds[1].counters.read().updates_seen
            done.value = before + seen
    return seen


def tell_many(seed: int, step: int, updates: int, done: "Synchronized[int]", kernel: str) -> None:
    """Story after story, until so many updates have been seen; perhaps with another kernel."""
    if kernel:
        load("engine.kernel", Path(kernel))
    while done.value < updates:
        instance = f"l-{secrets.token_hex(6)}"
        try:
            tell(seed, instance, min(STORY_UPDATES, updates - done.value), done)
        except AssertionError:
            sys.stderr.write(f"the cores part in the story of seed {seed}\n")
            raise
        finally:
            for path in segment.SHM_ROOT.glob(f"polytrio.{instance}-*"):
                path.unlink()
        seed += step


def run(updates: int, processes: int, kernel: str = "") -> tuple[int, float]:
    """So many updates, in so many processes; how many there were and seconds, or an error."""
    context = multiprocessing.get_context("spawn")
    counts = [context.Value("Q", 0) for _ in range(processes)]
    share = -(-updates // processes)
    children = [context.Process(target=tell_many, args=(seed + 1, processes, share, count, kernel))
                for seed, count in enumerate(counts)]  # fmt: skip
    began = time.monotonic()
    for child in children:
        child.start()
    while alive := [child for child in children if child.is_alive()]:
        alive[0].join(SAY_EVERY_S)
        say(sum(count.value for count in counts), updates, time.monotonic() - began)
        if any(child.exitcode for child in children):
            for child in alive:
                child.kill()
    for child in children:
        child.join()
    if any(child.exitcode for child in children):
        raise RuntimeError("a story did not come to its end: see above")
    return sum(count.value for count in counts), time.monotonic() - began


def say(done: int, updates: int, seconds: float) -> None:
    """How far it is, how fast, and when it will be done."""
    speed = done / seconds
    left = f"{max(0, updates - done) / speed / 60:.1f} min left" if speed else "no update yet"
    sys.stdout.write(f"{done:,} of {updates:,} updates alike, {speed:,.0f}/s, {left}\n")
    sys.stdout.flush()


def main() -> None:
    """Ten million, or as many as are asked for."""
    asked = [int(word.replace("_", "")) for word in sys.argv[1:]]
    updates, processes = (*asked, *(UPDATES, len(os.sched_getaffinity(0)))[len(asked) :])
    done, seconds = run(updates, processes)
    sys.stdout.write(f"{done:,} updates in {seconds:.0f} s: the two cores decided alike\n")


if __name__ == "__main__":
    main()
