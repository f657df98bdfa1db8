"""Legging: every outcome of three legs; what is chosen has the best worst case there is."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.legging import GAIN_BPS, Bounds, Choice, Standing, _most, best_plan, is_even
from shm.codes import MarketKind, Outcome, Side
from shm.fees import fee_table_e8
from shm.grid import share_step
from shm.payoff import worst_usd_e6
from tests.engine.factory import market

SHARE_E6 = 10**6
LOW, MIDDLE, HIGH = (
    market(0, MarketKind.ABOVE, 10),
    market(1, MarketKind.RANGE, 10, 20),
    market(2, MarketKind.ABOVE, 20),
)
TRIO = ((LOW, Outcome.YES), (MIDDLE, Outcome.NO), (HIGH, Outcome.NO))
PLENTY = 10**12
FREE = Bounds(PLENTY, 0, PLENTY, PLENTY, 10_000, 10_000)
"""Bounds that bind nothing."""
NO_FEE = [m._replace(fee_rate_e6=0) for m in (LOW, MIDDLE, HIGH)]


def standing(place: int, held: float, asks=(), bids=(), *, free: bool = True) -> Standing:
    one, outcome = TRIO[place]
    one = NO_FEE[place] if free else one
    ladder = [[(p, int(s * SHARE_E6)) for p, s in side] for side in (asks, bids)]
    held_e6 = int(held * SHARE_E6)
    return Standing(one, outcome, held_e6, ladder[0], ladder[1], 10, held_e6, 0)


def having(cash_usd_e6: int) -> Bounds:
    """Bounds of which only the cash binds."""
    return replace(FREE, cash_usd_e6=cash_usd_e6)


def trio(held, asks, bids, **more) -> list[Standing]:
    return [standing(place, held[place], asks[place], bids[place], **more) for place in range(3)]


DEEP = 1_000
ASKS = [[(6_000, DEEP)], [(6_500, DEEP)], [(7_000, DEEP)]]  # 1.95 together: worth completing
BIDS = [[(5_900, DEEP)], [(6_400, DEEP)], [(6_900, DEEP)]]


@pytest.mark.parametrize("filled", list(product([0, 40, 100], repeat=3)))
def test_all_27_outcomes_end_even_where_the_books_allow_it(filled):
    plan = best_plan(trio(filled, ASKS, BIDS), FREE)
    after = list(filled)
    for order in plan.orders:
        after[order.leg] += order.size_e6 / SHARE_E6 * (1 if order.side is Side.BUY else -1)
    assert len(set(after)) == 1
    if len(set(filled)) == 1:
        assert plan.choice is Choice.HOLD
        assert plan.orders == ()
    else:
        # Completing pays two dollars for 1.95, so all that any leg has is completed.
        assert plan.choice is Choice.COMPLETE
        assert set(after) == {max(filled)}


@pytest.mark.parametrize("filled", list(product([0, 40, 100], repeat=3)))
def test_all_27_outcomes_unwind_where_completing_costs_more_than_it_pays(filled):
    dear = [[(9_900, DEEP)]] * 3
    plan = best_plan(trio(filled, dear, BIDS), FREE)
    held = dict(enumerate(filled))
    for order in plan.orders:
        assert order.side is Side.SELL
        held[order.leg] -= order.size_e6 / SHARE_E6
    if len(set(filled)) == 1:
        assert plan.choice is Choice.HOLD
    else:
        # Whole trios pay two dollars and would sell for 1.92: only what is alone is sold.
        assert plan.choice is Choice.UNWIND
        assert set(held.values()) == {min(filled)}


def test_two_filled_legs_are_completed_at_a_small_loss_rather_than_sold_at_a_larger_one():
    bids = [[(5_000, DEEP)]] * 3
    asks = [[(7_200, DEEP)]] * 3
    plan = best_plan(trio((100, 100, 0), asks, bids), FREE)
    assert plan.choice is Choice.COMPLETE
    (order,) = plan.orders
    assert (order.leg, order.size_e6, order.limit_e4) == (2, 100 * SHARE_E6, 7_200)
    assert plan.worst_usd_e6 == 200_000_000 - 72_000_000


def test_what_is_kept_counts_with_what_it_pays_in_the_worst_case():
    # Without any quotes nothing can be done: YES above(10) and NO of the range pay a dollar at
    # least (below 10 the NO pays, in the range the YES, above both).
    plan = best_plan(trio((100, 100, 0), [[]] * 3, [[]] * 3), FREE)
    assert (plan.choice, plan.worst_usd_e6) == (Choice.HOLD, 100_000_000)
    # YES above(10) alone may pay nothing at all.
    assert best_plan(trio((100, 0, 0), [[]] * 3, [[]] * 3), FREE).worst_usd_e6 == 0


def test_a_sale_that_brings_less_than_keeping_guarantees_is_not_made():
    # The two legs are worth a dollar at least, and would sell for ninety cents.
    bids = [[(4_500, DEEP)], [(4_500, DEEP)], []]
    plan = best_plan(trio((100, 100, 0), [[]] * 3, bids), FREE)
    assert plan.choice is Choice.HOLD


def test_thin_books_are_used_as_far_as_they_go():
    asks = [[(6_000, DEEP)], [(6_500, DEEP)], [(7_000, 30.9)]]
    bids = [[(5_900, DEEP)], [(6_400, DEEP)], []]
    plan = best_plan(trio((100, 100, 0), asks, bids), FREE)
    found = {(order.leg, order.side): order.size_e6 // SHARE_E6 for order in plan.orders}
    assert plan.choice is Choice.LEVEL
    assert found == {(2, Side.BUY): 30, (0, Side.SELL): 70, (1, Side.SELL): 70}


def test_the_cash_bounds_what_completing_may_cost():
    assert best_plan(trio((100, 100, 0), ASKS, BIDS), having(71_000_000)).choice is Choice.COMPLETE
    some = best_plan(trio((100, 100, 0), ASKS, BIDS), having(69_000_000))
    assert some.choice is Choice.LEVEL
    assert 0 < some.cost_usd_e6 <= 69_000_000
    assert best_plan(trio((100, 100, 0), ASKS, BIDS), having(0)).choice is Choice.UNWIND


def test_e02_nobody_ties_up_money_for_the_worst_case_that_a_sale_has_too():
    """One leg of 100, its bid at two cents; the others are offered at .99."""
    asks = [[], [(9_900, DEEP)], [(9_900, DEEP)]]
    plan = best_plan(trio((100, 0, 0), asks, [[(200, DEEP)], [], []]), FREE)
    assert [(order.side, order.limit_e4) for order in plan.orders] == [(Side.SELL, 200)]


@pytest.mark.parametrize(("better_e4", "choice"), [(90, Choice.UNWIND), (110, Choice.COMPLETE)])
def test_buying_has_to_be_better_by_a_hundredth_of_what_it_costs(better_e4, choice):
    """The third leg at a dollar less what the others are sold for is the same worst case."""
    bids = [[(6_500, DEEP)], [(6_500, DEEP)], []]
    asks = [[], [], [(7_000 - better_e4 * 7_000 // 10_000 // 10 * 10, DEEP)]]
    assert best_plan(trio((100, 100, 0), asks, bids), FREE).choice is choice


def test_a_basket_that_would_lose_more_than_its_budget_is_not_completed():
    """Two legs cost 1.40 dollars, the third is offered at .70: ten cents a unit are lost."""
    bids = [[(5_000, DEEP)], [(5_000, DEEP)], []]
    spent = replace(FREE, spent_usd_e6=140_000_000)
    legs = trio((100, 100, 0), ASKS, bids)
    assert best_plan(legs, replace(spent, loss_usd_e6=10_000_000)).choice is Choice.COMPLETE
    less = best_plan(legs, replace(spent, loss_usd_e6=9_999_999))
    assert less.choice is Choice.HOLD, "they pay a dollar at least, and would sell for one"
    some_bids = [[(5_500, DEEP)], [(5_500, DEEP)], []]
    legs = trio((100, 100, 0), ASKS, some_bids)
    assert best_plan(legs, replace(spent, loss_usd_e6=9_999_999)).choice is Choice.UNWIND


def test_no_purchase_is_larger_than_an_order_may_be():
    plan = best_plan(trio((100, 100, 0), ASKS, BIDS), replace(FREE, order_usd_e6=28_000_000))
    bought = {order.leg: order.size_e6 for order in plan.orders if order.side is Side.BUY}
    assert plan.choice is Choice.LEVEL
    assert bought == {2: 40 * SHARE_E6}


@pytest.mark.parametrize(
    ("ticks", "bps", "reached"), [(10, 1, 100), (9, 1, 60), (1, 143, 100), (1, 142, 60)]
)
def test_no_purchase_reaches_beyond_the_collar_above_the_best_ask(ticks, bps, reached):
    asks = [[], [], [(7_000, 60), (7_100, DEEP)]]
    bounds = replace(FREE, collar_ticks=ticks, collar_bps=bps)
    plan = best_plan(trio((100, 100, 0), asks, BIDS), bounds)
    bought = [order.size_e6 for order in plan.orders if order.side is Side.BUY]
    assert bought == [reached * SHARE_E6]


def test_a_limit_is_raised_to_where_the_number_of_shares_is_allowed():
    asks = [[(6_000, DEEP)], [(6_500, DEEP)], [(7_010, DEEP)]]
    (order,) = best_plan(trio((37, 37, 0), asks, BIDS), FREE).orders
    # 37 shares at 0.701 are 25.937 dollars; the next price at which they are whole cents is 0.71.
    assert order.limit_e4 == 7_100
    assert 37 % share_step(order.limit_e4) == 0


def test_what_is_below_the_venues_minimum_is_kept():
    plan = best_plan(trio((3, 3, 0), ASKS, BIDS), FREE)
    assert plan.choice is Choice.HOLD


def test_fractions_of_a_share_are_dust():
    assert is_even([100 * SHARE_E6, 100 * SHARE_E6 - 999_999, 100 * SHARE_E6])
    assert not is_even([100 * SHARE_E6, 99 * SHARE_E6, 100 * SHARE_E6])


sizes = st.integers(0, 60 * SHARE_E6) | st.integers(0, 60).map(lambda n: n * SHARE_E6)
levels = st.lists(
    st.tuples(st.integers(1, 999).map(lambda t: t * 10), st.integers(1, 80 * SHARE_E6)),
    max_size=4, unique_by=lambda level: level[0],
)  # fmt: skip


@st.composite
def standings(draw) -> list[Standing]:
    found = []
    for one, outcome in TRIO:
        asks, bids = sorted(draw(levels)), sorted(draw(levels), reverse=True)
        held_e6 = draw(sizes)
        found.append(Standing(one, outcome, held_e6, asks, bids, 10, held_e6, 0))
    return found


@given(standings(), st.sampled_from([0, 10**7, PLENTY]))
@settings(max_examples=400)
def test_a_plan_can_be_carried_out_and_is_worth_what_it_says(legs, budget_usd_e6):
    plan = best_plan(legs, having(budget_usd_e6))
    cash, held = 0, [leg.held_e6 for leg in legs]
    for order in plan.orders:
        leg = legs[order.leg]
        assert order.size_e6 % SHARE_E6 == 0
        assert order.size_e6 * order.limit_e4 >= 10_000 * SHARE_E6
        assert order.size_e6 >= leg.market.min_size_e6
        assert order.limit_e4 % leg.tick_e4 == 0
        assert 0 < order.limit_e4 < 10_000
        buys = order.side is Side.BUY
        assert buys or order.size_e6 <= leg.held_e6
        if buys:
            assert order.size_e6 * order.limit_e4 % (100 * SHARE_E6) == 0
        left = order.size_e6
        for price, size in leg.asks if buys else leg.bids:
            part = min(left, size)
            left -= part
            fee = fee_table_e8(70_000)[price] * part
            money = price * 10**4 * part
            cash += -((money + fee + 10**8 - 1) // 10**8) if buys else (money - fee) // 10**8
            if left == 0:
                assert price <= order.limit_e4 if buys else price >= order.limit_e4
                break
        assert left == 0
        held[order.leg] += order.size_e6 if buys else -order.size_e6
    kept = [(leg.market, leg.outcome, e6) for leg, e6 in zip(legs, held, strict=True)]
    assert plan.worst_usd_e6 == cash + worst_usd_e6(kept)
    assert plan.worst_usd_e6 >= plan.hold_usd_e6
    assert plan.cost_usd_e6 <= budget_usd_e6 or plan.choice is Choice.HOLD


@given(standings())
@settings(max_examples=300)
def test_no_uniform_target_would_have_been_better(legs):
    """Against every whole target, bought and sold by an arithmetic of its own."""
    plan = best_plan(legs, FREE)
    for target in range(max(leg.held_e6 for leg in legs) // SHARE_E6 + 1):
        found = by_hand(legs, target * SHARE_E6)
        if found is not None:
            worst_usd_e6, outlay_usd_e6 = found
            merit_usd_e6 = worst_usd_e6 - outlay_usd_e6 * GAIN_BPS // 10_000
            assert merit_usd_e6 <= plan.merit_usd_e6 + 30  # each part is rounded


amounts = st.integers(0, 10**8)


@given(
    standings(),
    st.builds(
        Bounds, amounts, amounts, amounts, amounts, st.integers(1, 50), st.integers(1, 3_000)
    ),
)
@settings(max_examples=300)
def test_a_plan_keeps_to_its_bounds_whatever_the_books_are(legs, bounds):
    plan = best_plan(legs, bounds)
    bought = [order for order in plan.orders if order.side is Side.BUY]
    at_limits_usd_e6 = 0
    for order in bought:
        leg, left = legs[order.leg], order.size_e6
        last_e4 = 0
        for price_e4, size_e6 in leg.asks:
            last_e4 = price_e4 if left > 0 else last_e4
            left -= size_e6
        best_e4 = leg.asks[0][0]
        reach_e4 = max(bounds.collar_ticks * leg.tick_e4, best_e4 * bounds.collar_bps // 10_000)
        assert last_e4 <= best_e4 + reach_e4
        most = _most(leg, order.limit_e4, order.size_e6)
        assert most <= bounds.order_usd_e6
        at_limits_usd_e6 += most
    assert at_limits_usd_e6 == plan.outlay_usd_e6
    assert plan.cost_usd_e6 <= bounds.cash_usd_e6
    if bought:
        lost_usd_e6 = bounds.spent_usd_e6 - plan.worst_usd_e6 + plan.slack_usd_e6
        assert lost_usd_e6 <= bounds.loss_usd_e6


def test_many_units_are_tried_at_the_ends_of_levels_too():
    asks = [[], [], [(7_000, 1_234), (9_900, 5_000)]]
    bids = [[(5_900, 9_000)], [(6_400, 9_000)], []]
    plan = best_plan(trio((5_000, 5_000, 0), asks, bids), FREE)
    (bought,) = [order for order in plan.orders if order.side is Side.BUY]
    assert bought.size_e6 == 1_234 * SHARE_E6


def by_hand(legs, target_e6: int) -> tuple[int, int] | None:
    """(worst case, what is bought for at most) of a target, or None."""
    cash, outlay, held = 0, 0, []
    for leg in legs:
        gap = target_e6 - leg.held_e6
        if abs(gap) < SHARE_E6:
            held.append(leg.held_e6)
            continue
        buys = gap > 0
        size = -(-gap // SHARE_E6) * SHARE_E6 if buys else -gap // SHARE_E6 * SHARE_E6
        there = sum(s for _, s in (leg.asks if buys else leg.bids)) // SHARE_E6 * SHARE_E6
        if buys and there < size:
            return None
        size = min(size, there)
        left, limit, money = size, 0, 0
        for price, s in leg.asks if buys else leg.bids:
            part = min(left, s)
            if part:
                limit = price
            fee = fee_table_e8(70_000)[price] * part
            money += price * 10**4 * part + (fee if buys else -fee)
            left -= part
        if buys:
            while limit < 10_000 and (size // SHARE_E6) * limit % 100:
                limit += 10
            if limit >= 10_000 or size < 5 * SHARE_E6 or size * limit < 10_000 * SHARE_E6:
                return None
            outlay += _most(leg, limit, size)
        elif size < 5 * SHARE_E6 or size * limit < 10_000 * SHARE_E6:
            held.append(leg.held_e6)
            continue
        cash += (-money if buys else money) // 10**8
        held.append(leg.held_e6 + (size if buys else -size))
    kept = [(leg.market, leg.outcome, e6) for leg, e6 in zip(legs, held, strict=True)]
    return cash + worst_usd_e6(kept), outlay


# --- both forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sold", range(3))
@pytest.mark.parametrize("filled", list(product([0, 100], repeat=3)))
def test_a_sold_leg_is_completed_by_a_sale_and_taken_back_by_a_purchase(filled, sold):
    """Its own token is not there; the opposite one is, as far as it was not sold."""
    legs = trio(filled, ASKS, BIDS)
    left_e6 = (100 - filled[sold]) * SHARE_E6
    legs[sold] = replace(legs[sold], free_e6=0, other_e6=left_e6)
    plan = best_plan(legs, FREE)
    plain = best_plan(trio(filled, ASKS, BIDS), FREE)
    assert (plan.choice, plan.worst_usd_e6) == (plain.choice, plain.worst_usd_e6)
    assert all(order.mirrored is (order.leg == sold) for order in plan.orders)
    back = best_plan(legs, having(0))
    if any(filled) and not all(filled) and filled[sold]:
        assert back.choice is Choice.HOLD  # a purchase is what takes it back
    dear = trio(filled, [[(9_900, DEEP)]] * 3, BIDS)
    dear[sold] = replace(dear[sold], free_e6=0, other_e6=left_e6)
    for order in best_plan(dear, FREE).orders:
        assert (order.side, order.mirrored) == (Side.SELL, order.leg == sold)


@given(standings(), st.lists(st.integers(0, 60), min_size=6, max_size=6))
@settings(max_examples=300)
def test_in_real_shares_and_dollars_a_plan_is_worth_what_it_says_in_either_form(legs, shares):
    """What is held of the two tokens of a market pays for itself in pairs: that is a constant."""
    legs = [
        replace(leg, free_e6=min(leg.held_e6, shares[place] * SHARE_E6),
                other_e6=shares[place + 3] * SHARE_E6)
        for place, leg in enumerate(legs)
    ]  # fmt: skip
    plan = best_plan(legs, FREE)
    real = {}
    for place, leg in enumerate(legs):
        # Of the units some are shares, the others are sales: as much less of the opposite token,
        # each of which had a share of the token beside it that is another basket's.
        sold_e6 = leg.held_e6 - leg.free_e6
        real[place] = [leg.free_e6 + leg.other_e6 + sold_e6, leg.other_e6]
    before = real_worst(legs, real)
    cash = 0
    for order in plan.orders:
        leg, buys = legs[order.leg], order.side is Side.BUY
        price_e4 = 10_000 - order.limit_e4 if order.mirrored else order.limit_e4
        really_buys = buys is not order.mirrored
        token = 1 if order.mirrored else 0
        assert price_e4 % leg.tick_e4 == 0
        assert order.size_e6 * price_e4 >= 10_000 * SHARE_E6
        assert order.size_e6 >= leg.market.min_size_e6
        if really_buys:
            assert order.size_e6 * price_e4 % (100 * SHARE_E6) == 0
        else:
            assert order.size_e6 <= (leg.other_e6 if order.mirrored else leg.free_e6)
        real[order.leg][token] += order.size_e6 if really_buys else -order.size_e6
        left = order.size_e6
        for level_e4, size in leg.asks if buys else leg.bids:
            part = min(left, size)
            left -= part
            fee = fee_table_e8(70_000)[level_e4] * part
            own_e4 = 10_000 - level_e4 if order.mirrored else level_e4
            money = own_e4 * 10**4 * part
            cash += -((money + fee + 10**8 - 1) // 10**8) if really_buys else (money - fee) // 10**8
        assert left == 0
    after = real_worst(legs, real)
    assert after + cash - before == plan.worst_usd_e6 - plan.hold_usd_e6


def real_worst(legs, real) -> int:
    """The least that these tokens pay at any settlement that is no tie."""
    holdings = []
    for place, leg in enumerate(legs):
        other = Outcome.NO if leg.outcome is Outcome.YES else Outcome.YES
        holdings += [(leg.market, leg.outcome, real[place][0]), (leg.market, other, real[place][1])]
    return worst_usd_e6(holdings)
