import json
from collections import Counter, defaultdict
from decimal import Decimal

import pytest

from sim.events import Audience, Frame, Notice
from sim.hashing import book_hash
from sim.mispricing import EDGE_MAX_E8, EDGE_MIN_E8
from sim.order import Outcome
from tests.sim.checker import Checker, baskets_of
from tests.sim.generated import generated, run
from tests.sim.traders import Trader

E8 = 10**8


def ladders(generator):
    return [ladder for ladder, _ in generator.ladders()]


def texts(events):
    return [event.text for event in events if isinstance(event, Frame)]


class Truth:
    """What the frames show, against what the generator announces."""

    def __init__(self, generator, start):
        self.checker = Checker(ladders(generator))
        self.active: dict[str, frozenset[str]] = {}
        self.seen: list[dict] = []
        self.open: dict[str, dict] = {}
        for event in start:
            self.see(event)

    def see(self, event):
        if isinstance(event, Notice):
            self._notice(event)
            return
        frame = self.checker.watcher.see(event)
        if frame is None or frame["event_type"] not in {"price_change", "book"}:
            return
        group = self.checker.group[frame["market"]]
        for basket in self.checker.positive(frame["market"]):
            shifted = self.active.get(group, frozenset())
            assert basket.markets & shifted, (basket.name, self.checker.edge(basket))
            if basket.markets == shifted:
                offer = self.open[group]
                offer["edges"].append(self.checker.edge(basket))
                offer["sizes"].append([self.checker.size(leg) for leg in basket.legs])
                offer["kind"] = basket.name

    def _notice(self, notice):
        if notice.condition_ids:
            assert notice.group not in self.active, "one mispriced set a group at a time"
            self.active[notice.group] = frozenset(notice.condition_ids)
            self.open[notice.group] = {"edges": [], "sizes": [], "kind": None}
        else:
            del self.active[notice.group]
            self.seen.append(self.open.pop(notice.group))


@pytest.mark.parametrize("seed", [1, 2])
def test_riskless_profit_exists_only_where_it_is_announced(seed):
    coins = ("BTC", "SOL")
    generator, start = generated(seed=seed, coins=coins, frames=400.0, mispricings_per_minute=240)
    truth = Truth(generator, start)
    for _, events in run(generator, 60_000):
        for event in events:
            truth.see(event)
    whole = [offer for offer in truth.seen + list(truth.open.values()) if offer["edges"]]
    counts = generator.counts
    assert counts.offered == len(whole) > 20
    assert counts.taken == 0
    assert counts.expired == counts.offered - counts.open()
    assert {offer["kind"] for offer in whole} == {"trio", "complement", "ladder"}
    for offer in whole:
        edge = max(offer["edges"])
        assert EDGE_MIN_E8 <= edge * E8 <= EDGE_MAX_E8
        for size in offer["sizes"][offer["edges"].index(edge)]:
            assert 20 <= size <= 300
            assert size == size.to_integral_value()


def test_without_mispricings_there_is_never_riskless_profit():
    generator, start = generated(seed=5, coins=("BTC", "DOGE"), mispricings_per_minute=0)
    truth = Truth(generator, start)
    for _, events in run(generator, 30_000):
        for event in events:
            truth.see(event)
    assert not truth.seen
    assert generator.counts.offered == 0


def test_the_checker_sees_a_planted_profit():
    generator, start = generated(seed=5, mispricings_per_minute=0)
    checker = Checker(ladders(generator))
    for event in start:
        checker.watcher.see(event)
    basket = next(
        one for one in baskets_of(generator.groups[0].ladder)
        if one.name == "ladder" and checker.edge(one) is not None
        and Decimal("0.2") < checker.ask(one.legs[0]) < Decimal("0.8")
    )  # fmt: skip
    assert checker.edge(basket) < 0
    market, _ = basket.legs[0]
    assert not checker.positive(market)
    book = checker.watcher.books[checker.token[market]]
    book["SELL"] = {"0.01": "50"}
    assert basket in checker.positive(market)


