"""Python twins of what is proven here, with one mistake each, for tests that must catch them."""

import os

import posix_ipc

from shm import model, segment, system
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
    system.remove_leftovers()
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


class ForgetfulProducer(model.RingProducer):
    """Restarts at the hint, without looking what its predecessor committed beyond."""

    def __init__(
        self,
        buffer: memoryview,
        offset: int,
        stride: int,
        capacity: int,
        fence: model.Fence,
    ) -> None:
        hint = bytes(buffer[offset : offset + 8])
        super().__init__(buffer, offset, stride, capacity, fence)
        buffer[offset : offset + 8] = hint
        self.position = int.from_bytes(hint, "little")


class LatchPublishingFirst(model.LatchWriter):
    """Sends readers to the new copy before it is there."""

    def write(self, row: int, payload: bytes) -> int:
        index = self._sequence_index(row)
        sequence = self._words[index]
        self._words[index] = sequence + 1
        self._bytes[self._copy_slice(row, sequence + 1)] = payload
        return sequence + 1


class BlindMarker(model.DirtyMarker):
    """Flips without looking: the second mark takes back the first."""

    def mark(self, index: int) -> None:
        self._marks[index // 64] ^= 1 << index % 64
