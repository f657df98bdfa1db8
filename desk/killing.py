"""The operator's hand on the kill switch: `polytrio kill`, `polytrio arm`, and what came of it."""

import asyncio
import getpass
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shm import arming
from shm.codes import SUPERVISED, Role
from shm.control import read_settings, require_settings
from shm.errors import ConfigError, LiveRefused, PolytrioError, SegmentError
from shm.fabric import Fabric
from shm.kill import KILL, Kill, Request, being_armed, pressed, request_kill, standing
from shm.layout import ACCOUNT, KILL_LATCH, KILLER_STATS, KillLatch
from shm.process import start_ticks
from shm.roles import RoleLock, RoleTable
from shm.settings import Settings, load
from shm.sources import named_instance
from shm.stage import KILL_SIGNAL
from shm.system import living_instances, living_roles

LATCH_PATIENCE_S = 5.0
CANCEL_PATIENCE_S = 15.0
ARM_PATIENCE_S = 30.0
POLL_S = 0.002
T = TypeVar("T")


class Unconfirmed(PolytrioError):
    """It was asked for, and nobody has confirmed it in time."""

    exit_code = 13


def settings_of(instance: str | None, config: Path | None) -> Settings:
    """Settings of the running system, else those of the file.

    A bad file does not stop a kill: what it is called, or that it is the only one that runs, leads
    to a running system. Never to another one: `ConfigError` rather than that.
    """
    environment = dict(os.environ)
    try:
        loaded = load(config, environment)
    except ConfigError as error:
        named = instance or named_instance(config, environment)
        living = [named] if named else living_instances()
        if len(living) > 1:
            raise ConfigError(
                f"{error}; {', '.join(living)} run: name one of them with --instance"
            ) from None
        running = _published(living[0]) if living else None
        if running is None:
            raise
        return running
    name = instance or loaded.instance
    return _published(name) or msgspec.structs.replace(loaded, instance=name)


def _published(instance: str) -> Settings | None:
    try:
        return read_settings(Fabric(instance))
    except SegmentError:
        return None


class Watched:
    """The switch of a running system, looked at from outside."""

    def __init__(self, instance: str) -> None:
        fabric = Fabric(instance)
        require_settings(fabric)
        self.instance = instance
        self._latch = fabric.counters("control.kill", KILL_LATCH, write=False)
        self._counters = fabric.counters("stats-killer.counters", KILLER_STATS, write=False)
        self._roles = RoleTable(fabric.segment("control", writable=False))
        self._account = fabric.read_table("positions.account", ACCOUNT)

    @property
    def latch(self) -> KillLatch:
        """The latch now."""
        return self._latch.read()

    @property
    def can_cancel(self) -> bool:
        """Whether a killer is there that has credentials."""
        alive = RoleLock(self.instance, Role.KILLER).held_by_anyone()
        return alive and self._counters.read().credentials_read > 0

    @property
    def wallet(self) -> str:
        """The wallet that trades; empty before the executor has said so."""
        account = self._account.read(0)
        word = b"" if account is None else account.wallet[-20:]
        return "0x" + word.hex() if any(word) else ""

    def signal_all(self) -> int:
        """Tell every stage by a signal, where no file can be made; how many were told."""
        told = 0
        for role in SUPERVISED:
            row = self._roles.row(role)
            if row.pid and start_ticks(row.pid) == row.start_ticks:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(row.pid, KILL_SIGNAL)
                    told += 1
        return told


def watched(instance: str) -> Watched | None:
    """The switch of a system; None if nothing runs under this name."""
    try:
        found = Watched(instance)
    except SegmentError:
        return None
    return found if living_roles(instance, SUPERVISED) else None


