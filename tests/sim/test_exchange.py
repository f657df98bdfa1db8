import json

import pytest

from sim import replies
from sim.events import UserFrame
from sim.order import Outcome, Side, Status
from sim.trades import TradeStatus
from sim.wallets import SignatureType, wallet_of
from tests.sim.traders import NOW_MS, Trader, account
from tests.sim.worlds import CID, OPENING_USD_E6, TOKENS, frames, world

BOOK = [("BUY", 4000, 100), ("SELL", 5000, 100), ("SELL", 5100, 100)]


@pytest.fixture
def scene():
    exchange, market, house = world(BOOK)
    return Trader(exchange), market, house


def user_events(events, owner=None):
    return [
        json.loads(event.text)
        for event in events
        if isinstance(event, UserFrame) and owner in (None, event.owner)
    ]


def summary(events):
    return [
        (one["event_type"], one["type"], one["status"], one.get("size_matched"))
        for one in user_events(events)
    ]


def test_a_resting_order_is_live_and_told(scene):
    trader, market, _ = scene
    verdict, events = trader.place(market, Outcome.YES, "BUY", 4500, 10)
    assert verdict.status == "live"
    body = verdict.body()
    assert (body["makingAmount"], body["takingAmount"]) == ("", "")
    assert (body["success"], body["errorMsg"], body["tradeIDs"]) == (True, "", [])
    assert summary(events) == [("order", "PLACEMENT", "LIVE", "0")]
    assert frames(events, "price_change")[0]["price_changes"][0]["size"] == "10"
    assert market.book.size_e6(Side.BUY, 4500) == 10_000_000


def test_a_buy_gets_better_prices_than_its_limit(scene):
    trader, market, _ = scene
    verdict, _ = trader.place(market, Outcome.YES, "BUY", 5200, 150, kind="FOK")
    assert verdict.status == "matched"
    body = verdict.body()
    assert (body["makingAmount"], body["takingAmount"]) == ("75.5", "150")
    assert len(body["tradeIDs"]) == 2
    assert body["transactionsHashes"] == []
    ledger = trader.exchange.floor.ledger
    fees = 1_750_000 + 874_650
    assert ledger.accounts[trader.wallet].fees_usd_e6 == fees
    assert ledger.cash_usd_e6(trader.wallet) == OPENING_USD_E6 - 75_500_000 - fees
    assert ledger.position_e6(trader.wallet, TOKENS[0]) == 150_000_000


def test_a_sell_gives_shares_and_gets_proceeds_less_the_fee(scene):
    trader, market, _ = scene
    trader.give(market, 20)
    before = trader.exchange.floor.ledger.cash_usd_e6(trader.wallet)
    verdict, _ = trader.place(market, Outcome.YES, "SELL", 3900, 20, kind="FAK")
    assert (verdict.making_e6, verdict.taking_e6) == (20_000_000, 8_000_000)
    after = trader.exchange.floor.ledger.cash_usd_e6(trader.wallet)
    assert after - before == 8_000_000 - 336_000


def test_buying_no_lifts_the_yes_bid(scene):
    trader, market, _ = scene
    verdict, events = trader.place(market, Outcome.NO, "BUY", 6000, 30, kind="FOK")
    assert (verdict.making_e6, verdict.taking_e6) == (18_000_000, 30_000_000)
    assert market.book.size_e6(Side.BUY, 4000) == 70_000_000
    (trade,) = frames(events, "last_trade_price")
    assert (trade["asset_id"], trade["price"]) == (TOKENS[1], "0.6")
    assert json.loads(market.rest_book(Outcome.YES))["last_trade_price"] == "0.400"


def test_fok_is_all_or_nothing(scene):
    trader, market, _ = scene
    verdict, events = trader.place(market, Outcome.YES, "BUY", 5000, 101, kind="FOK")
    assert verdict.error == replies.FOK_KILLED
    assert summary(events) == [
        ("order", "CANCELLATION", f"CANCELED_{replies.FOK_KILLED}", "0"),
    ]
    assert frames(events) == []
    assert market.book.size_e6(Side.SELL, 5000) == 100_000_000
    assert trader.exchange.floor.ledger.cash_usd_e6(trader.wallet) == OPENING_USD_E6


def test_fak_takes_what_there_is_and_never_rests(scene):
    trader, market, _ = scene
    verdict, events = trader.place(market, Outcome.YES, "BUY", 5000, 130, kind="FAK")
    assert (verdict.error, verdict.status, verdict.taking_e6) == ("", "matched", 100_000_000)
    assert market.book.best_e4(Side.BUY) == 4000
    assert summary(events) == [
        ("order", "PLACEMENT", "LIVE", "0"),
        ("order", "UPDATE", "LIVE", "100"),
        ("trade", "TRADE", "MATCHED", None),
        ("order", "CANCELLATION", "CANCELED", "100"),
    ]


