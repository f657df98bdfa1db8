"""A still system for the verbs that look: segments, markets, books, an engine that has looked."""

import time
from pathlib import Path

from desk.discovery import Discovery
from engine.baskets import compile_baskets
from engine.hurdle import hurdle_e8
from engine.reference import PythonCore
from shm.codes import MarketState, Role
from shm.control import SwitchPanel, publish_settings
from shm.fabric import Fabric
from shm.layout import BOOK, POSITION, Update
from shm.markets import MarketsReader
from shm.promoted import read_promoted
from shm.roles import RoleHolder
from shm.settings import DeskSettings, Settings
from tests.engine.books import book
from tests.engine.factory import ladder

STRIKES = [10, 20, 30]
SHARES = 100 * 10**6


class Stand:
    """Needs all segments of the instance to be made."""

    def __init__(self, instance: str, var: Path) -> None:
        self.settings = Settings(instance=instance, desk=DeskSettings(var_dir=str(var)))
        publish_settings(Fabric(instance, Role.SUPERVISOR), self.settings)
        ingest = Fabric(instance, Role.INGEST)
        self.ingest = RoleHolder(ingest.segment("control", writable=True), Role.INGEST)
        self._books = ingest.write_table("books", BOOK)
        desk = Fabric(instance, Role.DESK)
        self.panel = SwitchPanel(desk)
        self.panel.set_trading(enabled=True)
        self.discovery = Discovery(desk, self.settings)
        later_ms = time.time_ns() // 10**6 + 10 * 3_600_000
        self.markets = [one._replace(expiry_ms=later_ms) for one in ladder(STRIKES)]
        self.discovery.publish(self.markets)
        fabric = Fabric(instance, Role.ENGINE)
        self.engine = RoleHolder(fabric.segment("control", writable=True), Role.ENGINE)
        fabric.fence = self.engine.fence
        self.core = PythonCore(fabric, self.settings.engine, self.engine.epoch)
        self._reader = MarketsReader(Fabric(instance))
        self.var = self.settings.var_path

    def quote(self, row: int, bid_e4: int | None, ask_e4: int | None, *, age_ms: int = 0) -> None:
        """Show a market's book: one level a side."""
        received_ns = time.monotonic_ns() - age_ms * 10**6
        bids = [] if bid_e4 is None else [(bid_e4, SHARES)]
        asks = [] if ask_e4 is None else [(ask_e4, SHARES)]
        shown = book(bids, asks, key=self.markets[row].key, received_ns=received_ns)
        self._books.write(row, shown._replace(epoch=self.ingest.epoch))

    def hold(self, row: int, *, yes_e6: int, free_e6: int) -> None:
        """Show a position of YES, of which so much is free."""
        table = Fabric(self.settings.instance, Role.EXECUTOR).write_table("positions", POSITION)
        key = self.markets[row].key
        shown = POSITION.blank()._replace(market_key=key, yes_e6=yes_e6, yes_free_e6=free_e6)
        table.write(row, shown._replace(fills=1))

    def fair(self) -> None:
        """Every market at a fair price for equal chances of the four intervals, ten cents wide."""
        for one in self.markets:
            share = {"ABOVE": 3 - one.row, "RANGE": 1, "BELOW": 1, "TOP": 1}[one.kind.name]
            self.quote(one.row, 2_500 * share - 500, 2_500 * share + 500)

    def decide(self, *, rounds: int = 40) -> None:
        """What the engine does with a new generation and an update of every market."""
        self.ingest.beat(time.monotonic_ns())
        generation, rows = self._reader.read()
        markets = [row for row in rows if row.state == MarketState.ACTIVE]
        baskets = compile_baskets(markets, promoted=read_promoted(self.var)).baskets
        now_ms = time.time_ns() // 10**6
        hurdles = [hurdle_e8(one, self.settings.engine, now_ms) for one in baskets]
        self.core.adopt(self.core.prepare(baskets, hurdles), generation)
        self.core.follow_ingest()
        for one in markets:
            now_ns = time.monotonic_ns()
            self.core.take(Update(one.row, 0, 0, 0, now_ns, now_ns, now_ns), now_ns)
        for _ in range(rounds):
            self.core.show(time.monotonic_ns())
