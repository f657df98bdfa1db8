"""doctor: each illness is planted and found with cause and remedy; health is called health."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from click.testing import CliRunner

from shm import backend, diagnosis, holders, layout, segment
from shm.__main__ import main
from shm.codes import Role, StageState
from shm.diagnosis import examine
from shm.errors import LayoutMismatch, SegmentError
from shm.fabric import Fabric, find_section
from shm.findings import Finding, Severity
from shm.markets import MarketsWriter
from shm.roles import RoleHolder, RoleLock
from shm.segment import list_files
from shm.segments import LATCH_HEAD_BYTES, LAYOUT_ID, SEGMENTS
from shm.settings import Settings
from shm.system import create_all
from tests.engine.factory import ladder
from tests.shm.foreign import STRANGE_ID, path_of, teahouse, write

KERNEL_CHECK = diagnosis._kernel
LEFTOVERS = diagnosis.leftovers

TAKE = """
import mmap, os, signal, sys, time
from shm.codes import Role, StageState
from shm.fabric import Fabric
from shm.roles import RoleHolder, RoleLock
instance = {instance!r}
{body}
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def nothing_but_the_instance(monkeypatch):
    """What this checkout's kernel is, and what others are making just now, has tests of its own."""
    monkeypatch.setattr(diagnosis, "_kernel", lambda: iter(()))
    monkeypatch.setattr(diagnosis, "leftovers", lambda: iter(()))


@pytest.fixture
def process(instance) -> Iterator[Callable[[str], subprocess.Popen]]:
    """Starts processes that do something to the instance and then live until killed."""
    with ExitStack() as stack:

        def start(body: str) -> subprocess.Popen:
            code = TAKE.format(instance=instance, body=body)
            child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
            stack.enter_context(child)
            stack.callback(child.kill)
            assert child.stdout.readline() == b"ready\n"
            return child

        yield start


@pytest.fixture
def running(segments) -> Iterator[tuple[str, RoleHolder]]:
    """An instance whose supervisor and engine live in this process."""
    locks = [RoleLock(segments, role) for role in (Role.SUPERVISOR, Role.ENGINE)]
    for lock in locks:
        lock.take()
    control = Fabric(segments, Role.ENGINE).segment("control", writable=True)
    RoleHolder(control, Role.SUPERVISOR)
    holder = RoleHolder(control, Role.ENGINE)
    holder.enter(StageState.RUNNING)
    holder.beat(time.monotonic_ns())
    yield segments, holder
    for lock in locks:
        lock.release()


def found(instance: str, code: str) -> list[Finding]:
    return [finding for finding in examine(instance) if finding.code == code]


def one(instance: str, code: str) -> Finding:
    (finding,) = found(instance, code)
    return finding


def trouble(instance: str) -> set[str]:
    """Codes of what makes the instance unhealthy."""
    return {f.code for f in examine(instance) if f.severity is not Severity.NOTE}


def doctor(*words: str):
    return CliRunner().invoke(main, ["doctor", *words])


def test_a_healthy_system_is_called_healthy(running):
    instance, _ = running
    assert trouble(instance) == set()
    done = doctor("--instance", instance)
    assert done.exit_code == 0, done.output
    assert done.output.endswith("healthy\n")
    lines = done.output.splitlines()
    assert len([line for line in lines if f"process {os.getpid()}" in line]) == 2
    assert all(line.startswith("note") for line in lines[:-1])


def test_every_finding_is_one_line_with_cause_and_remedy_and_the_exit_code_says_so(running):
    instance, _ = running
    os.chmod(path_of(instance, "books", LAYOUT_ID), 0o644)
    done = doctor("--instance", instance)
    assert done.exit_code == SegmentError.exit_code
    first = done.output.splitlines()[0]
    assert first.startswith("error")
    assert "0644" in first
    assert "-> `chmod 600" in first
    findings = json.loads(doctor("--instance", instance, "--json").stdout)
    assert set(findings[0]) == {"severity", "code", "subject", "cause", "remedy"}
    assert len(findings) == len(done.output.splitlines())


def test_nothing_started_is_said_so(instance):
    finding = one(instance, "no-segments")
    assert "nothing has been started" in finding.cause
    assert "make run" in finding.remedy
    assert doctor("--instance", instance).exit_code == SegmentError.exit_code


def test_another_version_is_recognised_by_name_and_by_header(instance):
    write(path_of(instance, "teahouse"), teahouse())
    assert STRANGE_ID in one(instance, "other-version").cause
    path_of(instance, "teahouse").rename(path_of(instance, "teahouse", "deadbeef"))
    assert "its name says deadbeef, its header 0badcafe" in one(instance, "name-differs").cause


