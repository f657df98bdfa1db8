"""Roles: one holder at a time, proven by the kernel; the successor's epoch silences the dead."""

import os
import signal
import subprocess
import sys
import time

import pytest

from shm.codes import Role, StageState
from shm.errors import FencedError, RoleTaken
from shm.fabric import Fabric
from shm.layout import BOOK
from shm.process import start_ticks
from shm.roles import HEARTBEAT_LIMIT_NS, RoleHolder, RoleLock, RoleTable, health

HOLDER = """
import sys, time
from shm.codes import Role
from shm.roles import RoleLock
RoleLock({instance!r}, Role.ENGINE).take()
print("held", flush=True)
time.sleep(60)
"""


def holder_process(instance: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(instance=instance)], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_role_has_one_holder_and_asking_does_not_take_it(instance):
    lock = RoleLock(instance, Role.ENGINE)
    assert not lock.held_by_anyone()
    lock.take()
    other = RoleLock(instance, Role.ENGINE)
    assert other.held_by_anyone()
    with pytest.raises(RoleTaken, match="another engine"):
        other.take()
    assert not RoleLock(instance, Role.INGEST).held_by_anyone()
    lock.release()
    assert not other.held_by_anyone()
    other.take()
    other.release()


def test_the_kernel_frees_the_role_of_a_killed_process_even_while_it_is_a_zombie(instance):
    process = holder_process(instance)
    lock = RoleLock(instance, Role.ENGINE)
    assert lock.held_by_anyone()
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped
    assert start_ticks(process.pid) != 0
    assert not lock.held_by_anyone()
    process.stdout.close()
    process.wait()


def test_a_stopped_process_still_holds_its_role(instance):
    process = holder_process(instance)
    os.kill(process.pid, signal.SIGSTOP)
    assert RoleLock(instance, Role.ENGINE).held_by_anyone()
    process.kill()
    process.stdout.close()
    process.wait()


def test_a_successor_raises_the_epoch_and_fences_its_predecessor(segments):
    first = Fabric(segments, Role.INGEST)
    old = RoleHolder(first.segment("control", writable=True), Role.INGEST)
    first.fence = old.fence
    books = first.write_table("books", BOOK)
    books.write(0, BOOK.blank())
    second = Fabric(segments, Role.INGEST)
    new = RoleHolder(second.segment("control", writable=True), Role.INGEST)
    assert new.epoch == old.epoch + 1
    with pytest.raises(FencedError):
        books.write(0, BOOK.blank())
    second.fence = new.fence
    assert second.write_table("books", BOOK).write(0, BOOK.blank()) == 2


def test_the_role_table_shows_who_it_is_and_how_it_fares(segments):
    fabric = Fabric(segments, Role.EXECUTOR)
    lock = RoleLock(segments, Role.EXECUTOR)
    lock.take()
    holder = RoleHolder(fabric.segment("control", writable=True), Role.EXECUTOR)
    holder.enter(StageState.RUNNING)
    holder.adopt(3)
    table = RoleTable(fabric.segment("control", writable=False))
    row = table.row(Role.EXECUTOR)
    assert (row.pid, row.state, row.adopted_generation) == (os.getpid(), StageState.RUNNING, 3)
    assert row.start_ticks == start_ticks(os.getpid())
    now = time.monotonic_ns()
    assert not health(table, segments, Role.EXECUTOR, now).hung
    late = health(table, segments, Role.EXECUTOR, row.heartbeat_ns + HEARTBEAT_LIMIT_NS + 1)
    assert late.alive
    assert late.hung
    lock.release()
    gone = health(table, segments, Role.EXECUTOR, row.heartbeat_ns + HEARTBEAT_LIMIT_NS + 1)
    assert not gone.alive
    assert not gone.hung
