"""The mirror: books equal to the live ones, what we take stays taken, outcomes are the venue's."""

import json

import msgspec
import pytest

from sim import rest_gamma
from sim.coins import COINS
from sim.events import Frame, UserFrame
from sim.ladders import winner_of
from sim.order import Outcome, Side
from sim.retelling import read_event
from tests.sim.generated import STEP_MS, T0
from tests.sim.mirrors import Pair, gamma, get, levels, mirror, venue_of
from tests.sim.traders import Trader
from tests.sim.worlds import Watcher


@pytest.fixture
def pair():
    found = Pair()
    found.learn(T0)
    found.connect(T0)
    return found


def run(pair, duration_ms, start_ms=T0):
    for now_ms in range(start_ms + STEP_MS, start_ms + duration_ms + 1, STEP_MS):
        pair.step(now_ms)
        yield now_ms


def a_market(pair):
    """A mirrored market with asks of YES."""
    return next(one for one in pair.mirror.markets.values() if one.market.book.best_e4(Side.SELL))


def test_after_every_step_all_books_and_hashes_are_the_live_ones(pair):
    assert not pair.differences()
    for _ in run(pair, 20_000):
        assert not pair.differences()
    assert pair.mirror.frames > 1_500
    assert pair.hashes_compared > 60_000
    assert not pair.mirror.unreadable


def test_a_client_of_the_mirror_sees_the_live_books_in_its_frames(pair):
    watcher = Watcher()
    client = Watcher()
    for events, eyes in ((pair.live.exchange, watcher), (pair.mirror.exchange, client)):
        for market in events.floor.markets.values():
            for outcome in Outcome:
                book = json.loads(market.initial_book(outcome))
                eyes.books[market.facts.tokens[outcome]] = {
                    "BUY": {level["price"]: level["size"] for level in book["bids"]},
                    "SELL": {level["price"]: level["size"] for level in book["asks"]},
                }
    pair.events.clear()
    for now_ms in range(T0 + STEP_MS, T0 + 10_000, STEP_MS):
        for event in pair.step(now_ms):
            watcher.see(event)
        for event in pair.events:
            client.see(event)
        pair.events.clear()
        assert client.books == watcher.books


def test_a_frame_that_was_lost_is_seen_in_the_comparison(pair):
    # The checker of the tests above: it must catch what they must not let pass.
    pair.tell = lambda events, now_ms: Pair.tell(pair, events[1:], now_ms)
    assert any(pair.differences() for _ in run(pair, 5_000))


def test_our_order_matches_against_live_depth_and_what_it_took_stays_taken(pair):
    one = a_market(pair)
    market, price_e4 = one.market, one.market.book.best_e4(Side.SELL)
    before_e6 = market.book.size_e6(Side.SELL, price_e4)
    trader = Trader(pair.mirror.exchange)
    verdict, events = trader.place(market, Outcome.YES, "BUY", price_e4, 5, now_ms=T0)
    assert verdict.status == "matched", verdict
    assert any(isinstance(event, UserFrame) for event in events)
    assert market.book.size_e6(Side.SELL, price_e4) == before_e6 - 5_000_000
    # A snapshot that repeats the level is no change of it; neither is the loss of the line.
    pair.connect(T0 + 1)
    assert market.book.size_e6(Side.SELL, price_e4) == before_e6 - 5_000_000
    pair.mirror.lost([one.token], T0 + 2)
    assert levels(market) == {}
    pair.connect(T0 + 3)
    assert market.book.size_e6(Side.SELL, price_e4) == before_e6 - 5_000_000
    # The live book changes it, and it is as large as there.
    theirs = pair.live.exchange.floor.markets[market.facts.condition_id]
    wanted = [((Side.SELL, price_e4), before_e6 + 1_000_000)]
    pair.tell(pair.live._house.set_levels(theirs, wanted, T0 + 4), T0 + 4)
    assert levels(market) == levels(theirs)


def test_a_fill_or_kill_order_beyond_live_depth_is_killed(pair):
    one = a_market(pair)
    price_e4 = one.market.book.best_e4(Side.SELL)
    deep_e6 = sum(
        size for (side, at), size in levels(one.market).items()
        if side is Side.SELL and at <= price_e4
    )  # fmt: skip
    trader = Trader(pair.mirror.exchange)
    shares = deep_e6 // 10_000_000 * 10 + 10
    verdict, _ = trader.place(
        one.market, Outcome.YES, "BUY", price_e4, shares, kind="FOK", now_ms=T0
    )
    assert verdict.error
    assert "fully filled" in verdict.error
    assert not pair.unequal()


