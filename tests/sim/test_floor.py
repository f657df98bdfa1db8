from hypothesis import given, settings
from hypothesis import strategies as st

from sim.events import UserFrame
from sim.order import Outcome, Side, Status
from sim.trades import TradeStatus
from tests.sim.traders import NOW_MS, Trader
from tests.sim.worlds import TOKENS, frames, order, world

PRICES = st.integers(1, 99).map(lambda cents: cents * 100)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("house"), st.sampled_from(Side), PRICES, st.integers(0, 60)),
        st.tuples(
            st.just("user"),
            st.integers(0, 2),
            st.sampled_from(Outcome),
            st.sampled_from(Side),
            PRICES,
            st.integers(1, 60),
            st.booleans(),
        ),
        st.tuples(st.just("fail"), st.integers(0, 20)),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
    ),
    max_size=25,
)


def user_order(number, outcome, terms, index):
    side, price, size = terms
    return order(
        side,
        price,
        size,
        outcome,
        owner=f"user{number}",
        wallet=f"wallet{number}",
        order_id=f"0x{index:064x}",
    )


def apply(exchange, market, house, index, step):
    """Run one step through the floor, without the checks that a request would pass."""
    floor = exchange.floor
    if step[0] == "house":
        side, price, size = step[1:]
        other = market.book.best_e4(Side.SELL if side is Side.BUY else Side.BUY)
        crossing = other is not None and (price >= other if side is Side.BUY else price <= other)
        if (
            size
            and crossing
            and any(
                one.house
                for half in market.book.halves.values()
                for level in half.levels.values()
                for one in level
            )
        ):
            size = 0
        house.set_levels(market, [((side, price), size * 1_000_000)], NOW_MS)
    elif step[0] == "user":
        _, number, outcome, side, price, size, rest = step
        one = user_order(number, outcome, (side, price, size), index)
        floor.register.add(one)
        floor.submit(one, NOW_MS, rest=rest)
        if not rest and one.status is Status.LIVE:
            floor.withdraw([one], Status.CANCELED, NOW_MS)
    elif step[0] == "fail":
        trades = [one for one in floor.tape.by_id.values() if one.status is TradeStatus.MATCHED]
        if trades:
            exchange.settle(trades[step[1] % len(trades)], TradeStatus.FAILED, NOW_MS)
    else:
        live = [one for number in range(3) for one in floor.register.open_of(f"user{number}")]
        if live:
            floor.withdraw([live[step[1] % len(live)]], Status.CANCELED, NOW_MS)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_nothing_is_ever_made_or_lost(steps):
    exchange, market, house = world(tick_e4=100, tick_follows_price=False)
    for number in range(3):
        exchange.floor.ledger.open_account(f"wallet{number}", 500_000_000)
    for index, step in enumerate(steps):
        apply(exchange, market, house, index, step)
        ledger = exchange.floor.ledger
        assert ledger.total_usd_e6() == ledger.paid_in_usd_e6() == 1_500_000_000
        totals = ledger.token_totals_e6()
        sets = {totals.get(token, 0) for token in TOKENS}
        assert sets == {ledger.collateral_usd_e6[market.facts.condition_id]}
        bid, ask = market.book.best_e4(Side.BUY), market.book.best_e4(Side.SELL)
        assert bid is None or ask is None or bid < ask


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_open_orders_in_the_register_are_those_in_the_book(steps):
    exchange, market, house = world(tick_e4=100, tick_follows_price=False)
    for index, step in enumerate(steps):
        apply(exchange, market, house, index, step)
    resting = {
        one.order_id
        for half in market.book.halves.values()
        for level in half.levels.values()
        for one in level
        if not one.house
    }
    listed = {
        one.order_id
        for number in range(3)
        for one in exchange.floor.register.open_of(f"user{number}")
    }
    assert resting == listed


