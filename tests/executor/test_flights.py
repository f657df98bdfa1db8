"""Flights: tables without dead ends, every triple of leg outcomes, ends that are opened again."""

from itertools import product

import pytest

from executor.flights import (
    NEXT_FLIGHT,
    NEXT_LEG,
    Flight,
    LegOrder,
    awaited,
    positions_e6,
    settle,
    tally,
)
from executor.ledger import Fill, Ledger
from shm.codes import (
    BasketKind,
    FillStatus,
    FlightState,
    LegReason,
    LegState,
    Outcome,
    PartialReason,
    Purpose,
    Side,
)

SIZE_E6 = 20_000_000
PRICES_E4 = (5_000, 7_000, 6_000)
NOW_MS = 1_000


def flight(state: FlightState = FlightState.SENT) -> Flight:
    legs = [
        LegOrder(row, Outcome.YES, Side.BUY, price, SIZE_E6, f"0x{row + 1:064x}", f"{row}")
        for row, price in enumerate(PRICES_E4)
    ]
    for leg in legs:
        leg.state = LegState.SENT
    return Flight(
        3, 77, Purpose.BASKET, 88, BasketKind.TRIANGLE_BUY, 1, 0, 20_000, SIZE_E6, 50_000_000,
        10**6, 1, legs, state=state,
    )  # fmt: skip


def repair(parent: Flight, wanted: list[tuple[int, Side]], number: int = 50) -> Flight:
    """A repair that has been sent."""
    legs = [
        LegOrder(i, Outcome.YES, side, 5_000, SIZE_E6, f"0x{number + i:064x}", f"{i}")
        for i, side in wanted
    ]
    for leg in legs:
        leg.state = LegState.SENT
    one = Flight(
        number, 0, Purpose.REPAIR, 88, parent.kind, 1, parent.id, 20_000, SIZE_E6, 0, 0, 2, legs,
        state=FlightState.SENT,
    )  # fmt: skip
    parent.repairs.append(one)
    return one


def fill(leg: LegOrder, size_e6: int = SIZE_E6, trade: str = "t") -> Fill:
    return Fill(trade + leg.order_hash, leg.order_hash, leg.token, leg.side, leg.price_e4,
                size_e6, 1_000)  # fmt: skip


def settled(one: Flight, ledger: Ledger) -> FlightState:
    settle(one, ledger, NOW_MS)
    return one.state


def test_the_tables_name_every_state():
    assert set(NEXT_LEG) == set(LegState) - {LegState.NONE}
    assert set(NEXT_FLIGHT) == set(FlightState) - {FlightState.NONE}
    for table in (NEXT_LEG, NEXT_FLIGHT):
        for after in table.values():
            assert after <= set(table)


def test_an_order_that_is_over_can_only_turn_out_to_have_filled():
    over = {LegState.KILLED, LegState.REFUSED, LegState.NEVER_LANDED}
    assert {after for state in over for after in NEXT_LEG[state]} == {LegState.FILLED}
    assert NEXT_LEG[LegState.FILLED] == frozenset()


def test_a_step_that_the_table_does_not_have_is_a_defect():
    one = flight()
    one.legs[0].move(LegState.FILLED)
    with pytest.raises(AssertionError, match="FILLED -> REFUSED"):
        one.legs[0].move(LegState.REFUSED)
    with pytest.raises(AssertionError, match="SENT -> INTENT"):
        one.move(FlightState.INTENT)


ENDS = [LegState.FILLED, LegState.KILLED, LegState.REFUSED]


