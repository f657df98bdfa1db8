"""A campaign in chapters: as many deaths as were asked for, on every lane, added up."""

from collections import Counter

import pytest

from tests.crash.lanes import CHAPTER, chapters
from tests.crash.report import Report, total


@pytest.mark.parametrize("cycles", [1, 3, 40, 2_000, 20_001])
@pytest.mark.parametrize("lanes", [1, 4])
def test_chapters_have_all_deaths_and_seeds_of_their_own(cycles, lanes):
    found = list(chapters(cycles, 7, lanes))
    assert sum(lives for lives, _ in found) == cycles
    assert all(0 < lives <= CHAPTER for lives, _ in found)
    assert len({seed for _, seed in found}) == len(found) >= min(lanes, cycles) - 1
    assert found[0][1] == 7


def test_reports_add_up_and_seconds_run_side_by_side():
    one = Report(cycles=3, seconds=5.0, deaths=Counter(armed=2, instant=1), findings=["C1: x"])
    other = Report(cycles=4, seconds=9.0, deaths=Counter(armed=4), findings=["C2: y"])
    both = total([one, other])
    assert (both.cycles, both.seconds, both.findings) == (7, 9.0, ["C1: x", "C2: y"])
    assert both.deaths == Counter(armed=6, instant=1)
    text = both.text()
    assert "7 deaths in 9 s" in text
    assert "C2: y" in text
    assert "armed" not in text.split("not reached:")[1].split("\n")[0].split(", ")
