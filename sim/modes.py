"""The state of the matching engine over time: normal, restarting, post-only, cancel-only, off.

States are spans that follow each other; what comes after the last one is normal (protocol.md C.8).
"""

import enum
from dataclasses import dataclass, field

from sim import replies


class Mode(enum.StrEnum):
    """What the engine does at present."""

    NORMAL = "normal"
    RESTARTING = "restarting"
    POST_ONLY = "post_only"
    CANCEL_ONLY = "cancel_only"
    DISABLED = "disabled"


REFUSALS: dict[Mode, tuple[int, str]] = {
    Mode.RESTARTING: (425, replies.RESTARTING),
    Mode.POST_ONLY: (503, replies.POST_ONLY_MODE),
    Mode.CANCEL_ONLY: (503, replies.CANCEL_ONLY),
    Mode.DISABLED: (503, replies.TRADING_DISABLED),
}
"""How a new order is refused in each mode. RESTARTING and DISABLED refuse cancels as well."""
NO_CANCELS = frozenset({Mode.RESTARTING, Mode.DISABLED})


@dataclass(slots=True)
class Engine:
    """The spans to come as (end or None for open, mode), and two habits of this venue.

    `whole_batches`: in post-only mode a batch is refused as a whole, instead of by element.
    `geoblocked`: orders are refused as from a forbidden region.
    """

    whole_batches: bool = False
    geoblocked: bool = False
    _spans: list[tuple[int | None, Mode]] = field(default_factory=list)

    def set(self, mode: Mode, until_ms: int | None) -> None:
        """Be in a mode from now on, until a time or, with None, until further notice."""
        self._spans = [(until_ms, mode)]

    def restart(self, now_ms: int, down_ms: int, post_only_ms: int) -> None:
        """Be away, then take post-only orders, then be normal."""
        up_ms = now_ms + down_ms
        self._spans = [(up_ms, Mode.RESTARTING), (up_ms + post_only_ms, Mode.POST_ONLY)]

    def mode(self, now_ms: int) -> Mode:
        """The mode now."""
        return self._now(now_ms)[1]

    def left_s(self, now_ms: int) -> int:
        """Whole seconds, at least 1, until the mode changes; 60 when nobody knows."""
        until_ms = self._now(now_ms)[0]
        return 60 if until_ms is None else max(1, -(-(until_ms - now_ms) // 1000))

    def _now(self, now_ms: int) -> tuple[int | None, Mode]:
        while self._spans:
            until_ms, mode = self._spans[0]
            if until_ms is None or now_ms < until_ms:
                return until_ms, mode
            del self._spans[0]
        return None, Mode.NORMAL
