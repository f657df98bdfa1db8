"""Crawled quotes as a source: each crawl sets the best bid and ask of its markets, in order."""

from dataclasses import dataclass, field
from random import Random

from sim.catalog import Catalog
from sim.crawls import LEVEL_E6, Crawl, Quote
from sim.events import Event
from sim.exchange import Exchange
from sim.house import House, LevelKey
from sim.ladders import Ladder
from sim.market import TICK_FINE_E4, Market
from sim.mispricing import Counts
from sim.order import Side
from sim.source import LadderView


@dataclass(slots=True, eq=False)
class CrawlPlayback:
    """The crawls, played once from the first subscription on; the first one stands at the start.

    Frames carry the time of the crawl, so that books and text belong to the same days.
    """

    exchange: Exchange
    catalog: Catalog
    recorded: list[Ladder]
    crawls: list[Crawl]
    speed: float
    counts: Counts = field(default_factory=Counts)
    _house: House = field(init=False)
    _markets: dict[str, Market] = field(default_factory=dict)
    _began_ms: int | None = None
    _next: int = 1

    def __post_init__(self) -> None:
        self._house = House(self.exchange.floor, Random(f"house {self.exchange.seed}"))

    def start(self, now_ms: int) -> list[Event]:
        """List all recorded markets and apply the first crawl."""
        for ladder in self.recorded:
            for event in (ladder.above, ladder.price):
                if event.listings:
                    self.catalog.add(event)
            for listing in ladder.listings:
                market = Market(listing.facts, TICK_FINE_E4, self.crawls[0].at_ms)
                self.exchange.list_market(market)
                self._markets[listing.market_id] = market
        return self._apply(self.crawls[0], now_ms)

    def wake(self, now_ms: int) -> None:
        """Begin to play."""
        if self._began_ms is None:
            self._began_ms = now_ms

    def step(self, now_ms: int) -> list[Event]:
        """Apply the crawls that are due, each as a whole."""
        events: list[Event] = []
        while self._began_ms is not None and self._next < len(self.crawls):
            crawl = self.crawls[self._next]
            due_ms = round((crawl.at_ms - self.crawls[0].at_ms) / self.speed)
            if due_ms > now_ms - self._began_ms:
                break
            self._next += 1
            events += self._apply(crawl, now_ms)
        return events

    def ladders(self) -> list[LadderView]:
        """All recorded ladders; nobody knows their fair values."""
        return [(ladder, [None] * len(ladder.listings)) for ladder in self.recorded]

    def _apply(self, crawl: Crawl, now_ms: int) -> list[Event]:
        events: list[Event] = []
        for quote in crawl.quotes:
            market = self._markets[quote.market_id]
            market.stamp_offset_ms = crawl.at_ms - now_ms
            events += self._house.set_levels(market, self._wanted(market, quote), now_ms)
        return events

    def _wanted(self, market: Market, quote: Quote) -> list[tuple[LevelKey, int]]:
        wanted: dict[LevelKey, int] = {}
        for side, price_e4 in ((Side.BUY, quote.bid_e4), (Side.SELL, quote.ask_e4)):
            for standing_e4 in self._house.levels(market, side):
                wanted[side, standing_e4] = 0
            if price_e4 is not None:
                wanted[side, price_e4] = LEVEL_E6
        return list(wanted.items())
