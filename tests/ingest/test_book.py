"""Book: absolute sizes, best by comparison, believed only on top of a snapshot."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.book import NEXT_STATE, Book, Input
from shm.codes import BookState, Side
from shm.layout import BOOK_LEVELS

PRICES = st.integers(1, 9_999)
SIZES = st.integers(0, 10**9)
LEVELS = st.lists(st.tuples(PRICES, SIZES), max_size=40)


def expected(levels: dict[int, int], *, best_high: bool) -> list[tuple[int, int]]:
    kept = sorted(((p, s) for p, s in levels.items() if s), reverse=best_high)
    return kept[:BOOK_LEVELS]


def there(levels: list[tuple[int, int]]) -> dict[int, int]:
    return {price_e4: size_e6 for price_e4, size_e6 in levels if size_e6}


@example([(1, 1), (1, 0)], [(2, 0), (2, 1), (2, 0)], [])
@given(LEVELS, LEVELS, st.lists(st.tuples(st.sampled_from([Side.BUY, Side.SELL]), PRICES, SIZES)))
def test_the_book_is_a_dictionary_of_levels_with_the_best_ones_first(bids, asks, changes):
    book = Book()
    book.replace(1, bids, asks)
    sides = {Side.BUY: there(bids), Side.SELL: there(asks)}
    for side, price_e4, size_e6 in changes:
        book.change(2, side, price_e4, size_e6)
        sides[side][price_e4] = size_e6
    assert book.best_bids() == expected(sides[Side.BUY], best_high=True)
    assert book.best_asks() == expected(sides[Side.SELL], best_high=False)


def test_the_order_of_levels_on_the_wire_does_not_matter():
    one, other = Book(), Book()
    levels = [(10, 1), (30, 3), (20, 2)]
    one.replace(1, levels, [(90, 1), (70, 2)])
    other.replace(1, sorted(levels), [(70, 2), (90, 1)])
    assert one.best_bids() == other.best_bids() == [(30, 3), (20, 2), (10, 1)]
    assert one.best_asks() == other.best_asks() == [(70, 2), (90, 1)]


def test_changes_before_a_snapshot_and_after_a_loss_are_not_believed():
    book = Book()
    book.change(1, Side.BUY, 50, 5)
    assert book.state is BookState.UNKNOWN
    assert book.best_bids() == []
    book.replace(2, [(40, 4)], [])
    assert book.state is BookState.LIVE
    book.lose()
    book.change(3, Side.BUY, 50, 5)
    assert book.state is BookState.STALE
    assert book.best_bids() == [(40, 4)]
    book.replace(4, [(30, 3)], [])
    assert book.state is BookState.LIVE
    assert book.best_bids() == [(30, 3)]


def test_the_table_of_states_knows_every_case():
    assert set(NEXT_STATE) == {(state, what) for state in BookState for what in Input}
    assert set(NEXT_STATE.values()) <= set(BookState)


@pytest.mark.parametrize(
    ("bid", "ask", "crossed"), [(50, 51, False), (50, 50, True), (51, 50, True)]
)
def test_a_locked_or_crossed_book_says_so(bid, ask, crossed):
    book = Book()
    book.replace(1, [(bid, 1)], [(ask, 1)])
    assert book.crossed is crossed


def test_levels_off_the_tick_are_found():
    book = Book()
    book.replace(1, [(100, 1)], [(510, 1)])
    assert book.on_grid(10)
    assert not book.on_grid(100)
