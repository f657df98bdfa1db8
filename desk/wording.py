"""The venue's words -> coin, kind, bounds and date: of questions, titles, slugs and headings.

Every text is read whole, from its first character to its last, by a grammar of the forms that the
venue uses. A text of any other form has no meaning here: it is None, never a guess from the numbers
and words found in it. ("October" contains "to", a slug is full of dashes, "$3,000 by" is no 3,000
billion.) Bounds are micro-dollars.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from desk.calendar import COINS_BY_NAME, MONTH_NUMBERS, Family, When
from shm.codes import MarketKind

OPEN_LOWER = -(1 << 63)
OPEN_UPPER = (1 << 63) - 1
"""Bounds of a market that is open to one side."""

_USD_E6 = 10**6
_SCALES = {"": 1, "k": 1_000, "m": 1_000_000}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a market is about; `OPEN_LOWER`/`OPEN_UPPER` where it is open."""

    kind: MarketKind
    lower_usd_e6: int
    upper_usd_e6: int


@dataclass(frozen=True, slots=True)
class Saying:
    """What one text says about a market."""

    coin: str
    bounds: Bounds
    when: When


@dataclass(frozen=True, slots=True)
class Heading:
    """What an event's title or slug says about all its markets."""

    coin: str
    family: Family
    when: When


# --- pieces -----------------------------------------------------------------------------------

_NUMBER = r"\$? ?((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)? ?[km]?)"
_SLUG_NUMBER = r"(\d+(?:pt\d+)?[km]?)"
_COIN = "(" + "|".join(COINS_BY_NAME) + ")"
_MONTH = "(" + "|".join(sorted(MONTH_NUMBERS, key=len, reverse=True)) + ")"
_WHEN = rf"{_MONTH}\.? (\d{{1,2}})(?:,? (\d{{4}}))?(?:,? (\d{{1,2}}) ?([ap]m) et)?"
_SLUG_WHEN = rf"{_MONTH}-(\d{{1,2}})(?:-(\d{{4}}))?(?:-(\d{{1,2}})([ap]m)-et)?"
_SLUG_END = r"(?:-\d{1,4})*"
"""The venue appends numbers to a slug that is taken."""

_ABOVE, _RANGE, _BELOW, _TOP = (
    MarketKind.ABOVE,
    MarketKind.RANGE,
    MarketKind.BELOW,
    MarketKind.TOP,
)
_QUESTIONS = tuple(
    (kind, re.compile(rf"(?:will )?(?:the price of )?{_COIN}(?: be)? {phrase} on {_WHEN}\??"))
    for kind, phrase in (
        (_RANGE, rf"between {_NUMBER} and {_NUMBER}"),
        (_ABOVE, rf"above {_NUMBER}"),
        (_BELOW, rf"(?:less than|<) ?{_NUMBER}"),
        (_TOP, rf"(?:greater than|>) ?{_NUMBER}"),
    )
)
_TITLES = (
    (_RANGE, re.compile(rf"{_NUMBER} ?- ?{_NUMBER}")),
    (_BELOW, re.compile(rf"(?:<=?|\u2264) ?{_NUMBER}")),
    (_TOP, re.compile(rf"(?:>=?|\u2265) ?{_NUMBER}")),
    (_ABOVE, re.compile(_NUMBER)),
)
_SLUGS = tuple(
    (kind, re.compile(rf"{phrase}-on-{_SLUG_WHEN}{_SLUG_END}"))
    for kind, phrase in (
        (
            _RANGE,
            rf"will-the-price-of-{_COIN}-be-between-{_SLUG_NUMBER}-(?:and-)?{_SLUG_NUMBER}",
        ),
        (_ABOVE, rf"(?:will-the-price-of-)?{_COIN}-(?:be-)?above-{_SLUG_NUMBER}"),
        (_BELOW, rf"will-the-price-of-{_COIN}-be-less-than-{_SLUG_NUMBER}"),
        (_TOP, rf"will-the-price-of-{_COIN}-be-greater-than-{_SLUG_NUMBER}"),
    )
)
_HEADINGS = (
    (Family.ABOVE, re.compile(rf"{_COIN} above _+ on {_WHEN}\??")),
    (Family.PRICE, re.compile(rf"{_COIN} price (?:on )?{_WHEN}\??")),
)
_HEADING_SLUGS = (
    (Family.ABOVE, re.compile(rf"{_COIN}-above-on-{_SLUG_WHEN}{_SLUG_END}")),
    (Family.PRICE, re.compile(rf"{_COIN}-price-(?:on-)?{_SLUG_WHEN}{_SLUG_END}")),
)

_PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u00a0": " ",
        "\u202f": " ",
        "\u2010": "-",
        "\u2011": "-",
        "\u2012": "-",
        "\u2013": "-",
        "\u2014": "-",
        "\u2212": "-",
    }
)


def plain(text: str) -> str:
    """The text with typewriter quotes and dashes, and single spaces."""
    return " ".join(text.translate(_PLAIN).split())


def _usd_e6(text: str) -> int | None:
    """`77.5k`, `1,250,000`, `0pt6` -> micro-dollars; None if finer than those."""
    scale = _SCALES[text[-1] if text[-1] in "km" else ""]
    digits = text.rstrip("km ").replace(",", "").replace("pt", ".")
    value = Decimal(digits) * scale * _USD_E6
    return int(value) if value == int(value) and value < OPEN_UPPER else None


def _bounds(kind: MarketKind, numbers: tuple[str, ...]) -> Bounds | None:
    values = [_usd_e6(number) for number in numbers]
    first, last = values[0], values[-1]
    if first is None or last is None:
        return None
    match kind:
        case MarketKind.RANGE:
            return Bounds(kind, first, last)
        case MarketKind.BELOW:
            return Bounds(kind, OPEN_LOWER, first)
        case _:
            return Bounds(kind, first, OPEN_UPPER)


def _when(month: str, day: str, year: str | None, hour: str | None, half: str | None) -> When:
    of_day = None if hour is None else int(hour) % 12 + (12 if half == "pm" else 0)
    return When(MONTH_NUMBERS[month], int(day), None if year is None else int(year), of_day)


# --- texts ------------------------------------------------------------------------------------


def in_question(question: str) -> Saying | None:
    """`Will the price of Bitcoin be between $76,000 and $78,000 on May 23?`."""
    return _first(_QUESTIONS, plain(question).lower())


def in_slug(slug: str) -> Saying | None:
    """`ethereum-above-2800-on-may-24-2026`, `xrp-above-0pt6-on-...`, `...-between-76000-78000-...`.

    None also for slugs of a form that carries no bounds.
    """
    return _first(_SLUGS, slug.lower())


def _first(forms: tuple[tuple[MarketKind, re.Pattern[str]], ...], text: str) -> Saying | None:
    for kind, pattern in forms:
        found = pattern.fullmatch(text)
        if found:
            coin, *numbers = found.groups()[:-5]
            bounds = _bounds(kind, tuple(numbers))
            if bounds is None:
                return None
            return Saying(COINS_BY_NAME[coin], bounds, _when(*found.groups()[-5:]))
    return None


def bounds_in_title(title: str) -> Bounds | None:
    """`84,000-86,000`, `<84,000`, `>86,000`, `64,000` -> bounds."""
    text = plain(title).lower()
    for kind, pattern in _TITLES:
        found = pattern.fullmatch(text)
        if found:
            return _bounds(kind, found.groups())
    return None


def in_heading(title: str) -> Heading | None:
    """`Bitcoin above ___ on March 11?`, `Bitcoin price on November 22?`, either with an hour."""
    return _heading(_HEADINGS, plain(title).lower())


def in_event_slug(slug: str) -> Heading | None:
    """`bitcoin-above-on-april-5-2026-3pm-et`, `bitcoin-price-on-november-22`."""
    return _heading(_HEADING_SLUGS, slug.lower())


def _heading(forms: tuple[tuple[Family, re.Pattern[str]], ...], text: str) -> Heading | None:
    for family, pattern in forms:
        found = pattern.fullmatch(text)
        if found:
            return Heading(COINS_BY_NAME[found[1]], family, _when(*found.groups()[1:]))
    return None