def test_fak_without_a_match_is_killed_with_its_id(scene):
    trader, market, _ = scene
    verdict, _ = trader.place(market, Outcome.YES, "BUY", 4900, 10, kind="FAK")
    assert verdict.error == replies.FAK_KILLED
    assert verdict.order_id.startswith("0x")


def test_gtc_trades_and_rests_in_one_transaction(scene):
    trader, market, _ = scene
    verdict, events = trader.place(market, Outcome.YES, "BUY", 5000, 130)
    assert (verdict.status, verdict.taking_e6) == ("matched", 100_000_000)
    assert market.book.size_e6(Side.BUY, 5000) == 30_000_000
    told = frames(events, "price_change")
    assert len(told) == 2
    hashes = {(one["asset_id"], one["hash"]) for frame in told for one in frame["price_changes"]}
    assert len(hashes) == 2


def test_a_batch_is_executed_in_some_order_and_answered_in_the_given_one():
    orders = set()
    for seed in range(12):
        exchange, market, _ = world([("SELL", 5000, 100)], seed=seed)
        trader = Trader(exchange)
        raws = [trader.body(market, Outcome.YES, "BUY", 5000, 60, kind="FOK") for _ in range(2)]
        raws.insert(1, b"{}")
        verdicts, _ = exchange.place_many(trader.key, raws, NOW_MS)
        assert verdicts[1].error == replies.INVALID_PAYLOAD
        outcome = tuple(bool(one.error) for one in verdicts)
        assert outcome.count(True) == 2
        orders.add(outcome)
        assert verdicts[1].body()["success"] is True
        assert verdicts[1].body()["orderID"] == ""
    assert len(orders) == 2


def test_cancelling_answers_for_every_order(scene):
    trader, market, _ = scene
    stranger = Trader(trader.exchange, number=2)
    mine, _ = trader.place(market, Outcome.YES, "BUY", 3000, 10)
    theirs, _ = stranger.place(market, Outcome.YES, "BUY", 3000, 10)
    ids = [mine.order_id, theirs.order_id, "0x" + "00" * 32, mine.order_id]
    result = trader.exchange.cancel(trader.key, ids, NOW_MS + 5)
    assert result.canceled == [mine.order_id]
    assert set(result.not_canceled) == set(ids[1:3])
    assert summary(result.events) == [("order", "CANCELLATION", "CANCELED", "0")]
    assert market.book.size_e6(Side.BUY, 3000) == 10_000_000
    again = trader.exchange.cancel(trader.key, [mine.order_id], NOW_MS + 6)
    assert again.not_canceled == {mine.order_id: replies.NOT_CANCELED}


def test_cancelling_by_market_and_token(scene):
    trader, market, _ = scene
    yes, _ = trader.place(market, Outcome.YES, "BUY", 3000, 10)
    no, _ = trader.place(market, Outcome.NO, "BUY", 3000, 10)
    exchange, key = trader.exchange, trader.key
    assert exchange.cancel_where(key, NOW_MS, market="0x1").canceled == []
    token = exchange.cancel_where(key, NOW_MS, market=CID, asset_id=TOKENS[1])
    assert token.canceled == [no.order_id]
    assert exchange.cancel_where(key, NOW_MS).canceled == [yes.order_id]


def test_gtd_orders_leave_a_minute_before_their_time(scene):
    trader, market, _ = scene
    expiration_s = NOW_MS // 1000 + 200
    terms = (market, Outcome.YES, "BUY", 3000, 10)
    verdict, _ = trader.place(*terms, kind="GTD", expiration=str(expiration_s))
    assert verdict.status == "live"
    assert trader.exchange.advance(NOW_MS + 139_999) == []
    events = trader.exchange.advance(NOW_MS + 140_000)
    assert summary(events) == [("order", "CANCELLATION", "CANCELED_EXPIRED_ORDER", "0")]
    assert market.book.size_e6(Side.BUY, 3000) == 0


def test_silence_after_a_heartbeat_cancels_all_orders_of_the_key(scene):
    trader, market, _ = scene
    stranger = Trader(trader.exchange, number=2)
    trader.place(market, Outcome.YES, "BUY", 3000, 10)
    stranger.place(market, Outcome.YES, "BUY", 3000, 10)
    trader.exchange.advance(NOW_MS)
    trader.exchange.heartbeats.beat(trader.key.key, "", NOW_MS)
    assert trader.exchange.advance(NOW_MS + 10_000) == []
    events = trader.exchange.advance(NOW_MS + 15_000)
    assert {one["owner"] for one in user_events(events)} == {trader.key.key}
    assert market.book.size_e6(Side.BUY, 3000) == 10_000_000


