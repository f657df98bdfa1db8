"""Which row of shared memory a market stands in: stable while it lives, not reused soon after.

A row number is how ingest, engine and executor name a market, so a living market never moves. One
that ends leaves its row RETIRED, with all its facts: fills of the last minutes, and an executor
that starts again, still find it. Only after a grace period, counted from its end or its expiry, is
the row FREE for a new tenant. A market that comes back in the meantime gets its own row again.
"""

from collections.abc import Sequence

from shm.codes import MarketState
from shm.layout import MARKET, MARKETS_MAX, Market

NEVER_MS = 1 << 62


class Tenancy:
    """The rows of the markets table over time."""

    def __init__(self, rows: Sequence[Market], now_ms: int, grace_ms: int) -> None:
        self.rows: list[Market] = list(rows)
        self._grace_ms = grace_ms
        self._left_ms = {
            # When a row that we find retired was left is not known; an expired market was left at
            # its expiry, as nothing can be traded after that.
            row.row: min(now_ms, row.expiry_ms)
            for row in rows
            if row.state == MarketState.RETIRED
        }
        self._due_ms = self._next_due_ms()

    def retime(self, grace_ms: int) -> None:
        """Another grace from now on, also for rows that were left before."""
        self._grace_ms = grace_ms
        self._due_ms = self._next_due_ms()

    def due(self, now_ms: int) -> bool:
        """Whether a market has expired, or a row's grace is over."""
        return now_ms >= self._due_ms

    def _next_due_ms(self) -> int:
        """When the first market expires or the first grace ends."""
        return min(
            (
                row.expiry_ms if row.state == MarketState.ACTIVE else self._free_ms(row)
                for row in self.rows
                if row.state != MarketState.FREE
            ),
            default=NEVER_MS,
        )

    def arrange(self, wanted: Sequence[Market], now_ms: int) -> int:
        """Give every wanted market its row and retire the rest; how many found no room.

        `row` and `state` of `wanted` are assigned here.
        """
        after: list[Market | None] = [None] * MARKETS_MAX
        place_of: dict[int, int] = {}
        for old in self.rows:
            if self._stays(old, now_ms):
                after[old.row] = old._replace(state=MarketState.RETIRED)
                place_of[old.key] = old.row
        newcomers = []
        for market in wanted:
            row = place_of.get(market.key)
            if row is None:
                newcomers.append(market)
            else:
                after[row] = market._replace(row=row, state=MarketState.ACTIVE)
        free = iter([row for row, taken in enumerate(after) if taken is None])
        homeless = 0
        for market in newcomers:
            row = next(free, None)
            if row is None:
                homeless += 1
            else:
                after[row] = market._replace(row=row, state=MarketState.ACTIVE)
        self._note_leavers(after, now_ms)
        used = max((row for row, taken in enumerate(after) if taken), default=-1) + 1
        blank = MARKET.blank()
        self.rows = [after[row] or blank._replace(row=row) for row in range(used)]
        self._due_ms = self._next_due_ms()
        return homeless

    def _stays(self, old: Market, now_ms: int) -> bool:
        """Whether a row keeps its tenant, living or not."""
        if old.state == MarketState.ACTIVE:
            return True
        return old.state == MarketState.RETIRED and now_ms < self._free_ms(old)

    def _free_ms(self, retired: Market) -> int:
        """When the grace of a row is over."""
        return max(self._left_ms[retired.row], retired.expiry_ms) + self._grace_ms

    def _note_leavers(self, after: Sequence[Market | None], now_ms: int) -> None:
        retired = [m.row for m in after if m is not None and m.state == MarketState.RETIRED]
        self._left_ms = {row: self._left_ms.get(row, now_ms) for row in retired}
