"""The frame in which every stage runs: start, loop, heartbeat, stop, and the meaning of its end.

Start and restart are the same path: take the role's lock, raise the epoch, attach, read the
settings from shared memory, work. A stage is either a `Poller` (engine: a loop of its own) or a
coroutine (ingest and executor: they own sockets). Both are stopped by SIGTERM, and both stamp their
heartbeat from the loop that does the work. SIGUSR2 to any stage stops all trading (shm/kill.py).

Known errors end the process with one line and the exit code of shm/errors.py; anything else is a
defect and ends it with a traceback and code 1, which a supervisor answers with a restart.
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Protocol

from shm import backend, layout
from shm.codes import Role, StageState
from shm.control import Published, SettingsReader, SwitchBoard
from shm.errors import ConfigError, PolytrioError, SegmentMissing
from shm.fabric import Fabric
from shm.kill import Kill
from shm.placement import pin
from shm.process import resident_bytes
from shm.roles import HEARTBEAT_PERIOD_NS, RoleHolder, RoleLock
from shm.settings import Settings
from shm.stillness import Stillness

SLOW_CHECK_NS = 1_000_000_000
"""How often a stage measures itself and looks whether its world is still the same."""

ATTACH_PATIENCE_S = 10.0
KILL_SIGNAL = signal.SIGUSR2
SPINS = 2_000
SPINS_DEDICATED = 200_000
"""About a millisecond: a spinning stage still returns to its loop this often."""

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class Poller(Protocol):
    """A stage with its own loop."""

    def step(self, spins: int, turn_ns: int, *, may_sleep: bool) -> None:
        """Do what there is to do for about `turn_ns`, then come back.

        With nothing to do, look `spins` times, and then sleep if that is allowed.
        """


class Stage:
    """What a stage holds while it runs: its role, its world, its clockwork."""

    def __init__(self, instance: str, role: Role, password_fd: int | None = None) -> None:
        self.role = role
        self.password_fd = password_fd
        """Where the parent has left the wallet's password to be read once; executor only."""
        self.log = logging.getLogger(role.label)
        self.fabric = Fabric(instance, role)
        found = _find_system(self.fabric)
        self.settings: Settings = found.settings
        """As published last; what a stage works with is what it has taken over."""
        self.settings_version = found.version
        self.core = pin(role, self.settings.stages.cores)
        self.fabric.touch = True  # the core is fixed: memory is touched here and now, not later
        self._lock = RoleLock(instance, role)
        self._lock.take()
        self.fabric.require_named()  # what we found before we held the lock may be gone
        self.holder = RoleHolder(self.fabric.segment("control", writable=True), role)
        self.fabric.fence = self.holder.fence
        self.holder.adopt_settings(self.settings_version)
        self._published = SettingsReader(self.fabric)
        self._taken_version = self.settings_version
        self.switches = SwitchBoard(self.fabric)
        self.kill = Kill(self.fabric, self.settings.var_path)
        self._stats = self.fabric.counters(
            f"stats-{role.label}.stage", layout.STAGE_STATS, write=True
        )
        self._parent = os.getppid()
        self._beat_ns = 0
        self._slow_ns = 0
        self._collections_before = 0
        self.still = Stillness()
        self.stopping = False

    @property
    def dedicated_core(self) -> bool:
        """Whether this stage may burn its core while it waits."""
        match self.settings.stages.wait:
            case "spin":
                return True
            case "block":
                return False
            case _:
                return self.core is not None

    def stop(self) -> None:
        """Leave the loop at its next turn."""
        self.stopping = True

    def warm(self) -> None:
        """Everything that lives long exists now: put it out of the collector's reach and count."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self._collections_before = _collections()

    def pulse(self) -> None:
        """Called on every turn of the loop; cheap unless something is due."""
        now_ns = time.monotonic_ns()
        if now_ns - self._beat_ns < HEARTBEAT_PERIOD_NS:
            return
        self._beat_ns = now_ns
        self.still.look()
        self.holder.fence.check()
        self.holder.beat(now_ns)
        if self._published.changed():
            self._look_at_settings()
        if now_ns - self._slow_ns >= SLOW_CHECK_NS:
            self._slow_ns = now_ns
            self._look_around()

    def _look_at_settings(self) -> None:
        published = self._published.read()
        if published is not None and published.version != self.settings_version:
            self.settings = published.settings
            self.settings_version = published.version

    def take_settings(self) -> Settings | None:
        """The settings, if they have changed since they were taken last.

        Whoever takes them works with them from now on: that is shown.
        """
        if self._taken_version == self.settings_version:
            return None
        self._taken_version = self.settings_version
        self.holder.adopt_settings(self.settings_version)
        self.log.info("settings %d", self.settings_version)
        return self.settings

    @property
    def sending(self) -> bool:
        """Whether orders may leave."""
        return self.switches.sending(self.settings)

    def _look_around(self) -> None:
        self._stats.set("rss_bytes", resident_bytes())
        self._stats.set("gc_collections", _collections() - self._collections_before)
        self.fabric.require_named()
        if os.getppid() != self._parent:
            self.log.warning("the supervising process is gone; stopping")
            self.stop()

    def run_poller(self, poller: Poller) -> None:
        """Turn the loop of a poller until stopped."""
        self.warm()
        self.holder.enter(StageState.RUNNING)
        spins = SPINS_DEDICATED if self.dedicated_core else SPINS
        while not self.stopping:
            self.pulse()
            poller.step(spins, HEARTBEAT_PERIOD_NS // 2, may_sleep=not self.dedicated_core)

    def run_async(self, work: Callable[["Stage"], Awaitable[None]]) -> None:
        """Run a coroutine that ends soon after `stopping` is true; its errors end the stage."""
        with asyncio.Runner(loop_factory=loop_factory(self.settings.stages.loop)) as runner:
            runner.run(self._run_async(work))

    async def _run_async(self, work: Callable[["Stage"], Awaitable[None]]) -> None:
        failures: list[BaseException] = []

        def fail(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            """A callback that raises would be logged and forgotten: here it ends the stage."""
            failures.append(context.get("exception") or RuntimeError(context["message"]))

        asyncio.get_running_loop().set_exception_handler(fail)
        worker = asyncio.ensure_future(work(self))
        self.warm()
        while not worker.done():
            self.pulse()
            await asyncio.wait([worker], timeout=HEARTBEAT_PERIOD_NS / 1e9)
            if failures:
                worker.cancel()
                raise failures[0]
        await worker


def loop_factory(wanted: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop that the settings ask for; `ConfigError` if it is not installed."""
    if wanted == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop  # noqa: PLC0415  # not needed where asyncio is wanted
    except ImportError:
        if wanted == "uvloop":
            raise ConfigError(
                'stages.loop = "uvloop", which is not installed: set stages.loop = "auto"'
            ) from None
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


