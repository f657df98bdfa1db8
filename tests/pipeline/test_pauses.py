"""Hazards E2, E3, E5: all stood still, one stage did, one has run out of something."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from shm.codes import STAGES, Role
from tests.pipeline.system import POLYTRIO, System, environment, last_json, until

pytestmark = pytest.mark.slow

PAUSE_S = 3.0
HICCUP_S = 1.0


@pytest.fixture
def system(instance, tmp_path):
    env = environment(instance, tmp_path / "var")
    found = System(instance, [*POLYTRIO, "run", "--json"], env, tmp_path)
    yield found
    found.end()


def trades(system) -> None:
    before = system.executor().baskets_complete
    until(lambda: system.executor().baskets_complete > before, "it trades", 90)


def family(pid: int) -> list[int]:
    """A process and everything that it has started, itself first."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def require_agreement(system) -> None:
    code, out, err = system.stop()
    assert code == 0, err
    summary = last_json(out)
    assert summary["cash_usd_e6"] == summary["exchange_cash_usd_e6"]
    assert summary["positions_e6"] == summary["exchange_positions_e6"]


def test_e2_after_all_processes_stood_still_the_books_are_true_and_trading_goes_on(system):
    until(system.all_running, "all stages run")
    trades(system)
    pids = family(system.process.pid)
    assert len(pids) > len(STAGES) + 1
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(PAUSE_S)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)
    # Either a stage was found hung and started again, or it goes on; the books are true either way.
    until(system.all_running, "all stages run", 90)
    trades(system)
    require_agreement(system)


def test_e3_signals_that_waited_for_a_stopped_executor_are_refused_for_their_age(system):
    until(system.all_running, "all stages run")
    trades(system)
    row = system.row(Role.EXECUTOR)
    for _ in range(20):
        before = system.executor()
        os.kill(row.pid, signal.SIGSTOP)
        time.sleep(HICCUP_S)
        os.kill(row.pid, signal.SIGCONT)
        until(
            lambda seen=before.signals_seen: system.executor().signals_seen > seen, "signals come"
        )
        if system.executor().refused_stale > before.refused_stale:
            break
    assert system.executor().refused_stale > before.refused_stale
    assert system.row(Role.EXECUTOR).epoch == row.epoch, "a hiccup is no reason to kill it"
    trades(system)
    require_agreement(system)


@pytest.mark.parametrize("what", [resource.RLIMIT_NOFILE, resource.RLIMIT_AS])
def test_e5_an_executor_that_runs_out_of_something_loses_nothing(system, what):
    until(system.all_running, "all stages run")
    trades(system)
    row = system.row(Role.EXECUTOR)
    _, hard = resource.prlimit(row.pid, what)
    resource.prlimit(row.pid, what, (8 if what == resource.RLIMIT_NOFILE else 2**20, hard))
    time.sleep(PAUSE_S)
    # It may have died of it, and is back; or it has gone on with what it had.
    if system.row(Role.EXECUTOR).epoch == row.epoch:
        os.kill(row.pid, signal.SIGKILL)
    until(lambda: system.row(Role.EXECUTOR).epoch > row.epoch, "another executor", 90)
    until(system.all_running, "all stages run", 90)
    trades(system)
    require_agreement(system)
