"""The executor's surroundings on real shared memory: whoever else writes there is played here."""

import logging
import time
from types import SimpleNamespace

from executor.onlookers import Onlookers
from executor.reporting import Reports
from executor.situation import Surroundings
from executor.watching import Books
from shm.codes import BookState, Role
from shm.fabric import Fabric
from shm.layout import BOOK, BOOK_LEVELS, EXECUTOR_STATS, REPORT
from shm.markets import MarketsWriter
from shm.roles import RoleHolder
from shm.settings import Settings
from shm.stillness import Stillness
from tests.executor.written import MARKETS, Written


def column(values) -> tuple[int, ...]:
    return (*values, *([0] * (BOOK_LEVELS - len(values))))


class Stand:
    """A stage, what it reads, and the others who write it."""

    def __init__(self, segments: str, folder) -> None:
        self.fabric = Fabric(segments, Role.EXECUTOR)
        ingest, desk = Fabric(segments, Role.INGEST), Fabric(segments, Role.DESK)
        self.feed = RoleHolder(ingest.segment("control", writable=True), Role.INGEST)
        self._books = ingest.write_table("books", BOOK)
        self._markets = MarketsWriter(desk)
        self.engine = Fabric(segments, Role.ENGINE).consume("reports", REPORT)
        self.counters = self.fabric.counters("stats-executor.counters", EXECUTOR_STATS, write=True)
        self.killed = False
        self.stage = SimpleNamespace(
            fabric=self.fabric,
            settings=Settings(),
            switches=SimpleNamespace(trading=True),
            kill=SimpleNamespace(look=lambda: self.killed, requested=lambda: self.killed),
            log=logging.getLogger("test"),
            still=Stillness(),
        )
        self.venue = SimpleNamespace(idle=True, idle_connection=lambda: self.venue.idle or None)
        self.reports = Reports(self.fabric, self.counters)
        self.onlookers = Onlookers(self.stage, self.counters, self.reports)
        self.written = Written(folder)
        self.written.turns = []
        self.written.chronicle._on_turn = self.onlookers.turned
        self.books = Books(self.fabric)
        self.around = Surroundings(
            self.stage, self.written.chronicle, self.venue, self.books, self.reports
        )

    @property
    def state(self):
        return self.written.state

    def begin(self) -> None:
        """The journal is open, and the markets are known."""
        self.written.begin()
        self.publish()
        self.confirm()
        self.around.adopt()

    def counted(self, name: str) -> int:
        return getattr(self.counters.read(), name)

    def publish(self, generation: int = 1, markets=MARKETS) -> None:
        self._markets.publish(generation, markets)

    def confirm(self, rows=tuple(market.row for market in MARKETS)) -> None:
        """Discovery has confirmed the facts."""
        self._markets.confirm(rows, time.monotonic_ns())

    def book(self, one, bids=(), asks=(), **some) -> None:
        """Publish a book of a market."""
        row = BOOK.blank()._replace(
            market_key=one.key, epoch=self.feed.epoch, state=BookState.LIVE, tick_e4=10,
            received_ns=time.monotonic_ns(),
            bid_count=len(bids), ask_count=len(asks),
            bid_price_e4=column([p for p, _ in bids]), bid_size_e6=column([s for _, s in bids]),
            ask_price_e4=column([p for p, _ in asks]), ask_size_e6=column([s for _, s in asks]),
        )  # fmt: skip
        self._books.write(one.row, row._replace(**some))

    def heard(self) -> list:
        """What the engine is told."""
        found = []
        while (report := self.engine.pop()) is not None:
            found.append(report)
        return found
