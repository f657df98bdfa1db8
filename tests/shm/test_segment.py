"""Segments: made whole at once, attached only when they are what we expect, never resized."""

import os
import re
import stat
import subprocess
import sys

import pytest

from shm import segment
from shm.errors import LayoutMismatch, SegmentExists, SegmentMissing, SegmentOrphaned
from shm.layout import HEADER
from shm.segment import attach, create, list_files
from shm.segments import LAYOUT_ID, SEGMENTS, segment_name

PLAN = SEGMENTS["signals"]


def path_of(instance: str) -> os.PathLike:
    return segment._path(segment_name(instance, PLAN.name))


def test_a_made_segment_is_zeroed_private_fully_allocated_and_can_be_attached(instance):
    create(instance, PLAN)
    status = os.stat(path_of(instance))
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_size == PLAN.total_bytes
    assert status.st_blocks * 512 >= PLAN.total_bytes
    mapped = attach(instance, PLAN, writable=False)
    assert not any(mapped.view[PLAN.data_offset :])
    assert mapped.view.readonly


def test_making_a_segment_twice_is_refused_and_harms_nothing(instance):
    create(instance, PLAN)
    mapped = attach(instance, PLAN, writable=True)
    mapped.view[PLAN.data_offset] = 9
    with pytest.raises(SegmentExists):
        create(instance, PLAN)
    assert attach(instance, PLAN, writable=False).view[PLAN.data_offset] == 9


def test_no_temporary_name_stays_behind(instance):
    create(instance, PLAN)
    with pytest.raises(SegmentExists):
        create(instance, PLAN)
    assert not list(segment.SHM_ROOT.glob(f"polytrio-building.{os.getpid()}.*"))


def test_attaching_what_nobody_made_says_so(instance):
    with pytest.raises(SegmentMissing, match="start the system first"):
        attach(instance, PLAN, writable=False)


def test_attaching_does_not_change_the_size(instance):
    create(instance, PLAN)
    attach(instance, PLAN, writable=True)
    assert os.stat(path_of(instance)).st_size == PLAN.total_bytes


def test_a_shortened_segment_is_refused(instance):
    create(instance, PLAN)
    os.truncate(path_of(instance), PLAN.total_bytes - 4096)
    with pytest.raises(LayoutMismatch, match="bytes, its header says"):
        attach(instance, PLAN, writable=False)
    os.truncate(path_of(instance), 10)
    with pytest.raises(LayoutMismatch, match="cut short"):
        attach(instance, PLAN, writable=False)


def test_every_single_flipped_bit_of_header_and_schema_is_noticed(instance):
    create(instance, PLAN)
    path = path_of(instance)
    with open(path, "r+b") as file:
        used = HEADER.fields[-1].offset + HEADER.fields[-1].size
        for offset in [*range(used), *range(256, 256 + len(PLAN.schema), 7)]:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1 << offset % 8]))
            file.flush()
            with pytest.raises(LayoutMismatch, match=re.escape("python -m shm destroy")):
                attach(instance, PLAN, writable=False)
            file.seek(offset)
            file.write(bytes([byte]))
            file.flush()
    attach(instance, PLAN, writable=False)


def test_a_segment_of_an_older_boot_is_refused(instance, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(segment, "boot_id", lambda: bytes(16))
        create(instance, PLAN)
    with pytest.raises(LayoutMismatch, match="before the last boot"):
        attach(instance, PLAN, writable=False)


def test_e10_a_segment_of_another_layout_under_our_name_is_refused(instance, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(segment, "LAYOUT_HASH", bytes(16))
        create(instance, PLAN)
    with pytest.raises(LayoutMismatch, match="another version"):
        attach(instance, PLAN, writable=False)


def test_a_removed_segment_is_noticed_by_those_who_still_hold_it(instance):
    create(instance, PLAN)
    mapped = attach(instance, PLAN, writable=False)
    mapped.require_named()
    os.unlink(path_of(instance))
    with pytest.raises(SegmentOrphaned, match="restart the system"):
        mapped.require_named()


def test_segments_of_all_versions_are_listed_and_other_files_are_not(instance):
    create(instance, PLAN)
    stranger = segment.SHM_ROOT / f"polytrio.{instance}.signals.deadbeef"
    stranger.write_bytes(b"")
    (segment.SHM_ROOT / f"polytrio.{instance}.ingest.lock").write_bytes(b"")
    assert {file.layout_id for file in list_files(instance)} == {LAYOUT_ID, "deadbeef"}


def test_the_segment_survives_the_death_of_an_attached_process(instance):
    create(instance, PLAN)
    code = (
        "import os, signal\n"
        "from shm.segment import attach\n"
        "from shm.segments import SEGMENTS\n"
        f"attach({instance!r}, SEGMENTS['signals'], writable=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=os.getcwd())
    assert done.returncode == -9
    attach(instance, PLAN, writable=False).require_named()


def test_a_segment_that_nobody_holds_any_more_costs_no_descriptor(instance):
    create(instance, PLAN)
    attach(instance, PLAN, writable=True)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        attach(instance, PLAN, writable=True)
    assert len(os.listdir("/proc/self/fd")) == before
    view = attach(instance, PLAN, writable=True).view
    view[-1] = 5  # what is still looked at stays mapped
