"""`polytrio status`: who lives, what stops trading, and what the account says, in a few lines."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from desk.killing import watched
from desk.modes import Modes, modes_of
from shm.codes import SUPERVISED, Cause, Mode, Role, StageState
from shm.control import SwitchBoard
from shm.errors import SegmentError
from shm.fabric import Fabric
from shm.kill import Pressed, being_armed, pressed
from shm.layout import ACCOUNT, KILL_LATCH, Account, KillLatch
from shm.roles import Health, RoleTable, health
from shm.settings import Settings

_ROLES = (Role.SUPERVISOR, Role.DESK, *SUPERVISED)


@dataclass(frozen=True, slots=True)
class Status:
    """One look at an instance."""

    instance: str
    mode: str
    money: str
    """What is real and what is not, in words."""
    roles: Mapping[Role, Health]
    kill: Pressed
    latch: KillLatch
    arming: bool
    switched_on: bool
    account: Account
    modes: Modes | None = None
    """None while nothing runs."""

    @property
    def running(self) -> bool:
        """Whether any stage lives."""
        return any(self.roles[role].alive for role in SUPERVISED if role in self.roles)

    @property
    def killed(self) -> bool:
        """Whether everything is stopped."""
        return bool(self.kill) or self.latch.latched != 0

    def as_json(self) -> Mapping[str, Any]:
        """For machines."""
        told = self.kill.presses[0].told if self.kill else None
        return {
            "instance": self.instance,
            "running": self.running,
            "money": self.mode,
            "kill": {
                "killed": self.killed,
                "latched": self.latch.latched != 0,
                "nonce": f"{self.kill.nonce:016x}",
                "actor": told.actor if told else None,
                "reason": told.reason if told else None,
                "wall_ms": told.wall_ms if told else None,
                "cancel_acknowledged": self.latch.cancel_done_ns != 0,
                "cancels": self.latch.cancels,
                "cancels_failed": self.latch.cancels_failed,
                "being_armed": self.arming,
            },
            "trading_enabled": self.switched_on,
            "mode": _name(Mode, self.account.mode),
            "cause": _name(Cause, self.account.cause),
            "cash_usd_e6": self.account.cash_usd_e6,
            "exposure_usd_e6": self.account.exposure_usd_e6,
            "modes": None if self.modes is None else self.modes.as_json(),
            "stages": {role.label: _stage_json(seen) for role, seen in self.roles.items()},
        }

    def lines(self) -> list[str]:
        """For people."""
        if not self.running:
            return [f"nothing of instance {self.instance!r} runs", *self._kill_lines()]
        switch = "on" if self.switched_on else "off"
        account = self.account
        head = (
            f"instance {self.instance!r}, {self.money}, trading switch {switch}, mode "
            f"{_name(Mode, account.mode)} ({_name(Cause, account.cause)}), "
            f"cash ${account.cash_usd_e6 / 1e6:,.2f}, "
            f"exposure ${account.exposure_usd_e6 / 1e6:,.2f}"
        )
        found = [head, *self._kill_lines()]
        if account.mode == Mode.HALTED and account.cause == Cause.DIFFERENCE:
            found.append("  `polytrio accept` shows what differs from the venue, and can accept it")
        if self.modes is not None:
            found += [f"  {line}" for line in self.modes.lines()]
        for role, seen in self.roles.items():
            age = f"heartbeat {seen.heartbeat_age_ns / 1e6:,.0f} ms ago" if seen.alive else "down"
            state = _name(StageState, seen.row.state)
            found.append(f"  {role.label:<11} {state:<11} epoch {seen.row.epoch:<4} {age}")
        return found

    def _kill_lines(self) -> list[str]:
        if not self.killed:
            return []
        found = []
        for press in self.kill.presses:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(press.told.wall_ms / 1000))
            at = f" at {when} UTC" if press.told.wall_ms else ""
            found.append(f"KILLED by {press.told.actor}{at}: {press.told.reason or 'no reason'}")
        if not found:
            found.append("KILLED: the latch is set, and its file is gone")
        done = "nothing rests" if self.latch.cancel_done_ns else "NOT acknowledged by the venue yet"
        if self.latch.latched:
            found.append(f"  latch set; cancel: {done}")
        if self.arming:
            return [*found, "  an arming waits for the executor"]
        return [*found, "  `polytrio arm` allows trading again"]


def _name(kind: Any, number: int) -> str:
    try:
        return str(kind(number).name).lower()
    except ValueError:
        return f"unknown ({number})"


def _stage_json(seen: Health) -> Mapping[str, Any]:
    return {
        "alive": seen.alive,
        "hung": seen.hung,
        "state": _name(StageState, seen.row.state),
        "pid": seen.row.pid,
        "epoch": seen.row.epoch,
        "heartbeat_age_ms": round(seen.heartbeat_age_ns / 1e6, 1),
    }


def status(settings: Settings) -> Status:
    """Look once, whether it runs or not."""
    instance, now_ns = settings.instance, time.monotonic_ns()
    roles: dict[Role, Health] = {}
    latch, account, switched_on = KILL_LATCH.blank(), ACCOUNT.blank(), False
    modes: Modes | None = None
    if watched(instance) is not None:
        try:
            fabric = Fabric(instance)
            table = RoleTable(fabric.segment("control", writable=False))
            roles = {role: health(table, instance, role, now_ns) for role in _ROLES}
            latch = fabric.counters("control.kill", KILL_LATCH, write=False).read()
            account = fabric.read_table("positions.account", ACCOUNT).read(0) or account
            switched_on = SwitchBoard(fabric).trading
            modes = modes_of(instance)
        except SegmentError:
            roles = {}  # it ended while we looked
    var_path = settings.var_path
    return Status(
        instance=instance,
        mode=settings.mode,
        money=settings.money_in_words,
        roles=roles,
        kill=pressed(var_path),
        latch=latch,
        arming=being_armed(var_path),
        switched_on=switched_on,
        account=account,
        modes=modes,
    )
