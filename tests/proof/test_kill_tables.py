"""Tables, dirty bits and roles, killed at every step of a write, a mark, a take, a take-over.

After each death readers look at once, an ordinary process takes over, and life goes on. What must
hold: a reader sees the old row or the new one, never a mixture and never nothing; a mark is there
until somebody has taken it; the epoch grows with each holder, and its growth is what silences the
one before.
"""

import os
import random
import struct
from pathlib import Path

import pytest

from shm import backend, model
from shm.codes import Role, StageState
from shm.control import publish_settings, read_settings
from shm.errors import FencedError
from shm.fabric import Fabric
from shm.layout import BOOK, DIRTY_WORDS, ROLE_ROW, SETTINGS_BLOB
from shm.process import start_ticks
from shm.roles import RoleHolder, RoleLock, RoleTable, health
from shm.segment import list_files
from shm.segments import LATCH_HEAD_BYTES, SEGMENTS
from shm.settings import EngineSettings, Settings
from shm.system import create_all
from tests.proof.compiling import compiled
from tests.proof.deaths import Broken, Operation, World, deaths, require
from tests.proof.programs import ROLE_STORES

pytestmark = pytest.mark.proof

LATCH = 1024
ROW_BYTES = LATCH_HEAD_BYTES + 2 * BOOK.size
MARKS = 256
SEEN = 512
KERNELS = [model] if not backend.NATIVE else [model, backend.chosen]
ROLES_AT = SEGMENTS["control"].placed["roles"].offset


@pytest.fixture(scope="module")
def fault(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("fault"), "fault.c")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("planted"), "fault.c", "-DPLANTED")


@pytest.fixture
def world(tmp_path):
    path = tmp_path / "world"
    path.write_bytes(bytes(8192))
    return World(path)


def control_of(instance: str, role: Role) -> World:
    """The control segment of an instance, with the epoch word of one of its roles."""
    (path,) = [file.path for file in list_files(instance) if file.segment == "control"]
    return World(path, ROLES_AT + role * ROLE_ROW.size + ROLE_ROW.offset_of["epoch"])


# --- latch ----------------------------------------------------------------------------------------


def row(version: int) -> bytes:
    """A row of which every word says which version it belongs to and where it is."""
    words = BOOK.size // 8
    return struct.pack(f"<{words}Q", *[version << 32 | index for index in range(words)])


def kill_a_latch_writer(fault: Path, world: World, written: int) -> int:
    """Every death of the write that follows `written` others; how many there were."""
    writer = backend.LatchWriter(world.memory, LATCH, BOOK.size, 1, world.succeed())
    for version in range(1, written + 1):
        writer.write(0, row(version))
    world.remember()
    rows = {0: bytes(BOOK.size), **{version: row(version) for version in range(1, written + 9)}}
    last = written
    count = 0
    for end in deaths(fault, world, Operation("latch", (LATCH, BOOK.size), row(written + 1))):
        for kernel in KERNELS:
            reader = kernel.LatchReader(world.memory, LATCH, BOOK.size, 1)
            seen = reader.read(0)
            require(seen is not None, "the row cannot be read")
            require(seen == rows[reader.seen], f"version {reader.seen} is a mixture")
            require(last <= reader.seen <= written + 1, "a version came back, or out of nothing")
        require(reader.seen == written + 1 or not end.survived, "the write ended and is not there")
        last = reader.seen
        successor = backend.LatchWriter(world.memory, LATCH, BOOK.size, 1, world.succeed())
        for version in range(last + 1, last + 4):
            require(successor.write(0, row(version)) == version, "versions do not go on")
            require(reader.read(0) == row(version), f"version {version} of the successor is wrong")
        count += 1
    return count


@pytest.mark.parametrize("written", [0, 1, 2, 5])
def test_a_row_killed_at_any_step_of_its_write_is_the_old_one_or_the_new_one(fault, world, written):
    assert kill_a_latch_writer(fault, world, written) > BOOK.size // 8 + 4


