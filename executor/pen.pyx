# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The compiled pen: packs, frames and seals a group of journal records, and writes it by one call.

The twin of executor/pens.py's `PlainPen`, which documents the interface. Payloads are packed
from their rows by the tables of shm/records.py, as strictly as shm/payloads.py does. The
interpreter's lock is kept over the write: giving it away costs more than the write, and another
thread would take it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_Check, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from shm.journal_record import Link, digest_of
from shm.layout import Array, Octets, Scalar
from shm.payloads import PAYLOADS
from shm.records import Kind
from shm.segments import LAYOUT_ID  # nothing here depends on the layout


cdef extern from "journal.h" nogil:
    enum:
        PT_GROUP_MAX
        PT_RECORD_BYTES
        PT_RECORD_PAYLOAD
    ctypedef struct pt_record:
        uint8_t *payload
    ctypedef struct pt_stand:
        uint64_t journal, seq, mono_ns, wall_ns
        uint32_t run
        uint8_t *previous
    void pt_crc_prepare()
    void pt_record_frame(
        pt_record *, const pt_stand *, uint8_t, uint8_t, uint8_t, uint64_t, uint8_t, uint32_t
    )
    void pt_group_seal(pt_record *, size_t)
    int64_t pt_group_write(int, const pt_record *, size_t, int64_t)


cdef enum:
    OCTETS = 0
    TEXT = 1
    UNSIGNED = 2
    SIGNED = 3
    KINDS_MAX = 64
    FIELDS_MAX = 32


ctypedef struct pt_field:
    uint8_t type
    uint8_t size
    uint16_t offset
    uint16_t count


ctypedef struct pt_payload:
    int fields
    pt_field field[FIELDS_MAX]


cdef pt_payload _payloads[KINDS_MAX]
cdef int OPENED = Kind.OPENED
cdef int BASKET = Kind.BASKET
cdef int INTENT = Kind.INTENT


cdef _prepare():
    pt_crc_prepare()
    memset(_payloads, 0, sizeof(_payloads))
    cdef pt_payload *into
    for kind, payload in PAYLOADS.items():
        into = &_payloads[<int>kind]
        for field in payload.record.fields:
            into.field[into.fields] = _field(field)
            into.fields += 1


cdef pt_field _field(field) except *:
    cdef pt_field made
    made.offset = field.offset
    made.count = 1
    if isinstance(field.kind, Octets):
        made.type = TEXT if field.kind.text else OCTETS
        made.size = 1
        made.count = field.kind.count
        return made
    item = field.kind
    if isinstance(item, Array):
        made.count = item.count
        item = item.item
    assert isinstance(item, Scalar)
    made.type = UNSIGNED if item.code.isupper() else SIGNED
    made.size = item.size
    return made


cdef int _store(uint8_t *at, const pt_field *field, value) except -1:
    """One integer, refused if it does not fit."""
    cdef uint64_t bits
    cdef int64_t number
    cdef int spare = 64 - 8 * field.size
    if field.type == UNSIGNED:
        bits = value
        if spare and bits >> (64 - spare):
            raise OverflowError(f"{value} in {field.size} bytes")
    else:
        number = value
        if spare and (number << spare) >> spare != number:
            raise OverflowError(f"{value} in {field.size} bytes")
        bits = <uint64_t>number
    memcpy(at, &bits, field.size)
    return 0


cdef int _pack(uint8_t *into, int kind, row) except -1:
    cdef const pt_payload *payload = &_payloads[kind]
    cdef const pt_field *field
    cdef bytes octets
    cdef int i, k
    if not PyTuple_Check(row) or PyTuple_GET_SIZE(row) != payload.fields or not payload.fields:
        raise ValueError(f"kind {kind} has {payload.fields} fields, not {len(row)}")
    for i in range(payload.fields):
        field = &payload.field[i]
        if field.type <= TEXT:
            octets = <object>PyTuple_GET_ITEM(row, i)
            k = <int>PyBytes_GET_SIZE(octets)
            if k > field.count or (k < field.count and field.type == OCTETS):
                raise ValueError(f"{k} bytes for a field of {field.count}")
            memcpy(into + field.offset, PyBytes_AS_STRING(octets), k)
        elif field.count == 1:
            _store(into + field.offset, field, <object>PyTuple_GET_ITEM(row, i))
        else:
            values = <object>PyTuple_GET_ITEM(row, i)
            if len(values) != field.count:
                raise ValueError(f"{len(values)} values for a field of {field.count}")
            for k in range(field.count):
                _store(into + field.offset + k * field.size, field, values[k])
    return 0


