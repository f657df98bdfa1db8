/* The engine's loop in C: reports, updates, timers, and what people see; engine/reference.py says why. */
#ifndef POLYTRIO_LOOP_H
#define POLYTRIO_LOOP_H

#include "core.h"

/* --- for people -------------------------------------------------------------------------------- */

static inline void pt_fill_basket_row(const pt_core *core, uint32_t number, uint64_t now_ns,
                                      pt_basket_row *row) {
    const pt_basket *basket = &core->plan->basket[number];
    const pt_leg *leg = &core->plan->leg[basket->first_leg];
    pt_edge edge = {0, 0, 0};
    memset(row, 0, sizeof *row);
    row->verdict = core->memory.verdict[number];
    if (!pt_edge_of(core, number, &edge))
        row->verdict = PT_VERDICT_UNQUOTED;
    else if (edge.net_e8 < basket->hurdle_e8)
        row->verdict = PT_VERDICT_NO_EDGE;
    row->basket = basket->id;
    row->generation = core->generation;
    row->settings_version = core->settings_version;
    row->kind = basket->kind;
    row->group = basket->group;
    row->leg_count = basket->legs;
    row->payout_e4 = basket->payout_e8 / PT_E8_PER_E4;
    row->tie_payout_e4 = basket->tie_payout_e4;
    row->void_payout_e4 = basket->void_payout_e4;
    row->gross_e8 = edge.gross_e8;
    row->net_e8 = edge.net_e8;
    row->hurdle_e8 = basket->hurdle_e8;
    row->size_e6 = edge.size_e6;
    row->evaluated_ns = now_ns;
    row->cooling_until_ns = core->memory.cooling_until_ns[number];
    for (uint32_t i = 0; i < basket->legs; i++) {
        row->leg_market[i] = leg[i].row;
        row->leg_outcome[i] = leg[i].yes ? PT_YES : PT_YES + 1;
        row->leg_side[i] = PT_BUY;
    }
}

static inline bool pt_show_one(pt_core *core, uint32_t number, uint64_t now_ns) {
    pt_basket_row row;
    pt_fill_basket_row(core, number, now_ns, &row);
    return pt_latch_write((uint64_t *)(core->baskets + number * core->basket_stride), sizeof row,
                          core->fence, (const uint64_t *)&row) == PT_OK;
}

/* Shows a slice of the baskets, so that no turn is long; false: our epoch is over. */
static inline bool pt_show(pt_core *core, uint64_t now_ns) {
    uint32_t count = core->plan->baskets;
    for (uint32_t i = 0; i < PT_SHOW_ROWS && i < count; i++)
        if (!pt_show_one(core, (core->show_from + i) % count, now_ns))
            return false;
    core->show_from = (core->show_from + PT_SHOW_ROWS) % (count == 0 ? 1 : count);
    return true;
}

/* --- what became of signals -------------------------------------------------------------------- */

static inline void pt_free_pending(pt_core *core, pt_pending *pending, uint64_t now_ns) {
    pt_wait_after(core, pending->basket, now_ns);
    for (uint32_t i = 0; i < pending->legs; i++)
        if (core->held[pending->row[i]] == pending->signal)
            core->held[pending->row[i]] = 0;
    pending->signal = 0;
    core->pending_count--;
}

static inline pt_pending *pt_find_pending(pt_core *core, uint64_t signal) {
    for (uint32_t i = 0; signal != 0 && i < PT_PENDING_MAX; i++)
        if (core->pending[i].signal == signal)
            return &core->pending[i];
    return NULL;
}

/* Charges a cooldown for what was sent, frees what is over; false: our epoch is over. */
static inline bool pt_hear(pt_core *core, const pt_report *report, uint64_t now_ns) {
    pt_add(&core->stats->reports_seen, 1);
    pt_tape_report(core, report, now_ns);
    if (report->kind == PT_REPORT_SENT)
        for (uint32_t number = 0; number < core->plan->baskets; number++)
            if (core->plan->basket[number].id == report->basket) {
                core->memory.cooling_until_ns[number] = now_ns + (uint64_t)core->limits.cooldown_ns;
                if (!pt_show_one(core, number, now_ns))
                    return false;
            }
    pt_pending *pending = pt_find_pending(core, report->signal);
    if (pending == NULL)
        return true;
    if (report->kind == PT_REPORT_REFUSED)
        pt_free_pending(core, pending, now_ns);
    else if (report->kind >= PT_REPORT_COMPLETE && report->kind <= PT_REPORT_MISSED)
        pending->reported_ns = now_ns;
    return true;
}

