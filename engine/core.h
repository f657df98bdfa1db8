/* What the engine decides, in C: engine/reference.py and engine/gate.py say what and why. */
#ifndef POLYTRIO_CORE_H
#define POLYTRIO_CORE_H

#include "tape.h"
#include "waiting.h"

/* --- may it be signalled? (engine/gate.py) ----------------------------------------------------- */

/* What else the world looks like, read once a look: all its baskets are judged by the same. */
static inline void pt_look_around(pt_core *core) {
    core->trading = pt_load(&core->switches->trading_enabled);
    core->heartbeat_ns = pt_load(&core->ingest->heartbeat_ns);
}

static inline enum pt_verdict pt_judge(const pt_core *core, uint32_t number, uint64_t now_ns) {
    const pt_basket *basket = &core->plan->basket[number];
    const pt_leg *leg = &core->plan->leg[basket->first_leg];
    uint64_t oldest_ns = UINT64_MAX, newest_ns = 0;
    bool busy = false;
    for (uint32_t i = 0; i < basket->legs; i++) {
        if (basket->optional && !pt_worth_an_order(core, &leg[i]))
            continue;
        uint64_t received_ns = core->seen[leg[i].row].book.received_ns;
        oldest_ns = received_ns < oldest_ns ? received_ns : oldest_ns;
        newest_ns = received_ns > newest_ns ? received_ns : newest_ns;
        busy = busy || core->held[leg[i].row] != 0;
    }
    if (core->trading != 1)
        return PT_VERDICT_DISABLED;
    int64_t silent_ns = (int64_t)(now_ns - core->heartbeat_ns);
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
    walk->legs = 0;
    walk->payout_e8 = basket->payout_e8;
    for (uint32_t i = 0; i < basket->legs; i++) {
        const pt_book *book = &core->seen[leg[i].row].book;
        if (basket->optional && !pt_worth_an_order(core, &leg[i])) {
            walk->payout_e8 -= PT_ONE_E8;
            continue;
        }
        pt_ladder(walk, walk->legs, book, leg[i].yes);
        walk->leg[walk->legs] = i;
        walk->fee_e8[walk->legs] = core->plan->fact[leg[i].row].fee_e8;
        walk->least_e6[walk->legs] = core->plan->fact[leg[i].row].least_e6;
        walk->tick_e4[walk->legs] = book->tick_e4;
        walk->legs++;
    }
}

static inline void pt_fill_signal(const pt_core *core, const pt_basket *basket, const pt_edge *edge,
                                  const pt_walk *walk, const pt_order *order, pt_signal *signal) {
    memset(signal, 0, sizeof *signal);
    signal->basket = basket->id;
    signal->generation = core->generation;
    signal->settings_version = core->settings_version;
    signal->kind = basket->kind;
    signal->leg_count = walk->legs;
    signal->payout_e4 = walk->payout_e8 / PT_E8_PER_E4;
    signal->size_e6 = order->size_e6;
    signal->gross_e8 = edge->gross_e8;
    signal->net_e8 = edge->net_e8;
    signal->limit_net_e8 = order->limit_net_e8;
    signal->profit_usd_e6 = order->profit_usd_e6;
    for (uint32_t i = 0; i < walk->legs; i++) {
        const pt_leg *leg = &core->plan->leg[basket->first_leg + walk->leg[i]];
        const pt_seen *seen = &core->seen[leg->row];
        signal->leg_market[i] = leg->row;
        signal->leg_outcome[i] = leg->yes ? PT_YES : PT_YES + 1;
        signal->leg_side[i] = PT_BUY;
        signal->leg_price_e4[i] = order->limit_e4[i];
        signal->leg_size_e6[i] = leg->yes ? seen->ask_size_e6 : seen->bid_size_e6;
        signal->leg_version[i] = seen->version;
    }
}

/* Most units to buy: the cap, and what may be lost if one leg is left alone (engine/gate.py). */
static inline int64_t pt_size_cap(const pt_core *core, const pt_basket *basket,
                                  const pt_walk *walk) {
    int64_t cap_e6 = core->limits.cap_e6;
    for (uint32_t i = 0; i < walk->legs; i++) {
        const pt_leg *leg = &core->plan->leg[basket->first_leg + walk->leg[i]];
        const pt_seen *seen = &core->seen[leg->row];
        int32_t ask_e4 = leg->yes || seen->ask_e4 != 0 ? seen->ask_e4 : PT_ONE_E4;
        int64_t most_e6 = core->limits.max_leg_loss_usd_e6 * PT_ONE_E4 / (ask_e4 - seen->bid_e4);
        cap_e6 = most_e6 < cap_e6 ? most_e6 : cap_e6;
    }
    return cap_e6;
}

