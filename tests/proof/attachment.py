"""Makes, attaches and uses every segment once, for memcheck to watch (test_memcheck.py).

python -m tests.proof.attachment INSTANCE [PLANT]
"""

import ctypes
import sys

from shm import backend
from shm.codes import STAGES, Role, StageState
from shm.control import require_settings
from shm.fabric import Fabric
from shm.layout import BOOK
from shm.roles import RoleHolder, RoleLock, RoleTable
from shm.segment import attach, list_files, read_head
from shm.segments import LATCH_HEAD_BYTES, SEGMENTS, Kind, Placed
from shm.settings import Settings
from shm.system import create_all


def use(view: memoryview, placed: Placed, fence: backend.Fence) -> None:
    """Write and read one section, whatever its kind, at its first and last row."""
    section, at = placed.section, placed.offset
    rows, size = section.rows, section.payload_bytes
    match section.kind:
        case Kind.LATCH:
            writer = backend.LatchWriter(view, at, size, rows, fence)
            reader = backend.LatchReader(view, at, size, rows)
            for row in {0, rows - 1}:
                payload = bytes([row % 251]) * size
                writer.write(row, payload)
                assert reader.read(row) == payload
        case Kind.RING:
            shape = at, section.stride_bytes, rows
            producer = backend.RingProducer(view, *shape, fence)
            consumer = backend.RingConsumer(view, *shape)
            tail = backend.RingTail(view, *shape)
            for _ in range(rows // 2):
                assert producer.try_push(bytes(size))
            assert tail.peek(0) == consumer.pop() == bytes(size)
            assert len(consumer.pop_many(rows)) == (rows // 2 - 1) * size
            assert producer.push_many(bytes(size * (rows + 1))) == rows
            assert consumer.wait(0, 0)
            assert len(consumer.pop_many(rows)) == rows * size
            assert not consumer.wait(1, 1000)
        case Kind.PLAIN:
            words = backend.Words(view, at, rows * size // 8, True)
            for index in {0, words.count - 1}:
                words.add(index)
                words.store(index, words.load(index))


def everything(instance: str) -> None:
    """The life of a system, in one process."""
    RoleLock(instance, Role.SUPERVISOR).take()
    create_all(Settings(instance=instance))
    for role in STAGES:
        RoleLock(instance, role).take()
    for file in list_files(instance):
        with file.path.open("rb") as bytes_of:
            read_head(file.path.name, bytes_of.fileno())
    require_settings(Fabric(instance))
    fabric = Fabric(instance, Role.INGEST)
    holder = RoleHolder(fabric.segment("control", writable=True), Role.INGEST)
    holder.enter(StageState.RUNNING)
    holder.beat(1)
    for plan in SEGMENTS.values():
        attach(instance, plan, writable=False)
        mapped = attach(instance, plan, writable=True)
        mapped.require_named()
        for placed in plan.placed.values():
            use(mapped.view, placed, backend.Fence())
    RoleTable(fabric.segment("control", writable=False)).row(Role.INGEST)
    updates = SEGMENTS["updates"]
    view = attach(instance, updates, writable=True).view
    ends = updates.placed["dirty"].offset, updates.placed["dirty_seen"].offset
    backend.DirtyTaker(view, *ends).take()
    backend.DirtyMarker(view, *ends, backend.Fence()).mark(1023)
    assert backend.DirtyTaker(view, *ends).take() == [1023]
    histogram = SEGMENTS["stats-ingest"].placed["histograms"]
    stats = attach(instance, SEGMENTS["stats-ingest"], writable=True).view
    for value in (0, 31, 32, 10**6, 2**62):
        backend.HistogramWriter(stats, histogram.offset).add(value)


def read_beyond() -> None:
    """A mistake: a buffer that says it is larger than the memory behind it."""
    size = LATCH_HEAD_BYTES + 2 * BOOK.size
    malloc = ctypes.CDLL(None).malloc
    malloc.restype = ctypes.c_void_p
    address = malloc(ctypes.c_size_t(size // 2))
    ctypes.memset(address, 0, size // 2)
    lie = (ctypes.c_char * size).from_address(address)
    backend.LatchReader(lie, 0, BOOK.size, 1).read(0)


if __name__ == "__main__":
    match sys.argv[2:]:
        case ["read-beyond"]:
            read_beyond()
        case []:
            everything(sys.argv[1])
