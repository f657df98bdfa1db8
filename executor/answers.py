"""An HTTP answer as what it should be, or as one harmless line of what it says instead."""

from typing import Any

import msgspec

from executor.http import NoReply, Reply
from shm.errors import UNREADABLE

_OK = 200
_SHOWN_BYTES = 120


def read_as(answer: Reply | NoReply, model: type[Any]) -> Any:
    """The answer as a model; None if it is none."""
    if isinstance(answer, NoReply) or answer.status != _OK:
        return None
    try:
        return msgspec.json.decode(answer.body, type=model)
    except UNREADABLE:
        return None


def said(answer: Reply | NoReply) -> str:
    """What a refusal said."""
    if isinstance(answer, NoReply):
        return answer.reason
    text = answer.body[:_SHOWN_BYTES].decode("ascii", "replace")
    return f"HTTP {answer.status} " + "".join(c if c.isprintable() else " " for c in text)
