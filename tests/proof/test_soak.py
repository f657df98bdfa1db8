"""Thousands of random kills of two real stages (tests/proof/soak.py): nothing torn, lost, wedged.

What is guaranteed when a consumer is killed, exactly. A message is given back when `pop` returns.
Killed before that, also inside `pop`, the consumer leaves it to its successor: whoever handles
first and gives back afterwards loses nothing, and one message at most is seen twice. Killed after
`pop` and before it has acted, it takes with it what it holds: one message, or one batch of
`pop_many`. The stages work that way, and look at all books, or at the venue, when they start. Both
kinds of consumer run here; that no death ever costs or doubles more than this is checked at each.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import require_or_skip

pytestmark = pytest.mark.proof

ROOT = Path(__file__).parents[2]
KILLS = 10_000 if os.environ.get("POLYTRIO_SOAK") == "long" else 2_000
KILLS_IN_PYTHON = KILLS // 4
KILLS_PLANTED = 4_000


def soak(capfd, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one; whoever looks at a terminal sees it progress."""
    with capfd.disabled():
        return subprocess.run(
            [sys.executable, "-m", "tests.proof.soak", *words],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=None if sys.stderr.isatty() else subprocess.PIPE,
            text=True,
        )


def require_harmless(done: subprocess.CompletedProcess[str], kills: int) -> dict[str, float]:
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["kills"] == kills == seen["kills of ingest"] + seen["kills of engine"]
    assert seen["messages"] > 50 * kills
    assert seen["rests"] > kills // 50
    # A soak that never hits a process inside an operation would show nothing.
    assert seen["half a row"] + seen["half a message"] + seen["redelivered"] > kills // 200
    assert seen["in hand and gone"] > 0
    return seen


def test_random_kills_of_both_stages_harm_nothing(capfd):
    require_harmless(soak(capfd, str(KILLS)), KILLS)


def test_random_kills_harm_nothing_in_python_mode(capfd):
    require_or_skip(platform.machine() == "x86_64", "a processor on which Python mode is correct")
    done = soak(capfd, str(KILLS_IN_PYTHON), POLYTRIO_PYTHON="1")
    require_harmless(done, KILLS_IN_PYTHON)


@pytest.mark.parametrize(
    ("mistake", "what"),
    [
        ("forgetful", "not where the committed messages end"),
        ("publish-first", "is a mixture"),
        ("release-first", "lost: given back"),
        ("blind-marks", ", looked at "),
        ("stuck", "wedged"),
    ],
)
def test_a_planted_mistake_is_caught_by_the_soak(capfd, mistake, what):
    done = soak(capfd, str(KILLS_PLANTED), "", mistake)
    assert done.returncode == 1
    if done.stderr is not None:
        assert "BROKEN" in done.stderr
        assert what in done.stderr
