/* What the engine decides, in C: engine/reference.py, pricer.py, gate.py and walk.py say what and why.
 *
 * A plan is what a generation of markets fixes: baskets, their legs, fees, minimum sizes, and which
 * baskets a market is a leg of. It is made beside the loop and adopted at once. The core is what
 * changes: books as last seen, cooldowns, signals on their way. No allocation after it is made.
 */
#ifndef POLYTRIO_CORE_H
#define POLYTRIO_CORE_H

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
};
static const uint64_t PT_SHOW_NS = 250000000u;
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
    uint64_t created_ns, reported_ns;
    uint64_t version[PT_MAX_LEGS];
    uint32_t row[PT_MAX_LEGS];
    uint32_t legs;
} pt_pending;

typedef struct {
    int64_t max_book_age_ns, max_leg_skew_ns, max_ingest_silence_ns, cooldown_ns, signal_wait_ns;
    int64_t cap_e6, min_profit_usd_e6, slippage_ticks;
} pt_limits;

/* Tables indexed by basket number, sized for the plan; swapped together with it. */
typedef struct {
    uint64_t *cooling_until_ns;
    uint32_t *verdict;
} pt_memory;

typedef struct {
    const pt_plan *plan;
    pt_memory memory;
    pt_limits limits;
    pt_seen seen[PT_MARKETS_MAX];
    uint64_t held[PT_MARKETS_MAX]; /* the signal that has asked for a market's liquidity */
    pt_pending pending[PT_PENDING_MAX];
    uint32_t pending_count;
    uint64_t generation, epoch, signal_count, ingest_epoch, shown_ns;
    uint32_t show_from;
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

/* --- books ----------------------------------------------------------------------------------- */

static inline void pt_digest(pt_core *core, uint32_t row) {
    pt_seen *seen = &core->seen[row];
    const pt_book *book = &seen->book;
    int32_t bid = book->bid_price_e4[0], ask = book->ask_price_e4[0];
    bool has_bid = book->bid_count > 0 && bid > 0 && bid < PT_ONE_E4 && book->bid_size_e6[0] > 0;
    bool has_ask = book->ask_count > 0 && ask > 0 && ask < PT_ONE_E4 && book->ask_size_e6[0] > 0;
    seen->usable = book->state == PT_LIVE_BOOK && book->epoch == core->ingest_epoch &&
                   book->market_key == core->plan->fact[row].key &&
                   !(has_bid && has_ask && bid >= ask);
    seen->bid_e4 = has_bid ? bid : 0;
    seen->ask_e4 = has_ask ? ask : 0;
    seen->bid_size_e6 = has_bid ? book->bid_size_e6[0] : 0;
    seen->ask_size_e6 = has_ask ? book->ask_size_e6[0] : 0;
}

/* Reads a market's book; false if its writer was faster every time. */
static inline bool pt_look(pt_core *core, uint32_t row) {
    if (row >= PT_MARKETS_MAX || core->plan->fact[row].key == 0)
        return true;
    pt_seen *seen = &core->seen[row];
    uint64_t version = pt_latch_read((const uint64_t *)(core->books + row * core->book_stride),
                                     sizeof seen->book, (uint64_t *)&seen->book);
    if (version == UINT64_MAX) {
        memset(seen, 0, sizeof *seen); /* what was copied may be a mixture */
        return false;
    }
    seen->version = version;
    pt_digest(core, row);
    return true;
}

static inline void pt_look_at_everything(pt_core *core) {
    for (uint32_t row = 0; row < PT_MARKETS_MAX; row++)
        pt_look(core, row);
}

/* --- edge at the top -------------------------------------------------------------------------- */

static inline bool pt_edge_of(const pt_core *core, uint32_t number, pt_edge *edge) {
    const pt_plan *plan = core->plan;
    const pt_basket *basket = &plan->basket[number];
    const pt_leg *leg = &plan->leg[basket->first_leg];
    int64_t gross_e8 = basket->payout_e8, fee_e8 = 0, size_e6 = INT64_MAX;
    for (uint32_t i = 0; i < basket->legs; i++, leg++) {
        const pt_seen *seen = &core->seen[leg->row];
        int64_t available_e6 = leg->yes ? seen->ask_size_e6 : seen->bid_size_e6;
        int32_t price_e4 = leg->yes ? seen->ask_e4 : PT_ONE_E4 - seen->bid_e4;
        if (!seen->usable || available_e6 == 0)
            return false;
        gross_e8 -= (int64_t)price_e4 * PT_E8_PER_E4;
        fee_e8 += plan->fact[leg->row].fee_e8[price_e4];
        if (available_e6 < size_e6)
            size_e6 = available_e6;
    }
    edge->gross_e8 = gross_e8;
    edge->net_e8 = gross_e8 - fee_e8;
    edge->size_e6 = size_e6;
    return true;
}

/* --- may it be signalled? (engine/gate.py) ----------------------------------------------------- */

static inline enum pt_verdict pt_judge(const pt_core *core, uint32_t number, uint64_t now_ns) {
    const pt_basket *basket = &core->plan->basket[number];
    const pt_leg *leg = &core->plan->leg[basket->first_leg];
    uint64_t oldest_ns = UINT64_MAX, newest_ns = 0;
    bool busy = false;
    for (uint32_t i = 0; i < basket->legs; i++) {
        uint64_t received_ns = core->seen[leg[i].row].book.received_ns;
        oldest_ns = received_ns < oldest_ns ? received_ns : oldest_ns;
        newest_ns = received_ns > newest_ns ? received_ns : newest_ns;
        busy = busy || core->held[leg[i].row] != 0;
    }
    if (pt_load(&core->switches->trading_enabled) != 1)
        return PT_VERDICT_DISABLED;
    int64_t silent_ns = (int64_t)(now_ns - pt_load(&core->ingest->heartbeat_ns));
    if (silent_ns > core->limits.max_ingest_silence_ns ||
        silent_ns < -core->limits.max_ingest_silence_ns) /* a heartbeat of the future */
        return PT_VERDICT_STALE;
    if ((int64_t)(now_ns - oldest_ns) > core->limits.max_book_age_ns)
        return PT_VERDICT_STALE;
    if (newest_ns - oldest_ns > (uint64_t)core->limits.max_leg_skew_ns)
        return PT_VERDICT_SKEWED;
    if (core->memory.cooling_until_ns[number] > now_ns)
        return PT_VERDICT_COOLING;
    return busy ? PT_VERDICT_BUSY : PT_VERDICT_SIGNALLED;
}

/* --- the signal -------------------------------------------------------------------------------- */

static inline void pt_start_walk(const pt_core *core, const pt_basket *basket, pt_walk *walk) {
    const pt_leg *leg = &core->plan->leg[basket->first_leg];
    walk->legs = basket->legs;
    walk->payout_e8 = basket->payout_e8;
    for (uint32_t i = 0; i < basket->legs; i++) {
        const pt_book *book = &core->seen[leg[i].row].book;
        pt_ladder(walk, i, book, leg[i].yes);
        walk->fee_e8[i] = core->plan->fact[leg[i].row].fee_e8;
        walk->least_e6[i] = core->plan->fact[leg[i].row].least_e6;
        walk->tick_e4[i] = book->tick_e4;
    }
}

static inline void pt_fill_signal(const pt_core *core, const pt_basket *basket, const pt_edge *edge,
                                  const pt_order *order, pt_signal *signal) {
    const pt_leg *leg = &core->plan->leg[basket->first_leg];
    memset(signal, 0, sizeof *signal);
    signal->basket = basket->id;
    signal->generation = core->generation;
    signal->kind = basket->kind;
    signal->leg_count = basket->legs;
    signal->payout_e4 = basket->payout_e8 / PT_E8_PER_E4;
    signal->size_e6 = order->size_e6;
    signal->gross_e8 = edge->gross_e8;
    signal->net_e8 = edge->net_e8;
    signal->limit_net_e8 = order->limit_net_e8;
    signal->profit_usd_e6 = order->profit_usd_e6;
    for (uint32_t i = 0; i < basket->legs; i++) {
        const pt_seen *seen = &core->seen[leg[i].row];
        signal->leg_market[i] = leg[i].row;
        signal->leg_outcome[i] = leg[i].yes ? PT_YES : PT_YES + 1;
        signal->leg_side[i] = PT_BUY;
        signal->leg_price_e4[i] = order->limit_e4[i];
        signal->leg_size_e6[i] = leg[i].yes ? seen->ask_size_e6 : seen->bid_size_e6;
        signal->leg_version[i] = seen->version;
    }
}

/* Remembers what a signal has asked for; its markets are spoken for until it is over. */
static inline void pt_hold(pt_core *core, const pt_signal *signal) {
    uint32_t place = 0;
    while (core->pending[place].signal != 0)
        place++;
    pt_pending *pending = &core->pending[place];
    pending->signal = signal->signal;
    pending->created_ns = signal->seen_ns;
    pending->reported_ns = 0;
    pending->legs = signal->leg_count;
    for (uint32_t i = 0; i < signal->leg_count; i++) {
        pending->row[i] = signal->leg_market[i];
        pending->version[i] = signal->leg_version[i];
        core->held[signal->leg_market[i]] = signal->signal;
    }
    core->pending_count++;
}

/* Walks, fills and pushes; the verdict on it, or -1 if our epoch is over. */
static inline int pt_send_signal(pt_core *core, uint32_t number, const pt_update *update,
                                 uint64_t seen_ns) {
    const pt_basket *basket = &core->plan->basket[number];
    pt_walk walk;
    pt_order order;
    pt_edge edge;
    pt_signal signal;
    pt_start_walk(core, basket, &walk);
    if (!pt_best_order(&walk, basket->hurdle_e8, core->limits.cap_e6, core->limits.slippage_ticks,
                       &order) ||
        order.profit_usd_e6 < core->limits.min_profit_usd_e6)
        return PT_VERDICT_TOO_SMALL;
    if (core->pending_count == PT_PENDING_MAX || !pt_edge_of(core, number, &edge))
        return PT_VERDICT_RING_FULL;
    pt_fill_signal(core, basket, &edge, &order, &signal);
    signal.signal = core->epoch << PT_SIGNAL_COUNT_BITS | (core->signal_count + 1);
    signal.frame_ns = update->frame_ns;
    signal.parsed_ns = update->parsed_ns;
    signal.published_ns = update->published_ns;
    signal.seen_ns = seen_ns;
    signal.created_ns = pt_now_ns();
    int outcome = pt_ring_push(core->signals, core->fence, (const uint64_t *)&signal);
    if (outcome != PT_OK)
        return outcome == PT_FULL ? PT_VERDICT_RING_FULL : -1;
    pt_ring_wake(core->signals);
    core->signal_count++;
    pt_histogram_add(core->frame_to_signal, signal.created_ns - signal.frame_ns);
    pt_histogram_add(core->seen_to_signal, signal.created_ns - signal.seen_ns);
    pt_hold(core, &signal);
    return PT_VERDICT_SIGNALLED;
}

static inline void pt_count_verdict(pt_engine_stats *stats, int verdict) {
    switch (verdict) {
    case PT_VERDICT_DISABLED:
        pt_add(&stats->held_disabled, 1);
        break;
    case PT_VERDICT_STALE:
        pt_add(&stats->held_stale, 1);
        break;
    case PT_VERDICT_SKEWED:
        pt_add(&stats->held_skew, 1);
        break;
    case PT_VERDICT_COOLING:
        pt_add(&stats->held_cooldown, 1);
        break;
    case PT_VERDICT_BUSY:
        pt_add(&stats->held_busy, 1);
        break;
    case PT_VERDICT_TOO_SMALL:
        pt_add(&stats->held_small, 1);
        break;
    case PT_VERDICT_RING_FULL:
        pt_add(&stats->signals_full, 1);
        break;
    default:
        pt_add(&stats->signals, 1);
    }
}

/* Looks at a market that changed and at every basket that it is a leg of; false: epoch is over. */
static inline bool pt_take_update(pt_core *core, const pt_update *update, uint64_t seen_ns) {
    pt_histogram_add(core->published_to_seen,
                     seen_ns > update->published_ns ? seen_ns - update->published_ns : 0);
    pt_add(&core->stats->updates_seen, 1);
    if (!pt_look(core, update->market)) {
        pt_add(&core->stats->books_busy, 1); /* its writer is at it: the next update will tell */
        return true;
    }
    if (update->market >= PT_MARKETS_MAX)
        return true;
    const pt_fact *fact = &core->plan->fact[update->market];
    pt_edge edge;
    for (uint32_t i = fact->first; i < fact->first + fact->count; i++) {
        uint32_t number = core->plan->of_row[i];
        if (!pt_edge_of(core, number, &edge) || edge.net_e8 < core->plan->basket[number].hurdle_e8)
            continue;
        pt_add(&core->stats->hits, 1);
        int verdict = pt_judge(core, number, seen_ns);
        if (verdict == PT_VERDICT_SIGNALLED)
            verdict = pt_send_signal(core, number, update, seen_ns);
        if (verdict < 0)
            return false;
        core->memory.verdict[number] = (uint32_t)verdict;
        pt_count_verdict(core->stats, verdict);
    }
    if (fact->count != 0)
        pt_add(&core->stats->evaluations, fact->count);
    return true;
}

/* The ring was full when this book changed; its own stamp stands for the lost message. */
static inline bool pt_take_conflated(pt_core *core, uint32_t row, uint64_t seen_ns) {
    pt_update update = {.market = row};
    pt_add(&core->stats->updates_conflated, 1);
    pt_look(core, row);
    if (row < PT_MARKETS_MAX && core->plan->fact[row].key != 0)
        update.frame_ns = core->seen[row].book.received_ns;
    update.parsed_ns = update.published_ns = update.frame_ns;
    return pt_take_update(core, &update, seen_ns);
}

#endif
