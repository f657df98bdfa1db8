"""Fixtures for all tests: an instance of shared memory, the recordings, the strict flag."""

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

import sim.ethereum  # noqa: F401  # first: it keeps the recursion limit that eth-account raises
from shm import segment
from shm.segments import SEGMENTS

hypothesis_settings.register_profile("polytrio", deadline=None)  # no test measures time
hypothesis_settings.load_profile("polytrio")

# A shell that starts something in the background has it ignore SIGINT, and whatever that starts,
# too: tests that end a process as Ctrl-C does would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).parents[2] / "shared"


def require_or_skip(present: bool, what: str) -> None:
    """Skip a test for want of something, except in CI, where nothing may be missing."""
    if present:
        return
    if os.environ.get("POLYTRIO_CI") == "1":
        pytest.fail(f"{what} is missing, and POLYTRIO_CI=1 forbids skipping")
    pytest.skip(f"needs {what}")


@pytest.fixture
def instance() -> Iterator[str]:
    """A fresh instance name; whatever is left under it in /dev/shm is removed afterwards."""
    name = f"t-{secrets.token_hex(6)}"
    yield name
    for path in segment.SHM_ROOT.glob(f"polytrio.{name}.*"):
        path.unlink()


@pytest.fixture
def segments(instance: str) -> str:
    """An instance with all its segments made."""
    for plan in SEGMENTS.values():
        segment.create(instance, plan)
    return instance


@pytest.fixture
def shared() -> Path:
    """The folder of recordings, beside the repository; not shipped with it."""
    if not (SHARED / "data").is_dir():
        # Not a tool that CI could install: skipped there too, where nobody has put them.
        pytest.skip("needs the recordings in ../shared/data")
    return SHARED
