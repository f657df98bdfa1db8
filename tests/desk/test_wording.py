"""Wording: every form that the venue uses is read exactly, and nothing else is read at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.calendar import COIN_NAMES, MONTHS, Family, When
from desk.wording import (
    OPEN_LOWER,
    OPEN_UPPER,
    Bounds,
    Heading,
    bounds_in_title,
    in_event_slug,
    in_heading,
    in_question,
    in_slug,
)
from shm.codes import MarketKind

ABOVE, RANGE, BELOW, TOP = 1, 2, 3, 4


def bounds(kind: int, lower: float | None, upper: float | None) -> Bounds:
    return Bounds(
        MarketKind(kind),
        OPEN_LOWER if lower is None else round(lower * 10**6),
        OPEN_UPPER if upper is None else round(upper * 10**6),
    )


@pytest.mark.parametrize(
    ("question", "coin", "expected", "when"),
    [
        ("Will the price of Bitcoin be above $78,000 on May 24?",
         "BTC", (ABOVE, 78_000, None), When(5, 24)),
        ("Will the price of Bitcoin be between $76,000 and $78,000 on May 23?",
         "BTC", (RANGE, 76_000, 78_000), When(5, 23)),
        ("Will the price of Bitcoin be less than $56,000 on June 26?",
         "BTC", (BELOW, None, 56_000), When(6, 26)),
        ("Will the price of Bitcoin be greater than $74,000 on June 26?",
         "BTC", (TOP, 74_000, None), When(6, 26)),
        ("Will the price of Bitcoin be greater than $89000 on Apr 25?",
         "BTC", (TOP, 89_000, None), When(4, 25)),
        ("Will the price of Solana be above $90 on September 3, 2026?",
         "SOL", (ABOVE, 90, None), When(9, 3, 2026)),
        ("Will the price of XRP be above $1.30 on Sept 19?", "XRP", (ABOVE, 1.3, None),
         When(9, 19)),
        ("Will the price of XRP be between $0.60 and $0.7 on May 3?",
         "XRP", (RANGE, 0.6, 0.7), When(5, 3)),
        ("Will the price of Bitcoin be above $77.5k on May 24?",
         "BTC", (ABOVE, 77_500, None), When(5, 24)),
        ("Will the price of Bitcoin be above 79,400 on May 11, 3PM ET?",
         "BTC", (ABOVE, 79_400, None), When(5, 11, None, 15)),
        ("Bitcoin above 79,400 on May 11, 2026, 12AM ET?",
         "BTC", (ABOVE, 79_400, None), When(5, 11, 2026, 0)),
        ("Will the price of Bitcoin be above $1.25m on May 24?",
         "BTC", (ABOVE, 1_250_000, None), When(5, 24)),
    ],
)  # fmt: skip
def test_questions_are_read(question, coin, expected, when):
    saying = in_question(question)
    assert saying is not None
    assert (saying.coin, saying.bounds, saying.when) == (coin, bounds(*expected), when)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("64,000", (ABOVE, 64_000, None)),
        ("$64,000", (ABOVE, 64_000, None)),
        ("84,000-86,000", (RANGE, 84_000, 86_000)),
        ("$84,000 - $86,000", (RANGE, 84_000, 86_000)),
        ("84,000 \u2013 86,000", (RANGE, 84_000, 86_000)),  # en dash
        ("84,000\u201486,000", (RANGE, 84_000, 86_000)),  # em dash
        ("84k-86k", (RANGE, 84_000, 86_000)),
        ("77.5k-80K", (RANGE, 77_500, 80_000)),
        ("<84,000", (BELOW, None, 84_000)),
        ("<=84,000", (BELOW, None, 84_000)),
        ("\u2264 84k", (BELOW, None, 84_000)),
        (">86,000", (TOP, 86_000, None)),
        (">= 86,000", (TOP, 86_000, None)),
        ("\u226586k", (TOP, 86_000, None)),
        ("1.30-1.40", (RANGE, 1.3, 1.4)),
        ("1,250,000", (ABOVE, 1_250_000, None)),
        ("\u00a064,000 ", (ABOVE, 64_000, None)),
    ],
)
def test_titles_are_read(title, expected):
    assert bounds_in_title(title) == bounds(*expected)


@pytest.mark.parametrize(
    ("slug", "coin", "expected", "when"),
    [
        ("bitcoin-above-78k-on-may-24-2026", "BTC", (ABOVE, 78_000, None), When(5, 24, 2026)),
        ("bitcoin-above-82pt5k-on-september-2-2026", "BTC", (ABOVE, 82_500, None),
         When(9, 2, 2026)),
        ("ethereum-above-2800-on-january-26", "ETH", (ABOVE, 2_800, None), When(1, 26)),
        ("xrp-above-0pt6-on-may-3-2026", "XRP", (ABOVE, 0.6, None), When(5, 3, 2026)),
        ("xrp-above-1pt5-on-may-3-2026", "XRP", (ABOVE, 1.5, None), When(5, 3, 2026)),
        ("will-the-price-of-bitcoin-be-between-76000-78000-on-may-23-2026",
         "BTC", (RANGE, 76_000, 78_000), When(5, 23, 2026)),
        ("will-the-price-of-xrp-be-between-0pt6-0pt7-on-may-3", "XRP", (RANGE, 0.6, 0.7),
         When(5, 3)),
        ("will-the-price-of-bitcoin-be-less-than-76000-on-may-23-2026",
         "BTC", (BELOW, None, 76_000), When(5, 23, 2026)),
        ("will-the-price-of-bitcoin-be-greater-than-96000-on-may-23-2026",
         "BTC", (TOP, 96_000, None), When(5, 23, 2026)),
        ("bitcoin-above-79400-on-may-11-2026-3pm-et", "BTC", (ABOVE, 79_400, None),
         When(5, 11, 2026, 15)),
        ("bitcoin-above-78k-on-may-24-395", "BTC", (ABOVE, 78_000, None), When(5, 24)),
    ],
)  # fmt: skip
def test_slugs_are_read_where_they_carry_strikes(slug, coin, expected, when):
    saying = in_slug(slug)
    assert saying is not None
    assert (saying.coin, saying.bounds, saying.when) == (coin, bounds(*expected), when)


@pytest.mark.parametrize("slug", ["btc-updown-5m-1773307200", "some-other-market", ""])
def test_other_slugs_say_nothing(slug):
    assert in_slug(slug) is None


# --- D-06: the traps in which the old system's parser was caught ----------------------------------


def test_d06_the_to_inside_october_makes_no_range():
    """The old system read 110,000 to 12."""
    saying = in_question("Will the price of Bitcoin be above $110,000 on October 12?")
    assert saying is not None
    assert saying.bounds == bounds(ABOVE, 110_000, None)
    assert bounds_in_title("110,000 October 12") is None


def test_d06_the_dashes_of_a_slug_make_no_negative_range():
    """The old system read -90000 to -23."""
    saying = in_slug("bitcoin-above-90k-on-january-23")
    assert saying is not None
    assert saying.bounds == bounds(ABOVE, 90_000, None)


@pytest.mark.parametrize("word", ["by", "billion", "k-day", "months", "barring"])
def test_d06_a_following_word_scales_nothing(word):
    """The old system read "$3,000 by" as 3,000 billion."""
    assert in_question(f"Will the price of Ethereum be above $3,000 {word} on May 3?") is None
    assert bounds_in_title(f"3,000 {word}") is None
    assert bounds_in_title(f"3,000{word}") is None


def test_d06_numbers_of_a_million_and_more_stay_whole():
    """The old system read 1,250,000 as 1,250."""
    saying = in_question("Will the price of Bitcoin be above $1,250,000 on October 12?")
    assert saying is not None
    assert saying.bounds == bounds(ABOVE, 1_250_000, None)


@pytest.mark.parametrize(
    "question",
    [
        "Will the price of Bitcoin cover above $3,000 on May 3?",
        "Will Bitcoin go over the altar above on May 3?",
        "Will the price of Bitcoin be useless than $3,000 on May 3?",
        "Will the price of Bitcoin be above or below $3,000 on May 3?",
        "Will the price of Bitcoin be at or above $3,000 on May 3?",
        "Will the price of Bitcoin hit $3,000 on May 3?",
        "Will the price of Bitcoin be above $3,000 until October 3?",
        "Will the price of Bitcoin be above $3,000?",
        "Will the price of Bitcoin be above $-3,000 on May 3?",
        "Will the price of Bitcoin be above $1,2500 on May 3?",
        "Will the price of Bitcoin be above $3,000.5.5 on May 3?",
        "Will the price of Gold be above $3,000 on May 3?",
        "Will the price of Bitcoin be above $0.0000001 on May 3?",
        "Will the price of Bitcoin be above $99999999999999999999 on May 3?",
        "",
    ],
)
def test_d06_words_inside_words_and_other_sentences_are_not_understood(question):
    assert in_question(question) is None


@pytest.mark.parametrize(
    "title", ["", "Up or Down", "12 October", "a-b", "-90000", "\u2191 86,000", "Other", "1,2500"]
)
def test_other_titles_have_no_bounds(title):
    assert bounds_in_title(title) is None


@given(
    st.sampled_from(sorted(COIN_NAMES)),
    st.integers(1, 10**12),
    st.sampled_from(MONTHS),
    st.integers(1, 28),
)
def test_every_strike_on_every_date_survives_its_own_sentence(coin, cents, month, day):
    name = COIN_NAMES[coin].capitalize()
    number = f"{cents / 100:,.2f}"
    saying = in_question(f"Will the price of {name} be above ${number} on {month} {day}?")
    assert saying is not None
    assert saying.bounds.lower_usd_e6 == cents * 10_000
    assert saying.when == When(MONTHS.index(month) + 1, day)
    assert bounds_in_title(number) == saying.bounds
    dollars = number.replace(",", "").replace(".", "pt")
    slug = in_slug(f"{COIN_NAMES[coin]}-above-{dollars}-on-{month.lower()}-{day}")
    assert slug is not None
    assert slug.bounds == saying.bounds


@given(st.text(max_size=80))
def test_no_text_raises(text):
    for read in (in_question, in_slug, in_heading, in_event_slug, bounds_in_title):
        read(text)


# --- events -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Bitcoin above ___ on March 11?", Heading("BTC", Family.ABOVE, When(3, 11))),
        ("Bitcoin price on November 22?", Heading("BTC", Family.PRICE, When(11, 22))),
        ("Bitcoin above ___ on March 10, 2026?", Heading("BTC", Family.ABOVE, When(3, 10, 2026))),
        ("Ethereum above ___ on Aug 29, 4PM ET?",
         Heading("ETH", Family.ABOVE, When(8, 29, None, 16))),
        ("XRP price on October 31, 12AM ET?", Heading("XRP", Family.PRICE, When(10, 31, None, 0))),
        ("Bitcoin Up or Down on May 3?", None),
        ("What price will Bitcoin hit on May 3?", None),
        ("Bitcoin above 70,000 on May 3?", None),
    ],
)  # fmt: skip
def test_event_titles_are_read(title, expected):
    assert in_heading(title) == expected


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        ("bitcoin-above-on-march-11", Heading("BTC", Family.ABOVE, When(3, 11))),
        ("bitcoin-price-on-november-22-2026", Heading("BTC", Family.PRICE, When(11, 22, 2026))),
        ("bitcoin-above-on-april-5-2026-3pm-et",
         Heading("BTC", Family.ABOVE, When(4, 5, 2026, 15))),
        ("bitcoin-price-july-15-5pm-et", Heading("BTC", Family.PRICE, When(7, 15, None, 17))),
        ("bitcoin-price-on-november-22-2026-117",
         Heading("BTC", Family.PRICE, When(11, 22, 2026))),
        ("bitcoin-up-or-down-july-15-5pm-et", None),
        ("btc-updown-5m-1773307200", None),
    ],
)  # fmt: skip
def test_event_slugs_are_read(slug, expected):
    assert in_event_slug(slug) == expected
