import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.book import Book
from sim.matching import Fill, is_marketable, maker_notional_usd_e6, notional_usd_e6, plan
from sim.order import Outcome, Side
from tests.sim.worlds import order

LEVELS = st.lists(
    st.tuples(st.integers(51, 99), st.integers(1, 300), st.sampled_from(Outcome)), max_size=12
)


def asks(levels):
    """Sellers of YES, some of which are buyers of NO."""
    book = Book()
    for index, (cents, shares, outcome) in enumerate(levels):
        if outcome is Outcome.YES:
            book.add(order("SELL", cents * 100, shares, order_id=str(index)))
        else:
            book.add(order("BUY", 10_000 - cents * 100, shares, Outcome.NO, order_id=str(index)))
    return book


@given(LEVELS, st.integers(51, 99), st.integers(1, 2000))
def test_a_taker_gets_the_cheapest_shares_and_pays_the_makers_prices(levels, limit, shares):
    match = plan(asks(levels), order("BUY", limit * 100, shares))
    cheap = sorted((cents, count) for cents, count, _ in levels if cents <= limit)
    expected, left = {}, shares
    for cents, count in cheap:
        part = min(left, count)
        if part:
            expected[cents * 100] = expected.get(cents * 100, 0) + part * 1_000_000
            left -= part
    assert {one.price_e4: one.size_e6 for one in match.executions} == expected
    assert match.unfilled_e6 == left * 1_000_000
    assert [one.price_e4 for one in match.executions] == sorted(expected)


def test_within_a_price_the_older_order_comes_first():
    book = asks([(60, 10, Outcome.YES), (60, 10, Outcome.NO), (60, 10, Outcome.YES)])
    fills = plan(book, order("BUY", 6000, 15)).executions[0].fills
    assert [(fill.maker.order_id, fill.size_e6) for fill in fills] == [
        ("0", 10_000_000),
        ("1", 5_000_000),
    ]


def test_a_taker_of_no_sees_prices_in_its_own_terms():
    book = Book()
    book.add(order("BUY", 4000, 10))
    match = plan(book, order("BUY", 6500, 4, Outcome.NO))
    assert [(one.price_e4, one.size_e6) for one in match.executions] == [(6000, 4_000_000)]


@pytest.mark.parametrize(("price", "answer"), [(5999, False), (6000, True), (6001, True)])
def test_an_order_is_marketable_from_the_best_price_on(price, answer):
    assert is_marketable(asks([(60, 10, Outcome.YES)]), order("BUY", price, 5)) is answer
    assert not is_marketable(Book(), order("BUY", price, 5))


@given(st.integers(1, 10**10), st.integers(1, 9_999), st.sampled_from(Side), st.booleans())
def test_taker_and_maker_amounts_leave_nothing_over(size_e6, price_e4, side, same_token):
    outcome = Outcome.YES if same_token else Outcome.NO
    taker = order(side, price_e4)
    maker = order(side, 10_000 - price_e4, outcome=outcome)
    usd_e6 = notional_usd_e6(size_e6, price_e4, side)
    other = maker_notional_usd_e6(Fill(maker, size_e6), taker, usd_e6)
    assert other == (usd_e6 if same_token else size_e6 - usd_e6)
    exact = size_e6 * price_e4
    assert (usd_e6 * 10_000 - exact) * (1 if side is Side.BUY else -1) in range(10_000)
    assert 0 <= other <= size_e6


@given(st.integers(1, 10**6), st.integers(1, 9_999))
def test_sizes_of_two_decimals_are_exact(hundredths, price_e4):
    size_e6 = hundredths * 10_000
    usd = {notional_usd_e6(size_e6, price_e4, side) for side in Side}
    assert usd == {size_e6 * price_e4 // 10_000}
