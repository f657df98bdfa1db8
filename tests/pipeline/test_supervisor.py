"""`supervisor.py` and supervisord: the deployment, with the policy that `polytrio run` has."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from desk.snapshot import Observer
from desk.summary import agrees
from shm import backend, segment
from shm.codes import STAGES, Role
from shm.errors import RoleTaken
from shm.roles import RoleLock
from shm.settings import StageSettings
from tests.conftest import require_or_skip
from tests.pipeline.system import ROOT, System, environment, until

pytestmark = pytest.mark.slow

SUPERVISORD = Path(sys.executable).parent / "supervisord"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def deployment(instance, tmp_path):
    require_or_skip(SUPERVISORD.exists(), "supervisord (group ops)")
    port = free_port()
    env = environment(instance, tmp_path / "var", POLYTRIO__SIM__PORT=str(port))
    system = System(instance, [sys.executable, "supervisor.py", "up"], env, ROOT)
    system.env = env
    system.url = f"http://127.0.0.1:{port}"
    yield system
    if system.process.poll() is None:
        system.process.send_signal(signal.SIGTERM)
        try:
            system.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            system.process.kill()
            system.process.communicate()


def in_agreement(system) -> bool:
    """Our ledger and the exchange's, at a moment when nothing is on its way."""
    import asyncio

    from desk.exchange import ask_state

    state = asyncio.run(ask_state(system.url))
    now = Observer(system.instance).look()
    return now.account.reserved_usd_e6 == 0 and agrees(now, state)


def test_a_deployment_trades_survives_kills_and_goes_down(deployment, instance):
    until(deployment.all_running, "all stages run", 60)
    until(lambda: deployment.executor().baskets_complete > 1, "baskets complete", 60)
    for role in (Role.EXECUTOR, Role.ENGINE, Role.INGEST):
        epoch = deployment.row(role).epoch
        deployment.kill(role)
        until(lambda r=role, e=epoch: deployment.row(r).epoch == e + 1, f"{role.label} is back")
    until(deployment.all_running, "all stages run", 60)
    before = deployment.executor().baskets_complete
    until(lambda: deployment.executor().baskets_complete > before, "trading goes on", 60)
    until(lambda: in_agreement(deployment), "both ledgers agree")

    second = subprocess.run(
        [sys.executable, "supervisor.py", "up"], env=deployment.env, cwd=ROOT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert second.returncode == RoleTaken.exit_code
    assert "another supervisor" in second.stderr

    pids = [deployment.row(role).pid for role in STAGES]
    done = subprocess.run(
        [sys.executable, "supervisor.py", "down"], env=deployment.env, cwd=ROOT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert deployment.finish(20)[0] == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not list(segment.list_files(instance))


def test_a_hung_stage_is_killed_by_the_watch_and_all_die_with_supervisord(deployment, instance):
    until(deployment.all_running, "all stages run", 60)
    row = deployment.row(Role.ENGINE)
    # The watch gives a young process time to start before it judges it.
    os.kill(row.pid, signal.SIGSTOP)
    until(lambda: deployment.row(Role.ENGINE).epoch == row.epoch + 1, "a new engine", 60)
    until(deployment.all_running, "all stages run", 60)
    deployment.process.kill()
    deployment.process.communicate()
    until(
        lambda: not any(RoleLock(instance, role).held_by_anyone() for role in STAGES),
        "stages die with supervisord",
    )


def test_under_supervisord_settings_are_reloaded_and_a_crashing_engine_falls_back(
    deployment, instance
):
    def ask(*words: str) -> dict:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "desk", *words, "--json"], env=deployment.env,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    until(deployment.all_running, "all stages run", 60)
    assert ask("config", "reload")["last_attempt"]["result"] == "unchanged", "the watch answers"
    if not backend.NATIVE:
        return
    deaths = StageSettings().fallback_after + 1
    for _ in range(deaths):
        epoch = deployment.row(Role.ENGINE).epoch
        deployment.kill(Role.ENGINE)
        until(lambda e=epoch: deployment.row(Role.ENGINE).epoch > e, "the engine is back", 60)
    until(lambda: ask("mode", "show")["engine"]["fallen_back"], "the fall-back")
    until(lambda: ask("mode", "show")["engine"]["runs"] == "python", "the Python engine")
