"""Live books as a source: ladders, books and outcomes are the live venue's, trades are ours. Pure.

The live venue's words come in as values (`learn`, `hear`, `lost`), with the time;
sim/mirror_link.py fetches them. The books are held by the house, so that our orders match against
real depth by the venue's rules; a market ends when the live venue says how, and by nothing else.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import msgspec

from shm.units import PRICE_ONE_E4, parse_price_e4
from sim.catalog import Catalog
from sim.coins import Coin
from sim.events import Audience, Event, Frame
from sim.exchange import Exchange
from sim.gamma import market_resolved_text, new_market_text
from sim.house import House, LevelKey
from sim.ladders import ListedEvent
from sim.market import Market, TradePrint
from sim.mispricing import Counts
from sim.order import Outcome, Side, in_yes_terms
from sim.playback import print_of
from sim.recording import (
    Change,
    Levels,
    RecordedBook,
    RecordedLevel,
    RecordedTick,
    RecordedTrade,
    changes_of,
    market_of,
    parts_of,
)
from sim.reflection import Reflection
from sim.retelling import LiveEvent, LiveMarket, Settled
from sim.source import LadderView

_LOG = logging.getLogger("sim.mirror")
_SAID_MAX = 1_000
QUIET_MS = 1_000
"""Between the frames of one transaction the tops that they tell are not those of the book yet."""
_KINDS = frozenset(
    {"book", "price_change", "tick_size_change", "last_trade_price", "market_resolved"}
)
"""What a book or its end depends on; other types may say what they like."""


class _Resolved(msgspec.Struct):
    market: str
    winning_asset_id: str


class _Kind(msgspec.Struct):
    event_type: str = ""


@dataclass(slots=True, eq=False)
class Mirrored:
    """One market of the live venue and ours."""

    market_id: str
    market: Market
    reflection: Reflection
    open: bool
    """Whether the live venue takes orders in it."""
    stamp_ms: int = 0
    """Live time of its last frame."""
    told: tuple[int, int] | None = None
    """Best bid and ask of our token as the last frame told them, until compared;"""
    told_ms: int = 0
    """and when."""

    @property
    def token(self) -> str:
        """The token to subscribe to; the other one's book is its mirror image."""
        return self.market.facts.tokens[Outcome.YES]


