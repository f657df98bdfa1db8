"""The process tree of `polytrio run`: starts the stages, brings back the crashed, kills the hung.

The same policy that deploy/supervisord.conf and `supervisor.py watch` carry out in a deployment: a
crash is answered with a restart, an exit code of the error tree is not (trying again would not
help), a stage whose heartbeat stands still is killed, and a stage that keeps crashing is left down,
which stops all trading (shm/kill.py). Before that a compiled one is tried in Python, and changed
settings are taken over while all this runs (shm/supervision.py).
"""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shm.codes import Role
from shm.errors import EXIT_CODES_FINAL, GaveUp, PolytrioError
from shm.fabric import Fabric
from shm.kill import Kill
from shm.passwords import handed
from shm.roles import START_GRACE_NS, RoleTable, health
from shm.stage import KILL_SIGNAL
from shm.stillness import WATCHER_LIMIT_NS, Stillness
from shm.supervision import Supervision

WATCH_S = 0.1
RESTART_DELAY_S = 0.2
_log = logging.getLogger("desk.processes")


class StageEnded(PolytrioError):
    """A stage ended with a known error that a restart cannot cure; carries its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Child:
    """One process of the tree."""

    name: str
    command: list[str]
    role: Role | None
    log_path: Path
    process: subprocess.Popen[bytes] | None = None
    started_ns: int = 0
    starts: deque[float] = field(default_factory=deque)
    """When it was started, within the last minute."""
    restarts: int = 0
    next_start_s: float = 0.0


def python_command(module: str, *arguments: str) -> list[str]:
    """Run one of our modules with this interpreter; -P keeps the current folder off its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def stage_children(instance: str, log_folder: Path, roles: Sequence[Role]) -> list[Child]:
    """The stages as children, logging to files of their own."""
    return [
        Child(
            name=role.label,
            command=python_command(role.module, "--instance", instance),
            role=role,
            log_path=log_folder / f"{role.label}.log",
        )
        for role in roles
    ]


class Tree:
    """See the module."""

    def __init__(
        self,
        fabric: Fabric,
        children: list[Child],
        supervision: Supervision,
        kill: Kill,
        password: bytearray | None = None,
    ) -> None:
        self._fabric = fabric
        self._kill = kill
        self._roles = RoleTable(fabric.segment("control", writable=False))
        self._supervision = supervision
        self._password = password
        """Of the wallet's key file; each executor that is started is handed it, and nobody else."""
        self._still = Stillness(limit_ns=WATCHER_LIMIT_NS)
        self.children = children

    def start(self) -> None:
        """Start every child that does not run yet."""
        for child in self.children:
            if child.process is None:
                self._spawn(child)

    def _spawn(self, child: Child) -> None:
        now_s = time.monotonic()
        while child.starts and now_s - child.starts[0] > 60.0:
            child.starts.popleft()
        if len(child.starts) > self._supervision.limits.restarts_per_minute:
            self._kill.press("supervisor", f"{child.name} keeps crashing")
            raise GaveUp(
                f"{child.name} was started {len(child.starts)} times within a minute and keeps "
                f"crashing: see {child.log_path}"
            )
        child.starts.append(now_s)
        child.started_ns = time.monotonic_ns()
        child.log_path.parent.mkdir(parents=True, exist_ok=True)
        with (
            child.log_path.open("ab") as log,
            self._handed(child) as descriptors,
            kill_signal_held_back(),
        ):
            options = [word for fd in descriptors for word in ("--password-fd", str(fd))]
            child.process = subprocess.Popen(  # noqa: S603  # our own modules
                [*child.command, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we stop them in order
                pass_fds=descriptors,
            )

    @contextlib.contextmanager
    def _handed(self, child: Child) -> Iterator[tuple[int, ...]]:
        """Descriptors that a child inherits beyond the usual ones."""
        if self._password is None or child.role is not Role.EXECUTOR:
            yield ()
            return
        with handed(self._password) as fd:
            yield (fd,)

    async def watch(self) -> None:
        """Look after the children until cancelled; raises when one cannot be kept running."""
        while True:
            self.look()
            await asyncio.sleep(WATCH_S)

    def look(self) -> None:
        """Look after each child once, and at the settings."""
        self._still.look()
        for child in self.children:
            self._look(child)
        self._supervision.turn()

    def _look(self, child: Child) -> None:
        if child.process is None:
            if time.monotonic() >= child.next_start_s:
                child.restarts += 1
                self._spawn(child)
            return
        code = child.process.poll()
        if code is not None:
            self._ended(child, code)
        elif child.role is not None and not self._still.recent and self._hung(child):
            _log.warning("%s stands still: killing it", child.name)
            child.process.kill()

    def _ended(self, child: Child, code: int) -> None:
        if child.role is None:
            # The simulated exchange: its ledger is gone with it, so there is nothing to go on with.
            raise StageEnded(f"{child.name} ended: {last_line(child.log_path)}", 1)
        if code in EXIT_CODES_FINAL:
            raise StageEnded(f"{child.name} ended: {last_line(child.log_path)}", code)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        _log.warning("%s died (%s): starting it again", child.name, how)
        if self._supervision.stage_died(child.role, len(child.starts)):
            child.starts.clear()  # as another program, in a way
        child.process = None
        child.next_start_s = time.monotonic() + RESTART_DELAY_S

    def _hung(self, child: Child) -> bool:
        assert child.role is not None
        assert child.process is not None
        now_ns = time.monotonic_ns()
        seen = health(self._roles, self._fabric.instance, child.role, now_ns)
        if seen.row.pid != child.process.pid:
            return now_ns - child.started_ns > START_GRACE_NS
        return seen.hung

    @staticmethod
    async def stop_children(children: Sequence[Child], patience_s: float) -> None:
        """SIGTERM to all, SIGKILL to those that are still there after `patience_s`."""
        alive = [c.process for c in children if c.process and c.process.poll() is None]
        for process in alive:
            process.terminate()
        deadline_s = time.monotonic() + patience_s
        while any(p.poll() is None for p in alive) and time.monotonic() < deadline_s:
            await asyncio.sleep(0.02)
        for process in alive:
            if process.poll() is None:
                _log.warning("pid %d does not stop: killing it", process.pid)
                os.kill(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def kill_signal_held_back() -> Iterator[None]:
    """A child that is made meanwhile keeps a kill signal until it can hear it (shm/stage.py)."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {KILL_SIGNAL})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def last_line(path: Path) -> str:
    """The last line that a child wrote: its reason, if it ended with a known error."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "it wrote nothing"
    return lines[-1] if lines else "it wrote nothing"