def test_a_lost_line_empties_its_books_and_a_snapshot_brings_them_back(pair):
    tokens = pair.mirror.tokens()
    pair.mirror.lost(tokens, T0 + 1)
    assert all(levels(one.market) == {} for one in pair.mirror.markets.values())
    assert pair.mirror.stale(tokens) == set(tokens)
    # What the line still delivers of a book that is not whole does not count.
    for now_ms in range(T0 + STEP_MS, T0 + 2_000, STEP_MS):
        told = pair.live.step(now_ms)
        changes = [e for e in told if isinstance(e, Frame) and '"price_change"' in e.text]
        pair.tell(changes, now_ms)
    assert all(levels(one.market) == {} for one in pair.mirror.markets.values())
    pair.connect(T0 + 2_000)
    assert not pair.unequal()


def test_levels_that_cross_between_frames_are_not_offered_and_come_back(pair):
    one = a_market(pair)
    ask_e4, whole = one.market.book.best_e4(Side.SELL), levels(one.market)
    frame = {
        "event_type": "price_change", "market": one.market.facts.condition_id,
        "timestamp": str(T0 + 1), "price_changes": [
            {"asset_id": one.token, "price": str(ask_e4 / 10_000), "size": "50", "side": "BUY"}
        ],
    }  # fmt: skip
    pair.mirror.hear(json.dumps(frame), T0 + 1)
    shown = levels(one.market)
    assert (Side.SELL, ask_e4) not in shown
    assert (Side.BUY, ask_e4) not in shown
    assert shown == {key: size for key, size in whole.items() if key != (Side.SELL, ask_e4)}
    frame["price_changes"][0]["size"] = "0"
    pair.mirror.hear(json.dumps(frame), T0 + 2)
    assert levels(one.market) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"price": "0.5000001"}, {"price": "-0.1"}, {"price": "0"}, {"price": "1"},
        {"size": "many"}, {"size": None}, {"side": "HOLD"}, {"asset_id": "12"},
    ],
)  # fmt: skip
def test_a_frame_that_cannot_be_read_costs_its_market_the_book_and_no_other(pair, change):
    one = a_market(pair)
    entry = {"asset_id": one.token, "price": "0.5", "size": "1", "side": "BUY"} | change
    frame = {
        "event_type": "price_change", "market": one.market.facts.condition_id,
        "timestamp": str(T0 + 1), "price_changes": [entry],
    }  # fmt: skip
    pair.mirror.hear(json.dumps(frame), T0 + 1)
    assert levels(one.market) == {}
    assert pair.mirror.doubted == {one.token}
    assert pair.mirror.unreadable == 1
    others = [other for other in pair.mirror.markets.values() if other is not one]
    assert all(levels(other.market) for other in others)
    pair.connect(T0 + 2)
    assert not pair.unequal()


def test_tokens_that_contradict_each_other_cost_the_market_its_book(pair):
    one = a_market(pair)
    yes, no = one.market.facts.tokens
    frame = {
        "event_type": "price_change", "market": one.market.facts.condition_id,
        "timestamp": str(T0 + 1), "price_changes": [
            {"asset_id": yes, "price": "0.4", "size": "7", "side": "BUY"},
            {"asset_id": no, "price": "0.6", "size": "8", "side": "SELL"},
        ],
    }  # fmt: skip
    pair.mirror.hear(json.dumps(frame), T0 + 1)
    assert levels(one.market) == {}


@pytest.mark.parametrize("text", ["{", "[1]", "nonsense", '{"event_type": "book"}', "7"])
def test_nonsense_costs_all_books_for_nobody_knows_what_it_was_about(pair, text):
    pair.mirror.hear(text, T0 + 1)
    assert all(levels(one.market) == {} for one in pair.mirror.markets.values())
    assert pair.mirror.doubted == set(pair.mirror.tokens())


@pytest.mark.parametrize("text", ["[]", '{"event_type": "weather", "market": 7}', "{}"])
def test_what_is_not_known_changes_nothing(pair, text):
    pair.mirror.hear(text, T0 + 1)
    assert not pair.unequal()
    assert not pair.mirror.doubted


