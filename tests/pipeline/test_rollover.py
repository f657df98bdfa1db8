"""Roll-over with real processes: a system is started seconds before noon in New York, and lives on.

All processes believe in a wall clock that is shifted to a moment before noon; monotonic time is
left alone. The simulated exchange settles its ladders at its noon and lists new ones, and
everything else is as always: discovery over HTTP, the market channel, orders, fills.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby, pairwise

import pytest

from shm.codes import STAGES, BookState, MarketState, Role
from shm.errors import SegmentError
from shm.fabric import Fabric
from shm.layout import BOOK, INGEST_STATS, Market
from shm.markets import MarketsReader
from tests.conftest import require_or_skip
from tests.pipeline.system import POLYTRIO, System, environment, last_json, require_agreement, until

pytestmark = pytest.mark.slow

NOON = datetime(2026, 11, 24, 17, tzinfo=UTC)
BEFORE_S = 25
SECONDS = 50
COINS = '["BTC","ETH"]'
GROUP = 22


@pytest.fixture
def system(instance, tmp_path) -> Iterator[System]:
    faketime = shutil.which("faketime")
    require_or_skip(faketime is not None, "faketime (to start a system just before noon)")
    env = environment(
        instance, tmp_path / "var",
        POLYTRIO__DESK__COINS=COINS, FAKETIME_DONT_FAKE_MONOTONIC="1",
    )  # fmt: skip
    # A shift, not a time: every process must believe in the same clock.
    shift_s = int(NOON.timestamp()) - BEFORE_S - int(time.time())
    command = [str(faketime), "-f", str(shift_s), *POLYTRIO, "run", "--for", str(SECONDS), "--json"]
    started = System(instance, command, env, tmp_path)
    yield started
    if started.process.poll() is None:
        started.process.terminate()
        started.process.communicate(timeout=30)


@dataclass
class Watcher:
    """Looks at markets and books as fast as it can and remembers every state of the table."""

    instance: str
    generations: dict[int, list[Market]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    frames: dict[int, dict[int, int]] = field(default_factory=dict)
    """By generation: frames of each living book when it was last seen."""

    def look(self, still_running: Callable[[], bool]) -> bool:
        """One look; every book that was live once must be live in it. False at the end."""
        generation, rows = self._markets.read()
        lost = []
        seen = self.frames.setdefault(generation, {})
        for row in rows:
            if row.state != MarketState.ACTIVE:
                continue
            book = self._books.read(row.row)
            if book is None or book.market_key != row.key:
                continue
            if row.key in self.alive and book.state != BookState.LIVE:
                lost.append(f"generation {generation}: {row.slug.decode()}")
            if book.state == BookState.LIVE:
                self.alive.add(row.key)
                seen[row.key] = book.frames
        if not still_running():
            return False
        self.generations[generation] = rows
        self.lost += lost
        return True

    def attach(self) -> bool:
        """Whether the segments are there."""
        try:
            fabric = Fabric(self.instance)
            self._markets = MarketsReader(fabric)
            self._books = fabric.read_table("books", BOOK)
            self.counters = fabric.counters("stats-ingest.counters", INGEST_STATS, write=False)
        except SegmentError:
            return False
        self.alive: set[int] = set()
        return True


def active(rows: list[Market]) -> dict[int, Market]:
    return {row.key: row for row in rows if row.state == MarketState.ACTIVE}


def test_a_system_trades_over_noon_with_live_books_and_nothing_of_yesterday(system):
    until(system.all_running, "all stages run", 60)
    watcher = Watcher(system.instance)
    until(watcher.attach, "segments")
    complete: dict[int, int] = {}
    subscriptions = set()
    while system.process.poll() is None:
        try:
            if not watcher.look(lambda: system.running(Role.INGEST)):
                break
            generation = max(watcher.generations)
            complete[generation] = system.executor().baskets_complete
            subscriptions.add(watcher.counters.read().subscriptions)
        except SegmentError:
            break  # the run is over and has cleared up
        time.sleep(0.01)
    code, out, err = system.finish()
    assert code == 0, err
    require_a_roll_over(watcher.generations)

    # Books that live on were live in every look, and took frames in every generation.
    assert watcher.lost == []
    first, *_, last = numbers = sorted(watcher.generations)
    for before, after in pairwise(numbers):
        older, newer = watcher.frames[before], watcher.frames[after]
        both = older.keys() & newer.keys()
        assert len(both) >= 2 * GROUP
        assert sum(newer[key] for key in both) > sum(older[key] for key in both)
    assert subscriptions <= {2 * GROUP, 3 * GROUP, 4 * GROUP}
    assert subscriptions >= {2 * GROUP, 4 * GROUP}
    # Money was made before and after, with the exchange's own books as witness.
    assert 0 < complete[first] < complete[last]
    summary = last_json(out)
    assert summary["markets_live"] == 4 * GROUP
    require_agreement(summary)
    assert all(summary["restarts"][stage.label] == 0 for stage in STAGES)


def require_a_roll_over(generations: dict[int, list[Market]]) -> None:
    """Two days, then tomorrow alone at the stroke of noon, then tomorrow and the day after.

    Two things may bring one generation more. Each ladder is asked for by a request of its own: what
    the venue lists between two of them comes one by one. And the tick of a market may change.
    """
    shown = [generations[number] for number in sorted(generations)]
    tables = [rows for rows, _ in groupby([[but_for_tick(row) for row in rows] for rows in shown])]
    assert len(tables) in {3, 4}, what_changed(generations)
    two, one, *partly, next_two = (active(rows) for rows in tables)
    noon_ms = int(NOON.timestamp() * 1000)
    assert {m.expiry_ms - noon_ms for m in two.values()} == {0, 86_400_000}
    assert {m.expiry_ms - noon_ms for m in one.values()} == {86_400_000}
    assert {m.expiry_ms - noon_ms for m in next_two.values()} == {86_400_000, 2 * 86_400_000}
    assert [len(rows) for rows in (two, one, next_two)] == [4 * GROUP, 2 * GROUP, 4 * GROUP]
    for rows in partly:
        assert one.items() < rows.items() < next_two.items(), what_changed(generations)
        assert len(rows) == 3 * GROUP, "a ladder comes as a whole"
    # Who lives on does not move; who has ended keeps row and facts, for late fills.
    for rows in (one, *partly, next_two):
        assert all(rows[key] == two[key] for key in rows.keys() & two.keys())
    for table in tables[1:]:
        ended = {row.key: row for row in table if row.state == MarketState.RETIRED}
        assert ended.keys() == two.keys() - one.keys()
        assert all(
            row == two[key]._replace(state=MarketState.RETIRED) for key, row in ended.items()
        )
        assert {row.row for row in ended.values()}.isdisjoint(row.row for row in next_two.values())


def but_for_tick(row: Market) -> Market:
    """The row without what the venue changes whenever the price comes near 0 or 1."""
    return row._replace(tick_e4=0)


def what_changed(generations: dict[int, list[Market]]) -> str:
    """Each row that a generation brought or changed, in words."""
    lines = []
    for before, after in pairwise(sorted(generations)):
        old = {row.key: row._asdict() for row in generations[before]}
        for row in generations[after]:
            was, now = old.get(row.key, {}), row._asdict()
            changes = {
                name: (was.get(name), now[name]) for name in now if was.get(name) != now[name]
            }
            if changes:
                lines.append(
                    f"generation {after}, {row.slug.decode()}: {changes if was else 'new'}"
                )
    return "\n".join(lines)
