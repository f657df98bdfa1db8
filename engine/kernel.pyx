# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The compiled twin of engine/pricer.py, which documents it: same interface, same integers."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport UINT64_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from engine.pricer import Edge, Top
from shm.codes import BookState, Outcome
from shm.fees import fee_table_e8


cdef extern from "atomics.h" nogil:
    const char *PT_LAYOUT_ID
    const size_t PT_LATCH_HEAD_BYTES
    enum:
        PT_MARKETS_MAX
        PT_MAX_LEGS
    ctypedef struct pt_book:
        uint64_t market_key
        uint64_t epoch
        uint64_t received_ns
        uint32_t state
        uint32_t bid_count
        uint32_t ask_count
        int32_t bid_price_e4[16]
        int32_t ask_price_e4[16]
        int64_t bid_size_e6[16]
        int64_t ask_size_e6[16]
    uint64_t pt_latch_read(const uint64_t *, size_t, uint64_t *)

LAYOUT_ID = PT_LAYOUT_ID.decode()

cdef enum:
    PRICE_ONE_E4 = 10_000
    E8_PER_E4 = 10_000
    FEE_TABLE_SIZE = PRICE_ONE_E4 + 1

cdef uint32_t LIVE = BookState.LIVE
cdef uint8_t YES = Outcome.YES

cdef struct CTop:
    bint usable
    int32_t bid_price_e4
    int64_t bid_size_e6
    int32_t ask_price_e4
    int64_t ask_size_e6
    uint64_t received_ns
    uint64_t version

cdef struct CLeg:
    uint32_t row
    uint8_t outcome

cdef struct CBasket:
    int64_t payout_e8
    uint32_t leg_count
    CLeg *legs

cdef struct CEdge:
    bint quoted
    int64_t gross_e8
    int64_t net_e8
    int64_t size_e6


