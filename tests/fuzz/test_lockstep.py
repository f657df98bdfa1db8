"""A hundred thousand updates: both engines decide the same, to the last unit."""

import os
import sys

import pytest

from shm import backend
from tests.conftest import require_or_skip
from tests.fuzz import lockstep
from tests.fuzz.campaign import TIMES
from tests.fuzz.instrumented import Edit, build_module

pytestmark = pytest.mark.fuzz

UPDATES = 100_000
"""A minute of two cores. `make lockstep` or `POLYTRIO_FUZZ_TIMES=100 make fuzz` for ten million."""
PLANTED_UPDATES = 200_000


def test_the_cores_decide_alike_over_all_updates(capsys):
    require_or_skip(backend.NATIVE, "the compiled kernels")
    with capsys.disabled():
        done, seconds = lockstep.run(UPDATES * TIMES, len(os.sched_getaffinity(0)))
        sys.stdout.write(f"{done:,} updates in {seconds:.0f} s, {done / seconds:,.0f}/s\n")
    assert done >= UPDATES * TIMES


PLANTED = {
    "a cooldown that ends a moment late": Edit(
        "core.h", "cooling_until_ns[number] > now_ns", "cooling_until_ns[number] >= now_ns"
    ),
    "a book that is too old a moment early": Edit(
        "core.h", "(now_ns - oldest_ns) > core", "(now_ns - oldest_ns) >= core"
    ),
    "a hurdle that must be passed": Edit(
        "core.h",
        "edge.net_e8 < core->plan->basket[number].hurdle_e8",
        "edge.net_e8 <= core->plan->basket[number].hurdle_e8",
    ),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_of_one_unit_is_found(tmp_path, mistake, capfd):
    kernel = build_module(tmp_path, "engine.kernel", [PLANTED[mistake]], flags=["-O2"])
    with pytest.raises(RuntimeError, match="did not come to its end"):
        lockstep.run(PLANTED_UPDATES, 1, str(kernel))
    assert "the cores part in the story of seed" in capfd.readouterr().err
