"""A trade's life after the match: the table of its states, its schedule, and who can see it.

A trade is one taker order at one price level. The ledger moved when it was MATCHED; FAILED moves
it back. On the configured delays a trade becomes MINED and then CONFIRMED, unless it is given a
course of its own. Each RETRYING replaces the transaction.
"""

import enum
import hashlib
import heapq
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field

from sim.ledger import Movement
from sim.limits import MAX_FINISHED_TRADES
from sim.matching import Execution
from sim.order import Order


class TradeStatus(enum.StrEnum):
    """Where a trade is; the texts are the venue's."""

    MATCHED = "MATCHED"
    MINED = "MINED"
    CONFIRMED = "CONFIRMED"
    RETRYING = "RETRYING"
    FAILED = "FAILED"


TRANSITIONS: dict[TradeStatus, frozenset[TradeStatus]] = {
    TradeStatus.MATCHED: frozenset({TradeStatus.MINED, TradeStatus.RETRYING, TradeStatus.FAILED}),
    TradeStatus.MINED: frozenset({TradeStatus.CONFIRMED, TradeStatus.RETRYING}),
    TradeStatus.RETRYING: frozenset({TradeStatus.MINED, TradeStatus.FAILED}),
    TradeStatus.CONFIRMED: frozenset(),
    TradeStatus.FAILED: frozenset(),
}
"""MATCHED -> MINED -> CONFIRMED is the good path; RETRYING loops back, FAILED is final."""

GOOD_PATH = (TradeStatus.MINED, TradeStatus.CONFIRMED)
Course = tuple[tuple[int, TradeStatus], ...]
"""States to come, each with its time after the match in milliseconds; times do not fall."""


@dataclass(slots=True, eq=False)
class Trade:
    """One taker order at one price level; `execution` holds the makers.

    `transaction_hash` is decided at the match and shown from MINED on.
    """

    trade_id: str
    condition_id: str
    taker: Order
    execution: Execution
    movement: Movement
    matched_ms: int
    transaction_hash: str
    updated_ms: int = 0
    status: TradeStatus = TradeStatus.MATCHED

    def become(self, status: TradeStatus, now_ms: int) -> None:
        """Move to `status`; `ValueError` when the table does not allow it."""
        if status not in TRANSITIONS[self.status]:
            raise ValueError(f"trade {self.trade_id}: {self.status} cannot become {status}")
        self.status = status
        self.updated_ms = now_ms
        if status is TradeStatus.RETRYING:
            digest = hashlib.sha256(self.transaction_hash.encode())
            self.transaction_hash = f"0x{digest.hexdigest()}"

    def parties(self) -> list[str]:
        """API keys with a part in it that are not the house's; the taker first, each once."""
        orders = [self.taker, *(fill.maker for fill in self.execution.fills)]
        return list(dict.fromkeys(order.owner for order in orders if not order.house))

    def shown_hash(self) -> str:
        """The transaction hash as the venue shows it: empty until there is a transaction."""
        shown = self.status in {TradeStatus.MINED, TradeStatus.CONFIRMED}
        return self.transaction_hash if shown else ""


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds from the match to each later state."""

    mined_ms: int
    confirmed_ms: int


@dataclass(slots=True)
class TradeBook:
    """Trades with a user in them, by id, and the schedule of their next states."""

    delays: Delays
    by_id: OrderedDict[str, Trade] = field(default_factory=OrderedDict)
    count: int = 0
    _by_owner: defaultdict[str, dict[str, Trade]] = field(default_factory=lambda: defaultdict(dict))
    # (time, number of the trade, step of its course, trade id, state)
    _due: list[tuple[int, int, int, str, TradeStatus]] = field(default_factory=list)

    def good_course(self) -> Course:
        """What happens to a trade when nothing goes wrong."""
        delays_ms = (self.delays.mined_ms, self.delays.confirmed_ms)
        return tuple(zip(delays_ms, GOOD_PATH, strict=True))

    def add(self, trade: Trade, course: Course | None = None) -> None:
        """Keep a new trade and schedule its course; the oldest final one may be dropped."""
        self.by_id[trade.trade_id] = trade
        for owner in trade.parties():
            self._by_owner[owner][trade.trade_id] = trade
        self.count += 1
        for step, (after_ms, status) in enumerate(self.good_course() if course is None else course):
            due_ms = trade.matched_ms + after_ms
            heapq.heappush(self._due, (due_ms, self.count, step, trade.trade_id, status))
        if len(self.by_id) > MAX_FINISHED_TRADES:
            _, oldest = self.by_id.popitem(last=False)
            for owner in oldest.parties():
                del self._by_owner[owner][oldest.trade_id]

    def due(self, now_ms: int) -> list[tuple[Trade, TradeStatus]]:
        """Changes whose time has come, in order; those that no longer apply are left out."""
        ready: list[tuple[Trade, TradeStatus]] = []
        planned: dict[str, TradeStatus] = {}
        while self._due and self._due[0][0] <= now_ms:
            _, _, _, trade_id, status = heapq.heappop(self._due)
            trade = self.by_id.get(trade_id)
            if trade is not None and status in TRANSITIONS[planned.get(trade_id, trade.status)]:
                planned[trade_id] = status
                ready.append((trade, status))
        return ready

    def of_owner(self, owner: str) -> list[Trade]:
        """All trades that an API key took part in, oldest first."""
        return list(self._by_owner[owner].values()) if owner in self._by_owner else []
