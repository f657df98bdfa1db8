"""What the last round of discovery found, in a file for whoever asks: `polytrio markets` reads it.

Shared memory holds the markets that are traded. Why others are not, and which texts do not agree,
is for people; it is too long for a table and nothing depends on it.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from desk.calendar import Horizon
from desk.crawler import Found
from desk.families import Group, Unpaired, unpaired
from desk.ladders import Refused
from shm import wordfiles
from shm.errors import UNREADABLE

FILE_NAME = "discovery.json"


class GroupRules(msgspec.Struct, frozen=True):
    """The rules, in words, that the markets of a group settle by."""

    coin: str
    expiry_ms: int
    horizon: Horizon
    rules: list[str]


class Findings(msgspec.Struct, frozen=True):
    """See the module."""

    at_ms: int
    generation: int
    trouble: str | None
    events: int
    groups: list[GroupRules]
    reasons: dict[str, int]
    """How many were refused, by reason."""
    refused: list[Refused]
    unpaired: list[Unpaired]

    @classmethod
    def of(
        cls,
        generation: int,
        at_ms: int,
        trouble: str | None,
        found: Found,
        groups: Sequence[Group],
    ) -> "Findings":
        """A round in words."""
        return cls(
            at_ms=at_ms,
            generation=generation,
            trouble=trouble,
            events=found.events,
            groups=[GroupRules(g.coin, g.expiry_ms, g.horizon, sorted(_rules(g))) for g in groups],
            reasons={reason.value: count for reason, count in found.reasons.most_common()},
            refused=found.refused,
            unpaired=unpaired(groups),
        )


def _rules(group: Group) -> Counter[str]:
    return Counter(one.rule.in_words() for one in group.members)


def write_findings(folder: Path, findings: Findings) -> None:
    """Replace the file as a whole; `OSError` where there is no room for it."""
    folder.mkdir(parents=True, exist_ok=True)
    wordfiles.put(folder / FILE_NAME, msgspec.json.encode(findings))


def read_findings(folder: Path) -> Findings | None:
    """The last ones; None if there are none, or another version wrote them."""
    try:
        return msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=Findings)
    except (OSError, *UNREADABLE):
        return None
