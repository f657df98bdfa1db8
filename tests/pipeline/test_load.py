"""The load test on the real system: nothing lost at a small rate, and what is lost is seen."""

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from desk import load
from desk.load_profiles import PROFILES
from desk.load_system import loaded
from shm import backend, segment
from shm.settings import Settings
from tests.conftest import require_or_skip
from tests.pipeline.system import POLYTRIO

ROOT = Path(__file__).parents[2]
SMALL = PROFILES["twice"]


@pytest.fixture(autouse=True)
def native():
    require_or_skip(backend.NATIVE, "the compiled kernels")


def test_every_frame_comes_to_its_end_and_a_stopped_ingest_is_time_for_all_of_them():
    async def scenario():
        async with loaded(Settings(), SMALL) as system:
            calm = await load.attempt(system, SMALL, 1_000.0, 1.0)
            ingest = system.pids["ingest"]
            loop = asyncio.get_running_loop()
            loop.call_later(0.3, os.kill, ingest, signal.SIGSTOP)
            loop.call_later(0.7, os.kill, ingest, signal.SIGCONT)
            stopped = await load.attempt(system, SMALL, 1_000.0, 1.0)
            return system.markets, calm, stopped, system.fabric.instance

    markets, calm, stopped, instance = asyncio.run(scenario())
    assert markets == SMALL.wanted_markets
    assert (calm.frames, calm.lost) == (1_000, 0)
    assert stopped.lost == 0, "what waits in a socket is not lost"
    assert stopped.delays_us.max >= 300_000
    assert stopped.delays_us.p90 >= 200_000, "all that came meanwhile had to wait"
    assert not list(segment.SHM_ROOT.glob(f"polytrio.{instance}.*"))


def test_frames_that_a_dead_ingest_never_took_are_counted_as_lost():
    async def scenario():
        async with loaded(Settings(), SMALL) as system:
            loop = asyncio.get_running_loop()
            loop.call_later(0.4, os.kill, system.pids["ingest"], signal.SIGKILL)
            return await load.attempt(system, SMALL, 1_000.0, 1.0)

    outcome = asyncio.run(scenario())
    assert outcome.lost > 100
    assert not outcome.sustained


def test_the_verb_answers_machines_with_one_object(tmp_path):
    command = [*POLYTRIO, "bench", "soak", "--minutes", "0.05", "--profile", "venue", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-800:]
    said = json.loads(done.stdout)
    assert said["profile"] == "venue"
    assert said["markets"] == 770
    assert said["frames"] == 6_600 * 3
    assert said["growth_mb"].keys() == {"ingest", "engine", "executor"}
