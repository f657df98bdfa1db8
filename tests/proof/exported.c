/* The operations of shm/atomics.h as functions one can find in a disassembly: one each, no inlining.
 *
 * Compiled to an object for aarch64 and never run; test_aarch64.py reads what became of the orders.
 */
#include "atomics.h"

enum { STRIDE = 64, COPY = 64 };

uint64_t one_load(const uint64_t *word) { return pt_load(word); }

uint64_t one_relaxed_load(const uint64_t *word) { return pt_load_relaxed(word); }

void one_store(uint64_t *word, uint64_t value) { pt_store(word, value); }

void one_relaxed_store(uint64_t *word, uint64_t value) { pt_store_relaxed(word, value); }

void one_acquire_fence(void) { pt_fence_acquire(); }

void one_release_fence(void) { pt_fence_release(); }

void one_full_fence(void) { pt_fence_full(); }

void one_relax(void) { pt_relax(); }

int ring_push(pt_ring *ring, const pt_fence *fence, const uint64_t *payload) {
    return pt_ring_push(ring, fence, payload);
}

void ring_wake(pt_ring *ring) { pt_ring_wake(ring); }

bool ring_pop(pt_ring *ring, uint64_t *payload) { return pt_ring_pop(ring, payload); }

bool ring_peek(const pt_ring *ring, uint64_t position, uint64_t *payload) {
    return pt_ring_peek(ring, position, payload);
}

int latch_write(uint64_t *row, const pt_fence *fence, const uint64_t *payload) {
    return pt_latch_write(row, COPY, fence, payload);
}

uint64_t latch_read(const uint64_t *row, uint64_t *payload) {
    return pt_latch_read(row, COPY, payload);
}

int dirty_mark(uint64_t *marks, const uint64_t *seen, const pt_fence *fence, uint64_t index) {
    return pt_dirty_mark(marks, seen, fence, index);
}

uint64_t dirty_take(const uint64_t *marks, uint64_t *seen, size_t word) {
    return pt_dirty_take(marks, seen, word);
}