/* Remembers what a signal has asked for; its markets are spoken for until it is over. */
static inline void pt_hold(pt_core *core, const pt_signal *signal) {
    uint32_t place = 0;
    while (core->pending[place].signal != 0)
        place++;
    pt_pending *pending = &core->pending[place];
    pending->signal = signal->signal;
    pending->basket = signal->basket;
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
    if (!pt_best_order(&walk, basket->hurdle_e8, pt_size_cap(core, basket, &walk),
                       core->limits.slippage_ticks, &order) ||
        order.profit_usd_e6 < core->limits.min_profit_usd_e6)
        return PT_VERDICT_TOO_SMALL;
    if (core->pending_count == PT_PENDING_MAX || !pt_edge_of(core, number, &edge))
        return PT_VERDICT_RING_FULL;
    pt_fill_signal(core, basket, &edge, &walk, &order, &signal);
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
    if (pt_taping(core))
        core->last_signal = signal;
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

/* Judges a hit, and signals it if nothing speaks against it; false: our epoch is over. */
static inline bool pt_consider(pt_core *core, uint32_t number, const pt_update *update,
                               uint64_t seen_ns, bool again) {
    int verdict = pt_judge(core, number, seen_ns);
    if (verdict == PT_VERDICT_SIGNALLED)
        verdict = pt_send_signal(core, number, update, seen_ns);
    if (verdict < 0)
        return false;
    /* What has not changed since the last look is not counted again. */
    if (!again || core->memory.verdict[number] != (uint32_t)verdict)
        pt_count_verdict(core->stats, verdict);
    core->memory.verdict[number] = (uint32_t)verdict;
    core->memory.tries[number] = again ? core->memory.tries[number] + 1 : 0;
    pt_wait_for(core, number, verdict, seen_ns);
    pt_tape_verdict(core, number, verdict, seen_ns);
    return true;
}

/* Looks at a market that changed and at every basket that it is a leg of; false: epoch is over. */
static inline bool pt_take_update(pt_core *core, const pt_update *update, uint64_t seen_ns) {
    pt_histogram_add(core->published_to_seen,
                     seen_ns > update->published_ns ? seen_ns - update->published_ns : 0);
    pt_add(&core->stats->updates_seen, 1);
    pt_look_around(core);
    if (!pt_look(core, update->market)) {
        pt_add(&core->stats->books_busy, 1); /* its writer is at it: the next update will tell */
        pt_tape_update(core, update, seen_ns, false);
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
        if (!pt_consider(core, number, update, seen_ns, false))
            return false;
    }
    if (fact->count != 0) {
        pt_add(&core->stats->evaluations, fact->count);
        pt_tape_update(core, update, seen_ns, true);
    }
    return true;
}

/* Looks at a basket whose time has come, as if one of its books had just changed. */
static inline bool pt_look_again(pt_core *core, uint32_t number, uint64_t now_ns) {
    pt_edge edge;
    pt_update update = {.frame_ns = now_ns, .parsed_ns = now_ns, .published_ns = now_ns};
    core->memory.due_ns[number] = 0;
    if (!pt_edge_of(core, number, &edge) || edge.net_e8 < core->plan->basket[number].hurdle_e8)
        return true;
    pt_add(&core->stats->retries, 1);
    if (!pt_consider(core, number, &update, now_ns, true))
        return false;
    if (core->memory.verdict[number] == PT_VERDICT_SIGNALLED)
        pt_add(&core->stats->retries_signalled, 1);
    return true;
}

/* Looks at baskets that wait and are due, so many at most that no turn is long. Without one that is
 * due, or in the queue in vain, nothing changes. false: our epoch is over. */
static inline bool pt_retry(pt_core *core, uint64_t now_ns) {
    uint32_t place = 0, looked = 0;
    bool changed = false;
    if (core->waiting != 0)
        pt_look_around(core);
    while (place < core->waiting && looked < PT_RETRY_BATCH) {
        uint32_t number = core->memory.queue[place];
        uint64_t due_ns = core->memory.due_ns[number];
        if (due_ns > now_ns) {
            place++;
            continue;
        }
        changed = true;
        if (due_ns != 0) {
            looked++;
            if (!pt_look_again(core, number, now_ns))
                return false;
        }
        if (core->memory.due_ns[number] != 0) {
            place++;
            continue;
        }
        core->memory.queued[number] = 0;
        core->memory.queue[place] = core->memory.queue[--core->waiting];
    }
    if (changed)
        pt_tape_plain(core, PT_TAPE_RETRY, now_ns);
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
