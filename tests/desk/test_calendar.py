"""Calendar: New York's clock over daylight saving, month and year ends; the names of events."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.calendar import (
    Expiry,
    Horizon,
    When,
    coming_expiries,
    coming_hours,
    event_slugs,
    on_new_yorks_clock,
)

NEW_YORK = ZoneInfo("America/New_York")
ANY_TIME = st.integers(1_767_225_600, 1_830_297_600).map(lambda s: datetime.fromtimestamp(s, UTC))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_todays_noon_counts_until_it_has_passed():
    before = coming_expiries(at("2026-11-23T16:59:59Z"), 1)[0]
    after = coming_expiries(at("2026-11-23T17:00:00Z"), 1)[0]
    assert before.at == at("2026-11-23T17:00:00Z")
    assert after.at == at("2026-11-24T17:00:00Z")


def test_d07_noon_in_new_york_is_an_hour_earlier_in_utc_in_summer():
    """The old system took 17:00 UTC all the year round."""
    for day, hour in (
        ("2026-07-01", 16),
        ("2026-12-01", 17),
        ("2027-03-13", 17),  # the day before the clock goes forward
        ("2027-03-14", 16),
        ("2027-11-06", 16),  # the day before it goes back
        ("2027-11-07", 17),
    ):
        expiry = coming_expiries(at(f"{day}T05:00:00Z"), 1)[0]
        assert expiry.at == at(f"{day}T{hour}:00:00Z"), day
        assert event_slugs("BTC", expiry)[0].endswith(f"-{int(day[-2:])}-{day[:4]}")


def test_names_carry_the_new_york_date_with_and_without_the_year():
    expiry = coming_expiries(at("2026-12-31T23:00:00Z"), 1)[0]
    assert event_slugs("BTC", expiry) == (
        "bitcoin-above-on-january-1-2027",
        "bitcoin-price-on-january-1-2027",
        "bitcoin-above-on-january-1",
        "bitcoin-price-on-january-1",
    )


def test_hourly_names_carry_the_hour_of_new_york():
    three_pm = Expiry(at("2026-04-05T19:00:00Z"), Horizon.HOURLY)
    assert event_slugs("BTC", three_pm) == (
        "bitcoin-above-on-april-5-2026-3pm-et",
        "bitcoin-price-on-april-5-2026-3pm-et",
        "bitcoin-above-on-april-5-3pm-et",
        "bitcoin-price-on-april-5-3pm-et",
        "bitcoin-price-april-5-2026-3pm-et",
        "bitcoin-price-april-5-3pm-et",
    )
    midnight = Expiry(at("2026-04-06T04:00:00Z"), Horizon.HOURLY)
    assert event_slugs("ETH", midnight)[0] == "ethereum-above-on-april-6-2026-12am-et"
    noon = Expiry(at("2026-04-06T16:00:00Z"), Horizon.HOURLY)
    assert event_slugs("ETH", noon)[0] == "ethereum-above-on-april-6-2026-12pm-et"


def test_the_hours_around_a_change_of_the_clock_are_the_ones_that_exist():
    forward = [e.local.hour for e in coming_hours(at("2027-03-14T05:30:00Z"), 4)]
    assert forward == [1, 3, 4, 5]  # no two o'clock
    back = coming_hours(at("2027-11-07T04:30:00Z"), 4)
    assert [e.local.hour for e in back] == [1, 1, 2, 3]
    # The two one o'clocks have one name: only the end says which is meant.
    assert event_slugs("BTC", back[0]) == event_slugs("BTC", back[1])
    assert back[0] != back[1]


@given(ANY_TIME)
def test_expiries_are_consecutive_noons_after_now(now):
    expiries = coming_expiries(now, 4)
    assert expiries[0].at > now
    assert expiries[0].at - now <= timedelta(hours=25)
    for expiry in expiries:
        local = expiry.at.astimezone(NEW_YORK)
        assert (local.hour, local.minute) == (12, 0)
        assert expiry.is_regular
    for one, other in pairwise(expiries):
        assert timedelta(hours=23) <= other.at - one.at <= timedelta(hours=25)


@given(ANY_TIME)
def test_hours_end_one_after_the_other(now):
    hours = coming_hours(now, 3)
    assert timedelta(0) < hours[0].at - now <= timedelta(hours=1)
    assert all(other.at - one.at == timedelta(hours=1) for one, other in pairwise(hours))
    assert all(one.is_regular for one in hours)


@pytest.mark.parametrize(
    ("when", "agrees"),
    [
        (When(11, 24), True),
        (When(11, 24, 2026), True),
        (When(11, 24, 2025), False),
        (When(11, 23), False),
        (When(12, 24), False),
        (When(11, 24, None, 12), False),  # that is the hourly ladder which ends at noon
    ],
)
def test_a_date_in_a_text_must_be_the_expirys_own(when, agrees):
    assert Expiry(at("2026-11-24T17:00:00Z")).agrees_with(when) is agrees


def test_an_hourly_expiry_needs_its_hour():
    noon = Expiry(at("2026-11-24T17:00:00Z"), Horizon.HOURLY)
    assert noon.agrees_with(When(11, 24, None, 12))
    assert not noon.agrees_with(When(11, 24))
    assert not noon.agrees_with(When(11, 24, None, 0))


def test_ends_at_odd_times_are_no_ladders():
    assert not Expiry(at("2026-11-24T16:00:00Z")).is_regular
    assert not Expiry(at("2026-11-24T17:00:01Z")).is_regular
    assert not Expiry(at("2026-11-24T16:30:00Z"), Horizon.HOURLY).is_regular


def test_people_read_new_yorks_clock():
    assert on_new_yorks_clock(1_795_539_600_000) == "Tue Nov 24 2026, 12:00 New York"
