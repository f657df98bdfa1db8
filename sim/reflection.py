"""One live book as the house shows it: equal to the last whole frame, less what was taken of it.

The live book is kept apart from the house's orders. A level is set when the live book changes it,
to the live size; until then what users took of it stays gone. A book that is stale, and levels that
cross each other between the frames of one transaction, are not shown; a level that comes back
unchanged comes back with what was left of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sim.events import Event
from sim.house import House, LevelKey
from sim.market import Market
from sim.order import Side


@dataclass(slots=True, eq=False)
class Reflection:
    """The live book of one market and the house's levels in ours, in YES terms."""

    market: Market
    house: House
    live: dict[LevelKey, int] = field(default_factory=dict)
    """Live sizes; never zero."""
    fresh: bool = False
    """Whether a snapshot has come since the feed was lost; without one nothing is shown."""
    _shown: dict[LevelKey, int] = field(default_factory=dict)
    """Live size by which each level of the house was set."""
    _left: dict[LevelKey, tuple[int, int]] = field(default_factory=dict)
    """Of levels out of sight: their live size then, and what was left of it."""

    def replace(self, levels: Mapping[LevelKey, int], now_ms: int) -> list[Event]:
        """A whole live book."""
        self.live = {key: size_e6 for key, size_e6 in levels.items() if size_e6}
        self.fresh = True
        return self._show(now_ms)

    def change(self, levels: Iterable[tuple[LevelKey, int]], now_ms: int) -> list[Event]:
        """New absolute sizes of some levels, all of one frame; zero deletes."""
        for key, size_e6 in levels:
            if size_e6:
                self.live[key] = size_e6
            else:
                self.live.pop(key, None)
        return self._show(now_ms)

    def lose(self, now_ms: int) -> list[Event]:
        """The feed is lost: nothing is shown until the next snapshot."""
        self.fresh = False
        return self._show(now_ms)

    def best_e4(self, side: Side) -> int | None:
        """Best live price of a side."""
        prices = [price_e4 for own, price_e4 in self.live if own is side]
        if not prices:
            return None
        return max(prices) if side is Side.BUY else min(prices)

    def _visible(self) -> dict[LevelKey, int]:
        """What may be traded with now: no stale level, and none that crosses the other side."""
        if not self.fresh:
            return {}
        bid_e4, ask_e4 = self.best_e4(Side.BUY), self.best_e4(Side.SELL)
        if bid_e4 is None or ask_e4 is None or bid_e4 < ask_e4:
            return self.live
        return {
            (side, price_e4): size_e6
            for (side, price_e4), size_e6 in self.live.items()
            if (price_e4 < ask_e4 if side is Side.BUY else price_e4 > bid_e4)
        }

    def _show(self, now_ms: int) -> list[Event]:
        """Bring the house's levels in line, as one transaction."""
        visible = self._visible()
        wanted: list[tuple[LevelKey, int]] = []
        for key in [key for key in self._shown if key not in visible]:
            set_e6 = self._shown.pop(key)
            self._left[key] = (set_e6, self.house.size_e6(self.market, *key))
            wanted.append((key, 0))
        for key, size_e6 in visible.items():
            if self._shown.get(key) == size_e6:
                continue
            self._shown[key] = size_e6
            set_e6, left_e6 = self._left.pop(key, (0, 0))
            wanted.append((key, left_e6 if set_e6 == size_e6 else size_e6))
        if self.fresh:
            # What the live book has changed or given up meanwhile is whole when it comes again.
            changed = [k for k, (set_e6, _) in self._left.items() if self.live.get(k) != set_e6]
            for key in changed:
                del self._left[key]
        return self.house.set_levels(self.market, wanted, now_ms)
