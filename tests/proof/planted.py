"""Starts and take-overs with one mistake each, for the tests that must catch them."""

import os

import posix_ipc

from shm import segment, system
from shm.backend import Words
from shm.codes import Role
from shm.control import publish_settings
from shm.errors import SegmentExists
from shm.fabric import Fabric
from shm.roles import RoleHolder
from shm.segment import MODE
from shm.segments import SEGMENTS, SegmentPlan, segment_name
from shm.settings import Settings


def create_under_the_final_name(instance: str, plan: SegmentPlan) -> None:
    """The name is there before the segment is whole."""
    name = segment_name(instance, plan.name)
    try:
        memory = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, mode=MODE)
    except posix_ipc.ExistentialError:
        raise SegmentExists(f"segment {name} is there already") from None
    os.posix_fallocate(memory.fd, 0, plan.total_bytes)
    segment._write_head(memory.fd, instance, plan)
    memory.close_fd()


def create_all_settings_first(settings: Settings) -> Fabric:
    """Stages see the settings, and believe in a system that is not finished."""
    for file in segment.list_files(settings.instance):
        segment.destroy(file)
    system.create(settings.instance, SEGMENTS["control"])
    fabric = Fabric(settings.instance, Role.SUPERVISOR)
    holder = RoleHolder(fabric.segment("control", writable=True), Role.SUPERVISOR)
    fabric.fence = holder.fence
    publish_settings(fabric, settings)
    for plan in SEGMENTS.values():
        if plan.name != "control":
            system.create(settings.instance, plan)
    return fabric


def take_role_without_an_epoch(
    buffer: memoryview, offset: int, _holder: tuple[int, int], _now_ns: int, _state: int
) -> int:
    """The successor works under the epoch of the one before, who is never refused."""
    return Words(buffer, offset, 8, writable=True).load(0)
