"""What a market settles on, read out of its resolution text, as facts that can be compared.

Two families of one coin and day make riskless baskets only if they look at the same price of the
same minute, so every part of the rule is read: who says the price, of which pair, which candle, how
long it is, which minute of which zone, and what happens when the price is exactly a bound. A text
in which any of these is missing or said in two ways is unread, and the reason is kept.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b

from desk.calendar import MONTH_NUMBERS, Expiry, Horizon, When
from desk.wording import plain
from shm.codes import MarketKind

TEXTS_KEPT = 256
"""All markets of a family share one text, and it is asked about every minute."""


class Reference(StrEnum):
    """Which candle is meant by a time; the value completes the sentence "the candle ..."."""

    AT = "at"
    """Named by its time alone: the venue takes the candle that opens then."""
    CLOSING = "closing at"
    OPENING = "opening at"
    ENDS = "that ends at"
    BEGINS = "that begins at"


class Ties(StrEnum):
    """Who gets a price that is exactly a bound."""

    STRICT = "strictly higher pays"
    INCLUSIVE = "equal pays, too"
    HIGHER = "the higher bracket"
    LOWER = "the lower bracket"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of settlement. `ties` differs between families and is checked on its own."""

    source: str
    pair: str
    field: str
    candle: str
    reference: Reference
    time: str
    """"12:00", or "stated" where the title says it."""
    zone: str
    ties: Ties

    @property
    def usual(self) -> bool:
        """Whether ties are as the proofs of payoff assume: an exact bound is the higher bracket."""
        return self.ties in {Ties.STRICT, Ties.HIGHER}

    def in_words(self) -> str:
        """For people."""
        time = "the time in the title" if self.time == "stated" else self.time
        return (
            f"{self.field} of the {self.candle} candle of {self.pair} {self.reference.value} "
            f"{time} {self.zone}, from {self.source}; exactly on a bound: {self.ties.value}"
        )


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a text has no rule."""

    why: str

    def in_words(self) -> str:
        """For people."""
        return f"not understood: {self.why}"


_HOST = re.compile(r"https?://(?:www\.)?([a-z0-9-]+(?:\.[a-z0-9-]+)+)")
_PAIR = re.compile(r"\b([A-Z]{2,6})/?(USDT|USDC|USD)\b")
_FIELD = re.compile(r'"(Close|Open|High|Low)"')
_CANDLE = re.compile(r"\b(\d+)[ -](minute|hour) candle\b")
_BUTTON = re.compile(r'"(\d+)([mh])"')
_TIME = re.compile(
    r"\b(?:(closing|opening) at )?(\d{1,2}:\d\d)(?: ?([AP]M))?"
    r"(?: in the)? (ET|EST|EDT|UTC|GMT|CET)\b"
)
_STATED = re.compile(
    r"\bcandle that (ends|begins) on the (?:time and date|date and time) specified in the title"
)
_MONTH = (
    "(" + "|".join(sorted((m.capitalize() for m in MONTH_NUMBERS), key=len, reverse=True)) + ")"
)
_DATES = (
    re.compile(rf"\b(?P<day>\d{{1,2}}) {_MONTH}\.? '(?P<year>\d\d)\b"),
    re.compile(rf"\b{_MONTH}\.? (?P<day>\d{{1,2}}),? '?(?P<year>(?:20)?\d\d)\b"),
)
_INCLUSIVE = re.compile(
    r"\b(?:equal to or (?:higher|greater|above)|(?:higher|greater) than or equal|at or above"
    r"|at least)\b"
)
_HIGHER_THAN = re.compile(r"\bhigher than the price specified in the title\b")
_BETWEEN_BRACKETS = re.compile(
    r"\bexactly between two brackets, (?:then )?(?:this market|it) (?:will resolve|resolves) "
    r"to the (higher|lower) (?:range )?bracket\b"
)


@lru_cache(maxsize=TEXTS_KEPT)
def read_rule(text: str, kind: MarketKind, expiry: Expiry) -> Rule | Unread:
    """The rule of a market of this kind that settles at `expiry`."""
    text = plain(text)
    if not text:
        return Unread("there is no text")
    parts: dict[str, str] = {}
    for name, values in (
        ("source", set(_HOST.findall(text.lower()))),
        ("pair", {f"{base}/{quote}" for base, quote in _PAIR.findall(text)}),
        ("price of the candle", set(_FIELD.findall(text))),
        ("candle", {f"{count} {unit}" for count, unit in _CANDLE.findall(text)}),
        ("time", _times(text)),
    ):
        if len(values) != 1:
            said = f"says {len(values)}: {', '.join(sorted(values))}" if values else "says none"
            return Unread(f"one {name} is needed, the text {said}")
        parts[name] = values.pop()
    trouble = _contradiction(text, parts["candle"], parts["time"], expiry)
    if trouble:
        return Unread(trouble)
    ties = _ties(text, kind)
    if isinstance(ties, Unread):
        return ties
    reference, time, zone = parts["time"].rsplit(" ", 2)
    return Rule(
        source=parts["source"],
        pair=parts["pair"],
        field=parts["price of the candle"],
        candle=parts["candle"],
        reference=Reference(reference),
        time=time,
        zone=zone,
        ties=ties,
    )


def _times(text: str) -> set[str]:
    """`reference time zone` of every mention."""
    found = {
        f"{f'{how} at' if how else 'at'} {_clock(time, half)} {zone}"
        for how, time, half, zone in _TIME.findall(text)
    }
    return found | {f"that {how} at stated ET" for how in _STATED.findall(text)}


def _clock(time: str, half: str) -> str:
    if not half:
        return time
    hour, minute = time.split(":")
    return f"{int(hour) % 12 + (12 if half == 'PM' else 0):02d}:{minute}"


def _contradiction(text: str, candle: str, time: str, expiry: Expiry) -> str | None:
    """What the text says that the market's own end, or the text itself, denies."""
    for count, unit in _BUTTON.findall(text):
        button = f"{count} {'minute' if unit == 'm' else 'hour'}"
        if button != candle:
            return f"a {candle} candle, but the button for {button}"
    local = expiry.local
    _, clock, zone = time.rsplit(" ", 2)
    if clock == "stated":
        if expiry.horizon is Horizon.DAILY:
            return "the time is left to the title, and a daily ladder's title has none"
    elif zone == "ET" and clock != f"{local:%H:%M}":
        return f"it looks at {clock} ET, and the market ends at {local:%H:%M} ET"
    for pattern in _DATES:
        for found in pattern.finditer(text):
            year = int(found["year"])
            month = MONTH_NUMBERS[found[1 if pattern is not _DATES[0] else 2].lower()]
            said = When(month, int(found["day"]), year if year > 99 else 2000 + year)
            if said != When(local.month, local.day, local.year):
                return f"it names {found[0]}, and the market ends on {local:%B} {local.day}"
    return None


def _ties(text: str, kind: MarketKind) -> Ties | Unread:
    if kind is MarketKind.ABOVE:
        if _INCLUSIVE.search(text):
            return Ties.INCLUSIVE
        if _HIGHER_THAN.search(text):
            return Ties.STRICT
        return Unread("it does not say that the price must be higher than the one in the title")
    said = set(_BETWEEN_BRACKETS.findall(text))
    if len(said) != 1:
        return Unread("it does not say which bracket an exact bound belongs to")
    return Ties.HIGHER if said == {"higher"} else Ties.LOWER


def fingerprint(rule: Rule, expiry: Expiry) -> int:
    """A number that is equal for equal rules; ties are those of `Rule.usual` in both families."""
    parts = (
        rule.source,
        rule.pair,
        rule.field,
        rule.candle,
        rule.reference.value,
        rule.time,
        rule.zone,
        "usual" if rule.usual else rule.ties.value,
        str(expiry.at_ms),
    )
    return int.from_bytes(blake2b("|".join(parts).encode(), digest_size=8).digest(), "big")
