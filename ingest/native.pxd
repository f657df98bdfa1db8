"""What the compiled listener may use of the compiled keeper."""

from libc.stdint cimport uint32_t, uint64_t

from ingest.shelf cimport pt_book, pt_event, pt_scan, pt_shelf, pt_shelf_row, pt_text
from shm.native cimport DirtyMarker, HistogramWriter, LatchWriter, RingProducer, Words


cdef class Keeper:
    cdef pt_shelf *shelf
    cdef pt_scan *scan
    cdef LatchWriter latch
    cdef RingProducer ring
    cdef DirtyMarker dirty
    cdef Words counters
    cdef HistogramWriter readable_to_parsed
    cdef HistogramWriter parsed_to_published
    cdef uint64_t epoch
    cdef dict facts
    cdef dict tokens
    cdef list kept  # texts that a frame taken the slow way points into

    cdef _know(self, uint32_t number)
    cdef pt_shelf_row *_row(self, uint32_t number) except NULL
    cdef bint take_bytes(self, const char *frame, size_t length, uint64_t readable_ns) except -1
    cdef int _publish(self, uint64_t frame_ns, uint64_t parsed_ns) except -1
    cdef uint64_t _write(self, uint32_t number, const pt_book *shown) except? 0
    cdef _check(self, uint32_t number)
    cdef bint _hash_matches(self, uint32_t number) except -1
    cdef bytes _side_text(self, pt_shelf_row *row, bint bid, bint mirrored, bint ascending)
    cdef _take_slowly(self, bytes frame)
    cdef pt_text _text(self, text)
    cdef pt_event _taken(self, event)
    cdef _take_changes(self, event)
    cdef _take_snapshot(self, event)
    cdef _take_trade(self, event)
    cdef _take_tick(self, event)
    cdef _take_refusal(self, event)
