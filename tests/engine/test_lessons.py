"""Lessons of the old system about deciding, a test for each: D-02, D-03, D-05, D-11 to 13, 15, 17.

Each is tried on both cores, the plain and the compiled one, over real segments.
"""

import time

import pytest
from msgspec.structs import replace

from engine.baskets import Basket, compile_baskets
from engine.core import make_core
from engine.hurdle import hurdle_e8
from engine.reference import PythonCore
from shm import backend, segment
from shm.codes import BasketKind, BookState, MarketKind, Outcome, ReportKind, Role, Verdict
from shm.control import SwitchPanel
from shm.fabric import Fabric
from shm.fees import share_fee_e8
from shm.layout import BOOK, ENGINE_STATS, REPORT, SIGNAL, UPDATE, Market, Signal, Update
from shm.roles import RoleHolder
from shm.segments import SEGMENTS
from shm.settings import EngineSettings
from tests.conftest import require_or_skip
from tests.engine.books import book
from tests.engine.factory import ladder, market

MS = 1_000_000
NOW_NS = 10**15
SHARE_E6 = 10**6
SETTINGS = EngineSettings(
    min_net_edge_e8=1, min_profit_usd_e6=1, cooldown_ms=100, max_book_age_ms=1_000,
    max_leg_skew_ms=500, signal_wait_ms=300, capital_cost_per_year_e6=0, tie_probability_e9=0,
    max_leg_loss_usd_e6=10**12,
)  # fmt: skip
LOW, HIGH, MIDDLE = (
    market(0, MarketKind.ABOVE, 10, fee_rate_e6=0),
    market(1, MarketKind.ABOVE, 20, fee_rate_e6=0),
    market(2, MarketKind.RANGE, 10, 20, fee_rate_e6=0),
)
TRIO = [LOW, HIGH, MIDDLE]


class Desk:
    """One core over segments of its own, with everybody else played by the test."""

    def __init__(self, instance: str, core_of) -> None:
        for plan in SEGMENTS.values():
            segment.create(instance, plan)
        self._instance = instance
        self._core_of = core_of
        ingest = Fabric(instance, Role.INGEST)
        self.ingest = RoleHolder(ingest.segment("control", writable=True), Role.INGEST)
        self.books = ingest.write_table("books", BOOK)
        self.updates = ingest.produce("updates", UPDATE)
        SwitchPanel(Fabric(instance, Role.DESK)).set_trading(enabled=True)
        self.signals = Fabric(instance, Role.EXECUTOR).consume("signals", SIGNAL)
        self.fabric = Fabric(instance, Role.ENGINE)
        self.role = RoleHolder(self.fabric.segment("control", writable=True), Role.ENGINE)
        self.fabric.fence = self.role.fence
        self.now_ns = NOW_NS
        self.baskets: tuple[Basket, ...] = ()

    def trade(self, markets: list[Market], settings: EngineSettings = SETTINGS) -> "Desk":
        """Start the core on these markets."""
        self.core = self._core_of(self.fabric, settings, self.role.epoch)
        self.core.follow_ingest()
        self.baskets = compile_baskets(markets).baskets
        hurdles = [hurdle_e8(basket, settings, 0) for basket in self.baskets]
        self.core.adopt(self.core.prepare(self.baskets, hurdles), 1)
        return self

    def quote(self, of: Market, bid: tuple | None, ask: tuple | None, *, age_ms: int = 0, **more):
        """A book with one level a side, (price_e4, shares); then the engine is told."""
        self.write(of, bid, ask, age_ms=age_ms, **more)
        return self.tell(of)

    def write(self, of: Market, bid, ask, *, age_ms: int = 0, **more) -> None:
        def side(level):
            return [(level[0], level[1] * SHARE_E6)] if level else []

        one = book(side(bid), side(ask), key=of.key, received_ns=self.now_ns - age_ms * MS)
        self.books.write(of.row, one._replace(**{"epoch": self.ingest.epoch} | more))

    def tell(self, of: Market) -> list[Signal]:
        """An update; the signals that it led to."""
        self.ingest.beat(self.now_ns)
        self.core.take(Update(of.row, 0, 0, 0, self.now_ns, self.now_ns, self.now_ns), self.now_ns)
        return self.news()

    def news(self) -> list[Signal]:
        found = []
        while (signal := self.signals.pop()) is not None:
            found.append(signal)
        return found

    def report(self, signal: Signal, kind: ReportKind) -> None:
        self.core.hear(
            REPORT.blank()._replace(signal=signal.signal, basket=signal.basket, kind=kind),
            self.now_ns,
        )

    def number(self, kind: BasketKind = BasketKind.TRIANGLE_BUY) -> int:
        return next(n for n, basket in enumerate(self.baskets) if basket.kind is kind)


