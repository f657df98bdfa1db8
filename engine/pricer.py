"""What each basket is worth at the top of the books: the reference, in plain Python.

Buying YES costs the ask. Buying NO costs 1 - bid, because the NO book is the YES book's mirror.
A missing side, a bid of 0 and an ask of 1 are no quotes. All arithmetic is in integers: prices in
$0.0001, edges and fees in $0.00000001 a share (shm/units.py, shm/fees.py).

engine/core.h is the compiled twin; tests compare them on equal input.
"""

from collections.abc import Sequence
from typing import NamedTuple

from engine.baskets import Basket
from engine.walk import E8_PER_E4, Ladder, Legs, Order, best_order, ladder_of
from shm.codes import BookState, Outcome, Side
from shm.fees import fee_table_e8
from shm.layout import Book
from shm.payoff import Leg
from shm.units import PRICE_ONE_E4

LEGS_MIN = 2
"""A basket of fewer legs would be no basket."""


class Edge(NamedTuple):
    """Worth of one unit of a basket, and how much of it the best levels hold."""

    gross_e8: int
    net_e8: int
    size_e6: int


class Top(NamedTuple):
    """The best levels of one book and what is known about it. Zero price: no quote."""

    usable: bool
    """LIVE, of the current ingest, of the right market, and not crossed."""
    bid_price_e4: int
    bid_size_e6: int
    ask_price_e4: int
    ask_size_e6: int
    received_ns: int
    version: int


NO_TOP = Top(False, 0, 0, 0, 0, 0, 0)


def top_of(book: Book, version: int, market_key: int, ingest_epoch: int) -> Top:
    """The top of a book as it stands in shared memory."""
    bid, ask = book.bid_price_e4[0], book.ask_price_e4[0]
    has_bid = book.bid_count > 0 and 0 < bid < PRICE_ONE_E4 and book.bid_size_e6[0] > 0
    has_ask = book.ask_count > 0 and 0 < ask < PRICE_ONE_E4 and book.ask_size_e6[0] > 0
    usable = (
        book.state == BookState.LIVE
        and book.epoch == ingest_epoch
        and book.market_key == market_key
        and not (has_bid and has_ask and bid >= ask)
    )
    return Top(
        usable,
        bid if has_bid else 0,
        book.bid_size_e6[0] if has_bid else 0,
        ask if has_ask else 0,
        book.ask_size_e6[0] if has_ask else 0,
        book.received_ns,
        version,
    )


