"""Stage: the frame of every process, tried with real processes and real deaths."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from shm.codes import Role, StageState
from shm.errors import FencedError, RoleTaken, SegmentMissing, SegmentOrphaned
from shm.fabric import Fabric
from shm.layout import STAGE_STATS
from shm.roles import RoleHolder, RoleLock, RoleTable
from shm.segment import list_files
from shm.settings import Settings
from shm.system import create_all

POLLER = """
import sys, time
from shm import stage
from shm.codes import Role

class Quiet:
    def step(self, spins, turn_ns, *, may_sleep): time.sleep(0.005)

sys.argv = ["engine", "--instance", {instance!r}]
stage.ATTACH_PATIENCE_S = {patience}
stage.main(Role.ENGINE, lambda s: s.run_poller(Quiet()))
"""
RAISING = """
import asyncio, sys
from shm import stage
from shm.codes import Role

async def work(s):
    asyncio.get_running_loop().call_later(0.05, lambda: 1 / 0)
    await asyncio.sleep(30)

sys.argv = ["engine", "--instance", {instance!r}]
stage.main(Role.ENGINE, lambda s: s.run_async(work))
"""
Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start(instance) -> Iterator[Start]:
    running = []

    def run(code: str = POLLER, patience: float = 10.0, **options) -> subprocess.Popen:
        text = code.replace("{instance!r}", repr(instance)).replace("{patience}", str(patience))
        process = subprocess.Popen(
            [sys.executable, "-c", text], stderr=subprocess.PIPE, text=True, **options
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def table_of(instance: str) -> RoleTable:
    return RoleTable(Fabric(instance).segment("control", writable=False))


def running(instance: str, epoch: int) -> bool:
    row = table_of(instance).row(Role.ENGINE)
    return row.state == StageState.RUNNING and row.epoch == epoch


def ended(process: subprocess.Popen) -> tuple[int, str]:
    _, errors = process.communicate(timeout=20)
    return process.returncode, errors


def test_a_stage_runs_beats_and_stops_on_sigterm(instance, start):
    create_all(Settings(instance=instance))
    process = start()
    until(lambda: running(instance, 1), "never ran")
    first = table_of(instance).row(Role.ENGINE)
    assert first.pid == process.pid
    until(lambda: table_of(instance).row(Role.ENGINE).loops > first.loops + 2, "no heartbeat")
    stats = Fabric(instance).counters("stats-engine.stage", STAGE_STATS, write=False)
    until(lambda: stats.read().rss_bytes > 0, "never measured itself")
    assert stats.read().gc_collections == 0
    process.terminate()
    assert ended(process)[0] == 0
    assert table_of(instance).row(Role.ENGINE).state == StageState.STOPPED


def test_after_kill_9_the_next_one_takes_the_role_with_a_new_epoch(instance, start):
    create_all(Settings(instance=instance))
    for epoch in (1, 2, 3):
        process = start()
        until(lambda epoch=epoch: running(instance, epoch), f"epoch {epoch} never ran")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def test_a_second_one_is_refused_with_one_line_and_its_own_code(instance, start):
    create_all(Settings(instance=instance))
    start()
    until(lambda: running(instance, 1), "never ran")
    code, errors = ended(start())
    assert code == RoleTaken.exit_code
    assert errors.count("\n") == 1
    assert "another engine" in errors


def test_without_segments_it_waits_a_while_and_says_what_to_do(start):
    code, errors = ended(start(patience=0.2))
    assert code == SegmentMissing.exit_code
    assert "start the system first" in errors.splitlines()[-1]


def test_segments_made_a_moment_later_are_found(instance, start):
    start()
    time.sleep(0.5)
    create_all(Settings(instance=instance))
    until(lambda: running(instance, 1), "never found its segments")


def test_segments_removed_under_it_end_it(instance, start):
    create_all(Settings(instance=instance))
    process = start()
    until(lambda: running(instance, 1), "never ran")
    for file in list_files(instance):
        file.path.unlink()
    code, errors = ended(process)
    assert code == SegmentOrphaned.exit_code
    assert "restart the system" in errors


def test_a_stage_whose_role_was_taken_ends_itself(instance, start):
    create_all(Settings(instance=instance))
    process = start()
    until(lambda: running(instance, 1), "never ran")
    thief = Fabric(instance, Role.ENGINE)
    RoleHolder(thief.segment("control", writable=True), Role.ENGINE)
    code, errors = ended(process)
    assert code == FencedError.exit_code
    assert "another process has taken it" in errors


def test_e6_an_error_in_a_callback_ends_the_stage_with_a_traceback(instance, start):
    create_all(Settings(instance=instance))
    code, errors = ended(start(RAISING))
    assert code == 1
    assert "ZeroDivisionError" in errors
    assert not RoleLock(instance, Role.ENGINE).held_by_anyone()


def test_a_stage_dies_with_its_parent(instance):
    create_all(Settings(instance=instance))
    inner = POLLER.replace("{instance!r}", repr(instance)).replace("{patience}", "10")
    outer = "\n".join(
        [
            "import subprocess, sys, time",
            f"subprocess.Popen([sys.executable, '-c', {inner!r}])",
            "time.sleep(60)",
        ]
    )
    parent = subprocess.Popen([sys.executable, "-c", outer], stderr=subprocess.DEVNULL)
    until(lambda: running(instance, 1), "never ran")
    assert RoleLock(instance, Role.ENGINE).held_by_anyone()
    parent.kill()
    parent.wait()
    until(lambda: not RoleLock(instance, Role.ENGINE).held_by_anyone(), "outlived its parent")


def test_python_without_assertions_is_refused(instance):
    create_all(Settings(instance=instance))
    text = POLLER.replace("{instance!r}", repr(instance)).replace("{patience}", "10")
    done = subprocess.run([sys.executable, "-O", "-c", text], capture_output=True, text=True)
    assert done.returncode == 3
    assert "python -O" in done.stderr
