"""Pricer: compiled and reference agree to the last unit, and both with exact arithmetic."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.baskets import compile_baskets
from engine.pricer import NO_TOP, Edge, Pricer, Top, top_of
from shm.codes import BookState, Outcome, Role
from shm.fabric import Fabric, find_section
from shm.layout import BOOK, BOOK_LEVELS
from tests.conftest import require_or_skip
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
ROWS = [market.row for market in MARKETS]
FEES = {market.row: market.fee_rate_e6 for market in MARKETS}

prices = st.integers(0, 9_999)
sizes = st.integers(0, 10**12)
tops = st.builds(
    Top,
    usable=st.booleans(),
    bid_price_e4=prices,
    bid_size_e6=sizes,
    ask_price_e4=prices,
    ask_size_e6=sizes,
    received_ns=st.integers(0, 2**62),
    version=st.integers(0, 2**62),
)
# Quotes that often make an edge: cheap asks, dear bids.
good_tops = st.builds(
    Top,
    usable=st.just(True),
    bid_price_e4=st.integers(1, 9_998),
    bid_size_e6=st.integers(1, 10**9),
    ask_price_e4=st.integers(1, 9_999),
    ask_size_e6=st.integers(1, 10**9),
    received_ns=st.just(1),
    version=st.just(1),
)


def exact_edge(basket, seen) -> Edge | None:
    """The definition, in fractions of a dollar."""
    gross = Fraction(basket.payout_e4, 10_000)
    fees = Fraction(0)
    available = []
    for leg in basket.legs:
        top = seen.get(leg.market.row, NO_TOP)
        if leg.outcome is Outcome.YES:
            price, size = Fraction(top.ask_price_e4, 10_000), top.ask_size_e6
        else:
            price, size = 1 - Fraction(top.bid_price_e4, 10_000), top.bid_size_e6
        if not top.usable or size == 0:
            return None
        fee = Fraction(FEES[leg.market.row], 10**6) * price * (1 - price) * 10**8
        fees += -(-fee.numerator // fee.denominator)
        gross -= price
        available.append(size)
    return Edge(int(gross * 10**8), int(gross * 10**8 - fees), min(available))


@given(st.dictionaries(st.sampled_from(ROWS), good_tops | tops))
def test_the_reference_is_exact_arithmetic(seen):
    pricer = Pricer(BASKETS, None)
    for row, top in seen.items():
        pricer.observe(row, top)
    for number, basket in enumerate(BASKETS):
        assert pricer.edge(number) == exact_edge(basket, seen)


@given(
    st.lists(st.tuples(st.sampled_from(ROWS), good_tops | tops), max_size=30),
    st.integers(-(10**8), 10**8),
)
@settings(max_examples=300)
def test_the_compiled_pricer_does_the_same(acts, min_net_e8):
    require_or_skip(kernel is not None, "the compiled kernel")
    reference, compiled = Pricer(BASKETS, None), kernel.Pricer(BASKETS)
    for row, top in acts:
        reference.observe(row, top)
        compiled.observe(row, top)
        assert compiled.top(row) == reference.top(row) == top
        assert compiled.hits(row, min_net_e8) == reference.hits(row, min_net_e8)
    for number in range(len(BASKETS)):
        assert compiled.edge(number) == reference.edge(number)
    assert compiled.evaluations == reference.evaluations


def test_each_market_knows_all_its_baskets():
    pricers = [Pricer(BASKETS, None)] + ([kernel.Pricer(BASKETS)] if kernel else [])
    for pricer in pricers:
        for row in (*ROWS, 999):
            expected = tuple(
                number
                for number, basket in enumerate(BASKETS)
                if any(leg.market.row == row for leg in basket.legs)
            )
            assert pricer.of_row(row) == expected


@pytest.mark.parametrize("bad", [10_000, -1])
def test_a_price_outside_the_open_interval_is_refused(bad):
    pricers = [Pricer(BASKETS, None)] + ([kernel.Pricer(BASKETS)] if kernel else [])
    for pricer in pricers:
        with pytest.raises(ValueError, match="outside"):
            pricer.observe(0, NO_TOP._replace(ask_price_e4=bad))


# --- books in shared memory -------------------------------------------------------------------

books = st.builds(
    lambda **some: BOOK.blank()._replace(**some),
    market_key=st.sampled_from([1000, 1001]),
    epoch=st.sampled_from([1, 2]),
    received_ns=st.integers(0, 2**62),
    state=st.sampled_from([0, 1, 1, 1, 2, 77]),
    bid_count=st.integers(0, 2),
    ask_count=st.integers(0, 2),
    bid_price_e4=st.integers(-5, 10_005).map(lambda p: (p,) + (0,) * (BOOK_LEVELS - 1)),
    ask_price_e4=st.integers(-5, 10_005).map(lambda p: (p,) + (0,) * (BOOK_LEVELS - 1)),
    bid_size_e6=st.integers(-2, 10**9).map(lambda s: (s,) + (0,) * (BOOK_LEVELS - 1)),
    ask_size_e6=st.integers(-2, 10**9).map(lambda s: (s,) + (0,) * (BOOK_LEVELS - 1)),
)


@given(books)
def test_only_a_live_book_of_this_epoch_and_market_that_is_not_crossed_is_usable(book):
    top = top_of(book, 5, 1000, 1)
    assert 0 <= top.bid_price_e4 < 10_000
    assert 0 <= top.ask_price_e4 < 10_000
    assert min(top.bid_size_e6, top.ask_size_e6) >= 0
    if top.usable:
        assert (book.state, book.epoch, book.market_key) == (BookState.LIVE, 1, 1000)
        assert not top.bid_price_e4 >= top.ask_price_e4 > 0 or top.bid_price_e4 == 0


def test_both_pricers_read_the_same_tops_from_shared_memory(segments):
    require_or_skip(kernel is not None, "the compiled kernel")
    fabric = Fabric(segments, Role.INGEST)
    writer = fabric.write_table("books", BOOK)
    plan, placed = find_section("books")
    compiled = kernel.Pricer(BASKETS, fabric.segment(plan.name, writable=False).view, placed.offset)
    reference = Pricer(BASKETS, fabric.read_table("books", BOOK))

    @given(books)
    def check(book):
        writer.write(0, book)
        for pricer in (compiled, reference):
            assert pricer.look(0, 1)
            assert pricer.look(999, 1)
        assert compiled.top(0) == reference.top(0)
        assert compiled.top(0) == top_of(book, writer.version(0), 1000, 1)

    check()
