"""Combinations that somebody promoted after a scan: a file that desk writes and the engine reads.

A basket of the compiled families needs no file. What lies beyond them is named here by market keys
and outcomes; the engine proves each by enumeration like any other candidate, and leaves out what it
cannot prove or whose markets are not all active. A new file becomes effective with the generation
that desk publishes because of it.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from shm.codes import Outcome
from shm.errors import UNREADABLE, InputError
from shm.layout import MAX_LEGS

FILE_NAME = "promoted.json"
PROMOTED_MAX = 64
LEGS_MIN = 2


class PromotedLeg(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token to buy."""

    market: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    """The market's key."""
    outcome: Annotated[str, Meta(pattern="^(YES|NO)$")]
    slug: str = ""
    """For people."""

    @property
    def name(self) -> tuple[int, Outcome]:
        """Market key and outcome."""
        return int(self.market, 16), Outcome[self.outcome]


class Promoted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One combination, an equal size of every leg."""

    legs: Annotated[tuple[PromotedLeg, ...], Meta(min_length=LEGS_MIN, max_length=MAX_LEGS)]
    payout_e4: int
    """What it was promoted for: the engine builds it only if this is what enumeration finds."""
    expiry_ms: int
    promoted_ms: int

    @property
    def names(self) -> frozenset[tuple[int, Outcome]]:
        """Its tokens."""
        return frozenset(leg.name for leg in self.legs)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    baskets: Annotated[list[Promoted], Meta(max_length=PROMOTED_MAX)]


def read_promoted(folder: Path) -> list[Promoted]:
    """What was promoted; empty without a file. `InputError` if it cannot be read."""
    path = folder / FILE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File).baskets
    except FileNotFoundError:
        return []
    except (OSError, *UNREADABLE) as error:
        raise InputError(f"{path}: {error}; delete it, or promote again") from None


def promote(folder: Path, one: Promoted) -> bool:
    """Add one to the file, and drop those whose markets have ended; False if it is there."""
    kept = [old for old in read_promoted(folder) if old.expiry_ms > one.promoted_ms]
    if any(old.names == one.names for old in kept):
        return False
    if len(kept) == PROMOTED_MAX:
        raise InputError(f"{PROMOTED_MAX} combinations are promoted already: delete {FILE_NAME}")
    folder.mkdir(parents=True, exist_ok=True)
    half = folder / f"{FILE_NAME}.part"
    half.write_bytes(msgspec.json.format(msgspec.json.encode(_File([*kept, one]))))
    half.replace(folder / FILE_NAME)
    return True


def signature(folder: Path) -> tuple[int, int] | None:
    """Changes when the file does; None without one."""
    try:
        status = (folder / FILE_NAME).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
