"""Lessons of the old system about market data, a test for each: D-02 to D-04, D-12 to D-14, D-19.

Each is tried on both keepers, the plain and the compiled one, down to the books table.
"""

import json

import pytest

from ingest.keeper import PythonKeeper, make_keeper
from ingest.publish import Publisher
from shm import backend, segment
from shm.codes import BookState, Role
from shm.fabric import Fabric
from shm.layout import BOOK, INGEST_STATS, UPDATE, Book
from shm.segments import SEGMENTS
from tests.conftest import require_or_skip
from tests.ingest.frames import market_of, token_of
from tests.ingest.test_keeper import market

YES, NO = token_of(0), token_of(1)
OTHER_YES = token_of(2)
SHARE_E6 = 10**6


class Desk:
    """One keeper and what the engine would see of it."""

    def __init__(self, instance: str, keeper_of) -> None:
        for plan in SEGMENTS.values():
            segment.create(instance, plan)
        fabric = Fabric(instance, Role.INGEST)
        self.keeper = keeper_of(fabric, 3, 1 << 30)
        reader = Fabric(instance, Role.ENGINE)
        self._books = reader.read_table("books", BOOK)
        self._updates = reader.consume("updates", UPDATE)
        self._counters = reader.counters("stats-ingest.counters", INGEST_STATS, write=False)
        for row in (0, 1):
            self.keeper.add(market(row))

    def take(self, *events: dict) -> Book:
        """Apply one frame; the first market's book afterwards."""
        text = json.dumps(events[0] if len(events) == 1 else list(events), separators=(",", ":"))
        if self.keeper.take(text.encode(), 1):
            self.keeper.news()
        return self.book()

    def book(self, row: int = 0) -> Book:
        found = self._books.read(row)
        assert found is not None
        return found

    def tops(self, row: int = 0) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """(price, shares) of best bid and best ask."""
        book = self.book(row)
        bid = (book.bid_price_e4[0], book.bid_size_e6[0] // SHARE_E6) if book.bid_count else None
        ask = (book.ask_price_e4[0], book.ask_size_e6[0] // SHARE_E6) if book.ask_count else None
        return bid, ask

    @property
    def counters(self):
        self.keeper.show_counts()
        return self._counters.read()


@pytest.fixture(params=["plain", "compiled"])
def desk(request, instance) -> Desk:
    if request.param == "plain":
        return Desk(instance, PythonKeeper)
    require_or_skip(backend.NATIVE, "the compiled kernels")
    return Desk(instance, make_keeper)


def levels(side: dict[str, str]) -> list[dict[str, str]]:
    return [{"price": price, "size": size} for price, size in side.items()]


def book_event(bids: dict[str, str], asks: dict[str, str], *, token: str = YES, at: int = 100):
    return {
        "event_type": "book", "market": market_of(token), "asset_id": token,
        "timestamp": str(at), "hash": "", "bids": levels(bids), "asks": levels(asks),
    }  # fmt: skip


def change_event(*entries: tuple[str, str, str, str], at: int = 200, **more: str) -> dict:
    return {
        "event_type": "price_change", "market": market_of(entries[0][0]), "timestamp": str(at),
        "price_changes": [
            {"asset_id": token, "side": side, "price": price, "size": size, "hash": ""} | more
            for token, side, price, size in entries
        ],
    }  # fmt: skip


START = book_event({"0.40": "10"}, {"0.60": "10"})


def test_d02_prices_of_the_no_token_never_stand_in_the_yes_book(desk):
    """The old system wrote both tokens' prices, whichever came last, into one quote."""
    desk.take(START)
    desk.take(change_event((NO, "BUY", "0.41", "7")))  # somebody wants NO at 0.41
    assert desk.tops() == ((4_000, 10), (5_900, 7))  # which is YES offered at 0.59
    desk.take(change_event((NO, "SELL", "0.58", "5"), at=201))
    assert desk.tops() == ((4_200, 5), (5_900, 7))
    desk.take(book_event({"0.30": "1"}, {"0.70": "2"}, token=NO, at=300))
    assert desk.tops() == ((3_000, 2), (7_000, 1))
    assert desk.book().market_key == market(0).key


def test_d02_an_update_of_one_market_leaves_the_others_alone(desk):
    desk.take(START, book_event({"0.10": "1"}, {"0.20": "1"}, token=OTHER_YES))
    desk.take(change_event((YES, "BUY", "0.45", "3"), (NO, "SELL", "0.55", "3")))
    assert desk.tops(0) == ((4_500, 3), (6_000, 10))
    assert desk.tops(1) == ((1_000, 1), (2_000, 1))


def test_d03_a_new_size_at_the_same_price_is_the_size(desk):
    """The old system kept the old size when a price stayed, and the size of another price."""
    desk.take(START)
    desk.take(change_event((YES, "SELL", "0.60", "3")))
    assert desk.tops() == ((4_000, 10), (6_000, 3))
    desk.take(change_event((YES, "SELL", "0.59", "1"), at=201))
    assert desk.tops() == ((4_000, 10), (5_900, 1))
    desk.take(change_event((YES, "SELL", "0.59", "0"), at=202))
    assert desk.tops() == ((4_000, 10), (6_000, 3))


def test_d03_a_whole_book_with_the_same_prices_and_other_sizes_is_taken(desk):
    """The old system threw it away as unchanged."""
    before = desk.take(START).frames
    after = desk.take(book_event({"0.40": "99"}, {"0.60": "98"}, at=101))
    assert desk.tops() == ((4_000, 99), (6_000, 98))
    assert after.frames > before


def test_d04_all_changes_of_one_millisecond_count_and_the_last_one_wins(desk):
    """The old system dropped every change after the first one of a millisecond."""
    desk.take(START)
    desk.take(
        change_event((YES, "BUY", "0.45", "1"), (YES, "BUY", "0.46", "1"), at=200),
        change_event((YES, "BUY", "0.46", "5"), at=200),
    )
    assert desk.tops()[0] == (4_600, 5)
    desk.take(change_event((YES, "BUY", "0.46", "0"), at=200))
    assert desk.tops()[0] == (4_500, 1)
    assert desk.counters.backward_time == 0


def test_d12_after_a_lost_connection_no_quote_is_believed(desk):
    """The old system went on trading the last quotes of a dead socket."""
    desk.take(START)
    assert desk.book().state == BookState.LIVE
    desk.keeper.lose([0])
    assert desk.book().state == BookState.STALE
    desk.take(change_event((YES, "BUY", "0.45", "1")))
    assert desk.book().state == BookState.STALE, "only a snapshot makes it live again"
    desk.take(book_event({"0.41": "1"}, {"0.61": "1"}, at=300))
    assert desk.book().state == BookState.LIVE


def test_d12_a_book_says_when_its_data_became_readable(desk):
    desk.keeper.take(json.dumps(START).encode(), 12_345)
    assert desk.book().received_ns == 12_345


@pytest.mark.parametrize("side", [{}, {"0.60": "10"}])
def test_d13_an_empty_side_is_no_quote_and_the_other_side_stays_one(desk, side):
    """In the old system it became a number that was none, or a price of zero."""
    desk.take(book_event({}, side))
    assert desk.book().state == BookState.LIVE
    assert desk.tops() == (None, (6_000, 10) if side else None)


def test_d13_the_venues_signs_for_an_empty_side_are_no_prices(desk):
    """After the last ask is gone the venue says best_ask 1, after the last bid best_bid 0."""
    desk.take(book_event({"0.40": "10"}, {"0.60": "10"}))
    desk.take(change_event((YES, "SELL", "0.60", "0"), at=201, best_bid="0.4", best_ask="1"))
    assert desk.tops() == ((4_000, 10), None)
    desk.take(change_event((YES, "BUY", "0.40", "0"), at=202, best_bid="0", best_ask="1"))
    assert desk.tops() == (None, None)


@pytest.mark.parametrize("price", ["0", "1", "-0.1", "1.5"])
def test_d13_a_level_at_a_price_that_cannot_be_traded_costs_the_book_its_trust(desk, price):
    """An ask of 0 would look like free money."""
    desk.take(START)
    desk.take(change_event((YES, "SELL", price, "10")))
    assert desk.book().state == BookState.STALE
    assert desk.tops() == ((4_000, 10), (6_000, 10))


def test_d14_the_best_level_is_the_best_one_wherever_it_stands(desk):
    """The venue sends the best level last, its own documents show it first."""
    bids = {"0.38": "3", "0.40": "1", "0.39": "2"}
    asks = {"0.61": "2", "0.60": "1", "0.65": "3"}
    for at, turned in ((100, False), (101, True)):
        desk.take(book_event(
            dict(reversed(bids.items())) if turned else bids,
            dict(reversed(asks.items())) if turned else asks, at=at,
        ))  # fmt: skip
        assert desk.tops() == ((4_000, 1), (6_000, 1))


@pytest.mark.parametrize(
    "bad",
    [
        {"event_type": "price_change", "market": 5},
        {"event_type": "book"},
        {"event_type": ["book"]},
        5,
        None,
        [],
        {"event_type": "book", "asset_id": None, "market": None, "bids": "x"},
    ],
)
def test_d19_one_bad_element_of_a_batch_does_not_take_the_others_with_it(desk, bad):
    """The old system threw the whole batch away, and said so to nobody."""
    desk.take(START, book_event({"0.10": "1"}, {"0.20": "1"}, token=OTHER_YES))
    better = change_event((OTHER_YES, "BUY", "0.15", "4"))
    desk.take(change_event((YES, "BUY", "0.45", "3")), bad, better)
    assert desk.tops(0)[0] == (4_500, 3)
    assert desk.tops(1)[0] == (1_500, 4)
    assert desk.book(0).state == desk.book(1).state == BookState.LIVE
    counters = desk.counters
    assert counters.events_refused + counters.events_other == 1


def test_these_lessons_would_notice_a_pen_that_writes_nothing(instance, monkeypatch):
    """The checks above look at the books table, not at the keeper's memory."""
    monkeypatch.setattr(Publisher, "publish", lambda *_: None)
    blind = Desk(instance, PythonKeeper)
    with pytest.raises(AssertionError):
        test_d03_a_new_size_at_the_same_price_is_the_size(blind)
