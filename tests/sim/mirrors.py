"""A live venue and its mirror in one process, without sockets: what one says the other hears."""

import json
from dataclasses import replace

import msgspec

from sim.catalog import Catalog
from sim.coins import COINS
from sim.encode import initial_dump
from sim.events import Audience, Frame
from sim.exchange import Exchange
from sim.gamma import event_object
from sim.mirror import Mirror
from sim.order import Outcome, Side
from sim.retelling import read_event
from sim.trades import Delays
from sim.venue import Call, Venue
from tests.sim.generated import generated
from tests.sim.traders import NOW_MS

OPENING_USD_E6 = 10_000_000_000


def mirror(coins=("BTC",), days=1) -> Mirror:
    exchange = Exchange(2, OPENING_USD_E6, Delays(400, 1200))
    return Mirror(exchange, Catalog(), tuple(COINS[coin] for coin in coins), days)


def venue_of(source) -> Venue:
    return Venue(source.exchange, source.catalog, source, NOW_MS)


def get(handler, venue, **query):
    """The reply of a GET handler, as a client would decode it."""
    call = Call(b"", {}, {name: [value] for name, value in query.items()}, NOW_MS)
    return json.loads(msgspec.json.encode(handler(venue, call).body))


def gamma(catalog, exchange) -> list[bytes]:
    """The live venue's events as it would send them."""
    markets = exchange.floor.markets
    return [msgspec.json.encode(event_object(one, markets)) for one in catalog.events.values()]


class Pair:
    """A generator that plays the live venue, and its mirror."""

    def __init__(self, seed=1, **options):
        self.live, _ = generated(seed, **options)
        self.mirror = mirror(("BTC",))
        self.events = []
        """Everything that the mirror has told."""
        self.hashes_compared = 0

    def learn(self, now_ms):
        told = gamma(self.live.catalog, self.live.exchange)
        events = [read_event(one, COINS["BTC"]) for one in told]
        self.events += self.mirror.learn(events, now_ms)

    def connect(self, now_ms):
        """A new line: one snapshot a market."""
        tokens = self.mirror.tokens()
        found = [self.live.exchange.by_token[token] for token in tokens]
        dump = initial_dump([market.initial_book(outcome) for market, outcome in found])
        self.events += self.mirror.hear(dump, now_ms)

    def tell(self, events, now_ms):
        """What a line delivers that holds the YES token of each market and custom features."""
        tokens = set(self.mirror.tokens())
        for event in events:
            if isinstance(event, Frame) and (
                event.audience in {Audience.MARKET, Audience.EVERY_CUSTOM} or event.key in tokens
            ):
                self.events += self.mirror.hear(event.text, now_ms)

    def step(self, now_ms):
        events = self.live.step(now_ms) + self.live.exchange.advance(now_ms)
        self.tell(events, now_ms)
        return events

    def unequal(self):
        """Markets whose levels are not equal; once we have moved, stamps and hashes are our own."""
        theirs = self.live.exchange.floor.markets
        return [
            condition_id
            for condition_id, one in self.mirror.markets.items()
            if levels(one.market) != levels(theirs[condition_id])
        ]

    def differences(self):
        """Books that are not equal to the last byte: levels, tick, and the hash.

        The hash covers the last price, and a trade of the other token is told to nobody who holds
        only ours; and the stamp, which a change of a level to what it was does not move here.
        Everything else is compared all the same.
        """
        found = []
        for condition_id, ours in self.mirror.markets.items():
            theirs = self.live.exchange.floor.markets[condition_id]
            for outcome in Outcome:
                mine, other = ours.market.text(outcome), theirs.text(outcome)
                known = (mine.last_trade_price, mine.timestamp) == (
                    other.last_trade_price,
                    other.timestamp,
                )
                mine, other = (
                    replace(text, last_trade_price="", timestamp="") for text in (mine, other)
                )
                if mine != other:
                    found.append((condition_id, mine, other))
                if known and ours.market.hashes != theirs.hashes:
                    found.append((condition_id, "hashes"))
                self.hashes_compared += known
        return found


def levels(market) -> dict:
    """All levels of a market, in YES terms."""
    return {
        (side, price_e4): market.book.size_e6(side, price_e4)
        for side in Side
        for price_e4 in market.book.halves[side].prices()
    }
