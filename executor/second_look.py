"""After something that makes us doubt what we know, nothing new until it has been compared.

Two things do that: the venue says that cash is missing where the ledger has it, and we stood still
while the world went on. Only a comparison that began after it counts.
"""

from executor.breaker import Signs
from executor.reconciling import Reconciler
from shm.stillness import Stillness


class SecondLook:
    """See the module. `look` is called on every turn."""

    def __init__(self, still: Stillness, signs: Signs, reconciler: Reconciler) -> None:
        self._still = still
        self._signs = signs
        self._reconciler = reconciler
        self._stops = still.stops
        self._doubting = False

    def begin(self) -> None:
        """The ledger has just been found true: what was before does not matter."""
        self._stops = self._still.stops

    def look(self) -> str:
        """Ask for a comparison, or believe the one that came; what it stood still for, in words."""
        signs, reconciler, news = self._signs, self._reconciler, ""
        if self._still.stops != self._stops:
            self._stops = self._still.stops
            news = f"stood still for {self._still.lasted_ns / 1e9:.1f} s"
            signs.stood_still = news
            self._doubt()
        elif signs.short_of_cash and not self._doubting:
            self._doubt()
        # Others have to notice, too: ingest throws away what waited in its sockets.
        if self._doubting and reconciler.trusted and not self._still.recent:
            self._doubting = False
            signs.short_of_cash = signs.stood_still = ""
        return news

    def _doubt(self) -> None:
        self._doubting = True
        self._reconciler.doubt()
