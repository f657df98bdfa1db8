"""Late fills: after a roll-over the executor still finds yesterday's markets, restarted or not."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from desk.crawler import Crawler
from desk.discovery import Discovery
from executor.chronicle import Chronicle
from executor.intake import Intake
from executor.journal import Journal
from executor.showing import Picture
from executor.snapshot import draft, market_row
from executor.stock import Stock
from shm import records
from shm.codes import MarketState, Role
from shm.fabric import Fabric
from shm.layout import EXECUTOR_STATS, POSITION, Market
from shm.limits import JournalSettings
from shm.markets import MarketsReader
from shm.records import Kind
from tests.desk.venue import NEW_YORK, Ladder, Still, settings
from tests.executor.test_ledger import KEY, trade

NOON = datetime(2026, 11, 24, 12, tzinfo=NEW_YORK)


class World:
    """A desk that rolls over, and executors that come and go."""

    def __init__(self, instance: str, var_dir) -> None:
        self.instance = instance
        self.var_dir = var_dir
        self.now = NOON.astimezone(UTC) - timedelta(hours=1)
        self.tree = settings(str(var_dir))
        self.venue = Still(Ladder("BTC", NOON).events())
        self.discovery = Discovery(Fabric(instance, Role.DESK), self.tree, lambda: self.now)
        self.crawler = Crawler(self.venue, self.tree)
        self.markets = MarketsReader(Fabric(instance))
        self.round()

    def round(self) -> None:
        asyncio.run(self.discovery.round(self.crawler))

    def roll_over(self) -> None:
        self.now = NOON.astimezone(UTC)
        self.discovery.tick()
        self.venue.events = Ladder("BTC", NOON + timedelta(days=1)).events()
        self.round()

    def rows(self) -> list[Market]:
        return self.markets.read()[1]

    def executor(self) -> "Books":
        """A new process: its journal, and what the table says now."""
        return Books(self)

    def position(self, row: int):
        return Fabric(self.instance).read_table("positions", POSITION).read(row)


class Books:
    """An executor without a network: what it remembers, takes in and shows."""

    def __init__(self, world: World) -> None:
        self._world = world
        fabric = Fabric(world.instance, Role.EXECUTOR)
        counters = fabric.counters("stats-executor.counters", EXECUTOR_STATS, write=True)
        folder = world.var_dir / "journal"
        self.journal = Journal.open(
            folder, bytes(range(20)), JournalSettings(segment_records=1_024), threaded=False
        )
        self.chronicle = Chronicle(self.journal, lambda _turn: None)
        self.picture = Picture(fabric)
        opened = records.Opened(1, 100_000_000, 1, 0, 0, bytes(16), bytes(32), b"test")
        self.chronicle.say(Kind.OPENED, opened)
        self.adopt()
        self.intake = Intake(self.chronicle, counters, KEY)
        self.intake.open()

    def adopt(self) -> None:
        """As a running executor does: active markets are remembered, all rows are known."""
        rows = self._world.rows()
        known = [draft(Kind.MARKET, market_row(m)) for m in rows if m.state == MarketState.ACTIVE]
        self.chronicle.tell(known)
        self.picture.know(rows)

    def end(self) -> None:
        self.journal.close()


@pytest.fixture
def world(segments, tmp_path) -> World:
    return World(segments, tmp_path)


def yes(market: Market) -> str:
    return str(int.from_bytes(market.yes_token, "big"))


@pytest.mark.parametrize("restarted", [False, True])
def test_a_fill_after_the_expiry_finds_its_market_its_fee_and_its_row(world, restarted):
    yesterday = world.rows()[0]
    books = world.executor()
    world.roll_over()
    if restarted:
        books.end()
        books = world.executor()
    else:
        books.adopt()
    books.intake.take_one(trade(asset_id=yes(yesterday), taker_order_id="0x" + "ab" * 32))
    books.picture.draw_positions(Stock(books.chronicle.state.ledger))
    # Ten shares at 0.50, and the fee that the market had while it lived.
    assert books.chronicle.state.ledger.cash_usd_e6 == 100_000_000 - 5_000_000 - 175_000
    position = world.position(yesterday.row)
    assert (position.market_key, position.yes_e6) == (yesterday.key, 10_000_000)
    books.end()


def test_nobody_moves_into_the_row_while_fills_may_come(world):
    before = {row.row: row.key for row in world.rows()}
    world.roll_over()
    grace = timedelta(seconds=world.tree.desk.row_grace_s)
    world.now = NOON.astimezone(UTC) + grace - timedelta(seconds=1)
    world.discovery.tick()
    for row in world.rows()[: len(before)]:
        assert (row.state, row.key) == (MarketState.RETIRED, before[row.row])
    world.now += timedelta(seconds=1)
    world.discovery.tick()
    assert {row.state for row in world.rows()[: len(before)]} == {MarketState.FREE}
    world.venue.events += Ladder("BTC", NOON + timedelta(days=1), year_in_name=False).events()
    world.round()
    after = {row.row: row.key for row in world.rows()}
    assert set(after) == {*range(2 * len(before))}
    assert all(after[row] != key for row, key in before.items())