def test_trades_are_mined_and_confirmed_on_time(scene):
    trader, market, _ = scene
    verdict, _ = trader.place(market, Outcome.YES, "BUY", 5000, 10, kind="FOK")
    path = []
    for after_ms in (0, 399, 400, 1199, 1200, 9000):
        told = user_events(trader.exchange.advance(NOW_MS + after_ms))
        path += [
            (after_ms, one["status"], bool(one["transaction_hash"]), one["id"]) for one in told
        ]
    assert path == [
        (400, "MINED", True, verdict.trade_ids[0]),
        (1200, "CONFIRMED", True, verdict.trade_ids[0]),
    ]


def test_a_failed_trade_gives_everything_back_and_removes_uncovered_orders(scene):
    trader, market, _ = scene
    ledger = trader.exchange.floor.ledger
    verdict, _ = trader.place(market, Outcome.YES, "BUY", 5000, 10, kind="FOK")
    resting, _ = trader.place(market, Outcome.YES, "SELL", 6000, 10)
    assert resting.status == "live"
    trade = trader.exchange.floor.tape.by_id[verdict.trade_ids[0]]
    events = trader.exchange.settle(trade, TradeStatus.FAILED, NOW_MS + 5)
    assert ledger.cash_usd_e6(trader.wallet) == OPENING_USD_E6
    assert ledger.position_e6(trader.wallet, TOKENS[0]) == 0
    assert ledger.accounts[trader.wallet].fees_usd_e6 == 0
    assert ledger.total_usd_e6() == ledger.paid_in_usd_e6()
    assert ("order", "CANCELLATION", "INVALID", "0") in summary(events)
    assert trader.exchange.floor.register.get(resting.order_id).status is Status.INVALID
    assert trader.exchange.advance(NOW_MS + 5000) == []


def test_retrying_leads_to_a_settlement(scene):
    trader, market, _ = scene
    verdict, _ = trader.place(market, Outcome.YES, "BUY", 5000, 10, kind="FOK")
    trade = trader.exchange.floor.tape.by_id[verdict.trade_ids[0]]
    told = user_events(trader.exchange.settle(trade, TradeStatus.RETRYING, NOW_MS + 5))
    assert [(one["status"], one["transaction_hash"]) for one in told] == [("RETRYING", "")]
    assert [one["status"] for one in user_events(trader.exchange.advance(NOW_MS + 2000))] == [
        "MINED",
        "CONFIRMED",
    ]


@pytest.mark.parametrize("winner", Outcome)
def test_resolution_cancels_settles_and_pays(scene, winner):
    trader, market, _ = scene
    exchange = trader.exchange
    trader.place(market, Outcome.YES, "BUY", 5000, 10, kind="FOK")
    trader.place(market, Outcome.YES, "BUY", 3000, 10)
    before = exchange.floor.ledger.cash_usd_e6(trader.wallet)
    events = exchange.resolve(CID, winner, NOW_MS + 50)
    statuses = [one["status"] for one in user_events(events)]
    assert statuses == ["CANCELED_MARKET_RESOLVED", "MINED", "CONFIRMED"]
    paid = 10_000_000 if winner is Outcome.YES else 0
    assert exchange.floor.ledger.cash_usd_e6(trader.wallet) - before == paid
    assert exchange.floor.ledger.accounts[trader.wallet].positions == {}
    assert exchange.open_market(TOKENS[0]) is None
    assert exchange.floor.ledger.total_usd_e6() == exchange.floor.ledger.paid_in_usd_e6()
    verdict, _ = trader.place(market, Outcome.YES, "BUY", 3000, 10)
    assert verdict.error == replies.NOT_READY


def test_the_first_key_funds_the_four_wallets_once():
    exchange, _, _ = world()
    address = account(4).address
    exchange.create_key(address, 0)
    wallets = {wallet_of(address, one) for one in SignatureType}
    assert set(exchange.wallets) == wallets
    assert exchange.floor.ledger.paid_in_usd_e6() == 4 * OPENING_USD_E6
    key = exchange.create_key(address, 1)
    assert exchange.create_key(address, 1) is None
    exchange.keys.delete(key)
    exchange.keys.delete(exchange.keys.derive(address, 0))
    exchange.create_key(address, 0)
    assert exchange.floor.ledger.paid_in_usd_e6() == 4 * OPENING_USD_E6


def test_markets_are_listed_once(scene):
    trader, market, _ = scene
    with pytest.raises(ValueError, match="is listed"):
        trader.exchange.list_market(market)


def test_counters_count_requests_and_matches(scene):
    trader, market, _ = scene
    trader.place(market, Outcome.YES, "BUY", 3000, 10)
    trader.place(market, Outcome.YES, "BUY", 5000, 10)
    trader.exchange.place(trader.key, b"nonsense", NOW_MS)
    counters = trader.exchange.counters
    assert (counters.orders_received, counters.orders_matched) == (3, 1)
