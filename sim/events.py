"""What the exchange tells the world: market frames, frames of one API key, what rules make of it.

The core returns these values; the sockets deliver them. A frame carries its final text, so that it
is encoded once however many sockets receive it.
"""

import enum
from dataclasses import dataclass


class Audience(enum.Enum):
    """Which market sockets receive a frame."""

    MARKET = "holds either token of the market named by the key"
    TOKEN = "holds the token named by the key"  # noqa: S105  # an outcome token, not a secret
    TOKEN_CUSTOM = "holds the token, with custom features"  # noqa: S105  # as above
    EVERY_CUSTOM = "has asked for custom features, whatever it holds"


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of the market channel; `key` is a condition id or a token id, by audience."""

    audience: Audience
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class UserFrame:
    """One message of the user channel for the API key `owner` about the market `condition_id`."""

    owner: str
    condition_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A mispriced set begins or ends at this place of the stream; sockets never see it.

    `condition_ids` are the markets whose quotes are shifted from here on (empty: none any more).
    """

    group: str
    condition_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Broadcast:
    """A text for all sockets of a channel ("market" or "user"), whatever they have asked for."""

    channel: str
    text: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """The end of all sockets of a channel; `code` is a close code to send first, 0 for none."""

    channel: str
    reset: bool
    code: int = 0


Event = Frame | UserFrame | Notice | Broadcast | HangUp
