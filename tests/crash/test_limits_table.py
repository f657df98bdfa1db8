"""docs/reliability.md, "Limits at the last hop": settings, defaults, code and tests are there."""

import re

import msgspec
import pytest

from shm.limits import RiskSettings
from shm.settings import Settings
from tests.crash.test_reliability import ROOT, TEXT, named_in

SECTION = TEXT.split("## Limits at the last hop")[1].split("\n## ")[0]
LINES = [line for line in SECTION.splitlines() if line.startswith("| ")][1:]
ROWS = {name.strip(): cells for name, *cells in (line[1:-1].split("|") for line in LINES)}
ROWS_WANTED = 30
SETTING = re.compile(r"`([a-z]+\.\w+)` = (\d[\d_]*|true|false)")
DEFAULTS = msgspec.to_builtins(Settings())


def default(name: str):
    """What a setting is if nobody says anything."""
    section, key = name.split(".")
    return DEFAULTS[section][key]


def said(text: str):
    """A value as the table writes it."""
    return text == "true" if text in {"true", "false"} else int(text)


def test_the_table_is_read_whole():
    assert len(ROWS) == len(LINES) == ROWS_WANTED
    assert all(len(cells) == 3 for cells in ROWS.values())


@pytest.mark.parametrize("row", ROWS)
def test_each_row_names_settings_with_their_defaults_code_and_tests_that_exist(row):
    settings, code, tests = ROWS[row]
    named = SETTING.findall(settings + tests)
    assert len(named) == len(re.findall(r"`[a-z]+\.\w+`", settings)) + len(SETTING.findall(tests))
    for name, value in named:
        assert default(name) == said(value), name
    paths = re.findall(r"\w+/\w+\.py", code)
    assert paths or "not here:" in tests
    for path in paths:
        assert (ROOT / path).exists(), path
    named_in(row, tests)


def test_no_limit_of_risk_is_missing_in_it():
    named = {name for name, _ in SETTING.findall(SECTION) if name.startswith("risk.")}
    assert named == {f"risk.{key}" for key in RiskSettings.__struct_fields__}


@pytest.mark.parametrize("wrong", ["`risk.max_doubt` = 4", "`risk.no_such_limit` = 3"])
def test_a_default_that_is_none_would_be_found(wrong):
    ((name, value),) = SETTING.findall(wrong)
    with pytest.raises((AssertionError, KeyError)):
        assert default(name) == said(value)
