"""How much of a basket to buy: down the levels of all its legs at once, while a unit is worth it.

Pure. Each leg has a ladder of (cost, size), cheapest first. While the next unit is worth at least
the hurdle, it is bought from the present level of every leg; where a leg's level is used up, its
next one is dearer. At each such step the units so far could be ordered with the present levels as
limits, rounded down to the venue's grid at those limits; the step with the greatest profit wins.

engine/core.h has the same arithmetic in C.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shm.grid import basket_step, least_shares
from shm.layout import BOOK_LEVELS, Book
from shm.units import PRICE_ONE_E4, SHARE_E6

E8_PER_E4 = 10_000
E14_PER_USD_E6 = 10**8
"""edge_e8 * size_e6 is in units of 1e-14 dollars; divided by this it is micro-dollars."""

Ladder = Sequence[tuple[int, int]]
"""(price_e4 of the token that is bought, size_e6), cheapest first."""


class Legs(NamedTuple):
    """What a walk needs to know of a basket's legs, one entry each."""

    ladders: Sequence[Ladder]
    fees_e8: Sequence[Sequence[int]]
    """Fee of one share by price."""
    ticks_e4: Sequence[int]
    least_e6: Sequence[int]


class Order(NamedTuple):
    """What to order of every leg."""

    size_e6: int
    limits_e4: tuple[int, ...]
    profit_usd_e6: int
    """At the levels that were walked, rounded down."""
    limit_net_e8: int
    """Edge of a unit that costs the limit prices."""


class _Step(NamedTuple):
    """A stretch of the walk on which every unit has the same edge."""

    start_e6: int
    net_e8: int


def ladder_of(book: Book, *, yes: bool) -> Ladder:
    """The ladder of a token: YES from the asks, NO from the bids at 1 - price.

    Ends before a level that could not be one: the book may have been damaged since it was written.
    """
    prices, sizes, count = (
        (book.ask_price_e4, book.ask_size_e6, book.ask_count)
        if yes
        else (book.bid_price_e4, book.bid_size_e6, book.bid_count)
    )
    ladder: list[tuple[int, int]] = []
    for price_e4, size_e6 in zip(prices, sizes, strict=True):
        cost_e4 = price_e4 if yes else PRICE_ONE_E4 - price_e4
        dearer = not ladder or cost_e4 > ladder[-1][0]
        if len(ladder) == min(count, BOOK_LEVELS) or not 0 < cost_e4 < PRICE_ONE_E4:
            break
        if size_e6 <= 0 or not dearer:
            break
        ladder.append((cost_e4, size_e6))
    return ladder


def best_order(
    legs: Legs, payout_e8: int, hurdle_e8: int, cap_e6: int, slippage_ticks: int
) -> Order | None:
    """The order with the greatest profit, or None if no order is worth it or allowed."""
    steps: list[_Step] = []
    best: Order | None = None
    for stretch in walked(legs, payout_e8, hurdle_e8, cap_e6):
        steps.append(_Step(stretch.start_e6, stretch.net_e8))
        limits_e4 = _limits(legs, stretch.prices_e4, slippage_ticks)
        found = _order(legs, payout_e8, steps, limits_e4, stretch.end_e6)
        if found is not None and (best is None or found.profit_usd_e6 > best.profit_usd_e6):
            best = found
    return best


class Stretch(NamedTuple):
    """Units that cost the same."""

    start_e6: int
    end_e6: int
    prices_e4: tuple[int, ...]
    net_e8: int


def walked(legs: Legs, payout_e8: int, hurdle_e8: int, cap_e6: int) -> Iterator[Stretch]:
    """Down the levels of all legs, stretch by stretch, while a unit is worth the hurdle."""
    at = [0] * len(legs.ladders)
    left_e6 = [ladder[0][1] for ladder in legs.ladders]
    walked_e6 = 0
    while walked_e6 < cap_e6:
        prices = [ladder[i][0] for ladder, i in zip(legs.ladders, at, strict=True)]
        net_e8 = _net_e8(legs, payout_e8, prices)
        if net_e8 < hurdle_e8:
            return
        taken_e6 = min(*left_e6, cap_e6 - walked_e6)
        yield Stretch(walked_e6, walked_e6 + taken_e6, tuple(prices), net_e8)
        walked_e6 += taken_e6
        if not _advance(legs, at, left_e6, taken_e6):
            return


def _net_e8(legs: Legs, payout_e8: int, prices_e4: Sequence[int]) -> int:
    """Edge of a unit at these prices."""
    cost_e8 = sum(
        price_e4 * E8_PER_E4 + fee_e8[price_e4]
        for price_e4, fee_e8 in zip(prices_e4, legs.fees_e8, strict=True)
    )
    return payout_e8 - cost_e8


def _limits(legs: Legs, prices_e4: Sequence[int], slippage_ticks: int) -> tuple[int, ...]:
    """Prices with the slippage allowance on top, still below 1."""
    return tuple(
        min(price_e4 + slippage_ticks * tick_e4, max(price_e4, PRICE_ONE_E4 - tick_e4))
        for price_e4, tick_e4 in zip(prices_e4, legs.ticks_e4, strict=True)
    )


def _order(
    legs: Legs, payout_e8: int, steps: Sequence[_Step], limits_e4: tuple[int, ...], walked_e6: int
) -> Order | None:
    """What could be ordered after `walked_e6` units, on the grid; None if that is too little."""
    grid_e6 = basket_step(limits_e4) * SHARE_E6
    size_e6 = walked_e6 // grid_e6 * grid_e6
    least = max(
        least_shares(limit_e4, least_e6)
        for limit_e4, least_e6 in zip(limits_e4, legs.least_e6, strict=True)
    )
    if size_e6 < least * SHARE_E6:
        return None
    profit_usd_e6 = _profit_e14(steps, size_e6) // E14_PER_USD_E6
    return Order(size_e6, limits_e4, profit_usd_e6, _net_e8(legs, payout_e8, limits_e4))


def _profit_e14(steps: Sequence[_Step], size_e6: int) -> int:
    """Profit of the first `size_e6` units."""
    ends = [*(step.start_e6 for step in steps[1:]), size_e6]
    return sum(
        step.net_e8 * (min(end_e6, size_e6) - step.start_e6)
        for step, end_e6 in zip(steps, ends, strict=True)
        if step.start_e6 < size_e6
    )


def _advance(legs: Legs, at: list[int], left_e6: list[int], taken_e6: int) -> bool:
    """Use up `taken_e6` of every leg's level; False if a leg has no further one."""
    for leg, ladder in enumerate(legs.ladders):
        left_e6[leg] -= taken_e6
        if left_e6[leg] == 0:
            at[leg] += 1
            if at[leg] == len(ladder):
                return False
            left_e6[leg] = ladder[at[leg]][1]
    return True
