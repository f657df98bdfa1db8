"""docs/reliability.md: every row has tests that exist, or says why it has none."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text()
ROWS = dict(re.findall(r"^\| ([AD]\d+) \|[^|]*\|(.*)\|$", TEXT, re.MULTILINE))


def test_every_row_is_there():
    wanted = {f"A{number}" for number in range(1, 35)} | {f"D{number}" for number in range(1, 7)}
    assert ROWS.keys() == wanted


def test_the_tests_that_it_names_exist_and_rows_without_any_say_why():
    sources = "".join(path.read_text() for path in (ROOT / "tests").glob("*/test_*.py"))
    for row, said in ROWS.items():
        named = re.findall(r"`(test_\w+)`", said)
        assert named or "not here:" in said, row
        for name in named:
            assert f"def {name}(" in sources, name
            assert row.lower() in name.split("_"), f"{name} does not bear the name of {row}"
        for path in re.findall(r"tests/\w+/\w+\.py", said):
            assert (ROOT / path).exists(), path


def test_all_tests_of_hazards_are_in_it():
    for path in (ROOT / "tests" / "crash").glob("test_hazards_*.py"):
        for name in re.findall(r"def (test_[ad]\d+_\w+)\(", path.read_text()):
            assert f"`{name}`" in TEXT, name
