import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.events import Audience
from sim.hashing import book_hash
from sim.market import Market, Touch, TradePrint, three_decimals
from sim.order import Outcome, Side
from tests.sim.traders import NOW_MS
from tests.sim.worlds import CID, TOKENS, Watcher, facts, frames, order, world


def test_each_change_is_told_for_both_tokens_own_token_first():
    _, market, house = world(tick_e4=100)
    events = house.set_levels(market, [((Side.BUY, 4000), 7_000_000)], NOW_MS + 5)
    (frame,) = frames(events, "price_change")
    own, other = frame["price_changes"]
    assert {own["asset_id"], other["asset_id"]} == set(TOKENS)
    by_token = {one["asset_id"]: one for one in (own, other)}
    yes, no = (by_token[token] for token in TOKENS)
    assert (yes["price"], yes["size"], yes["side"]) == ("0.4", "7", "BUY")
    assert (no["price"], no["size"], no["side"]) == ("0.6", "7", "SELL")
    assert (yes["best_bid"], yes["best_ask"]) == ("0.4", "1")
    assert (no["best_bid"], no["best_ask"]) == ("0", "0.6")
    assert frame["timestamp"] == str(NOW_MS + 5)
    standing = market.book.orders(Side.BUY, 4000)[0]
    assert own["asset_id"] == standing.token


def test_frames_of_one_transaction_share_time_and_the_hash_of_its_end():
    _, market, house = world([("BUY", 4000, 5), ("BUY", 3900, 5), ("BUY", 3800, 5)])
    leaving = [((Side.BUY, price), 0) for price in (4000, 3900, 3800)]
    told = frames(house.set_levels(market, leaving, NOW_MS + 9), "price_change")
    assert len(told) == 3
    for frame in told:
        assert frame["timestamp"] == str(NOW_MS + 9)
        for one in frame["price_changes"]:
            assert one["hash"] == market.hashes[TOKENS.index(one["asset_id"])]
            assert one["size"] == "0"


@given(
    st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 98), st.integers(0, 900)), max_size=25)
)
def test_a_client_that_follows_the_frames_has_the_book_and_its_hash(steps):
    _, market, house = world(tick_e4=100, tick_follows_price=False)
    watcher = Watcher()
    for number, (side, cents, shares) in enumerate(steps):
        price = cents * 50 if side is Side.BUY else 5000 + cents * 50
        wanted = [((side, price), shares * 1_000_000)]
        for event in house.set_levels(market, wanted, NOW_MS + number):
            watcher.see(event)
    for outcome, token in zip(Outcome, TOKENS, strict=True):
        mine = watcher.books.get(token, {"BUY": {}, "SELL": {}})
        shown = json.loads(market.rest_book(outcome))
        assert mine["BUY"] == {one["price"]: one["size"] for one in shown["bids"]}
        assert mine["SELL"] == {one["price"]: one["size"] for one in shown["asks"]}
        assert shown["hash"] == book_hash(market.text(outcome)) == market.hashes[outcome]
        assert [one["price"] for one in shown["bids"]] == sorted(mine["BUY"], key=float)
        assert [one["price"] for one in shown["asks"]] == sorted(
            mine["SELL"], key=float, reverse=True
        )


def test_after_a_trade_come_level_books_and_trade_with_one_hash():
    _, market, house = world([("SELL", 6000, 50)])
    events = house.take(market, Outcome.YES, Side.BUY, (6000, 20_000_000), NOW_MS + 3)
    kinds = [frame["event_type"] for frame in frames(events)]
    assert kinds[:4] == ["price_change", "book", "book", "last_trade_price"]
    change, first, second, trade = frames(events)[:4]
    hashes = {one["asset_id"]: one["hash"] for one in change["price_changes"]}
    for book in (first, second):
        assert book["hash"] == hashes[book["asset_id"]]
        assert book["timestamp"] == change["timestamp"]
        assert "tick_size" not in book
        assert "last_trade_price" not in book
    assert (trade["asset_id"], trade["price"], trade["size"], trade["side"]) == (
        TOKENS[0],
        "0.6",
        "20",
        "BUY",
    )


