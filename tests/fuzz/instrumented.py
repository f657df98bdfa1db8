"""Builds compiled modules once more, so that a fuzzer sees their branches and mistakes in their C.

clang counts every branch and comparison for libFuzzer (which Atheris brings along), and
UndefinedBehaviorSanitizer ends the process at once. A planted mistake is an edit of a header: the
copy that is built lies in a folder of the caller, the repository stays as it is.
"""

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from tests.conftest import require_or_skip

ROOT = Path(__file__).parents[2]
COVERED = ("-O2", "-g", "-fsanitize=fuzzer-no-link,undefined", "-fno-sanitize-recover=undefined")


class Edit(NamedTuple):
    """A piece of a header, once in it, and what stands there instead."""

    header: str
    old: str
    new: str


def headers(folder: Path, edits: Sequence[Edit] = ()) -> Path:
    """A copy of the headers that compiled modules are made of, with the edits made."""
    copy = folder / "include"
    copy.mkdir()
    for name in ("shm", "ingest", "engine"):
        for header in (ROOT / name).glob("*.h"):
            shutil.copy(header, copy)
    for edit in edits:
        text = (copy / edit.header).read_text()
        assert text.count(edit.old) == 1, f"{edit.header} has changed: plant it elsewhere"
        (copy / edit.header).write_text(text.replace(edit.old, edit.new))
    return copy


def build_module(
    folder: Path, name: str, edits: Sequence[Edit] = (), *, flags: Sequence[str] = COVERED
) -> Path:
    """An importable copy of a compiled module ("ingest.scanner") that a fuzzer can look into."""
    require_or_skip(shutil.which("clang") is not None, "clang")
    source, target = folder / "module.c", folder / f"{name}.so"
    pyx = f"{name.replace('.', '/')}.pyx"
    run([sys.executable, "-m", "cython", "-3", pyx, "-o", str(source)])
    include = [f"-I{headers(folder, edits)}", f"-I{sysconfig.get_path('include')}"]
    run(["clang", "-shared", "-fPIC", *flags, *include, str(source), "-o", str(target)])
    return target


def build_program(folder: Path, name: str, *flags: str, edits: Sequence[Edit] = ()) -> Path:
    """A libFuzzer program from a C file of this folder, under AddressSanitizer and UBSan."""
    require_or_skip(shutil.which("clang") is not None, "clang")
    source, target = Path(__file__).parent / f"{name}.c", folder / name
    sanitized = ("-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
    warned = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")
    include = f"-I{headers(folder, edits)}"
    run(["clang", *warned, *sanitized, *flags, include, str(source), "-o", str(target)])
    return target


def run(command: Sequence[str]) -> None:
    """Run a build step; what it complains of is the failure."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def load(name: str, path: Path) -> ModuleType:
    """Import a built copy under the name of its original."""
    loader = importlib.machinery.ExtensionFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[name] = module
    return module
