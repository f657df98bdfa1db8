/* Every operation on a word that another process may be looking at. Nothing else touches them.
 *
 * Used by the Cython modules and by the C harnesses under tests/. All loads and stores of shared
 * words are __atomic builtins with the order written out; payload bytes are moved as relaxed
 * 8-byte atomics, so that the whole file is free of data races in the sense of C11.
 *
 * Where an order matters, both ends carry the same mark, for example "SYNC ring-publish".
 *
 * Crash rule: every update becomes visible by ONE store. A process killed before it has changed
 * nothing that a reader believes; killed after it, the update has happened.
 */
#ifndef POLYTRIO_ATOMICS_H
#define POLYTRIO_ATOMICS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* syscall() */
#endif

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "_layout.h"

_Static_assert(__atomic_always_lock_free(8, 0), "8-byte atomics must be lock-free");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layout is little-endian");

/* --- words ----------------------------------------------------------------------------------
 * The only accesses to shared words in this project. A build that wants to see each of them, or to
 * die at one (tests/proof/), defines PT_STEP before including this file; here it is nothing.
 */
enum pt_step {
    PT_LOAD_ACQUIRE,
    PT_LOAD_RELAXED,
    PT_STORE_RELEASE,
    PT_STORE_RELAXED,
    PT_FENCE_ACQUIRE,
    PT_FENCE_RELEASE,
    PT_FENCE_FULL,
};

#ifndef PT_STEP
#define PT_STEP(step, word, value) ((void)0)
#endif

/* What is copied are records with fields of other types, which C would let the compiler assume
 * apart from 8-byte words. */
typedef uint64_t __attribute__((may_alias)) pt_word;

static inline uint64_t pt_load(const uint64_t *word) {
    uint64_t value = __atomic_load_n((const pt_word *)word, __ATOMIC_ACQUIRE);
    PT_STEP(PT_LOAD_ACQUIRE, word, value);
    return value;
}

static inline uint64_t pt_load_relaxed(const uint64_t *word) {
    uint64_t value = __atomic_load_n((const pt_word *)word, __ATOMIC_RELAXED);
    PT_STEP(PT_LOAD_RELAXED, word, value);
    return value;
}

static inline void pt_store(uint64_t *word, uint64_t value) {
    PT_STEP(PT_STORE_RELEASE, word, value);
    __atomic_store_n((pt_word *)word, value, __ATOMIC_RELEASE);
}

static inline void pt_store_relaxed(uint64_t *word, uint64_t value) {
    PT_STEP(PT_STORE_RELAXED, word, value);
    __atomic_store_n((pt_word *)word, value, __ATOMIC_RELAXED);
}

