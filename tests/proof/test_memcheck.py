"""Valgrind's memcheck watches a whole life of the segments: made, attached, used, looked into.

CPython itself is full of what memcheck takes for mistakes. What counts is every error with one of
our compiled modules, or posix_ipc, anywhere in its stacks, also in the stack that says where the
memory came from.
"""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from shm import backend
from tests.conftest import require_or_skip

pytestmark = pytest.mark.proof

ROOT = Path(__file__).parents[2]
OURS = re.compile(r"/shm/native\.|/posix_ipc\.")


def memcheck(folder: Path, *words: str) -> list[tuple[str, list[str]]]:
    """Run a Python module under memcheck; kind and function names of each error that is ours."""
    require_or_skip(shutil.which("valgrind") is not None, "valgrind")
    require_or_skip(backend.NATIVE, "the compiled kernel")
    report = folder / "report.xml"
    done = subprocess.run(
        ["valgrind", "--xml=yes", f"--xml-file={report}", "--track-origins=yes",
         sys.executable, "-m", *words],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONMALLOC": "malloc"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = []
    for error in ET.parse(report).iter("error"):
        frames = list(error.iter("frame"))
        ours = any(OURS.search(frame.findtext("obj", "")) for frame in frames)
        kind = error.findtext("kind", "")
        if ours and not kind.startswith("Leak"):
            found.append((kind, [frame.findtext("fn", "?") for frame in frames]))
    return found


def test_the_life_of_all_segments_is_clean(tmp_path, instance):
    assert memcheck(tmp_path, "tests.proof.attachment", instance) == []


def test_the_inspector_is_clean(tmp_path, segments):
    assert memcheck(tmp_path, "shm", "show", "updates", "--instance", segments) == []


def test_planted_a_read_past_the_end_is_caught(tmp_path, instance):
    found = memcheck(tmp_path, "tests.proof.attachment", instance, "read-beyond")
    assert {kind for kind, _ in found} == {"InvalidRead"}
    assert any("pt_" in name or "read" in name for _, names in found for name in names)
