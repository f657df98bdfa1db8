"""Calendar: noon in New York over daylight saving, month ends and year ends."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from desk.calendar import coming_expiries, event_slugs

NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_todays_noon_counts_until_it_has_passed():
    before = coming_expiries(at("2026-11-23T16:59:59Z"), 1)[0]
    after = coming_expiries(at("2026-11-23T17:00:00Z"), 1)[0]
    assert before.at == at("2026-11-23T17:00:00Z")  # winter: noon is 17:00 UTC
    assert after.at == at("2026-11-24T17:00:00Z")
    assert coming_expiries(at("2026-07-01T00:00:00Z"), 1)[0].at == at("2026-07-01T16:00:00Z")


def test_slugs_carry_the_new_york_date_and_the_year():
    expiry = coming_expiries(at("2026-12-31T23:00:00Z"), 1)[0]
    assert event_slugs("BTC", expiry) == (
        "bitcoin-above-on-january-1-2027",
        "bitcoin-price-on-january-1-2027",
    )


@given(st.integers(1_767_225_600, 1_830_297_600).map(lambda s: datetime.fromtimestamp(s, UTC)))
def test_expiries_are_consecutive_noons_after_now(now):
    expiries = coming_expiries(now, 4)
    assert expiries[0].at > now
    assert expiries[0].at - now <= timedelta(hours=25)
    for expiry in expiries:
        local = expiry.at.astimezone(NEW_YORK)
        assert (local.hour, local.minute, local.day) == (12, 0, expiry.day)
    for one, other in pairwise(expiries):
        assert timedelta(hours=23) <= other.at - one.at <= timedelta(hours=25)
