"""The books of all subscribed markets: takes whole frames, says which markets changed or got lost.

Pure: no sockets, no clock, no shared memory. One book per market, in YES terms. The venue sends
every change for both tokens; the NO entry is the mirror image and serves as a check: where the two
contradict each other, the market is lost until a fresh snapshot. The venue's book hash is the
second check. It costs many times more than a change, so `apply` only says which books are due for
it, and `check` is called when they have been published.

ingest/native.pyx is the compiled twin, published rows included; tests compare the two.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ingest.book import Book
from ingest.checksum import HashFacts, book_hash, last_trade_texts
from ingest.wire import (
    Change,
    Changes,
    LastTrade,
    Other,
    Refusal,
    Refused,
    Snapshot,
    TickChange,
    decode,
)
from shm.codes import BookState, Exchange, HashState, Side
from shm.layout import Market
from shm.units import PRICE_ONE_E4, format_size, format_token

OPPOSITE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


@dataclass(frozen=True, slots=True)
class Check:
    """A comparison of a book with the venue's hash that is due."""

    token: str
    hash: str
    exchange_ms: int
    of_snapshot: bool
    complete: bool
    """Of a snapshot that says its last trade: nothing that the hash covers is unknown."""


@dataclass(slots=True)
class Tracked:
    """One market: its facts as the wire spells them, its book, and how far the hash is proven."""

    row: int
    key: int
    yes: str
    no: str
    facts: HashFacts
    tick_e4: int
    book: Book = field(default_factory=Book)
    received_ns: int = 0
    frames: int = 0
    last_trade_e4: int = 0
    last_trades: tuple[str, ...] = ("",)
    """Candidate texts of the last trade's price; one once a hash has confirmed it."""
    hash_state: HashState = HashState.UNCHECKED
    hash_trusted: bool = False
    """Every input of the hash is known: from now on a difference means a lost change."""
    hash_due: tuple[int, str] | None = None
    """(timestamp, hash) of a group of frames whose last one has to match."""


@dataclass(slots=True)
class Applied:
    """What a frame did."""

    changed: dict[int, Tracked] = field(default_factory=dict)
    """By row: books to publish, once, after the whole frame."""
    lost: dict[int, Tracked] = field(default_factory=dict)
    """By row: books that need a new snapshot (also in `changed`)."""
    refreshed: set[int] = field(default_factory=set)
    """Rows that got a snapshot."""
    checks: dict[int, Check] = field(default_factory=dict)
    """By row: what `Books.check` has to be called for."""


def track(market: Market) -> Tracked:
    """A market row of shared memory -> a book to fill."""
    return Tracked(
        row=market.row,
        key=market.key,
        yes=format_token(market.yes_token),
        no=format_token(market.no_token),
        facts=hash_facts(market),
        tick_e4=market.tick_e4,
    )


def hash_facts(market: Market) -> HashFacts:
    """What the book hash covers and the frames may not say."""
    return HashFacts(
        condition="0x" + market.condition.hex(),
        min_size=format_size(market.min_size_e6),
        neg_risk=market.exchange == Exchange.NEG_RISK,
    )


