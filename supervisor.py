"""The door to a deployment: makes the segments, becomes supervisord, watches the heartbeats.

    python supervisor.py up      make the segments and run everything under supervisord
    python supervisor.py watch   (run by supervisord) kill stages that stand still, stop crash loops
    python supervisor.py down    stop a running system and remove its segments
    python supervisor.py status  what supervisord says

This file is run, never imported and never packaged: supervisord's own package has the same name
(docs/decisions.md, D5). For a system in a terminal there is `polytrio run`.
"""

import argparse
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from pathlib import Path

import msgspec

from shm import backend, money
from shm.codes import SUPERVISED, Role
from shm.control import require_settings
from shm.errors import ConfigError, PolytrioError
from shm.fabric import Fabric
from shm.kill import DIR_MODE, Kill
from shm.passwords import CREDENTIAL, credential, needs_password
from shm.process import start_ticks
from shm.roles import Health, RoleDeputy, RoleLock, RoleTable, health
from shm.settings import Settings
from shm.sources import Loaded, derived, read, with_values
from shm.stage import KILL_SIGNAL, LOG_FORMAT
from shm.stillness import WATCHER_LIMIT_NS, Stillness
from shm.supervision import Supervision
from shm.system import create_all, destroy_all

ROOT = Path(__file__).resolve().parent
CONFIG = ROOT / "deploy" / "supervisord.conf"
SIM_PORT = 8700
"""Under supervisord the simulated exchange needs a port that is known beforehand."""
WATCH_S = 0.25
STOP_PATIENCE_S = 15.0
log = logging.getLogger("supervisor")


def tool(name: str) -> str:
    """Path of a program of the supervisor distribution, beside our interpreter."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise ConfigError(f"{name} is not installed here: run `make setup` (group ops)")
    return str(path)


def environment(settings: Settings, sim: Settings | None = None) -> dict[str, str]:
    """What deploy/supervisord.conf refers to as %(ENV_...)s.

    The simulated exchange is started by `sim`: the same settings before its own addresses were
    filled in, because those of a live venue that it mirrors stand there.
    """
    run_dir = settings.var_path.resolve()
    return {
        **os.environ,
        "POLYTRIO_PYTHON_BIN": sys.executable,
        "POLYTRIO_INSTANCE": settings.instance,
        "POLYTRIO_RUN_DIR": str(run_dir),
        "POLYTRIO_SIM_OPTIONS": " ".join((sim or settings).sim_options()),
        "POLYTRIO_START_SIM": "true" if settings.mode == "paper" else "false",
    }


def deployed(config: Path | None, instance: str | None) -> Loaded:
    """The settings of a deployment: those of the file, with the venue's addresses."""
    overrides = {"POLYTRIO__INSTANCE": instance} if instance else {}
    loaded = read(config, {**os.environ, **overrides})
    settings = loaded.settings
    settings.require_supported()
    if settings.mode == "live":
        return derived(loaded, settings.with_live_addresses())
    port = settings.sim.port or SIM_PORT
    sim = msgspec.structs.replace(settings.sim, port=port)
    settings = msgspec.structs.replace(settings, sim=sim)
    return derived(loaded, settings.with_addresses(f"http://127.0.0.1:{port}"))


def as_read(loaded: Loaded) -> Settings:
    """The settings with the venue's addresses as they were read."""
    filled = loaded.origin.filled
    return with_values(
        loaded.settings, {key: filled[key] for key in filled if key.startswith("venues.")}
    )


def require_password(key_file: Path, given: Mapping[str, str]) -> None:
    """Nobody types under supervisord, and it closes what its children could inherit."""
    if needs_password(key_file) and credential(given) is None:
        raise ConfigError(
            f"key file {key_file} is a keystore: under supervisord its password is the systemd "
            f"credential {CREDENTIAL!r} (docs/security.md), or use `polytrio run`"
        )


def up(config: Path | None, instance: str | None) -> None:
    """Make the segments, then become supervisord, which keeps the supervisor's lock for life."""
    loaded = deployed(config, instance)
    settings = loaded.settings
    backend.require_usable(live=settings.mode == "live")
    if not backend.NATIVE:
        log.warning(backend.notice())
    require_password(settings.key_path, os.environ)
    supervisord = tool("supervisord")
    lock = RoleLock(settings.instance, Role.SUPERVISOR)
    lock.take()
    money.claim(settings.var_path, live=settings.mode == "live")
    settings.var_path.mkdir(parents=True, exist_ok=True, mode=DIR_MODE)
    (settings.var_path / "log").mkdir(exist_ok=True)
    create_all(*loaded)
    lock.keep_over_exec()
    # Inherited by all stages: a kill signal waits until its stage can hear it (shm/stage.py).
    # supervisord itself would only open its logs again.
    signal.pthread_sigmask(signal.SIG_BLOCK, {KILL_SIGNAL})
    command = [supervisord, "--nodaemon", "--configuration", str(CONFIG)]
    os.execve(supervisord, command, environment(settings, as_read(loaded)))  # noqa: S606


def control(settings: Settings, *words: str) -> int:
    """Run supervisorctl against a running deployment."""
    command = [tool("supervisorctl"), "--configuration", str(CONFIG), *words]
    return subprocess.run(command, env=environment(settings), check=False).returncode  # noqa: S603


