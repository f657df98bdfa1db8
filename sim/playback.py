"""Recorded frames as a source: re-sent byte for byte at their pace, and traded against.

The book that the frames describe is held by the house. What users do to it is told in frames of our
own; the next recorded size of a level simply wins. Our frames carry the recording's time, so that
no client sees time run backwards. Raw frames name no Gamma facts, so there are no Gamma objects.
"""

from dataclasses import dataclass, field
from random import Random

from shm.errors import InputError
from shm.units import UnitError, parse_price_e4
from sim.book import PRICE_TEXT, level_text
from sim.events import Audience, Event, Frame, UserFrame
from sim.exchange import Exchange
from sim.hashing import BookText, book_hash
from sim.house import House, LevelKey
from sim.ladders import token_id
from sim.market import TICK_COARSE_E4, TICK_FINE_E4, Facts, Market, TradePrint
from sim.mispricing import Counts
from sim.order import OTHER_SIDE, Outcome, Side, in_yes_terms
from sim.quoting import beyond
from sim.recording import RecordedBook, RecordedFrame, RecordedLevel, RecordedTick
from sim.source import LadderView

UNTIMED_FRAMES_PER_SECOND = 20
RECORDED_MIN_SIZE = "5"


def due_times_ms(frames: list[RecordedFrame], speed: float) -> list[int]:
    """When each frame is due, in milliseconds after the first; never decreasing."""
    due: list[int] = []
    latest = 0.0
    first = next((one.at_ms for one in frames if one.at_ms is not None), None)
    for frame in frames:
        if frame.at_ms is None or first is None:
            latest += 1000.0 / UNTIMED_FRAMES_PER_SECOND
        else:
            latest = max(latest, float(frame.at_ms - first))
        due.append(round(latest / speed))
    return due


@dataclass(slots=True, eq=False)
class Playback:
    """The frames of one or more files, played once from the first subscription on."""

    exchange: Exchange
    frames: list[RecordedFrame]
    speed: float
    counts: Counts = field(default_factory=Counts)
    _house: House = field(init=False)
    _due: list[int] = field(init=False)
    _began_ms: int | None = None
    _next: int = 0

    def __post_init__(self) -> None:
        self._house = House(self.exchange.floor, Random(f"house {self.exchange.seed}"))
        self._due = due_times_ms(self.frames, self.speed)

    def start(self, now_ms: int) -> list[Event]:
        """List the recorded markets with the first book of each."""
        for market_id, tokens in tokens_of(self.frames).items():
            book = self._first_book(market_id)
            facts = facts_of(book, tokens)
            tick_e4 = book.tick_e4 or tick_of(book)
            market = Market(facts, tick_e4, book.stamp_ms, book.stamp_ms - now_ms)
            self.exchange.list_market(market)
            self._apply_book(market, book, now_ms)
        return []

    def wake(self, now_ms: int) -> None:
        """Begin to play."""
        if self._began_ms is None:
            self._began_ms = now_ms

    def step(self, now_ms: int) -> list[Event]:
        """Re-send what is due and follow it."""
        events: list[Event] = []
        while (
            self._began_ms is not None
            and self._next < len(self.frames)
            and self._due[self._next] <= now_ms - self._began_ms
        ):
            frame = self.frames[self._next]
            self._next += 1
            events += [Frame(Audience.MARKET, market, frame.text) for market in frame.markets]
            events += self._follow(frame, now_ms)
        return events

    def ladders(self) -> list[LadderView]:
        """Raw frames do not say which ladder they belong to."""
        return []

    def _first_book(self, market_id: str) -> RecordedBook:
        for frame in self.frames:
            for change in frame.changes:
                if isinstance(change, RecordedBook) and change.market == market_id:
                    return change
        raise InputError(f"the recording changes market {market_id} but has no `book` of it")

    def _follow(self, frame: RecordedFrame, now_ms: int) -> list[Event]:
        events: list[Event] = []
        for change in frame.changes:
            market, outcome = self.exchange.by_token[change.token]
            market.stamp_offset_ms = change.stamp_ms - now_ms
            if isinstance(change, RecordedBook):
                events += self._apply_book(market, change, now_ms)
            elif isinstance(change, RecordedLevel):
                events += self._apply_level(market, outcome, change, now_ms)
            elif isinstance(change, RecordedTick):
                market.tick_e4 = change.tick_e4
            else:
                market.last_trade = TradePrint(outcome, change.side, change.price_e4, 0, "")
            market.restamp(now_ms, market.last_trade)
        # The recorded frame speaks for the market; only what befell users is told besides.
        return [event for event in events if isinstance(event, UserFrame)]

    def _apply_book(self, market: Market, book: RecordedBook, now_ms: int) -> list[Event]:
        _, outcome = self.exchange.by_token[book.token]
        wanted: dict[LevelKey, int] = {}
        for side in Side:
            for price_e4 in self._house.levels(market, side):
                wanted[side, price_e4] = 0
        for own_side, levels in ((Side.BUY, book.bids), (Side.SELL, book.asks)):
            for price_e4, size_e6 in levels:
                wanted[in_yes_terms(outcome, own_side, price_e4)] = size_e6
        if book.last_trade:
            market.last_trade = print_of(book.last_trade)
        return self._house.set_levels(market, wanted.items(), now_ms)

    def _apply_level(
        self, market: Market, outcome: Outcome, level: RecordedLevel, now_ms: int
    ) -> list[Event]:
        side, price_e4 = in_yes_terms(outcome, level.side, level.price_e4)
        other = OTHER_SIDE[side]
        limit_e4 = price_e4 - 1 if side is Side.SELL else price_e4 + 1
        # Between the frames of one transaction recorded books may cross; the newer level wins.
        crossed = [
            ((other, standing_e4), 0)
            for standing_e4 in self._house.levels(market, other)
            if level.size_e6 and beyond(other, standing_e4, limit_e4)
        ]
        wanted = [*crossed, ((side, price_e4), level.size_e6)]
        return self._house.set_levels(market, wanted, now_ms)


