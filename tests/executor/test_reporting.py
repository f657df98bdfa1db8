"""Reporting: nothing is dropped and nothing overtakes, whatever the engine does."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.flights import tally
from executor.reporting import KIND_OF_END, column
from shm.codes import FlightState, LegState, Refusal, ReportKind
from shm.layout import MAX_LEGS
from tests.executor.stand import Stand
from tests.executor.test_gate import signal

ROOM = 1_024


@pytest.fixture
def stand(segments, tmp_path):
    return Stand(segments, tmp_path)


def refuse(stand, number: int) -> None:
    stand.reports.refused(signal()._replace(signal=number), Refusal.STALE)


def test_a_full_ring_keeps_what_does_not_fit_in_order(stand):
    count = ROOM + 100
    for number in range(count):
        refuse(stand, number)
    assert stand.reports.waiting
    heard = stand.heard()
    assert len(heard) == ROOM
    refuse(stand, count)  # must not overtake those that wait
    heard += stand.heard()
    stand.reports.flush()
    heard += stand.heard()
    assert [report.signal for report in heard] == list(range(count + 1))
    assert not stand.reports.waiting
    assert stand.counted("refused_stale") == count + 1
    assert stand.counted("reports_waited") >= 100


@given(st.lists(st.integers(1, 700), max_size=8))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_engine_takes_in_between_the_order_stands(stand, bursts):
    stand.heard()
    number, heard = 0, []
    for burst in bursts:
        for _ in range(burst):
            refuse(stand, number)
            number += 1
        for _ in range(burst // 3):
            report = stand.engine.pop()
            if report is not None:
                heard.append(report.signal)
    while stand.reports.waiting:
        heard += [report.signal for report in stand.heard()]
        stand.reports.flush()
    heard += [report.signal for report in stand.heard()]
    assert heard == list(range(number))


def test_a_refusal_and_a_sending_say_which_signal(stand):
    one = signal()
    stand.reports.refused(one, Refusal.EDGE)
    stand.reports.sent(one)
    first, second = stand.heard()
    assert (first.kind, first.reason, first.signal) == (ReportKind.REFUSED, Refusal.EDGE, 10)
    assert (second.kind, second.reason, second.basket) == (ReportKind.SENT, 0, one.basket)
    assert first.leg_market == second.leg_market == one.leg_market
    assert stand.counted("refused_edge") == 1


def test_an_end_says_what_it_came_to(stand):
    stand.written.begin()
    flight = stand.written.launch(signal=7)
    stand.written.complete(flight)
    stand.heard()
    stand.reports.ended(flight, tally(flight, stand.state.ledger))
    (report,) = stand.heard()
    assert (report.signal, report.kind, report.legs_filled) == (7, ReportKind.COMPLETE, 3)
    assert report.cost_usd_e6 == 6_000_000 + 6_900_000 + 5_900_000
    assert report.profit_usd_e6 == 20_000_000 - report.cost_usd_e6
    assert report.leg_state == column([LegState.FILLED] * 3)


def test_every_end_of_a_basket_has_a_word_for_the_engine():
    ends = set(FlightState) - {FlightState.NONE, FlightState.INTENT, FlightState.SENT,
                               FlightState.RESOLVING}  # fmt: skip
    assert set(KIND_OF_END) == ends


@pytest.mark.parametrize("count", [0, 1, MAX_LEGS])
def test_a_column_has_the_records_width(count):
    assert column(range(1, count + 1)) == (*range(1, count + 1), *[0] * (MAX_LEGS - count))
