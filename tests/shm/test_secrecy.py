"""Secrecy: a hardened process cannot be looked into by others of the same user, and leaves no core."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.system import ROOT

KEEPER = """
import os, sys
sys.path.insert(0, {root!r})
from shm.secrecy import harden, hardened
if {hard}:
    harden()
assert hardened() == {hard}
print("ready", flush=True)
sys.stdin.readline()
os.abort()
"""
THIEF = """
import ctypes, sys
pid = sys.argv[1]
taken = []
for name in ("environ", "maps", "mem", "fd/0"):
    try:
        open(f"/proc/{pid}/{name}", "rb").read(1)
        taken.append(name)
    except PermissionError:
        pass
    except OSError:
        taken.append(name)  # let in; what is there does not read like a file
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, int(pid), 0, 0) == 0:
    taken.append("ptrace")
print(" ".join(taken))
"""
NOBODY = 65_534


def as_one_user() -> dict:
    """Run without root's rights, which no process can keep out."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def runs_python() -> bool:
    done = subprocess.run([sys.executable, "-c", ""], capture_output=True, **as_one_user())
    return done.returncode == 0


@pytest.fixture
def keeper(tmp_path):
    """Starts a process that keeps a secret, hardened or not, and does not leave it behind."""
    if not runs_python() or not os.access(ROOT, os.X_OK):
        pytest.skip("needs an interpreter that every user may run")
    started = []

    def start(hard: bool) -> subprocess.Popen:
        source = KEEPER.format(root=str(tmp_path / "code"), hard=hard)
        folder = tmp_path / "code" / "shm"
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "secrecy.py").write_text((ROOT / "shm" / "secrecy.py").read_text())
            for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
                path.chmod(0o755)
        process = subprocess.Popen(
            [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd="/", text=True, **as_one_user(),
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.stderr and process.stderr.read()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def stolen(pid: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", THIEF, str(pid)], capture_output=True, text=True, cwd="/",
        **as_one_user(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_h8_others_of_the_same_user_may_not_look_into_a_hardened_process(keeper):
    assert stolen(keeper(True).pid) == []


def test_the_thief_gets_in_where_nothing_is_hardened(keeper):
    assert {"environ", "maps"} <= set(stolen(keeper(False).pid))


def test_h8_a_hardened_process_may_leave_no_core(keeper):
    process = keeper(True)
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]
    process.communicate("die\n")
    assert process.returncode < 0