@pytest.mark.parametrize("written", [1, 2])
def test_planted_a_row_published_before_it_is_copied_is_caught(planted, world, written):
    with pytest.raises(Broken, match="mixture"):
        kill_a_latch_writer(planted, world, written)


def test_settings_killed_at_any_step_of_their_writing_are_the_old_or_the_new_ones(fault, instance):
    """On a real control segment, read the way stages read it."""
    old = Settings(instance=instance)
    new = Settings(instance=instance, engine=EngineSettings(cooldown_ms=77))
    create_all(old)
    world = control_of(instance, Role.SUPERVISOR)
    publish = Fabric(instance, Role.SUPERVISOR)
    publish_settings(publish, new)
    blob = SETTINGS_BLOB.pack(publish.read_table("control.settings", SETTINGS_BLOB).read(0))
    publish_settings(publish, old)
    world.remember()
    placed = SEGMENTS["control"].placed["settings"]
    seen = []
    ends = []
    for end in deaths(fault, world, Operation("latch", (placed.offset, SETTINGS_BLOB.size), blob)):
        ends.append(end)
        seen.append(read_settings(Fabric(instance)))
        successor = Fabric(instance, Role.SUPERVISOR)
        control = successor.segment("control", writable=True)
        epoch = world.epoch
        holder = RoleHolder(control, Role.SUPERVISOR)
        assert holder.epoch == epoch + 1
        successor.fence = holder.fence
        publish_settings(successor, old)
        assert read_settings(Fabric(instance)) == old
    assert old != new
    assert ends[-1].survived
    assert len(ends) > SETTINGS_BLOB.size // 8
    assert seen == [old] * (len(ends) - 1) + [new]


# --- dirty bits -----------------------------------------------------------------------------------


def dirty(world: World) -> set[int]:
    """What is dirty, straight from the bytes."""
    marks, seen = (
        int.from_bytes(world.memory[at : at + 8 * DIRTY_WORDS], "little") for at in (MARKS, SEEN)
    )
    return {index for index in range(64 * DIRTY_WORDS) if (marks ^ seen) >> index & 1}


def live_through_marks(world: World, seed: int) -> set[int]:
    """Mark and take at random; some marks are left, bits of both parities."""
    chance = random.Random(seed)
    marker = backend.DirtyMarker(world.memory, MARKS, SEEN, world.succeed())
    taker = backend.DirtyTaker(world.memory, MARKS, SEEN)
    for _ in range(3):
        for index in chance.sample(range(64 * DIRTY_WORDS), 40):
            marker.mark(index)
        taker.take()
    for index in chance.sample(range(64 * DIRTY_WORDS), 40):
        marker.mark(index)
    world.remember()
    return dirty(world)


def kill_a_marker(fault: Path, world: World, seed: int, index: int | None = None) -> int:
    """Every death of a mark; without an index, of one that a predecessor has made already.

    The successor marks again: it cannot know how far the dead one came.
    """
    before = live_through_marks(world, seed)
    index = min(before) if index is None else index
    count = 0
    for end in deaths(fault, world, Operation("mark", (MARKS, SEEN, index))):
        now = dirty(world)
        require(before <= now <= before | {index}, "a mark that was there is lost")
        require(index in now or not end.survived, "the mark ended and is not there")
        marker = backend.DirtyMarker(world.memory, MARKS, SEEN, world.succeed())
        marker.mark(index)
        require(dirty(world) == before | {index}, "the mark is lost")
        taken = backend.DirtyTaker(world.memory, MARKS, SEEN).take()
        require(set(taken) == before | {index}, "what is dirty was not taken")
        require(not dirty(world), "what was taken is still dirty")
        count += 1
    return count


@pytest.mark.parametrize(("seed", "index"), [(1, 0), (2, 63), (3, 64), (4, 1023), (5, None)])
def test_a_mark_killed_at_any_step_is_there_or_can_be_made_again(fault, world, seed, index):
    assert kill_a_marker(fault, world, seed, index) > 3


