"""Takes over changed settings while the system runs; turned by whoever has the supervisor's role.

Three things make it look at the file again: the file changed (a stat once a second), somebody asked
(`polytrio reload`, SIGHUP), or it has just started. What it then reads counts only if it is whole,
valid, and differs in nothing that needs a restart; then it is published in one piece. Anything else
changes nothing, and the reason is written down for everyone to see.

A file that is being written is not read. Half a TOML file is often valid, and an empty one means
"all defaults": so a change must have settled, and the kernel must say that nobody has the file open
for writing (a read lease is refused then, and keeps writers waiting while we read).
"""

import errno
import fcntl
import logging
import os
import signal
import stat
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from shm.codes import Role
from shm.control import Published, publish_settings, require_published
from shm.errors import ConfigError
from shm.fabric import Fabric
from shm.layout import OUTCOME_BYTES, RELOADING, Reloading
from shm.modes import Reloaded, WishKind
from shm.reloadable import Change, changes, restart_reason
from shm.roles import RoleDeputy
from shm.settings import Settings
from shm.sources import Loaded, derived, read_again, values, with_values
from shm.wishes import WishReader

LOOK_S = 1.0
SETTLE_S = 0.5
"""A change of the file is acted on when it has not changed any more for this long."""
PATIENCE_S = 2.0
"""How long somebody who asked waits for a file to be whole."""
_log = logging.getLogger("settings")


class BeingWritten(ConfigError):
    """Somebody has the file open for writing."""


class Candidate(NamedTuple):
    """What a file would lead to, and how it differs from what holds."""

    loaded: Loaded
    changes: list[Change]


def candidate(running: Published, file: Path | None = None) -> Candidate:
    """Read what the running settings were read from (or another file); `ConfigError` if bad."""
    origin = running.origin
    if file is not None:
        origin = msgspec.structs.replace(origin, file=str(file.absolute()), asked=True)
    loaded = _carry(running, read_again(origin, read_whole))
    return Candidate(loaded, changes(running.settings, loaded.settings))


def require_reloadable(found: list[Change]) -> None:
    """`ConfigError` that names every change which needs a restart, and why."""
    reasons = [
        f"{change.key} ({reason})"
        for change in found
        if (reason := restart_reason(change)) is not None
    ]
    if reasons:
        raise ConfigError(
            f"needs a restart: {', '.join(reasons)}; nothing was changed: take it back, or stop "
            "the system and start it again"
        )


def _carry(running: Published, loaded: Loaded) -> Loaded:
    """What was filled in at the start stays, unless something else is read now than was then."""
    before, now = values(running.settings), values(loaded.settings)
    filled = {key: read for key, read in running.origin.filled.items() if now[key] == read}
    settings = with_values(loaded.settings, {key: before[key] for key in filled})
    return derived(loaded, settings)


