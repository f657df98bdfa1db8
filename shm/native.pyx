# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The compiled face of shm/atomics.h: the same classes as shm/model.py, which documents them."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint64_t

from shm.errors import FencedError


cdef extern from *:
    """
    #include <signal.h>
    #include <sys/prctl.h>
    """
    int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)
    int PR_SET_PDEATHSIG
    int SIGKILL

LAYOUT_ID = PT_LAYOUT_ID.decode()


cdef class _Mapping:
    """Keeps a buffer exported and knows its address."""

    def __cinit__(self, buffer, bint writable):
        PyObject_GetBuffer(buffer, &self.view, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
        self.base = <uint8_t *>self.view.buf
        self.size = self.view.len

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    cdef uint8_t *at(self, size_t offset, size_t size) except NULL:
        if offset % 8 or offset + size > self.size:
            raise ValueError(f"{size} bytes at {offset} do not fit into {self.size}")
        return self.base + offset


cdef class Fence:
    def __init__(self, buffer=None, size_t offset=0, uint64_t epoch=0):
        self.fence.epoch = epoch
        self.fence.epoch_word = NULL
        if buffer is not None:
            self.mapping = _Mapping(buffer, False)
            self.fence.epoch_word = <uint64_t *>self.mapping.at(offset, 8)

    @property
    def epoch(self):
        return self.fence.epoch

    def check(self):
        if self.fence.epoch_word != NULL and pt_load(self.fence.epoch_word) != self.fence.epoch:
            raise fenced(self)


cdef object fenced(Fence fence):
    return FencedError(
        f"epoch {fence.fence.epoch} of this role is over (now {pt_load(fence.fence.epoch_word)}): "
        "another process has taken it; nothing more is written here"
    )


cdef class Words:
    def __init__(self, buffer, size_t offset, size_t count, bint writable):
        self.mapping = _Mapping(buffer, writable)
        self.writable = writable
        self.words = <uint64_t *>self.mapping.at(offset, 8 * count)
        self.count = count

    cdef uint64_t *_word(self, size_t index) except NULL:
        if index >= self.count:
            raise IndexError(index)
        return &self.words[index]

    def load(self, size_t index):
        return pt_load(self._word(index))

    def store(self, size_t index, uint64_t value):
        if not self.writable:
            raise TypeError("opened for reading")
        pt_store(self._word(index), value)

    def add(self, size_t index, uint64_t amount=1):
        if not self.writable:
            raise TypeError("opened for reading")
        pt_add(self._word(index), amount)


def take_role(buffer, size_t offset, holder, uint64_t now_ns, uint64_t state):
    cdef uint64_t pid, start_ticks
    pid, start_ticks = holder
    cdef _Mapping mapping = _Mapping(buffer, True)
    return pt_role_take(
        <pt_role_row *>mapping.at(offset, sizeof(pt_role_row)), pid, start_ticks, now_ns, state
    )


cdef class _Ring:
    def __init__(self, buffer, size_t offset, size_t stride, uint64_t capacity, bint writable):
        if capacity == 0 or capacity & (capacity - 1):
            raise ValueError(f"capacity {capacity} is not a power of two")
        self.mapping = _Mapping(buffer, writable)
        pt_ring_map(&self.ring, self.mapping.at(offset, PT_RING_SLOTS_OFFSET + stride * capacity), stride, capacity)

    @property
    def position(self):
        return self.ring.position

    @property
    def written(self):
        return pt_load(self.ring.write)

    @property
    def overflow(self):
        return pt_load(self.ring.overflow)

    @property
    def capacity(self):
        return self.ring.mask + 1


cdef class RingProducer(_Ring):
    def __init__(self, buffer, size_t offset, size_t stride, uint64_t capacity, Fence fence):
        super().__init__(buffer, offset, stride, capacity, True)
        self.fence = fence
        fence.check()
        pt_ring_open_producer(&self.ring)

    def try_push(self, bytes payload, bint wake=True):
        if <size_t>len(payload) != self.ring.payload:
            raise ValueError(f"payload is {len(payload)} bytes, slot takes {self.ring.payload}")
        cdef int outcome = pt_ring_push(
            &self.ring, &self.fence.fence, <const uint64_t *>PyBytes_AS_STRING(payload)
        )
        if outcome == PT_FENCED:
            raise fenced(self.fence)
        if outcome == PT_OK and wake:
            pt_ring_wake(&self.ring)
        return outcome == PT_OK

    def push_many(self, bytes payloads, bint wake=True):
        if len(payloads) % self.ring.payload:
            raise ValueError(f"{len(payloads)} bytes are no multiple of {self.ring.payload}")
        cdef int outcome = PT_OK
        cdef size_t pushed = pt_ring_push_many(
            &self.ring, &self.fence.fence, <const uint64_t *>PyBytes_AS_STRING(payloads),
            len(payloads) // self.ring.payload, &outcome
        )
        if outcome == PT_FENCED:
            raise fenced(self.fence)
        if pushed and wake:
            pt_ring_wake(&self.ring)
        return pushed


cdef class RingConsumer(_Ring):
    def __init__(self, buffer, size_t offset, size_t stride, uint64_t capacity):
        super().__init__(buffer, offset, stride, capacity, True)
        pt_ring_open_consumer(&self.ring)

    def pop(self):
        cdef bytes payload = PyBytes_FromStringAndSize(NULL, self.ring.payload)
        if pt_ring_pop(&self.ring, <uint64_t *>PyBytes_AS_STRING(payload)):
            return payload
        return None

    def pop_many(self, size_t most):
        cdef bytes payloads = PyBytes_FromStringAndSize(NULL, most * self.ring.payload)
        cdef size_t taken = pt_ring_pop_many(
            &self.ring, <uint64_t *>PyBytes_AS_STRING(payloads), most
        )
        return payloads[:taken * self.ring.payload]

    def wait(self, uint64_t spins, uint64_t timeout_ns):
        cdef bint ready
        with nogil:
            ready = pt_ring_wait(&self.ring, spins, timeout_ns)
        return ready

    @property
    def lag(self):
        cdef uint64_t written = pt_load(self.ring.write)
        return written - self.ring.position if written > self.ring.position else 0


cdef class RingTail(_Ring):
    def __init__(self, buffer, size_t offset, size_t stride, uint64_t capacity):
        super().__init__(buffer, offset, stride, capacity, False)

    def peek(self, uint64_t position):
        cdef bytes payload = PyBytes_FromStringAndSize(NULL, self.ring.payload)
        if pt_ring_peek(&self.ring, position, <uint64_t *>PyBytes_AS_STRING(payload)):
            return payload
        return None


cdef class _Latch:
    def __init__(self, buffer, size_t offset, size_t copy_bytes, size_t rows, bint writable):
        if copy_bytes % 8:
            raise ValueError(f"a copy of {copy_bytes} bytes is not a multiple of 8")
        self.mapping = _Mapping(buffer, writable)
        self.copy_bytes = copy_bytes
        self.stride = PT_LATCH_HEAD_BYTES + 2 * copy_bytes
        self.count = rows
        self.rows = self.mapping.at(offset, self.stride * rows)

    cdef uint64_t *_row(self, size_t row) except NULL:
        if row >= self.count:
            raise IndexError(row)
        return <uint64_t *>(self.rows + row * self.stride)

    def version(self, size_t row):
        return pt_load(self._row(row))


cdef class LatchWriter(_Latch):
    def __init__(self, buffer, size_t offset, size_t copy_bytes, size_t rows, Fence fence):
        super().__init__(buffer, offset, copy_bytes, rows, True)
        self.fence = fence

    def write(self, size_t row, bytes payload):
        if <size_t>len(payload) != self.copy_bytes:
            raise ValueError(f"payload is {len(payload)} bytes, a copy takes {self.copy_bytes}")
        cdef uint64_t *words = self._row(row)
        if pt_latch_write(
            words, self.copy_bytes, &self.fence.fence, <const uint64_t *>PyBytes_AS_STRING(payload)
        ) == PT_FENCED:
            raise fenced(self.fence)
        return words[0]


cdef class LatchReader(_Latch):
    def __init__(self, buffer, size_t offset, size_t copy_bytes, size_t rows):
        super().__init__(buffer, offset, copy_bytes, rows, False)
        self.seen = 0

    def read(self, size_t row):
        cdef bytes payload = PyBytes_FromStringAndSize(NULL, self.copy_bytes)
        cdef uint64_t version = pt_latch_read(
            self._row(row), self.copy_bytes, <uint64_t *>PyBytes_AS_STRING(payload)
        )
        if version == UINT64_MAX:
            return None
        self.seen = version
        return payload


cdef class DirtyMarker:
    def __init__(self, buffer, size_t marks_offset, size_t seen_offset, Fence fence):
        self.marks = _Mapping(buffer, True)
        self.seen = _Mapping(buffer, False)
        self.fence = fence
        self.mark_words = <uint64_t *>self.marks.at(marks_offset, 8 * PT_DIRTY_WORDS)
        self.seen_words = <uint64_t *>self.seen.at(seen_offset, 8 * PT_DIRTY_WORDS)

    def mark(self, size_t index):
        if index >= 64 * PT_DIRTY_WORDS:
            raise IndexError(index)
        if pt_dirty_mark(
            self.mark_words, self.seen_words, &self.fence.fence, index
        ) == PT_FENCED:
            raise fenced(self.fence)


cdef class DirtyTaker:
    def __init__(self, buffer, size_t marks_offset, size_t seen_offset):
        self.marks = _Mapping(buffer, False)
        self.seen = _Mapping(buffer, True)
        self.mark_words = <uint64_t *>self.marks.at(marks_offset, 8 * PT_DIRTY_WORDS)
        self.seen_words = <uint64_t *>self.seen.at(seen_offset, 8 * PT_DIRTY_WORDS)

    def take(self):
        cdef list taken = []
        cdef uint64_t dirty
        cdef size_t word
        cdef int bit
        for word in range(PT_DIRTY_WORDS):
            dirty = pt_dirty_take(self.mark_words, self.seen_words, word)
            for bit in range(64):
                if dirty >> bit & 1:
                    taken.append(64 * word + bit)
        return taken


cdef class HistogramWriter:
    def __init__(self, buffer, size_t offset):
        self.mapping = _Mapping(buffer, True)
        self.histogram = <pt_histogram *>self.mapping.at(offset, sizeof(pt_histogram))

    def add(self, int64_t value_ns):
        pt_histogram_add(self.histogram, value_ns if value_ns > 0 else 0)


def die_with_parent():
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
