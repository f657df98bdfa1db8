"""The thread that brings the journal to disk: many groups by one sync, while orders travel."""

import threading
from collections.abc import Callable

IDLE_S = 0.05
"""What nobody woke it for is synced after this."""


class Syncer:
    """Calls `sync` soon after `wake`, and now and then without."""

    def __init__(self, sync: Callable[[], object]) -> None:
        self._sync = sync
        self._due = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to sync."""
        self._due.set()

    def stop(self) -> None:
        """End after what is being done."""
        self._stopping = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._due.wait(IDLE_S)
            self._due.clear()
            self._sync()