def read_whole(path: Path) -> str:
    """The text of a file that nobody is writing; `BeingWritten` if somebody is."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError(f"{path} is no plain file")
        leased = _lease(fd, path)
        before = _signature_of(os.fstat(fd))
        with open(fd, "rb", closefd=False) as file:
            text = file.read()
        if leased:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        elif _signature_of(os.fstat(fd)) != before:
            raise BeingWritten(f"{path} is being written")
    finally:
        os.close(fd)
    return text.decode("utf-8")


def _lease(fd: int, path: Path) -> bool:
    """Take a read lease, where the file system has such a thing and the file is ours."""
    # Whoever opens the file for writing meanwhile waits, and we would get a signal for it.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise BeingWritten(f"{path} is open for writing") from None
        return False
    return True


_Signature = tuple[int, int, int, int]


def _signature_of(status: os.stat_result) -> _Signature:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


class Reloader:
    """See the module. `fabric` has the supervisor's role."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.running = require_published(fabric)
        self._table = fabric.write_table("control.reloading", RELOADING)
        self._wishes = WishReader(fabric, WishKind.RELOAD)
        self._deputy = RoleDeputy(fabric.segment("control", writable=True), Role.SUPERVISOR)
        self._deputy.adopt_settings(self.running.version)
        self._last = fabric.read_table("control.reloading", RELOADING).read(0) or RELOADING.blank()
        self._acted_on: _Signature | None = None
        self._noticed: _Signature | None = None
        self._noticed_s: float | None = None
        self._next_look_s = 0.0
        self._wish = 0
        self._asked = False
        self._asked_s: float | None = None

    @property
    def settings(self) -> Settings:
        """The settings that hold now."""
        return self.running.settings

    def ask(self) -> None:
        """Look at the file with the next turn, whether it changed or not (SIGHUP)."""
        self._asked = True
        self._asked_s = None

    def turn(self, now_s: float) -> None:
        """Do what is due; called several times a second."""
        wish = self._wishes.news()
        if wish is not None:
            self._wish = wish.number
            self.ask()
        if self._asked:
            self._asked_s = now_s if self._asked_s is None else self._asked_s
            self._attempt(patient=now_s - self._asked_s < PATIENCE_S)
        elif now_s >= self._next_look_s:
            self._next_look_s = now_s + LOOK_S
            self._look(now_s)

    def _look(self, now_s: float) -> None:
        signature = self._signature()
        if signature == self._acted_on:
            return
        if self._noticed_s is None or signature != self._noticed:
            self._noticed = signature
            self._noticed_s = now_s
            self._next_look_s = now_s + SETTLE_S
        elif now_s - self._noticed_s >= SETTLE_S:
            self._attempt(patient=True)

    def _signature(self) -> _Signature | None:
        """Of the file; None if there is none."""
        if not self.running.origin.file:
            return None
        try:
            return _signature_of(Path(self.running.origin.file).stat())
        except OSError:
            return None

    def _attempt(self, *, patient: bool) -> None:
        """Read, judge, publish; while the file is being written, and with patience, try later."""
        signature = self._signature()
        try:
            found = candidate(self.running)
            require_reloadable(found.changes)
        except BeingWritten as error:
            if patient:
                return
            self._tell(Reloaded.REFUSED, str(error))
        except ConfigError as error:
            self._tell(Reloaded.REFUSED, str(error))
        else:
            self._take_over(found)
        self._acted_on = signature
        self._noticed_s = None
        self._asked = False
        self._wish = 0

    def _take_over(self, found: Candidate) -> None:
        if not found.changes:
            self._tell(Reloaded.UNCHANGED, "")
            return
        settings, origin = found.loaded
        try:
            publish_settings(self._fabric, settings, origin, self._wish)
        except ConfigError as error:
            self._tell(Reloaded.REFUSED, str(error))
            return
        self.running = require_published(self._fabric)
        self._deputy.adopt_settings(self.running.version)
        self._tell(Reloaded.PUBLISHED, in_words(found.changes))

    def _tell(self, result: Reloaded, text: str) -> None:
        """Write down what became of it; say it in the log, unless nothing was to be done."""
        bad_before = self._last.result == Reloaded.REFUSED
        if result is Reloaded.UNCHANGED and not self._asked and not bad_before:
            return
        level = logging.WARNING if result is Reloaded.REFUSED else logging.INFO
        _log.log(level, "settings %d %s %s", self.running.version, result.name.lower(), text)
        encoded = text.encode()[:OUTCOME_BYTES]
        self._last = Reloading(
            attempts=self._last.attempts + 1,
            asked=self._wish or self._last.asked,
            result=result,
            generation=self.running.version,
            tried_wall_ns=time.time_ns(),
            length=len(encoded),
            text=encoded,
        )
        self._table.write(0, self._last)


def in_words(found: list[Change]) -> str:
    """`engine.cooldown_ms 250 -> 500, ...`."""
    return ", ".join(f"{change.key} {change.before} -> {change.after}" for change in found)