class Books:
    """See the module. `tally` counts what happened, by the names of the ingest counters."""

    def __init__(self, hash_check_every: int) -> None:
        self.tally: Counter[str] = Counter()
        self.by_row: dict[int, Tracked] = {}
        self._by_token: dict[str, Tracked] = {}
        self._every = hash_check_every
        self._until_check = hash_check_every

    def add(self, tracked: Tracked) -> None:
        """Start following a market."""
        self.by_row[tracked.row] = tracked
        self._by_token[tracked.yes] = tracked
        self._by_token[tracked.no] = tracked

    def remove(self, row: int) -> None:
        """Stop following a market."""
        tracked = self.by_row.pop(row)
        del self._by_token[tracked.yes]
        del self._by_token[tracked.no]

    def lose(self, rows: Iterable[int]) -> list[Tracked]:
        """The connection of these markets is gone: none of their books may be believed."""
        affected = [self.by_row[row] for row in rows if row in self.by_row]
        for tracked in affected:
            _lose(tracked)
        return affected

    def live(self) -> int:
        """How many books may be believed."""
        return sum(tracked.book.state is BookState.LIVE for tracked in self.by_row.values())

    def apply(self, frame: bytes | memoryview, received_ns: int) -> Applied:
        """Apply one whole frame; nothing may be published before it returns."""
        applied = Applied()
        for event in decode(frame):
            match event:
                case Changes():
                    self.tally["events_price_change"] += 1
                    self._take_changes(event, applied)
                case Snapshot():
                    self.tally["events_book"] += 1
                    self._take_snapshot(event, applied)
                case LastTrade():
                    self.tally["events_last_trade"] += 1
                    self._take_trade(event, applied)
                case TickChange():
                    self.tally["events_tick_size"] += 1
                    self._take_tick(event, applied)
                case Other():
                    self.tally["events_other"] += 1
                case Refused():
                    self._take_refusal(event, applied)
        for tracked in applied.changed.values():
            tracked.received_ns = received_ns
            tracked.frames += 1
        return applied

    def _find(self, token: str) -> Tracked | None:
        tracked = self._by_token.get(token)
        if tracked is None:
            self.tally["unknown_market"] += 1
        return tracked

    def _stranger(self, tracked: Tracked, market: str, applied: Applied) -> bool:
        """Whether an event under our token names another market: then nothing of it is true."""
        if market == tracked.facts.condition:
            return False
        self.tally["events_refused"] += 1
        self._lost(tracked, applied)
        return True

    def _lost(self, tracked: Tracked, applied: Applied) -> None:
        _lose(tracked)
        applied.changed[tracked.row] = applied.lost[tracked.row] = tracked
        applied.refreshed.discard(tracked.row)
        applied.checks.pop(tracked.row, None)

    def _take_refusal(self, refused: Refused, applied: Applied) -> None:
        whole_frame = refused.reason in {Refusal.NOT_JSON, Refusal.TOO_MANY}
        self.tally["frames_refused" if whole_frame else "events_refused"] += 1
        for token in refused.tokens:
            tracked = self._find(token)
            if tracked is not None:
                self._lost(tracked, applied)

    def _take_snapshot(self, event: Snapshot, applied: Applied) -> None:
        tracked = self._find(event.token)
        if tracked is None or self._stranger(tracked, event.market, applied):
            return
        if self._older(tracked, event.exchange_ms):
            return
        bids, asks = event.bids, event.asks
        if event.token == tracked.no:
            bids, asks = _mirrored(asks), _mirrored(bids)
        if event.tick_e4 is not None:
            tracked.tick_e4 = event.tick_e4
        if event.last_trade is not None:
            tracked.last_trades = (event.last_trade,)
        tracked.book.replace(event.exchange_ms, bids, asks)
        tracked.hash_due = None
        applied.changed[tracked.row] = tracked
        applied.lost.pop(tracked.row, None)
        applied.refreshed.add(tracked.row)
        applied.checks.pop(tracked.row, None)
        if event.hash:
            applied.checks[tracked.row] = Check(
                event.token,
                event.hash,
                event.exchange_ms,
                of_snapshot=True,
                complete=event.last_trade is not None,
            )

    def _older(self, tracked: Tracked, exchange_ms: int) -> bool:
        """Whether an event lies before what the book already shows; such are dropped."""
        live = tracked.book.state is BookState.LIVE
        if live and exchange_ms < tracked.book.exchange_ms:
            self.tally["backward_time"] += 1
            return True
        return False

    def _take_changes(self, event: Changes, applied: Applied) -> None:
        """Group by market: the YES entries are the change, the NO entries its mirror image."""
        by_market: dict[int, list[Change]] = {}
        for change in event.changes:
            tracked = self._find(change.token)
            if tracked is not None:
                by_market.setdefault(tracked.row, []).append(change)
        for row, changes in by_market.items():
            tracked = self.by_row[row]
            if self._stranger(tracked, event.market, applied):
                continue
            if self._older(tracked, event.exchange_ms):
                continue
            self._settle_hash_before(tracked, event, changes, applied)
            if not self._change_levels(tracked, event.exchange_ms, changes):
                self.tally["mirror_mismatch"] += 1
                self._lost(tracked, applied)
            elif tracked.book.state is BookState.LIVE:
                applied.changed[row] = tracked
                self._consider_hash(tracked, event, changes, applied)

    def _change_levels(self, tracked: Tracked, exchange_ms: int, changes: list[Change]) -> bool:
        """Apply; False if the two tokens' entries contradict each other."""
        levels: dict[tuple[Side, int], int] = {}
        mirrored: dict[tuple[Side, int], int] = {}
        for change in changes:
            if change.token == tracked.yes:
                levels[change.side, change.price_e4] = change.size_e6
            else:
                at = OPPOSITE[change.side], PRICE_ONE_E4 - change.price_e4
                mirrored[at] = change.size_e6
        for (side, price_e4), size_e6 in (mirrored | levels).items():
            tracked.book.change(exchange_ms, side, price_e4, size_e6)
        return all(levels.get(at, size_e6) == size_e6 for at, size_e6 in mirrored.items())

    def _take_trade(self, event: LastTrade, applied: Applied) -> None:
        tracked = self._find(event.token)
        if tracked is None or self._stranger(tracked, event.market, applied):
            return
        no_side = event.token == tracked.no
        tracked.last_trade_e4 = PRICE_ONE_E4 - event.price_e4 if no_side else event.price_e4
        texts = last_trade_texts(event.price_e4)
        if tracked.last_trades[0] not in texts:
            tracked.last_trades = texts
            tracked.hash_trusted = False

    def _take_tick(self, event: TickChange, applied: Applied) -> None:
        tracked = self._find(event.token)
        if tracked is None or self._stranger(tracked, event.market, applied):
            return
        if tracked.tick_e4 == event.tick_e4:
            return
        tracked.tick_e4 = event.tick_e4
        applied.changed[tracked.row] = tracked
        if not tracked.book.on_grid(event.tick_e4):
            self._lost(tracked, applied)

    # --- the venue's hash ---------------------------------------------------------------------

    def check(self, row: int, check: Check) -> None:
        """Compare a book with the venue's hash, which never loses a book by itself.

        A snapshot carries the whole book, so a difference is about the facts, not the levels: the
        hash cannot be used until they are known. A change may belong to a group of frames of which
        only the last one has to match: it is remembered, and settled when the group is over.
        """
        tracked = self.by_row[row]
        if tracked.book.state is not BookState.LIVE:
            return
        matches = self._hash_matches(tracked, check)
        if not check.of_snapshot:
            tracked.hash_due = None if matches else (check.exchange_ms, check.hash)
        elif not matches:
            tracked.hash_trusted = False
            tracked.hash_state = HashState.UNCHECKED
            if check.complete:
                self.tally["hash_mismatch"] += 1
                tracked.hash_state = HashState.DIFFERED

    def _hash_matches(self, tracked: Tracked, check: Check) -> bool:
        """Compare, trying each candidate text of the last trade; a match settles the text."""
        self.tally["hash_checked"] += 1
        for text in tracked.last_trades:
            ours = book_hash(
                tracked.book,
                tracked.facts,
                check.token,
                no_side=check.token == tracked.no,
                tick_e4=tracked.tick_e4,
                last_trade=text,
            )
            if ours == check.hash:
                tracked.last_trades = (text,)
                tracked.hash_state = HashState.MATCHED
                tracked.hash_trusted = True
                return True
        return False

    def _consider_hash(
        self, tracked: Tracked, event: Changes, changes: list[Change], applied: Applied
    ) -> None:
        """Every n-th change is due for a check, and every later frame of a group that is."""
        self._until_check -= 1
        begun = tracked.hash_due is not None or tracked.row in applied.checks
        if self._until_check > 0 and not begun:
            return
        self._until_check = self._every
        last = changes[-1]
        applied.checks.pop(tracked.row, None)
        if last.hash:
            applied.checks[tracked.row] = Check(
                last.token, last.hash, event.exchange_ms, of_snapshot=False, complete=False
            )

    def _settle_hash_before(
        self, tracked: Tracked, event: Changes, changes: list[Change], applied: Applied
    ) -> None:
        """A new group of frames begins: was the old one's hash ever reached?"""
        if tracked.hash_due is None:
            return
        if any(tracked.hash_due == (event.exchange_ms, change.hash) for change in changes):
            return
        tracked.hash_due = None
        if tracked.hash_trusted:
            self.tally["hash_mismatch"] += 1
            tracked.hash_state = HashState.DIFFERED
            self._lost(tracked, applied)


def _lose(tracked: Tracked) -> None:
    tracked.book.lose()
    tracked.hash_due = None
    tracked.hash_trusted = False


def _mirrored(levels: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(PRICE_ONE_E4 - price_e4, size_e6) for price_e4, size_e6 in levels]
