"""The latch in shared memory in its writer's hands: what sets it, and the one thing that opens it.

It is set as soon as any request stands. It opens only for an arming that the executor has accepted
and that names this very kill (shm/arming.py); a request that somebody removes by hand is made
again. A killer that finds the latch set by its predecessor goes on from there.
"""

import logging
import secrets
import time
from enum import Enum

from shm.arming import accepted
from shm.fabric import Fabric
from shm.kill import Kill, Pressed, pressed, request_kill
from shm.layout import KILL_LATCH, KillLatch

GONE_LOOKS = 5
"""Looks that have to find no request before it counts as removed: a name may just be changing."""
_log = logging.getLogger("killer")


class News(Enum):
    """What a look has brought."""

    NONE = 0
    KILLED = 1
    """A kill has to be carried out: a new one, or one that was found at start."""
    ARMED = 2


class Latch:
    """See the module."""

    def __init__(self, fabric: Fabric, kill: Kill) -> None:
        self._cells = fabric.counters("control.kill", KILL_LATCH, write=True)
        self._kill = kill
        self._gone = 0
        self._first = True

    def row(self) -> KillLatch:
        """As everybody sees it."""
        return self._cells.read()

    def count(self, name: str) -> None:
        """Count a cancel."""
        self._cells.add(name)

    def stamp(self, name: str) -> None:
        """Say when something happened."""
        self._cells.set(name, time.monotonic_ns())

    def look(self) -> News:
        """One turn."""
        self._kill.look()
        kill = pressed(self._kill.var_path)
        now = self.row()
        first, self._first = self._first, False
        if kill or self._kill.owed:
            self._gone = 0
            if not now.latched or (kill and now.nonce != kill.nonce):
                self._set(kill)
                return News.KILLED
        elif now.latched:
            self._gone += 1
            if self._gone >= GONE_LOOKS:
                self._gone = 0
                return self._open_or_ask_again(now)
        return News.KILLED if first and now.latched else News.NONE

    def _set(self, kill: Pressed) -> None:
        """Stop everything: one store, before anything else is done about it."""
        self._cells.set("nonce", kill.nonce or secrets.randbits(64) | 1)
        self._cells.set("cancel_sent_ns", 0)
        self._cells.set("cancel_done_ns", 0)
        self.stamp("seen_ns")
        self._cells.set("latched", 1)
        if not kill:
            _log.warning("KILLED by a signal; there is no room for the file that says so")
            return
        told = kill.presses[0].told
        _log.warning("KILLED by %s: %s", told.actor, told.reason or "no reason given")

    def _open_or_ask_again(self, now: KillLatch) -> News:
        arming = accepted(self._kill.var_path)
        if arming is not None and arming.nonce == now.nonce:
            self._cells.set("latched", 0)
            _log.warning("armed by %s", arming.actor)
            return News.ARMED
        _log.error("the request was removed by hand: it takes `polytrio arm` to go on")
        request_kill(
            self._kill.var_path, "killer", "its file was removed by hand; run `polytrio arm`"
        )
        return News.NONE
