"""Onlookers: the counters sum up, every basket is reported, also across a restart."""

import pytest

from executor.onlookers import Onlookers
from executor.reporting import Reports
from shm.codes import FillStatus, FlightState, LegState, Mode, ReportKind
from shm.layout import ACCOUNT, FLIGHT, POSITION
from shm.segments import FLIGHTS_MAX
from tests.executor.stand import Stand
from tests.executor.written import CASH_USD_E6, MARKETS, SIZE_E6

F, K, R, D = LegState.FILLED, LegState.KILLED, LegState.REFUSED, LegState.DOUBT


@pytest.fixture
def stand(segments, tmp_path):
    made = Stand(segments, tmp_path)
    made.onlookers.begin(made.state)
    made.written.begin()
    made.publish()
    made.onlookers.know(made.around.adopt())
    return made


def basket(stand, signal: int, *states: LegState):
    """A basket that is answered and whose fills come in."""
    flight = stand.written.launch(signal=signal)
    stand.written.reply(flight, *states)
    for place, state in enumerate(states):
        if state is F:
            stand.written.fill(flight, place)
    return flight


def test_the_counters_sum_up(stand):
    basket(stand, 1, F, F, F)
    basket(stand, 2, K, K, K)
    basket(stand, 3, R, R, R)
    kept = [basket(stand, 4, F, K, K), basket(stand, 5, F, F, K)]
    assert [one.state for one in kept] == [FlightState.NAKED] * 2
    assert stand.counted("baskets_partial") == 0  # it is being repaired
    for flight in kept:
        stand.written.keep(flight)
    counts = [stand.counted(f"baskets_{end}") for end in ("complete", "partial", "missed")]
    assert counts == [1, 2, 2]
    assert sum(counts) == 5
    assert stand.counted("partial_killed") == 2
    assert stand.counted("orders_filled") == 3 + 1 + 2


def test_an_end_that_a_basket_comes_to_again_is_counted_once(stand):
    flight = stand.written.launch(signal=1)
    stand.written.reply(flight, F, F, F)
    for place in range(3):
        stand.written.fill(flight, place, FillStatus.MATCHED)
    assert flight.state is FlightState.COMPLETE
    stand.written.fill(flight, 0, FillStatus.FAILED)
    assert flight.state is FlightState.NAKED
    stand.onlookers.begin(stand.state)  # another process, in between
    stand.written.keep(flight)
    assert flight.state is FlightState.PARTIAL
    stand.written.fill(flight, 0, FillStatus.CONFIRMED)  # it did not fail after all
    assert flight.state is FlightState.COMPLETE
    stand.onlookers.begin(stand.state)
    other = stand.written.launch(signal=2)
    stand.written.reply(other, F, F, F)
    for place in range(3):
        stand.written.fill(other, place, FillStatus.MATCHED)
    before = stand.counted("baskets_complete"), stand.counted("orders_filled")
    stand.written.fill(other, 1, FillStatus.FAILED)
    stand.written.fill(other, 1, FillStatus.CONFIRMED)
    assert other.state is FlightState.COMPLETE
    assert (stand.counted("baskets_complete"), stand.counted("orders_filled")) == before


def test_the_engine_hears_of_each_basket_and_of_what_is_naked_before_its_repair(stand):
    basket(stand, 1, F, F, F)
    naked = basket(stand, 2, F, F, K)
    assert [(r.signal, r.kind) for r in stand.heard()] == [
        (1, ReportKind.COMPLETE), (2, ReportKind.PARTIAL),
    ]  # fmt: skip
    stand.written.keep(naked)
    assert [(r.signal, r.kind) for r in stand.heard()] == [(2, ReportKind.PARTIAL)]


def test_a_basket_in_doubt_is_nobodys_business_until_it_is_decided(stand):
    flight = basket(stand, 1, D, F, F)
    assert flight.open
    assert stand.heard() == []
    stand.written.fill(flight, 0)
    assert [r.kind for r in stand.heard()] == [ReportKind.COMPLETE]


