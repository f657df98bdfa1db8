"""Starts, killed at every line: create, attach, create_all, taking a role (tests/proof/lines.py).

After each death a fresh process must be able to start, or be refused with an error of the tree. No
segment is ever visible under its final name before it is whole, settings are never visible before
the segments, and segments of a dead system are never visible beside new ones.

What a death may leave is its unfinished work under a temporary name: private, never listed, never
attached, and removed by the next start.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.proof

long = pytest.mark.skipif(
    os.environ.get("POLYTRIO_SOAK") != "long",
    reason="a whole system is made for each line: many minutes, `make soak`",
)

ROOT = Path(__file__).parents[2]


def lines(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.proof.lines", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def deaths_of(act: str) -> dict[str, int]:
    done = lines(act)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_segment_killed_at_any_instruction_of_its_making_is_whole_or_not_there():
    seen = deaths_of("create")
    assert seen["deaths"] > 150
    assert seen["not visible"] > seen["visible"] > 1


def test_a_second_maker_killed_at_any_instruction_harms_nothing():
    assert deaths_of("create-again")["deaths"] > 150


def test_whoever_dies_while_attaching_has_changed_nothing():
    assert deaths_of("attach")["deaths"] > 100


def test_a_role_can_be_taken_after_a_death_at_any_instruction_of_its_taking():
    """The lock is free at once, and the epoch is higher than whatever the dead one saw."""
    seen = deaths_of("role")
    assert seen["deaths"] > 200
    assert seen["epoch raised"] > 1
    assert seen["epoch not raised"] > 1


@long
def test_a_first_start_killed_at_any_line_is_followed_by_a_second_that_works():
    """A stage that comes in between finds no system, or a whole one."""
    seen = deaths_of("create-all")
    assert seen["deaths"] > 500
    assert seen["a stage then: SegmentMissing"] > 500


@long
def test_a_new_start_over_a_dead_system_killed_at_any_line_is_followed_by_one_that_works():
    seen = deaths_of("renew")
    assert seen["deaths"] > 500
    assert seen["a stage then: works"] > 1
    assert seen["a stage then: SegmentMissing"] > 500


@pytest.mark.parametrize(
    ("act", "mistake", "what"),
    [
        ("create", "final-name", "is visible and not whole"),
        pytest.param("create-all", "final-name", "is visible and not whole", marks=long),
        pytest.param(
            "create-all", "settings-first", "settings are out and segments are missing", marks=long
        ),
        pytest.param("create-all", "keep-leftovers", "left a temporary there", marks=long),
        ("role", "same-epoch", "the epoch went from"),
    ],
)
def test_a_planted_mistake_in_the_start_is_caught(act, mistake, what):
    done = lines(act, mistake)
    assert done.returncode == 1, done.stderr
    assert "BROKEN at step" in done.stderr
    assert what in done.stderr