def test_buying_both_tokens_mints_a_set():
    exchange, market, _ = world()
    floor = exchange.floor
    for number, (outcome, price) in enumerate(((Outcome.YES, 4000), (Outcome.NO, 6500))):
        floor.ledger.open_account(f"wallet{number}", 100_000_000)
        one = user_order(number, outcome, ("BUY", price, 10), number)
        floor.register.add(one)
        floor.submit(one, NOW_MS, rest=True)
    # The taker bid 0.65 for NO, the maker wanted 0.60 for it: execution at 0.60.
    assert floor.ledger.cash_usd_e6("wallet0") == 96_000_000
    fee = floor.ledger.fees_usd_e6
    assert floor.ledger.cash_usd_e6("wallet1") == 94_000_000 - fee
    assert fee == 168_000
    assert floor.ledger.collateral_usd_e6[market.facts.condition_id] == 10_000_000
    assert floor.ledger.position_e6("wallet0", TOKENS[0]) == 10_000_000
    assert floor.ledger.position_e6("wallet1", TOKENS[1]) == 10_000_000


def test_selling_both_tokens_merges_a_set():
    exchange, market, _ = world()
    floor, facts = exchange.floor, market.facts
    for number, (outcome, price) in enumerate(((Outcome.YES, 4000), (Outcome.NO, 5500))):
        floor.ledger.open_account(f"wallet{number}", 100_000_000)
        floor.ledger.mint(f"wallet{number}", facts.condition_id, facts.tokens, 10_000_000)
        one = user_order(number, outcome, ("SELL", price, 10), number)
        floor.register.add(one)
        floor.submit(one, NOW_MS, rest=True)
    assert floor.ledger.cash_usd_e6("wallet0") == 94_000_000
    assert floor.ledger.cash_usd_e6("wallet1") == 96_000_000 - floor.ledger.fees_usd_e6
    assert floor.ledger.collateral_usd_e6[facts.condition_id] == 10_000_000
    assert floor.ledger.position_e6("wallet0", TOKENS[0]) == 0
    assert floor.ledger.position_e6("wallet1", TOKENS[1]) == 0


def test_there_is_one_trade_for_each_price_level():
    exchange, market, _ = world([("SELL", 5000, 10), ("SELL", 5100, 10), ("SELL", 5200, 10)])
    trader = Trader(exchange)
    verdict, events = trader.place(market, Outcome.YES, "BUY", 5200, 25, kind="FAK")
    assert len(verdict.trade_ids) == 3
    prints = frames(events, "last_trade_price")
    assert [(one["price"], one["size"]) for one in prints] == [
        ("0.5", "10"),
        ("0.51", "10"),
        ("0.52", "5"),
    ]
    assert len(frames(events, "price_change")) == 3


def test_purchases_of_users_are_noted_and_those_of_the_house_are_not():
    exchange, market, house = world([("SELL", 5000, 30)])
    trader = Trader(exchange)
    house.take(market, Outcome.YES, Side.BUY, (5000, 5_000_000), NOW_MS)
    assert exchange.floor.bought == []
    trader.place(market, Outcome.YES, "BUY", 5000, 10, kind="FOK")
    assert [(one.wallet, one.token, one.size_e6) for one in exchange.floor.bought] == [
        (trader.wallet, TOKENS[0], 10_000_000)
    ]


def test_a_maker_hears_of_its_fill_as_a_maker():
    exchange, market, house = world()
    trader = Trader(exchange)
    trader.place(market, Outcome.YES, "BUY", 4000, 10)
    events = house.take(market, Outcome.NO, Side.BUY, (6000, 4_000_000), NOW_MS)
    told = [event for event in events if isinstance(event, UserFrame)]
    assert {event.owner for event in told} == {trader.key.key}
    assert any('"trader_side":"MAKER"' in event.text for event in told)
    assert any('"size_matched":"4"' in event.text for event in told)


def test_swapping_nothing_tells_nothing():
    exchange, _, _ = world()
    assert exchange.floor.swap([], [], NOW_MS) == []
    assert exchange.floor.withdraw([], Status.CANCELED, NOW_MS) == []