@dataclass(slots=True, eq=False)
class Mirror:
    """The source of an exchange that mirrors a live venue."""

    exchange: Exchange
    catalog: Catalog
    coins: tuple[Coin, ...]
    days: int
    counts: Counts = field(default_factory=Counts)
    connected: bool = False
    """Whether all lines of the live market channel are up; told by the link."""
    trouble: str = "not asked yet"
    """Why the live venue is not heard, or ""."""
    frames: int = 0
    unreadable: int = 0
    losses: int = 0
    gaps: int = 0
    """Books whose top was not what the live venue told."""
    doubted: set[str] = field(default_factory=set)
    """Tokens whose book is not believed any more; the link asks for them again."""
    news: bool = False
    """The live venue has listed something; the link looks at once."""
    markets: dict[str, Mirrored] = field(default_factory=dict)
    """By condition id; those that have ended are dropped."""
    _house: House = field(init=False)
    _said: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._house = House(self.exchange.floor, Random(f"house {self.exchange.seed}"))

    # What a server wants of a source.

    def start(self, _now_ms: int) -> list[Event]:
        """Nothing is known yet; the link learns it."""
        return []

    def wake(self, now_ms: int) -> None:
        """The live venue runs whoever listens."""

    def step(self, now_ms: int) -> list[Event]:
        """Compare quiet books with what the live venue told of their tops."""
        self.exchange.floor.bought.clear()
        events: list[Event] = []
        for one in self.markets.values():
            if one.told is not None and now_ms - one.told_ms >= QUIET_MS:
                if one.reflection.fresh and not _tops_agree(one.reflection, one.told):
                    self.gaps += 1
                    self._say([f"{one.market_id}: the book has missed something"])
                    self.doubted.add(one.token)
                    events += one.reflection.lose(now_ms)
                one.told = None
        return events

    def ladders(self) -> list[LadderView]:
        """Nobody knows the live venue's fair values; Gamma's pages have the ladders."""
        return []

    def state(self) -> dict[str, Any]:
        """For /sim/state."""
        fresh = sum(one.reflection.fresh for one in self.markets.values())
        return {
            "connected": self.connected,
            "trouble": self.trouble,
            "markets": len(self.tokens()),
            "markets_fresh": fresh,
            "frames": self.frames,
            "frames_unreadable": self.unreadable,
            "losses": self.losses,
            "gaps": self.gaps,
        }

    def tokens(self) -> list[str]:
        """The tokens to subscribe to."""
        return [one.token for one in self.markets.values() if one.open]

    def stale(self, tokens: Iterable[str]) -> set[str]:
        """Those of the tokens that wait for a snapshot."""
        return {t for t in tokens if (one := self._of(t)) and not one.reflection.fresh}

    def unsettled(self) -> dict[str, Coin]:
        """Slugs of the events with a market whose end is not known yet."""
        known = (self.catalog.market_by_condition.get(one) for one in self.markets)
        return {listed[0].slug: listed[0].coin for listed in known if listed is not None}

    # What the live venue lists.

    def learn(self, live: Iterable[LiveEvent], now_ms: int) -> list[Event]:
        """Take in what live Gamma says of some events."""
        events: list[Event] = []
        for one in live:
            listed = [m for m in one.markets if self._lists(m)]
            self._say(one.left_out)
            kept = tuple(m.listing for m in listed)
            self.catalog.renew(replace(one.event, listings=kept))
            for market in listed:
                events += self._learn(market, one.event, now_ms)
        return events

    def _lists(self, live: LiveMarket) -> bool:
        """Whether a market is ours, or may become ours."""
        facts = live.listing.facts
        known = self.exchange.floor.markets.get(facts.condition_id)
        if known is not None:
            return known.facts.tokens == facts.tokens
        return live.accepting and not any(t in self.exchange.by_token for t in facts.tokens)

    def _learn(self, live: LiveMarket, event: ListedEvent, now_ms: int) -> list[Event]:
        facts = live.listing.facts
        if facts.condition_id not in self.exchange.floor.markets:
            return self._list(live, event, now_ms)
        mirrored = self.markets.get(facts.condition_id)
        if mirrored is None:
            return []
        if live.settled is not None:
            return self._settle(mirrored, live.settled, now_ms)
        market = mirrored.market
        if market.facts != facts:
            market.facts = facts
            market.restamp(now_ms, market.last_trade)
        market.hold_ms = live.hold_ms
        mirrored.open = market.accepting = live.accepting
        return [] if live.accepting else mirrored.reflection.lose(now_ms)

    def _list(self, live: LiveMarket, event: ListedEvent, now_ms: int) -> list[Event]:
        listing = live.listing
        condition_id = listing.facts.condition_id
        market = Market(listing.facts, live.tick_e4, now_ms, hold_ms=live.hold_ms)
        self.exchange.list_market(market)
        reflection = Reflection(market, self._house)
        self.markets[condition_id] = Mirrored(listing.market_id, market, reflection, open=True)
        text = new_market_text(event, listing, live.tick_e4, now_ms)
        return [Frame(Audience.EVERY_CUSTOM, condition_id, text)]

    def _settle(self, one: Mirrored, settled: Settled, now_ms: int) -> list[Event]:
        facts = one.market.facts
        del self.markets[facts.condition_id]
        events = one.reflection.lose(now_ms)
        events += self.exchange.resolve(facts.condition_id, settled.winner, now_ms)
        text = market_resolved_text(one.market_id, facts, settled.winner, now_ms)
        return events + [Frame(Audience.TOKEN_CUSTOM, token, text) for token in facts.tokens]

    # What its market channel says.

    def lost(self, tokens: Iterable[str], now_ms: int) -> list[Event]:
        """The line that carried these tokens is gone: their books are withdrawn."""
        self.losses += 1
        found = [one for token in tokens if (one := self._of(token)) is not None]
        return [event for one in found for event in one.reflection.lose(now_ms)]

    def hear(self, text: str, now_ms: int) -> list[Event]:
        """One frame, applied as a whole; what cannot be read costs its market the book."""
        self.frames += 1
        try:
            parts = parts_of(text)
        except ValueError as error:
            return self._doubt(None, str(error), now_ms)
        events: list[Event] = []
        for part in parts:
            try:
                events += self._part(part, now_ms)
            except ValueError as error:
                events += self._doubt(part, str(error), now_ms)
        return events

    def _part(self, part: msgspec.Raw, now_ms: int) -> list[Event]:
        kind = msgspec.json.decode(part, type=_Kind).event_type
        if kind == "new_market":
            self.news = True
        if kind not in _KINDS:
            return []
        about = market_of(part)
        if about is None:
            raise ValueError(f"a {kind} without a market")
        one = self.markets.get(about)
        if one is None or not one.open:
            return []
        if kind == "market_resolved":
            return self._resolved(msgspec.json.decode(part, type=_Resolved), one, now_ms)
        changes = changes_of(part)
        if any(change.token not in one.market.facts.tokens for change in changes):
            raise ValueError("a token that its market does not have")
        stamp_ms = changes[0].stamp_ms if changes else 0
        if not changes or (stamp_ms < one.stamp_ms and one.reflection.fresh):
            return []
        one.stamp_ms = stamp_ms
        one.market.stamp_offset_ms = stamp_ms - now_ms
        return self._apply(one, changes, now_ms)

    def _apply(self, one: Mirrored, changes: list[Change], now_ms: int) -> list[Event]:
        first, market = changes[0], one.market
        if isinstance(first, RecordedBook):
            return self._book(one, first, now_ms)
        if isinstance(first, RecordedTick):
            return self._tick(market, first.tick_e4, now_ms)
        if isinstance(first, RecordedTrade):
            outcome = self.exchange.by_token[first.token][1]
            told = first.side, first.price_e4, first.size_e6, first.transaction_hash
            return list(market.commit([], [TradePrint(outcome, *told)], now_ms))
        if not one.reflection.fresh:
            return []
        own = next((c for c in changes if c.token == one.token), None)
        if isinstance(own, RecordedLevel) and own.best_bid and own.best_ask:
            tops = parse_price_e4(own.best_bid), parse_price_e4(own.best_ask)
            one.told, one.told_ms = tops, now_ms
        sizes: dict[LevelKey, int] = {}
        for change in changes:
            assert isinstance(change, RecordedLevel)  # a price_change holds nothing else
            outcome = self.exchange.by_token[change.token][1]
            key = _key(outcome, change.side, change.price_e4)
            if sizes.setdefault(key, change.size_e6) != change.size_e6:
                raise ValueError("both tokens of the market do not say the same")
        return one.reflection.change(sizes.items(), now_ms)

    def _book(self, one: Mirrored, book: RecordedBook, now_ms: int) -> list[Event]:
        market, outcome = self.exchange.by_token[book.token]
        levels = _levels(outcome, Side.BUY, book.bids) | _levels(outcome, Side.SELL, book.asks)
        events: list[Event] = []
        if book.tick_e4 is not None:
            events += self._tick(market, book.tick_e4, now_ms)
        one.told = None
        events += one.reflection.replace(levels, now_ms)
        if book.last_trade:
            last = print_of(book.last_trade)
            before = market.last_trade_text()
            market.restamp(now_ms, last)
            if market.last_trade_text() != before:
                events += market.commit([], [last], now_ms)
        return events

    @staticmethod
    def _tick(market: Market, tick_e4: int, now_ms: int) -> list[Event]:
        if not 0 < tick_e4 < PRICE_ONE_E4:
            raise ValueError(f"a tick of {tick_e4 / PRICE_ONE_E4}")
        return [] if tick_e4 == market.tick_e4 else list(market.refine_tick(now_ms, tick_e4))

    def _resolved(self, frame: _Resolved, one: Mirrored, now_ms: int) -> list[Event]:
        tokens = one.market.facts.tokens
        if frame.winning_asset_id and frame.winning_asset_id not in tokens:
            raise ValueError("the winner is no token of the market")
        winner = Outcome(tokens.index(frame.winning_asset_id)) if frame.winning_asset_id else None
        return self._settle(one, Settled(winner), now_ms)

    def _doubt(self, part: msgspec.Raw | None, why: str, now_ms: int) -> list[Event]:
        """A frame that cannot be read: the books that it may have been about are not believed."""
        self.unreadable += 1
        self._say([f"a frame cannot be read: {why}"])
        try:
            about = None if part is None else market_of(part)
        except ValueError:
            about = None
        one = self.markets.get(about or "")
        doubted = list(self.markets.values()) if about is None else [one] if one else []
        self.doubted |= {each.token for each in doubted if each.open}
        return [event for each in doubted for event in each.reflection.lose(now_ms)]

    def _of(self, token: str) -> Mirrored | None:
        known = self.exchange.by_token.get(token)
        return None if known is None else self.markets.get(known[0].facts.condition_id)

    def _say(self, lines: Iterable[str]) -> None:
        """Log each thing once."""
        if len(self._said) > _SAID_MAX:
            self._said.clear()
        for line in lines:
            if line not in self._said:
                self._said.add(line)
                _LOG.warning("%s", line)


def _key(outcome: Outcome, side: Side, price_e4: int) -> LevelKey:
    if not 0 < price_e4 < PRICE_ONE_E4:
        raise ValueError(f"a level at {price_e4 / PRICE_ONE_E4}")
    return in_yes_terms(outcome, side, price_e4)


def _tops_agree(reflection: Reflection, told: tuple[int, int]) -> bool:
    """Whether the live book's best levels are those that were told; 0 and 1 are empty sides."""
    best = reflection.best_e4(Side.BUY) or 0, reflection.best_e4(Side.SELL) or PRICE_ONE_E4
    return best == told


def _levels(outcome: Outcome, side: Side, levels: Levels) -> dict[LevelKey, int]:
    found: dict[LevelKey, int] = {}
    for price_e4, size_e6 in levels:
        key = _key(outcome, side, price_e4)
        if key in found:
            raise ValueError(f"two levels at {price_e4 / PRICE_ONE_E4}")
        found[key] = size_e6
    return found
