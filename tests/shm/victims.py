"""Processes that the hazard tests start in order to kill, stop or refuse them.

    python -m tests.shm.victims ROLE INSTANCE

Each says `ready` when it has begun, and goes on until it is killed. The interpreter is started
afresh each time, as a supervisor does it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from shm import stage as frame
from shm.backend import LatchWriter, RingConsumer, RingProducer
from shm.codes import Role, StageState
from shm.control import SwitchBoard
from shm.fabric import Fabric, find_section
from shm.layout import BOOK, UPDATE
from shm.roles import RoleHolder, RoleLock, RoleTable
from shm.segment import attach
from shm.segments import LATCH_HEAD_BYTES, SEGMENTS

ROOT = Path(__file__).parents[2]
ROW = 5


def message(number: int, size: int) -> bytes:
    """A payload that is full of its number."""
    return number.to_bytes(8, "little") * (size // 8)


def ring_shape(section: str) -> tuple[int, int, int]:
    """Offset, stride and rows of a ring."""
    placed = find_section(section)[1]
    return placed.offset, placed.section.stride_bytes, placed.section.rows


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _role(instance: str, role: Role) -> Fabric:
    RoleLock(instance, role).take()
    fabric = Fabric(instance, role)
    fabric.fence = RoleHolder(fabric.segment("control", writable=True), role).fence
    return fabric


def writer(instance: str) -> None:
    """Writes a row and pushes without a pause; each says how often that was done before."""
    fabric = _role(instance, Role.INGEST)
    view = fabric.segment("books", writable=True).view
    placed = find_section("books")[1]
    latch = LatchWriter(view, placed.offset, BOOK.size, placed.section.rows, fabric.fence)
    view = fabric.segment("updates", writable=True).view
    ring = RingProducer(view, *ring_shape("updates"), fabric.fence)
    _ready()
    while True:
        latch.write(ROW, message(latch.version(ROW) + 1, BOOK.size))
        ring.try_push(message(ring.position, UPDATE.size))


def careless_writer(instance: str) -> None:
    """Writes where readers look, word by word: what a latch is there to prevent."""
    view = _role(instance, Role.INGEST).segment("books", writable=True).view
    placed = find_section("books")[1]
    start = placed.offset + ROW * placed.section.stride_bytes
    row = view[start : start + placed.section.stride_bytes].cast("Q")
    words, first = BOOK.size // 8, LATCH_HEAD_BYTES // 8
    _ready()
    number = 0
    while True:
        number += 1
        for copy in (0, 1):
            for word in range(words):
                row[first + copy * words + word] = number


def reader(instance: str) -> None:
    """Pops updates without a pause, and says nothing."""
    view = _role(instance, Role.ENGINE).segment("updates", writable=True).view
    ring = RingConsumer(view, *ring_shape("updates"))
    _ready()
    while True:
        ring.pop()


def follower(instance: str) -> None:
    """The engine's way of following books; says what it knows of each once trading is on."""
    fabric = _role(instance, Role.ENGINE)
    updates, dirty = fabric.consume("updates", UPDATE), fabric.dirty_taker()
    books, switches = fabric.read_table("books", BOOK), SwitchBoard(fabric)
    known: dict[int, int] = {}
    conflated = 0
    _ready()
    while True:
        last_turn = switches.trading
        while (update := updates.pop()) is not None:
            known[update.market] = books.version(update.market)
        for row in dirty.take():
            known[row] = books.version(row)
            conflated += 1
        if last_turn:
            sys.stdout.write(json.dumps({"known": known, "conflated": conflated}) + "\n")
            sys.stdout.flush()
            return
        time.sleep(0.001)


def visitor(instance: str) -> None:
    """Holds a segment for writing when it ends, in the ordinary way."""
    import multiprocessing.resource_tracker  # the one that unlinks what it did not make

    multiprocessing.resource_tracker.ensure_running()
    attach(instance, SEGMENTS["signals"], writable=True)
    _ready()


def toucher(instance: str) -> None:
    """Reads the last row of the books for as long as it is there."""
    books = Fabric(instance).read_table("books", BOOK)
    _ready()
    while True:
        books.read(books.count - 1)


class _Quiet:
    """A stage with nothing to do."""

    def step(self, *_pace: int, may_sleep: bool) -> None:
        time.sleep(0.005 * may_sleep)


def stage(instance: str) -> None:
    """An engine in the frame of every stage; it does not wait long for its segments."""
    sys.argv = ["engine", "--instance", instance]
    frame.ATTACH_PATIENCE_S = 0.2
    frame.main(Role.ENGINE, lambda own: own.run_poller(_Quiet()))


def stranger(instance: str) -> None:
    """Another user of this machine; says what it was told."""
    os.setgroups([])
    os.setgid(65_534)
    os.setuid(65_534)
    said = {}
    for name, act in {
        "read": lambda: attach(instance, SEGMENTS["signals"], writable=False),
        "write": lambda: attach(instance, SEGMENTS["signals"], writable=True),
        "lock": lambda: RoleLock(instance, Role.ENGINE).take(),
        "ask": lambda: RoleLock(instance, Role.ENGINE).held_by_anyone(),
    }.items():
        try:
            act()
        except Exception as error:  # noqa: BLE001  # what it is, is what is asked
            said[name] = [type(error).__name__, str(error)]
    sys.stdout.write(json.dumps(said) + "\n")


ROLES: dict[str, Callable[[str], None]] = {
    f.__name__: f
    for f in (writer, careless_writer, reader, follower, visitor, toucher, stage, stranger)
}


STARTED: list[subprocess.Popen] = []


def start(role: Callable[[str], None], instance: str) -> subprocess.Popen:
    """Start a process in a role."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.shm.victims", role.__name__, instance],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    STARTED.append(process)
    return process


def kill_all() -> None:
    """Leave none behind, however a test ended."""
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.communicate()


def running_stage(instance: str) -> subprocess.Popen:
    """Start a stage and wait until it runs."""
    process = start(stage, instance)
    table = RoleTable(Fabric(instance).segment("control", writable=False))
    while (row := table.row(Role.ENGINE)).state != StageState.RUNNING or row.pid != process.pid:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    return process


def ready(role: Callable[[str], None], instance: str) -> subprocess.Popen:
    """Start a process and wait until it has begun."""
    process = start(role, instance)
    line = process.stdout.readline()
    assert line == "ready\n", (line, process.communicate())
    return process


def bury(process: subprocess.Popen) -> SimpleNamespace:
    """Wait for the end of a process: how it ended, and its last words."""
    out, err = process.communicate(timeout=30)
    return SimpleNamespace(code=process.returncode, out=out, err=err)


if __name__ == "__main__":
    ROLES[sys.argv[1]](sys.argv[2])