@dataclass(frozen=True, slots=True)
class Killed:
    """What became of a kill. Times are milliseconds since it was asked for."""

    instance: str
    request: Request
    running: bool
    latched_after_ms: float | None = None
    cancelled_after_ms: float | None = None
    credentials: bool = False
    nonce: int = 0
    unwatched: str = ""
    """The file that was made for stages that run and whose memory is another version's."""

    @property
    def confirmed(self) -> bool:
        """Whether nothing is left to be worried about."""
        if not self.running:
            return self.request.stands
        cancelled = self.cancelled_after_ms is not None or not self.credentials
        return self.latched_after_ms is not None and cancelled

    def as_json(self) -> Mapping[str, Any]:
        """For machines."""
        return {
            "instance": self.instance,
            "request": self.request.name.lower(),
            "running": self.running,
            "latched_after_ms": self.latched_after_ms,
            "cancelled_after_ms": self.cancelled_after_ms,
            "credentials": self.credentials,
            "nonce": f"{self.nonce:016x}",
            "confirmed": self.confirmed,
        }

    def lines(self) -> list[str]:
        """For people."""
        if not self.running:
            return [
                f"nothing of instance {self.instance!r} runs: it will start stopped"
                if self.request.stands
                else f"no KILL file could be made for instance {self.instance!r}, and nothing runs"
            ]
        found = [f"kill asked for: {self.request.value}"]
        if self.unwatched:
            found.append(
                f"NOT CONFIRMED: {self.instance!r} runs, made by another version of polytrio"
            )
            return [*found, f"its stages stop if they look for {self.unwatched}"]
        if self.latched_after_ms is None:
            found.append("NOT CONFIRMED: the latch is not set; is the killer running?")
        else:
            found.append(f"trading stopped: latch set after {self.latched_after_ms:.1f} ms")
        if self.cancelled_after_ms is not None:
            found.append(f"nothing rests: acknowledged after {self.cancelled_after_ms:.1f} ms")
        elif self.credentials:
            found.append("NOT CONFIRMED: the venue has not acknowledged; the killer goes on trying")
        else:
            found.append("nothing to cancel with: the executor has not logged in")
        return [*found, "`polytrio arm` allows trading again"]


def kill(settings: Settings, reason: str) -> Killed:
    """Stop everything, and watch until it is so."""
    asked_ns = time.monotonic_ns()
    request = request_kill(settings.var_path, operator(), reason)
    switch = watched(settings.instance)
    if switch is None:
        running = bool(living_roles(settings.instance, SUPERVISED))
        path = str(settings.var_path.absolute() / KILL) if running else ""
        return Killed(settings.instance, request, running=running, unwatched=path)
    if not request.stands:
        switch.signal_all()
    latch = waited(lambda: switch.latch if switch.latch.latched else None, LATCH_PATIENCE_S)
    latched_ms = None if latch is None else max(0.0, (latch.seen_ns - asked_ns) / 1e6)
    cancelled_ms = None
    if latch is not None and switch.can_cancel:
        done = waited(
            lambda: switch.latch if switch.latch.cancel_done_ns else None, CANCEL_PATIENCE_S
        )
        if done is not None:
            cancelled_ms = max(0.0, (done.cancel_done_ns - asked_ns) / 1e6)
    return Killed(
        settings.instance,
        request,
        running=True,
        latched_after_ms=latched_ms,
        cancelled_after_ms=cancelled_ms,
        credentials=switch.can_cancel,
        nonce=pressed(settings.var_path).nonce,
    )


def waited(found: Callable[[], T | None], patience_s: float) -> T | None:
    """What is found within that time; None if nothing is."""
    deadline_s = time.monotonic() + patience_s
    while (value := found()) is None and time.monotonic() < deadline_s:
        time.sleep(POLL_S)
    return value


def operator() -> str:
    """Who sits here, for the record."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"{name}, command line"


def arm(settings: Settings, wallet: str) -> float:
    """Ask the executor to allow trading, and wait for its answer; milliseconds that it took."""
    switch = watched(settings.instance)
    if switch is None:
        raise Unconfirmed(f"nothing of instance {settings.instance!r} runs: start it first")
    if settings.mode == "live":
        _require_typed(switch.wallet, wallet)
    var_path = settings.var_path
    asked_ns = time.monotonic_ns()
    request = arming.request_arm(var_path, pressed(var_path).nonce, operator(), wallet)

    def answered() -> bool | None:
        return None if being_armed(var_path) else True

    if waited(answered, ARM_PATIENCE_S) is None:
        raise Unconfirmed(
            f"the executor has not answered within {ARM_PATIENCE_S:.0f} s: it waits for a true "
            "ledger (see `polytrio status` and its log), and may still take it for five minutes"
        )
    refused = arming.refused(var_path)
    if refused is not None and refused.nonce in {request.nonce, 0}:
        raise Unconfirmed(f"not armed: {refused.reason}")
    if standing(var_path):
        raise Unconfirmed("not armed: everything was stopped again; see `polytrio status`")
    return (time.monotonic_ns() - asked_ns) / 1e6


def _require_typed(expected: str, typed: str) -> None:
    if not expected:
        raise LiveRefused("the executor has not said yet which wallet it trades with: wait for it")
    if typed.lower() != expected.lower():
        raise LiveRefused(
            f"this is real money of wallet {expected}: type "
            f"`polytrio arm --wallet {expected}` if that is the one that you mean"
        )


async def carried_out(kill: Kill, patience_s: float) -> None:
    """If everything was stopped, wait until nothing rests at the venue, as long as that may be."""
    deadline_s = time.monotonic() + patience_s
    while kill.look() and time.monotonic() < deadline_s:
        switch = watched(kill.instance)
        if switch is None or not switch.can_cancel or switch.latch.cancel_done_ns:
            return
        await asyncio.sleep(POLL_S)
