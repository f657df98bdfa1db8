"""Watching: what a book is quoted as, its NO mirror, and which books count as none at all."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.amounts import TICKS_E4, limit_amounts
from executor.legging import best_plan
from executor.stock import Stock
from executor.watching import ladders
from shm.codes import BookState, Outcome, Role
from shm.fabric import Fabric
from shm.layout import BOOK, MARKETS_MAX
from shm.roles import RoleHolder
from tests.executor.stand import Stand, column
from tests.executor.test_legging import FREE
from tests.executor.written import MARKETS, OUTCOMES

BIDS, ASKS = [(5_900, 10**6), (5_800, 2 * 10**6)], [(6_100, 3 * 10**6), (6_200, 4 * 10**6)]
LIVE = MARKETS[0]
levels = st.lists(st.tuples(st.integers(1, 9_999), st.integers(1, 10**12)), max_size=6)


@pytest.fixture
def stand(segments, tmp_path):
    made = Stand(segments, tmp_path)
    made.book(LIVE, BIDS, ASKS)
    return made


def test_a_quote_is_the_best_of_both_sides(stand):
    quote = stand.books.quote(LIVE.row)
    assert (quote.live, quote.bid_e4, quote.ask_e4, quote.tick_e4) == (True, 5_900, 6_100, 10)


@pytest.mark.parametrize(("bids", "asks", "expected"), [
    ([], ASKS, (0, 6_100)), (BIDS, [], (5_900, 0)), ([], [], (0, 0)),
])  # fmt: skip
def test_a_side_without_levels_has_no_price(stand, bids, asks, expected):
    old = {"bid_price_e4": column([7_777])} if not bids else {}
    old |= {"ask_price_e4": column([8_888])} if not asks else {}
    stand.book(LIVE, bids, asks, **old)  # what stands beyond the count is of an earlier book
    quote = stand.books.quote(LIVE.row)
    assert (quote.bid_e4, quote.ask_e4) == expected


@pytest.mark.parametrize("state", [s for s in BookState if s is not BookState.LIVE])
def test_a_book_that_is_not_live_is_shown_as_dead_and_repairs_see_no_levels(stand, state):
    stand.book(LIVE, BIDS, ASKS, state=state)
    assert not stand.books.quote(LIVE.row).live
    standing = stand.books.standing((LIVE, Outcome.YES), 5, 5, 0, oldest_ns=0)
    assert (standing.asks, standing.bids, standing.held_e6) == ((), (), 5)


def test_of_a_book_that_has_not_changed_for_too_long_repairs_see_no_levels(stand):
    stand.book(LIVE, BIDS, ASKS)
    changed_ns = stand.books.quote(LIVE.row).changed_ns
    seen = stand.books.standing((LIVE, Outcome.YES), 5, 5, 0, oldest_ns=changed_ns)
    assert seen.asks
    assert seen.bids
    old = stand.books.standing((LIVE, Outcome.YES), 5, 5, 0, oldest_ns=changed_ns + 1)
    assert (old.asks, old.bids, old.held_e6) == ((), (), 5)


def test_the_books_of_a_dead_ingest_are_dead_at_once(stand, segments):
    assert stand.books.quote(LIVE.row).live
    RoleHolder(Fabric(segments, Role.INGEST).segment("control", writable=True), Role.INGEST)
    assert not stand.books.quote(LIVE.row).live
    assert stand.books.standing((LIVE, Outcome.YES), 0, 0, 0, oldest_ns=0).asks == ()


def test_a_row_where_another_market_lives_now_is_not_asked(stand):
    stand.book(LIVE, BIDS, ASKS, market_key=LIVE.key + 1)
    assert stand.books.standing((LIVE, Outcome.YES), 0, 0, 0, oldest_ns=0).bids == ()


@pytest.mark.parametrize("row", [-1, MARKETS_MAX, 2**40])
def test_a_row_that_the_table_does_not_have_is_no_quote(stand, row):
    assert not stand.books.quote(row).live


def test_a_leg_of_no_sees_the_mirror(stand):
    standing = stand.books.standing((LIVE, Outcome.NO), 7, 7, 0, oldest_ns=0)
    assert standing.asks == [(4_100, 10**6), (4_200, 2 * 10**6)]
    assert standing.bids == [(3_900, 3 * 10**6), (3_800, 4 * 10**6)]


@given(levels, levels)
def test_mirrored_twice_a_book_is_itself_and_the_best_stays_first(bids, asks):
    bids, asks = sorted(bids, reverse=True), sorted(asks)
    book = BOOK.blank()._replace(
        bid_count=len(bids), ask_count=len(asks),
        bid_price_e4=column([p for p, _ in bids]), bid_size_e6=column([s for _, s in bids]),
        ask_price_e4=column([p for p, _ in asks]), ask_size_e6=column([s for _, s in asks]),
    )  # fmt: skip
    assert ladders(book, Outcome.YES) == (asks, bids)
    no_asks, no_bids = ladders(book, Outcome.NO)
    assert [p for p, _ in no_asks] == sorted(p for p, _ in no_asks)
    assert [p for p, _ in no_bids] == sorted((p for p, _ in no_bids), reverse=True)
    assert [(10_000 - p, s) for p, s in no_asks] == bids
    assert [(10_000 - p, s) for p, s in no_bids] == asks


def test_silence_is_counted_from_the_last_beat(stand):
    stand.feed.beat(time.monotonic_ns() - 10**12)
    assert stand.books.feed_silence_ns() >= 10**12


def test_legs_stand_as_the_ledger_says(stand):
    stand.written.begin()
    flight = stand.written.launch()
    stand.written.complete(flight)
    standings = stand.books.standings(
        flight, Stock(stand.state.ledger), stand.state.tokens, inventory=True, oldest_ns=0
    )
    assert [one.held_e6 for one in standings] == [10_000_000] * 3
    assert [one.market.row for one in standings] == [0, 1, 2]


def test_levels_off_the_tick_are_not_shown_to_a_repair(stand):
    """A tick has changed, or the feed is broken: a limit there could not be signed."""
    stand.book(LIVE, [(5_950, 10**6), (5_900, 10**6)], [(6_011, 10**6), (6_100, 10**6)],
               tick_e4=100)  # fmt: skip
    standing = stand.books.standing((LIVE, Outcome.YES), 0, 0, 0, oldest_ns=0)
    assert (standing.asks, standing.bids) == ([(6_100, 10**6)], [(5_900, 10**6)])
    mirrored = stand.books.standing((LIVE, Outcome.NO), 0, 0, 0, oldest_ns=0)
    assert (mirrored.asks, mirrored.bids) == ([(4_100, 10**6)], [(3_900, 10**6)])
    stand.book(LIVE, BIDS, ASKS, tick_e4=7)
    assert stand.books.standing((LIVE, Outcome.YES), 0, 0, 0, oldest_ns=0).asks == ()


@pytest.mark.parametrize("tick_e4", sorted(TICKS_E4))
def test_whatever_a_book_shows_a_repair_can_be_signed(stand, tick_e4):
    rng = random.Random(tick_e4)
    for _ in range(40):
        standings = []
        for one, outcome in zip(MARKETS, OUTCOMES, strict=True):
            levels = [(rng.randrange(1, 9_999), rng.randrange(1, 50) * 10**6) for _ in range(6)]
            stand.book(one, sorted(levels[:3], reverse=True), sorted(levels[3:]), tick_e4=tick_e4)
            standings.append(
                stand.books.standing((one, outcome), rng.choice([0, 10**7]), 10**7, 0, oldest_ns=0)
            )
        for order in best_plan(standings, FREE).orders:
            limit_amounts(order.side, order.limit_e4, order.size_e6, tick_e4)
