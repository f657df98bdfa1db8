"""Risk: each limit alone, at its very edge; what fits is what the smallest limit leaves."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.exposure import Exposure, day_of
from executor.modes import MAY_SEND
from executor.risk import (
    REPAIR_OVERDRAFT,
    Quote,
    Standing,
    Wanted,
    check_repair,
    leg_usd_e6,
    loss_limit_usd_e6,
    order_limit_usd_e6,
    refusal,
    total_limit_usd_e6,
    units_allowed,
)
from executor.tempo import Bucket
from shm.codes import MarketKind, Mode, Outcome, Purpose, Refusal, Side
from shm.layout import MAX_LEGS
from shm.limits import RiskSettings
from tests.engine.factory import market

LIMITS = RiskSettings()
ALONE = RiskSettings(max_naked_usd_e6=10**9)
"""Limits among which what may stand alone is never the smallest."""
NOW_NS, NOW_MS = 10**15, 1_795_000_000_000
MARKETS = [market(0, MarketKind.ABOVE, 10), market(1, MarketKind.RANGE, 10, 20),
           market(2, MarketKind.ABOVE, 20)]  # fmt: skip
PRICES = (6_000, 6_900, 5_900)
OUTCOMES = (Outcome.YES, Outcome.NO, Outcome.NO)
GROUP = MARKETS[0].group


def quote(best_e4: int, outcome: Outcome, **some) -> Quote:
    """A book in which a token can be had at a price."""
    sides = (0, best_e4) if outcome is Outcome.YES else (10_000 - best_e4, 0)
    return Quote(True, *sides, 10, NOW_NS - 10**6)._replace(**some)


def wanted(**some) -> Wanted:
    quotes = [quote(p, o) for p, o in zip(PRICES, OUTCOMES, strict=True)]
    base = Wanted(Purpose.BASKET, 77, GROUP, MARKETS, OUTCOMES, PRICES, 20_000, 5_000_000, quotes)
    return base._replace(**some)


def standing(**some) -> Standing:
    base = Standing(
        now_ns=NOW_NS, now_ms=NOW_MS, killed=False, mode=Mode.ARMED, equity_usd_e6=10**10,
        exposure=Exposure(), order_tokens=15, orders_today=0, last_basket_ms={},
        baskets_this_hour={}, edge_since_ms={}, clock_offset_ms=0, facts_age_ms=0,
        feed_silence_ns=0, restarted_ms=0, held_up=False,
    )  # fmt: skip
    return replace(base, **some)


def exposed(**some) -> Exposure:
    exposure = Exposure()
    for name, value in some.items():
        setattr(exposure, name, value)
    return exposure


def test_nothing_against_a_good_basket():
    assert refusal(wanted(), standing(), LIMITS) is None


def edited(place: int, **some) -> list[Quote]:
    quotes = list(wanted().quotes)
    quotes[place] = quotes[place]._replace(**some)
    return quotes


END_MS = MARKETS[0].expiry_ms
OLDEST_NS = LIMITS.max_quote_age_ms * 1_000_000


@pytest.mark.parametrize(
    ("wish", "state", "reason"),
    [
        ({}, {"killed": True}, Refusal.KILLED),
        ({}, {"clock_offset_ms": 501}, Refusal.CLOCK),
        ({}, {"clock_offset_ms": -501}, Refusal.CLOCK),
        ({}, {"clock_offset_ms": 500}, None),
        ({}, {"facts_age_ms": 60_001}, Refusal.METADATA),
        ({}, {"facts_age_ms": 60_000}, None),
        ({"quotes": edited(1, tick_e4=1_000)}, {}, Refusal.METADATA),
        ({"quotes": edited(1, tick_e4=0)}, {}, Refusal.METADATA),
        ({}, {"now_ms": END_MS - 120_000 + 1}, Refusal.FENCE),
        ({}, {"now_ms": END_MS - 120_000}, None),
        ({}, {"now_ms": END_MS + 10**9}, Refusal.FENCE),
        ({}, {"restarted_ms": NOW_MS - 119_999}, Refusal.FENCE),
        ({}, {"restarted_ms": NOW_MS - 120_000}, None),
        ({}, {"restarted_ms": NOW_MS + 5_000}, Refusal.FENCE),  # the clock went back
        ({}, {"feed_silence_ns": 750_000_001}, Refusal.STALE),
        ({}, {"feed_silence_ns": -750_000_001}, Refusal.STALE),
        ({}, {"feed_silence_ns": 750_000_000}, None),
        ({}, {"held_up": True}, Refusal.STALE),  # e.g. the machine has slept
        ({"quotes": edited(2, live=False)}, {}, Refusal.STALE),
        ({"quotes": edited(2, changed_ns=NOW_NS - OLDEST_NS - 1)}, {}, Refusal.STALE),
        ({"quotes": edited(2, changed_ns=NOW_NS - OLDEST_NS)}, {}, None),
        ({"quotes": edited(0, ask_e4=0)}, {}, Refusal.COLLAR),
        ({"quotes": edited(1, bid_e4=0)}, {}, Refusal.COLLAR),
        # 2 % of 0.588 are 0.0117; three ticks are less.
        ({"quotes": edited(0, ask_e4=5_890)}, {}, None),
        ({"quotes": edited(0, ask_e4=5_880)}, {}, Refusal.COLLAR),
        ({"limit_net_e8": 16_000_000}, {}, None),  # 8 cents of each of two dollars
        ({"limit_net_e8": 16_000_001}, {}, Refusal.TOO_GOOD),
        ({}, {"edge_since_ms": {77: NOW_MS - 3_001}}, Refusal.TOO_GOOD),
        ({}, {"edge_since_ms": {77: NOW_MS - 3_000, 78: 0}}, None),
        ({}, {"quarantined": True}, Refusal.TOO_GOOD),
        ({}, {"exposure": exposed(doubts={GROUP: 1})}, Refusal.IN_DOUBT),
        ({}, {"exposure": exposed(doubts={8: 1, 9: 1})}, None),
        ({}, {"exposure": exposed(doubts={8: 1, 9: 2})}, Refusal.IN_DOUBT),
        ({}, {"exposure": exposed(naked_usd_e6=25_000_000)}, Refusal.NAKED),
        ({}, {"exposure": exposed(naked_usd_e6=24_999_999)}, None),
        ({}, {"order_tokens": 2}, Refusal.RATE),
        ({}, {"order_tokens": 3}, None),
        ({}, {"orders_today": 1_998}, Refusal.RATE),
        ({}, {"orders_today": 1_997}, None),
        ({}, {"last_basket_ms": {GROUP: NOW_MS - 1_999}}, Refusal.REPEAT),
        ({}, {"last_basket_ms": {GROUP: NOW_MS - 2_000, 9: NOW_MS}}, None),
        ({}, {"baskets_this_hour": {GROUP: 20}}, Refusal.REPEAT),
        ({}, {"baskets_this_hour": {GROUP: 19}}, None),
    ],
)
def test_each_limit_alone_and_at_its_edge(wish, state, reason):
    assert refusal(wanted(**wish), standing(**state), LIMITS) is reason


@pytest.mark.parametrize("mode", list(MAY_SEND))
def test_a_mode_that_may_not_send_refuses(mode):
    expected = None if mode is Mode.ARMED else Refusal.MODE
    assert refusal(wanted(), standing(mode=mode), LIMITS) is expected


COSTS = [leg_usd_e6(m, p) for m, p in zip(MARKETS, PRICES, strict=True)]


@pytest.mark.parametrize(
    ("state", "units", "reason"),
    [
        ({}, 25_000_000 // max(COSTS), Refusal.NOTIONAL),
        ({"equity_usd_e6": 10**9}, 10_000_000 // max(COSTS), Refusal.NOTIONAL),
        (
            {"exposure": exposed(by_market={MARKETS[2].key: 49_000_000})},
            1_000_000 // COSTS[2],
            Refusal.EXPOSURE_MARKET,
        ),
        (
            {"exposure": exposed(by_group={GROUP: 90_000_000})},
            10_000_000 // sum(COSTS),
            Refusal.EXPOSURE_GROUP,
        ),
        (
            {"exposure": exposed(by_day={day_of(MARKETS[0]): 190_000_000})},
            10_000_000 // sum(COSTS),
            Refusal.EXPOSURE_DAY,
        ),
        (
            {"exposure": exposed(total_usd_e6=490_000_000)},
            10_000_000 // sum(COSTS),
            Refusal.EXPOSURE,
        ),
        ({"exposure": exposed(total_usd_e6=10**12)}, 0, Refusal.EXPOSURE),
    ],
)
def test_what_fits_is_what_the_smallest_limit_leaves(state, units, reason):
    assert units_allowed(wanted(), standing(**state), ALONE) == (units, reason)


@pytest.mark.parametrize("launched_usd_e6", [0, 4_999_999, 5_000_000])
@pytest.mark.parametrize("naked_usd_e6", [0, 20_000_000, 25_000_000, 10**12])
def test_all_legs_but_the_cheapest_fit_into_what_may_stand_alone(naked_usd_e6, launched_usd_e6):
    """Any one of them may be the one that does not fill, here and in what is on its way."""
    exposure = exposed(naked_usd_e6=naked_usd_e6, launched_usd_e6=launched_usd_e6)
    state = standing(exposure=exposure)
    left_usd_e6 = max(0, 25_000_000 - naked_usd_e6 - launched_usd_e6)
    units = left_usd_e6 // (sum(COSTS) - min(COSTS))
    assert units_allowed(wanted(), state, LIMITS) == (units, Refusal.NAKED)


def test_the_number_of_shares_is_limited_where_they_are_cheap():
    cheap = wanted(prices_e4=(20, 20, 20))
    assert units_allowed(cheap, standing(), ALONE) == (500, Refusal.SHARES)


def test_limits_follow_equity_where_that_is_less():
    assert order_limit_usd_e6(10**9, LIMITS) == 10_000_000
    assert total_limit_usd_e6(10**9, LIMITS) == 250_000_000
    assert loss_limit_usd_e6(10**9, LIMITS) == 20_000_000
    assert order_limit_usd_e6(10**12, LIMITS) == 25_000_000
    assert total_limit_usd_e6(0, LIMITS) == 0


money = st.integers(0, 600_000_000)


@given(st.tuples(*[st.integers(1, 9_999)] * 3), st.tuples(*[money] * 4, st.integers(0, 30_000_000)),
       st.integers(0, 10**11))  # fmt: skip
def test_no_limit_is_ever_passed(prices, at_risk, equity):
    in_market, in_group, in_day, in_all, in_alone = at_risk
    exposure = exposed(
        by_market={MARKETS[1].key: in_market}, by_group={GROUP: in_group},
        by_day={day_of(MARKETS[0]): in_day}, total_usd_e6=in_all, naked_usd_e6=in_alone,
    )  # fmt: skip
    state = standing(exposure=exposure, equity_usd_e6=equity)
    units, _ = units_allowed(wanted(prices_e4=prices), state, LIMITS)
    if units == 0:
        return
    costs = [leg_usd_e6(m, p) for m, p in zip(MARKETS, prices, strict=True)]
    assert units * max(costs) <= min(25_000_000, equity // 100)
    assert units <= 500
    assert in_market + units * costs[1] <= 50_000_000
    assert in_group + units * sum(costs) <= 100_000_000
    assert in_day + units * sum(costs) <= 200_000_000
    assert in_all + units * sum(costs) <= min(500_000_000, equity // 4)
    for missing in costs:
        assert in_alone + units * (sum(costs) - missing) <= 25_000_000


def test_a_repair_passes_limits_of_exposure_but_no_kill_mode_clock_silence_and_no_pace():
    full = exposed(total_usd_e6=10**12, naked_usd_e6=10**12)
    assert check_repair(standing(exposure=full, mode=Mode.REDUCE_ONLY), 3, LIMITS) is None
    for state, reason in (
        ({"killed": True}, Refusal.KILLED),
        ({"mode": Mode.CANCEL_ONLY}, Refusal.MODE),
        ({"clock_offset_ms": 501}, Refusal.CLOCK),
        ({"feed_silence_ns": 750_000_001}, Refusal.STALE),
        ({"held_up": True}, Refusal.STALE),
        ({"order_tokens": 2 - REPAIR_OVERDRAFT}, Refusal.RATE),
    ):
        assert check_repair(standing(**state), 3, LIMITS) is reason


@pytest.mark.parametrize("orders", range(1, MAX_LEGS + 1))
def test_whatever_baskets_have_used_up_a_repair_of_any_size_may_still_leave(orders):
    """They stop at no tokens left; a repair may owe some."""
    assert check_repair(standing(order_tokens=0), orders, LIMITS) is None


def test_a_quote_seen_from_each_token_and_side():
    book = Quote(True, 4_000, 4_300, 10, 0)
    assert book.opposite_e4(Outcome.YES, Side.BUY) == 4_300
    assert book.opposite_e4(Outcome.NO, Side.BUY) == 6_000
    assert book.opposite_e4(Outcome.YES, Side.SELL) == 4_000
    assert book.opposite_e4(Outcome.NO, Side.SELL) == 5_700
    empty = Quote(True, 0, 0, 10, 0)
    assert {empty.opposite_e4(o, s) for o in (Outcome.YES, Outcome.NO) for s in Side} == {0}


# --- pace ----------------------------------------------------------------------------------------


def test_a_bucket_is_full_at_first_and_fills_with_time():
    bucket = Bucket(per_second=5, burst=15)
    assert bucket.room(1) == 15
    bucket.take(1, 15)
    assert bucket.room(1) == 0
    assert bucket.room(1 + 199_999_999) == 0
    assert bucket.room(1 + 200_000_000) == 1
    assert bucket.room(10**12) == 15


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 20)), max_size=60))
def test_in_no_stretch_of_time_more_leave_than_burst_and_rate_allow(story):
    bucket, now_ns, taken = Bucket(per_second=5, burst=15), 1, []
    for wait_ns, wish in story:
        now_ns += wait_ns
        count = min(wish, bucket.room(now_ns))
        bucket.take(now_ns, count)
        taken.append((now_ns, count))
    for i, (start_ns, _) in enumerate(taken):
        total = 0
        for at_ns, count in taken[i:]:
            total += count
            assert total <= 15 + 5 * (at_ns - start_ns) / 10**9 + 1e-6