def down(config: Path | None, instance: str | None) -> None:
    """Stop a deployment in order and remove its segments."""
    settings = deployed(config, instance).settings
    control(settings, "shutdown")
    lock = RoleLock(settings.instance, Role.SUPERVISOR)
    deadline_s = time.monotonic() + STOP_PATIENCE_S
    while lock.held_by_anyone():
        if time.monotonic() > deadline_s:
            raise PolytrioError(f"supervisord still runs after {STOP_PATIENCE_S:.0f} s")
        time.sleep(0.1)
    destroy_all(settings.instance)


# --- watch: supervisord's event listener --------------------------------------------------------


def listener_says(word: str) -> None:
    """Answer supervisord in its event-listener protocol."""
    sys.stdout.write(word)
    sys.stdout.flush()


def read_event() -> dict[str, str]:
    """One event: header and payload, both lines of `key:value` words."""
    header = dict(word.split(":", 1) for word in sys.stdin.readline().split())
    if not header:
        raise SystemExit(0)  # supervisord is gone
    payload = sys.stdin.read(int(header["len"])).split("\n", 1)[0]
    return header | dict(word.split(":", 1) for word in payload.split() if ":" in word)


class Watch:
    """Kills stages that stand still and stops those that keep crashing.

    A stage that stays down after crashing, and a killer that stays down at all, stop all trading.
    """

    def __init__(self, instance: str) -> None:
        fabric = Fabric(instance, Role.SUPERVISOR)
        # supervisord has the supervisor's lock, and we act for it: fenced with it.
        deputy = RoleDeputy(fabric.segment("control", writable=True), Role.SUPERVISOR)
        fabric.fence = deputy.fence
        self._instance = instance
        self._fabric = fabric
        self.supervision = Supervision(fabric)
        self._table = RoleTable(fabric.segment("control", writable=False))
        self._settings = require_settings(fabric)
        self.kill = Kill(fabric, self._settings.var_path)
        self._crashes: dict[str, deque[float]] = defaultdict(deque)
        self._still = Stillness(limit_ns=WATCHER_LIMIT_NS)

    def look(self) -> None:
        """Look at every stage once, and at the settings."""
        self._fabric.require_named()
        self.supervision.turn()
        now_ns = time.monotonic_ns()
        self._still.look()
        for role in SUPERVISED:
            seen = health(self._table, self._instance, role, now_ns)
            if seen.hung and not self._still.recent:  # else all may have stood still together
                kill_hung(seen)

    def hear(self, event: dict[str, str]) -> None:
        """Count crashes; too many in a minute, and the stage stays down until somebody looks."""
        name = event.get("processname", "?")
        if event.get("eventname") == "PROCESS_STATE_FATAL":
            log.error("%s cannot be started", name)
            self.kill.press("supervisord", f"{name} cannot be started")
            return
        if event.get("eventname") != "PROCESS_STATE_EXITED":
            return
        if event["expected"] == "1":
            log.warning("%s ended by itself and stays down: see its log", name)
            if name == Role.KILLER.label:
                self.kill.press("supervisord", "there is no killer any more: see its log")
            return
        crashes = self._crashes[name]
        now_s = time.monotonic()
        crashes.append(now_s)
        while crashes and now_s - crashes[0] > 60.0:
            crashes.popleft()
        log.warning("%s died; %d times within the last minute", name, len(crashes))
        role = next((role for role in SUPERVISED if role.label == name), None)
        if role is not None and self.supervision.stage_died(role, len(crashes)):
            crashes.clear()  # as another program, in a way
        elif len(crashes) > self.supervision.limits.restarts_per_minute:
            log.error("%s keeps crashing: stopping it", name)
            self.kill.press("supervisord", f"{name} keeps crashing")
            control(self._settings, "stop", name)


def kill_hung(seen: Health) -> None:
    """SIGKILL a stage that stands still, if its pid still belongs to it."""
    if start_ticks(seen.row.pid) == seen.row.start_ticks:
        log.warning("%s stands still for %d ms: killing pid %d",
                    seen.role.label, seen.heartbeat_age_ns // 1_000_000, seen.row.pid)  # fmt: skip
        os.kill(seen.row.pid, signal.SIGKILL)


def watch(instance: str) -> None:
    """The listener's loop: events as they come, a look at the heartbeats in between."""
    guard = Watch(instance)
    signal.signal(KILL_SIGNAL, lambda *_: guard.kill.press("signal to watch"))
    signal.signal(signal.SIGHUP, lambda *_: guard.supervision.reloader.ask())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {KILL_SIGNAL})
    listener_says("READY\n")
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], WATCH_S)
        if readable:
            guard.hear(read_event())
            listener_says("RESULT 2\nOKREADY\n")
        guard.look()


def main() -> None:
    """Parse and run a verb."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("verb", choices=["up", "watch", "down", "status"])
    parser.add_argument("--config", type=Path, help="settings file; ./polytrio.toml if present")
    parser.add_argument("--instance", help="overrides the settings")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
    try:
        match arguments.verb:
            case "up":
                up(arguments.config, arguments.instance)
            case "watch":
                watch(arguments.instance or "main")
            case "down":
                down(arguments.config, arguments.instance)
            case _:
                sys.exit(control(deployed(arguments.config, arguments.instance).settings, "status"))
    except PolytrioError as error:
        sys.stderr.write(f"supervisor: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
