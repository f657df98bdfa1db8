/* Baskets to look at again although none of their books changes, in C: engine/waiting.py says why. */
#ifndef POLYTRIO_WAITING_H
#define POLYTRIO_WAITING_H

#include "edge.h"

static inline void pt_wait_until(pt_core *core, uint32_t number, uint64_t due_ns) {
    core->memory.due_ns[number] = due_ns;
    if (core->memory.queued[number])
        return;
    core->memory.queued[number] = 1;
    core->memory.queue[core->waiting++] = number; /* room for each basket once */
}

static inline uint64_t pt_pause_ns(uint32_t tries) {
    if (tries == 0)
        return 0;
    return PT_RETRY_FIRST_NS << (tries <= PT_RETRY_DOUBLINGS ? tries - 1 : PT_RETRY_DOUBLINGS);
}

/* After a verdict on a hit: when it is worth another look, if ever before its books change. */
static inline void pt_wait_for(pt_core *core, uint32_t number, int verdict, uint64_t now_ns) {
    switch (verdict) {
    case PT_VERDICT_COOLING:
        pt_wait_until(core, number, core->memory.cooling_until_ns[number]);
        break;
    case PT_VERDICT_STALE:
    case PT_VERDICT_BUSY:
    case PT_VERDICT_DISABLED:
    case PT_VERDICT_RING_FULL:
        pt_wait_until(core, number, now_ns + pt_pause_ns(core->memory.tries[number]));
        break;
    default:
        core->memory.due_ns[number] = 0;
    }
}

/* After a signal is over: its basket may still be worth one. */
static inline void pt_wait_after(pt_core *core, uint64_t basket, uint64_t now_ns) {
    for (uint32_t number = 0; number < core->plan->baskets; number++) {
        if (core->plan->basket[number].id != basket)
            continue;
        uint64_t due_ns = now_ns + pt_pause_ns(core->memory.tries[number]);
        uint64_t cool_ns = core->memory.cooling_until_ns[number];
        pt_wait_until(core, number, due_ns > cool_ns ? due_ns : cool_ns);
        return;
    }
}

static inline void pt_wait_for_all(pt_core *core) {
    for (uint32_t number = 0; number < core->plan->baskets; number++) {
        core->memory.tries[number] = 0;
        pt_wait_until(core, number, 1);
    }
}

/* When the next one is due; UINT64_MAX: none waits. */
static inline uint64_t pt_next_due(const pt_core *core) {
    uint64_t next_ns = UINT64_MAX;
    for (uint32_t place = 0; place < core->waiting; place++) {
        uint64_t due_ns = core->memory.due_ns[core->memory.queue[place]];
        if (due_ns != 0 && due_ns < next_ns)
            next_ns = due_ns;
    }
    return next_ns;
}

#endif
