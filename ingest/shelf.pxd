"""The C parts of the keeper as Cython sees them: ingest/scan.h, tokens.h, levels.h, shelf.h."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t


cdef extern from "shelf.h" nogil:
    const char *PT_LAYOUT_ID
    enum:
        PT_MARKETS_MAX
        PT_PRICE_ONE_E4
        PT_COARSE_E4
        PT_HASH_CHARS
        PT_CONDITION_CHARS
        PT_TOKEN_CHARS_MAX
        PT_TOKEN_NONE
        PT_LIVE
        PT_UNKNOWN
        PT_SNAPSHOT
        PT_CHANGES
        PT_TRADE
    ctypedef struct pt_ingest_stats:
        uint64_t frames_in, bytes_in, events_other, frames_refused, events_refused, crossed_books
        uint64_t updates_pushed, updates_conflated, events_tick_size, hash_checked, hash_mismatch
        uint64_t events_price_change, events_book, events_last_trade
    ctypedef struct pt_book:
        uint64_t epoch
        uint32_t state
    ctypedef struct pt_update:
        uint32_t market, flags
        uint64_t book_version
        int64_t exchange_ms
        uint64_t frame_ns, parsed_ns, published_ns
    ctypedef struct pt_text:
        const char *at
        uint32_t length
    ctypedef struct pt_level:
        int32_t price_e4
        int64_t size_e6
    ctypedef struct pt_change:
        pt_text token, hash
        int64_t size_e6
        int32_t price_e4
        bint buy
    ctypedef struct pt_event:
        int kind
        int64_t exchange_ms
        pt_text market, token, hash, last_trade
        int32_t tick_e4, price_e4
        bint has_last_trade
        uint32_t first, count, asks
    ctypedef struct pt_scan:
        uint32_t events
        pt_event *event
        pt_change *change
        pt_level *level
    ctypedef struct pt_side:
        int64_t *size_e6
    ctypedef struct pt_levels:
        uint32_t step_e4, cells
        pt_side bid, ask
    ctypedef struct pt_check:
        bint due, of_snapshot, complete, no_side
        int64_t exchange_ms
        char *hash
    ctypedef struct pt_shelf_row:
        uint64_t key, received_ns, frames
        pt_levels levels
        int64_t exchange_ms, group_ms
        uint32_t state, tick_e4, last_trade_e4, hash_state, texts
        bint hash_trusted, group_due, changed, lost, refreshed
        char *condition
        char *group_hash
        uint32_t *text_length
        char (*text)[12]
        pt_check check
    ctypedef struct pt_tokens:
        void *slots
    ctypedef struct pt_shelf:
        pt_shelf_row *rows
        pt_tokens tokens
        pt_ingest_stats *stats
        uint32_t *changed
        uint32_t changed_count
        uint64_t check_every, until_check
        bint out_of_memory
    bint pt_scan_frame(pt_scan *, const char *, size_t)
    bint pt_tokens_make(pt_tokens *, uint32_t)
    void pt_tokens_add(pt_tokens *, const char *, uint32_t, uint32_t)
    void pt_tokens_clear(pt_tokens *)
    uint32_t pt_shelf_find(pt_shelf *, const char *, uint32_t)
    bint pt_levels_make(pt_levels *, uint32_t)
    void pt_levels_free(pt_levels *)
    bint pt_levels_crossed(const pt_levels *)
    void pt_shelf_begin(pt_shelf *)
    void pt_shelf_take(pt_shelf *, const pt_scan *)
    void pt_row_changed(pt_shelf *, pt_shelf_row *)
    void pt_row_lose(pt_shelf_row *)
    void pt_row_lost(pt_shelf *, pt_shelf_row *)
    void pt_take_snapshot(pt_shelf *, const pt_event *, const pt_level *)
    void pt_take_changes(pt_shelf *, const pt_event *, const pt_change *)
    void pt_take_trade(pt_shelf *, const pt_event *)
    void pt_take_tick(pt_shelf *, const pt_event *)
    void pt_row_show(const pt_shelf_row *, uint64_t, pt_book *)
    enum:
        PT_LEVEL_TEXT_MAX
    uint32_t pt_levels_words(const pt_levels *)
    uint32_t pt_side_count(const pt_side *, uint32_t)
    char *pt_side_text(const pt_levels *, const pt_side *, bint, bint, char *)