@pytest.fixture(params=["plain", "compiled"])
def desk(request, instance) -> Desk:
    if request.param == "plain":
        return Desk(instance, PythonCore)
    require_or_skip(backend.NATIVE, "the compiled kernels")
    return Desk(instance, make_core)


def good_trio(desk: Desk, shares: int = 100, **more) -> list[Signal]:
    """YES low at 0.60, NO range at 0.65, NO high at 0.70: 1.95 for what pays 2."""
    desk.write(LOW, (5_900, shares), (6_000, shares), **more)
    desk.write(MIDDLE, (3_500, shares), (3_600, shares), **more)
    desk.write(HIGH, (3_000, shares), (3_100, shares), **more)
    return [signal for one in (LOW, MIDDLE, HIGH) for signal in desk.tell(one)]


def test_d02_each_leg_is_priced_on_its_own_side_of_its_own_book(desk):
    """The old system mixed the two tokens of a market into one quote."""
    (signal,) = good_trio(desk.trade(TRIO))
    legs = list(zip(signal.leg_market[:3], signal.leg_outcome[:3], signal.leg_price_e4[:3],
                    strict=True))  # fmt: skip
    assert sorted(legs) == [
        (LOW.row, Outcome.YES, 6_000),
        (HIGH.row, Outcome.NO, 7_000),
        (MIDDLE.row, Outcome.NO, 6_500),
    ]
    assert signal.gross_e8 == (20_000 - 19_500) * 10**4


def test_d03_the_size_is_that_of_the_present_level(desk):
    """The old system compared its order size with the size of some earlier price."""
    desk.trade(TRIO)
    (signal,) = good_trio(desk, 100)
    assert signal.size_e6 == 100 * SHARE_E6
    desk.report(signal, ReportKind.REFUSED)
    desk.write(MIDDLE, (3_500, 40), (3_600, 100))  # the same price, another size
    (signal,) = desk.tell(MIDDLE)
    assert signal.size_e6 == 40 * SHARE_E6


def test_d05_an_edge_that_slippage_and_fees_would_eat_is_none(desk):
    """The old system compared the profit before slippage, without fees, with its threshold."""
    slipping = replace(SETTINGS, slippage_ticks=17)
    desk.trade(TRIO, slipping)
    assert hurdle_e8(desk.baskets[desk.number()], slipping, 0) > 500 * 10**4
    # 0.05 of edge, and three legs that may each be 0.017 dearer.
    assert all(s.kind != BasketKind.TRIANGLE_BUY for s in good_trio(desk))


@pytest.mark.parametrize("slippage_ticks", [0, 5])
def test_d05_a_signal_still_earns_at_the_dearest_prices_that_it_allows(desk, slippage_ticks):
    costly = [one._replace(fee_rate_e6=70_000) for one in TRIO]
    desk.trade(costly, replace(SETTINGS, slippage_ticks=slippage_ticks))
    desk.write(LOW, (5_400, 100), (5_500, 100))
    desk.write(MIDDLE, (4_500, 100), (4_600, 100))
    desk.tell(LOW)
    desk.tell(MIDDLE)
    (signal,) = desk.quote(HIGH, (4_000, 100), (4_100, 100))
    cost_e8 = sum(
        price_e4 * 10**4 + share_fee_e8(70_000, price_e4) for price_e4 in signal.leg_price_e4[:3]
    )
    assert signal.payout_e4 * 10**4 - cost_e8 == signal.limit_net_e8 > 0
    raised_e4 = sum(signal.leg_price_e4[:3]) - (5_500 + 5_500 + 6_000)
    assert raised_e4 == 3 * slippage_ticks * 10


