"""Flights: tables without dead ends, every triple of leg outcomes, the way through a restart."""

from itertools import product

import pytest

from executor.flights import (
    LEG_OPEN,
    NEXT_FLIGHT,
    NEXT_LEG,
    Flight,
    LegOrder,
    awaited,
    from_row,
    settle,
    tally,
    to_row,
)
from executor.ledger import Fill, Ledger
from shm.codes import (
    BasketKind,
    FlightState,
    LegReason,
    LegState,
    Outcome,
    PartialReason,
    Side,
)
from shm.layout import FLIGHT

SIZE_E6 = 20_000_000
PRICES_E4 = (5_000, 7_000, 6_000)


def flight(state: FlightState = FlightState.SENT) -> Flight:
    legs = [
        LegOrder(row, Outcome.YES, Side.BUY, price, f"0x{row + 1:064x}", LegState.SENT)
        for row, price in enumerate(PRICES_E4)
    ]
    return Flight(3, 77, 88, BasketKind.TRIANGLE_BUY, 20_000, SIZE_E6, 50_000_000, 1, legs, state)


def fill(leg: LegOrder, size_e6: int = SIZE_E6, trade: str = "t") -> Fill:
    return Fill(trade + leg.order_hash, leg.order_hash, f"{leg.row}", Side.BUY, leg.price_e4,
                size_e6, 1_000, failed=False)  # fmt: skip


def test_the_tables_name_every_state_and_end_states_lead_nowhere():
    assert set(NEXT_LEG) == set(LegState) - {LegState.NONE}
    assert set(NEXT_FLIGHT) == set(FlightState) - {FlightState.NONE}
    assert {state for state, after in NEXT_LEG.items() if after} == LEG_OPEN
    for table in (NEXT_LEG, NEXT_FLIGHT):
        for after in table.values():
            assert after <= set(table)


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
    for leg, end in zip(one.legs, ends, strict=True):
        leg.move(end)
    finished = settle(one, ledger)
    if filled and not fills_first:
        assert not finished
        assert awaited(one, ledger) == filled
        for leg in filled:
            ledger.apply(fill(leg))
        finished = settle(one, ledger)
    assert finished
    sums = tally(one, ledger)
    assert sums.legs_filled == len(filled)
    cost = sum(leg.price_e4 * SIZE_E6 // 10_000 for leg in filled)
    assert (sums.cost_usd_e6, sums.fee_usd_e6) == (cost, 1_000 * len(filled))
    if len(filled) == 3:
        assert one.state is FlightState.COMPLETE
        assert sums.locked_profit_usd_e6 == 40_000_000 - cost - 3_000
        assert sums.orphan_cost_usd_e6 == 0
    elif filled:
        assert one.state is FlightState.PARTIAL
        assert one.reason in {PartialReason.KILLED, PartialReason.REFUSED}
        assert sums.orphan_cost_usd_e6 == cost + 1_000 * len(filled)
    else:
        assert one.state is FlightState.MISSED
        assert sums.orphan_cost_usd_e6 == 0


def test_a_doubt_is_resolved_by_a_fill_that_appears():
    one, ledger = flight(), Ledger()
    for leg in one.legs:
        leg.move(LegState.DOUBT, LegReason.TIMEOUT)
    assert not settle(one, ledger)
    assert one.state is FlightState.RESOLVING
    for leg in one.legs:
        ledger.apply(fill(leg))
    assert settle(one, ledger)
    assert one.state is FlightState.COMPLETE


def test_a_doubt_without_a_trace_ends_as_never_landed_and_makes_the_basket_partial():
    one, ledger = flight(), Ledger()
    ledger.apply(fill(one.legs[0]))
    for leg, state in zip(one.legs, [LegState.FILLED, LegState.DOUBT, LegState.DOUBT], strict=True):
        leg.move(state)
    settle(one, ledger)
    for leg in one.legs[1:]:
        leg.move(LegState.NEVER_LANDED)
    assert settle(one, ledger)
    assert (one.state, one.reason) == (FlightState.PARTIAL, PartialReason.DOUBT)


def test_fills_in_pieces_count_when_they_are_all_there():
    one, ledger = flight(), Ledger()
    for leg in one.legs:
        leg.move(LegState.FILLED)
        ledger.apply(fill(leg, SIZE_E6 // 2, "a"))
    assert not settle(one, ledger)
    for leg in one.legs:
        ledger.apply(fill(leg, SIZE_E6 // 2, "b"))
    assert settle(one, ledger)


def test_a_flight_survives_its_executor_with_its_orders_in_doubt():
    one, ledger = flight(FlightState.INTENT), Ledger()
    one.legs[0].state = LegState.INTENT
    one.legs[1].state = LegState.FILLED
    row = FLIGHT.unpack(FLIGHT.pack(to_row(one, ledger)))
    found = from_row(3, row)
    assert found.restarted
    assert found.state is FlightState.RESOLVING
    assert [leg.state for leg in found.legs] == [
        LegState.DOUBT, LegState.FILLED, LegState.DOUBT
    ]  # fmt: skip
    assert [leg.order_hash for leg in found.legs] == [leg.order_hash for leg in one.legs]
    assert (found.signal, found.size_e6, found.reserved_usd_e6) == (77, SIZE_E6, 50_000_000)
    ledger.apply(fill(found.legs[1]))
    for leg in (found.legs[0], found.legs[2]):
        leg.move(LegState.NEVER_LANDED)
    assert settle(found, ledger)
    assert (found.state, found.reason) == (FlightState.PARTIAL, PartialReason.RESTART)
