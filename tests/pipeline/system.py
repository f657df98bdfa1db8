"""Starts the real system as a user would, and watches it from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shm.codes import STAGES, Role, StageState
from shm.errors import SegmentError
from shm.fabric import Fabric
from shm.layout import EXECUTOR_STATS, RoleRow
from shm.roles import RoleLock, RoleTable

ROOT = Path(__file__).parents[2]
POLYTRIO = [sys.executable, "-P", "-m", "desk"]


def environment(instance: str, var: Path, **more: str) -> dict[str, str]:
    """An environment in which everything belongs to this test alone."""
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("POLYTRIO__")},
        "POLYTRIO__INSTANCE": instance,
        "POLYTRIO__DESK__VAR_DIR": str(var),
        **more,
    }


def until(condition: Callable[[], Any], what: str, patience_s: float = 40.0) -> Any:
    """Wait for something to become true; generous, because tests measure no time."""
    deadline_s = time.monotonic() + patience_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"never: {what}"
        time.sleep(0.02)


class System:
    """A running `polytrio run` (or supervisor) and what can be seen of it."""

    def __init__(self, instance: str, command: list[str], env: dict[str, str], cwd: Path) -> None:
        self.instance = instance
        self.process = subprocess.Popen(
            command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def row(self, role: Role) -> RoleRow | None:
        """A role's row, or None while there are no segments."""
        try:
            return RoleTable(Fabric(self.instance).segment("control", writable=False)).row(role)
        except SegmentError:
            return None

    def running(self, role: Role) -> bool:
        """Whether a stage is alive and says that it runs."""
        row = self.row(role)
        alive = RoleLock(self.instance, role).held_by_anyone()
        return row is not None and alive and row.state == StageState.RUNNING

    def all_running(self) -> bool:
        """Whether every stage runs; fails at once if the system has ended."""
        if self.process.poll() is not None:
            out, err = self.process.communicate()
            raise AssertionError(
                f"ended with {self.process.returncode}: {out[-500:]} {err[-2000:]}"
            )
        return all(self.running(role) for role in STAGES)

    def executor(self) -> Any:
        """The executor's counters."""
        counters = Fabric(self.instance).counters(
            "stats-executor.counters", EXECUTOR_STATS, write=False
        )
        return counters.read()

    def kill(self, role: Role) -> None:
        """SIGKILL a stage, as soon as it runs."""
        until(lambda: self.running(role), f"{role.label} runs")
        row = self.row(role)
        assert row is not None
        os.kill(row.pid, signal.SIGKILL)

    def finish(self, patience_s: float = 120.0) -> tuple[int, str, str]:
        """Wait for its end: exit code, stdout, stderr."""
        out, err = self.process.communicate(timeout=patience_s)
        return self.process.returncode, out, err

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Leave nothing of it behind, if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.communicate()

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Ask it to end."""
        self.process.send_signal(number)
        return self.finish(30)

    def stop_in_agreement(self) -> None:
        """The same; it ends well, and its books are the exchange's."""
        code, out, err = self.stop()
        assert code == 0, err
        require_agreement(last_json(out))


def require_agreement(summary: dict[str, Any]) -> None:
    """Our books and the exchange's are the same, to the micro-dollar and micro-share."""
    for name in ("cash_usd_e6", "positions_e6"):
        ours, theirs = summary[name], summary[f"exchange_{name}"]
        assert ours == theirs, f"{name}: {ours} here, {theirs} at the exchange"


def last_json(out: str) -> dict[str, Any]:
    """The JSON object of the last line."""
    value: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return value
