"""Shadow mode: the Python core is given what the native one was given, and the two are compared.

The native core decides as always and writes down beside its work what it was given and what it said
(engine/tape.h); it never waits for anybody. A process of its own, forked from the engine, repeats
that in Python and compares (engine/follower.py): it shares the tape, and neither the interpreter
nor the core of the loop that decides. When it cannot keep up, when the two have differed, and
whenever there is too much to tell (a new generation, a new ingest), another one is forked, which
inherits the whole state of the native core; what was left out meanwhile is counted. Nothing that it
finds, and no fault of its own, has any effect on what is decided.
"""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import Any, Protocol

from engine.follower import Follower, Ground, Make
from engine.repeater import Repeater
from shm import backend
from shm.fabric import Fabric
from shm.layout import ENGINE_STATS
from shm.stage import KILL_SIGNAL

RESET_EVERY_NS = 1_000_000_000
"""A shadow is made so often at most: that takes the engine a moment."""
IDLE_S = 0.002
NICENESS = 10
_FIRST_FD, _LAST_FD = 3, 4096
_log = logging.getLogger("shadow")


class Companion(Protocol):
    """A shadow at work."""

    @property
    def alive(self) -> bool:
        """Whether it still follows."""

    def end(self) -> None:
        """End it, if it has not ended by itself."""


class Fork:
    """A follower in a process of its own."""

    def __init__(self, follower: Follower) -> None:
        parent = os.getpid()
        self._pid: int | None = os.fork()
        if self._pid == 0:
            _live(follower, parent)

    @property
    def alive(self) -> bool:
        """See Companion."""
        if self._pid is not None and os.waitpid(self._pid, os.WNOHANG)[0]:
            self._pid = None
        return self._pid is not None

    def end(self) -> None:
        """See Companion."""
        if self.alive and self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = None


def _live(follower: Follower, parent: int) -> None:
    """The life of the forked process; never returns."""
    try:
        backend.die_with_parent()
        os.closerange(_FIRST_FD, _LAST_FD)  # above all the lock of the engine's role
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for number in (signal.SIGINT, KILL_SIGNAL):  # they are for the engine
            signal.signal(number, signal.SIG_IGN)
        _step_aside()
        while not follower.done and os.getppid() == parent:
            if not follower.follow():
                time.sleep(IDLE_S)
    except BaseException:  # noqa: BLE001  # whatever it is, it must not reach what decides
        _log.exception("the shadow stumbled; another one starts anew")
    finally:
        os._exit(0)


def _step_aside() -> None:
    """Leave the core of the loop that decides, and its priority."""
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with contextlib.suppress(OSError):
        os.nice(NICENESS)


class Shadow:
    """See the module: the engine's side. The kernel's thread calls."""

    def __init__(
        self,
        fabric: Fabric,
        kernel: Any,
        epoch: int,
        make: Make = Repeater,
        launch: Callable[[Follower], Companion] = Fork,
    ) -> None:
        self._fabric = fabric
        self._kernel = kernel
        self._epoch = epoch
        self._make = make
        self._launch = launch
        self._counters = fabric.counters("stats-engine.counters", ENGINE_STATS, write=True)
        self._ground: Ground | None = None
        self._companion: Companion | None = None
        self._reset_ns = 0

    def stand_on(self, ground: Ground) -> None:
        """Another generation, or other settings; the kernel has adopted them."""
        self._ground = ground
        self._begin_anew()

    def turn(self) -> None:
        """See whether it still follows; if not, begin anew, but not too often."""
        lost = self._kernel.tape_lost or self._companion is None or not self._companion.alive
        if lost and time.monotonic_ns() - self._reset_ns >= RESET_EVERY_NS:
            self._begin_anew()

    def _begin_anew(self) -> None:
        if self._ground is None:
            return
        if self._companion is not None:
            self._companion.end()
        self._reset_ns = time.monotonic_ns()
        self._counters.add("shadow_skipped", self._kernel.tape(on=True))
        self._counters.add("shadow_resets")
        start = self._ground, self._kernel.state(books=True)
        follower = Follower(self._fabric, self._kernel, self._epoch, self._make, start)
        self._companion = self._launch(follower)

    def stop(self) -> None:
        """End it; the kernel tells nothing more."""
        if self._companion is not None:
            self._companion.end()
            self._companion = None
        self._kernel.tape(on=False)
