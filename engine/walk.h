/* How much of a basket to buy, in C: engine/walk.py says what and why. */
#ifndef POLYTRIO_WALK_H
#define POLYTRIO_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "_layout.h"

enum { PT_ONE_E4 = 10000, PT_E8_PER_E4 = 10000, PT_FEE_TABLE = PT_ONE_E4 + 1 };

/* --- the venue's grid (shm/grid.py) ------------------------------------------------------------ */

static inline uint32_t pt_gcd(uint32_t a, uint32_t b) {
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static inline int64_t pt_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* --- the walk down the levels (engine/walk.py) ------------------------------------------------- */

typedef struct {
    int64_t size_e6, profit_usd_e6, limit_net_e8;
    int32_t limit_e4[PT_MAX_LEGS];
} pt_order;

enum { PT_STEPS_MAX = PT_MAX_LEGS * PT_BOOK_LEVELS };

typedef struct {
    uint32_t legs;
    uint32_t leg[PT_MAX_LEGS]; /* which of the basket's legs they are */
    uint32_t levels[PT_MAX_LEGS];
    int32_t price_e4[PT_MAX_LEGS][PT_BOOK_LEVELS];
    int64_t size_e6[PT_MAX_LEGS][PT_BOOK_LEVELS];
    const int64_t *fee_e8[PT_MAX_LEGS];
    int64_t tick_e4[PT_MAX_LEGS];
    int64_t least_e6[PT_MAX_LEGS];
    int64_t payout_e8;
    uint32_t steps;
    int64_t start_e6[PT_STEPS_MAX + 1];
    int64_t net_e8[PT_STEPS_MAX];
} pt_walk;

static inline void pt_ladder(pt_walk *walk, uint32_t leg, const pt_book *book, bool yes) {
    const int32_t *price_e4 = yes ? book->ask_price_e4 : book->bid_price_e4;
    const int64_t *size_e6 = yes ? book->ask_size_e6 : book->bid_size_e6;
    uint32_t count = yes ? book->ask_count : book->bid_count, level = 0;
    if (count > PT_BOOK_LEVELS)
        count = PT_BOOK_LEVELS;
    for (; level < count; level++) {
        int32_t cost_e4 = yes ? price_e4[level] : PT_ONE_E4 - price_e4[level];
        if (cost_e4 <= 0 || cost_e4 >= PT_ONE_E4 || size_e6[level] <= 0 ||
            (level > 0 && cost_e4 <= walk->price_e4[leg][level - 1]))
            break;
        walk->price_e4[leg][level] = cost_e4;
        walk->size_e6[leg][level] = size_e6[level];
    }
    walk->levels[leg] = level;
}

static inline int64_t pt_net_at(const pt_walk *walk, const int32_t *price_e4) {
    int64_t net_e8 = walk->payout_e8;
    for (uint32_t leg = 0; leg < walk->legs; leg++)
        net_e8 -= (int64_t)price_e4[leg] * PT_E8_PER_E4 + walk->fee_e8[leg][price_e4[leg]];
    return net_e8;
}

/* Profit of the first `size_e6` units, in micro-dollars, rounded down. */
static inline int64_t pt_profit(const pt_walk *walk, int64_t size_e6) {
    __int128 profit_e14 = 0;
    for (uint32_t step = 0; step < walk->steps && walk->start_e6[step] < size_e6; step++) {
        int64_t end_e6 = step + 1 < walk->steps && walk->start_e6[step + 1] < size_e6
                             ? walk->start_e6[step + 1]
                             : size_e6;
        profit_e14 += (__int128)walk->net_e8[step] * (end_e6 - walk->start_e6[step]);
    }
    __int128 e14 = 100000000, floor = profit_e14 / e14;
    if (profit_e14 % e14 < 0)
        floor--;
    return (int64_t)floor;
}

/* What could be ordered after `walked_e6` units at these prices; false if that is too little. */
static inline bool pt_order_at(const pt_walk *walk, const int32_t *price_e4, int64_t slippage_ticks,
                               int64_t walked_e6, pt_order *order) {
    int64_t least = 0;
    uint32_t step = 1;
    for (uint32_t leg = 0; leg < walk->legs; leg++) {
        int64_t most_e4 = PT_ONE_E4 - walk->tick_e4[leg];
        int64_t limit_e4 = price_e4[leg] + slippage_ticks * walk->tick_e4[leg];
        if (most_e4 < price_e4[leg])
            most_e4 = price_e4[leg];
        if (limit_e4 > most_e4)
            limit_e4 = most_e4;
        order->limit_e4[leg] = (int32_t)limit_e4;
        uint32_t own = 100 / pt_gcd((uint32_t)limit_e4, 100);
        step = step / pt_gcd(step, own) * own;
        int64_t by_worth = pt_ceil_div(PT_ONE_E4, limit_e4);
        int64_t by_rule = pt_ceil_div(walk->least_e6[leg], 1000000);
        if (by_worth > least)
            least = by_worth;
        if (by_rule > least)
            least = by_rule;
    }
    int64_t grid_e6 = (int64_t)step * 1000000;
    order->size_e6 = walked_e6 / grid_e6 * grid_e6;
    if (order->size_e6 < least * 1000000)
        return false;
    order->profit_usd_e6 = pt_profit(walk, order->size_e6);
    order->limit_net_e8 = pt_net_at(walk, order->limit_e4);
    return true;
}

static inline bool pt_advance(const pt_walk *walk, uint32_t *at, int64_t *left_e6, int64_t taken_e6) {
    for (uint32_t leg = 0; leg < walk->legs; leg++) {
        left_e6[leg] -= taken_e6;
        if (left_e6[leg] == 0) {
            if (++at[leg] == walk->levels[leg])
                return false;
            left_e6[leg] = walk->size_e6[leg][at[leg]];
        }
    }
    return true;
}

/* The order with the greatest profit; false if no order is worth it or allowed. */
static inline bool pt_best_order(pt_walk *walk, int64_t hurdle_e8, int64_t cap_e6,
                                 int64_t slippage_ticks, pt_order *best) {
    uint32_t at[PT_MAX_LEGS] = {0};
    int64_t left_e6[PT_MAX_LEGS], walked_e6 = 0;
    int32_t price_e4[PT_MAX_LEGS];
    bool found = false;
    pt_order order;
    for (uint32_t leg = 0; leg < walk->legs; leg++)
        left_e6[leg] = walk->size_e6[leg][0];
    for (walk->steps = 0; walked_e6 < cap_e6;) {
        int64_t taken_e6 = cap_e6 - walked_e6;
        for (uint32_t leg = 0; leg < walk->legs; leg++) {
            price_e4[leg] = walk->price_e4[leg][at[leg]];
            if (left_e6[leg] < taken_e6)
                taken_e6 = left_e6[leg];
        }
        int64_t net_e8 = pt_net_at(walk, price_e4);
        if (net_e8 < hurdle_e8)
            break;
        walk->start_e6[walk->steps] = walked_e6;
        walk->net_e8[walk->steps++] = net_e8;
        walked_e6 += taken_e6;
        if (pt_order_at(walk, price_e4, slippage_ticks, walked_e6, &order) &&
            (!found || order.profit_usd_e6 > best->profit_usd_e6)) {
            *best = order;
            found = true;
        }
        if (!pt_advance(walk, at, left_e6, taken_e6))
            break;
    }
    return found;
}

#endif