@pytest.mark.parametrize(
    ("outcome", "price", "text"),
    [(Outcome.YES, 2800, "0.280"), (Outcome.NO, 5100, "0.490"), (Outcome.YES, 5, "0.0005")],
)
def test_the_last_trade_is_hashed_in_yes_terms_for_both_tokens(outcome, price, text):
    market = Market(facts(), 1, NOW_MS)
    assert market.last_trade_text() == ""
    market.commit([], [TradePrint(outcome, Side.BUY, price, 10**6, "0x")], NOW_MS)
    assert {json.loads(market.rest_book(one))["last_trade_price"] for one in Outcome} == {text}


def test_three_decimals_keep_a_fourth_only_when_it_says_something():
    assert [three_decimals(p) for p in (0, 10, 4305, 10_000)] == [
        "0.000",
        "0.001",
        "0.4305",
        "1.000",
    ]


@pytest.mark.parametrize(
    ("levels", "side", "price"),
    [([("SELL", 9900, 5)], "BUY", 9700), ([("BUY", 100, 5)], "SELL", 300)],
)
def test_a_coarse_tick_becomes_fine_at_the_edges_and_is_told(levels, side, price):
    _, market, house = world(levels, tick_e4=100)
    assert market.tick_e4 == 100
    wanted = [((Side(side), price), 10_000_000)]
    told = frames(house.set_levels(market, wanted, NOW_MS + 1))
    ticks = [frame for frame in told if frame["event_type"] == "tick_size_change"]
    assert [(one["asset_id"], one["old_tick_size"], one["new_tick_size"]) for one in ticks] == [
        (token, "0.01", "0.001") for token in TOKENS
    ]
    assert market.tick_e4 == 10
    after = told[told.index(ticks[-1]) + 1 :]
    assert [one["event_type"] for one in after] == ["book", "book"]
    assert {one["hash"] for one in after} == set(market.hashes)
    again = frames(house.set_levels(market, [((Side(side), price), 0)], NOW_MS + 2))
    assert "tick_size_change" not in {one["event_type"] for one in again}


def test_a_tick_stays_between_the_edges():
    _, market, house = world([("SELL", 9700, 5)], tick_e4=100)
    house.set_levels(market, [((Side.BUY, 9600), 10_000_000)], NOW_MS)
    assert market.tick_e4 == 100


def test_timestamps_never_run_backwards():
    _, market, house = world()
    house.set_levels(market, [((Side.BUY, 4000), 1_000_000)], NOW_MS + 50)
    house.set_levels(market, [((Side.BUY, 4100), 1_000_000)], NOW_MS + 20)
    assert market.stamp_ms == NOW_MS + 50


def test_a_transaction_that_changed_nothing_tells_nothing():
    market = Market(facts(), 10, NOW_MS)
    before = market.hashes
    assert market.commit([], [], NOW_MS + 5) == []
    assert market.hashes == before


def test_tops_are_told_when_and_only_when_they_change():
    _, market, house = world([("BUY", 4000, 5)])
    deeper = house.set_levels(market, [((Side.BUY, 3000), 5_000_000)], NOW_MS)
    assert not frames(deeper, "best_bid_ask")
    better = house.set_levels(market, [((Side.BUY, 4500), 5_000_000)], NOW_MS)
    tops = frames(better, "best_bid_ask")
    assert {one["asset_id"]: (one["best_bid"], one["best_ask"]) for one in tops} == {
        TOKENS[0]: ("0.45", "1"),
        TOKENS[1]: ("0", "0.55"),
    }
    assert {one["spread"] for one in tops} == {"0.55"}
    audiences = {event.audience for event in better}
    assert audiences == {Audience.MARKET, Audience.TOKEN_CUSTOM}


def test_a_level_touched_twice_in_a_transaction_is_told_once():
    market = Market(facts(), 10, NOW_MS)
    market.book.add(order("BUY", 4000, 5))
    touch = Touch(Side.BUY, 4000, Outcome.YES)
    told = frames(market.commit([touch, touch], [], NOW_MS), "price_change")
    assert len(told) == 1
    assert told[0]["market"] == CID
