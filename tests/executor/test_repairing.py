"""Repairing: one step for every situation: wait, send or keep, as a table says it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.flights import Flight, LegOrder
from executor.ledger import Fill, Ledger
from executor.legging import Bounds, Choice, Standing, best_plan
from executor.repairing import (
    FINAL,
    REFUSED_PAUSE_MS,
    REPAIRS_MAX,
    Budget,
    Step,
    decide,
    needs_repair,
)
from shm.codes import (
    BasketKind,
    FillStatus,
    FlightState,
    LegReason,
    LegState,
    Outcome,
    Purpose,
    Side,
)
from shm.limits import RiskSettings
from tests.executor.written import MARKETS, OUTCOMES, PRICES_E4

NOW_MS = 1_795_000_000_000
UNIT = 10_000_000
BOUNDS = Bounds(10**9, 0, 10**9, 10**9, 10_000, 10_000)
BUDGET = Budget(naked_ms=3_000, since_ms=0, bounds=BOUNDS)
GOOD_ASK = [(3_000, 100 * UNIT)]
GOOD_BID = [(5_900, 100 * UNIT)]
LEGS = range(3)


def token(place: int) -> str:
    one, outcome = MARKETS[place], OUTCOMES[place]
    name = one.yes_token if outcome is Outcome.YES else one.no_token
    return str(int.from_bytes(name, "big"))


def flight(filled=(0, 1), state=FlightState.NAKED, purpose=Purpose.BASKET, number=1) -> Flight:
    one = Flight(number, 1, purpose, 5, BasketKind.TRIANGLE_BUY, 1, 0, 20_000, UNIT, 2 * UNIT,
                 10**6, NOW_MS - 1_000, state=state, naked_ms=NOW_MS - 500)  # fmt: skip
    for place in LEGS:
        then = LegState.FILLED if place in filled else LegState.KILLED
        one.legs.append(
            LegOrder(place, OUTCOMES[place], Side.BUY, PRICES_E4[place], UNIT,
                     f"0x{number}{place}", token(place), "FOK", then, LegReason.NONE)
        )  # fmt: skip
    return one


def ledger(filled=(0, 1), size_e6=UNIT) -> Ledger:
    made = Ledger(opening_usd_e6=10**9)
    for place in filled:
        made.apply(Fill(f"t{place}", f"0x1{place}", token(place), Side.BUY, PRICES_E4[place],
                        size_e6, 0, FillStatus.CONFIRMED))  # fmt: skip
    return made


def legs(filled=(0, 1), asks=GOOD_ASK, bids=GOOD_BID, held=UNIT):
    return [
        Standing(MARKETS[p], OUTCOMES[p], held if p in filled else 0, asks, bids, 10,
                 held if p in filled else 0, 0)
        for p in LEGS
    ]  # fmt: skip


def step(one=None, known=None, standing=None, now_ms=NOW_MS, since_ms=0, **bounds):
    budget = replace(BUDGET, since_ms=since_ms, bounds=replace(BOUNDS, **bounds))
    return decide(one or flight(), known or ledger(), standing or legs(), now_ms=now_ms,
                  budget=budget)  # fmt: skip


# --- whether ------------------------------------------------------------------------------------


def test_a_basket_whose_legs_stand_alone_needs_repair():
    assert needs_repair(flight(), ledger())


@pytest.mark.parametrize("state", [s for s in FlightState if s is not FlightState.NAKED])
def test_no_other_state_does(state):
    assert not needs_repair(flight(state=state), ledger())


def test_a_repair_is_not_repaired():
    assert not needs_repair(flight(purpose=Purpose.REPAIR), ledger())


@pytest.mark.parametrize("open_state", [LegState.INTENT, LegState.SENT, LegState.DOUBT,
                                        LegState.LANDED])  # fmt: skip
def test_nothing_is_sent_while_the_last_attempt_may_still_fill(open_state):
    """The path on which the same legs could be bought twice."""
    one, repair = flight(), flight(number=2)
    repair.legs[2].state = open_state
    one.repairs.append(repair)
    assert not needs_repair(one, ledger())


def test_nothing_is_sent_while_announced_fills_are_awaited():
    assert not needs_repair(flight(filled=(0, 1, 2)), ledger(filled=(0, 1)))
    one, repair = flight(), flight(filled=(2,), number=2)
    one.repairs.append(repair)
    assert not needs_repair(one, ledger())


# --- what ---------------------------------------------------------------------------------------


def test_a_good_book_completes():
    found = step()
    assert found.step is Step.SEND
    assert found.plan.choice is Choice.COMPLETE
    assert [(o.leg, o.side) for o in found.plan.orders] == [(2, Side.BUY)]


def test_what_costs_too_much_is_sold_again():
    found = step(cash_usd_e6=0)
    assert found.step is Step.SEND
    assert all(order.side is Side.SELL for order in found.plan.orders)


@pytest.mark.parametrize(("age_ms", "expected"), [(3_000, Step.SEND), (3_001, Step.KEEP)])
def test_its_time_ends_to_the_millisecond(age_ms, expected):
    one = flight()
    one.naked_ms = NOW_MS - age_ms
    assert step(one).step is expected


def test_after_a_start_or_an_arming_there_is_the_whole_time_again():
    one = flight()
    one.naked_ms = NOW_MS - 10**9
    assert step(one, since_ms=NOW_MS - 3_000).step is Step.SEND
    assert step(one, since_ms=NOW_MS - 3_001).step is Step.KEEP


@pytest.mark.parametrize(
    ("count", "expected"), [(REPAIRS_MAX - 1, Step.SEND), (REPAIRS_MAX, Step.KEEP)]
)
def test_attempts_end(count, expected):
    one = flight()
    one.repairs = [flight(filled=(), number=n + 2) for n in range(count)]
    assert step(one).step is expected


def test_what_is_even_up_to_dust_is_kept():
    assert step(flight(filled=(0, 1, 2)), ledger(filled=(0, 1, 2))).step is Step.KEEP


def test_no_better_plan_is_believed_only_where_every_book_is_there():
    bad = {"asks": [(9_990, 100 * UNIT)], "bids": [(10, 100 * UNIT)]}
    all_there = legs(**bad)
    assert best_plan(all_there, replace(BOUNDS, cash_usd_e6=0)).choice is Choice.HOLD
    assert step(standing=all_there, cash_usd_e6=0).step is Step.KEEP
    one_dead = [*all_there[:2], replace(all_there[2], asks=(), bids=())]
    assert step(standing=one_dead, cash_usd_e6=0).step is Step.WAIT


# --- what was refused -----------------------------------------------------------------------------


def refused(one, reason, place=2, side=Side.BUY, number=2):
    """A repair of one leg that the venue refused."""
    repair = flight(filled=(), purpose=Purpose.REPAIR, number=number)
    repair.legs = [replace(repair.legs[place], side=side, state=LegState.REFUSED, reason=reason)]
    repair.last_ms = NOW_MS - 10_000
    one.repairs.append(repair)
    return one


def sides(found):
    return {(order.leg, order.side) for order in found.plan.orders}


SOLD_AGAIN = {(0, Side.SELL), (1, Side.SELL)}


@pytest.mark.parametrize("reason", [LegReason.CLOSED, *FINAL, LegReason.BALANCE])
def test_a20_a_leg_that_cannot_be_bought_is_not_asked_for_again_and_the_others_are_sold(reason):
    assert sides(step()) == {(2, Side.BUY)}
    assert sides(step(refused(flight(), reason))) == SOLD_AGAIN


def test_a23_a_market_that_refused_the_basket_itself_is_closed_for_its_repair():
    one = flight()
    one.legs[2].state, one.legs[2].reason = LegState.REFUSED, LegReason.CLOSED
    assert sides(step(one)) == SOLD_AGAIN


def test_a_market_that_is_closed_can_be_sold_in_as_little_as_bought():
    one = refused(flight(filled=(0, 1)), LegReason.CLOSED, place=0, side=Side.SELL)
    assert sides(step(one)) == {(2, Side.BUY)}
    dear = [replace(leg, asks=[(9_990, 100 * UNIT)]) for leg in legs()]
    assert step(one, standing=dear).step is Step.KEEP, "the other one alone sells for less"


@pytest.mark.parametrize("reason", sorted(set(LegReason) - FINAL - {LegReason.CLOSED}))
def test_a_sale_that_was_refused_for_what_passes_is_tried_again(reason):
    """Shares that were bought a moment ago may not be there yet for the venue."""
    dear = [replace(leg, asks=[(9_990, 100 * UNIT)]) for leg in legs()]
    one = refused(flight(), reason, place=0, side=Side.SELL)
    assert sides(step(one, standing=dear)) == SOLD_AGAIN


@pytest.mark.parametrize("status", [FillStatus.MATCHED, FillStatus.MINED, FillStatus.CONFIRMED])
def test_a_sale_that_the_venue_has_no_shares_for_waits_for_the_chain_however_long(status):
    known = ledger(filled=(1,))
    known.apply(Fill("t0", "0x10", token(0), Side.BUY, PRICES_E4[0], UNIT, 0, status))
    one = refused(flight(), LegReason.BALANCE, place=0, side=Side.SELL)
    dear = [replace(leg, asks=[(9_990, 100 * UNIT)]) for leg in legs()]
    waits = Step.SEND if status is FillStatus.CONFIRMED else Step.AWAIT_CHAIN
    assert step(one, known, dear).step is waits
    one.naked_ms -= 10**9
    assert step(one, known, dear).step is (Step.KEEP if waits is Step.SEND else waits)
    one.repairs[-1].legs[0].reason = LegReason.TICK
    assert step(one, known, dear, since_ms=NOW_MS).step is Step.SEND


def test_after_each_refusal_the_next_attempt_waits_twice_as_long():
    one = flight()
    for count in range(1, 4):
        refused(one, LegReason.TICK, number=count + 1).repairs[-1].last_ms = NOW_MS
        pause_ms = REFUSED_PAUSE_MS * 2 ** (count - 1)
        assert step(one, now_ms=NOW_MS + pause_ms - 1, since_ms=NOW_MS).step is Step.WAIT
        assert step(one, now_ms=NOW_MS + pause_ms, since_ms=NOW_MS).step is Step.SEND
    in_time = [n for n in range(REPAIRS_MAX) if REFUSED_PAUSE_MS * (2**n - 1) <= BUDGET.naked_ms]
    assert len(in_time) + 1 < RiskSettings().max_refusals, "with the leg that began it"


def test_a_closed_market_does_not_hide_that_nothing_better_is_left():
    bare = [replace(leg, bids=()) for leg in legs()]
    assert step(refused(flight(), LegReason.CLOSED), standing=bare).step is Step.KEEP


prices = st.integers(1, 9_999)
levels = st.lists(st.tuples(prices, st.integers(1, 100).map(lambda n: n * UNIT)), max_size=3)
filled = st.sets(st.sampled_from(range(3)), min_size=1, max_size=2)


asked = st.fixed_dictionaries({
    "age_ms": st.integers(0, 10_000), "cost": st.integers(0, 10**8),
    "repairs": st.integers(0, REPAIRS_MAX + 1),
})  # fmt: skip


@given(filled, st.lists(st.tuples(levels, levels), min_size=3, max_size=3), asked)
def test_every_situation_has_one_step_and_it_ends(held, books, asked):
    one, known = flight(filled=held), ledger(filled=held)
    one.naked_ms = NOW_MS - asked["age_ms"]
    one.repairs = [flight(filled=(), number=n + 2) for n in range(asked["repairs"])]
    standing = [
        replace(leg, asks=sorted(asks), bids=sorted(bids, reverse=True))
        for leg, (asks, bids) in zip(legs(filled=held), books, strict=True)
    ]
    found = step(one, known, standing, cash_usd_e6=asked["cost"])
    assert (found.plan is not None) is (found.step is Step.SEND)
    if asked["age_ms"] > BUDGET.naked_ms or asked["repairs"] >= REPAIRS_MAX:
        assert found.step is Step.KEEP
    if found.step is Step.SEND:
        assert found.plan.cost_usd_e6 <= asked["cost"]
        assert found.plan.worst_usd_e6 > found.plan.hold_usd_e6
        for order in found.plan.orders:
            if order.side is Side.SELL:
                assert order.size_e6 <= standing[order.leg].held_e6
