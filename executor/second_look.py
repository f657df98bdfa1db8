"""After something that makes us doubt what we know, nothing new until it has been compared.

Two things do that: the venue says that cash is missing where the ledger has it, and we stood still
while the world went on. Only a comparison that began after it counts.
"""

from executor.breaker import Signs
from executor.reconciling import Reconciler
from shm.stillness import Stillness

SHORT_AGAIN_MS = 60_000
"""Cash that is missing again so soon after both agreed on it is not what is missing."""


class SecondLook:
    """See the module. `look` is called on every turn, before anything is decided in it."""

    def __init__(self, still: Stillness, signs: Signs, reconciler: Reconciler) -> None:
        self._still = still
        self._signs = signs
        self._reconciler = reconciler
        self._shortages = signs.shortages
        self._agreed_ms = -SHORT_AGAIN_MS
        """When a shortage was last found to be none."""

    def begin(self) -> None:
        """The ledger is about to be found true: what was before does not matter."""
        self._still.look()
        self._signs.stops_heeded = self._still.stops

    def look(self) -> str:
        """Ask for a comparison, or believe the one that came; what it stood still for, in words."""
        signs, still, news = self._signs, self._still, ""
        still.look()  # whoever is first after a stop has to know of it
        if still.stops != signs.stops_heeded:
            signs.stops_heeded = still.stops
            signs.stood_still = news = f"stood still for {still.lasted_ns / 1e9:.1f} s"
            self._reconciler.doubt()
        if signs.shortages != self._shortages:
            self._shortages = signs.shortages
            if signs.now_ms - self._agreed_ms < SHORT_AGAIN_MS:
                signs.short_again = signs.short_of_cash
            self._reconciler.doubt()
        # Others have to notice, too: ingest throws away what waited in its sockets.
        if self._reconciler.trusted and not still.recent:
            self._believe()
        return news

    def _believe(self) -> None:
        signs = self._signs
        if signs.short_of_cash:
            self._agreed_ms = signs.now_ms
        signs.short_of_cash = signs.stood_still = ""
