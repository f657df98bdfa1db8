/* Whether the YES and the NO entries of one market in one event say the same.
 *
 * Wherever both speak of a level they must name the same size; the last entry of each token counts
 * (ingest/books.py, `Books._change_levels`). A few entries are compared each with each. Many go
 * through a table of all levels, so that the time of a frame grows with its bytes and not with
 * their square.
 */
#ifndef POLYTRIO_MIRROR_H
#define POLYTRIO_MIRROR_H

#include "levels.h"
#include "scan.h"

enum { PT_MIRROR_FEW = 16 };

/* An entry of a frame and whose it is: row * 2, and 1 more for the NO token. */
typedef struct {
    const pt_change *change;
    uint32_t side;
} pt_sided;

/* What the present event has said of a level; what another event said does not count. */
typedef struct {
    uint64_t yes_event, no_event;
    int64_t yes_e6;
} pt_said;

typedef struct {
    uint64_t event;
    pt_said ask[PT_PRICE_ONE_E4 + 1], bid[PT_PRICE_ONE_E4 + 1]; /* as the YES token has them */
} pt_mirror;

static inline bool pt_same_cell(const pt_sided *yes, const pt_sided *no) {
    return yes->change->buy != no->change->buy &&
           yes->change->price_e4 == PT_PRICE_ONE_E4 - no->change->price_e4;
}

static inline bool pt_few_mirrored(const pt_sided *sided, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (sided[i].side % 2 == 0)
            continue;
        int64_t no_e6 = sided[i].change->size_e6, yes_e6 = -1;
        for (uint32_t j = 0; j < count; j++) {
            if (sided[j].side % 2 == 0) {
                if (pt_same_cell(&sided[j], &sided[i]))
                    yes_e6 = sided[j].change->size_e6;
            } else if (sided[j].change->buy == sided[i].change->buy &&
                       sided[j].change->price_e4 == sided[i].change->price_e4) {
                no_e6 = sided[j].change->size_e6;
            }
        }
        if (yes_e6 >= 0 && yes_e6 != no_e6)
            return false;
    }
    return true;
}

static inline bool pt_many_mirrored(pt_mirror *mirror, const pt_sided *sided, uint32_t count) {
    uint64_t event = ++mirror->event;
    for (uint32_t i = 0; i < count; i++) {
        const pt_change *change = sided[i].change;
        if (sided[i].side % 2 == 0) {
            pt_said *said = change->buy ? &mirror->bid[change->price_e4]
                                        : &mirror->ask[change->price_e4];
            said->yes_event = event;
            said->yes_e6 = change->size_e6;
        }
    }
    for (uint32_t i = count; i-- > 0;) { /* backwards: the last one counts */
        const pt_change *change = sided[i].change;
        int32_t price_e4 = PT_PRICE_ONE_E4 - change->price_e4;
        pt_said *said = change->buy ? &mirror->ask[price_e4] : &mirror->bid[price_e4];
        if (sided[i].side % 2 == 0 || said->no_event == event)
            continue;
        said->no_event = event;
        if (said->yes_event == event && said->yes_e6 != change->size_e6)
            return false;
    }
    return true;
}

static inline bool pt_mirrored(pt_mirror *mirror, const pt_sided *sided, uint32_t count) {
    return count <= PT_MIRROR_FEW ? pt_few_mirrored(sided, count)
                                  : pt_many_mirrored(mirror, sided, count);
}

#endif