def test_one_seed_and_one_sequence_of_times_give_one_stream_of_bytes():
    streams = []
    for seed in (7, 7, 8):
        generator, start = generated(seed=seed, coins=("ETH", "XRP"), days=2)
        told = texts(start)
        for _, events in run(generator, 5_000):
            told += texts(events)
        streams.append(told)
    assert len(streams[0]) > 1500
    assert streams[0] == streams[1]
    assert streams[0] != streams[2]


@pytest.mark.parametrize("rate", [50, 300, 1500])
def test_the_rate_of_frames_is_the_one_asked_for(rate):
    generator, _ = generated(seed=2, coins=("BTC", "ETH"), frames=float(rate))
    for _ in run(generator, 20_000):
        pass
    assert generator.frames_made / 20 == pytest.approx(rate, rel=0.15)


def test_traffic_is_bursty_and_near_the_money():
    generator, _ = generated(seed=2, coins=("BTC", "ETH", "SOL"), days=2)
    by_market, in_100ms = Counter(), defaultdict(Counter)
    for now_ms, events in run(generator, 30_000):
        for event in events:
            if isinstance(event, Frame) and event.audience is Audience.MARKET:
                by_market[event.key] += 1
                in_100ms[event.key][now_ms // 100] += 1
    peaks = [max(counts.values()) for counts in in_100ms.values()]
    assert max(peaks) >= 20
    chance = {
        quoter.market.facts.condition_id: quoter.fair_e4 / 10_000
        for group in generator.groups
        for quoter in group.quoters
    }
    middle = [by_market[one] for one, p in chance.items() if 0.2 < p < 0.8]
    tails = [by_market[one] for one, p in chance.items() if p < 0.01 or p > 0.99]
    assert sum(middle) / len(middle) > 4 * (sum(tails) / len(tails) + 0.1)


def test_small_trades_happen_and_both_books_follow_them():
    generator, _ = generated(seed=2, mispricings_per_minute=0)
    kinds = Counter()
    for _, events in run(generator, 30_000):
        kinds.update(json.loads(text)["event_type"] for text in texts(events))
    assert 15 <= kinds["last_trade_price"] <= 120
    assert kinds["book"] >= 2 * kinds["last_trade_price"] * 0.6
    ledger = generator.exchange.floor.ledger
    assert ledger.total_usd_e6() == ledger.paid_in_usd_e6() == 0


def test_the_last_frame_of_every_market_carries_the_hash_of_its_book():
    generator, start = generated(seed=4, days=2)
    latest = {}
    streams = [start] + [events for _, events in run(generator, 5_000)]
    for events in streams:
        for text in texts(events):
            frame = json.loads(text)
            if frame["event_type"] == "price_change":
                latest |= {one["asset_id"]: one["hash"] for one in frame["price_changes"]}
            elif frame["event_type"] == "book":
                latest[frame["asset_id"]] = frame["hash"]
    checked = 0
    for market in generator.exchange.floor.markets.values():
        for outcome in Outcome:
            if market.facts.tokens[outcome] in latest:
                assert latest[market.facts.tokens[outcome]] == book_hash(market.text(outcome))
                checked += 1
    assert checked >= 80


def first_offer(generator):
    """Run until a set is on offer; returns (time, group)."""
    for now_ms, _ in run(generator, 60_000):
        for group in generator.groups:
            if group.offer is not None and generator.counts.open() == 1:
                return now_ms, group
    raise AssertionError("no offer within a minute")


def test_a_set_that_a_user_buys_is_counted_and_repaired_at_once():
    generator, _ = generated(seed=6, mispricings_per_minute=120)
    trader = Trader(generator.exchange)
    now_ms, group = first_offer(generator)
    legs = group.offer.legs
    size = min(leg.size_e6 for leg in legs) // 10_000_000 * 10
    for leg in legs:
        terms = (group.markets[leg.index], leg.outcome, "BUY", leg.price_e4, size)
        verdict, _ = trader.place(*terms, kind="GTC", now_ms=now_ms)
        assert verdict.taking_e6 == size * 1_000_000, verdict
    for later_ms, _ in run(generator, 25, start_ms=now_ms):
        last = later_ms
    assert generator.counts.taken == 1
    assert group.offer is None, last
    for leg in legs:
        quoter = group.quoters[leg.index]
        assert quoter.market.book.best_of(leg.outcome, "SELL") != leg.price_e4


def test_buying_two_of_three_legs_takes_nothing():
    generator, _ = generated(seed=6, mispricings_per_minute=120)
    trader = Trader(generator.exchange)
    now_ms, group = first_offer(generator)
    leg = group.offer.legs[0]
    trader.place(group.markets[leg.index], leg.outcome, "BUY", leg.price_e4, 10, now_ms=now_ms)
    for _ in run(generator, 2_000, start_ms=now_ms):
        pass
    assert generator.counts.taken == 0
    assert generator.counts.expired >= 1


@pytest.fixture(scope="module")
def across_noon():
    """A ladder that ends ten seconds after the start, and what followed."""
    noon_ms = 1_795_453_200_000
    generator, start = generated(seed=9, days=2, now=noon_ms - 10_000)
    before = ladders(generator)
    trader = Trader(generator.exchange)
    group = generator.groups[0]
    for quoter, listing in zip(group.quoters, group.ladder.listings, strict=True):
        ask_e4 = quoter.market.book.best_of(Outcome.YES, "SELL")
        if listing.kind == "range" and ask_e4:
            terms = (quoter.market, Outcome.YES, "BUY", ask_e4, 20)
            trader.place(*terms, kind="GTC", now_ms=noon_ms - 9_000)
    told = list(start)
    for _, events in run(generator, 15_000, start_ms=noon_ms - 10_000):
        told += events
    return generator, before, trader, told


def test_at_noon_a_ladder_ends_and_the_next_day_begins(across_noon):
    generator, before, _, told = across_noon
    after = ladders(generator)
    assert [one.name for one in after] == [before[1].name, after[1].name]
    assert after[1].expiry_ms - before[1].expiry_ms == 86_400_000
    kinds = Counter(
        json.loads(event.text)["event_type"] for event in told if isinstance(event, Frame)
    )
    assert kinds["market_resolved"] == 44
    assert kinds["new_market"] == 66
    exchange = generator.exchange
    for listing in before[0].listings:
        assert exchange.open_market(listing.facts.tokens[0]) is None
    assert all(exchange.open_market(one.facts.tokens[0]) for one in after[1].listings)
    assert after[1].above.slug in generator.catalog.event_by_slug


def test_resolution_pays_every_wallet_and_loses_nothing(across_noon):
    generator, before, trader, _ = across_noon
    ledger = generator.exchange.floor.ledger
    assert ledger.total_usd_e6() == ledger.paid_in_usd_e6()
    gone = {token for one in before[0].listings for token in one.facts.tokens}
    assert not gone & set(ledger.accounts[trader.wallet].positions)
    assert not gone & set(ledger.token_totals_e6())


def test_winners_agree_with_each_other(across_noon):
    _, before, _, told = across_noon
    won = {}
    for event in told:
        if isinstance(event, Frame) and '"market_resolved"' in event.text:
            frame = json.loads(event.text)
            won[frame["market"]] = frame["winning_outcome"] == "Yes"
    brackets = [won[one.facts.condition_id] for one in before[0].price.listings]
    thresholds = [won[one.facts.condition_id] for one in before[0].above.listings]
    assert brackets.count(True) == 1
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds.count(True) == max(1, brackets.index(True) + 1) or not any(thresholds)