def test_d11_a_refused_signal_costs_no_cooldown_and_a_sent_one_does(desk):
    """The old system charged the cooldown when it emitted a signal, whatever became of it."""
    desk.trade(TRIO)
    (first,) = good_trio(desk)
    desk.report(first, ReportKind.REFUSED)
    (second,) = desk.tell(HIGH)
    desk.report(second, ReportKind.SENT)
    desk.report(second, ReportKind.MISSED)
    desk.now_ns += 50 * MS
    desk.core.release_overdue(desk.now_ns)
    assert good_trio(desk, 101) == []
    desk.core.release_overdue(desk.now_ns)
    assert desk.tell(HIGH) == []
    assert desk.core.verdict(desk.number()) is Verdict.COOLING
    desk.now_ns += 51 * MS
    assert [s.basket for s in good_trio(desk, 102)] == [first.basket]


def test_d11_a_signal_that_nobody_takes_costs_no_cooldown(desk):
    desk.trade(TRIO)
    (first,) = good_trio(desk)
    desk.now_ns += 301 * MS
    desk.core.release_overdue(desk.now_ns)
    assert [s.basket for s in good_trio(desk)] == [first.basket]


def test_d11_an_opportunity_that_stands_still_is_looked_at_again(desk):
    """The old system waited for the next price change, although nothing spoke against buying."""
    desk.now_ns = time.monotonic_ns()  # `step` reads the real clock
    desk.trade(TRIO, replace(SETTINGS, max_book_age_ms=600_000))
    (first,) = good_trio(desk)
    desk.report(first, ReportKind.REFUSED)
    desk.core.release_overdue(desk.now_ns)
    desk.ingest.beat(time.monotonic_ns())
    desk.core.step(1, 1_000_000, may_sleep=False)
    assert desk.news()


def test_d12_a_quote_that_is_too_old_is_not_traded(desk):
    """The old system had no limit of age."""
    desk.trade(TRIO)
    assert good_trio(desk, age_ms=1_001) == []
    assert desk.core.verdict(desk.number()) is Verdict.STALE
    assert good_trio(desk, age_ms=999)


def test_d12_legs_of_different_age_are_not_traded_together(desk):
    desk.trade(TRIO)
    desk.write(LOW, (5_900, 100), (6_000, 100), age_ms=600)
    desk.write(MIDDLE, (3_500, 100), (3_600, 100))
    desk.tell(LOW)
    desk.tell(MIDDLE)
    assert desk.quote(HIGH, (3_000, 100), (3_100, 100)) == []
    assert desk.core.verdict(desk.number()) is Verdict.SKEWED


@pytest.mark.parametrize("changes", [{"state": BookState.STALE}, {"state": BookState.UNKNOWN},
                                     {"epoch": 99}, {"market_key": 99}])  # fmt: skip
def test_d12_a_book_that_nobody_vouches_for_is_not_traded(desk, changes):
    """Its connection is lost, its writer is dead, or its row has another tenant."""
    desk.trade(TRIO)
    desk.write(LOW, (5_900, 100), (6_000, 100))
    desk.tell(LOW)
    desk.write(MIDDLE, (3_500, 100), (3_600, 100), **changes)
    desk.tell(MIDDLE)
    assert desk.quote(HIGH, (3_000, 100), (3_100, 100)) == []
    assert desk.core.edge(desk.number()) is None


def test_d12_a_silent_ingest_stops_all_signals(desk):
    desk.trade(TRIO)
    good_trio_without_heartbeat = desk.ingest.beat
    desk.ingest.beat = lambda _now: good_trio_without_heartbeat(NOW_NS - 1_001 * MS)
    assert good_trio(desk) == []
    assert desk.core.verdict(desk.number()) is Verdict.STALE


