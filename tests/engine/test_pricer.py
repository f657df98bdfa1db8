"""Pricer: compiled and reference agree to the last unit, and both with exact arithmetic."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.baskets import compile_baskets
from engine.pricer import NO_TOP, Edge, Pricer, top_of
from shm.codes import BookState, Outcome
from shm.layout import BOOK
from tests.conftest import require_or_skip
from tests.engine.books import EPOCH, any_books, book, live_books
from tests.engine.factory import ladder

try:
    from engine import kernel
except ImportError:
    kernel = None

MARKETS = [
    *ladder([10, 20, 30, 40]),
    *[m._replace(fee_rate_e6=40_000) for m in ladder([100, 200], first_row=20, group=2)],
]
BASKETS = compile_baskets(MARKETS).baskets
KEYS = {market.row: market.key for market in MARKETS}
FEES = {market.row: market.fee_rate_e6 for market in MARKETS}

rows = st.sampled_from(sorted(KEYS))
live = rows.flatmap(lambda row: st.tuples(st.just(row), live_books(KEYS[row])))
anything = rows.flatmap(lambda row: st.tuples(st.just(row), any_books(KEYS[row])))


def exact_edge(basket, tops) -> Edge | None:
    """The definition, in fractions of a dollar."""
    gross = Fraction(basket.payout_e4, 10_000)
    fees = Fraction(0)
    available = []
    for leg in basket.legs:
        top = tops.get(leg.market.row, NO_TOP)
        if leg.outcome is Outcome.YES:
            price, size = Fraction(top.ask_price_e4, 10_000), top.ask_size_e6
        else:
            price, size = 1 - Fraction(top.bid_price_e4, 10_000), top.bid_size_e6
        quoted = top.usable and size > 0
        if basket.optional and not (quoted and size >= leg.market.min_size_e6):
            gross -= 1
            continue
        if not quoted:
            return None
        fee = Fraction(FEES[leg.market.row], 10**6) * price * (1 - price) * 10**8
        fees += -(-fee.numerator // fee.denominator)
        gross -= price
        available.append(size)
    if len(available) < 2:
        return None
    return Edge(int(gross * 10**8), int(gross * 10**8 - fees), min(available))


@given(st.lists(live | anything, max_size=20))
def test_the_reference_is_exact_arithmetic(acts):
    pricer = Pricer(BASKETS)
    for row, seen in acts:
        pricer.observe(row, seen, 1, EPOCH)
    tops = {row: pricer.top(row) for row in KEYS}
    for number, basket in enumerate(BASKETS):
        assert pricer.edge(number) == exact_edge(basket, tops)


@given(st.lists(live | anything, max_size=20), st.integers(-(10**8), 10**8), st.integers(0, 3))
@settings(max_examples=300)
def test_the_compiled_pricer_does_the_same(acts, hurdle_e8, slippage_ticks):
    require_or_skip(kernel is not None, "the compiled kernel")
    reference, compiled = Pricer(BASKETS), kernel.Pricer(BASKETS)
    hurdles_e8 = [hurdle_e8] * len(BASKETS)
    for version, (row, seen) in enumerate(acts):
        for one in (reference, compiled):
            one.observe(row, seen, version, EPOCH)
        assert compiled.top(row) == reference.top(row)
        assert compiled.hits(row, hurdles_e8) == reference.hits(row, hurdles_e8)
    for number in range(len(BASKETS)):
        assert compiled.edge(number) == reference.edge(number)
        if reference.edge(number) is not None:
            for cap_e6 in (7_000_000, 500_000_000, 10**12):
                asked = (number, hurdle_e8, cap_e6, slippage_ticks)
                assert compiled.order(*asked) == reference.order(*asked)


def test_each_market_knows_all_its_baskets():
    pricers = [Pricer(BASKETS)] + ([kernel.Pricer(BASKETS)] if kernel else [])
    for pricer in pricers:
        for row in (*KEYS, 1023, 5000):
            expected = tuple(
                number for number, basket in enumerate(BASKETS)
                if any(leg.market.row == row for leg in basket.legs)
            )  # fmt: skip
            assert pricer.of_row(row) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"state": BookState.STALE},
        {"state": BookState.UNKNOWN},
        {"epoch": EPOCH + 1},
        {"market_key": 99},
        {"ask_price_e4": (4_000,) + (0,) * 15},
        {"ask_price_e4": (3_999,) + (0,) * 15},
    ],
)
def test_only_a_live_book_of_this_epoch_and_market_that_is_not_crossed_is_usable(change):
    good = book([(4_000, 10**6)], [(5_000, 10**6)], key=7)
    assert top_of(good, 1, 7, EPOCH).usable
    assert not top_of(good._replace(**change), 1, 7, EPOCH).usable


def test_a_side_without_levels_at_zero_or_at_one_is_no_quote():
    for price_e4, count, size_e6 in ((4_000, 0, 1), (0, 1, 1), (10_000, 1, 1), (4_000, 1, 0)):
        bids = book([(price_e4, size_e6)], [], key=7)._replace(bid_count=count)
        asks = book([], [(price_e4, size_e6)], key=7)._replace(ask_count=count)
        assert top_of(bids, 1, 7, EPOCH).bid_price_e4 == 0
        assert top_of(asks, 1, 7, EPOCH).ask_price_e4 == 0


def test_a_forgotten_book_has_no_quotes():
    pricer = Pricer(BASKETS)
    row = BASKETS[0].legs[0].market.row
    pricer.observe(row, book([(1, 1)], [(2, 1)], key=KEYS[row]), 1, EPOCH)
    pricer.forget(row)
    assert pricer.top(row) == NO_TOP
    assert BOOK.blank().state == BookState.UNKNOWN


def test_a_set_of_no_is_bought_without_the_brackets_that_are_not_quoted():
    number, basket = next((n, b) for n, b in enumerate(BASKETS) if b.optional)
    pricer = Pricer(BASKETS)
    for leg in basket.legs[:3]:
        row = leg.market.row
        pricer.observe(row, book([(4_000, 10**7)], [], key=KEYS[row]), 1, EPOCH)
    assert [leg.market.row for leg in pricer.taken(number)] == [
        leg.market.row for leg in basket.legs[:3]
    ]
    # Three NO at 0.60 pay two dollars.
    assert pricer.edge(number).gross_e8 == (20_000 - 3 * 6_000) * 10_000
    thin = basket.legs[0].market.row
    pricer.observe(thin, book([(4_000, 4_999_999)], [], key=KEYS[thin]), 2, EPOCH)
    assert len(pricer.taken(number)) == 2
    pricer.forget(basket.legs[1].market.row)
    assert pricer.taken(number) is None
