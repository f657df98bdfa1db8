from hypothesis import given
from hypothesis import strategies as st

from sim.house import MAX_ORDERS_A_LEVEL
from sim.order import Outcome, Side
from tests.sim.traders import NOW_MS, Trader
from tests.sim.worlds import frames, world

LEVEL = st.tuples(st.sampled_from(Side), st.integers(1, 99), st.integers(0, 500))


@given(st.lists(LEVEL, max_size=20))
def test_levels_are_what_was_wanted_last(levels):
    _, market, house = world(tick_e4=100, tick_follows_price=False)
    wanted = {}
    for side, cents, shares in levels:
        price = cents * 50 if side is Side.BUY else 5000 + cents * 50
        house.set_levels(market, [((side, price), shares * 1_000_000)], NOW_MS)
        wanted[side, price] = shares * 1_000_000
    for (side, price), size_e6 in wanted.items():
        assert house.size_e6(market, side, price) == size_e6 == market.book.size_e6(side, price)
        assert len(market.book.orders(side, price)) <= MAX_ORDERS_A_LEVEL
    for side in Side:
        present = {price for (one, price), size in wanted.items() if one is side and size}
        assert set(house.levels(market, side)) == present


def test_more_size_queues_behind_what_is_there():
    exchange, market, house = world([("BUY", 4000, 10)])
    trader = Trader(exchange)
    trader.place(market, Outcome.YES, "BUY", 4000, 10)
    house.set_levels(market, [((Side.BUY, 4000), 30_000_000)], NOW_MS)
    owners = [one.house for one in market.book.orders(Side.BUY, 4000)]
    assert owners == [True, False, True]


def test_orders_of_users_are_not_the_houses():
    exchange, market, house = world()
    Trader(exchange).place(market, Outcome.YES, "BUY", 4000, 10)
    assert house.levels(market, Side.BUY) == []
    assert house.set_levels(market, [((Side.BUY, 4000), 0)], NOW_MS) == []
    assert market.book.size_e6(Side.BUY, 4000) == 10_000_000


def test_a_user_in_the_way_is_traded_with():
    exchange, market, house = world()
    trader = Trader(exchange)
    trader.place(market, Outcome.YES, "BUY", 5500, 10)
    events = house.set_levels(market, [((Side.SELL, 5000), 25_000_000)], NOW_MS)
    (trade,) = frames(events, "last_trade_price")
    assert trade["price"] in {"0.55", "0.45"}
    assert market.book.size_e6(Side.SELL, 5000) == 15_000_000
    ledger = exchange.floor.ledger
    assert ledger.accounts[trader.wallet].fees_usd_e6 == 0
    assert ledger.position_e6(trader.wallet, market.facts.tokens[0]) == 10_000_000


def test_taking_leaves_nothing_in_the_book():
    _, market, house = world([("SELL", 5000, 10)])
    house.take(market, Outcome.YES, Side.BUY, (5000, 50_000_000), NOW_MS)
    assert market.book.best_e4(Side.SELL) is None
    assert market.book.best_e4(Side.BUY) is None


def test_the_house_speaks_of_both_tokens():
    _, market, house = world()
    told = set()
    for price in range(1000, 3000, 10):
        events = house.set_levels(market, [((Side.BUY, price), 5_000_000)], NOW_MS)
        (frame,) = frames(events, "price_change")
        told.add(frame["price_changes"][0]["asset_id"])
    assert told == set(market.facts.tokens)
