"""`polytrio doctor` beside a running system: the simulated exchange is asked like any venue."""

import json
import subprocess

import pytest

from tests.pipeline.system import POLYTRIO, ROOT, System, environment, until

pytestmark = pytest.mark.slow


def test_the_wallet_of_a_running_system_is_proven_without_disturbing_it(instance, tmp_path):
    env = environment(instance, tmp_path / "var")
    system = System(instance, [*POLYTRIO, "run", "--json"], env, tmp_path)
    try:
        until(lambda: system.all_running() and system.executor().baskets_sent > 0, "it trades")
        done = subprocess.run(
            [*POLYTRIO, "doctor", "--json"], cwd=ROOT, env=env, capture_output=True, text=True
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)
        states = {check["name"]: check["state"] for check in told["checks"]}
        assert states["key file"] == states["login"] == states["balance"] == "ok"
        assert [name for name, state in states.items() if state != "ok"] == ["chain"]
        before = system.executor().baskets_sent
        until(lambda: system.executor().baskets_sent > before, "it goes on trading")
        code, _, err = system.stop()
        assert code == 0, err
    finally:
        system.end()
