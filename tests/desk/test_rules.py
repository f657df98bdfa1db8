"""Rules: equal texts give equal numbers, every difference that matters a different one."""

from datetime import UTC, datetime

import pytest

from desk.calendar import Expiry, Horizon
from desk.rules import Reference, Rule, Ties, Unread, fingerprint, read_rule
from shm.codes import MarketKind
from tests.desk.venue import (
    ABOVE_TEXT,
    HOURLY_ABOVE_TEXT,
    HOURLY_RANGE_TEXT,
    RANGE_TEXT,
    words,
)

NOON = Expiry(datetime(2026, 11, 24, 17, tzinfo=UTC))
HOURLY_NOON = Expiry(NOON.at, Horizon.HOURLY)
ABOVE, RANGE = words(ABOVE_TEXT), words(RANGE_TEXT)


def read(text: str, kind: MarketKind = MarketKind.ABOVE, expiry: Expiry = NOON) -> Rule:
    rule = read_rule(text, kind, expiry)
    assert isinstance(rule, Rule), rule
    return rule


def test_the_venues_own_texts_are_read_and_both_families_have_one_rule():
    above, price = read(ABOVE), read(RANGE, MarketKind.RANGE)
    assert above == Rule(
        source="binance.com", pair="BTC/USDT", field="Close", candle="1 minute",
        reference=Reference.AT, time="12:00", zone="ET", ties=Ties.STRICT,
    )  # fmt: skip
    assert price.ties is Ties.HIGHER
    assert above.usual
    assert price.usual
    assert fingerprint(above, NOON) == fingerprint(price, NOON)


def test_hourly_families_have_one_rule_which_is_not_the_daily_one():
    above = read(words(HOURLY_ABOVE_TEXT), expiry=HOURLY_NOON)
    price = read(words(HOURLY_RANGE_TEXT), MarketKind.RANGE, HOURLY_NOON)
    assert (above.reference, above.time, above.candle) == (Reference.ENDS, "stated", "1 hour")
    assert fingerprint(above, HOURLY_NOON) == fingerprint(price, HOURLY_NOON)
    assert fingerprint(above, HOURLY_NOON) != fingerprint(read(ABOVE), NOON)


def test_closing_at_noon_is_the_candle_before_and_another_rule():
    """The wording that appeared on up-or-down markets in October 2026."""
    closing = read(words(RANGE_TEXT, candle="closing at 12:00"), MarketKind.RANGE)
    assert closing.reference is Reference.CLOSING
    assert fingerprint(closing, NOON) != fingerprint(read(ABOVE), NOON)
    assert closing.in_words() != read(RANGE, MarketKind.RANGE).in_words()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("www.binance.com", "www.binance.us"),
        ("BTC/USDT", "BTC/USDC"),
        ("1 minute candle", "5 minute candle"),
        ("\u201c1m\u201d", "\u201c5m\u201d"),
        ("\u201cClose\u201d", "\u201cOpen\u201d"),
        ("12:00 in the ET timezone", "opening at 12:00 in the ET timezone"),
        ("12:00 in the ET timezone", "closing at 12:00 in the ET timezone"),
        ("12:00 in the ET timezone", "17:00 in the UTC timezone"),
        ("12:00 in the ET timezone", "12:00 in the EST timezone"),
        ("12:00 in the ET timezone", "11:59 in the ET timezone"),
        ("higher than the price", "equal to or higher than the price"),
    ],
)
def test_every_difference_gives_another_rule_or_none(old, new):
    assert old in ABOVE
    changed = ABOVE.replace(old, new)
    if old == "1 minute candle":
        changed = changed.replace("\u201c1m\u201d", "\u201c5m\u201d")
    if old == "\u201cClose\u201d":
        changed = changed.replace('"Close"', '"Open"')
    rule = read_rule(changed, MarketKind.ABOVE, NOON)
    if isinstance(rule, Rule):
        assert fingerprint(rule, NOON) != fingerprint(read(ABOVE), NOON)


def test_another_time_of_another_zone_is_another_rule():
    rules = [
        read(ABOVE.replace("12:00 in the ET", f"{time} in the UTC")) for time in ("17:00", "16:59")
    ]
    assert fingerprint(rules[0], NOON) != fingerprint(rules[1], NOON)