@pytest.mark.parametrize("ask", [None, (0, 100), (10_000, 100), (6_000, 0)])
def test_d13_a_missing_or_impossible_price_is_no_bargain(desk, ask):
    """An ask of 0 looked like free money to the old system."""
    desk.trade(TRIO)
    desk.write(LOW, (5_900, 100), ask)
    desk.write(MIDDLE, (3_500, 100), (3_600, 100))
    desk.tell(LOW)
    desk.tell(MIDDLE)
    assert desk.quote(HIGH, (3_000, 100), (3_100, 100)) == []
    assert desk.core.edge(desk.number()) is None


def test_d13_a_side_that_the_basket_does_not_need_may_be_missing(desk):
    """The old system wanted every bid although it only bought."""
    desk.trade(TRIO)
    desk.write(LOW, None, (6_000, 100))
    desk.write(MIDDLE, (3_500, 100), None)
    desk.tell(LOW)
    desk.tell(MIDDLE)
    signals = desk.quote(HIGH, (3_000, 100), None)
    assert [s.kind for s in signals] == [BasketKind.TRIANGLE_BUY]


def test_d15_one_book_leads_to_every_basket_that_it_is_a_leg_of(desk):
    """The old design had one place for each token: later baskets overwrote earlier ones."""
    markets = ladder([10, 20, 30, 40])
    desk.trade(markets)
    by_market: dict[int, set[int]] = {}
    for number, basket in enumerate(desk.baskets):
        for leg in basket.legs:
            by_market.setdefault(leg.market.row, set()).add(number)
    busiest = max(by_market.values(), key=len)
    assert len(busiest) > 10
    for one in markets:
        desk.write(one, (5_000, 100), (5_001, 100))
        desk.tell(one)
    counters = desk.fabric.counters("stats-engine.counters", ENGINE_STATS, write=False)
    for row, numbers in by_market.items():
        before = counters.read().evaluations
        desk.tell(next(one for one in markets if one.row == row))
        assert counters.read().evaluations - before == len(numbers)


def test_d15_markets_with_equal_bounds_all_take_part_and_have_no_width(desk):
    """The old system kept the last of them, and made neighbours of equal strikes."""
    twin_low = market(3, MarketKind.ABOVE, 10, fee_rate_e6=0)
    twin_range = market(4, MarketKind.RANGE, 10, 20, fee_rate_e6=0)
    baskets = compile_baskets([*TRIO, twin_low, twin_range]).baskets
    trios = [b for b in baskets if b.kind is BasketKind.TRIANGLE_BUY]
    assert {tuple(leg.market.row for leg in b.legs) for b in trios} == {
        (low, middle, 1) for low in (0, 3) for middle in (2, 4)
    }
    both = {0, 3}
    assert not any(both <= {leg.market.row for leg in basket.legs} for basket in baskets)


def test_d17_a_range_over_two_steps_of_the_strikes_is_not_lost():
    """The old system knew neighbours only."""
    strikes = [market(n, MarketKind.ABOVE, 10 * (n + 1)) for n in range(3)]
    wide = market(3, MarketKind.RANGE, 10, 30)
    legs = [
        {(leg.market.row, leg.outcome) for leg in basket.legs}
        for basket in compile_baskets([*strikes, wide]).baskets
    ]
    assert {(0, Outcome.YES), (3, Outcome.NO), (2, Outcome.NO)} in legs
    assert {(0, Outcome.NO), (3, Outcome.YES), (2, Outcome.YES)} in legs


def test_d17_strikes_over_two_ranges_are_paired_through_both():
    low, high = market(0, MarketKind.ABOVE, 10), market(1, MarketKind.ABOVE, 30)
    ranges = [market(2, MarketKind.RANGE, 10, 20), market(3, MarketKind.RANGE, 20, 30)]
    legs = [
        {(leg.market.row, leg.outcome) for leg in basket.legs}
        for basket in compile_baskets([low, high, *ranges]).baskets
    ]
    no = Outcome.NO
    assert {(0, Outcome.YES), (2, no), (3, no), (1, no)} in legs