def test_a_segment_under_the_name_of_another_is_recognised(instance):
    write(path_of(instance, "teahouse"), teahouse()).rename(path_of(instance, "books"))
    assert "a copy of teahouse" in one(instance, "name-differs").cause


def test_a_segment_copied_from_another_instance_is_recognised(instance, segments):
    image = path_of(segments, "books", LAYOUT_ID).read_bytes()
    other = f"{instance}-copy"
    path = path_of(other, "books", LAYOUT_ID)
    path.touch(mode=0o600)
    path.write_bytes(image)
    try:
        assert "a copy of books" in one(other, "name-differs").cause
    finally:
        path.unlink()


def spoil(offset: int, value: bytes) -> Callable[[os.PathLike], None]:
    def do(path: os.PathLike) -> None:
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(value)

    return do


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (spoil(0, b"POLYTRIA"), "no polytrio header"),
        (spoil(80, b"\xff"), "damaged header"),
        (spoil(300, b"\xff"), "damaged header"),
        (spoil(72, b"\xff"), "another header format"),
        (lambda path: os.truncate(path, 8192), "8192 bytes, its header says"),
        (lambda path: os.truncate(path, 100), "cut short"),
    ],
)
def test_damage_is_named_by_its_kind(segments, damage, cause):
    damage(path_of(segments, "books", LAYOUT_ID))
    finding = one(segments, "damaged")
    assert cause in finding.cause
    assert f"destroy --instance {segments}" in finding.remedy


def test_settings_and_markets_that_changed_by_themselves_are_recognised(instance):
    fabric = create_all(Settings(instance=instance))
    MarketsWriter(Fabric(instance, Role.DESK)).publish(1, ladder([10, 20]))
    assert not found(instance, "damaged-record")
    for name, what in (("control.settings", "the settings"), ("markets", "the markets table")):
        plan, placed = find_section(name)
        view = fabric.segment(plan.name, writable=True).view
        # 64 bytes into the second copy, which the first version uses.
        at = placed.offset + LATCH_HEAD_BYTES + placed.section.payload_bytes + 64
        view[at] ^= 1
        assert one(instance, "damaged-record").cause.startswith(what)
        view[at] ^= 1
    assert not found(instance, "damaged-record")