def test_another_end_is_another_rule():
    later = Expiry(datetime(2026, 11, 25, 17, tzinfo=UTC))
    assert fingerprint(read(ABOVE), later) != fingerprint(read(ABOVE), NOON)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\u201cClose\u201d", '"Close"'),
        ('"Yes"', "\u201cYes\u201d"),
        ("1 minute candle", "1-minute candle"),
        ("BTC/USDT", "BTCUSDT"),
        ("12:00 in the ET timezone", "12:00 PM in the ET timezone"),
        ("\n\n", " "),
        ("\n\n", "\u00a0\n"),
        ("for BTC/USDT 12:00", "for BTC/USDT 24 Nov '26 12:00"),
        ("on the date specified", "on November 24, 2026, the date specified"),
    ],
)
def test_spelling_makes_no_difference(old, new):
    assert old in ABOVE
    changed = read(ABOVE.replace(old, new))
    assert fingerprint(changed, NOON) == fingerprint(read(ABOVE), NOON)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("https://www.binance.com", "somewhere", "one source"),
        ("selected", "selected, or https://www.coinbase.com/x", "one source is needed"),
        ("Otherwise", "Compare ETH/USDT. Otherwise", "one pair is needed"),
        ("BTC/USDT", "it", "one pair"),
        ("1 minute candle", "candle", "one candle"),
        ("Otherwise", "Not the 1 hour candle. Otherwise", "one candle is needed"),
        ("\u201c1m\u201d", "\u201c1h\u201d", "the button for 1 hour"),
        ("12:00 in the ET timezone", "noon", "one time"),
        ("Otherwise", "Not 13:00 ET. Otherwise", "one time is needed"),
        ("12:00 in the ET timezone", "16:00 in the ET timezone", "looks at 16:00 ET"),
        ("12:00 in the ET timezone", "12:00 AM in the ET timezone", "looks at 00:00 ET"),
        ("for BTC/USDT 12:00", "for BTC/USDT 25 Nov '26 12:00", "names 25 Nov '26"),
        ("for BTC/USDT 12:00", "for BTC/USDT Nov 24 '25 12:00", "names Nov 24 '25"),
        ("higher than the price", "beyond the price", "must be higher"),
    ],
)
def test_what_is_missing_or_said_in_two_ways_is_unread_with_the_reason(old, new, why):
    assert old in ABOVE
    rule = read_rule(ABOVE.replace(old, new), MarketKind.ABOVE, NOON)
    assert isinstance(rule, Unread)
    assert why in rule.in_words()


def test_no_text_is_no_rule():
    assert isinstance(read_rule("", MarketKind.ABOVE, NOON), Unread)
    assert isinstance(read_rule("By consensus.", MarketKind.RANGE, NOON), Unread)


def test_an_hourly_text_on_a_daily_ladder_has_no_time():
    rule = read_rule(words(HOURLY_ABOVE_TEXT), MarketKind.ABOVE, NOON)
    assert isinstance(rule, Unread)
    assert "left to the title" in rule.why


@pytest.mark.parametrize(
    ("kind", "text", "ties"),
    [
        (MarketKind.ABOVE, ABOVE.replace("higher than", "equal to or higher than"), Ties.INCLUSIVE),
        (MarketKind.ABOVE, ABOVE.replace("higher than", "greater than or equal to"),
         Ties.INCLUSIVE),
        (MarketKind.RANGE, RANGE.replace("the higher range bracket", "the lower range bracket"),
         Ties.LOWER),
    ],
)  # fmt: skip
def test_other_ties_are_read_and_are_not_the_usual_ones(kind, text, ties):
    rule = read(text, kind)
    assert rule.ties is ties
    assert not rule.usual


def test_a_range_text_without_a_word_on_ties_is_unread():
    start = RANGE.index("If the reported")
    text = RANGE[:start] + RANGE[RANGE.index("The resolution source") :]
    assert isinstance(read_rule(text, MarketKind.RANGE, NOON), Unread)
    # An above text on a range market says nothing about brackets either.
    assert isinstance(read_rule(ABOVE, MarketKind.RANGE, NOON), Unread)


def test_a_rule_is_a_sentence_for_people():
    assert read(ABOVE).in_words() == (
        "Close of the 1 minute candle of BTC/USDT at 12:00 ET, from binance.com; "
        "exactly on a bound: strictly higher pays"
    )
