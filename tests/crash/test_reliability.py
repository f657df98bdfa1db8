"""docs/reliability.md: every row has tests that exist, or says why it has none."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text()
ROWS = dict(re.findall(r"^\| ([ADEH]\d+) \|[^|]*\|(.*)\|$", TEXT, re.MULTILINE))
LESSONS = dict(re.findall(r"^\| (E-\d\d) \|[^|]*\|(.*)\|$", TEXT, re.MULTILINE))
COUNTS = {"A": 34, "D": 6, "E": 12, "H": 7}
TESTS = [*(ROOT / "tests").glob("*/test_*.py"), *(ROOT / "tests").glob("test_*.py")]
SOURCES = "".join(path.read_text() for path in TESTS)


def test_every_row_is_there():
    wanted = {f"{row}{number + 1}" for row, count in COUNTS.items() for number in range(count)}
    assert ROWS.keys() == wanted
    assert LESSONS.keys() == {f"E-{number:02d}" for number in range(1, 18)}


def named_in(row: str, said: str) -> list[str]:
    """The tests that a row names, all of which exist; a row without any says why."""
    named = re.findall(r"`(test_\w+)`", said)
    assert named or "not here:" in said, row
    for name in named:
        assert f"def {name}(" in SOURCES, name
    for path in re.findall(r"tests/\w+/\w+\.py", said):
        assert (ROOT / path).exists(), path
    return named


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_that_a_row_names_exist_and_bear_its_name(row):
    for name in named_in(row, ROWS[row]):
        assert row.lower() in name.split("_"), f"{name} does not bear the name of {row}"


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_tests_that_a_lesson_names_exist(lesson):
    named_in(lesson, LESSONS[lesson])


def test_a_row_without_a_test_and_without_a_reason_is_found():
    for said in ("soon", "`test_nothing_of_this_name`"):
        with pytest.raises(AssertionError):
            named_in("A1", said)


def test_all_tests_of_hazards_are_in_it():
    for path in (ROOT / "tests" / "crash").glob("test_hazards_*.py"):
        for name in re.findall(r"def (test_[adeh]\d+_\w+)\(", path.read_text()):
            assert f"`{name}`" in TEXT, name
