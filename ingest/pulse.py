"""Is a socket quiet, or frozen? Judges one by the market data that it carries, never by PONGs.

A frozen subscription leaves the socket open and PONG on time. A quiet one looks the same from
here, and no length of silence tells them apart (docs/decisions.md, D45, has the measurements): so
after a quarter of the limit the venue is asked for some books again; while data flows it never is.

* No answer: frozen at the limit.
* Answers that show nothing new: it was quiet, and the silence begins anew.
* An answer with a change that never came: asked once more, for everything; another such answer
  proves it, and so does the limit.

Pure: no clock, no sockets. ingest/feed.py asks, and replaces what is frozen.
"""

from collections.abc import Collection
from enum import Enum, auto

STEP_NS_MAX = 500_000_000
"""Between two looks no more counts as silence: who stood still himself has heard nothing."""


class Finding(Enum):
    """What is to be done about a socket."""

    FINE = auto()
    ASK_SOME = auto()
    """Ask again for the books that change most."""
    ASK_ALL = auto()
    FROZEN = auto()


class Pulse:
    """See the module. One for each connection that is made; `look` several times a second."""

    def __init__(self, now_ns: int) -> None:
        self._looked_ns = now_ns
        self._silent_ns = 0
        self._heard = 0
        self.answers = 0
        """Frames that brought nothing but what had been asked for."""
        self._asking = False
        self._waited: set[int] = set()
        """Rows whose answer is being waited for."""
        self._calm = False
        """An answer has come, and none showed anything new."""
        self._suspected = False
        """One round of answers has shown a change that never came."""
        self._frozen = False

    def look(self, now_ns: int, carried: int, limit_ns: int, *, asking: bool) -> Finding:
        """Count the silence. `carried`: frames with market data so far, answers included.

        `asking`: there are books to lose; without, the limit alone counts.
        """
        step_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        heard = carried - self.answers
        if heard != self._heard or asking != self._asking:
            self._heard, self._asking = heard, asking
            self._begin_anew()
            return Finding.FINE
        self._silent_ns += min(step_ns, STEP_NS_MAX)
        if self._frozen:
            return Finding.FROZEN
        if self._silent_ns >= limit_ns:
            if not self._calm:
                return Finding.FROZEN
            self._begin_anew()
        if not asking or self._waited:
            return Finding.FINE
        if self._suspected:
            return Finding.ASK_ALL if 2 * self._silent_ns >= limit_ns else Finding.FINE
        return Finding.ASK_SOME if 4 * self._silent_ns >= limit_ns else Finding.FINE

    def ask(self, rows: Collection[int]) -> None:
        """The venue has been asked for these books."""
        self._waited = set(rows)

    def answer(self, row: int, *, newer: bool) -> None:
        """A book came that had been asked for; `newer`: with a change that had not come before."""
        if self._frozen or row not in self._waited:
            return
        self._waited.discard(row)
        if newer and self._suspected:
            self._frozen = True
        elif newer:
            # The change may have come between our two words: one more look, at everything.
            self._suspected, self._calm = True, False
            self._waited.clear()
        else:
            self._calm = not self._suspected
            if not self._waited:
                self._begin_anew()

    def _begin_anew(self) -> None:
        self._silent_ns = 0
        self._waited.clear()
        self._calm = self._suspected = self._frozen = False
