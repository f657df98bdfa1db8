/* One market's full-depth book as two arrays indexed by price, in C; ingest/book.py is the model.
 *
 * A side is an array of sizes with one cell a grid step, and a bitmap of the cells that are not
 * empty: setting a level is one store, the best level is the highest or lowest bit. Ladders are on
 * a grid of $0.001; the first price between two steps moves a book to a grid of $0.0001 for good.
 */
#ifndef POLYTRIO_LEVELS_H
#define POLYTRIO_LEVELS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "_layout.h"

enum { PT_PRICE_ONE_E4 = 10000, PT_COARSE_E4 = 10 };

typedef struct {
    int64_t *size_e6;
    uint64_t *filled;
} pt_side;

typedef struct {
    uint32_t step_e4; /* dollars/10000 between two cells; every price is a multiple */
    uint32_t cells;
    pt_side bid;
    pt_side ask;
} pt_levels;

static inline uint32_t pt_levels_words(const pt_levels *levels) {
    return (levels->cells + 63) / 64;
}

static inline bool pt_side_make(pt_side *side, uint32_t cells) {
    side->size_e6 = calloc(cells, sizeof *side->size_e6);
    side->filled = calloc((cells + 63) / 64, sizeof *side->filled);
    return side->size_e6 != NULL && side->filled != NULL;
}

static inline void pt_side_free(pt_side *side) {
    free(side->size_e6);
    free(side->filled);
    side->size_e6 = NULL;
    side->filled = NULL;
}

static inline bool pt_levels_make(pt_levels *levels, uint32_t step_e4) {
    levels->step_e4 = step_e4;
    levels->cells = PT_PRICE_ONE_E4 / step_e4 + 1;
    memset(&levels->bid, 0, sizeof levels->bid);
    memset(&levels->ask, 0, sizeof levels->ask);
    return pt_side_make(&levels->bid, levels->cells) && pt_side_make(&levels->ask, levels->cells);
}

static inline void pt_levels_free(pt_levels *levels) {
    pt_side_free(&levels->bid);
    pt_side_free(&levels->ask);
}

static inline void pt_side_clear(pt_side *side, uint32_t words) {
    for (uint32_t word = 0; word < words; word++) {
        for (uint64_t left = side->filled[word]; left != 0; left &= left - 1)
            side->size_e6[word * 64 + (uint32_t)__builtin_ctzll(left)] = 0;
        side->filled[word] = 0;
    }
}

static inline void pt_levels_clear(pt_levels *levels) {
    pt_side_clear(&levels->bid, pt_levels_words(levels));
    pt_side_clear(&levels->ask, pt_levels_words(levels));
}

static inline void pt_side_put(pt_side *side, uint32_t cell, int64_t size_e6) {
    uint64_t bit = (uint64_t)1 << (cell % 64);
    side->size_e6[cell] = size_e6;
    if (size_e6 != 0)
        side->filled[cell / 64] |= bit;
    else
        side->filled[cell / 64] &= ~bit;
}

/* Cell of the best level: the highest bid, the lowest ask; -1 for an empty side. */
static inline int32_t pt_side_highest(const pt_side *side, uint32_t words) {
    for (uint32_t word = words; word-- > 0;)
        if (side->filled[word] != 0)
            return (int32_t)(word * 64 + 63 - (uint32_t)__builtin_clzll(side->filled[word]));
    return -1;
}

static inline int32_t pt_side_lowest(const pt_side *side, uint32_t words) {
    for (uint32_t word = 0; word < words; word++)
        if (side->filled[word] != 0)
            return (int32_t)(word * 64 + (uint32_t)__builtin_ctzll(side->filled[word]));
    return -1;
}

/* Moves all levels to the finest grid; false without memory, with the old book untouched. */
static inline bool pt_levels_refine(pt_levels *levels) {
    pt_levels fine;
    if (!pt_levels_make(&fine, 1)) {
        pt_levels_free(&fine);
        return false;
    }
    for (uint32_t cell = 0; cell < levels->cells; cell++) {
        uint32_t price_e4 = cell * levels->step_e4;
        if (levels->bid.size_e6[cell] != 0)
            pt_side_put(&fine.bid, price_e4, levels->bid.size_e6[cell]);
        if (levels->ask.size_e6[cell] != 0)
            pt_side_put(&fine.ask, price_e4, levels->ask.size_e6[cell]);
    }
    pt_levels_free(levels);
    *levels = fine;
    return true;
}

/* Sets one level to an absolute size, 0 deletes it; false only without memory. */
static inline bool pt_levels_put(pt_levels *levels, bool bid, uint32_t price_e4, int64_t size_e6) {
    if (price_e4 % levels->step_e4 != 0) {
        if (size_e6 == 0)
            return true; /* nothing can stand between two steps */
        if (!pt_levels_refine(levels))
            return false;
    }
    pt_side_put(bid ? &levels->bid : &levels->ask, price_e4 / levels->step_e4, size_e6);
    return true;
}