def test_planted_a_mark_that_flips_without_looking_is_caught(planted, world):
    with pytest.raises(Broken, match="lost"):
        kill_a_marker(planted, world, 1)


@pytest.mark.parametrize("seed", [1, 2])
def test_marks_are_dirty_until_the_very_step_that_takes_their_word(fault, world, seed):
    """What the dead taker had taken was in its hands: engine looks at every book when it starts,
    so a mark taken and not looked at is not lost. What it had not taken comes to its successor,
    and no later mark is swallowed."""
    before = live_through_marks(world, seed)
    left = before
    ends = []
    for end in deaths(fault, world, Operation("take", (MARKS, SEEN))):
        ends.append(end)
        now = dirty(world)
        assert now <= left, "a mark came back"
        gone = {index // 64 for index in left - now}
        assert len(gone) <= 1, "one store took the marks of two words"
        assert not any(index // 64 in gone for index in now), "half a word was taken"
        left = now
        taker = backend.DirtyTaker(world.memory, MARKS, SEEN)
        assert set(taker.take()) == now
        marker = backend.DirtyMarker(world.memory, MARKS, SEEN, world.succeed())
        again = sorted(before)[::3]
        for index in again:
            marker.mark(index)
        assert taker.take() == again
    assert ends[-1].survived
    assert not left
    words = struct.unpack(f"<{DIRTY_WORDS}Q", ends[-1].taken)
    assert {
        64 * at + bit for at, w in enumerate(words) for bit in range(64) if w >> bit & 1
    } == before
    assert len(ends) > 2 * DIRTY_WORDS


# --- roles ----------------------------------------------------------------------------------------


def kill_a_take_over(fault: Path, instance: str, role: Role) -> int:
    """Every death of a take-over, on a real control segment, by a process that is long gone."""
    world = control_of(instance, role)
    predecessor = RoleHolder(Fabric(instance, role).segment("control", writable=True), role)
    predecessor.enter(StageState.RUNNING)
    world.remember()
    dead = (4_000_000, 77)  # a pid beyond the kernel's largest
    offset = ROLES_AT + role * ROLE_ROW.size
    table = RoleTable(Fabric(instance).segment("control", writable=False))
    before = table.row(role)
    ends = []
    numbers = (offset, *dead, 123, StageState.STARTING)
    for end in deaths(fault, world, Operation("role", numbers)):
        ends.append(end)
        seen = table.row(role)
        require(seen.epoch in {before.epoch, before.epoch + 1}, "the epoch jumped")
        require(
            seen.epoch == before.epoch + 1 or seen == before,
            "the row names a new holder whose predecessor is not fenced",
        )
        trusted = start_ticks(seen.pid) == seen.start_ticks
        require(not trusted or seen.pid == os.getpid(), "the row names a process that is not it")
        require(not health(table, instance, role, 0).alive, "the dead one looks alive")
        if seen.epoch != before.epoch:
            with pytest.raises(FencedError):
                predecessor.fence.check()
        lock = RoleLock(instance, role)
        lock.take()
        holder = RoleHolder(Fabric(instance, role).segment("control", writable=True), role)
        lock.release()
        require(holder.epoch == seen.epoch + 1, "the epoch did not grow")
        after = table.row(role)
        require(
            (after.pid, after.start_ticks, after.state)
            == (os.getpid(), start_ticks(os.getpid()), StageState.STARTING),
            "the row does not describe its holder",
        )
        holder.fence.check()
    require(ends[-1].survived, "the take-over never ended")
    return len(ends)


@pytest.mark.parametrize("role", [Role.INGEST, Role.EXECUTOR])
def test_a_take_over_killed_at_any_step_leaves_a_role_that_can_be_taken(fault, segments, role):
    assert kill_a_take_over(fault, segments, role) > len(ROLE_STORES) + 1


def test_planted_a_take_over_that_raises_the_epoch_last_is_caught(planted, segments):
    with pytest.raises(Broken, match="not fenced"):
        kill_a_take_over(planted, segments, Role.INGEST)
