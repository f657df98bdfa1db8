import json

import msgspec
import pytest

from sim.coins import COINS
from sim.gamma import event_object, iso, market_resolved_text, new_market_text
from sim.ladders import build_ladder, next_noons
from sim.market import Market
from sim.order import Outcome, Side
from tests.sim.traders import NOW_MS
from tests.sim.worlds import order

LADDER = build_ladder(7, COINS["BTC"], next_noons(NOW_MS, 1)[0], 87_000.0)


@pytest.fixture
def books():
    return {one.facts.condition_id: Market(one.facts, 10, NOW_MS) for one in LADDER.listings}


def encoded(event, books):
    return json.loads(msgspec.json.encode(event_object(event, books)))


def kinds(value):
    return {key: type(one) for key, one in value.items()}


def test_every_field_of_ours_has_the_type_of_the_recorded_event(shared, books):
    recorded = json.loads((shared / "samples/nautilus_rust/search_response.json").read_text())
    theirs = recorded["events"][0]
    ours = encoded(LADDER.above, books)
    known = set(ours) & set(theirs)
    assert len(known) >= 20
    assert {key: kinds(ours)[key] for key in known} == {key: kinds(theirs)[key] for key in known}
    market, their_market = ours["markets"][0], theirs["markets"][0]
    both = set(market) & set(their_market)
    assert len(both) >= 30
    # Fees were not charged yet when the event was recorded, and a fresh tick is a fraction.
    loose = {"feeType", "bestAsk", "bestBid", "spread", "lastTradePrice"}
    for key in both - loose:
        assert isinstance(market[key], type(their_market[key])), key


def test_lists_inside_a_market_are_strings_that_hold_json(books):
    for listing, market in zip(
        LADDER.above.listings, encoded(LADDER.above, books)["markets"], strict=True
    ):
        assert json.loads(market["clobTokenIds"]) == list(listing.facts.tokens)
        assert json.loads(market["outcomes"]) == ["Yes", "No"]
        assert market["outcomes"] == '["Yes", "No"]'
        prices = json.loads(market["outcomePrices"])
        assert sum(float(price) for price in prices) == pytest.approx(1.0)


@pytest.mark.parametrize(("event", "neg_risk"), [(LADDER.above, False), (LADDER.price, True)])
def test_the_facts_that_trading_needs_are_there(books, event, neg_risk):
    body = encoded(event, books)
    assert (body["negRisk"], body["closed"], body["active"]) == (neg_risk, False, True)
    assert body.get("negRiskMarketID") == (event.neg_risk_market_id or None)
    assert len(body["markets"]) == 11
    for index, market in enumerate(body["markets"]):
        assert market["negRisk"] is neg_risk
        assert market["groupItemThreshold"] == str(index)
        assert market["orderPriceMinTickSize"] == 0.001
        assert market["orderMinSize"] == 5
        assert market["feesEnabled"] is True
        assert market["feeSchedule"] == {
            "exponent": 1, "rate": 0.07, "takerOnly": True, "rebateRate": 0.2,
        }  # fmt: skip
        assert market["version"] == "v1"
        assert (market["enableOrderBook"], market["acceptingOrders"]) == (True, True)
        assert market["endDate"] == body["endDate"] == iso(LADDER.expiry_ms)
        assert market["description"] == body["description"]


def test_prices_follow_the_book_and_closing_follows_the_market(books):
    listing = LADDER.above.listings[5]
    market = books[listing.facts.condition_id]
    market.book.add(order("BUY", 6120, 5))
    market.book.add(order("SELL", 6250, 5))
    body = encoded(LADDER.above, books)["markets"][5]
    assert (body["bestBid"], body["bestAsk"], body["spread"]) == (0.612, 0.625, 0.013)
    assert json.loads(body["outcomePrices"]) == ["0.6185", "0.3815"]
    assert market.book.best_e4(Side.BUY) == 6120
    for one in LADDER.above.listings:
        books[one.facts.condition_id].accepting = False
    closed = encoded(LADDER.above, books)
    assert closed["closed"] is True
    assert {one["acceptingOrders"] for one in closed["markets"]} == {False}


def test_a_new_market_frame_has_the_recorded_keys_in_their_order(shared):
    lines = (shared / "data/raw_ws_frames/ws-market-v2-session.jsonl").read_text().splitlines()
    datas = [json.loads(line)["data"] for line in lines]
    texts = [data for data in datas if isinstance(data, str) and "new_market" in data]
    recorded = json.loads(texts[0])
    text = new_market_text(LADDER.above, LADDER.above.listings[0], 10, NOW_MS)
    ours = json.loads(text)
    assert list(ours) == list(recorded)
    assert list(ours["event_message"]) == list(recorded["event_message"])
    assert set(ours["fee_schedule"]) == set(recorded["fee_schedule"])
    assert text == json.dumps(ours, separators=(",", ":"))


def test_a_resolved_market_names_its_winner():
    listing = LADDER.price.listings[3]
    told = json.loads(market_resolved_text(listing.market_id, listing.facts, Outcome.NO, NOW_MS))
    assert told["winning_asset_id"] == listing.facts.tokens[1]
    assert told["winning_outcome"] == "No"
    assert told["event_type"] == "market_resolved"
