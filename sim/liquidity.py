"""What the house offers to one order, changed by a rule just before the order comes."""

import dataclasses

from shm.units import PRICE_ONE_E4
from sim.book import crosses
from sim.events import Event
from sim.floor import Floor
from sim.order import OTHER_SIDE, Order, Side, Status, own_price_e4


def _offers(floor: Floor, order: Order) -> list[Order]:
    """House orders that `order` could trade with, best first."""
    half = floor.markets[order.condition_id].book.halves[OTHER_SIDE[order.book_side]]
    return [
        resting
        for price_e4, level in half.from_best()
        if crosses(order.book_side, order.book_price_e4, price_e4)
        for resting in level
        if resting.house
    ]


def thin(floor: Floor, order: Order, left_e6: int, now_ms: int) -> list[Event]:
    """Leave `left_e6` of what the house offers within the order's limit, the best of it."""
    leaving: list[Order] = []
    entering: list[Order] = []
    for resting in _offers(floor, order):
        if resting.remaining_e6 <= left_e6:
            left_e6 -= resting.remaining_e6
            continue
        leaving.append(resting)
        if left_e6:
            entering.append(_copy(floor, resting, resting.price_e4, left_e6))
            left_e6 = 0
    return floor.swap(leaving, entering, now_ms)


def offer_better(floor: Floor, order: Order, ticks: int, now_ms: int) -> list[Event]:
    """Offer the order's size at a price `ticks` better than the house's best for it.

    The offer stays on the grid and does not cross the other side; without room nothing happens.
    """
    market = floor.markets[order.condition_id]
    offers = _offers(floor, order)
    if not offers:
        return []
    best = offers[0]
    buying = order.book_side is Side.BUY
    better_e4 = best.book_price_e4 + (-ticks if buying else ticks) * market.tick_e4
    own_best_e4 = market.book.best_e4(order.book_side)
    if own_best_e4 is not None:
        floor_e4 = own_best_e4 + (market.tick_e4 if buying else -market.tick_e4)
        better_e4 = max(better_e4, floor_e4) if buying else min(better_e4, floor_e4)
    on_grid = market.tick_e4 <= better_e4 <= PRICE_ONE_E4 - market.tick_e4
    is_better = better_e4 < best.book_price_e4 if buying else better_e4 > best.book_price_e4
    if not on_grid or not is_better:
        return []
    offer = _copy(floor, best, own_price_e4(best.outcome, better_e4), order.remaining_e6)
    return floor.swap([], [offer], now_ms)


def clear(floor: Floor, condition_id: str, keep_tick_e4: int, now_ms: int) -> list[Event]:
    """Take the house's orders out of a market: those off a grid, or, with 0, all of them."""
    book = floor.markets[condition_id].book
    leaving = [
        resting
        for half in book.halves.values()
        for price_e4, level in half.from_best()
        if not keep_tick_e4 or price_e4 % keep_tick_e4
        for resting in level
        if resting.house
    ]
    return floor.swap(leaving, [], now_ms)


def _copy(floor: Floor, resting: Order, price_e4: int, size_e6: int) -> Order:
    return dataclasses.replace(
        resting,
        order_id=f"0x{floor.rng.getrandbits(256):064x}",
        price_e4=price_e4,
        original_e6=size_e6,
        matched_e6=0,
        status=Status.LIVE,
        trade_ids=[],
    )
