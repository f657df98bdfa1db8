"""The runner of fuzzers: its processes work side by side, and each one's end is told truly."""

import sys

import pytest

from tests.fuzz.campaign import Campaign, require_nothing_found

CHILD = """
import pathlib, sys, time
number, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
if number == 1:
    print("word " * 200_000, flush=True)
    (folder / "all said").touch()
for _ in range(300):
    if (folder / "all said").exists():
        print("#7 DONE   cov: 1 ft: 2 corp: 3/4Kb")
        sys.exit(0)
    time.sleep(0.1)
sys.exit("the other one never came to its end")
"""


@pytest.fixture
def campaign(tmp_path):
    def make(source: str) -> Campaign:
        return Campaign("none", tmp_path, [sys.executable, "-c", source, "{}", str(tmp_path)], 9)

    return make


def test_a_process_that_prints_a_lot_does_not_stand_still_until_another_has_ended(campaign):
    results = campaign(CHILD).run(14, processes=2)
    require_nothing_found(results, 14)
    assert len(results[1].text) > 10**6


@pytest.mark.parametrize(
    "source", ["import sys; sys.exit('AssertionError: found')", "print('#6 DONE cov: 1')"]
)
def test_an_early_end_and_too_few_inputs_are_not_taken_for_success(campaign, source):
    results = campaign(source).run(14, processes=2)
    with pytest.raises(AssertionError):
        require_nothing_found(results, 14)
