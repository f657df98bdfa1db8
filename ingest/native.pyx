# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The compiled keeper of books: frames in, published books out, no Python object per message.

Same behaviour as ingest/keeper.py's `PythonKeeper`, which documents the interface. The work is done
in C (scan.h, tokens.h, levels.h, shelf.h); this file owns the memory, publishes, and takes the slow
way (ingest/wire.py) for frames that are not of the canonical shapes.
"""

import hashlib

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ingest.shelf cimport (
    PT_COARSE_E4, PT_CONDITION_CHARS, PT_HASH_CHARS, PT_LAYOUT_ID, PT_LEVEL_TEXT_MAX, PT_LIVE,
    PT_MARKETS_MAX, PT_SNAPSHOT, PT_TOKEN_CHARS_MAX, PT_TOKEN_NONE, PT_TRADE, PT_UNKNOWN,
    pt_book, pt_change, pt_event, pt_ingest_stats, pt_levels_crossed, pt_levels_free,
    pt_levels_make, pt_levels_words, pt_row_changed, pt_row_lose, pt_row_lost, pt_row_show,
    pt_scan, pt_scan_frame, pt_shelf, pt_shelf_begin, pt_shelf_find, pt_shelf_row,
    pt_shelf_take, pt_side, pt_side_count, pt_side_text, pt_take_changes, pt_take_snapshot,
    pt_take_tick, pt_take_trade, pt_text, pt_tokens_add, pt_tokens_clear, pt_tokens_make,
    pt_update,
)
from shm.native cimport (
    DirtyMarker, HistogramWriter, LatchWriter, PT_FENCED, PT_FULL, PT_OK, RingProducer, Words, fenced, pt_add,
    pt_dirty_mark, pt_fence, pt_histogram_add, pt_latch_write, pt_ring, pt_ring_push, pt_ring_wake,
)

from ingest.books import hash_facts
from ingest.checksum import BETWEEN, hash_head, hash_tail
from ingest.keeper import News
from ingest.wire import Changes, LastTrade, Other, Refusal, Snapshot, TickChange, decode
from shm.codes import HashState, Side
from shm.layout import INGEST_STATS


cdef extern from "clock.h" nogil:
    uint64_t pt_now_ns()

LAYOUT_ID = PT_LAYOUT_ID.decode()
cdef uint32_t HASH_UNCHECKED = HashState.UNCHECKED
cdef uint32_t HASH_MATCHED = HashState.MATCHED
cdef uint32_t HASH_DIFFERED = HashState.DIFFERED
cdef size_t LIVE_INDEX = INGEST_STATS.offset_of["books_live"] // 8
cdef size_t STALE_INDEX = INGEST_STATS.offset_of["books_stale"] // 8
_WHOLE_FRAME = {Refusal.NOT_JSON, Refusal.TOO_MANY}


cdef class Keeper:
    def __cinit__(self, parts, uint64_t epoch, uint64_t hash_check_every):
        """`parts` are the ends of the segments that the keeper holds, by name."""
        self.latch = parts["books"]
        self.ring = parts["updates"]
        self.dirty = parts["dirty"]
        self.counters = parts["counters"]
        self.readable_to_parsed = parts["readable_to_parsed"]
        self.parsed_to_published = parts["parsed_to_published"]
        self.epoch = epoch
        self.facts = {}
        self.tokens = {}
        self.kept = []
        self.shelf = <pt_shelf *>_zeroed(1, sizeof(pt_shelf))
        self.scan = <pt_scan *>_zeroed(1, sizeof(pt_scan))
        self.shelf.rows = <pt_shelf_row *>_zeroed(PT_MARKETS_MAX, sizeof(pt_shelf_row))
        self.shelf.stats = <pt_ingest_stats *>self.counters.words
        self.shelf.check_every = self.shelf.until_check = hash_check_every
        if self.latch.copy_bytes != sizeof(pt_book) or self.ring.ring.payload != sizeof(pt_update):
            raise ValueError("the tables are not those of this layout")
        if self.counters.count * 8 < sizeof(pt_ingest_stats) or self.latch.count < PT_MARKETS_MAX:
            raise ValueError("the tables are smaller than this layout")
        if not pt_tokens_make(&self.shelf.tokens, 2 * PT_MARKETS_MAX):
            raise MemoryError

    def __dealloc__(self):
        if self.shelf != NULL:
            if self.shelf.rows != NULL:
                for row in range(PT_MARKETS_MAX):
                    pt_levels_free(&self.shelf.rows[row].levels)
            free(self.shelf.rows)
            free(self.shelf.tokens.slots)
        free(self.shelf)
        free(self.scan)

    # --- which markets ------------------------------------------------------------------------

    def add(self, market):
        cdef uint32_t number = market.row
        if number >= PT_MARKETS_MAX:
            raise IndexError(number)
        cdef pt_shelf_row *row = &self.shelf.rows[number]
        facts = hash_facts(market)
        condition = facts.condition.encode()
        assert len(condition) == PT_CONDITION_CHARS
        if row.key != 0:
            raise ValueError(f"row {number} has a market already")
        memset(row, 0, sizeof(pt_shelf_row))
        if not pt_levels_make(&row.levels, 1 if market.tick_e4 % PT_COARSE_E4 else PT_COARSE_E4):
            pt_levels_free(&row.levels)
            raise MemoryError
        row.key = market.key
        row.tick_e4 = market.tick_e4
        row.state = PT_UNKNOWN
        row.texts = 1
        self.facts[number] = facts
        memcpy(row.condition, <const char *>condition, PT_CONDITION_CHARS)
        yes, no = (int.from_bytes(word, "big") for word in (market.yes_token, market.no_token))
        self.tokens[number] = (str(yes).encode(), str(no).encode())
        self._know(number)

    cdef _know(self, uint32_t number):
        for side, token in enumerate(self.tokens[number]):
            if len(token) > PT_TOKEN_CHARS_MAX:
                raise ValueError(f"token of {len(token)} digits")
            pt_tokens_add(&self.shelf.tokens, token, len(token), 2 * number + side)

    def remove(self, uint32_t number):
        cdef pt_book shown
        cdef pt_shelf_row *row = self._row(number)
        pt_levels_free(&row.levels)
        memset(row, 0, sizeof(pt_shelf_row))
        del self.facts[number], self.tokens[number]
        pt_tokens_clear(&self.shelf.tokens)
        for other in self.tokens:
            self._know(other)
        memset(&shown, 0, sizeof(shown))
        shown.epoch = self.epoch
        shown.state = PT_UNKNOWN
        self._write(number, &shown)

    cdef pt_shelf_row *_row(self, uint32_t number) except NULL:
        if number >= PT_MARKETS_MAX or self.shelf.rows[number].key == 0:
            raise KeyError(number)
        return &self.shelf.rows[number]

    # --- frames -------------------------------------------------------------------------------

    def take(self, frame, uint64_t readable_ns):
        cdef Py_buffer view
        PyObject_GetBuffer(frame, &view, PyBUF_SIMPLE)
        try:
            return self.take_bytes(<const char *>view.buf, view.len, readable_ns)
        finally:
            PyBuffer_Release(&view)

    cdef bint take_bytes(self, const char *frame, size_t length, uint64_t readable_ns) except -1:
        cdef bint left = False
        cdef uint32_t i
        cdef pt_shelf_row *row
        pt_shelf_begin(self.shelf)
        if pt_scan_frame(self.scan, frame, length):
            pt_shelf_take(self.shelf, self.scan)
        else:
            self._take_slowly(PyBytes_FromStringAndSize(frame, length))
        if self.shelf.out_of_memory:
            raise MemoryError
        cdef uint64_t parsed_ns = pt_now_ns()
        for i in range(self.shelf.changed_count):
            row = &self.shelf.rows[self.shelf.changed[i]]
            row.received_ns = readable_ns
            row.frames += 1
            left = left or row.lost or row.refreshed or row.check.due
        self._publish(readable_ns, parsed_ns)
        pt_histogram_add(self.readable_to_parsed.histogram, parsed_ns - readable_ns)
        pt_histogram_add(self.parsed_to_published.histogram, pt_now_ns() - parsed_ns)
        pt_add(&self.shelf.stats.frames_in, 1)
        pt_add(&self.shelf.stats.bytes_in, length)
        return left

    cdef int _publish(self, uint64_t frame_ns, uint64_t parsed_ns) except -1:
        """Show every changed book, then say so; a full ring marks the market dirty instead."""
        cdef pt_book shown
        cdef pt_update update
        cdef pt_shelf_row *row
        cdef uint32_t i, number
        cdef int outcome = PT_OK
        memset(&update, 0, sizeof(update))
        update.frame_ns = frame_ns
        update.parsed_ns = parsed_ns
        for i in range(self.shelf.changed_count):
            number = self.shelf.changed[i]
            row = &self.shelf.rows[number]
            pt_row_show(row, self.epoch, &shown)
            update.market = number
            update.exchange_ms = row.exchange_ms
            update.book_version = self._write(number, &shown)
            update.published_ns = pt_now_ns()
            outcome = pt_ring_push(&self.ring.ring, &self.ring.fence.fence, <uint64_t *>&update)
            if outcome == PT_OK:
                pt_add(&self.shelf.stats.updates_pushed, 1)
            elif outcome == PT_FULL:
                pt_add(&self.shelf.stats.updates_conflated, 1)
                outcome = pt_dirty_mark(
                    self.dirty.mark_words, self.dirty.seen_words, &self.dirty.fence.fence, number
                )
            if outcome == PT_FENCED:
                raise fenced(self.ring.fence)
            if pt_levels_crossed(&row.levels):
                pt_add(&self.shelf.stats.crossed_books, 1)
        if self.shelf.changed_count:
            pt_ring_wake(&self.ring.ring)
        return 0

    cdef uint64_t _write(self, uint32_t number, const pt_book *shown) except? 0:
        cdef uint64_t *words = <uint64_t *>(self.latch.rows + number * self.latch.stride)
        if pt_latch_write(
            words, sizeof(pt_book), &self.latch.fence.fence, <const uint64_t *>shown
        ) == PT_FENCED:
            raise fenced(self.latch.fence)
        return words[0]

    # --- after a frame ------------------------------------------------------------------------

    def news(self):
        cdef uint32_t i, number
        cdef list lost = [], refreshed = []
        for i in range(self.shelf.changed_count):
            number = self.shelf.changed[i]
            if self.shelf.rows[number].check.due:
                self._check(number)
            if self.shelf.rows[number].lost:
                lost.append(number)
            if self.shelf.rows[number].refreshed:
                refreshed.append(number)
        return News(lost, refreshed)

    cdef _check(self, uint32_t number):
        """Compare with the venue's hash; ingest/books.py `Books.check` says what follows."""
        cdef pt_shelf_row *row = &self.shelf.rows[number]
        row.check.due = False
        if row.state != PT_LIVE:
            return
        matches = self._hash_matches(number)
        if not row.check.of_snapshot:
            row.group_due = not matches
            row.group_ms = row.check.exchange_ms
            memcpy(row.group_hash, row.check.hash, PT_HASH_CHARS)
        elif not matches:
            row.hash_trusted = False
            row.hash_state = HASH_UNCHECKED
            if row.check.complete:
                pt_add(&self.shelf.stats.hash_mismatch, 1)
                row.hash_state = HASH_DIFFERED

    cdef bint _hash_matches(self, uint32_t number) except -1:
        cdef pt_shelf_row *row = &self.shelf.rows[number]
        cdef bint no_side = row.check.no_side
        cdef uint32_t i
        pt_add(&self.shelf.stats.hash_checked, 1)
        wanted = row.check.hash[:PT_HASH_CHARS]
        facts = self.facts[number]
        token = self.tokens[number][no_side].decode()
        levels = hashlib.sha1(usedforsecurity=False)
        levels.update(hash_head(facts, token, row.exchange_ms).encode())
        levels.update(self._side_text(row, not no_side, no_side, True))
        levels.update(BETWEEN.encode())
        levels.update(self._side_text(row, no_side, no_side, False))
        for i in range(row.texts):
            whole = levels.copy()
            text = row.text[i][:row.text_length[i]]
            whole.update(hash_tail(facts, row.tick_e4, text.decode()).encode())
            if whole.hexdigest().encode() == wanted:
                memcpy(row.text[0], <const char *>text, len(text))
                row.text_length[0] = len(text)
                row.texts = 1
                row.hash_state = HASH_MATCHED
                row.hash_trusted = True
                return True
        return False

    cdef bytes _side_text(self, pt_shelf_row *row, bint bid, bint mirrored, bint ascending):
        cdef pt_side *side = &row.levels.bid if bid else &row.levels.ask
        cdef size_t most = pt_side_count(side, pt_levels_words(&row.levels)) * PT_LEVEL_TEXT_MAX
        cdef bytes text = PyBytes_FromStringAndSize(NULL, most)
        cdef char *start = PyBytes_AS_STRING(text)
        cdef char *end = pt_side_text(&row.levels, side, mirrored, ascending, start)
        return text[:end - start]

    def lose(self, rows):
        cdef uint32_t number
        cdef uint64_t now_ns = pt_now_ns()
        pt_shelf_begin(self.shelf)
        for number in rows:
            if number < PT_MARKETS_MAX and self.shelf.rows[number].key:
                pt_row_lose(&self.shelf.rows[number])
                pt_row_changed(self.shelf, &self.shelf.rows[number])
        self._publish(now_ns, now_ns)

    def show_counts(self):
        cdef uint32_t live = 0, number
        for number in self.tokens:
            live += self.shelf.rows[number].state == PT_LIVE
        self.counters.store(LIVE_INDEX, live)
        self.counters.store(STALE_INDEX, len(self.tokens) - live)

    # --- frames that are not of the canonical shapes ------------------------------------------

    cdef _take_slowly(self, bytes frame):
        self.kept.clear()
        for event in decode(frame):
            if isinstance(event, Changes):
                pt_add(&self.shelf.stats.events_price_change, 1)
                self._take_changes(event)
            elif isinstance(event, Snapshot):
                pt_add(&self.shelf.stats.events_book, 1)
                self._take_snapshot(event)
            elif isinstance(event, LastTrade):
                pt_add(&self.shelf.stats.events_last_trade, 1)
                self._take_trade(event)
            elif isinstance(event, TickChange):
                pt_add(&self.shelf.stats.events_tick_size, 1)
                self._take_tick(event)
            elif isinstance(event, Other):
                pt_add(&self.shelf.stats.events_other, 1)
            else:
                self._take_refusal(event)

    cdef pt_text _text(self, text):
        cdef bytes kept = text.encode("utf-8", "surrogatepass")
        self.kept.append(kept)
        return pt_text(<const char *>kept, len(kept))

    cdef pt_event _taken(self, event):
        """An event as the scanner would have read it, so far with nothing but its market."""
        cdef pt_event taken
        memset(&taken, 0, sizeof(taken))
        taken.market = self._text(event.market)
        return taken

    cdef _take_changes(self, event):
        cdef pt_event taken = self._taken(event)
        cdef pt_change *change
        taken.exchange_ms = event.exchange_ms
        taken.count = len(event.changes)
        for i, one in enumerate(event.changes):
            change = &self.scan.change[i]
            change.token = self._text(one.token)
            change.hash = self._text(one.hash)
            change.buy = one.side is Side.BUY
            change.price_e4 = one.price_e4
            change.size_e6 = one.size_e6
        pt_take_changes(self.shelf, &taken, self.scan.change)

    cdef _take_snapshot(self, event):
        cdef pt_event taken = self._taken(event)
        taken.kind = PT_SNAPSHOT
        taken.exchange_ms = event.exchange_ms
        taken.token = self._text(event.token)
        taken.hash = self._text(event.hash)
        taken.tick_e4 = event.tick_e4 or 0
        taken.has_last_trade = event.last_trade is not None
        taken.last_trade = self._text(event.last_trade or "")
        taken.count = len(event.bids)
        taken.asks = len(event.asks)
        for i, (price_e4, size_e6) in enumerate([*event.bids, *event.asks]):
            self.scan.level[i].price_e4 = price_e4
            self.scan.level[i].size_e6 = size_e6
        pt_take_snapshot(self.shelf, &taken, self.scan.level)

    cdef _take_trade(self, event):
        cdef pt_event taken = self._taken(event)
        taken.kind = PT_TRADE
        taken.token = self._text(event.token)
        taken.price_e4 = event.price_e4
        pt_take_trade(self.shelf, &taken)

    cdef _take_tick(self, event):
        cdef pt_event taken = self._taken(event)
        taken.token = self._text(event.token)
        taken.tick_e4 = event.tick_e4
        pt_take_tick(self.shelf, &taken)

    cdef _take_refusal(self, event):
        cdef uint32_t side
        if event.reason in _WHOLE_FRAME:
            pt_add(&self.shelf.stats.frames_refused, 1)
        else:
            pt_add(&self.shelf.stats.events_refused, 1)
        for token in event.tokens:
            text = token.encode("utf-8", "surrogatepass")
            side = pt_shelf_find(self.shelf, text, len(text))
            if side != PT_TOKEN_NONE:
                pt_row_lost(self.shelf, &self.shelf.rows[side // 2])


cdef void *_zeroed(size_t count, size_t size) except NULL:
    cdef void *memory = calloc(count, size)
    if memory == NULL:
        raise MemoryError
    return memory