static inline void pt_fence_acquire(void) {
    PT_STEP(PT_FENCE_ACQUIRE, NULL, 0);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline void pt_fence_release(void) {
    PT_STEP(PT_FENCE_RELEASE, NULL, 0);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void pt_fence_full(void) {
    PT_STEP(PT_FENCE_FULL, NULL, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Counter with one writer: no lock prefix is needed, the load sees our own last store. */
static inline void pt_add(uint64_t *word, uint64_t amount) {
    pt_store_relaxed(word, pt_load_relaxed(word) + amount);
}

/* Payload copies; both pointers 8-byte aligned, bytes a multiple of 8. */
static inline void pt_copy_in(uint64_t *shared, const uint64_t *own, size_t bytes) {
    const pt_word *from = (const pt_word *)own;
    for (size_t i = 0; i < bytes / 8; i++)
        pt_store_relaxed(&shared[i], from[i]);
}

static inline void pt_copy_out(uint64_t *own, const uint64_t *shared, size_t bytes) {
    pt_word *to = (pt_word *)own;
    for (size_t i = 0; i < bytes / 8; i++)
        to[i] = pt_load_relaxed(&shared[i]);
}

static inline void pt_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb"); /* `yield` is a no-op on the cores we would rent */
#endif
}

/* --- fence of a role -------------------------------------------------------------------------
 * A writer remembers the epoch under which it took its role. A successor raises the word before
 * it writes anything; from then on this writer's publications are refused. The lock of the role
 * (shm/roles.py) is what keeps two writers apart; the epoch stops a process that lost its lock
 * without dying, at its next publication. Looked at before the first byte and again before the
 * one store that publishes.
 */
typedef struct {
    const uint64_t *epoch_word; /* NULL: memory that nobody shares */
    uint64_t epoch;
} pt_fence;

static inline bool pt_fenced(const pt_fence *fence) {
    return fence->epoch_word != NULL && pt_load(fence->epoch_word) != fence->epoch;
}

/* Take a role; the caller holds its kernel lock. The epoch comes first: from that store on a
 * predecessor's publications are refused. What follows describes the new holder, for onlookers, who
 * must not trust a pid whose start time does not match. (SYNC role-epoch) */
static inline uint64_t pt_role_take(pt_role_row *row, uint64_t pid, uint64_t start_ticks,
                                    uint64_t now_ns, uint64_t state) {
    uint64_t epoch = pt_load(&row->epoch) + 1;
    pt_store(&row->epoch, epoch);
    pt_store(&row->start_ticks, start_ticks);
    pt_store(&row->pid, pid);
    pt_store(&row->started_ns, now_ns);
    pt_store(&row->adopted_generation, 0);
    pt_store(&row->state, state);
    pt_store(&row->heartbeat_ns, now_ns);
    return epoch;
}

/* --- ring: one producer, one consumer ----------------------------------------------------------
 * Positions are 64-bit and never wrap. Slot p & mask holds message p when its commit word is p+1.
 * producer line:  [write hint][wake count][overflow count]    written by the producer only
 * consumer line:  [read position]                             written by the consumer only
 * waiter line:    [1 while the consumer sleeps]               written by the consumer only
 */
typedef struct {
    uint64_t *write; /* producer line */
    uint64_t *wake;
    uint64_t *overflow;
    uint64_t *read;   /* consumer line */
    uint64_t *waiter; /* waiter line */
    uint8_t *slots;
    size_t stride;
    size_t payload;
    uint64_t mask;
    uint64_t position;   /* our own: next to write, or next to read */
    uint64_t read_cache; /* producer: the consumer was at least here */
} pt_ring;

static inline uint64_t *pt_ring_slot(const pt_ring *ring, uint64_t position) {
    return (uint64_t *)(ring->slots + (position & ring->mask) * ring->stride);
}

static inline void pt_ring_map(pt_ring *ring, uint8_t *base, size_t stride, uint64_t capacity) {
    ring->write = (uint64_t *)base;
    ring->wake = ring->write + 1;
    ring->overflow = ring->write + 2;
    ring->read = (uint64_t *)(base + PT_RING_READ_OFFSET);
    ring->waiter = (uint64_t *)(base + PT_RING_WAITER_OFFSET);
    ring->slots = base + PT_RING_SLOTS_OFFSET;
    ring->stride = stride;
    ring->payload = stride - PT_COMMIT_BYTES;
    ring->mask = capacity - 1;
    ring->position = 0;
    ring->read_cache = 0;
}

/* A producer starts (or starts again): its predecessor may have been killed after committing a
 * slot and before moving the hint. Rolling forward over committed slots makes the hint exact; a
 * producer that reused such a slot would change a message under the reader's eyes. */
static inline void pt_ring_open_producer(pt_ring *ring) {
    uint64_t position = pt_load(ring->write);
    while (pt_load(pt_ring_slot(ring, position)) == position + 1)
        position++;
    pt_store(ring->write, position);
    ring->position = position;
    ring->read_cache = pt_load(ring->read);
}

/* A consumer starts (or starts again) at the last released position. A message that was taken and
 * not released when it died is delivered once more, so consumers drop what they have handled; one
 * that was released and not handled is gone, so a restarted consumer reads the tables afresh. */
static inline void pt_ring_open_consumer(pt_ring *ring) {
    ring->position = pt_load(ring->read);
    pt_store(ring->waiter, 0); /* a predecessor may have died in its sleep */
}

enum { PT_OK = 0, PT_FULL = 1, PT_FENCED = 2 };

static inline int pt_ring_push(pt_ring *ring, const pt_fence *fence, const uint64_t *payload) {
    uint64_t position = ring->position;
    if (position - ring->read_cache > ring->mask) {
        ring->read_cache = pt_load(ring->read); /* SYNC ring-release: the slot is ours again */
        if (position - ring->read_cache > ring->mask) {
            pt_add(ring->overflow, 1);
            return PT_FULL;
        }
    }
    if (pt_fenced(fence))
        return PT_FENCED;
    uint64_t *slot = pt_ring_slot(ring, position);
    pt_fence_release(); /* SYNC ring-peek: hint before the bytes it warns of */
    pt_copy_in(slot + 1, payload, ring->payload);
    if (pt_fenced(fence))
        return PT_FENCED;
    pt_store(slot, position + 1); /* SYNC ring-publish: payload before commit word */
    ring->position = position + 1;
    pt_store_relaxed(ring->write, position + 1); /* a hint, see open */
    return PT_OK;
}

/* Publishes up to `count` payloads that lie one after the other, oldest first, and returns how many
 * found room; *outcome says why it stopped. In order on purpose: publishing later slots first would
 * let the consumer see the batch at once, and leave committed slots beyond a hole if we died. */
static inline size_t pt_ring_push_many(pt_ring *ring, const pt_fence *fence,
                                       const uint64_t *payloads, size_t count, int *outcome) {
    size_t pushed = 0;
    *outcome = PT_OK;
    while (pushed < count) {
        *outcome = pt_ring_push(ring, fence, payloads + pushed * (ring->payload / 8));
        if (*outcome != PT_OK)
            break;
        pushed++;
    }
    return pushed;
}

/* Wakes a sleeping consumer. The full fence pairs with the one in pt_ring_wait: without both, the
 * consumer can miss the commit word while we miss its flag, even on x86. (SYNC ring-sleep) */
static inline void pt_ring_wake(pt_ring *ring) {
    pt_fence_full();
    if (pt_load_relaxed(ring->waiter) == 0)
        return;
    pt_store(ring->wake, pt_load_relaxed(ring->wake) + 1);
    /* Not the PRIVATE flag: the sleeper is another process. */
    syscall(SYS_futex, (uint32_t *)ring->wake, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static inline bool pt_ring_ready(const pt_ring *ring) {
    /* SYNC ring-publish: seeing the commit word shows the payload behind it */
    return pt_load(pt_ring_slot(ring, ring->position)) == ring->position + 1;
}

static inline bool pt_ring_pop(pt_ring *ring, uint64_t *payload) {
    if (!pt_ring_ready(ring))
        return false;
    pt_copy_out(payload, pt_ring_slot(ring, ring->position) + 1, ring->payload);
    ring->position++;
    pt_store(ring->read, ring->position); /* SYNC ring-release: copied before it is given back */
    return true;
}

/* Takes up to `most` messages and gives their slots back at once. A consumer killed before that gets
 * all of them again, where `pt_ring_pop` repeats one: the price of touching its line less often. */
static inline size_t pt_ring_pop_many(pt_ring *ring, uint64_t *payloads, size_t most) {
    size_t taken = 0;
    while (taken < most && pt_ring_ready(ring)) {
        pt_copy_out(payloads + taken * (ring->payload / 8),
                    pt_ring_slot(ring, ring->position) + 1, ring->payload);
        ring->position++;
        taken++;
    }
    if (taken != 0)
        pt_store(ring->read, ring->position); /* SYNC ring-release */
    return taken;
}

/* Spins `spins` times, then sleeps until woken or `timeout_ns` has passed. True if a message is
 * there. Bounded, so that the caller returns to its loop and sees signals and switches. */
static inline bool pt_ring_wait(pt_ring *ring, uint64_t spins, uint64_t timeout_ns) {
    for (uint64_t i = 0; i <= spins; i++) {
        if (pt_ring_ready(ring))
            return true;
        pt_relax();
    }
    if (timeout_ns == 0)
        return false;
    uint32_t expected = (uint32_t)pt_load(ring->wake);
    pt_store(ring->waiter, 1);
    pt_fence_full(); /* SYNC ring-sleep: flag before the last look */
    if (!pt_ring_ready(ring)) {
        struct timespec timeout = {
            .tv_sec = (time_t)(timeout_ns / 1000000000u),
            .tv_nsec = (long)(timeout_ns % 1000000000u),
        };
        syscall(SYS_futex, (uint32_t *)ring->wake, FUTEX_WAIT, expected, &timeout, NULL, 0);
    }
    pt_store(ring->waiter, 0);
    return pt_ring_ready(ring);
}

/* A passer-by without a position of its own copies message `position` if it is still there. */
static inline bool pt_ring_peek(const pt_ring *ring, uint64_t position, uint64_t *payload) {
    const uint64_t *slot = pt_ring_slot(ring, position);
    if (pt_load(slot) != position + 1)
        return false;
    pt_copy_out(payload, slot + 1, ring->payload);
    /* SYNC ring-peek: the producer touches this slot again only after its hint has come round. */
    pt_fence_acquire();
    return pt_load_relaxed(ring->write) <= position + ring->mask;
}

/* --- latch: one writer, any readers -------------------------------------------------------------
 * [sequence][pad to a line][copy 0][copy 1]. sequence & 1 is the copy that readers use; the writer
 * fills the other one and then raises the sequence. A writer killed in between has spoilt only the
 * copy that nobody reads: no repair, no waiting.
 */
static inline uint64_t *pt_latch_copy(uint64_t *row, size_t copy_bytes, uint64_t sequence) {
    return (uint64_t *)((uint8_t *)row + PT_LATCH_HEAD_BYTES + (sequence & 1) * copy_bytes);
}

static inline int pt_latch_write(uint64_t *row, size_t copy_bytes, const pt_fence *fence,
                                 const uint64_t *payload) {
    if (pt_fenced(fence))
        return PT_FENCED;
    uint64_t sequence = pt_load_relaxed(row); /* ours alone */
    /* SYNC latch-reuse: the last publication must be visible before its old copy is spoilt. */
    pt_fence_release();
    pt_copy_in(pt_latch_copy(row, copy_bytes, sequence + 1), payload, copy_bytes);
    if (pt_fenced(fence))
        return PT_FENCED;
    pt_store(row, sequence + 1); /* SYNC latch-publish: copy before sequence */
    return PT_OK;
}

#define PT_LATCH_TRIES 64

/* The sequence that was read, or UINT64_MAX if the writer was faster PT_LATCH_TRIES times. */
static inline uint64_t pt_latch_read(const uint64_t *row, size_t copy_bytes, uint64_t *payload) {
    for (int i = 0; i < PT_LATCH_TRIES; i++) {
        uint64_t sequence = pt_load(row); /* SYNC latch-publish */
        pt_copy_out(payload, pt_latch_copy((uint64_t *)row, copy_bytes, sequence), copy_bytes);
        /* SYNC latch-reuse: a fence, not a second acquire load, keeps the copy before the check */
        pt_fence_acquire();
        if (pt_load_relaxed(row) == sequence)
            return sequence;
        pt_relax();
    }
    return UINT64_MAX;
}

/* --- dirty bits -----------------------------------------------------------------------------
 * A market is dirty while its bits differ in the two copies. The marker owns `marks`, the taker
 * owns `seen`. Marker: publish the book, full fence, look at `seen`, flip if equal. Taker: copy
 * marks into `seen`, full fence, then read the books. Whichever comes second sees the other:
 * either the taker reads the new book, or the marker sees the taken bit and flips again.
 * (SYNC dirty on both sides.)
 */
static inline int pt_dirty_mark(uint64_t *marks, const uint64_t *seen, const pt_fence *fence,
                                uint64_t index) {
    if (pt_fenced(fence))
        return PT_FENCED;
    uint64_t bit = (uint64_t)1 << (index % 64);
    uint64_t *word = &marks[index / 64];
    pt_fence_full(); /* SYNC dirty */
    uint64_t mine = pt_load_relaxed(word);
    if (((mine ^ pt_load_relaxed(&seen[index / 64])) & bit) == 0)
        pt_store(word, mine ^ bit);
    return PT_OK;
}

/* The dirty bits of one word, which are clean afterwards. */
static inline uint64_t pt_dirty_take(const uint64_t *marks, uint64_t *seen, size_t word) {
    uint64_t now = pt_load(&marks[word]);
    uint64_t dirty = now ^ pt_load_relaxed(&seen[word]);
    if (dirty != 0) {
        pt_store(&seen[word], now);
        pt_fence_full(); /* SYNC dirty */
    }
    return dirty;
}

/* --- histogram --------------------------------------------------------------------------------
 * Values below 32 have a bucket each; above, 32 buckets a power of two. Same formula in
 * shm/histogram.py.
 */
static inline size_t pt_bucket_of(uint64_t value) {
    if (value < 32)
        return (size_t)value;
    unsigned shift = 58u - (unsigned)__builtin_clzll(value);
    size_t bucket = ((size_t)(shift + 1) << 5) + (size_t)((value >> shift) - 32);
    return bucket < PT_HISTOGRAM_BUCKETS ? bucket : PT_HISTOGRAM_BUCKETS - 1;
}

static inline void pt_histogram_add(pt_histogram *histogram, uint64_t value) {
    pt_add(&histogram->bucket[pt_bucket_of(value)], 1);
    if (value > pt_load_relaxed(&histogram->max_ns))
        pt_store_relaxed(&histogram->max_ns, value);
}

#endif
