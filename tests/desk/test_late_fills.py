"""Late fills: after a roll-over the executor still finds yesterday's markets, restarted or not."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from executor.bookkeeping import Bookkeeper
from tests.executor.test_bookkeeping import KEY, WALLET, FakeStage, account, trade

from desk.crawler import Crawler
from desk.discovery import Discovery
from executor.ledger import Ledger
from shm.codes import MarketState, Role
from shm.fabric import Fabric
from shm.layout import EXECUTOR_STATS, POSITION, Market
from shm.markets import MarketsReader
from tests.desk.venue import NEW_YORK, Ladder, Still, settings

NOON = datetime(2026, 11, 24, 12, tzinfo=NEW_YORK)


class World:
    """A desk that rolls over, and executors that come and go."""

    def __init__(self, instance: str, var_dir) -> None:
        self.instance = instance
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

    def executor(self) -> Bookkeeper:
        """A new process: it knows what the table says now."""
        counters = Fabric(self.instance, Role.EXECUTOR).counters(
            "stats-executor.counters", EXECUTOR_STATS, write=True
        )
        keeper = Bookkeeper(FakeStage(self.instance), counters)
        keeper.learn(self.rows())
        keeper.know_account(KEY, WALLET)
        keeper.start(Ledger(opening_usd_e6=100_000_000), (), next_place=0)
        return keeper

    def position(self, row: int):
        return Fabric(self.instance).read_table("positions", POSITION).read(row)


@pytest.fixture
def world(segments, tmp_path) -> World:
    return World(segments, tmp_path)


def yes(market: Market) -> str:
    return str(int.from_bytes(market.yes_token, "big"))


@pytest.mark.parametrize("restarted", [False, True])
def test_a_fill_after_the_expiry_finds_its_market_its_fee_and_its_row(world, restarted):
    yesterday = world.rows()[0]
    keeper = world.executor()
    world.roll_over()
    if restarted:
        keeper = world.executor()
    else:
        keeper.learn(world.rows())
    keeper.take_trade(trade(asset_id=yes(yesterday)))
    # Ten shares at 0.50, and the fee that the market had while it lived.
    assert account(world.instance).cash_usd_e6 == 100_000_000 - 5_000_000 - 175_000
    position = world.position(yesterday.row)
    assert (position.market_key, position.yes_e6) == (yesterday.key, 10_000_000)


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
