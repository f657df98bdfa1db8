"""Secrecy: others of the same user cannot look into a hardened process, and it leaves no core."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.system import ROOT

ORDINARY = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def become_ordinary():
    # Root may look everywhere; so both are somebody else, as after a login.
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        libc.prctl(4, 1, 0, 0, 0)
"""
KEEPER = """
import sys
from shm.secrecy import harden, hardened
become_ordinary()
hard = sys.argv[1] == "hard"
assert not hardened()
if hard:
    harden()
assert hardened() == hard
print("ready", flush=True)
sys.stdin.readline()
os.abort()
"""
THIEF = """
import sys
become_ordinary()
pid = sys.argv[1]
taken = []
for name in ("environ", "maps", "mem"):
    try:
        open(f"/proc/{pid}/{name}", "rb").read(1)
        taken.append(name)
    except PermissionError:
        pass
    except OSError:
        taken.append(name)  # let in: the first page of a memory is not there
if libc.ptrace(16, int(pid), 0, 0) == 0:
    taken.append("ptrace")
print(" ".join(taken))
"""


def python(script: str, argument: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", ORDINARY + script, argument], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def keeper():
    """Starts a process that keeps a secret, hardened or not, and does not leave it behind."""
    started = []

    def start(how: str) -> subprocess.Popen:
        process = python(KEEPER, how)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def stolen(pid: int) -> set[str]:
    process = python(THIEF, str(pid))
    out, err = process.communicate()
    assert process.returncode == 0, err
    return set(out.split())


def test_h8_others_of_the_same_user_may_not_look_into_a_hardened_process(keeper):
    assert stolen(keeper("hard").pid) == set()


def test_the_thief_gets_in_where_nothing_is_hardened(keeper):
    assert {"environ", "maps"} <= stolen(keeper("soft").pid)


def test_h8_a_hardened_process_may_leave_no_core(keeper):
    process = keeper("hard")
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]
    process.communicate("die\n")
    assert process.returncode < 0