def restarted(stand, *, same_system: bool) -> None:
    """As executor/executor.py does it: who looks on knows the state before anything counts."""
    stand.written.reopen()
    stand.reports = Reports(stand.fabric, stand.counters)
    stand.onlookers = Onlookers(stand.stage, stand.counters, stand.reports)
    stand.written.chronicle._on_turn = stand.onlookers.turned
    if not same_system:
        stand.onlookers.earlier(stand.state.open_flights)
    stand.onlookers.begin(stand.state)
    stand.written.begin()


@pytest.mark.parametrize("same_system", [True, False])
def test_a_basket_that_ends_by_what_a_restarted_process_finds_is_counted_once(stand, same_system):
    flight = stand.written.launch(signal=5)
    restarted(stand, same_system=same_system)
    for place in range(3):
        stand.written.fill(stand.state.flights[flight.id], place)
    assert stand.state.flights[flight.id].state is FlightState.COMPLETE
    assert stand.counted("baskets_complete") == 1
    told = [(r.signal, r.kind) for r in stand.heard()]
    # The signals of an engine that is gone have numbers that mean other baskets now.
    assert told == ([(5, ReportKind.COMPLETE)] if same_system else [])


def test_what_was_over_before_a_restart_is_not_counted_again(stand):
    basket(stand, 1, F, F, F)
    stand.heard()
    restarted(stand, same_system=True)
    assert stand.counted("baskets_complete") == 1
    assert stand.heard() == []


# --- the picture --------------------------------------------------------------------------------


def show(stand) -> None:
    stand.onlookers.show(stand.written.chronicle, stand.around, now=True)


def rows(stand) -> list:
    table = stand.fabric.read_table("flights", FLIGHT)
    found = [table.read(place) for place in range(FLIGHTS_MAX)]
    return [row for row in found if row is not None and row.leg_count]


def test_the_picture_is_the_state(stand):
    flight = basket(stand, 9, F, F, K)
    show(stand)
    account = stand.fabric.read_table("positions.account", ACCOUNT).read(0)
    state = stand.state
    assert account.cash_usd_e6 == state.ledger.cash_usd_e6 == CASH_USD_E6 - 12_900_000
    assert account.naked_usd_e6 == state.exposure().naked_usd_e6
    assert (account.mode, account.journal_seq) == (Mode.ARMED, stand.written.chronicle.seq)
    assert account.fills == 2
    (row,) = rows(stand)
    assert (row.signal, row.state, row.leg_count) == (9, FlightState.NAKED, 3)
    assert row.leg_filled_e6[:3] == (SIZE_E6, SIZE_E6, 0)
    position = stand.fabric.read_table("positions", POSITION).read(MARKETS[0].row)
    assert position.market_key == MARKETS[0].key
    stand.written.keep(flight)
    show(stand)
    (row,) = rows(stand)
    assert row.state == FlightState.PARTIAL


def test_a_position_that_is_gone_is_drawn_as_gone(stand):
    flight = stand.written.launch()
    stand.written.reply(flight, F, K, K)
    stand.written.fill(flight, 0, FillStatus.MATCHED)
    show(stand)
    table = stand.fabric.read_table("positions", POSITION)
    assert (table.read(0).yes_e6, table.read(0).yes_cost_usd_e6) == (SIZE_E6, 6_000_000)
    stand.written.fill(flight, 0, FillStatus.FAILED)
    show(stand)
    assert (table.read(0).yes_e6, table.read(0).yes_cost_usd_e6) == (0, 0)


def test_an_open_flight_never_loses_its_row_to_later_ones(stand):
    first = stand.written.launch(signal=1)
    for number in range(2, FLIGHTS_MAX + 20):
        basket(stand, number, K, K, K)
        if number % 50 == 0:
            show(stand)
    show(stand)
    found = [row.signal for row in rows(stand)]
    assert found.count(1) == 1
    assert len(found) == len(set(found))
    assert first.open


def test_nobody_remembers_turns_that_were_shown(stand):
    for number in range(1, 40):
        basket(stand, number, K, K, K)
    show(stand)
    assert stand.onlookers._turned == []
