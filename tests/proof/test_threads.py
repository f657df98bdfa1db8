"""Threads over shm/atomics.h: as it is, under ThreadSanitizer, under ASan with UBSan, memcheck.

tests/proof/threads.c says what each mode must show, and why there is something for ThreadSanitizer
to see although every access to a shared word is atomic. It does not model fences: what rests on
them is proven in tests/proof/test_ordering.py.
"""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require_or_skip
from tests.proof.compiling import compiled

pytestmark = pytest.mark.proof

MODES = ["ring", "latch", "dirty", "sleep", "peek"]
COUNT = {
    "ring": 2_000_000,
    "latch": 200_000,
    "dirty": 2_000_000,
    "sleep": 100_000,
    "peek": 1_000_000,
}
SANITIZED = {mode: count // 4 for mode, count in COUNT.items()}
PLANTED_COUNT = 20_000
TSAN = ("-pthread", "-fsanitize=thread", "-Wno-tsan")
ASAN = ("-pthread", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
ENVIRONMENT = {
    **os.environ,
    "TSAN_OPTIONS": "halt_on_error=1 exitcode=66",
    "ASAN_OPTIONS": "exitcode=67",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("threads")


@pytest.fixture(scope="module")
def plain(folder):
    return compiled(folder, "threads.c", "-pthread")


@pytest.fixture(scope="module")
def under_tsan(folder):
    return compiled(folder, "threads.c", *TSAN)


@pytest.fixture(scope="module")
def under_asan(folder):
    return compiled(folder, "threads.c", *ASAN)


def unrandomized() -> list[str]:
    """What to put before a program so that its mappings are not scattered.

    ThreadSanitizer finds no room for itself where the kernel scatters them widely. A container may
    forbid to change that; then it has to find room.
    """
    calm = ["setarch", platform.machine(), "-R"]
    allowed = shutil.which("setarch") and subprocess.run([*calm, "true"], capture_output=True)
    return calm if allowed and allowed.returncode == 0 else []


def run(program: Path, mode: str, count: int, *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, str(program), mode, str(count)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)


def require_well(done: subprocess.CompletedProcess[str], mode: str, count: int) -> None:
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{mode}: {count} as they must be\n"


@pytest.mark.parametrize("mode", MODES)
def test_threads_get_what_was_sent(plain, mode):
    require_well(run(plain, mode, COUNT[mode]), mode, COUNT[mode])


@pytest.mark.parametrize("mode", MODES)
def test_thread_sanitizer_finds_no_race(under_tsan, mode):
    done = run(under_tsan, mode, SANITIZED[mode], *unrandomized())
    require_well(done, mode, SANITIZED[mode])


@pytest.mark.parametrize("mode", MODES)
def test_address_and_undefined_behaviour_sanitizers_find_nothing(under_asan, mode):
    require_well(run(under_asan, mode, SANITIZED[mode]), mode, SANITIZED[mode])


@pytest.mark.parametrize(
    ("mistake", "mode", "where"),
    [
        ("PUSH_RELAXED", "ring", "consume_one"),
        ("POP_RELAXED", "ring", "produce_one"),
        ("LATCH_RELAXED", "latch", "latch_reader"),
        ("LATCH_PLAIN", "latch", "planted_latch_plain"),
    ],
)
def test_planted_a_weak_order_or_a_plain_write_is_caught_by_thread_sanitizer(
    folder, mistake, mode, where
):
    """None of them does harm on an x86: there only the sanitizer sees them."""
    program = compiled(folder, "threads.c", *TSAN, f"-DPLANT_{mistake}")
    done = run(program, mode, PLANTED_COUNT, *unrandomized())
    assert done.returncode == 66, done.stdout
    assert "ThreadSanitizer: data race" in done.stderr
    assert where in done.stderr


def test_planted_a_wake_up_for_one_process_only_is_caught(folder):
    program = compiled(folder, "threads.c", "-pthread", "-DPLANT_WAKE_PRIVATE")
    done = run(program, "sleep", PLANTED_COUNT)
    assert done.returncode == 1
    assert "a wake-up was lost" in done.stderr


@pytest.mark.parametrize(
    ("mistake", "mode", "what"),
    [
        ("SHORT", "latch", "heap-buffer-overflow"),
        ("MARK_WIDE", "dirty", "shift exponent"),
    ],
)
def test_planted_a_short_row_or_a_wide_shift_is_caught_by_the_sanitizers(
    folder, mistake, mode, what
):
    program = compiled(folder, "threads.c", *ASAN, f"-DPLANT_{mistake}")
    done = run(program, mode, PLANTED_COUNT)
    assert done.returncode != 0
    assert what in done.stderr


@pytest.mark.parametrize("mistake", ["", "SHORT"])
def test_memcheck_finds_nothing_but_what_was_planted(folder, mistake):
    require_or_skip(shutil.which("valgrind") is not None, "valgrind")
    flags = [f"-DPLANT_{mistake}"] if mistake else []
    program = compiled(folder, "threads.c", "-pthread", *flags)
    done = run(program, "latch", 2_000, "valgrind", "--error-exitcode=68", "--fair-sched=yes")
    if mistake:
        assert done.returncode == 68
        assert "Invalid write" in done.stderr
    else:
        require_well(done, "latch", 2_000)