class Pricer:
    """Books as they were last seen, and the baskets that depend on them."""

    def __init__(self, baskets: Sequence[Basket]) -> None:
        self.baskets = baskets
        self.evaluations = 0
        """Baskets looked at by `hits`."""
        self._seen: dict[int, tuple[Top, Book]] = {}
        self.number_of = {basket.id: number for number, basket in enumerate(baskets)}
        self.keys = {leg.market.row: leg.market.key for b in baskets for leg in b.legs}
        self._fees = {
            leg.market.row: fee_table_e8(leg.market.fee_rate_e6) for b in baskets for leg in b.legs
        }
        of_row: dict[int, list[int]] = {row: [] for row in self.keys}
        for number, basket in enumerate(baskets):
            for leg in basket.legs:
                of_row[leg.market.row].append(number)
        self._of_row = {row: tuple(dict.fromkeys(numbers)) for row, numbers in of_row.items()}
        self._legs = [[self._leg(leg, basket) for leg in basket.legs] for basket in baskets]
        self._payout_e4 = [basket.payout_e4 for basket in baskets]
        self._edges: dict[int, Edge | None] = {}
        """Worked out since a book of the basket's last changed."""

    def _leg(self, leg: Leg, basket: Basket) -> tuple[int, bool, Sequence[int], int]:
        """(market row, whether it is YES, its fees, fewest shares quoted that make it a leg)."""
        assert leg.side is Side.BUY
        row, yes = leg.market.row, leg.outcome is Outcome.YES
        return row, yes, self._fees[row], max(1, leg.market.min_size_e6 * basket.optional)

    def observe(self, row: int, book: Book, version: int, ingest_epoch: int) -> None:
        """Remember a market's book; other markets' rows than the baskets' are ignored."""
        key = self.keys.get(row)
        if key is not None:
            self._seen[row] = top_of(book, version, key, ingest_epoch), book
            self._unlearn(row)

    def forget(self, row: int) -> None:
        """A market's book could not be read: it has no quotes until it can."""
        self._seen.pop(row, None)
        self._unlearn(row)

    def _unlearn(self, row: int) -> None:
        for number in self.of_row(row):
            self._edges.pop(number, None)

    def top(self, row: int) -> Top:
        """What was last seen of a market."""
        seen = self._seen.get(row)
        return NO_TOP if seen is None else seen[0]

    def of_row(self, row: int) -> tuple[int, ...]:
        """Numbers of the baskets that a market is a leg of."""
        return self._of_row.get(row, ())

    def taken(self, number: int) -> list[Leg] | None:
        """The legs of a basket that would be bought now; None if the basket cannot be.

        All of them must be quoted, except where they are optional: then those that are quoted and
        as large as their market wants an order to be, two at least.
        """
        basket = self.baskets[number]
        if not basket.optional:
            return list(basket.legs) if all(map(self._quoted_e6, basket.legs)) else None
        some = [leg for leg in basket.legs if self._worth_an_order(leg)]
        return some if len(some) >= LEGS_MIN else None

    def payout_e4(self, number: int, taken: Sequence[Leg]) -> int:
        """What a unit of the legs that are bought pays."""
        left_out = len(self.baskets[number].legs) - len(taken)
        return self._payout_e4[number] - left_out * PRICE_ONE_E4

    def _quoted_e6(self, leg: Leg) -> int:
        """Size at the best price of a leg's token; 0 if it is not quoted."""
        seen = self._seen.get(leg.market.row)
        if seen is None or not seen[0].usable:
            return 0
        return seen[0].ask_size_e6 if leg.outcome is Outcome.YES else seen[0].bid_size_e6

    def _worth_an_order(self, leg: Leg) -> bool:
        quoted_e6 = self._quoted_e6(leg)
        return quoted_e6 > 0 and quoted_e6 >= leg.market.min_size_e6

    def edge(self, number: int) -> Edge | None:
        """Worth of a basket, or None while a price that it needs is not quoted."""
        if number not in self._edges:
            self._edges[number] = self._worth(number)
        return self._edges[number]

    def _worth(self, number: int) -> Edge | None:
        optional = self.baskets[number].optional
        gross_e8, fee_e8, sizes_e6 = self._payout_e4[number] * E8_PER_E4, 0, []
        for row, yes, fees_e8, least_e6 in self._legs[number]:
            top = self.top(row)
            quoted_e6 = top.ask_size_e6 if yes else top.bid_size_e6
            if not top.usable or quoted_e6 < least_e6:
                if not optional:
                    return None
                gross_e8 -= PRICE_ONE_E4 * E8_PER_E4
                continue
            price_e4 = top.ask_price_e4 if yes else PRICE_ONE_E4 - top.bid_price_e4
            gross_e8 -= price_e4 * E8_PER_E4
            fee_e8 += fees_e8[price_e4]
            sizes_e6.append(quoted_e6)
        if len(sizes_e6) < LEGS_MIN:
            return None
        return Edge(gross_e8, gross_e8 - fee_e8, min(sizes_e6))

    def hits(self, row: int, hurdles_e8: Sequence[int]) -> list[int]:
        """Numbers of a market's baskets whose net edge reaches their hurdle."""
        found = []
        for number in self.of_row(row):
            self.evaluations += 1
            edge = self.edge(number)
            if edge is not None and edge.net_e8 >= hurdles_e8[number]:
                found.append(number)
        return found

    def order(self, number: int, hurdle_e8: int, cap_e6: int, slippage_ticks: int) -> Order | None:
        """The best order of a quoted basket's legs; see engine/walk.py."""
        taken = self.taken(number)
        assert taken is not None
        payout_e8 = self.payout_e4(number, taken) * E8_PER_E4
        return best_order(self.legs(taken), payout_e8, hurdle_e8, cap_e6, slippage_ticks)

    def legs(self, taken: Sequence[Leg]) -> Legs:
        """What a walk down the levels of quoted legs needs to know."""
        books = [self._seen[leg.market.row][1] for leg in taken]
        ladders: list[Ladder] = [
            ladder_of(book, yes=leg.outcome is Outcome.YES)
            for leg, book in zip(taken, books, strict=True)
        ]
        return Legs(
            ladders,
            [self._fees[leg.market.row] for leg in taken],
            [book.tick_e4 for book in books],
            [leg.market.min_size_e6 for leg in taken],
        )
