"""Trades in, from the user channel and from REST: each of our fills is told once a status.

Until the ledger is open they wait here, in order: what happens while it is being found must not get
lost, and not be counted twice.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import replace

from executor.chronicle import Chronicle
from executor.failpoints import reach
from executor.ledger import Change, Fill, fills_of
from executor.snapshot import draft, fill_row, hash_bytes, word
from executor.wire import Trade
from shm import records
from shm.codes import FillStatus
from shm.fabric import Counters
from shm.journal_record import Draft
from shm.layout import ExecutorStats
from shm.payloads import trade_id
from shm.records import Kind
from shm.units import UnitError, parse_token_id

FILLS_AT_ONCE = 100
HASH = re.compile(r"0x[0-9a-f]{64}")


class Intake:
    """See the module."""

    def __init__(
        self, chronicle: Chronicle, counters: Counters[ExecutorStats], api_key: str
    ) -> None:
        self._chronicle = chronicle
        self._counters = counters
        self._api_key = api_key
        self._early: list[Trade] = []
        self._open = False
        self._told: dict[tuple[str, str], set[FillStatus]] = {}
        """What was told since the journal last had room: the state may not have it yet."""

    def open(self) -> None:
        """From now on fills count as they come; first those that came too early."""
        self._open = True
        early, self._early = self._early, []
        self.take(early)

    def take_one(self, trade: Trade) -> None:
        """Take a trade of the user channel."""
        self.take([trade])

    def take(self, trades: Sequence[Trade]) -> None:
        """Tell what is new in some trades."""
        if not self._open:
            self._early += trades
            return
        fills = [fill for trade in trades for fill in self.fills(trade)]
        for first in range(0, len(fills), FILLS_AT_ONCE):
            self._tell(fills[first : first + FILLS_AT_ONCE])

    def fills(self, trade: Trade) -> list[Fill]:
        """Our fills in a trade; none where it cannot be read or is of nothing, which is counted."""
        try:
            known = self._chronicle.state.flight_by_order
            fills = list(fills_of(trade, self._api_key, self._fee_rate_e6, known))
        except (UnitError, KeyError):  # KeyError: a side that nobody knows
            self._counters.add("post_errors")
            return []
        # A record has room for a digest where a name is too long: so it is known again.
        name = trade_id(trade.id).decode("ascii")
        readable = [
            replace(fill, trade=name) for fill in fills if fill.size_e6 and _has_names(fill)
        ]
        self._counters.add("post_errors", len(fills) - len(readable))
        return readable

    def _fee_rate_e6(self, token: str) -> int:
        known = self._chronicle.state.tokens.get(token)
        return known[0].fee_rate_e6 if known else 0

    def _tell(self, fills: Sequence[Fill]) -> None:
        state = self._chronicle.state
        if not self._chronicle.blocked:
            self._told.clear()
        at_ms = time.time_ns() // 1_000_000
        drafts: list[Draft] = []
        for fill in fills:
            change = state.ledger.change_of(fill)
            told = self._told.setdefault((fill.trade, fill.order), set())
            if change is Change.NOTHING or fill.status in told:
                self._counters.add("fills_duplicate")
                continue
            first = not told
            told.add(fill.status)
            if change is Change.COUNTED and first:
                self._counters.add("fills_seen")
            elif change is Change.VOIDED:
                self._counters.add("trades_failed")
            flight = state.flight_of(fill.order)
            if flight is None and fill.order not in state.strangers:
                drafts.append(_stranger(fill))
            number = flight.id if flight else 0
            drafts.append(draft(Kind.FILL, fill_row(replace(fill, at_ms=at_ms)), number))
        if drafts:
            reach("fill-unwritten")
            self._chronicle.tell(drafts)
            reach("fill-written")


def _has_names(fill: Fill) -> bool:
    """Whether order and token are what they have to be: a hash, and a number of 256 bits."""
    try:
        parse_token_id(fill.token)
    except UnitError:
        return False
    return HASH.fullmatch(fill.order) is not None


def _stranger(fill: Fill) -> Draft:
    row = records.Stranger(
        fill.size_e6, fill.price_e4, fill.side, hash_bytes(fill.order), word(fill.token)
    )
    return draft(Kind.STRANGER, row)
