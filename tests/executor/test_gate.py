"""Gate: each refusal by name, and sizes that every leg, the grid and the purse allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor import gate
from executor.gate import Admitted, Passed, Room, Situation, judged, sized
from shm.baskets import basket_id
from shm.codes import BasketKind, MarketKind, MarketState, Outcome, Refusal, Side
from shm.fees import FILLS_PER_ORDER, fill_fee_bound_usd_e6, fill_fee_usd_e6, share_fee_e8
from shm.inventory import Held
from shm.layout import MAX_LEGS, SIGNAL, Signal
from shm.payoff import Leg, payoff
from shm.settings import ExecutorSettings
from tests.engine.factory import market

SETTINGS = ExecutorSettings()
NOW_NS = 10**15
MARKETS = {
    0: market(0, MarketKind.ABOVE, 10),
    1: market(1, MarketKind.RANGE, 10, 20),
    2: market(2, MarketKind.ABOVE, 20),
}


NO_LIMIT = Room(10**9, Refusal.NONE)


def admit(one: Signal, known: Situation, settings: ExecutorSettings) -> Admitted | Refusal:
    """What the gate says where no limit of risk is near."""
    passed = judged(one, known, settings)
    return sized(one, passed, known, settings, NO_LIMIT) if isinstance(passed, Passed) else passed


def column(values) -> tuple[int, ...]:
    return (*values, *([0] * (MAX_LEGS - len(values))))


OUTCOMES = [Outcome.YES, Outcome.NO, Outcome.NO]


def signal(prices=(6_000, 7_000, 5_900), size=100, **some) -> Signal:
    """A signal that says the edge of its own prices; `some` fields are then changed."""
    count = len(prices)
    payout_e4 = some.get("payout_e4", 20_000)
    cost_e8 = sum(price_e4 * 10**4 + share_fee_e8(70_000, price_e4) for price_e4 in prices)
    legs = [(MARKETS[i].key, OUTCOMES[i], Side.BUY) for i in range(count)]
    return SIGNAL.blank()._replace(
        **{
            "signal": 10,
            "basket": basket_id(BasketKind.TRIANGLE_BUY, legs),
            "kind": BasketKind.TRIANGLE_BUY,
            "generation": 4,
            "leg_count": count,
            "payout_e4": payout_e4,
            "size_e6": size * 10**6,
            "limit_net_e8": payout_e4 * 10**4 - cost_e8,
            "profit_usd_e6": (payout_e4 * 10**4 - cost_e8) * size // 100,
            "created_ns": NOW_NS - 1_000_000,
            "leg_market": column(range(count)),
            "leg_outcome": column(OUTCOMES[:count]),
            "leg_side": column([Side.BUY] * count),
            "leg_price_e4": column(prices),
        }
        | some
    )


def situation(**some) -> Situation:
    return Situation(
        **{
            "now_ns": NOW_NS,
            "trading": True,
            "armed": True,
            "generation": 4,
            "last_signal": 9,
            "open_flights": 0,
            "busy_rows": frozenset(),
            "connection_idle": True,
            "reports_waiting": False,
            "free_cash_usd_e6": 10**10,
            "markets": MARKETS,
            "ticks_e4": {},
            "held": {},
        }
        | some
    )


def test_a_good_signal_is_admitted_with_its_whole_size():
    admitted = admit(signal(), situation(), SETTINGS)
    assert isinstance(admitted, Admitted)
    assert admitted.size_e6 == 100_000_000


@pytest.mark.parametrize(
    ("bad_signal", "bad_situation", "refusal"),
    [
        ({}, {"trading": False}, Refusal.DISABLED),
        ({}, {"armed": False}, Refusal.UNARMED),
        ({"created_ns": NOW_NS - 250_000_001}, {}, Refusal.STALE),
        ({}, {"last_signal": 10}, Refusal.DUPLICATE),
        ({"generation": 3}, {}, Refusal.GENERATION),
        ({"leg_side": column([Side.BUY, Side.SELL, Side.BUY])}, {}, Refusal.UNSUPPORTED),
        ({"leg_market": column([0, 1, 9])}, {}, Refusal.MARKET),
        ({"leg_outcome": column([1, 2, 5])}, {}, Refusal.MARKET),
        ({"leg_price_e4": column([6_000, 7_000, 5_905])}, {}, Refusal.MARKET),
        ({"leg_price_e4": column([0, 7_000, 5_900])}, {}, Refusal.MARKET),
        ({"leg_price_e4": column([10_000, 700, 590])}, {}, Refusal.MARKET),
        ({}, {"ticks_e4": {2: 1_000}}, Refusal.MARKET),
        ({}, {"open_flights": 8}, Refusal.BUSY),
        ({}, {"connection_idle": False}, Refusal.BUSY),
        ({}, {"reports_waiting": True}, Refusal.BUSY),
        ({}, {"busy_rows": frozenset({1})}, Refusal.BUSY),
        ({"prices": (6_000, 7_000, 7_000)}, {}, Refusal.EDGE),
        ({"prices": (6_000, 7_000, 6_900)}, {}, Refusal.EDGE),  # fees make it negative
        ({"kind": 0}, {}, Refusal.DAMAGED),
        ({"kind": 77}, {}, Refusal.DAMAGED),
        ({"leg_count": 0}, {}, Refusal.DAMAGED),
        ({"leg_count": 1}, {}, Refusal.DAMAGED),
        ({"leg_count": 2}, {}, Refusal.DAMAGED),  # the third leg is there
        ({"leg_count": MAX_LEGS + 1}, {}, Refusal.DAMAGED),
        ({"size_e6": 0}, {}, Refusal.DAMAGED),
        ({"size_e6": -5_000_000}, {}, Refusal.DAMAGED),
        ({"size_e6": 2**60}, {}, Refusal.DAMAGED),
        ({"payout_e4": 40_000}, {}, Refusal.DAMAGED),
        ({"payout_e4": -10_000}, {}, Refusal.DAMAGED),
        ({"created_ns": NOW_NS + 1}, {}, Refusal.DAMAGED),
        ({"frame_ns": NOW_NS}, {}, Refusal.DAMAGED),  # after the signal was created
        ({"basket": 1}, {}, Refusal.DAMAGED),
        ({"payout_e4": 19_900}, {}, Refusal.DAMAGED),
        ({"payout_e4": 30_000}, {}, Refusal.DAMAGED),
        ({"leg_market": column([0, 2, 1])}, {}, Refusal.DAMAGED),
        ({"leg_outcome": column([2, 2, 2])}, {}, Refusal.DAMAGED),
        ({"leg_price_e4": column([5_000, 7_000, 5_900])}, {}, Refusal.DAMAGED),
        ({"limit_net_e8": 10**8}, {}, Refusal.DAMAGED),
        ({"size_e6": 101 * 10**6}, {}, Refusal.DAMAGED),
        ({"profit_usd_e6": 0}, {}, Refusal.DAMAGED),
        ({}, {"ticks_e4": {2: 59}}, Refusal.MARKET),
        ({"size_e6": 4_000_000}, {}, Refusal.SIZE),
        ({}, {"free_cash_usd_e6": 15_000_000}, Refusal.CASH),
        ({}, {"free_cash_usd_e6": 0}, Refusal.CASH),
    ],
)
def test_each_refusal_has_its_reason(bad_signal, bad_situation, refusal):
    assert admit(signal(**bad_signal), situation(**bad_situation), SETTINGS) is refusal


@pytest.mark.parametrize("state", [MarketState.RETIRED, MarketState.FREE])
def test_a_market_that_is_not_active_is_refused(state):
    markets = MARKETS | {1: MARKETS[1]._replace(state=state)}
    assert admit(signal(), situation(markets=markets), SETTINGS) is Refusal.MARKET


def test_a_market_with_a_taker_delay_is_refused():
    markets = MARKETS | {1: MARKETS[1]._replace(taker_delay_ms=1)}
    assert admit(signal(), situation(markets=markets), SETTINGS) is Refusal.MARKET


def test_a_finer_tick_that_the_book_shows_counts():
    prices = (6_000, 7_000, 5_905)
    assert admit(signal(prices), situation(), SETTINGS) is Refusal.MARKET
    assert isinstance(admit(signal(prices), situation(ticks_e4={2: 1}), SETTINGS), Admitted)


def test_a_leg_worth_less_than_a_dollar_is_too_small():
    cheap = signal((100, 9_000, 9_000), size=99)
    assert admit(cheap, situation(), SETTINGS) is Refusal.SIZE
    assert isinstance(admit(signal((100, 9_000, 9_000), size=100), situation(), SETTINGS), Admitted)


def some_no(kept, payout_e4: int, markets=None) -> Refusal | Admitted:
    """What the gate says of NO of some brackets of a set of four, at 0.55 each."""
    facts = markets or {
        10: market(10, MarketKind.BELOW, None, 10), 11: market(11, MarketKind.RANGE, 10, 20),
        12: market(12, MarketKind.RANGE, 20, 30), 13: market(13, MarketKind.TOP, 30),
    }  # fmt: skip
    net_e8 = payout_e4 * 10**4 - len(kept) * (5_500 * 10**4 + share_fee_e8(70_000, 5_500))
    one = signal()._replace(
        leg_count=len(kept),
        payout_e4=payout_e4,
        leg_side=column([Side.BUY] * len(kept)),
        leg_price_e4=column([5_500] * len(kept)),
        kind=BasketKind.BRACKETS_NO,
        basket=12345,
        leg_market=column(kept),
        leg_outcome=column([Outcome.NO] * len(kept)),
        limit_net_e8=net_e8,
        profit_usd_e6=net_e8,
    )
    return admit(one, situation(markets=facts), SETTINGS)


def test_a_set_of_no_without_some_legs_is_admitted_for_what_the_rest_pays():
    assert isinstance(some_no((10, 11, 12, 13), 30_000), Admitted)
    assert isinstance(some_no((10, 12, 13), 20_000), Admitted)
    assert some_no((10, 12, 13), 30_000) is Refusal.DAMAGED
    assert some_no((10, 12, 12), 20_000) is Refusal.DAMAGED
    assert some_no((10, 13), 10_000) is Refusal.EDGE


@pytest.mark.parametrize("change", [{"group": 2}, {"fingerprint": 2}])
def test_legs_that_do_not_settle_on_one_price_guarantee_nothing(change):
    markets = MARKETS | {2: MARKETS[2]._replace(**change)}
    assert admit(signal(), situation(markets=markets), SETTINGS) is Refusal.DAMAGED


def test_the_remembered_payout_is_the_markets_own():
    """Another market in the same row is another question."""
    assert isinstance(admit(signal(), situation(), SETTINGS), Admitted)
    wider = MARKETS | {1: MARKETS[1]._replace(upper_usd_e6=30 * 10**6)}
    assert admit(signal(), situation(markets=wider), SETTINGS) is Refusal.DAMAGED


prices = st.integers(1, 999).map(lambda tenths: tenths * 10)


@given(
    st.tuples(prices, prices, prices).filter(lambda legs: sum(legs) < 19_500),
    st.integers(1, 2_000),
    st.integers(0, 2_000),
)
def test_what_is_admitted_is_whole_on_every_grid_and_affordable(legs, size, cash_usd):
    purse = situation(free_cash_usd_e6=cash_usd * 10**6)
    outcome = admit(signal(legs, size=size), purse, SETTINGS)
    if isinstance(outcome, Refusal):
        assert outcome in {Refusal.SIZE, Refusal.CASH, Refusal.EDGE}
        return
    shares, rest = divmod(outcome.size_e6, 10**6)
    assert rest == 0
    assert 5 <= shares <= size
    for price_e4 in legs:
        assert shares * price_e4 % 100 == 0  # whole cents
        assert shares * price_e4 >= 10_000  # a dollar
    cost = sum(shares * price_e4 * 100 for price_e4 in legs)
    fees = sum(fill_fee_usd_e6(70_000, price_e4, outcome.size_e6) for price_e4 in legs)
    assert cost + fees <= outcome.reserve_usd_e6
    assert outcome.reserve_usd_e6 <= cash_usd * 10**6 - SETTINGS.cash_reserve_usd_e6
    assert outcome.reserve_usd_e6 <= SETTINGS.max_basket_usd_e6


def test_a_limit_of_risk_makes_a_basket_smaller_and_refuses_it_by_its_name_below_the_least():
    known = situation()
    passed = judged(signal(), known, SETTINGS)
    assert isinstance(passed, Passed)
    limited = sized(signal(), passed, known, SETTINGS, Room(40, Refusal.EXPOSURE_GROUP))
    assert isinstance(limited, Admitted)
    assert limited.size_e6 == 40 * 10**6
    too_little = sized(signal(), passed, known, SETTINGS, Room(4, Refusal.EXPOSURE_GROUP))
    assert too_little is Refusal.EXPOSURE_GROUP


# --- sales from inventory -----------------------------------------------------------------------

YES_OF_2 = {2: Held(10**9, 0)}


def test_a_leg_whose_opposite_is_held_is_sold_and_needs_no_cash():
    bought, sold = (admit(signal(), situation(held=held), SETTINGS) for held in ({}, YES_OF_2))
    assert (bought.sold, sold.sold) == (frozenset(), {2})
    assert sold.size_e6 == bought.size_e6
    leg = 100 * 590_000 + fill_fee_bound_usd_e6(70_000, 5_900, 100 * 10**6, FILLS_PER_ORDER)
    assert sold.reserve_usd_e6 == bought.reserve_usd_e6 - leg


def test_where_the_setting_is_off_nothing_is_sold():
    off = ExecutorSettings(inventory=False)
    assert admit(signal(), situation(held=YES_OF_2), off) == admit(signal(), situation(), off)


@pytest.mark.parametrize("held", [Held(100 * 10**6 - 1, 0), Held(0, 10**9)])
def test_less_than_the_whole_size_or_the_wanted_token_itself_is_no_inventory(held):
    assert admit(signal(), situation(held={2: held}), SETTINGS).sold == frozenset()


def test_a_sale_makes_affordable_what_cash_is_short_for():
    poor = {"free_cash_usd_e6": 145 * 10**6}  # $135 to spend; 100 of each cost $194
    bought = admit(signal(), situation(**poor), SETTINGS)
    sold = admit(signal(), situation(**poor, held=YES_OF_2), SETTINGS)
    assert (bought.size_e6 // 10**6, bought.sold) == (69, frozenset())
    assert (sold.size_e6 // 10**6, sold.sold) == (100, {2})
    # Fewer are sold where only fewer are there.
    some = admit(signal(), situation(**poor, held={2: Held(80 * 10**6, 0)}), SETTINGS)
    assert (some.size_e6 // 10**6, some.sold) == (80, {2})


def test_a_basket_of_sales_alone_needs_no_cash_at_all():
    everything = {0: Held(0, 10**9), 1: Held(10**9, 0), 2: Held(10**9, 0)}
    found = admit(signal(), situation(held=everything, free_cash_usd_e6=0), SETTINGS)
    assert found == Admitted(100 * 10**6, 0, frozenset({0, 1, 2}))


@given(
    st.tuples(prices, prices, prices).filter(lambda legs: sum(legs) < 19_500),
    st.integers(1, 600),
    st.integers(0, 700),
    st.lists(st.integers(0, 700 * 10**6), min_size=6, max_size=6),
)
def test_whatever_is_held_sales_are_covered_and_make_no_basket_smaller(legs, size, cash, amounts):
    purse = {"free_cash_usd_e6": cash * 10**6}
    held = {row: Held(*amounts[2 * row : 2 * row + 2]) for row in range(3)}
    bought = admit(signal(legs, size=size), situation(**purse), SETTINGS)
    found = admit(signal(legs, size=size), situation(**purse, held=held), SETTINGS)
    if isinstance(found, Refusal):
        assert found is bought
        return
    assert isinstance(bought, Refusal) or bought.size_e6 <= found.size_e6
    cost = 0
    for place, price_e4 in enumerate(legs):
        if place in found.sold:
            opposite_e6 = (
                held[place].no_e6 if OUTCOMES[place] is Outcome.YES else held[place].yes_e6
            )
            assert found.size_e6 <= opposite_e6
            assert found.size_e6 * (10_000 - price_e4) >= 10_000 * 10**6  # a dollar
        else:
            cost += found.size_e6 * price_e4 // 10**4
            cost += fill_fee_usd_e6(70_000, price_e4, found.size_e6)
    assert cost <= found.reserve_usd_e6
    assert found.reserve_usd_e6 == 0 or (
        found.reserve_usd_e6 <= cash * 10**6 - SETTINGS.cash_reserve_usd_e6
    )


LINE = [
    market(0, MarketKind.ABOVE, 10), market(1, MarketKind.RANGE, 10, 20),
    market(2, MarketKind.ABOVE, 20), market(3, MarketKind.BELOW, None, 10),
    market(4, MarketKind.RANGE, 20, 30), market(5, MarketKind.TOP, 30),
]  # fmt: skip


@given(st.permutations(LINE), st.lists(st.sampled_from(Outcome), min_size=2, max_size=6))
def test_what_a_basket_pays_at_least_is_what_its_enumeration_says(markets, outcomes):
    outcomes = [outcome for outcome in outcomes if outcome]
    legs = list(zip(markets, outcomes, strict=False))
    proof = payoff([Leg(one, outcome, Side.BUY) for one, outcome in legs])
    least_e4 = gate.guaranteed_e4(tuple(one for one, _ in legs), tuple(o for _, o in legs))
    assert least_e4 == (proof.interval_min_e4 if legs else 0)


# --- what is remembered of a basket ---------------------------------------------------------------

CHANGES = [
    {}, {"kind": 0}, {"kind": 77}, {"basket": 1}, {"leg_count": 2}, {"leg_count": MAX_LEGS + 1},
    {"leg_market": column([0, 2, 1])}, {"leg_market": column([0, 1, 9])},
    {"leg_outcome": column([2, 2, 2])}, {"leg_outcome": column([1, 2, 5])},
    {"leg_side": column([Side.BUY, Side.SELL, Side.BUY])}, {"payout_e4": 19_900},
    {"leg_price_e4": column([6_000, 7_000, 5_900, 1])}, {"leg_market": column([0, 1, 2, 1])},
    {"limit_net_e8": 1}, {"signal": 9}, {"size_e6": 0},
]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from([5_900, 5_800, 5_905]))))
def test_what_is_remembered_of_a_basket_changes_no_judgement(stream):
    remembering = situation()
    for change, price_e4 in stream:
        one = signal((6_000, 7_000, price_e4))._replace(**change)
        assert judged(one, remembering, SETTINGS) == judged(one, situation(), SETTINGS)


def test_a_basket_is_looked_into_once_whatever_its_prices(monkeypatch):
    known, looked = situation(), []
    enumerate_all = gate.guaranteed_e4
    monkeypatch.setattr(
        gate, "guaranteed_e4", lambda *legs: looked.append(legs) or enumerate_all(*legs)
    )
    for price_e4 in (5_900, 5_800, 5_700):
        assert isinstance(admit(signal((6_000, 7_000, price_e4)), known, SETTINGS), Admitted)
    assert len(looked) == 1


def test_baskets_without_end_are_not_remembered_without_end(monkeypatch):
    monkeypatch.setattr(gate, "SHAPES_REMEMBERED", 5)
    known = situation()
    for basket in range(20):
        assert admit(signal(basket=basket), known, SETTINGS) is Refusal.DAMAGED
        assert len(known.shapes) <= 5