def test_a_change_that_was_lost_is_noticed_by_the_tops_and_the_book_asked_for_again(pair):
    one = a_market(pair)
    theirs = pair.live.exchange.floor.markets[one.market.facts.condition_id]
    house, ask_e4 = pair.live._house, theirs.book.best_e4(Side.SELL)
    lost = house.set_levels(theirs, [((Side.SELL, ask_e4), 0)], T0 + 1)
    assert lost
    # The next frame tells tops that cannot be those of a book that still has the level.
    other = min(price_e4 for side, price_e4 in levels(theirs) if side is Side.BUY)
    pair.tell(house.set_levels(theirs, [((Side.BUY, other), 77_000_000)], T0 + 2), T0 + 2)
    assert pair.mirror.step(T0 + 900) == []
    assert pair.mirror.step(T0 + 1_100)
    assert levels(one.market) == {}
    assert pair.mirror.doubted == {one.token}
    assert pair.mirror.state()["gaps"] == 1
    pair.connect(T0 + 1_200)
    assert not pair.unequal()


def test_no_book_is_doubted_while_nothing_is_lost(pair):
    for now_ms in run(pair, 20_000):
        pair.mirror.step(now_ms)
    assert pair.mirror.gaps == 0
    assert not pair.unequal()


def test_a_frame_older_than_the_book_changes_nothing(pair):
    one = a_market(pair)
    frame = {
        "event_type": "price_change", "market": one.market.facts.condition_id,
        "timestamp": str(one.stamp_ms - 1), "price_changes": [
            {"asset_id": one.token, "price": "0.5", "size": "1", "side": "BUY"}
        ],
    }  # fmt: skip
    pair.mirror.hear(json.dumps(frame), T0 + 1)
    assert not pair.unequal()


# --- ladders ------------------------------------------------------------------------------------


def test_gamma_is_served_again_word_for_word(pair):
    theirs = [json.loads(one) for one in gamma(pair.live.catalog, pair.live.exchange)]
    again = [json.loads(one) for one in gamma(pair.mirror.catalog, pair.mirror.exchange)]
    assert again == theirs
    assert len(again) == 2
    assert sum(len(event["markets"]) for event in again) == 22
    # And over the endpoint that discovery asks.
    found = get(rest_gamma.events, venue_of(pair.mirror), slug=theirs[0]["slug"])
    assert found == [theirs[0]]


def changed(raw, **changes):
    """An event with its first market changed."""
    event = json.loads(raw)
    event["markets"][0] |= changes
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"clobTokenIds": "[]"}, {"clobTokenIds": '["1"]'}, {"outcomes": '["Up", "Down"]'},
        {"feeSchedule": {"rate": 0.07, "exponent": 2}}, {"orderPriceMinTickSize": 0},
        {"orderMinSize": "few"}, {"clobTokenIds": '["x", "y"]'}, {"acceptingOrders": False},
        {"closed": True}, {"enableOrderBook": None},
    ],
)  # fmt: skip
def test_a_market_that_cannot_be_mirrored_is_served_and_takes_no_orders(pair, changes):
    raw = changed(gamma(pair.live.catalog, pair.live.exchange)[0], **changes)
    fresh = mirror()
    fresh.learn([read_event(raw, COINS["BTC"])], T0)
    again = json.loads(gamma(fresh.catalog, fresh.exchange)[0])
    assert len(again["markets"]) == 11
    assert len(fresh.markets) == 10
    first = again["markets"][0]
    assert first["acceptingOrders"] is False
    told = json.loads(raw)["markets"][0]
    assert first == told | {"acceptingOrders": False}


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"id": "1", "slug": "s", "endDate": "x"}'])
def test_an_event_that_cannot_be_read_is_refused(raw):
    with pytest.raises(ValueError):
        read_event(raw, COINS["BTC"])


def test_facts_that_change_are_taken_over_and_an_order_pays_the_new_fee(pair):
    one = a_market(pair)
    raws = gamma(pair.live.catalog, pair.live.exchange)
    texts = []
    for raw in raws:
        event = json.loads(raw)
        for market in event["markets"]:
            if market["conditionId"] == one.market.facts.condition_id:
                market["feeSchedule"]["rate"] = 0.05
                market["orderMinSize"] = 15
        texts.append(json.dumps(event).encode())
    pair.mirror.learn([read_event(text, COINS["BTC"]) for text in texts], T0 + 1)
    assert one.market.facts.fee_rate_e6 == 50_000
    assert one.market.facts.min_size_e6 == 15_000_000
    assert [json.loads(one) for one in gamma(pair.mirror.catalog, pair.mirror.exchange)] == [
        json.loads(text) for text in texts
    ]


def test_a_market_that_takes_no_orders_has_no_book_until_it_does_again(pair):
    one = next(iter(pair.mirror.markets.values()))
    raw = gamma(pair.live.catalog, pair.live.exchange)[0]
    assert json.loads(raw)["markets"][0]["conditionId"] == one.market.facts.condition_id
    pair.mirror.learn([read_event(changed(raw, acceptingOrders=False), COINS["BTC"])], T0 + 1)
    assert levels(one.market) == {}
    assert one.token not in pair.mirror.tokens()
    pair.mirror.learn([read_event(raw, COINS["BTC"])], T0 + 2)
    assert one.token in pair.mirror.tokens()
    pair.connect(T0 + 3)
    assert not pair.unequal()


