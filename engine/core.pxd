"""The C parts of the engine as Cython sees them: engine/walk.h, core.h, loop.h."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from shm.native cimport pt_fence, pt_histogram, pt_ring


cdef extern from "loop.h" nogil:
    const char *PT_LAYOUT_ID
    enum:
        PT_MARKETS_MAX
        PT_MAX_LEGS
        PT_FEE_TABLE
        PT_E8_PER_E4
        PT_DIRTY_WORDS
        PT_TAPE_ENTRIES
        PT_TAPE_VERDICT
        PT_TAPE_UPDATE
        PT_TAPE_REPORT
        PT_TAPE_RELEASE
        PT_TAPE_RETRY
        PT_PENDING_MAX
    ctypedef struct pt_book:
        uint64_t received_ns
    ctypedef struct pt_update:
        uint32_t market
    ctypedef struct pt_report:
        uint64_t signal
    ctypedef struct pt_signal:
        uint64_t signal
    ctypedef struct pt_basket_row:
        uint64_t basket
    ctypedef struct pt_engine_stats:
        uint64_t evaluations
    ctypedef struct pt_role_row:
        uint64_t epoch
    ctypedef struct pt_switches:
        uint64_t trading_enabled
    ctypedef struct pt_leg:
        uint32_t row
        bint yes
    ctypedef struct pt_basket:
        uint64_t id
        int64_t payout_e8, hurdle_e8, tie_payout_e4, void_payout_e4
        uint32_t kind, group, first_leg, legs
        bint optional
    ctypedef struct pt_fact:
        uint64_t key
        const int64_t *fee_e8
        int64_t least_e6
        uint32_t first, count
    ctypedef struct pt_plan:
        pt_fact *fact
        uint32_t baskets
        pt_basket *basket
        pt_leg *leg
        uint32_t *of_row
        int64_t *fee_tables
    ctypedef struct pt_seen:
        pt_book book
        uint64_t version
        int64_t bid_size_e6, ask_size_e6
        int32_t bid_e4, ask_e4
        bint usable
    ctypedef struct pt_edge:
        int64_t gross_e8, net_e8, size_e6
    ctypedef struct pt_limits:
        int64_t max_book_age_ns, max_leg_skew_ns, max_ingest_silence_ns, cooldown_ns
        int64_t signal_wait_ns, cap_e6, min_profit_usd_e6, max_leg_loss_usd_e6
        int64_t slippage_ticks
    ctypedef struct pt_memory:
        uint64_t *cooling_until_ns
        uint32_t *verdict
        uint64_t *due_ns
        uint32_t *tries
        uint32_t *queue
        uint8_t *queued
    ctypedef struct pt_pending:
        uint64_t signal, basket, created_ns, reported_ns
        uint64_t *version
        uint32_t *row
        uint32_t legs
    ctypedef union pt_body:
        pt_book book
        pt_signal signal
        pt_report report
    ctypedef struct pt_entry:
        uint32_t kind, number
        uint64_t now_ns, heartbeat_ns, trading, detail
        pt_update update
        pt_body body
    ctypedef struct pt_tape:
        uint64_t written, read, skipped
        bint lost
        pt_entry *entry
    ctypedef struct pt_order:
        int64_t size_e6, profit_usd_e6, limit_net_e8
        int32_t *limit_e4
    ctypedef struct pt_walk:
        uint32_t legs
        uint32_t *leg
    ctypedef struct pt_core:
        const pt_plan *plan
        pt_memory memory
        pt_limits limits
        pt_seen *seen
        uint64_t *held
        pt_pending *pending
        uint32_t pending_count, waiting
        uint64_t generation, settings_version, epoch, signal_count, ingest_epoch
        pt_tape *tape
        const uint8_t *books
        size_t book_stride
        uint8_t *baskets
        size_t basket_stride
        pt_ring *updates
        pt_ring *reports
        pt_ring *signals
        const uint64_t *marks
        uint64_t *marks_seen
        const pt_fence *fence
        const pt_role_row *ingest
        const pt_switches *switches
        pt_engine_stats *stats
        pt_histogram *frame_to_signal
        pt_histogram *published_to_seen
        pt_histogram *seen_to_signal
    void pt_digest(pt_core *, uint32_t)
    bint pt_look(pt_core *, uint32_t)
    void pt_look_at_everything(pt_core *)
    bint pt_edge_of(const pt_core *, uint32_t, pt_edge *)
    void pt_start_walk(const pt_core *, const pt_basket *, pt_walk *)
    bint pt_best_order(pt_walk *, int64_t, int64_t, int64_t, pt_order *)
    bint pt_take_update(pt_core *, const pt_update *, uint64_t)
    bint pt_take_conflated(pt_core *, uint32_t, uint64_t)
    bint pt_hear(pt_core *, const pt_report *, uint64_t)
    void pt_release_overdue(pt_core *, uint64_t)
    bint pt_show(pt_core *, uint64_t)
    void pt_follow_ingest(pt_core *)
    bint pt_retry(pt_core *, uint64_t)
    void pt_wait_for_all(pt_core *)
    void pt_wait_until(pt_core *, uint32_t, uint64_t)
    uint64_t pt_run(pt_core *, uint64_t, uint64_t, bint)

cdef extern from "clock.h" nogil:
    uint64_t pt_now_ns()
