"""Names: the flat top-level packages resolve to ours, and supervisord's package to its own."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["shm", "ingest", "engine", "executor", "desk", "sim"])
def test_our_packages_are_ours(name):
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin == str(ROOT / name / "__init__.py")


@pytest.mark.parametrize("name", ["shm", "ingest", "engine", "executor", "desk", "sim"])
def test_they_are_ours_from_anywhere(name, tmp_path):
    code = f"import {name}; print({name}.__file__)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(ROOT / name / "__init__.py"), done.stderr


def test_supervisord_starts_in_the_root_of_the_repository():
    program = Path(sys.executable).parent / "supervisord"
    done = subprocess.run([str(program), "--version"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nobody_exports_pythonpath():
    for path in [ROOT / "Makefile", ROOT / "supervisor.py", ROOT / ".ci" / "run",
                 ROOT / "deploy" / "supervisord.conf"]:  # fmt: skip
        assert "PYTHONPATH" not in path.read_text()
