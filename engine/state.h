/* What the compiled engine works on: a generation's plan, and what changes meanwhile.
 *
 * A plan is what a generation of markets fixes: baskets, their legs, fees, minimum sizes, and which
 * baskets a market is a leg of. It is made beside the loop and adopted at once. The core is what
 * changes: books as last seen, cooldowns, signals on their way. No allocation after it is made.
 */
#ifndef POLYTRIO_STATE_H
#define POLYTRIO_STATE_H

#include <stdlib.h>

#include "atomics.h"
#include "clock.h"
#include "walk.h"

enum {
    PT_PENDING_MAX = 256, /* engine/reference.py: PENDING_MAX */
    PT_SIGNAL_COUNT_BITS = 40,
    PT_UPDATE_BATCH = 256,
    PT_SHOW_ROWS = 64,
    PT_LIVE_BOOK = 1, /* shm/codes.py: BookState.LIVE */
    PT_YES = 1,
    PT_BUY = 1,
    PT_LEGS_MIN = 2, /* engine/pricer.py: LEGS_MIN */
    PT_RETRY_DOUBLINGS = 10, /* engine/waiting.py */
    PT_RETRY_BATCH = 64,
    PT_TAPE_ENTRIES = 1024,
};
static const int64_t PT_ONE_E8 = 100000000;
static const uint64_t PT_SHOW_NS = 50000000u;
static const uint64_t PT_RETRY_FIRST_NS = 1000000u;
static const uint64_t PT_HOLD_AFTER_REPORT_NS = 500000000u;

/* shm/codes.py: Verdict and ReportKind */
enum pt_verdict {
    PT_VERDICT_NONE,
    PT_VERDICT_UNQUOTED,
    PT_VERDICT_NO_EDGE,
    PT_VERDICT_STALE,
    PT_VERDICT_SKEWED,
    PT_VERDICT_COOLING,
    PT_VERDICT_BUSY,
    PT_VERDICT_TOO_SMALL,
    PT_VERDICT_DISABLED,
    PT_VERDICT_RING_FULL,
    PT_VERDICT_SIGNALLED,
};
enum pt_report_kind { PT_REPORT_REFUSED = 1, PT_REPORT_SENT, PT_REPORT_COMPLETE, PT_REPORT_PARTIAL,
                      PT_REPORT_MISSED };

/* --- plan ------------------------------------------------------------------------------------ */

typedef struct {
    uint32_t row;
    bool yes;
} pt_leg;

typedef struct {
    uint64_t id;
    int64_t payout_e8;
    int64_t hurdle_e8;
    int64_t tie_payout_e4;
    int64_t void_payout_e4;
    uint32_t kind;
    uint32_t group;
    uint32_t first_leg;
    uint32_t legs;
    bool optional; /* legs may be left out, each for a dollar of payout */
} pt_basket;

typedef struct {
    uint64_t key; /* 0: no basket has this market */
    const int64_t *fee_e8;
    int64_t least_e6;
    uint32_t first, count; /* its baskets, in `of_row` */
} pt_fact;

typedef struct {
    pt_fact fact[PT_MARKETS_MAX];
    uint32_t baskets;
    pt_basket *basket;
    pt_leg *leg;
    uint32_t *of_row;
    int64_t *fee_tables;
} pt_plan;

/* --- core ------------------------------------------------------------------------------------ */

typedef struct {
    pt_book book;
    uint64_t version;
    int64_t bid_size_e6, ask_size_e6; /* 0: not quoted */
    int32_t bid_e4, ask_e4;
    bool usable;
} pt_seen;

typedef struct {
    int64_t gross_e8, net_e8, size_e6;
} pt_edge;

typedef struct {
    uint64_t signal; /* 0: free */
    uint64_t basket;
    uint64_t created_ns, reported_ns;
    uint64_t version[PT_MAX_LEGS];
    uint32_t row[PT_MAX_LEGS];
    uint32_t legs;
} pt_pending;

typedef struct {
    int64_t max_book_age_ns, max_leg_skew_ns, max_ingest_silence_ns, cooldown_ns, signal_wait_ns;
    int64_t cap_e6, min_profit_usd_e6, max_leg_loss_usd_e6, slippage_ticks;
} pt_limits;

/* Tables indexed by basket number, sized for the plan; swapped together with it. */
typedef struct {
    uint64_t *cooling_until_ns;
    uint32_t *verdict;
    uint64_t *due_ns; /* when a basket is to be looked at again; 0: not before its books change */
    uint32_t *tries;  /* how often it was, since they changed last */
    uint32_t *queue;  /* numbers of those that wait, in no order */
    uint8_t *queued;
} pt_memory;

/* engine/tape.h: what a shadow is told. */
enum pt_tape_kind {
    PT_TAPE_VERDICT = 1,
    PT_TAPE_UPDATE,
    PT_TAPE_REPORT,
    PT_TAPE_RELEASE,
    PT_TAPE_RETRY,
};

typedef struct {
    uint32_t kind, number; /* basket of a verdict, row of an update */
    uint64_t now_ns, heartbeat_ns, trading;
    uint64_t detail; /* the verdict; the book's version, UINT64_MAX: it could not be read */
    pt_update update;
    union {
        pt_book book;
        pt_signal signal;
        pt_report report;
    } body;
} pt_entry;

typedef struct {
    uint64_t written, read;
    uint64_t skipped; /* updates that were not written, as it was lost */
    bool lost;
    pt_entry entry[PT_TAPE_ENTRIES];
} pt_tape;

typedef struct {
    const pt_plan *plan;
    pt_memory memory;
    pt_limits limits;
    pt_seen seen[PT_MARKETS_MAX];
    uint64_t held[PT_MARKETS_MAX]; /* the signal that has asked for a market's liquidity */
    pt_pending pending[PT_PENDING_MAX];
    uint32_t pending_count;
    uint32_t waiting; /* how many baskets are in the queue */
    uint64_t generation, settings_version, epoch, signal_count, ingest_epoch, shown_ns;
    uint64_t heartbeat_ns, trading; /* as they were when the last look began */
    uint32_t show_from;
    pt_tape *tape; /* NULL: nobody listens */
    pt_signal last_signal;
    /* shared memory */
    const uint8_t *books;
    size_t book_stride;
    uint8_t *baskets;
    size_t basket_stride;
    pt_ring *updates, *reports, *signals;
    const uint64_t *marks;
    uint64_t *marks_seen;
    const pt_fence *fence;
    const pt_role_row *ingest;
    const pt_switches *switches;
    pt_engine_stats *stats;
    pt_histogram *frame_to_signal, *published_to_seen, *seen_to_signal;
} pt_core;

#endif
