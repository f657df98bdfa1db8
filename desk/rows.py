"""Which row of shared memory a market stands in: stable while it lives, not reused at once.

A row number is how ingest, engine and executor name a market, so a living market never moves. A
market that ends leaves its row RETIRED for one generation, so that nobody can take a late message
about it for one about its successor.
"""

from collections.abc import Sequence

from shm.codes import MarketState
from shm.layout import MARKET, MARKETS_MAX, Market


def arrange(before: Sequence[Market], wanted: Sequence[Market]) -> tuple[list[Market], int]:
    """The next generation's rows, and how many markets found no room.

    `wanted` are the markets that should be active; their `row` is assigned here.
    """
    rows: list[Market | None] = [None] * MARKETS_MAX
    place_of: dict[int, int] = {}
    for old in before:
        if old.state == MarketState.ACTIVE:
            rows[old.row] = old._replace(state=MarketState.RETIRED)
            place_of[old.key] = old.row
    newcomers = []
    for market in wanted:
        row = place_of.get(market.key)
        if row is None:
            newcomers.append(market)
        else:
            rows[row] = market._replace(row=row)
    free = iter([row for row, taken in enumerate(rows) if taken is None])
    homeless = 0
    for market in newcomers:
        row = next(free, None)
        if row is None:
            homeless += 1
        else:
            rows[row] = market._replace(row=row)
    used = max((row for row, taken in enumerate(rows) if taken), default=-1) + 1
    blank = MARKET.blank()
    return [rows[row] or blank._replace(row=row) for row in range(used)], homeless
