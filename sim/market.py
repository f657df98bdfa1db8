"""One market of the venue: its facts, its book, and the frames that a change of the book causes.

A transaction is everything that one request does to the book. Its frames share one timestamp, one
pair of hashes and one best bid and ask: those of the state after its last change (recorded and
verified on the venue; protocol.md A.3). The last trade price is held in YES terms for both tokens:
in the recorded session of 30 September 2026 a BUY of the second token at 0.51 left "0.490" in the
hashes of both.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from shm.units import PRICE_ONE_E4, format_size
from sim import encode
from sim.book import PRICE_TEXT, Book
from sim.events import Audience, Frame
from sim.hashing import BookText, book_hash
from sim.order import OTHER_OUTCOME, OTHER_SIDE, Outcome, Side, own_price_e4

TICK_COARSE_E4 = 100
TICK_FINE_E4 = 10
TICK_EDGE_LOW_E4 = 400
TICK_EDGE_HIGH_E4 = 9_600


@dataclass(frozen=True, slots=True)
class Facts:
    """What never changes about a market. `tokens` are (YES, NO), decimal texts."""

    condition_id: str
    tokens: tuple[str, str]
    neg_risk: bool
    version: str = "v1"
    min_size_e6: int = 5_000_000
    fee_rate_e6: int = 70_000
    tick_follows_price: bool = True


@dataclass(frozen=True, slots=True)
class Touch:
    """A level that a transaction changed, and the token whose order changed it."""

    side: Side
    price_e4: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class TradePrint:
    """A trade to be told on the market channel, in the taker's own terms."""

    outcome: Outcome
    side: Side
    price_e4: int
    size_e6: int
    transaction_hash: str


