/* What the deciding core was given and what it said, for the shadow (engine/shadow.py) to repeat.
 *
 * The core writes beside its work and never waits: when there is no room the tape is lost, and
 * nothing more is written until the two have been brought to the same state again. What was said
 * comes before what was given, so that a reader who sees the latter has all of it.
 */
#ifndef POLYTRIO_TAPE_H
#define POLYTRIO_TAPE_H

#include "state.h"

static inline bool pt_taping(const pt_core *core) {
    return core->tape != NULL && !core->tape->lost;
}

/* Room for one entry, its head filled; NULL: not taping, or no room. */
static inline pt_entry *pt_tape_room(pt_core *core, uint32_t kind, uint32_t number,
                                     uint64_t now_ns) {
    pt_tape *tape = core->tape;
    if (!pt_taping(core))
        return NULL;
    if (tape->written - pt_load(&tape->read) == PT_TAPE_ENTRIES) {
        tape->lost = true;
        return NULL;
    }
    pt_entry *entry = &tape->entry[tape->written % PT_TAPE_ENTRIES];
    entry->kind = kind;
    entry->number = number;
    entry->now_ns = now_ns;
    entry->heartbeat_ns = core->heartbeat_ns;
    entry->trading = core->trading;
    entry->detail = 0;
    return entry;
}

static inline void pt_tape_done(pt_core *core) {
    pt_store(&core->tape->written, core->tape->written + 1);
}

static inline void pt_tape_plain(pt_core *core, uint32_t kind, uint64_t now_ns) {
    if (pt_tape_room(core, kind, 0, now_ns) != NULL)
        pt_tape_done(core);
}

static inline void pt_tape_verdict(pt_core *core, uint32_t number, int verdict, uint64_t now_ns) {
    pt_entry *entry = pt_tape_room(core, PT_TAPE_VERDICT, number, now_ns);
    if (entry == NULL)
        return;
    entry->detail = (uint64_t)verdict;
    if (verdict == PT_VERDICT_SIGNALLED)
        entry->body.signal = core->last_signal;
    pt_tape_done(core);
}

static inline void pt_tape_update(pt_core *core, const pt_update *update, uint64_t now_ns,
                                  bool read) {
    uint32_t row = update->market;
    if (core->tape != NULL && core->tape->lost)
        core->tape->skipped++;
    pt_entry *entry = pt_tape_room(core, PT_TAPE_UPDATE, row, now_ns);
    if (entry == NULL)
        return;
    entry->update = *update;
    if (read && row < PT_MARKETS_MAX) {
        entry->detail = core->seen[row].version;
        entry->body.book = core->seen[row].book;
    } else {
        entry->detail = read ? 0 : UINT64_MAX;
    }
    pt_tape_done(core);
}

static inline void pt_tape_report(pt_core *core, const pt_report *report, uint64_t now_ns) {
    pt_entry *entry = pt_tape_room(core, PT_TAPE_REPORT, 0, now_ns);
    if (entry == NULL)
        return;
    entry->body.report = *report;
    pt_tape_done(core);
}

#endif