def tokens_of(frames: list[RecordedFrame]) -> dict[str, tuple[str, str]]:
    """(YES, NO) of each market. The token that appears first in a book counts as YES."""
    seen: dict[str, dict[str, None]] = {}
    changes = [change for frame in frames for change in frame.changes]
    books_first = sorted(changes, key=lambda change: not isinstance(change, RecordedBook))
    for change in books_first:
        seen.setdefault(change.market, {})[change.token] = None
    pairs: dict[str, tuple[str, str]] = {}
    for market_id, tokens in seen.items():
        names = list(tokens)
        if len(names) == 1:
            # The sibling was never named; it gets an id that nobody else can have.
            names.append(token_id(0, f"sibling of {names[0]}"))
        if len(names) != len(Outcome):
            raise InputError(f"market {market_id} has {len(names)} tokens in the recording, not 2")
        pairs[market_id] = (names[0], names[1])
    return pairs


def facts_of(book: RecordedBook, tokens: tuple[str, str]) -> Facts:
    """Facts of a recorded market; neg-risk, which frames omit, is what makes the hash right."""
    return Facts(
        condition_id=book.market,
        tokens=tokens,
        neg_risk=_hash_of(book, neg_risk=True) == book.book_hash,
        version=book.version,
        tick_follows_price=False,
    )


def _hash_of(book: RecordedBook, *, neg_risk: bool) -> str:
    return book_hash(
        BookText(
            market=book.market,
            asset_id=book.token,
            timestamp=str(book.stamp_ms),
            bids=[level_text(*level) for level in book.bids],
            asks=[level_text(*level) for level in book.asks],
            min_order_size=RECORDED_MIN_SIZE,
            tick_size=PRICE_TEXT[book.tick_e4 or tick_of(book)],
            neg_risk=neg_risk,
            last_trade_price=book.last_trade or "",
        )
    )


def print_of(last_trade: str) -> TradePrint:
    """The last trade as a book names it: a price of the first token."""
    try:
        price_e4 = parse_price_e4(last_trade)
    except UnitError as error:
        raise InputError(f"last_trade_price in the recording: {error}") from error
    return TradePrint(Outcome.YES, Side.BUY, price_e4, 0, "")


def tick_of(book: RecordedBook) -> int:
    """The coarsest tick that the prices of a book allow."""
    prices = [price_e4 for price_e4, _ in book.bids + book.asks]
    for tick_e4 in (TICK_COARSE_E4, TICK_FINE_E4):
        if all(price_e4 % tick_e4 == 0 for price_e4 in prices):
            return tick_e4
    return 1
