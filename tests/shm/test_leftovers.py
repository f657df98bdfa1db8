"""Half-made segments: those of dead makers go, those of living ones stay."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from shm import segment
from shm.__main__ import main
from shm.codes import Role
from shm.errors import SegmentExists, SegmentOrphaned
from shm.layout import HEADER
from shm.leftovers import leftovers, remove_leftovers
from shm.process import start_ticks
from shm.roles import RoleLock
from shm.segment import attach, create, list_files
from shm.segments import LAYOUT_ID, SEGMENTS
from shm.settings import Settings
from shm.system import create_all, destroy_unused
from tests.shm.foreign import path_of

DIE = """
import os, signal
from shm import segment
from shm.segments import SEGMENTS
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
{where} = die
segment.create({instance!r}, SEGMENTS["signals"])
"""


def killed_maker(instance: str, where: str) -> int:
    """A process that is killed while it makes a segment; returns its number."""
    code = DIE.format(instance=instance, where=where)
    child = subprocess.Popen([sys.executable, "-c", code])
    assert child.wait() == -signal.SIGKILL
    return child.pid


def of(pid: int) -> list[Path]:
    return list(segment.SHM_ROOT.glob(f"{segment.BUILDING}.{pid}.*"))


@pytest.fixture(autouse=True)
def nothing_of_ours_stays() -> Iterator[None]:
    yield
    for path in of(os.getpid()):
        path.unlink()
    remove_leftovers()


@pytest.mark.parametrize("where", ["os.posix_fallocate", "segment._write_head", "os.link"])
def test_what_a_killed_maker_left_is_found_and_removed_and_the_name_is_free(instance, where):
    pid = killed_maker(instance, where)
    (path,) = of(pid)
    (left,) = [one for one in leftovers() if one.path == path]
    assert left.abandoned
    assert not left.linked
    assert not list(list_files(instance))
    assert remove_leftovers() >= 1
    assert not of(pid)
    create(instance, SEGMENTS["signals"])


def test_a_maker_killed_at_the_last_step_leaves_a_second_name_that_would_hide_a_removal(instance):
    pid = killed_maker(instance, "segment.posix_ipc.unlink_shared_memory")
    (left,) = [one for one in leftovers() if one.pid == pid]
    assert left.linked
    mapped = attach(instance, SEGMENTS["signals"], writable=False)
    path = path_of(instance, "signals", LAYOUT_ID)
    os.unlink(path)
    mapped.require_named()  # the danger: the file has a name yet
    os.link(left.path, path)
    assert destroy_unused(instance, force=False).segments == 1
    with pytest.raises(SegmentOrphaned):
        mapped.require_named()


def test_what_a_living_process_may_be_making_is_not_touched():
    path = segment.SHM_ROOT / f"{segment.BUILDING}.{os.getpid()}.{secrets.token_hex(8)}"
    path.touch(mode=0o600)
    (left,) = [one for one in leftovers() if one.path == path]
    assert not left.abandoned
    remove_leftovers()
    assert path.exists()


def test_a_number_that_was_given_again_does_not_protect_it():
    path = segment.SHM_ROOT / f"{segment.BUILDING}.{os.getpid()}.{secrets.token_hex(8)}"
    blank = HEADER.blank()._replace(creator_pid=os.getpid())
    path.write_bytes(HEADER.pack(blank._replace(creator_start_ticks=start_ticks(os.getpid()))))
    remove_leftovers()
    assert path.exists()
    path.write_bytes(HEADER.pack(blank._replace(creator_start_ticks=1)))
    remove_leftovers()
    assert not path.exists()


def test_destroy_says_how_many_half_made_segments_it_removed(instance):
    pid = killed_maker(instance, "segment._write_head")
    create(instance, SEGMENTS["signals"])
    done = CliRunner().invoke(main, ["destroy", "--instance", instance, "--json"])
    removed = json.loads(done.stdout)
    assert removed["segments"] == 1
    assert removed["leftovers"] >= 1
    assert not of(pid)


def test_a_start_removes_them_too(instance):
    pid = killed_maker(instance, "os.link")
    create_all(Settings(instance=instance))
    assert not of(pid)


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.label)
def test_destroy_refuses_while_any_owner_lives_unless_forced(segments, role):
    lock = RoleLock(segments, role)
    lock.take()
    with pytest.raises(SegmentExists, match=f"in use by {role.label}"):
        destroy_unused(segments, force=False)
    assert len(list(list_files(segments))) == len(SEGMENTS)
    assert destroy_unused(segments, force=True).segments == len(SEGMENTS)
    lock.release()


def test_no_start_can_come_between_looking_and_removing(segments, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "shm.system.destroy_all",
        lambda instance: seen.append(RoleLock(instance, Role.SUPERVISOR).held_by_anyone()) or 0,
    )
    destroy_unused(segments, force=False)
    assert seen == [True]
    assert not RoleLock(segments, Role.SUPERVISOR).held_by_anyone()


def test_destroying_what_was_never_there_leaves_no_lock_file(instance):
    assert destroy_unused(instance, force=False).segments == 0
    assert not list(segment.SHM_ROOT.glob(f"polytrio.{instance}.*"))
