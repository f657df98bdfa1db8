"""Who trades with whom, and what changes hands: pure arithmetic over a book that stays untouched.

Prices inside are YES terms. Execution is at the resting order's price, so every improvement goes
to the taker. Two orders that buy the two tokens of a market mint a set, two that sell them merge
one, else a token changes hands.
"""

from dataclasses import dataclass

from shm.units import PRICE_ONE_E4, ceil_div
from sim.book import Book, crosses
from sim.order import OTHER_SIDE, Order, Side, own_price_e4


@dataclass(frozen=True, slots=True)
class Fill:
    """A part of one resting order."""

    maker: Order
    size_e6: int


@dataclass(frozen=True, slots=True)
class Execution:
    """What a taker gets at one level; `price_e4` in the taker's own terms. One trade each."""

    price_e4: int
    fills: tuple[Fill, ...]

    @property
    def size_e6(self) -> int:
        """Micro-shares of the whole trade."""
        return sum(fill.size_e6 for fill in self.fills)


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of matching before anything is booked."""

    executions: tuple[Execution, ...]
    unfilled_e6: int

    @property
    def filled_e6(self) -> int:
        """Micro-shares that find a counterparty."""
        return sum(execution.size_e6 for execution in self.executions)


def plan(book: Book, taker: Order) -> Plan:
    """Match `taker` against the book by price, then time, up to its limit price."""
    left_e6 = taker.remaining_e6
    executions: list[Execution] = []
    for price_e4, orders in book.halves[OTHER_SIDE[taker.book_side]].from_best():
        if left_e6 == 0 or not crosses(taker.book_side, taker.book_price_e4, price_e4):
            break
        fills: list[Fill] = []
        for maker in orders:
            size_e6 = min(left_e6, maker.remaining_e6)
            if size_e6:
                fills.append(Fill(maker, size_e6))
                left_e6 -= size_e6
        executions.append(Execution(own_price_e4(taker.outcome, price_e4), tuple(fills)))
    return Plan(tuple(executions), left_e6)


def is_marketable(book: Book, order: Order) -> bool:
    """Whether the order would trade at once."""
    best_e4 = book.best_e4(OTHER_SIDE[order.book_side])
    return best_e4 is not None and crosses(order.book_side, order.book_price_e4, best_e4)


def notional_usd_e6(size_e6: int, price_e4: int, side: Side) -> int:
    """What the taker pays (rounded up) or gets (rounded down) for `size_e6` at its own price.

    Exact for sizes of up to two decimals; only finer sizes can leave a fraction of a micro-dollar.
    """
    exact_e10 = size_e6 * price_e4
    if side is Side.BUY:
        return ceil_div(exact_e10, PRICE_ONE_E4)
    return exact_e10 // PRICE_ONE_E4


def maker_notional_usd_e6(fill: Fill, taker: Order, taker_usd_e6: int) -> int:
    """The maker's side of the same match, such that no fraction appears or vanishes.

    For one token the two amounts are the same; for a minted or merged set they add up to $1 each.
    """
    if fill.maker.outcome is taker.outcome:
        return taker_usd_e6
    return fill.size_e6 - taker_usd_e6