static inline bool pt_levels_crossed(const pt_levels *levels) {
    uint32_t words = pt_levels_words(levels);
    int32_t bid = pt_side_highest(&levels->bid, words);
    int32_t ask = pt_side_lowest(&levels->ask, words);
    return bid >= 0 && ask >= 0 && bid >= ask;
}

static inline bool pt_side_on_grid(const pt_levels *levels, const pt_side *side, uint32_t tick_e4) {
    for (uint32_t word = 0; word < pt_levels_words(levels); word++)
        for (uint64_t left = side->filled[word]; left != 0; left &= left - 1)
            if ((word * 64 + (uint32_t)__builtin_ctzll(left)) * levels->step_e4 % tick_e4 != 0)
                return false;
    return true;
}

/* The best levels of a side into two columns of the books table, best first, the rest zero; returns
 * how many. */
static inline uint32_t pt_bids_show(const pt_levels *levels, int32_t *price_e4, int64_t *size_e6) {
    uint32_t count = 0;
    for (uint32_t word = pt_levels_words(levels); word-- > 0;) {
        for (uint64_t left = levels->bid.filled[word]; left != 0;) {
            uint32_t bit = 63 - (uint32_t)__builtin_clzll(left);
            uint32_t cell = word * 64 + bit;
            price_e4[count] = (int32_t)(cell * levels->step_e4);
            size_e6[count] = levels->bid.size_e6[cell];
            if (++count == PT_BOOK_LEVELS)
                return count;
            left ^= (uint64_t)1 << bit;
        }
    }
    memset(price_e4 + count, 0, (PT_BOOK_LEVELS - count) * sizeof *price_e4);
    memset(size_e6 + count, 0, (PT_BOOK_LEVELS - count) * sizeof *size_e6);
    return count;
}

static inline uint32_t pt_asks_show(const pt_levels *levels, int32_t *price_e4, int64_t *size_e6) {
    uint32_t count = 0;
    for (uint32_t word = 0; word < pt_levels_words(levels); word++) {
        for (uint64_t left = levels->ask.filled[word]; left != 0; left &= left - 1) {
            uint32_t cell = word * 64 + (uint32_t)__builtin_ctzll(left);
            price_e4[count] = (int32_t)(cell * levels->step_e4);
            size_e6[count] = levels->ask.size_e6[cell];
            if (++count == PT_BOOK_LEVELS)
                return count;
        }
    }
    memset(price_e4 + count, 0, (PT_BOOK_LEVELS - count) * sizeof *price_e4);
    memset(size_e6 + count, 0, (PT_BOOK_LEVELS - count) * sizeof *size_e6);
    return count;
}

/* --- texts for the venue's book hash (ingest/checksum.py) -------------------------------------- */

enum { PT_LEVEL_TEXT_MAX = 64 };

/* A value with `places` decimals in the shortest form; returns its end. */
static inline char *pt_fixed_text(char *to, uint64_t value, int places) {
    char digits[24];
    int count = 0, skipped = 0;
    for (; value != 0 || count <= places; value /= 10)
        digits[count++] = (char)('0' + value % 10);
    while (skipped < places && digits[skipped] == '0')
        skipped++;
    while (count > places)
        *to++ = digits[--count];
    if (skipped < places)
        *to++ = '.';
    while (count > skipped)
        *to++ = digits[--count];
    return to;
}

static inline char *pt_level_text(char *to, uint32_t price_e4, int64_t size_e6) {
    memcpy(to, "{\"price\":\"", 10);
    to = pt_fixed_text(to + 10, price_e4, 4);
    memcpy(to, "\",\"size\":\"", 10);
    to = pt_fixed_text(to + 10, (uint64_t)size_e6, 6);
    memcpy(to, "\"}", 2);
    return to + 2;
}

static inline uint32_t pt_side_count(const pt_side *side, uint32_t words) {
    uint32_t count = 0;
    for (uint32_t word = 0; word < words; word++)
        count += (uint32_t)__builtin_popcountll(side->filled[word]);
    return count;
}

/* All levels of a side, comma between; `mirrored` prints them at 1 - price, as the other token's.
 * `to` has room for PT_LEVEL_TEXT_MAX bytes a level; returns the end. */
static inline char *pt_side_text(const pt_levels *levels, const pt_side *side, bool mirrored,
                                 bool ascending, char *to) {
    char *start = to;
    bool upwards = ascending != mirrored; /* mirroring turns the order round */
    for (uint32_t i = 0; i < levels->cells; i++) {
        uint32_t cell = upwards ? i : levels->cells - 1 - i;
        if (side->size_e6[cell] == 0)
            continue;
        if (to != start)
            *to++ = ',';
        uint32_t price_e4 = cell * levels->step_e4;
        to = pt_level_text(to, mirrored ? PT_PRICE_ONE_E4 - price_e4 : price_e4,
                           side->size_e6[cell]);
    }
    return to;
}

#endif
