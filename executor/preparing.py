"""Keeps the pool of prepared nonces full, in a thread of its own: never on the way of an order.

Each nonce is made in native code without the interpreter's lock, and taken out for good by whoever
signs with it (executor/signer.h). An empty pool is no error: that signature is RFC 6979's, counted.
"""

import threading
from typing import Protocol

IDLE_S = 0.02
"""How long the thread sleeps when the pool is full."""


class Key(Protocol):
    """What is needed of a key."""

    fallbacks: int

    def prepare(self, most: int) -> bool:
        """Prepare one more nonce unless there are `most`; whether it did."""


class Refill:
    """See the module. `stop` ends the thread."""

    def __init__(self, key: Key, pool: int) -> None:
        self._key = key
        self._pool = pool
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="nonces")
        while key.prepare(pool):  # the first orders find a full pool
            pass
        self._thread.start()

    @property
    def missing(self) -> int:
        """Signatures so far that found the pool empty."""
        return self._key.fallbacks

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            while not self._over.is_set() and self._key.prepare(self._pool):
                pass
            self._over.wait(IDLE_S)