# --- the end ------------------------------------------------------------------------------------


def expiry(pair):
    return pair.live.groups[0].ladder.expiry_ms


def settle_live(pair):
    """Let the live venue's ladder end; its winners and everything it told."""
    ladder = pair.live.groups[0].ladder
    at_ms = expiry(pair) + 1_001
    told = pair.live.step(at_ms)
    frames = [
        json.loads(e.text) for e in told if isinstance(e, Frame) and "market_resolved" in e.text
    ]
    winners = {one["market"]: one["winning_asset_id"] for one in frames}
    assert winners.keys() == {listing.facts.condition_id for listing in ladder.listings}
    return told, winners, at_ms


def holdings(pair, one):
    """A trader who holds ten shares of both tokens."""
    trader = Trader(pair.mirror.exchange)
    trader.give(one.market, 10)
    return trader


def test_markets_end_when_the_live_venue_says_so_and_pay_its_winner(pair):
    one = a_market(pair)
    trader = holdings(pair, one)
    cash = pair.mirror.exchange.floor.ledger.cash_usd_e6
    before_usd_e6 = cash(trader.wallet)
    # Time alone ends nothing.
    pair.mirror.step(expiry(pair) + 3_600_000)
    assert one.market.accepting
    told, winners, at_ms = settle_live(pair)
    pair.tell(told, at_ms)
    assert not one.market.accepting
    assert cash(trader.wallet) == before_usd_e6 + 10_000_000
    winner = one.market.facts.tokens.index(winners[one.market.facts.condition_id])
    assert one.market.payout == (("1", "0"), ("0", "1"))[winner]
    assert levels(one.market) == {}
    assert winners.keys().isdisjoint(pair.mirror.markets)


def test_an_end_that_was_missed_is_learnt_from_gamma(pair):
    one = a_market(pair)
    holdings(pair, one)
    _, winners, at_ms = settle_live(pair)
    assert one.market.accepting
    pair.learn(at_ms)
    assert not one.market.accepting
    winner = one.market.facts.tokens.index(winners[one.market.facts.condition_id])
    assert one.market.payout == (("1", "0"), ("0", "1"))[winner]
    # The new generation is there at the same time, and can be subscribed to.
    assert len(pair.mirror.tokens()) == 22
    pair.connect(at_ms)
    assert not pair.unequal()


def test_a_closed_market_without_a_final_price_waits_for_it(pair):
    one = next(iter(pair.mirror.markets.values()))
    raw = gamma(pair.live.catalog, pair.live.exchange)[0]
    for prices in ('["0.97", "0.03"]', "[]", '["1", "1"]', '["x", "y"]'):
        told = changed(raw, closed=True, outcomePrices=prices)
        pair.mirror.learn([read_event(told, COINS["BTC"])], T0 + 1)
        assert not one.market.accepting
        assert one.market.payout is None
    final = changed(raw, closed=True, outcomePrices='["0.5", "0.5"]')
    pair.mirror.learn([read_event(final, COINS["BTC"])], T0 + 2)
    assert one.market.payout == ("0.5", "0.5")


def test_a_winner_that_is_no_token_of_the_market_ends_nothing(pair):
    one = a_market(pair)
    frame = {"event_type": "market_resolved", "market": one.market.facts.condition_id,
             "winning_asset_id": "12"}  # fmt: skip
    pair.mirror.hear(json.dumps(frame), T0 + 1)
    assert one.market.payout is None
    assert one.market.facts.condition_id in pair.mirror.markets


def test_the_winners_are_those_of_the_live_price_not_of_a_price_of_ours(pair):
    ladder = pair.live.groups[0].ladder
    told, _, at_ms = settle_live(pair)
    pair.tell(told, at_ms)
    markets = pair.mirror.exchange.floor.markets
    spot_e4 = round(pair.live._coins["BTC"].price_usd * 100) * 100
    for listing in ladder.listings:
        payout = markets[listing.facts.condition_id].payout
        assert payout[winner_of(listing, spot_e4)] == "1"


def test_the_state_says_how_much_of_the_live_venue_is_there(pair):
    state = pair.mirror.state()
    assert json.loads(msgspec.json.encode(state)) == state
    assert state["markets"] == state["markets_fresh"] == 22
