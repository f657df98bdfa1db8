"""How a command line asks a running system for something: one wish at a time, in shared memory.

The operator's role is held by whoever asks, for as long as it takes. Its epoch is the number of the
wish, so that each has its own; desk or supervisor answers with that number. Nothing waits for an
operator: one that was killed leaves a wish that is fulfilled like any other.
"""

import time
from collections.abc import Callable
from typing import Self, TypeVar

from shm.codes import Role, StageState
from shm.errors import PolytrioError, RoleTaken, SegmentMissing
from shm.fabric import Fabric
from shm.layout import RELOADING, SWITCHES, WISH, Reloading, Wish
from shm.modes import Answer, EngineMode, Execution, SocketMode, WishKind
from shm.roles import RoleHolder, RoleLock

LOCK_PATIENCE_S = 5.0
ANSWER_PATIENCE_S = 10.0
_LOOK_S = 0.02
_FoundT = TypeVar("_FoundT")


class Unanswered(PolytrioError):
    """Whoever should have answered a wish did not."""


class WishReader:
    """How desk and supervisor hear wishes of their kind."""

    def __init__(self, fabric: Fabric, kind: WishKind) -> None:
        self._table = fabric.read_table("control.wish", WISH)
        self._kind = kind
        self._seen = 0

    def news(self) -> Wish | None:
        """The newest wish, if it is of our kind and was not given before."""
        if self._table.version(0) == self._seen:
            return None
        wish = self._table.read(0)
        if wish is None:
            return None
        self._seen = self._table.seen
        return wish if wish.kind == self._kind else None


class Operator:
    """The operator's role, for one wish. A context: it is given back at the end."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._fabric = Fabric(instance, Role.OPERATOR)
        control = self._fabric.segment("control", writable=True)
        self._lock = RoleLock(instance, Role.OPERATOR)
        self._take_lock()
        self._holder = RoleHolder(control, Role.OPERATOR)
        self._holder.enter(StageState.RUNNING)
        self._fabric.fence = self._holder.fence
        self._wishes = self._fabric.write_table("control.wish", WISH)
        self._switches = self._fabric.counters("control.switches", SWITCHES, write=False)
        self._reloading = self._fabric.read_table("control.reloading", RELOADING)

    def _take_lock(self) -> None:
        deadline_s = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                return self._lock.take()
            except RoleTaken:
                if time.monotonic() > deadline_s:
                    raise RoleTaken(
                        "somebody else is asking this system for something: try again"
                    ) from None
            time.sleep(_LOOK_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._holder.enter(StageState.STOPPED)
        self._lock.release()

    def reload(self) -> Reloading:
        """Ask the supervisor to read the settings again; what became of it."""
        number = self._ask(WishKind.RELOAD)

        def answered() -> Reloading | None:
            row = self._reloading.read(0)
            return row if row is not None and row.asked == number else None

        return self._wait(Role.SUPERVISOR, answered)

    def choose(
        self,
        engine: EngineMode | None = None,
        execution: Execution | None = None,
        socket: SocketMode | None = None,
    ) -> Answer:
        """Ask desk for other modes; NONE stands for "as the settings say"."""
        number = self._ask(
            WishKind.MODES, _one_more(engine), _one_more(execution), _one_more(socket)
        )

        def answered() -> Answer | None:
            row = self._switches.read()
            return Answer(row.wish_answer) if row.wish_seen == number else None

        return self._wait(Role.DESK, answered)

    def _ask(self, kind: WishKind, engine: int = 0, execution: int = 0, socket: int = 0) -> int:
        number = self._holder.epoch
        self._wishes.write(0, Wish(number, kind, engine, execution, socket, time.monotonic_ns()))
        return number

    def _wait(self, role: Role, answered: Callable[[], _FoundT | None]) -> _FoundT:
        deadline_s = time.monotonic() + ANSWER_PATIENCE_S
        lock = RoleLock(self._instance, role)
        while True:
            found = answered()
            if found is not None:
                return found
            if not lock.held_by_anyone():
                raise SegmentMissing(
                    f"no {role.label} of instance {self._instance!r} runs: start the system first"
                )
            if time.monotonic() > deadline_s:
                raise Unanswered(
                    f"the {role.label} of instance {self._instance!r} does not answer: see its log"
                )
            self._holder.beat(time.monotonic_ns())
            time.sleep(_LOOK_S)


def _one_more(mode: int | None) -> int:
    return 0 if mode is None else mode + 1
