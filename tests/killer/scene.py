"""A killer process on a system of its own, with a stand-in for the executor, and what they do.

python -m tests.killer.scene executor INSTANCE    heeds the switch and takes armings, as it must
python -m tests.killer.scene killer INSTANCE      the real one, with short sweeps
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from executor import killer as killer_stage
from executor.credentials import hand_over
from shm import arming
from shm.codes import Role, StageState
from shm.fabric import Fabric
from shm.kill import pressed
from shm.layout import KILL_LATCH, KILLER_STATS, KillerStats, KillLatch
from shm.roles import RoleTable
from shm.settings import DeskSettings, KillerSettings, Settings, VenueSettings
from shm.stage import Stage, main
from shm.system import create_all
from tests.killer.exchange import Exchange, credentials_of, until

ROOT = Path(__file__).parents[2]
SHORT_SWEEPS_S = (0.3, 0.6, 0.9)
WALLET = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


class Scene:
    """One instance: its folder, its processes, its latch."""

    def __init__(self, instance: str, var: Path, url: str, **killer: Any) -> None:
        self.settings = Settings(
            instance=instance,
            desk=DeskSettings(var_dir=str(var)),
            venues=VenueSettings(clob_url=url),
            killer=KillerSettings(**killer),
        )
        self.instance = instance
        self.var = self.settings.var_path
        self.var.mkdir(parents=True, mode=0o700, exist_ok=True)
        create_all(self.settings)
        fabric = Fabric(instance)
        self._latch = fabric.counters("control.kill", KILL_LATCH, write=False)
        self._counters = fabric.counters("stats-killer.counters", KILLER_STATS, write=False)
        self.roles = RoleTable(fabric.segment("control", writable=False))
        self.processes: list[subprocess.Popen] = []

    def start(self, command: list[str], role: Role | None, **options: Any) -> subprocess.Popen:
        """Start a process as a supervisor does; wait until its role runs."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        log = (self.var / f"{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, **options)
        log.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
        self.processes.append(process)
        if role is not None:
            until(lambda: self.runs(process, role), f"{role.label} runs: {self.logs()}")
        return process

    def killer(self, *, wait: bool = True, real: bool = False) -> subprocess.Popen:
        """Start the killer."""
        own = ["tests.killer.scene", "killer", self.instance]
        shipped = ["executor.killer", "--instance", self.instance]
        words = shipped if real else own
        return self.start([sys.executable, "-m", *words], Role.KILLER if wait else None)

    def executor(self) -> subprocess.Popen:
        """Start the stand-in for the executor."""
        words = [sys.executable, "-m", "tests.killer.scene", "executor", self.instance]
        return self.start(words, Role.EXECUTOR)

    def runs(self, process: subprocess.Popen, role: Role) -> bool:
        """Whether this process holds its role and runs."""
        row = self.roles.row(role)
        return row.pid == process.pid and row.state == StageState.RUNNING

    def logs(self) -> str:
        """What the processes said."""
        return "".join(path.read_text() for path in sorted(self.var.glob("*.log")))

    def latch(self) -> KillLatch:
        """The latch as everybody sees it."""
        return self._latch.read()

    def counters(self) -> KillerStats:
        """What the killer has counted."""
        return self._counters.read()

    def latched(self) -> KillLatch:
        """Wait until the latch is set."""
        until(lambda: self.latch().latched, f"latched: {self.logs()}")
        return self.latch()

    def cancelled(self) -> KillLatch:
        """Wait until the venue has acknowledged."""
        until(lambda: self.latch().cancel_done_ns, f"cancelled: {self.logs()}")
        return self.latch()

    def hand_over(self, trader: Any) -> None:
        """What the executor does after its log-in."""
        hand_over(self.var, trader.eoa.address, credentials_of(trader))

    def arm(self, wallet: str = "", nonce: int | None = None) -> None:
        """What `polytrio arm` does."""
        wanted = pressed(self.var).nonce if nonce is None else nonce
        arming.request_arm(self.var, wanted, "test", wallet)

    def end(self) -> None:
        """Leave no process behind."""
        for process in self.processes:
            process.kill()
            process.wait()


def resting_wallet(venue: Exchange, scene: Scene, number: int, orders: int = 3) -> Any:
    """A wallet with resting orders, whose credentials the killer has."""
    trader = venue.trader(number)
    venue.rest(trader, orders)
    scene.hand_over(trader)
    return trader


# --- the processes ------------------------------------------------------------------------------


async def _heed(stage: Stage) -> None:
    stage.holder.enter(StageState.RUNNING)
    while not stage.stopping:
        stage.kill.look()
        request = arming.arm_requested(stage.kill.var_path)
        if request is not None:
            await _take(stage, request)
        await asyncio.sleep(0.05)


async def _take(stage: Stage, request: arming.ArmRequest) -> None:
    var = stage.kill.var_path
    live = os.environ.get("TEST_LIVE") == "1"
    now_ms = time.time_ns() // 1_000_000
    why = arming.refusal(request, pressed(var), wallet=WALLET, live=live, now_ms=now_ms)
    if why:
        arming.refuse(var, request.nonce, why)
        return
    failed = await arming.clear(stage.kill, request)
    stage.log.info("arming: %s", failed or "done")


def _run(which: str, instance: str) -> None:
    sys.argv = [which, "--instance", instance]
    if which == "executor":
        main(Role.EXECUTOR, lambda stage: stage.run_async(_heed))
        return
    sweeps = os.environ.get("TEST_SWEEPS", "")
    killer_stage.SWEEPS_S = tuple(msgspec.json.decode(sweeps)) if sweeps else SHORT_SWEEPS_S
    killer_stage.BEAT_EVERY_S = float(os.environ.get("TEST_BEAT_S", "4"))
    main(Role.KILLER, lambda stage: stage.run_async(killer_stage.work))


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2])
