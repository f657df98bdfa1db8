"""Both supervisors: a stage that stands still is killed, unless the watcher stood still with it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

import supervisor
from desk import processes
from desk.processes import Child, Tree
from shm.codes import Role
from shm.fabric import Fabric
from shm.kill import Kill
from shm.roles import RoleHolder
from shm.settings import Settings
from shm.stillness import WATCHER_LIMIT_NS
from shm.supervision import Supervision
from shm.system import create_all

PID = 7
HUNG = SimpleNamespace(hung=True, row=SimpleNamespace(pid=PID))


@pytest.fixture
def settings(instance, tmp_path):
    """Of a system whose segments are there."""
    desk = replace(Settings().desk, var_dir=str(tmp_path))
    made = Settings(instance=instance, desk=desk)
    fabric = create_all(made)
    RoleHolder(fabric.segment("control", writable=True), Role.SUPERVISOR)
    return made


def stand_still(still) -> None:
    """As if the last look had been long ago."""
    still._looked_ns -= WATCHER_LIMIT_NS + 1


def go_on(still) -> None:
    """As if it had turned in time for a while since then."""
    still._resumed_ns -= WATCHER_LIMIT_NS


def test_e2_under_supervisord_nobody_is_killed_by_a_watcher_that_stood_still(settings, monkeypatch):
    killed = []
    monkeypatch.setattr(supervisor, "health", lambda *_: HUNG)
    monkeypatch.setattr(supervisor, "kill_hung", killed.append)
    guard = supervisor.Watch(settings.instance)
    go_on(guard._still)
    stand_still(guard._still)
    guard.look()
    assert killed == []
    go_on(guard._still)
    guard.look()
    assert killed == [HUNG] * len(supervisor.SUPERVISED)


def test_e2_polytrio_run_kills_nobody_after_it_stood_still_itself(settings, monkeypatch):
    monkeypatch.setattr(processes, "health", lambda *_: HUNG)
    killed = []
    process = SimpleNamespace(pid=PID, poll=lambda: None, kill=lambda: killed.append(PID))
    child = Child("engine", [], Role.ENGINE, Path("log"), process)
    fabric = Fabric(settings.instance, Role.SUPERVISOR)
    tree = Tree(fabric, [child], Supervision(fabric), Kill(fabric, settings.var_path))
    go_on(tree._still)
    stand_still(tree._still)
    tree.look()
    assert killed == []
    go_on(tree._still)
    tree.look()
    assert killed == [PID]
