"""Showing: a record is the flight, a row is never shared by two that are open."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.showing import Picture, row_of
from shm.codes import FillStatus, FlightState, LegState
from shm.layout import FLIGHT
from shm.segments import FLIGHTS_MAX
from tests.executor.stand import Stand
from tests.executor.written import SIZE_E6

F, K = LegState.FILLED, LegState.KILLED


@pytest.fixture
def stand(segments, tmp_path):
    made = Stand(segments, tmp_path)
    made.written.begin()
    return made


def test_a_row_is_its_flight_leg_by_leg(stand):
    flight = stand.written.launch(signal=4)
    stand.written.reply(flight, F, K, F)
    stand.written.fill(flight, 0)
    stand.written.fill(flight, 2, FillStatus.MATCHED)
    row = row_of(flight, stand.state)
    assert (row.signal, row.state, row.leg_count) == (4, FlightState.NAKED, 3)
    assert row.leg_state[:3] == (F, K, F)
    assert row.leg_filled_e6[:3] == (SIZE_E6, 0, SIZE_E6)
    assert row.leg_cost_usd_e6[:3] == (6_000_000, 0, 5_900_000)
    hashes = b"".join(bytes.fromhex(leg.order_hash[2:]) for leg in flight.legs)
    assert row.leg_hash.rstrip(b"\0") == hashes.rstrip(b"\0")
    assert FLIGHT.unpack(FLIGHT.pack(row)) == row


@given(st.lists(st.booleans(), min_size=1, max_size=60))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_two_open_flights_share_a_row_and_a_flight_keeps_its_own(stand, ends):
    picture = Picture(stand.fabric)
    places = {}
    for end in ends:
        flight = stand.written.launch(signal=len(stand.state.flights) + 1)
        picture.draw_flights([flight], stand.state)
        places[flight.id] = picture._places[flight.id]
        if end:
            stand.written.reply(flight, K, K, K)
            picture.draw_flights([flight], stand.state)
        assert picture._places[flight.id] == places[flight.id]
    still = [places[f.id] for f in stand.state.open_flights if f.id in places]
    assert len(still) == len(set(still))


def test_rows_are_used_again_and_nothing_is_remembered_of_their_former_tenants(stand):
    picture = Picture(stand.fabric)
    for number in range(1, FLIGHTS_MAX + 50):
        flight = stand.written.launch(signal=number)
        stand.written.reply(flight, K, K, K)
        picture.draw_flights([flight], stand.state)
    assert len(picture._places) == len(picture._tenants) == FLIGHTS_MAX
    assert stand.fabric.read_table("flights", FLIGHT).read(0).signal == FLIGHTS_MAX + 1
