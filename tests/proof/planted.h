/* Operations of shm/atomics.h with one mistake each, for the tests that must catch them.
 *
 * Each is the original with a step moved, weakened or left out; what is wrong is said above it.
 * Included after atomics.h. Nothing but tests/proof/ ever compiles this.
 */
#ifndef POLYTRIO_PLANTED_H
#define POLYTRIO_PLANTED_H

#include "atomics.h"

/* The commit word goes first: a reader believes in bytes that are not there yet. */
static inline int planted_push_commit_first(pt_ring *ring, const pt_fence *fence,
                                            const uint64_t *payload) {
    (void)fence;
    uint64_t position = ring->position;
    uint64_t *slot = pt_ring_slot(ring, position);
    pt_store(slot, position + 1);
    pt_copy_in(slot + 1, payload, ring->payload);
    ring->position = position + 1;
    pt_store_relaxed(ring->write, position + 1);
    return PT_OK;
}

/* The slot is given back before it has been copied: whoever dies in between has lost a message. */
static inline bool planted_pop_release_first(pt_ring *ring, uint64_t *payload) {
    if (!pt_ring_ready(ring))
        return false;
    pt_store(ring->read, ring->position + 1);
    pt_copy_out(payload, pt_ring_slot(ring, ring->position) + 1, ring->payload);
    ring->position++;
    return true;
}

/* Readers are sent to the new copy before it is there. */
static inline int planted_latch_publish_first(uint64_t *row, size_t copy_bytes,
                                              const pt_fence *fence, const uint64_t *payload) {
    (void)fence;
    uint64_t sequence = pt_load_relaxed(row);
    pt_store(row, sequence + 1);
    pt_copy_in(pt_latch_copy(row, copy_bytes, sequence + 1), payload, copy_bytes);
    return PT_OK;
}

/* Flips without looking: the successor's mark takes back the mark of the dead. */
static inline int planted_mark_blindly(uint64_t *marks, const uint64_t *seen,
                                       const pt_fence *fence, uint64_t index) {
    (void)fence;
    (void)seen;
    uint64_t *word = &marks[index / 64];
    pt_store(word, pt_load_relaxed(word) ^ (uint64_t)1 << (index % 64));
    return PT_OK;
}

/* Describes the new holder before its predecessor is fenced. */
static inline uint64_t planted_role_epoch_last(pt_role_row *row, uint64_t pid,
                                               uint64_t start_ticks, uint64_t now_ns,
                                               uint64_t state) {
    uint64_t epoch = pt_load(&row->epoch) + 1;
    pt_store(&row->start_ticks, start_ticks);
    pt_store(&row->pid, pid);
    pt_store(&row->started_ns, now_ns);
    pt_store(&row->adopted_generation, 0);
    pt_store(&row->state, state);
    pt_store(&row->heartbeat_ns, now_ns);
    pt_store(&row->epoch, epoch);
    return epoch;
}

/* --- for the thread harness: orders that are too weak --------------------------------------- */

/* The commit word is a relaxed store: the payload may arrive after it. */
static inline int planted_push_relaxed(pt_ring *ring, const pt_fence *fence,
                                       const uint64_t *payload) {
    (void)fence;
    uint64_t position = ring->position;
    if (position - pt_load(ring->read) > ring->mask)
        return PT_FULL;
    uint64_t *slot = pt_ring_slot(ring, position);
    pt_copy_in(slot + 1, payload, ring->payload);
    pt_store_relaxed(slot, position + 1);
    ring->position = position + 1;
    pt_store_relaxed(ring->write, position + 1);
    return PT_OK;
}

/* The slot is given back by a relaxed store: its next message may arrive before we have read. */
static inline bool planted_pop_relaxed(pt_ring *ring, uint64_t *payload) {
    if (!pt_ring_ready(ring))
        return false;
    pt_copy_out(payload, pt_ring_slot(ring, ring->position) + 1, ring->payload);
    ring->position++;
    pt_store_relaxed(ring->read, ring->position);
    return true;
}

/* The sequence is raised by a relaxed store: readers may be sent to an old copy. */
static inline int planted_latch_relaxed(uint64_t *row, size_t copy_bytes, const pt_fence *fence,
                                        const uint64_t *payload) {
    (void)fence;
    uint64_t sequence = pt_load_relaxed(row);
    pt_fence_release();
    pt_copy_in(pt_latch_copy(row, copy_bytes, sequence + 1), payload, copy_bytes);
    pt_store_relaxed(row, sequence + 1);
    return PT_OK;
}

/* The copy is filled by plain stores while a reader may still be at it: a data race. */
static inline int planted_latch_plain(uint64_t *row, size_t copy_bytes, const pt_fence *fence,
                                      const uint64_t *payload) {
    (void)fence;
    uint64_t sequence = pt_load_relaxed(row);
    pt_fence_release();
    /* volatile, so that the compiler cannot make one memcpy of it, which TSan would not see. */
    volatile uint64_t *copy = pt_latch_copy(row, copy_bytes, sequence + 1);
    for (size_t i = 0; i < copy_bytes / 8; i++)
        copy[i] = payload[i];
    pt_store(row, sequence + 1);
    return PT_OK;
}

/* The bit of the whole index instead of that in its word: undefined from 64 on. */
static inline int planted_mark_wide(uint64_t *marks, const uint64_t *seen, const pt_fence *fence,
                                    uint64_t index) {
    (void)fence;
    uint64_t bit = (uint64_t)1 << index;
    uint64_t *word = &marks[index / 64];
    pt_fence_full();
    uint64_t mine = pt_load_relaxed(word);
    if (((mine ^ pt_load_relaxed(&seen[index / 64])) & bit) == 0)
        pt_store(word, mine ^ bit);
    return PT_OK;
}

/* Wakes sleepers of its own process only: the kernel looks for others under another key. */
static inline void planted_wake_private(pt_ring *ring) {
    pt_fence_full();
    if (pt_load_relaxed(ring->waiter) == 0)
        return;
    pt_store(ring->wake, pt_load_relaxed(ring->wake) + 1);
    syscall(SYS_futex, (uint32_t *)ring->wake, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#endif