cdef class Pricer:
    cdef Py_buffer view
    cdef bint has_view
    cdef uint8_t *rows
    cdef size_t stride
    cdef CTop *tops
    cdef uint64_t *keys
    cdef int64_t **fee_of_row
    cdef int64_t *fee_tables
    cdef CBasket *baskets
    cdef CLeg *legs
    cdef uint32_t basket_count
    cdef uint32_t *first_of_row
    cdef uint32_t *of_rows
    cdef uint32_t *found
    cdef readonly uint64_t evaluations

    def __cinit__(self, baskets, buffer=None, size_t offset=0):
        self.has_view = False
        self.stride = PT_LATCH_HEAD_BYTES + 2 * sizeof(pt_book)
        if buffer is not None:
            PyObject_GetBuffer(buffer, &self.view, PyBUF_SIMPLE)
            self.has_view = True
            if offset % 8 or offset + self.stride * PT_MARKETS_MAX > <size_t>self.view.len:
                raise ValueError("the books table does not fit into the buffer")
            self.rows = <uint8_t *>self.view.buf + offset
        legs = [leg for basket in baskets for leg in basket.legs]
        self.tops = <CTop *>_zeroed(PT_MARKETS_MAX, sizeof(CTop))
        self.keys = <uint64_t *>_zeroed(PT_MARKETS_MAX, sizeof(uint64_t))
        self.fee_of_row = <int64_t **>_zeroed(PT_MARKETS_MAX, sizeof(int64_t *))
        self.baskets = <CBasket *>_zeroed(len(baskets), sizeof(CBasket))
        self.legs = <CLeg *>_zeroed(len(legs), sizeof(CLeg))
        self.first_of_row = <uint32_t *>_zeroed(PT_MARKETS_MAX + 1, sizeof(uint32_t))
        self.of_rows = <uint32_t *>_zeroed(len(legs), sizeof(uint32_t))
        self.found = <uint32_t *>_zeroed(len(baskets), sizeof(uint32_t))
        self._load_fees(legs)
        self._load_baskets(baskets)

    def __dealloc__(self):
        if self.has_view:
            PyBuffer_Release(&self.view)
        free(self.tops)
        free(self.keys)
        free(self.fee_of_row)
        free(self.fee_tables)
        free(self.baskets)
        free(self.legs)
        free(self.first_of_row)
        free(self.of_rows)
        free(self.found)

    cdef _load_fees(self, legs):
        cdef size_t place
        rates = sorted({leg.market.fee_rate_e6 for leg in legs})
        self.fee_tables = <int64_t *>_zeroed(len(rates) * FEE_TABLE_SIZE, sizeof(int64_t))
        for place, rate_e6 in enumerate(rates):
            for price_e4, fee_e8 in enumerate(fee_table_e8(rate_e6)):
                self.fee_tables[place * FEE_TABLE_SIZE + price_e4] = fee_e8
        for leg in legs:
            place = rates.index(leg.market.fee_rate_e6)
            self.fee_of_row[leg.market.row] = self.fee_tables + place * FEE_TABLE_SIZE
            self.keys[leg.market.row] = leg.market.key

    cdef _load_baskets(self, baskets):
        cdef size_t at = 0
        of_row = {}
        for number, basket in enumerate(baskets):
            self.baskets[number].payout_e8 = basket.payout_e4 * E8_PER_E4
            self.baskets[number].leg_count = len(basket.legs)
            self.baskets[number].legs = &self.legs[at]
            for leg in basket.legs:
                self.legs[at].row = leg.market.row
                self.legs[at].outcome = leg.outcome
                at += 1
                numbers = of_row.setdefault(leg.market.row, [])
                if number not in numbers:
                    numbers.append(number)
        self.basket_count = len(baskets)
        at = 0
        for row in range(PT_MARKETS_MAX):
            self.first_of_row[row] = at
            for number in of_row.get(row, ()):
                self.of_rows[at] = number
                at += 1
        self.first_of_row[PT_MARKETS_MAX] = at

    def look(self, uint32_t row, uint64_t ingest_epoch):
        cdef pt_book book
        cdef CTop *top
        cdef bint has_bid, has_ask
        cdef uint64_t version
        if row >= PT_MARKETS_MAX or self.fee_of_row[row] == NULL:
            return True
        if self.rows == NULL:
            raise ValueError("this pricer was made without books")
        version = pt_latch_read(
            <uint64_t *>(self.rows + row * self.stride), sizeof(pt_book), <uint64_t *>&book
        )
        if version == UINT64_MAX:
            return False
        has_bid = (
            book.bid_count > 0
            and 0 < book.bid_price_e4[0] < PRICE_ONE_E4
            and book.bid_size_e6[0] > 0
        )
        has_ask = (
            book.ask_count > 0
            and 0 < book.ask_price_e4[0] < PRICE_ONE_E4
            and book.ask_size_e6[0] > 0
        )
        top = &self.tops[row]
        top.usable = (
            book.state == LIVE
            and book.epoch == ingest_epoch
            and book.market_key == self.keys[row]
            and not (has_bid and has_ask and book.bid_price_e4[0] >= book.ask_price_e4[0])
        )
        top.bid_price_e4 = book.bid_price_e4[0] if has_bid else 0
        top.bid_size_e6 = book.bid_size_e6[0] if has_bid else 0
        top.ask_price_e4 = book.ask_price_e4[0] if has_ask else 0
        top.ask_size_e6 = book.ask_size_e6[0] if has_ask else 0
        top.received_ns = book.received_ns
        top.version = version
        return True

    def observe(self, uint32_t row, top):
        if row >= PT_MARKETS_MAX:
            raise IndexError(row)
        if not (0 <= top.bid_price_e4 < PRICE_ONE_E4 and 0 <= top.ask_price_e4 < PRICE_ONE_E4):
            raise ValueError(f"a price outside 0..1: {top}")
        self.tops[row].usable = top.usable
        self.tops[row].bid_price_e4 = top.bid_price_e4
        self.tops[row].bid_size_e6 = top.bid_size_e6
        self.tops[row].ask_price_e4 = top.ask_price_e4
        self.tops[row].ask_size_e6 = top.ask_size_e6
        self.tops[row].received_ns = top.received_ns
        self.tops[row].version = top.version

    def top(self, uint32_t row):
        if row >= PT_MARKETS_MAX:
            raise IndexError(row)
        cdef CTop *top = &self.tops[row]
        return Top(
            bool(top.usable), top.bid_price_e4, top.bid_size_e6, top.ask_price_e4,
            top.ask_size_e6, top.received_ns, top.version,
        )

    def of_row(self, uint32_t row):
        if row >= PT_MARKETS_MAX:
            return ()
        return tuple(
            self.of_rows[i] for i in range(self.first_of_row[row], self.first_of_row[row + 1])
        )

    def edge(self, uint32_t number):
        if number >= self.basket_count:
            raise IndexError(number)
        cdef CEdge edge = self._evaluate(number)
        if not edge.quoted:
            return None
        return Edge(edge.gross_e8, edge.net_e8, edge.size_e6)

    def hits(self, uint32_t row, int64_t min_net_e8):
        if row >= PT_MARKETS_MAX:
            return []
        cdef size_t i, count = 0
        cdef CEdge edge
        with nogil:
            for i in range(self.first_of_row[row], self.first_of_row[row + 1]):
                self.evaluations += 1
                edge = self._evaluate(self.of_rows[i])
                if edge.quoted and edge.net_e8 >= min_net_e8:
                    self.found[count] = self.of_rows[i]
                    count += 1
        return [self.found[i] for i in range(count)]

    cdef CEdge _evaluate(self, uint32_t number) noexcept nogil:
        cdef CBasket *basket = &self.baskets[number]
        cdef CEdge edge
        cdef CTop *top
        cdef int64_t price_e4, available_e6
        cdef int64_t fee_e8 = 0
        cdef uint32_t i
        edge.quoted = False
        edge.gross_e8 = basket.payout_e8
        edge.net_e8 = 0
        edge.size_e6 = 0
        for i in range(basket.leg_count):
            top = &self.tops[basket.legs[i].row]
            if basket.legs[i].outcome == YES:
                price_e4 = top.ask_price_e4
                available_e6 = top.ask_size_e6
            else:
                price_e4 = PRICE_ONE_E4 - top.bid_price_e4
                available_e6 = top.bid_size_e6
            if not top.usable or available_e6 == 0:
                return edge
            edge.gross_e8 -= price_e4 * E8_PER_E4
            fee_e8 += self.fee_of_row[basket.legs[i].row][price_e4]
            if i == 0 or available_e6 < edge.size_e6:
                edge.size_e6 = available_e6
        edge.net_e8 = edge.gross_e8 - fee_e8
        edge.quoted = True
        return edge


cdef void *_zeroed(size_t count, size_t size) except NULL:
    cdef void *memory = calloc(count if count else 1, size)
    if memory == NULL:
        raise MemoryError
    return memory
