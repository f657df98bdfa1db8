"""What can go wrong around shared memory, M9 to M12: no room, old runs, other users, old age."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shm import segment
from shm.backend import LatchReader, LatchWriter, RingConsumer, RingProducer, RingTail
from shm.codes import Role
from shm.errors import (
    EXIT_CODES_FINAL,
    LayoutMismatch,
    SegmentExists,
    SegmentNoRoom,
    SegmentOrphaned,
)
from shm.fabric import Fabric, find_section
from shm.inspector import find, ring_state
from shm.layout import BOOK, SIGNAL
from shm.roles import RoleLock
from shm.segment import create, list_files
from shm.segments import RING_READ_OFFSET, SEGMENTS, segment_name
from shm.settings import Settings
from shm.system import create_all
from tests.executor.test_gate import signal as gate_signal
from tests.shm import victims
from tests.shm.victims import bury, message, ring_shape

pytestmark = pytest.mark.contract

AGES = (0, 2**63 - 2, 2**63 - 1)


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    yield
    victims.kill_all()


def path_of(instance: str, name: str) -> Path:
    return segment._path(segment_name(instance, name))


# --- M9: no room ----------------------------------------------------------------------------------


def test_m9_what_the_machine_does_not_give_is_one_line_of_the_error_tree(instance):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENTS["signals"].total_bytes, hard))
    try:
        with pytest.raises(SegmentNoRoom, match="has no room for segment") as caught:
            create_all(Settings(instance=instance))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert "python -m shm list" in str(caught.value)
    assert caught.value.exit_code in EXIT_CODES_FINAL
    assert not list(list_files(instance)), "half a system stays behind"
    assert not list(segment.SHM_ROOT.glob(f"{segment.BUILDING}.{os.getpid()}.*"))


def test_m9_a_full_dev_shm_ends_a_start_with_its_code_one_line_and_nothing_left(instance, tmp_path):
    # A right, not a tool: CI could not install it either.
    able = shutil.which("unshare") and subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True
    )
    if not able or able.returncode != 0:
        pytest.skip("needs unshare, and the right to mount")
    start = f"cd {tmp_path} && {sys.executable} -P -m desk run --for 1; echo code $?"
    script = f"mount -t tmpfs -o size=512k tmpfs /dev/shm && {start}; ls /dev/shm"
    environment = os.environ | {
        "POLYTRIO__INSTANCE": instance,
        "POLYTRIO__DESK__VAR_DIR": str(tmp_path),
    }
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, env=environment
    )
    assert f"code {SegmentNoRoom.exit_code}" in done.stdout, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "no room" in line]
    assert "enlarge it" in line
    assert "Traceback" not in done.stderr
    left = done.stdout.partition("code")[2].splitlines()[1:]
    assert all(name.endswith(".lock") for name in left), left


# --- M10: what an older run left ------------------------------------------------------------------


def test_m10_what_a_dead_run_left_is_made_anew_and_what_lives_or_is_strange_is_not(instance):
    create_all(Settings(instance=instance))
    Fabric(instance, Role.INGEST).write_table("books", BOOK).write(3, BOOK.blank())
    Fabric(instance, Role.ENGINE).produce("signals", SIGNAL).try_push(gate_signal())
    held = Fabric(instance)
    held.segment("books", writable=False)
    create_all(Settings(instance=instance))
    fabric = Fabric(instance, Role.EXECUTOR)
    assert fabric.read_table("books", BOOK).version(3) == 0
    assert fabric.consume("signals", SIGNAL).pop() is None, "a signal of yesterday"
    with pytest.raises(SegmentOrphaned):
        held.require_named()
    lock = RoleLock(instance, Role.EXECUTOR)
    lock.take()
    with pytest.raises(SegmentExists, match="still runs"):
        create_all(Settings(instance=instance))
    lock.release()
    path_of(instance, "books").rename(segment.SHM_ROOT / f"polytrio.{instance}.books.deadbeef")
    with pytest.raises(SegmentExists, match=f"destroy --instance {instance}"):
        create_all(Settings(instance=instance))


def test_m10_a_stage_does_not_take_up_segments_of_an_earlier_boot(instance, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(segment, "boot_id", lambda: bytes(range(16)))
        for plan in SEGMENTS.values():
            create(instance, plan)
    late = bury(victims.start(victims.stage, instance))
    assert late.code == LayoutMismatch.exit_code
    assert "before the last boot" in late.err
    assert late.err.count("\n") == 1


# --- M11: another user of the machine -------------------------------------------------------------


def test_m11_another_user_can_neither_read_nor_write_nor_take_a_role_and_is_told_so(segments):
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    RoleLock(segments, Role.ENGINE).take()
    done = bury(victims.start(victims.stranger, segments))
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert set(told) == {"read", "write", "lock", "ask"}
    for kind, line in told.values():
        assert kind == "LayoutMismatch"
        assert "belongs to another user: run as that user, or with another --instance" in line
    modes = {
        os.stat(path).st_mode & 0o777 for path in segment.SHM_ROOT.glob(f"polytrio.{segments}.*")
    }
    assert modes == {0o600}


# --- M12: numbers that never wrap -----------------------------------------------------------------


@pytest.mark.parametrize("age", AGES)
def test_m12_positions_and_versions_go_on_beyond_63_bits(segments, age):
    fabric = Fabric(segments, Role.ENGINE)
    view = fabric.segment("signals", writable=True).view
    offset, stride, rows = ring_shape("signals")
    for at in (offset, offset + RING_READ_OFFSET):
        view[at : at + 8] = age.to_bytes(8, "little")
    producer = RingProducer(view, offset, stride, rows, fabric.fence)
    consumer, tail = RingConsumer(view, offset, stride, rows), RingTail(view, offset, stride, rows)
    news = fabric.tail("signals", SIGNAL)
    for number in range(2 * rows):
        payload = SIGNAL.pack(SIGNAL.blank()._replace(signal=number))
        assert producer.try_push(payload)
        assert tail.peek(age + number) == payload
        assert consumer.lag == 1
        assert [row.signal for row in news.news()] == [number]
        assert consumer.pop() == payload
    assert producer.position == consumer.position == age + 2 * rows
    view = find(segments, "signals")
    state = ring_state(view, view.section("signals"))
    assert (state.written, state.lag) == (age + 2 * rows, 0)


@pytest.mark.parametrize("age", AGES)
def test_m12_versions_of_a_row_go_on_beyond_63_bits(segments, age):
    fabric = Fabric(segments, Role.INGEST)
    view = fabric.segment("books", writable=True).view
    placed = find_section("books")[1]
    view[placed.offset : placed.offset + 8] = age.to_bytes(8, "little")
    shape = (placed.offset, BOOK.size, placed.section.rows)
    writer, reader = LatchWriter(view, *shape, fabric.fence), LatchReader(view, *shape)
    for step in range(1, 4):
        assert writer.write(0, message(step, BOOK.size)) == age + step
        assert reader.read(0) == message(step, BOOK.size)
        assert reader.seen == age + step


def test_m12_what_does_not_fit_into_64_bits_is_an_error_and_not_a_small_number():
    SIGNAL.pack(SIGNAL.blank()._replace(signal=2**64 - 1))
    with pytest.raises(Exception, match=r"format requires|int too large|out of range"):
        SIGNAL.pack(SIGNAL.blank()._replace(signal=2**64))
