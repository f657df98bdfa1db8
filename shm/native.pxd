"""What other compiled modules may use of shm/native.pyx: the C operations, and who owns a buffer."""

from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef extern from "atomics.h" nogil:
    const char *PT_LAYOUT_ID
    const size_t PT_LATCH_HEAD_BYTES
    const size_t PT_DIRTY_WORDS
    const size_t PT_RING_SLOTS_OFFSET
    enum:
        PT_OK
        PT_FULL
        PT_FENCED
    ctypedef struct pt_fence:
        const uint64_t *epoch_word
        uint64_t epoch
    ctypedef struct pt_ring:
        uint64_t *write
        uint64_t *overflow
        uint64_t *read
        size_t payload
        uint64_t position
        uint64_t mask
    ctypedef struct pt_histogram:
        uint64_t max_ns
    ctypedef struct pt_role_row:
        uint64_t epoch
    uint64_t pt_role_take(pt_role_row *, uint64_t, uint64_t, uint64_t, uint64_t)
    uint64_t pt_load(const uint64_t *)
    void pt_store(uint64_t *, uint64_t)
    void pt_add(uint64_t *, uint64_t)
    void pt_ring_map(pt_ring *, uint8_t *, size_t, uint64_t)
    void pt_ring_open_producer(pt_ring *)
    void pt_ring_open_consumer(pt_ring *)
    int pt_ring_push(pt_ring *, const pt_fence *, const uint64_t *)
    size_t pt_ring_push_many(pt_ring *, const pt_fence *, const uint64_t *, size_t, int *)
    void pt_ring_wake(pt_ring *)
    bint pt_ring_pop(pt_ring *, uint64_t *)
    size_t pt_ring_pop_many(pt_ring *, uint64_t *, size_t)
    bint pt_ring_wait(pt_ring *, uint64_t, uint64_t)
    bint pt_ring_peek(const pt_ring *, uint64_t, uint64_t *)
    int pt_latch_write(uint64_t *, size_t, const pt_fence *, const uint64_t *)
    uint64_t pt_latch_read(const uint64_t *, size_t, uint64_t *)
    int pt_dirty_mark(uint64_t *, const uint64_t *, const pt_fence *, uint64_t)
    uint64_t pt_dirty_take(const uint64_t *, uint64_t *, size_t)
    void pt_histogram_add(pt_histogram *, uint64_t)


cdef class _Mapping:
    cdef Py_buffer view
    cdef uint8_t *base
    cdef size_t size
    cdef uint8_t *at(self, size_t offset, size_t size) except NULL


cdef class Fence:
    cdef _Mapping mapping
    cdef pt_fence fence


cdef class Words:
    cdef _Mapping mapping
    cdef uint64_t *words
    cdef readonly size_t count
    cdef bint writable
    cdef uint64_t *_word(self, size_t index) except NULL


cdef class _Ring:
    cdef _Mapping mapping
    cdef pt_ring ring


cdef class RingProducer(_Ring):
    cdef Fence fence


cdef class RingConsumer(_Ring):
    pass


cdef class _Latch:
    cdef _Mapping mapping
    cdef uint8_t *rows
    cdef size_t stride
    cdef size_t copy_bytes
    cdef readonly size_t count
    cdef uint64_t *_row(self, size_t row) except NULL


cdef class LatchWriter(_Latch):
    cdef Fence fence


cdef class LatchReader(_Latch):
    cdef readonly uint64_t seen


cdef class DirtyMarker:
    cdef _Mapping marks
    cdef _Mapping seen
    cdef Fence fence
    cdef uint64_t *mark_words
    cdef uint64_t *seen_words


cdef class DirtyTaker:
    cdef _Mapping marks
    cdef _Mapping seen
    cdef uint64_t *mark_words
    cdef uint64_t *seen_words


cdef class HistogramWriter:
    cdef _Mapping mapping
    cdef pt_histogram *histogram


cdef object fenced(Fence fence)