def test_a_segment_of_an_earlier_boot_is_recognised(instance, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(segment, "boot_id", lambda: bytes(16))
        segment.create(instance, SEGMENTS["books"])
    assert "before the last boot" in one(instance, "stale-boot").cause
    segment.create(instance, SEGMENTS["signals"])
    assert one(instance, "stale-boot").subject.split(".")[2] == "books"


def test_a_wrong_mode_or_owner_is_recognised_also_of_a_lock_file(running, monkeypatch):
    instance, _ = running
    assert trouble(instance) == set()
    lock = segment.SHM_ROOT / f"polytrio.{instance}.engine.lock"
    os.chmod(lock, 0o666)
    assert one(instance, "mode").subject == lock.name
    os.chmod(lock, 0o600)
    monkeypatch.setattr(diagnosis.os, "geteuid", lambda: os.getuid() + 1)
    assert len(found(instance, "owner")) == len(SEGMENTS) + 2


def test_a_segment_that_was_removed_under_a_living_process_is_found_in_its_maps(segments, process):
    child = process("view = Fabric(instance).segment('books', writable=False)")
    assert not found(segments, "orphaned")
    path_of(segments, "books", LAYOUT_ID).unlink()
    finding = one(segments, "orphaned")
    assert finding.subject == f"process {child.pid}"
    assert f"polytrio.{segments}.books" in finding.cause
    assert f"kill {child.pid}" in finding.remedy


def test_a_half_made_set_of_segments_is_recognised(segments):
    assert "incomplete" not in trouble(segments)
    path_of(segments, "signals", LAYOUT_ID).unlink()
    assert "(signals)" in one(segments, "incomplete").cause


def test_what_a_killed_maker_left_is_told_from_what_is_being_made(segments, monkeypatch):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    paths = {
        pid: segment.SHM_ROOT / f"{segment.BUILDING}.{pid}.{secrets.token_hex(8)}"
        for pid in (dead.pid, os.getpid())
    }
    ours = set(paths.values())
    monkeypatch.setattr(diagnosis, "leftovers", lambda: (x for x in LEFTOVERS() if x.path in ours))
    for path in ours:
        path.touch(mode=0o600)
    try:
        assert one(segments, "building").severity is Severity.NOTE
        left = one(segments, "leftover")
        assert left.subject == paths[dead.pid].name
        assert "was killed while it made a segment" in left.cause
        assert "destroy" in left.remedy
        paths[dead.pid].unlink()
        os.link(path_of(segments, "books", LAYOUT_ID), paths[dead.pid])
        assert "after putting it in place" in one(segments, "leftover").cause
    finally:
        for path in ours:
            path.unlink(missing_ok=True)  # another start on this machine may sweep


def test_who_holds_a_lock_is_found_although_the_kernel_lists_no_process_for_it(segments, process):
    assert not found(segments, "alive")
    child = process("RoleLock(instance, Role.INGEST).take()")
    assert f"held by process {child.pid}" in one(segments, "alive").cause
    path = segment.SHM_ROOT / f"polytrio.{segments}.ingest.lock"
    assert holders.lock_holders([path]) == {path: [child.pid]}


def test_a_lock_that_two_processes_share_is_recognised(running):
    instance, _ = running
    lock = RoleLock(instance, Role.INGEST)
    lock.take()
    lock.keep_over_exec()
    code = "import time; print('ready', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], close_fds=False, stdout=subprocess.PIPE)
    with child:
        assert child.stdout.readline() == b"ready\n"
        cause = one(instance, "shared-lock").cause
        child.kill()
    lock.release()
    assert str(child.pid) in cause
    assert str(os.getpid()) in cause


def test_a_lock_whose_holder_never_entered_the_role_table_is_recognised(segments, process):
    process("RoleLock(instance, Role.INGEST).take()")
    assert "nobody has entered" in one(segments, "epoch-differs").cause


def test_an_epoch_that_belongs_to_another_process_than_the_lock_is_recognised(segments, process):
    child = process("RoleLock(instance, Role.INGEST).take()")
    control = Fabric(segments, Role.INGEST).segment("control", writable=True)
    RoleHolder(control, Role.INGEST)
    cause = one(segments, "epoch-differs").cause
    assert f"process {child.pid} holds its lock" in cause
    assert f"belongs to process {os.getpid()}" in cause


def test_a_row_of_an_earlier_process_with_the_same_number_is_recognised(running):
    instance, _ = running
    view = Fabric(instance, Role.ENGINE).segment("control", writable=True).view
    row = SEGMENTS["control"].placed["roles"].offset + Role.ENGINE * layout.ROLE_ROW.size
    at = row + layout.ROLE_ROW.offset_of["start_ticks"]
    view[at : at + 8] = (1).to_bytes(8, "little")
    assert "an earlier process" in one(instance, "epoch-differs").cause


ENTER = """
lock = RoleLock(instance, Role.INGEST)
lock.take()
holder = RoleHolder(Fabric(instance, Role.INGEST).segment("control", writable=True), Role.INGEST)
holder.enter(StageState.RUNNING)
holder.beat(time.monotonic_ns() - {age_ns})
"""


def test_a_stage_that_died_at_work_is_told_from_one_that_stopped(segments, process):
    child = process(ENTER.format(age_ns=0))
    assert trouble(segments) == set()
    child.kill()
    child.wait()
    assert f"process {child.pid} (epoch 1) died while running" in one(segments, "died").cause
    other = process(ENTER.format(age_ns=0) + "holder.enter(StageState.STOPPED)")
    other.kill()
    other.wait()
    assert trouble(segments) == set()


def test_a_process_that_lives_without_its_lock_is_recognised(segments, process):
    child = process(ENTER.format(age_ns=0) + "lock.release()")
    finding = one(segments, "no-lock")
    assert f"process {child.pid} lives as epoch 1" in finding.cause


def test_a_heartbeat_that_stands_still_is_recognised_with_its_reason(segments, process):
    child = process(ENTER.format(age_ns=10_000_000_000))
    hung = one(segments, "no-heartbeat")
    assert "its loop does not come round" in hung.cause
    assert f"kill -9 {child.pid}" in hung.remedy
    os.kill(child.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    assert f"kill -CONT {child.pid}" in one(segments, "no-heartbeat").remedy


def test_a_supervisor_needs_no_heartbeat_and_a_starting_stage_gets_some_time(running):
    instance, _ = running
    control = Fabric(instance, Role.ENGINE).segment("control", writable=True)
    holder = RoleHolder(control, Role.ENGINE)  # STARTING, no loop yet
    assert trouble(instance) == set()
    view = control.view
    start = SEGMENTS["control"].placed["roles"].offset
    for role, age_ns in ((Role.SUPERVISOR, 10**12), (Role.ENGINE, 3 * 10**9)):
        at = start + role * layout.ROLE_ROW.size + layout.ROLE_ROW.offset_of["heartbeat_ns"]
        view[at : at + 8] = max(1, time.monotonic_ns() - age_ns).to_bytes(8, "little")
    loops = start + Role.ENGINE * layout.ROLE_ROW.size + layout.ROLE_ROW.offset_of["loops"]
    view[loops : loops + 8] = bytes(8)
    assert trouble(instance) == set()
    holder.enter(StageState.RUNNING)
    assert trouble(instance) == {"no-heartbeat"}


def test_a_full_ring_and_what_became_of_the_rest_is_recognised(segments):
    signals = Fabric(segments, Role.ENGINE).produce("signals", layout.SIGNAL)
    for _ in range(63):
        assert signals.try_push(layout.SIGNAL.blank())
    assert not found(segments, "ring-full")
    assert signals.try_push(layout.SIGNAL.blank())
    assert "64 messages wait in 64 slots" in one(segments, "ring-full").cause
    assert not found(segments, "overflow")
    assert not signals.try_push(layout.SIGNAL.blank())
    refused = one(segments, "overflow")
    assert refused.severity is Severity.WARNING
    assert "refused" in refused.cause


def test_an_overflow_that_loses_nothing_is_only_noted(segments):
    fabric = Fabric(segments, Role.INGEST)
    updates = fabric.produce("updates", layout.UPDATE)
    while updates.try_push(layout.UPDATE.blank()):
        continue
    consumer = Fabric(segments, Role.ENGINE).consume("updates", layout.UPDATE)
    while consumer.pop():
        continue
    noted = one(segments, "overflow")
    assert noted.severity is Severity.NOTE
    assert "conflated into dirty bits" in noted.cause


def test_too_little_room_is_recognised_before_a_start(instance, segments, monkeypatch):
    needed = sum(plan.total_bytes for plan in SEGMENTS.values())
    monkeypatch.setattr(diagnosis, "_free_bytes", lambda: needed)
    assert not found(instance, "no-room")
    monkeypatch.setattr(diagnosis, "_free_bytes", lambda: needed - 1)
    finding = one(instance, "no-room")
    assert finding.severity is Severity.WARNING
    assert "--shm-size" in finding.remedy
    for file in list_files(instance):
        segment.destroy(file)
    assert one(instance, "no-room").severity is Severity.ERROR


def test_the_room_is_the_real_one():
    space = os.statvfs(segment.SHM_ROOT)
    assert 0 <= diagnosis._free_bytes() <= space.f_blocks * space.f_frsize


def test_a_stage_of_another_build_is_recognised_by_what_it_has_mapped(segments, process):
    path = write(path_of(segments, "teahouse"), teahouse())
    child = process(
        "RoleLock(instance, Role.INGEST).take()\n"
        f"fd = os.open({str(path)!r}, os.O_RDONLY)\n"
        "view = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)\n"
    )
    cause = one(segments, "other-build").cause
    assert f"process {child.pid} runs a build with layout {STRANGE_ID}" in cause


def test_a_stage_whose_kernel_was_built_anew_is_recognised(segments, process, tmp_path):
    kernel = tmp_path / "native.cpython.so"
    kernel.write_bytes(bytes(4096))
    process(
        "RoleLock(instance, Role.INGEST).take()\n"
        f"fd = os.open({str(kernel)!r}, os.O_RDONLY)\n"
        "view = mmap.mmap(fd, 0, access=mmap.ACCESS_READ)\n"
    )
    assert not found(segments, "other-build")
    kernel.unlink()
    assert "has been built anew" in one(segments, "other-build").cause


def test_a_kernel_of_another_layout_in_this_build_is_recognised(monkeypatch):
    def refuse() -> None:
        raise LayoutMismatch("built for layout x, the code says y: run `make setup` again")

    monkeypatch.setattr(backend, "require_usable", refuse)
    (finding,) = KERNEL_CHECK()
    assert finding.code == "stale-kernel"
    assert finding.remedy == "run `make setup` again"
    monkeypatch.setattr(backend, "require_usable", lambda: None)
    monkeypatch.setattr(backend, "NATIVE", True)
    assert not list(KERNEL_CHECK())
    monkeypatch.setattr(backend, "NATIVE", False)
    (finding,) = KERNEL_CHECK()
    assert finding.severity is Severity.NOTE


def test_without_an_instance_every_one_is_examined(segments):
    def about_it() -> set[str]:
        return {finding.code for finding in examine() if segments in finding.subject}

    assert about_it() == set()
    path_of(segments, "signals", LAYOUT_ID).unlink()
    assert about_it() == {"incomplete"}
