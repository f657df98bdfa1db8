"""Who fills a role: a kernel-held lock says who is alive, an epoch says whose words count.

The lock is an open-file-description lock on `/dev/shm/polytrio.<instance>.<role>.lock`, held for
life on a descriptor that no child inherits. The kernel drops it when the process is gone, also
for a zombie, so that "alive" is never guessed from a pid or from silence. Lock files stay: removing
one would let two holders stand on two files of one name.

Taking a role: lock, raise the epoch in the role table, then begin. Everything the predecessor
still tries to publish is refused from then on (`Fence`).
"""

import fcntl
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from shm.backend import Fence, Words, take_role
from shm.codes import Role, StageState
from shm.errors import LayoutMismatch, RoleTaken
from shm.layout import ROLE_ROW, RoleRow
from shm.process import start_ticks
from shm.segment import MODE, SHM_ROOT, Segment
from shm.segments import APP, SEGMENTS

_FLOCK = struct.Struct("hhqqi4x")
"""struct flock on 64-bit Linux: type, whence, start, length, pid."""

_ROLES = SEGMENTS["control"].placed["roles"]
_WORDS = ROLE_ROW.size // 8
_AT = {name: offset // 8 for name, offset in ROLE_ROW.offset_of.items()}


class RoleLock:
    """The kernel lock of one role of one instance."""

    def __init__(self, instance: str, role: Role, root: Path = SHM_ROOT) -> None:
        self.path = root / f"{APP}.{instance}.{role.label}.lock"
        self._instance = instance
        self._role = role
        self._fd: int | None = None

    def take(self) -> None:
        """Hold the lock until this process ends; `RoleTaken` if another process has it."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        except PermissionError:
            raise self._foreign() from None
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except BlockingIOError:
            os.close(fd)
            raise RoleTaken(
                f"another {self._role.label} of instance {self._instance!r} is running; "
                "stop it first, or start this one with another --instance"
            ) from None
        self._fd = fd

    def keep_over_exec(self) -> None:
        """Let the lock survive this process's next exec: the new program holds it for life."""
        assert self._fd is not None
        os.set_inheritable(self._fd, True)

    def release(self) -> None:
        """Give the lock back; tests and short-lived tools only, stages keep it for life."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def held_by_anyone(self) -> bool:
        """Whether some process holds the lock; asking disturbs nobody."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except PermissionError:
            raise self._foreign() from None
        try:
            asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))
        finally:
            os.close(fd)
        return bool(answer[0] != fcntl.F_UNLCK)

    def _foreign(self) -> LayoutMismatch:
        return LayoutMismatch(
            f"{self.path} belongs to another user: run as that user, or with another --instance"
        )


class RoleTable:
    """Reads every role's row; each word may be a moment older or newer than its neighbour."""

    def __init__(self, control: Segment) -> None:
        section = _ROLES.section
        self.words = Words(control.view, _ROLES.offset, section.rows * _WORDS, False)

    def row(self, role: Role) -> RoleRow:
        """One role's row."""
        first = role * _WORDS
        return RoleRow(*(self.words.load(first + _AT[name]) for name in RoleRow._fields))

    def epoch(self, role: Role) -> int:
        """Current epoch of a role; 0 before its first holder."""
        return self.words.load(role * _WORDS + _AT["epoch"])

    def heartbeat_ns(self, role: Role) -> int:
        """When a role's holder last proved that its loop turns."""
        return self.words.load(role * _WORDS + _AT["heartbeat_ns"])


class RoleDeputy:
    """Acts for whoever holds a role now: fills its row, is fenced with it."""

    def __init__(self, control: Segment, role: Role) -> None:
        self.role = role
        self._words = Words(control.view, _ROLES.offset, _ROLES.section.rows * _WORDS, True)
        self._first = role * _WORDS
        self._loops = 0
        row = _ROLES.offset + role * ROLE_ROW.size
        self.epoch = self._begin(control, row)
        self.fence = Fence(control.view, row + ROLE_ROW.offset_of["epoch"], self.epoch)

    def _begin(self, _control: Segment, _row: int) -> int:
        return self._words.load(self._first + _AT["epoch"])

    def _set(self, field: str, value: int) -> None:
        self._words.store(self._first + _AT[field], value)

    def enter(self, state: StageState) -> None:
        """Say what this process is doing now."""
        self._set("state", state)

    def adopt(self, generation: int) -> None:
        """Say which market generation this process works on."""
        self._set("adopted_generation", generation)

    def adopt_settings(self, version: int) -> None:
        """Say which version of the settings this process works with."""
        self._set("adopted_settings", version)

    def beat(self, now_ns: int) -> None:
        """Stamp the heartbeat; called from the loop that does the work, nowhere else."""
        self._loops += 1
        self._set("heartbeat_ns", now_ns)
        self._set("loops", self._loops)


class RoleHolder(RoleDeputy):
    """This process's hold on a role: its row, its epoch, its fence. Needs the role's lock."""

    def _begin(self, control: Segment, row: int) -> int:
        pid = os.getpid()
        epoch = take_role(
            control.view, row, (pid, start_ticks(pid)), time.monotonic_ns(), StageState.STARTING
        )
        self.adopt_settings(0)
        return epoch


@dataclass(frozen=True)
class Health:
    """A role as an onlooker sees it."""

    role: Role
    row: RoleRow
    alive: bool
    heartbeat_age_ns: int

    @property
    def hung(self) -> bool:
        """Alive, but its loop has not come round for too long."""
        starting = self.row.state == StageState.STARTING
        return self.alive and self.heartbeat_age_ns > (
            START_GRACE_NS if starting else HEARTBEAT_LIMIT_NS
        )


HEARTBEAT_PERIOD_NS = 50_000_000
HEARTBEAT_LIMIT_NS = 1_500_000_000
"""A stage that has not come round its loop for this long is killed and started again."""
START_GRACE_NS = 10_000_000_000
"""The same for one that prepares its work and has no loop yet."""


def health(table: RoleTable, instance: str, role: Role, now_ns: int) -> Health:
    """Look at one role: liveness from its lock, progress from its heartbeat."""
    row = table.row(role)
    return Health(
        role=role,
        row=row,
        alive=RoleLock(instance, role).held_by_anyone(),
        heartbeat_age_ns=max(0, now_ns - row.heartbeat_ns) if row.heartbeat_ns else 0,
    )