static inline bool pt_books_moved(const pt_core *core, const pt_pending *pending) {
    for (uint32_t i = 0; i < pending->legs; i++) {
        uint32_t row = pending->row[i];
        uint64_t version = core->plan->fact[row].key == 0 ? 0 : core->seen[row].version;
        if (version == pending->version[i])
            return false;
    }
    return true;
}

/* Frees what is finished: reported and the books have moved on, or nobody ever reported. */
static inline void pt_release_overdue(pt_core *core, uint64_t now_ns) {
    pt_tape_plain(core, PT_TAPE_RELEASE, now_ns);
    for (uint32_t i = 0; i < PT_PENDING_MAX; i++) {
        pt_pending *pending = &core->pending[i];
        if (pending->signal == 0)
            continue;
        bool over = pending->reported_ns != 0
                        ? pt_books_moved(core, pending) ||
                              (int64_t)(now_ns - pending->reported_ns) >
                                  (int64_t)PT_HOLD_AFTER_REPORT_NS
                        : (int64_t)(now_ns - pending->created_ns) > core->limits.signal_wait_ns;
        if (over)
            pt_free_pending(core, pending, now_ns);
    }
}

/* --- the loop ---------------------------------------------------------------------------------- */

static inline void pt_follow_ingest(pt_core *core) {
    uint64_t epoch = pt_load(&core->ingest->epoch);
    if (epoch != core->ingest_epoch) {
        core->ingest_epoch = epoch;
        pt_look_at_everything(core);
        if (core->tape != NULL)
            core->tape->lost = true; /* too much to tell: the shadow is given everything anew */
    }
}

static inline bool pt_take_dirty(pt_core *core, uint64_t *done) {
    for (uint32_t word = 0; word < PT_DIRTY_WORDS; word++) {
        uint64_t dirty = pt_dirty_take(core->marks, core->marks_seen, word);
        for (; dirty != 0; dirty &= dirty - 1) {
            uint32_t row = word * 64 + (uint32_t)__builtin_ctzll(dirty);
            if (!pt_take_conflated(core, row, pt_now_ns()))
                return false;
            ++*done;
        }
    }
    return true;
}

/* One turn; how many reports and updates it handled, UINT64_MAX when our epoch is over. */
static inline uint64_t pt_turn(pt_core *core) {
    uint64_t done = 0;
    pt_report report;
    pt_update update;
    for (; pt_ring_pop(core->reports, (uint64_t *)&report); done++)
        if (!pt_hear(core, &report, pt_now_ns()))
            return UINT64_MAX;
    pt_follow_ingest(core);
    for (uint32_t i = 0; i < PT_UPDATE_BATCH && pt_ring_pop(core->updates, (uint64_t *)&update);
         i++, done++)
        if (!pt_take_update(core, &update, pt_now_ns()))
            return UINT64_MAX;
    if (!pt_take_dirty(core, &done))
        return UINT64_MAX;
    uint64_t now_ns = pt_now_ns();
    if (!pt_retry(core, now_ns))
        return UINT64_MAX;
    if (now_ns - core->shown_ns > PT_SHOW_NS) {
        core->shown_ns = now_ns;
        pt_release_overdue(core, now_ns);
        if (!pt_show(core, now_ns))
            return UINT64_MAX;
    }
    return done;
}

/* Turns and waits until `until_ns`, then comes back, so that the caller can stamp its heartbeat and
 * hear signals. No Python, no allocation in between. */
static inline uint64_t pt_run(pt_core *core, uint64_t until_ns, uint64_t spins, bool may_sleep) {
    uint64_t done = 0;
    for (;;) {
        uint64_t turned = pt_turn(core);
        if (turned == UINT64_MAX)
            return UINT64_MAX;
        done += turned;
        uint64_t now_ns = pt_now_ns();
        if (now_ns >= until_ns)
            return done;
        if (turned != 0)
            continue;
        uint64_t due_ns = pt_next_due(core);
        uint64_t next_ns = due_ns < until_ns ? due_ns : until_ns;
        if (next_ns > now_ns)
            pt_ring_wait(core->updates, spins, may_sleep ? next_ns - now_ns : 0);
    }
}

#endif
