"""Accepting a difference: how an operator says that cash or shares came or went by other hands.

The word is the file `ACCEPT` in the instance's folder, the executor's answer `ACCEPT.answer`. A
word without figures only asks what differs. One with figures is taken if they are, to the
micro-unit, what the executor finds at that moment: what changed meanwhile nobody has seen.

    ACCEPT  --executor-->  says how long it may take, compares twice, writes ADOPTED records,
                           answers, takes the word away

A crash at any step leaves the difference, or none: a word that is found again has wrong figures.
"""

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from shm import wordfiles
from shm.arming import FUTURE_MS, VALID_MS
from shm.units import UnitError, parse_fixed
from shm.wordfiles import put, take_away

ACCEPT = "ACCEPT"
ANSWER = "ACCEPT.answer"


class Figures(msgspec.Struct, frozen=True):
    """What the venue has, less what the journal says."""

    cash_usd_e6: int = 0
    shares_e6: dict[str, int] = {}
    """By token; none of them is zero."""

    def __bool__(self) -> bool:
        return self.cash_usd_e6 != 0 or bool(self.shares_e6)


class Word(msgspec.Struct, frozen=True):
    """What the operator said."""

    id: str
    actor: str
    wall_ms: int
    reason: str = ""
    figures: Figures | None = None
    """None: only asks."""


class Answer(msgspec.Struct, frozen=True):
    """What the executor says to it."""

    id: str
    found: Figures = Figures()
    accepted: bool = False
    refused: str = ""
    """Why not."""
    within_s: float = 0.0
    """It is no answer yet: one comes within so long."""


def say(var_path: Path, actor: str, reason: str = "", figures: Figures | None = None) -> Word:
    """Leave a word for the executor; OSError if there is no room for it."""
    word = Word(secrets.token_hex(8), actor, time.time_ns() // 1_000_000, reason, figures)
    for name in (ACCEPT, ANSWER):
        take_away(var_path / name)
    put(var_path / ACCEPT, msgspec.json.encode(word))
    return word


def waiting(var_path: Path) -> bool:
    """Whether a word waits for the executor."""
    return os.path.lexists(var_path / ACCEPT)


def word_of(var_path: Path) -> Word | None:
    """The word that waits; what cannot be read is taken away."""
    found = wordfiles.read(var_path / ACCEPT, Word)
    if found is None:
        take_away(var_path / ACCEPT)
    return found


def objection(word: Word, now_ms: int) -> str:
    """Why a word is too old to count; empty if it is not."""
    age_ms = now_ms - word.wall_ms
    if -FUTURE_MS <= age_ms <= VALID_MS:
        return ""
    return f"it is {age_ms // 1000} s old: run `polytrio accept` again"


def answer(var_path: Path, told: Answer) -> None:
    """Answer the word that waits, and take it away, whether there is room for the answer or not."""
    take_away(var_path / ANSWER)
    with suppress(OSError):
        put(var_path / ANSWER, msgspec.json.encode(told))
    take_away(var_path / ACCEPT)


def announce(var_path: Path, word: Word, within_s: float) -> None:
    """Say how long the answer may take: every token has to be read, more than once."""
    take_away(var_path / ANSWER)
    with suppress(OSError):
        put(var_path / ANSWER, msgspec.json.encode(Answer(word.id, within_s=within_s)))


def announced(var_path: Path, word: Word) -> Answer | None:
    """What the executor has said to a word so far: an answer, or how long it may take."""
    found = wordfiles.read(var_path / ANSWER, Answer)
    return found if found is not None and found.id == word.id else None


def answered(var_path: Path, word: Word) -> Answer | None:
    """The executor's answer to a word; None as long as there is none."""
    found = announced(var_path, word)
    return None if found is None or found.within_s else found


# --- figures as people type them ----------------------------------------------------------------


def in_words(figures: Figures) -> str:
    """Figures for people, to the micro-unit."""
    parts = [f"cash {signed(figures.cash_usd_e6)}"] if figures.cash_usd_e6 else []
    parts += [f"{token} {signed(size_e6)}" for token, size_e6 in figures.shares_e6.items()]
    return ", ".join(parts) or "nothing"


def signed(value_e6: int) -> str:
    """Millionths as a decimal with all its places, and with its sign."""
    whole, rest = divmod(abs(value_e6), 10**6)
    return f"{'-' if value_e6 < 0 else '+'}{whole}.{rest:06d}"


def parse_signed(text: str) -> int:
    """The way back: a decimal with its sign; `UnitError` if it is none."""
    if not text.startswith(("+", "-")):
        raise UnitError(f"not a figure with its sign: {text[:40]!r}")
    value_e6 = parse_fixed(text[1:], 6)
    return -value_e6 if text[0] == "-" else value_e6
