"""Start and restart, one path: from the venue and shared memory alone to a ledger that is true.

Order of work: log in, listen to the user channel (nothing may slip between), cancel whatever rests,
then read balance and trades until two readings agree. Opening cash is the balance less what the
trades changed; positions are the trades. Flights that an earlier process left open are resolved
like any doubt: by looking for their orders among the trades, never by sending again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from executor.flights import FLIGHT_OPEN, Flight, from_row
from executor.ledger import Fill, Ledger
from executor.venue import Unavailable, Venue
from executor.wire import Trade
from shm.fabric import TableReader
from shm.layout import Flight as FlightRow

RETRY_S = 0.5
SETTLE_READS_MAX = 40
_log = logging.getLogger("executor.recovery")
AnswerT = TypeVar("AnswerT")


async def insist(
    what: str, ask: Callable[[], Awaitable[AnswerT | Unavailable]], stopping: Callable[[], bool]
) -> AnswerT | None:
    """Ask until there is an answer; each new trouble is said once. None: told to stop."""
    said = ""
    while not stopping():
        answer = await ask()
        if not isinstance(answer, Unavailable):
            return answer
        if answer.reason != said:
            said = answer.reason
            _log.warning("%s: %s; asking again every %.1f s", what, said, RETRY_S)
        await asyncio.sleep(RETRY_S)
    return None


async def rebuild(venue: Venue, fills_of: Callable[[Trade], list[Fill]]) -> Ledger | Unavailable:
    """A ledger folded from every trade, with its opening cash.

    The trades are read between two equal balances: a fill in the meantime would otherwise be
    counted on one side only.
    """
    before = await venue.cash_usd_e6()
    for _ in range(SETTLE_READS_MAX):
        trades = await venue.trades()
        after = await venue.cash_usd_e6()
        if isinstance(before, Unavailable):
            return before
        if isinstance(trades, Unavailable):
            return trades
        if before == after:
            ledger = Ledger()
            for trade in trades:
                for fill in fills_of(trade):
                    ledger.apply(fill)
            ledger.opening_usd_e6 = before - ledger.cash_change_usd_e6
            return ledger
        before = after
    return Unavailable("balance and trades never stood still")


def open_flights(table: TableReader[FlightRow]) -> list[Flight]:
    """Flights that an earlier executor process left unfinished."""
    rows = ((place, table.read(place)) for place in range(table.count))
    return [
        from_row(place, row) for place, row in rows if row is not None and row.state in FLIGHT_OPEN
    ]


def last_signal(table: TableReader[FlightRow]) -> int:
    """Highest signal that was ever turned into orders: an older one is a replay."""
    rows = (table.read(place) for place in range(table.count))
    return max((row.signal for row in rows if row is not None), default=0)
