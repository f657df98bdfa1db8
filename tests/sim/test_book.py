import pytest
from hypothesis import given
from hypothesis import strategies as st

from shm.units import PRICE_ONE_E4
from sim.book import Book, crosses, level_text
from sim.order import Outcome, Side
from tests.sim.worlds import order

BIDS = st.lists(st.tuples(st.integers(1, 49), st.integers(1, 5000)), max_size=20)
ASKS = st.lists(st.tuples(st.integers(51, 99), st.integers(1, 5000)), max_size=20)


def filled(bids, asks):
    book, orders = Book(), []
    for side, levels in (("BUY", bids), ("SELL", asks)):
        for index, (cents, shares) in enumerate(levels):
            one = order(side, cents * 100, shares, order_id=f"{side}{index}")
            book.add(one)
            orders.append(one)
    return book, orders


@given(BIDS, ASKS)
def test_levels_are_the_sums_of_their_orders_with_the_best_one_last(bids, asks):
    book, _ = filled(bids, asks)
    for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
        totals = {}
        for cents, shares in levels:
            totals[cents * 100] = totals.get(cents * 100, 0) + shares * 1_000_000
        assert book.halves[side].sizes == totals
        assert book.halves[side].prices() == sorted(totals, reverse=side is Side.SELL)
        best = max(totals, default=None) if side is Side.BUY else min(totals, default=None)
        assert book.best_e4(side) == best


@given(BIDS, ASKS, st.randoms(use_true_random=False))
def test_taking_every_order_away_again_leaves_nothing(bids, asks, chance):
    book, orders = filled(bids, asks)
    chance.shuffle(orders)
    for one in orders:
        book.shrink(one, one.remaining_e6)
    for half in book.halves.values():
        assert not half.keys
        assert not half.levels
        assert not half.sizes
        assert half.fragments == ([], [])


@given(BIDS, ASKS)
def test_the_no_book_is_the_exact_mirror_of_the_yes_book(bids, asks):
    book, _ = filled(bids, asks)
    no_bids, no_asks = book.fragments(Outcome.NO)
    assert no_bids == [
        level_text(PRICE_ONE_E4 - price, book.size_e6(Side.SELL, price))
        for price in book.halves[Side.SELL].prices()
    ]
    assert no_asks == [
        level_text(PRICE_ONE_E4 - price, book.size_e6(Side.BUY, price))
        for price in book.halves[Side.BUY].prices()
    ]


@given(BIDS, ASKS)
def test_cached_fragments_say_what_the_levels_are(bids, asks):
    book, orders = filled(bids, asks)
    for one in orders[::2]:
        part = one.remaining_e6 // 2
        if part:
            book.shrink(one, part)
            one.fill(part)
    for side, texts in zip(Side, book.fragments(Outcome.YES), strict=True):
        half = book.halves[side]
        assert texts == [level_text(price, half.sizes[price]) for price in half.prices()]


def test_orders_of_a_level_keep_their_time_order():
    book = Book()
    first, second = order("BUY", 4000, 5, order_id="a"), order("BUY", 4000, 7, order_id="b")
    book.add(first)
    book.add(second)
    assert book.orders(Side.BUY, 4000) == [first, second]
    book.shrink(first, first.remaining_e6)
    assert book.orders(Side.BUY, 4000) == [second]


def test_an_order_for_no_stands_on_the_other_side_at_the_complement():
    book = Book()
    book.add(order("BUY", 3000, 5, Outcome.NO))
    assert book.best_e4(Side.SELL) == 7000
    assert book.best_of(Outcome.NO, Side.BUY) == 3000
    assert book.best_of(Outcome.NO, Side.SELL) is None


def test_resting_across_the_book_is_refused():
    book = Book()
    book.add(order("SELL", 5000, 5))
    with pytest.raises(ValueError, match="across the book"):
        book.add(order("BUY", 5000, 5))


def test_taking_more_than_an_order_has_is_refused():
    book, one = Book(), order("BUY", 4000, 5)
    book.add(one)
    with pytest.raises(ValueError, match="rests with less"):
        book.shrink(one, 5_000_001)


@pytest.mark.parametrize(
    ("side", "price", "best", "answer"),
    [
        (Side.BUY, 50, 51, False),
        (Side.BUY, 51, 51, True),
        (Side.SELL, 51, 50, False),
        (Side.SELL, 50, 50, True),
    ],
)
def test_orders_cross_at_equal_prices(side, price, best, answer):
    assert crosses(side, price, best) is answer
