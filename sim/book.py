"""The resting orders of one market, in YES terms, with price-time priority.

Pure data: no clock, no socket. Levels keep the JSON fragment that the book hash and the book
message need for both tokens, so that one changed level costs one fragment and not the whole book.
"""

from bisect import bisect_left
from collections.abc import Iterator

from shm.units import PRICE_ONE_E4, format_price, format_size
from sim.order import OTHER_SIDE, Order, Outcome, Side

PRICE_TEXT = tuple(format_price(price_e4) for price_e4 in range(PRICE_ONE_E4 + 1))


def level_text(price_e4: int, size_e6: int) -> str:
    """One level as the hash and the book messages have it."""
    return f'{{"price":"{PRICE_TEXT[price_e4]}","size":"{format_size(size_e6)}"}}'


class Half:
    """One side: levels in the venue's order of presentation, the best one last.

    `sign` is +1 for bids and -1 for asks, so that `price * sign` grows towards the best.
    """

    __slots__ = ("_sign", "fragments", "keys", "levels", "sizes")

    def __init__(self, side: Side) -> None:
        self._sign = 1 if side is Side.BUY else -1
        self.keys: list[int] = []
        self.levels: dict[int, list[Order]] = {}
        self.sizes: dict[int, int] = {}
        # Aligned with `keys`; index 0 holds the texts of YES, index 1 the mirrored ones of NO.
        self.fragments: tuple[list[str], list[str]] = ([], [])

    def best_e4(self) -> int | None:
        """Best price, or None when nobody rests here."""
        return self.keys[-1] * self._sign if self.keys else None

    def prices(self) -> list[int]:
        """All prices, the best one last."""
        return [key * self._sign for key in self.keys]

    def from_best(self) -> Iterator[tuple[int, list[Order]]]:
        """Levels as (price, orders in time order), starting with the best; a snapshot."""
        for key in reversed(self.keys.copy()):
            price_e4 = key * self._sign
            yield price_e4, self.levels[price_e4]

    def add(self, order: Order) -> None:
        """Put an order behind all others of its price."""
        self.levels.setdefault(order.book_price_e4, []).append(order)
        self._resize(order.book_price_e4, order.remaining_e6)

    def shrink(self, order: Order, size_e6: int) -> None:
        """Take `size_e6` off a resting order after a fill or a cancel; gone when nothing is left.

        The order's own counters are the caller's business; `KeyError` when it does not rest here.
        """
        level = self.levels[order.book_price_e4]
        if self._left_of(order, size_e6) == 0:
            level.remove(order)
            if not level:
                del self.levels[order.book_price_e4]
        self._resize(order.book_price_e4, -size_e6)

    @staticmethod
    def _left_of(order: Order, size_e6: int) -> int:
        left_e6 = order.remaining_e6 - size_e6
        if left_e6 < 0:
            raise ValueError(f"order {order.order_id} rests with less than {size_e6}")
        return left_e6

    def _resize(self, price_e4: int, by_e6: int) -> None:
        key = price_e4 * self._sign
        at = bisect_left(self.keys, key)
        known = at < len(self.keys) and self.keys[at] == key
        size_e6 = self.sizes.get(price_e4, 0) + by_e6
        if size_e6 == 0:
            del self.keys[at], self.fragments[0][at], self.fragments[1][at]
            del self.sizes[price_e4]
            return
        self.sizes[price_e4] = size_e6
        yes, no = level_text(price_e4, size_e6), level_text(PRICE_ONE_E4 - price_e4, size_e6)
        if known:
            self.fragments[0][at], self.fragments[1][at] = yes, no
            return
        self.keys.insert(at, key)
        self.fragments[0].insert(at, yes)
        self.fragments[1].insert(at, no)


class Book:
    """Both sides of one market."""

    __slots__ = ("halves",)

    def __init__(self) -> None:
        self.halves = {side: Half(side) for side in Side}

    def add(self, order: Order) -> None:
        """Rest an order; `ValueError` when it would cross (matching has to come first)."""
        other = self.halves[OTHER_SIDE[order.book_side]].best_e4()
        if other is not None and crosses(order.book_side, order.book_price_e4, other):
            raise ValueError(f"order {order.order_id} would rest across the book")
        self.halves[order.book_side].add(order)

    def shrink(self, order: Order, size_e6: int) -> None:
        """Take `size_e6` off a resting order (see `Half.shrink`)."""
        self.halves[order.book_side].shrink(order, size_e6)

    def size_e6(self, side: Side, price_e4: int) -> int:
        """Total size of a level, 0 when there is none."""
        return self.halves[side].sizes.get(price_e4, 0)

    def orders(self, side: Side, price_e4: int) -> list[Order]:
        """Orders of a level in time order; a copy."""
        return list(self.halves[side].levels.get(price_e4, ()))

    def best_e4(self, side: Side) -> int | None:
        """Best YES bid (BUY) or YES ask (SELL)."""
        return self.halves[side].best_e4()

    def best_of(self, outcome: Outcome, side: Side) -> int | None:
        """Best bid or ask of one token, in that token's own prices."""
        if outcome is Outcome.YES:
            return self.best_e4(side)
        mirrored = self.best_e4(OTHER_SIDE[side])
        return None if mirrored is None else PRICE_ONE_E4 - mirrored

    def fragments(self, outcome: Outcome) -> tuple[list[str], list[str]]:
        """Level texts (bids ascending, asks descending) of one token; NO is the exact mirror.

        The asks of YES, read from the highest down, are the bids of NO from the lowest up.
        """
        bids, asks = self.halves[Side.BUY].fragments, self.halves[Side.SELL].fragments
        if outcome is Outcome.YES:
            return bids[0], asks[0]
        return asks[1], bids[1]


def crosses(side: Side, price_e4: int, opposite_best_e4: int) -> bool:
    """Whether an order at this price would trade with the best of the other side."""
    if side is Side.BUY:
        return price_e4 >= opposite_best_e4
    return price_e4 <= opposite_best_e4
