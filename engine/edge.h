/* What a basket is worth at the top of the books, in C: engine/pricer.py says what and why. */
#ifndef POLYTRIO_EDGE_H
#define POLYTRIO_EDGE_H

#include "state.h"

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

static inline bool pt_edge_of_all(const pt_core *core, const pt_basket *basket, pt_edge *edge) {
    const pt_plan *plan = core->plan;
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

/* Whether a leg that may be left out is worth an order: quoted, and as large as its market wants. */
static inline bool pt_worth_an_order(const pt_core *core, const pt_leg *leg) {
    const pt_seen *seen = &core->seen[leg->row];
    int64_t available_e6 = leg->yes ? seen->ask_size_e6 : seen->bid_size_e6;
    return seen->usable && available_e6 != 0 &&
           available_e6 >= core->plan->fact[leg->row].least_e6;
}

static inline bool pt_edge_of_some(const pt_core *core, const pt_basket *basket, pt_edge *edge) {
    const pt_leg *leg = &core->plan->leg[basket->first_leg];
    int64_t gross_e8 = basket->payout_e8 - (int64_t)basket->legs * PT_ONE_E8;
    int64_t fee_e8 = 0, size_e6 = INT64_MAX;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < basket->legs; i++, leg++) {
        const pt_seen *seen = &core->seen[leg->row];
        int32_t price_e4 = leg->yes ? seen->ask_e4 : PT_ONE_E4 - seen->bid_e4;
        int64_t available_e6 = leg->yes ? seen->ask_size_e6 : seen->bid_size_e6;
        if (!pt_worth_an_order(core, leg))
            continue;
        taken++;
        gross_e8 += PT_ONE_E8 - (int64_t)price_e4 * PT_E8_PER_E4;
        fee_e8 += core->plan->fact[leg->row].fee_e8[price_e4];
        if (available_e6 < size_e6)
            size_e6 = available_e6;
    }
    if (taken < PT_LEGS_MIN)
        return false;
    edge->gross_e8 = gross_e8;
    edge->net_e8 = gross_e8 - fee_e8;
    edge->size_e6 = size_e6;
    return true;
}

/* Worth of a unit at the top of the books; false, and nothing written, while a price that it needs
 * is not quoted. */
static inline bool pt_edge_of(const pt_core *core, uint32_t number, pt_edge *edge) {
    const pt_basket *basket = &core->plan->basket[number];
    return basket->optional ? pt_edge_of_some(core, basket, edge)
                            : pt_edge_of_all(core, basket, edge);
}

#endif