@dataclass(slots=True, eq=False)
class Market:
    """A market that trades.

    `stamp_offset_ms` moves the timestamps of its frames away from the clock of the process, for
    recordings; `stamp_ms` is the time of the last change. `hashes` are those of (YES, NO).
    `hold_ms` is the delay of takers (`itode`), 0 in markets without. `payout` is what (YES, NO) pay
    once the market has been resolved.
    """

    facts: Facts
    tick_e4: int
    stamp_ms: int
    stamp_offset_ms: int = 0
    accepting: bool = True
    hold_ms: int = 0
    last_trade: TradePrint | None = None
    payout: tuple[str, str] | None = None
    book: Book = field(default_factory=Book)
    hashes: tuple[str, str] = ("", "")
    _tops: tuple[int | None, int | None] = field(init=False, default=(None, None))

    def __post_init__(self) -> None:
        self._rehash()

    def text(self, outcome: Outcome) -> BookText:
        """The book of one token as texts."""
        bids, asks = self.book.fragments(outcome)
        return BookText(
            market=self.facts.condition_id,
            asset_id=self.facts.tokens[outcome],
            timestamp=str(self.stamp_ms),
            bids=bids,
            asks=asks,
            min_order_size=format_size(self.facts.min_size_e6),
            tick_size=PRICE_TEXT[self.tick_e4],
            neg_risk=self.facts.neg_risk,
            last_trade_price=self.last_trade_text(),
        )

    def last_trade_text(self) -> str:
        """Last trade in YES terms with at least three decimals, or "" before the first."""
        if self.last_trade is None:
            return ""
        return three_decimals(own_price_e4(self.last_trade.outcome, self.last_trade.price_e4))

    def initial_book(self, outcome: Outcome) -> str:
        """The element of an initial dump."""
        return encode.book_initial(self.text(outcome), self.hashes[outcome])

    def rest_book(self, outcome: Outcome) -> str:
        """The body of GET /book."""
        return self.text(outcome).serialized(self.hashes[outcome])

    def best_texts(self, outcome: Outcome) -> tuple[str, str]:
        """Best bid and ask of one token; "0" and "1" stand for an empty side."""
        bid = self.book.best_of(outcome, Side.BUY)
        ask = self.book.best_of(outcome, Side.SELL)
        return (
            PRICE_TEXT[0 if bid is None else bid],
            PRICE_TEXT[PRICE_ONE_E4 if ask is None else ask],
        )

    def spread_e4(self, outcome: Outcome) -> int:
        """Ask minus bid, an empty side counting as 0 or 1."""
        bid = self.book.best_of(outcome, Side.BUY) or 0
        ask = self.book.best_of(outcome, Side.SELL)
        return (PRICE_ONE_E4 if ask is None else ask) - bid

    def commit(
        self, touched: Iterable[Touch], trades: Iterable[TradePrint], now_ms: int
    ) -> list[Frame]:
        """Stamp, hash and encode what one transaction did to the book.

        Order: the level changes, then after a trade both books, then the trades, then the tops.
        """
        levels = {(touch.side, touch.price_e4): touch for touch in reversed(list(touched))}
        prints = list(trades)
        if not levels and not prints:
            return []
        before = self._tops
        self.restamp(now_ms, prints[-1] if prints else self.last_trade)
        frames = [self._level_frame(touch) for touch in reversed(levels.values())]
        if prints:
            frames += self._book_frames()
            frames += [self._trade_frame(one) for one in prints]
        if self._tops != before:
            frames += self._top_frames()
        if self._wants_fine_tick():
            frames += self.refine_tick(now_ms)
        return frames

    def refine_tick(self, now_ms: int, tick_e4: int = TICK_FINE_E4) -> list[Frame]:
        """Change to a finer tick: tell it, then send both books again, as their hash changed."""
        old, self.tick_e4 = PRICE_TEXT[self.tick_e4], tick_e4
        self.restamp(now_ms, self.last_trade)
        told = [
            Frame(
                Audience.TOKEN,
                token,
                encode.tick_size_change(
                    self.facts.condition_id, token, (old, PRICE_TEXT[tick_e4]), str(self.stamp_ms)
                ),
            )
            for token in self.facts.tokens
        ]
        return told + self._book_frames()

    def _wants_fine_tick(self) -> bool:
        if not self.facts.tick_follows_price or self.tick_e4 != TICK_COARSE_E4:
            return False
        bid = self.book.best_e4(Side.BUY)
        ask = self.book.best_e4(Side.SELL)
        return (bid is not None and bid > TICK_EDGE_HIGH_E4) or (
            ask is not None and ask < TICK_EDGE_LOW_E4
        )

    def restamp(self, now_ms: int, last_trade: TradePrint | None) -> None:
        """Make the present state the newest one, with this last trade; nothing is told."""
        # Clients drop what is older than what they have, so our stamps never run backwards.
        self.stamp_ms = max(self.stamp_ms, now_ms + self.stamp_offset_ms)
        self.last_trade = last_trade
        self._rehash()

    def _rehash(self) -> None:
        self.hashes = (
            book_hash(self.text(Outcome.YES)),
            book_hash(self.text(Outcome.NO)),
        )
        self._tops = (self.book.best_e4(Side.BUY), self.book.best_e4(Side.SELL))

    def _level_frame(self, touch: Touch) -> Frame:
        size = format_size(self.book.size_e6(touch.side, touch.price_e4))
        first = self._entry(touch, touch.outcome, size)
        second = self._entry(touch, OTHER_OUTCOME[touch.outcome], size)
        text = encode.price_change(self.facts.condition_id, first, second, str(self.stamp_ms))
        return Frame(Audience.MARKET, self.facts.condition_id, text)

    def _entry(self, touch: Touch, outcome: Outcome, size: str) -> encode.Entry:
        yes = outcome is Outcome.YES
        price_e4 = own_price_e4(outcome, touch.price_e4)
        best_bid, best_ask = self.best_texts(outcome)
        return encode.Entry(
            asset_id=self.facts.tokens[outcome],
            price=PRICE_TEXT[price_e4],
            size=size,
            side=touch.side if yes else OTHER_SIDE[touch.side],
            book_hash=self.hashes[outcome],
            best_bid=best_bid,
            best_ask=best_ask,
        )

    def _book_frames(self) -> list[Frame]:
        return [
            Frame(
                Audience.TOKEN,
                self.facts.tokens[outcome],
                encode.book_midstream(self.text(outcome), self.hashes[outcome]),
            )
            for outcome in Outcome
        ]

    def _trade_frame(self, one: TradePrint) -> Frame:
        token = self.facts.tokens[one.outcome]
        text = encode.LastTrade(
            market=self.facts.condition_id,
            asset_id=token,
            price=PRICE_TEXT[one.price_e4],
            size=format_size(one.size_e6),
            side=one.side,
            timestamp=str(self.stamp_ms),
            transaction_hash=one.transaction_hash,
        ).text()
        return Frame(Audience.TOKEN, token, text)

    def _top_frames(self) -> list[Frame]:
        return [
            Frame(
                Audience.TOKEN_CUSTOM,
                self.facts.tokens[outcome],
                encode.best_bid_ask(
                    self.facts.condition_id,
                    self.facts.tokens[outcome],
                    (*self.best_texts(outcome), PRICE_TEXT[self.spread_e4(outcome)]),
                    str(self.stamp_ms),
                ),
            )
            for outcome in Outcome
        ]


def three_decimals(price_e4: int) -> str:
    """A price with three decimals, four where it needs them: 2800 -> "0.280"."""
    whole, fraction = divmod(price_e4, PRICE_ONE_E4)
    digits = f"{fraction:04d}"
    return f"{whole}.{digits.removesuffix('0')}"
