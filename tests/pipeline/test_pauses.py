"""Hazards E2, E3, E5: all stood still, one stage did, one has run out of something."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from desk.journal import Wanted, as_json, entries, kinds_of
from shm.codes import STAGES, Role
from shm.fabric import Fabric
from shm.journal_files import Place
from shm.layout import INGEST_STATS
from tests.pipeline.system import POLYTRIO, System, environment, until

pytestmark = pytest.mark.slow

PAUSE_S = 4.0
HICCUP_S = 1.0
NEEDS_S = 30.0


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


def connections(system) -> int:
    """How many sockets ingest has opened so far."""
    counters = Fabric(system.instance).counters("stats-ingest.counters", INGEST_STATS, write=False)
    return counters.read().connections


def modes_of(system, tmp_path) -> list[tuple[str, str]]:
    """Every change of the mode that the journal has, in order."""
    place = Place(tmp_path / "var" / system.instance / "journal")
    found = [
        as_json(entry)["payload"] for entry in entries(place, Wanted(kinds=kinds_of(["mode"])))
    ]
    return [(one["mode"], one["cause"]) for one in found]


def test_e2_after_all_stood_still_the_books_begin_anew_and_it_compares_before_it_trades(
    system, tmp_path
):
    until(system.all_running, "all stages run")
    trades(system)
    epochs = [system.row(role).epoch for role in STAGES]
    opened, reconnects = connections(system), system.executor().reconnects
    pids = family(system.process.pid)
    assert len(pids) > len(STAGES) + 1
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(PAUSE_S)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)
    until(lambda: connections(system) > opened, "ingest subscribes anew")
    trades(system)
    assert [system.row(role).epoch for role in STAGES] == epochs, "nobody was killed for it"
    assert system.executor().reconnects == reconnects + 1, "so does the user channel, once"
    system.stop_in_agreement()
    modes = modes_of(system, tmp_path)
    began = modes.index(("CANCEL_ONLY", "STOOD_STILL"))
    assert modes[began + 1] == ("ARMED", "CALM")


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
    system.stop_in_agreement()


@pytest.mark.parametrize(
    ("what", "most"), [(resource.RLIMIT_NOFILE, 8), (resource.RLIMIT_AS, 2**20)]
)
def test_e5_an_executor_that_runs_out_of_something_dies_comes_back_and_loses_nothing(
    system, what, most
):
    until(system.all_running, "all stages run")
    trades(system)
    row = system.row(Role.EXECUTOR)
    _, hard = resource.prlimit(row.pid, what)
    resource.prlimit(row.pid, what, (most, hard))
    # It measures itself every second, and so needs a descriptor; memory it may have to spare.
    deadline_s = time.monotonic() + NEEDS_S
    while what == resource.RLIMIT_AS and system.row(Role.EXECUTOR).epoch == row.epoch:
        if time.monotonic() > deadline_s:
            os.kill(row.pid, signal.SIGKILL)
            break
        time.sleep(0.1)
    until(lambda: system.row(Role.EXECUTOR).epoch > row.epoch, "it dies of it and comes back", 90)
    until(system.all_running, "all stages run", 90)
    trades(system)
    system.stop_in_agreement()
