"""How fast orders may leave: a bucket of tokens, in integers. Pure: the time is handed in."""

from dataclasses import dataclass

_NS = 1_000_000_000


@dataclass(slots=True)
class Bucket:
    """Holds up to `burst` tokens and gains `per_second`; parts of a token are kept exactly."""

    per_second: int
    burst: int
    level_ns: int = -1
    """Tokens times a second's nanoseconds; -1: full."""
    at_ns: int = 0

    def room(self, now_ns: int) -> int:
        """Whole tokens there are."""
        return self._level(now_ns) // _NS

    def take(self, now_ns: int, count: int) -> None:
        """Use `count` tokens; whoever takes more than there are owes them."""
        self.level_ns = self._level(now_ns) - count * _NS
        self.at_ns = now_ns

    def _level(self, now_ns: int) -> int:
        if self.level_ns == -1 and self.at_ns == 0:
            return self.burst * _NS
        gained = max(0, now_ns - self.at_ns) * self.per_second
        return min(self.burst * _NS, self.level_ns + gained)