def _find_system(fabric: Fabric) -> Published:
    """Wait a while for the segments: a stage may be started a moment before they are made.

    The settings are written last, so that whoever sees them finds all segments.
    """
    deadline = time.monotonic() + ATTACH_PATIENCE_S
    while True:
        try:
            published = SettingsReader(fabric).read()
        except SegmentMissing:
            if time.monotonic() > deadline:
                raise
        else:
            if published is not None:
                return published
            if time.monotonic() > deadline:
                raise SegmentMissing("the segments were never finished: start the system again")
        time.sleep(0.05)


def main(role: Role, body: Callable[[Stage], None]) -> None:
    """Entry point of `python -m <stage>`: parse, run `body`, turn its end into an exit code."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {role.module}",
        description=f"The {role.label} stage. Started by `polytrio run` or supervisor.py.",
    )
    parser.add_argument("--instance", default="main", help="which system this belongs to")
    if role is Role.EXECUTOR:
        parser.add_argument("--password-fd", type=int, help="descriptor of the wallet's password")
    arguments = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {KILL_SIGNAL})  # heard as soon as there is an ear
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
    try:
        _require_asserts()
        backend.require_usable()
        backend.die_with_parent()
        stage = Stage(arguments.instance, role, getattr(arguments, "password_fd", None))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stopper(stage))
        signal.signal(KILL_SIGNAL, _presser(stage))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {KILL_SIGNAL})
        if not backend.NATIVE:
            stage.log.warning(backend.notice())
        where = "any core" if stage.core is None else f"core {stage.core}"
        stage.log.info("epoch %d, pid %d, %s", stage.holder.epoch, os.getpid(), where)
        body(stage)
        stage.holder.enter(StageState.STOPPED)
    except PolytrioError as error:
        sys.stderr.write(f"{role.label}: {error}\n")
        sys.exit(error.exit_code)


def _stopper(stage: Stage) -> Callable[[int, FrameType | None], None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stage.stop()

    return stop


def _presser(stage: Stage) -> Callable[[int, FrameType | None], None]:
    def press(_number: int, _frame: FrameType | None) -> None:
        stage.kill.press(f"signal to {stage.role.label}")

    return press


def _require_asserts() -> None:
    if not __debug__:
        raise ConfigError("python -O strips the assertions that guard money; start without it")
