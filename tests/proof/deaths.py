"""Every death of one operation: the fault build is killed at its first step, its second, and so on.

The memory is put back before each run, so that each death happens in the same world. What follows
a death (a restart by the ordinary kernel, more traffic) is the test's, which says by `require` what
must be true; a broken promise is a `Broken`, so that a planted mistake can be told from a crash of
the test.
"""

import itertools
import mmap
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shm import backend

STEPS_MAX = 20_000


class Broken(AssertionError):
    """A promise of the shared-memory contract was broken."""


def require(kept: bool, what: str) -> None:
    """Raise `Broken` unless a promise was kept."""
    if not kept:
        raise Broken(what)


class World:
    """A mapped file that the fault build and this process both see, and where its epoch word is."""

    def __init__(self, path: Path, epoch_at: int = 0) -> None:
        self.path = path
        self.epoch_at = epoch_at
        fd = os.open(path, os.O_RDWR)
        self.memory = mmap.mmap(fd, 0)
        os.close(fd)
        self._remembered = bytes(self.memory)

    def remember(self) -> None:
        """What is here now is where every death starts from."""
        self._remembered = bytes(self.memory)

    def restore(self) -> None:
        """Back to where every death starts from."""
        self.memory[:] = self._remembered

    @property
    def epoch(self) -> int:
        """Epoch of the role that works here."""
        return int.from_bytes(self.memory[self.epoch_at : self.epoch_at + 8], "little")

    def succeed(self) -> backend.Fence:
        """Take the role as a restarted process does; its fence."""
        before = self.epoch
        epoch = backend.take_role(self.memory, self.epoch_at, (os.getpid(), 1), 1, 1)
        require(epoch > before, f"the epoch went from {before} to {epoch}")
        return backend.Fence(self.memory, self.epoch_at, epoch)


@dataclass(frozen=True)
class Operation:
    """What the fault build is asked to do."""

    name: str
    numbers: tuple[int, ...]
    payload: bytes = b""

    def command(self, fault: Path, world: World, step: int, blow: signal.Signals) -> list[str]:
        """The command line that performs it and is hit at `step`."""
        words = [fault, world.path, step, int(blow), world.epoch_at, world.epoch]
        return [str(word) for word in (*words, self.name, *self.numbers)]


@dataclass(frozen=True)
class End:
    """How one run ended: at which step it died, or, for the last one, that it went through."""

    step: int
    survived: bool
    taken: bytes
    outcome: int


def deaths(fault: Path, world: World, operation: Operation) -> Iterator[End]:
    """Run the operation to every one of its deaths, and at last to its end."""
    for step in itertools.count(1):
        assert step <= STEPS_MAX, f"{operation.name} does not end"
        world.restore()
        done = subprocess.run(
            operation.command(fault, world, step, signal.SIGKILL),
            input=operation.payload,
            capture_output=True,
        )
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            said = re.fullmatch(rb"steps (\d+) outcome (\d)\n", done.stderr)
            assert said, done.stderr
            assert int(said[1]) == step - 1 > 0, "steps were skipped"
            yield End(step, survived=True, taken=done.stdout, outcome=int(said[2]))
            return
        assert not done.stdout
        yield End(step, survived=False, taken=b"", outcome=-1)