@pytest.mark.parametrize("fills_first", [True, False])
@pytest.mark.parametrize("ends", list(product(ENDS, repeat=3)))
def test_every_triple_of_outcomes_in_both_orders_of_arrival(ends, fills_first):
    one, ledger = flight(), Ledger()
    filled = [leg for leg, end in zip(one.legs, ends, strict=True) if end is LegState.FILLED]
    if fills_first:
        for leg in filled:
            ledger.apply(fill(leg))
            assert settled(one, ledger) is FlightState.SENT  # the replies are on their way
    for leg, end in zip(one.legs, ends, strict=True):
        leg.move(end)
    if filled and not fills_first:
        assert settled(one, ledger) is FlightState.SENT
        assert awaited(one, ledger) == filled
        for leg in filled:
            ledger.apply(fill(leg))
    state = settled(one, ledger)
    sums = tally(one, ledger)
    assert sums.legs_filled == len(filled)
    cost = sum(leg.price_e4 * SIZE_E6 // 10_000 for leg in filled)
    assert (sums.cost_usd_e6, sums.fee_usd_e6) == (cost, 1_000 * len(filled))
    if len(filled) == 3:
        assert state is FlightState.COMPLETE
        assert sums.locked_profit_usd_e6 == 40_000_000 - cost - 3_000
    elif filled:
        assert state is FlightState.NAKED
        assert one.reason in {PartialReason.KILLED, PartialReason.REFUSED}
        one.held = True
        assert settled(one, ledger) is FlightState.PARTIAL
        assert tally(one, ledger).orphan_cost_usd_e6 == cost + 1_000 * len(filled)
    else:
        assert state is FlightState.MISSED
    assert one.open is (one.state is FlightState.NAKED)


def with_sale(place: int) -> Flight:
    """The same basket with one leg sold from inventory: the opposite token, one less the price."""
    one = flight()
    for leg in one.legs:
        leg.other = f"{leg.token} opposite"
    sold = one.legs[place]
    one.legs[place] = LegOrder(
        sold.row, Outcome.NO, Side.SELL, 10_000 - sold.price_e4, SIZE_E6, sold.order_hash,
        sold.other, state=LegState.SENT, other=sold.token,
    )  # fmt: skip
    return one


def lived(one: Flight, ends, *, fills_first: bool) -> Ledger:
    """Its replies and fills, in one of the two orders of arrival."""
    ledger = Ledger()
    filled = [leg for leg, end in zip(one.legs, ends, strict=True) if end is LegState.FILLED]
    for is_fills in (True, False) if fills_first else (False, True):
        if is_fills:
            for leg in filled:
                ledger.apply(fill(leg))
        else:
            for leg, end in zip(one.legs, ends, strict=True):
                leg.move(end)
        settle(one, ledger, NOW_MS)
    return ledger


@pytest.mark.parametrize("fills_first", [True, False])
@pytest.mark.parametrize("sold", range(3))
@pytest.mark.parametrize("ends", list(product(ENDS, repeat=3)))
def test_every_triple_of_outcomes_with_a_leg_that_is_sold_is_judged_as_if_it_were_bought(
    ends, sold, fills_first
):
    twin, one = flight(), with_sale(sold)
    theirs, ours = (lived(it, ends, fills_first=fills_first) for it in (twin, one))
    assert (one.state, one.reason) == (twin.state, twin.reason)
    assert positions_e6(one, ours) == positions_e6(twin, theirs)
    assert tally(one, ours) == tally(twin, theirs)
    one.held = twin.held = True
    assert settled(one, ours) is settled(twin, theirs)
    assert tally(one, ours) == tally(twin, theirs)
    # In cash, it is a dollar a share that the pair would have paid at the end.
    got = SIZE_E6 if ends[sold] is LegState.FILLED else 0
    assert ours.cash_usd_e6 == theirs.cash_usd_e6 + got
    holding = ours.holdings.get(one.legs[sold].token)
    assert (holding.size_e6 if holding else 0) == -got  # out of what was there before


REPAIRS = [("0", Side.BUY), ("0", Side.SELL), ("0 opposite", Side.BUY), ("0 opposite", Side.SELL)]


@pytest.mark.parametrize("first_is_sold", [True, False])
@pytest.mark.parametrize(("token", "side"), REPAIRS)
def test_a_repair_moves_a_leg_by_either_token_of_its_market(first_is_sold, token, side):
    """Buying the token or selling its opposite is a unit more; the other two are one less."""
    one = with_sale(0) if first_is_sold else with_sale(1)
    ledger = lived(one, [LegState.FILLED, LegState.FILLED, LegState.KILLED], fills_first=True)
    before, cost = positions_e6(one, ledger), tally(one, ledger).cost_usd_e6
    order = LegOrder(0, Outcome.YES, side, 5_000, SIZE_E6, "0xaa", token)
    order.state = LegState.FILLED
    second = repair(one, [])
    second.legs.append(order)
    ledger.apply(fill(order))
    more = (token == "0") is (side is Side.BUY)
    assert positions_e6(one, ledger) == [before[0] + (SIZE_E6 if more else -SIZE_E6), *before[1:]]
    assert tally(one, ledger).cost_usd_e6 == cost + (SIZE_E6 // 2 if more else -SIZE_E6 // 2)


def naked() -> tuple[Flight, Ledger]:
    """Two legs filled, one killed."""
    one, ledger = flight(), Ledger()
    ends = [LegState.FILLED, LegState.FILLED, LegState.KILLED]
    for leg, end in zip(one.legs, ends, strict=True):
        leg.move(end)
        if end is LegState.FILLED:
            ledger.apply(fill(leg))
    assert settled(one, ledger) is FlightState.NAKED
    return one, ledger


def test_a_repair_that_buys_what_is_missing_completes_the_basket():
    one, ledger = naked()
    second = repair(one, [(2, Side.BUY)])
    second.legs[0].move(LegState.FILLED)
    ledger.apply(fill(second.legs[0]))
    settled(second, ledger)
    assert settled(one, ledger) is FlightState.COMPLETE
    assert tally(one, ledger).legs_filled == 3


def test_a_repair_that_sells_what_was_bought_unwinds_it():
    one, ledger = naked()
    second = repair(one, [(0, Side.SELL), (1, Side.SELL)])
    for leg in second.legs:
        leg.move(LegState.FILLED)
        ledger.apply(fill(leg))
    settled(second, ledger)
    assert settled(one, ledger) is FlightState.UNWOUND
    sums = tally(one, ledger)
    assert sums.legs_filled == 0
    assert sums.locked_profit_usd_e6 == 20_000_000 - (10_000_000 + 14_000_000) - 4_000


def test_a_trade_that_fails_on_chain_opens_a_complete_basket_again():
    one, ledger = flight(), Ledger()
    for leg in one.legs:
        leg.move(LegState.FILLED)
        ledger.apply(fill(leg))
    assert settled(one, ledger) is FlightState.COMPLETE
    first = one.legs[0]
    lost = Fill("t" + first.order_hash, first.order_hash, first.token, first.side, first.price_e4,
                SIZE_E6, 1_000, FillStatus.FAILED)  # fmt: skip
    ledger.apply(lost)
    assert settled(one, ledger) is FlightState.NAKED
    assert one.reason is PartialReason.VOIDED
    assert awaited(one, ledger) == []


def test_a_doubt_is_resolved_by_a_fill_that_appears():
    one, ledger = flight(), Ledger()
    for leg in one.legs:
        leg.move(LegState.DOUBT, LegReason.TIMEOUT)
    assert settled(one, ledger) is FlightState.RESOLVING
    for leg in one.legs:
        ledger.apply(fill(leg))
    assert settled(one, ledger) is FlightState.COMPLETE


def test_an_order_that_was_given_up_and_fills_after_all_is_counted():
    one, ledger = flight(), Ledger()
    for leg in one.legs:
        leg.move(LegState.DOUBT)
        leg.move(LegState.NEVER_LANDED)
    one.move(FlightState.RESOLVING)
    assert settled(one, ledger) is FlightState.MISSED
    ledger.apply(fill(one.legs[1]))
    assert settled(one, ledger) is FlightState.NAKED
    assert one.legs[1].state is LegState.FILLED


def test_a_doubt_without_a_trace_ends_as_never_landed_and_leaves_the_others_alone():
    one, ledger = flight(), Ledger()
    ledger.apply(fill(one.legs[0]))
    for leg, state in zip(one.legs, [LegState.FILLED, LegState.DOUBT, LegState.DOUBT], strict=True):
        leg.move(state)
    assert settled(one, ledger) is FlightState.RESOLVING
    for leg in one.legs[1:]:
        leg.move(LegState.NEVER_LANDED)
    assert settled(one, ledger) is FlightState.NAKED
    assert one.reason is PartialReason.DOUBT


def test_fills_in_pieces_count_when_they_are_all_there():
    one, ledger = flight(), Ledger()
    for leg in one.legs:
        leg.move(LegState.FILLED)
        ledger.apply(fill(leg, SIZE_E6 // 2, "a"))
    assert settled(one, ledger) is FlightState.SENT
    for leg in one.legs:
        ledger.apply(fill(leg, SIZE_E6 // 2, "b"))
    assert settled(one, ledger) is FlightState.COMPLETE