cdef class Pen:
    cdef pt_record *group
    cdef pt_stand stand
    cdef int written
    """Records of the last group, as long as its digest is still to be made."""
    cdef uint32_t next_run

    def __cinit__(self, link):
        self.group = <pt_record *>calloc(PT_GROUP_MAX, PT_RECORD_BYTES)
        if self.group == NULL:
            raise MemoryError
        self.stand.journal, self.stand.seq, self.stand.run, previous = link
        memcpy(self.stand.previous, <const char *><bytes>previous, 8)

    def __dealloc__(self):
        free(self.group)

    @property
    def link(self):
        self.settle()
        return Link(
            self.stand.journal, self.stand.seq, self.stand.run,
            (<char *>self.stand.previous)[:8],
        )

    cpdef settle(self):
        if self.written:
            digest = digest_of((<char *>self.group)[:self.written * PT_RECORD_BYTES])
            memcpy(self.stand.previous, <const char *><bytes>digest, 8)
            self.written = 0

    cdef int _begin(self, Py_ssize_t count, uint64_t mono_ns, uint64_t wall_ns) except -1:
        if not 0 < count <= PT_GROUP_MAX:
            raise ValueError(f"a group of {count} records")
        self.settle()
        memset(self.group, 0, count * PT_RECORD_BYTES)
        self.stand.mono_ns, self.stand.wall_ns = mono_ns, wall_ns
        self.next_run = self.stand.run
        return 0

    cdef int _add(
        self, int place, Py_ssize_t count, int kind, uint64_t flight, uint8_t leg, payload
    ) except -1:
        cdef pt_record *record = &self.group[place]
        cdef Py_ssize_t length
        if not 0 < kind < KINDS_MAX:
            raise ValueError(f"kind {kind}")
        if isinstance(payload, bytes):
            length = PyBytes_GET_SIZE(payload)
            if length > PT_RECORD_PAYLOAD:
                raise ValueError(f"a payload of {length} bytes")
            memcpy(record.payload, PyBytes_AS_STRING(payload), length)
        else:
            _pack(record.payload, kind, payload)
        self.next_run += kind == OPENED
        pt_record_frame(
            record, &self.stand, <uint8_t>kind, <uint8_t>place, <uint8_t>count, flight, leg,
            self.next_run,
        )
        return 0

    cdef int64_t _write(self, int fd, int64_t offset, Py_ssize_t count) noexcept:
        pt_group_seal(self.group, <size_t>count)
        cdef int64_t written = pt_group_write(fd, self.group, count, offset)
        if written == count * PT_RECORD_BYTES:
            self.stand.seq += count
            self.stand.run = self.next_run
            self.written = <int>count
        return written

    def write(self, int fd, int64_t offset, drafts, uint64_t mono_ns, uint64_t wall_ns):
        cdef Py_ssize_t count = len(drafts)
        cdef int place = 0
        self._begin(count, mono_ns, wall_ns)
        for kind, flight, leg, payload in drafts:
            self._add(place, count, kind, flight, leg, payload)
            place += 1
        return self._write(fd, offset, count)

    def write_orders(self, int fd, int64_t offset, orders, uint64_t mono_ns, uint64_t wall_ns):
        cdef uint64_t number
        flight, basket, intents = orders
        cdef Py_ssize_t count = 1 + len(intents)
        cdef int place = 1
        self._begin(count, mono_ns, wall_ns)
        number = flight
        self._add(0, count, BASKET, number, 0, basket)
        for intent in intents:
            self._add(place, count, INTENT, number, <uint8_t>(place - 1), intent)
            place += 1
        return self._write(fd, offset, count)

    def __reduce__(self):
        raise TypeError("a pen is not pickled")


_prepare()
