"""Every planted bug is caught by the test that its row names, which passes without it."""

import importlib
import inspect
from typing import Any

import pytest

from tests.crash import hand
from tests.crash.planted import PLANTED, Bug, planted

LEAST = 30
FAILURES = (AssertionError, ValueError, pytest.fail.Exception, ExceptionGroup)


def caught_by(bug: Bug, tmp_path, monkeypatch) -> None:
    """Run the catcher as pytest would."""
    module, name = bug.catcher.split(":")
    test = getattr(importlib.import_module(module), name)
    given: dict[str, Any] = {"tmp_path": tmp_path, "monkeypatch": monkeypatch}
    wanted = inspect.signature(test).parameters
    test(**bug.arguments, **{key: one for key, one in given.items() if key in wanted})


def test_there_are_enough_of_them():
    assert len(PLANTED) >= LEAST


@pytest.mark.parametrize("name", PLANTED)
def test_the_bug_is_caught_and_its_catcher_passes_without_it(name, tmp_path, monkeypatch):
    bug = PLANTED[name]
    (tmp_path / "without").mkdir()
    (tmp_path / "with").mkdir()
    caught_by(bug, tmp_path / "without", monkeypatch)
    monkeypatch.setattr(hand, "PATIENCE_S", 3.0)
    with planted(name), pytest.raises(FAILURES):
        caught_by(bug, tmp_path / "with", monkeypatch)
