"""A running system in the hands of its operator: verbs, what it shows, what its journal says."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from desk.snapshot import Observer
from shm.codes import Mode
from shm.journal_files import Place
from shm.journal_record import RECORD_BYTES, entry_at
from shm.settings import load
from tests.pipeline.system import POLYTRIO, System, environment, until


def starting(instance: str, tmp_path: Path) -> Iterator[Callable[..., System]]:
    """For a fixture: starts `polytrio run`, with settings from the environment."""
    running = []

    def start(room_bytes: int | None = None, name: str = instance, **settings: str) -> System:
        command = [*POLYTRIO, "run"]
        if room_bytes is not None:
            command = ["prlimit", f"--fsize={room_bytes}", *command]
        var = tmp_path / f"var-{name}"
        system = System(name, command, environment(name, var, **settings), tmp_path)
        system.var, system.env = load(None, {"POLYTRIO__INSTANCE": name,
                                             "POLYTRIO__DESK__VAR_DIR": str(var)}).var_path, \
            environment(name, var, **settings)  # fmt: skip
        running.append(system)
        return system

    yield start
    for system in running:
        system.end()


def told(system, *arguments: str) -> subprocess.CompletedProcess:
    """Another verb, as the operator types it."""
    command = [*POLYTRIO, *arguments, "--instance", system.instance]
    return subprocess.run(command, env=system.env, cwd=system.var, capture_output=True, text=True,
                          timeout=120)  # fmt: skip


def account(system):
    return Observer(system.instance).look().account


def mode(system) -> Mode:
    return Mode(account(system).mode)


def entries(system) -> list:
    """What the living segment of the journal says now."""
    path = list(Place(system.var / "journal").segments().values())[-1]
    data, found = memoryview(path.read_bytes()), []
    for at in range(0, len(data), RECORD_BYTES):
        if not any(data[at : at + 8]):
            break
        found.append(entry_at(data, at))
    return found


def trades(system) -> None:
    """Wait until one more basket is complete."""
    before = system.executor().baskets_complete
    until(lambda: system.executor().baskets_complete > before, "trading goes on")
