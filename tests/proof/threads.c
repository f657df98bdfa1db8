/* Stress over shm/atomics.h by threads, for sanitizers, for another processor, and as it is.
 *
 *     threads MODE COUNT
 *
 *     ring    a producer and a consumer, COUNT messages, each whole and in its turn
 *     latch   a writer and two readers, COUNT writes: every read is whole and none goes back
 *     dirty   COUNT books written and marked: whoever takes the marks ends with the last of each
 *     sleep   COUNT messages to a consumer that sleeps before each: every one wakes it
 *     peek    the ring, and an onlooker who may miss messages and never sees a wrong one
 *
 * Exit code 0 and one line if all was as it must be, 1 and the reason if not.
 *
 * ThreadSanitizer sees no data race in shm/atomics.h whatever the orders are, because every access
 * there is atomic. So that it has something to see, the threads here also hand on a plain word with
 * each message (`witness`): it may be touched only if the ring, or the latch, really ordered the two
 * threads by its acquire loads and release stores. Fences it does not model: what rests on them alone
 * (the reuse of a latch's copy, peeking, sleeping, the dirty bits) runs here for its results, and is
 * proven in tests/proof/test_ordering.py.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "atomics.h"
#include "planted.h"

#if defined(PLANT_PUSH_RELAXED)
#define RING_PUSH planted_push_relaxed
#else
#define RING_PUSH pt_ring_push
#endif
#if defined(PLANT_WAKE_PRIVATE)
#define RING_WAKE planted_wake_private
#else
#define RING_WAKE pt_ring_wake
#endif
#if defined(PLANT_POP_RELAXED)
#define RING_POP planted_pop_relaxed
#else
#define RING_POP pt_ring_pop
#endif
#if defined(PLANT_LATCH_RELAXED)
#define LATCH_WRITE planted_latch_relaxed
#elif defined(PLANT_LATCH_PLAIN)
#define LATCH_WRITE planted_latch_plain
#else
#define LATCH_WRITE pt_latch_write
#endif
#if defined(PLANT_SHORT)
#define MISSING LINE
#else
#define MISSING 0
#endif
#if defined(PLANT_MARK_WIDE)
#define DIRTY_MARK planted_mark_wide
#else
#define DIRTY_MARK pt_dirty_mark
#endif

enum {
    CAPACITY = 8,
    STRIDE = 64,
    MESSAGE = STRIDE - PT_COMMIT_BYTES,
    COPY = 448,
    ROWS = 100,
    LINE = 128,
    WITNESSES = 2 * CAPACITY,
};
#define PATIENCE_NS 20000000000u

static uint64_t count;
static uint64_t epoch_word = 7;
static const pt_fence fence = {&epoch_word, 7};
static uint8_t *memory;
static uint64_t *witness;
static uint64_t finished;

static _Noreturn void wrong(const char *what, uint64_t number) {
    fprintf(stderr, "WRONG: %s at %" PRIu64 "\n", what, number);
    _exit(1);
}

static uint64_t expected(uint64_t number, size_t word) {
    return (number << 16 | word) * 0x9E3779B97F4A7C15u;
}

static void fill(uint64_t *payload, size_t bytes, uint64_t number) {
    payload[0] = number;
    for (size_t i = 1; i < bytes / 8; i++)
        payload[i] = expected(number, i);
}

/* The number of a whole payload; anything else ends the run. */
static uint64_t whole(const uint64_t *payload, size_t bytes, const char *where) {
    for (size_t i = 1; i < bytes / 8; i++)
        if (payload[i] != (payload[0] == 0 ? 0 : expected(payload[0], i)))
            wrong(where, payload[0]);
    return payload[0];
}

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *zeroed(size_t bytes) {
    size_t rounded = (bytes + LINE - 1) / LINE * LINE;
    void *block = aligned_alloc(LINE, rounded);
    if (block == NULL)
        wrong("no memory", rounded);
    return memset(block, 0, rounded);
}

/* --- ring, peek, sleep -------------------------------------------------------------------------
 * Message p has number p + 1. Its witness is written before the push and read between readiness and
 * pop. There are twice as many as slots, so that the successful push before this one already proves
 * (by the ring's own acquire load) that the consumer is done with the witness we reuse.
 */
static void map_ring(pt_ring *ring) {
    pt_ring_map(ring, memory, STRIDE, CAPACITY);
}

static void produce_one(pt_ring *ring, uint64_t position) {
    uint64_t payload[MESSAGE / 8];
    fill(payload, MESSAGE, position + 1);
    witness[position % WITNESSES] = position;
    while (RING_PUSH(ring, &fence, payload) == PT_FULL)
        sched_yield();
    RING_WAKE(ring);
}

static void consume_one(pt_ring *ring, uint64_t position) {
    uint64_t payload[MESSAGE / 8];
    if (witness[position % WITNESSES] != position)
        wrong("a message came before what was written ahead of it", position);
    if (!RING_POP(ring, payload))
        wrong("a message that was ready cannot be taken", position);
    if (whole(payload, MESSAGE, "a torn message") != position + 1)
        wrong("a message out of its turn", position);
}

static void *producer(void *unused) {
    pt_ring ring;
    map_ring(&ring);
    pt_ring_open_producer(&ring);
    for (uint64_t position = 0; position < count; position++)
        produce_one(&ring, position);
    return unused;
}

static void *consumer(void *unused) {
    pt_ring ring;
    map_ring(&ring);
    pt_ring_open_consumer(&ring);
    for (uint64_t position = 0; position < count; position++) {
        while (!pt_ring_ready(&ring))
            sched_yield();
        consume_one(&ring, position);
    }
    pt_store(&finished, 1);
    return unused;
}

static void *onlooker(void *unused) {
    pt_ring ring;
    uint64_t payload[MESSAGE / 8], seen = 0;
    map_ring(&ring);
    while (pt_load(&finished) == 0) {
        uint64_t written = pt_load(ring.write);
        for (uint64_t back = 0; back <= CAPACITY + 1 && back <= written; back++) {
            if (!pt_ring_peek(&ring, written - back, payload))
                continue;
            seen++;
            if (whole(payload, MESSAGE, "an onlooker saw a torn message") != written - back + 1)
                wrong("an onlooker saw another message", written - back);
        }
        sched_yield();
    }
    if (seen == 0)
        wrong("the onlooker saw nothing", count);
    return unused;
}

/* Waits for the consumer after each message, so that it falls asleep before each. */
static void *waker(void *unused) {
    pt_ring ring;
    map_ring(&ring);
    pt_ring_open_producer(&ring);
    for (uint64_t position = 0; position < count; position++) {
        while (pt_load(ring.read) != position)
            sched_yield();
        produce_one(&ring, position);
    }
    return unused;
}

static void *sleeper(void *unused) {
    pt_ring ring;
    map_ring(&ring);
    pt_ring_open_consumer(&ring);
    for (uint64_t position = 0; position < count; position++) {
        uint64_t began_ns = clock_ns();
        while (!pt_ring_wait(&ring, position % 3, PATIENCE_NS))
            if (clock_ns() - began_ns > PATIENCE_NS)
                wrong("nothing came", position);
        /* With a message there, the wait ends true even if only its timeout ended it. */
        if (clock_ns() - began_ns > PATIENCE_NS / 2)
            wrong("a wake-up was lost", position);
        consume_one(&ring, position);
    }
    return unused;
}

/* --- latch ------------------------------------------------------------------------------------
 * Version v has number v, and its witness is a plain word of its own, written before it. */
static void *latch_writer(void *unused) {
    uint64_t payload[COPY / 8];
    for (uint64_t version = 1; version <= count; version++) {
        fill(payload, COPY, version);
        witness[version] = version;
        if (LATCH_WRITE((uint64_t *)memory, COPY, &fence, payload) != PT_OK)
            wrong("a write was refused", version);
        if (version % 64 == 0)
            sched_yield();
    }
    return unused;
}

static void *latch_reader(void *unused) {
    uint64_t payload[COPY / 8], last = 0, reads = 0;
    while (last < count) {
        uint64_t version = pt_latch_read((const uint64_t *)memory, COPY, payload);
        if (version == UINT64_MAX)
            continue;
        if (whole(payload, COPY, "a mixture of two rows") != version || version < last)
            wrong("a row that does not belong to its version", version);
        if (version != 0 && witness[version] != version)
            wrong("a row came before what was written ahead of it", version);
        last = version;
        reads++;
    }
    if (reads == 0)
        wrong("no row was read", count);
    return unused;
}

/* --- dirty bits ----------------------------------------------------------------------------- */
static uint64_t *book(size_t index) {
    return (uint64_t *)(memory + index * (PT_LATCH_HEAD_BYTES + 2 * MESSAGE));
}

static uint64_t marks[PT_DIRTY_WORDS], taken[PT_DIRTY_WORDS];
static uint64_t last_written[ROWS], last_seen[ROWS];

static void *marker(void *unused) {
    uint64_t payload[MESSAGE / 8], chance = 1;
    for (uint64_t number = 1; number <= count; number++) {
        chance = chance * 6364136223846793005u + 1442695040888963407u;
        size_t index = (size_t)(chance >> 33) % ROWS;
        fill(payload, MESSAGE, number);
        if (pt_latch_write(book(index), MESSAGE, &fence, payload) != PT_OK ||
            DIRTY_MARK(marks, taken, &fence, index) != PT_OK)
            wrong("a mark was refused", number);
        last_written[index] = number;
    }
    pt_store(&finished, 1);
    return unused;
}

static uint64_t look_at_dirty(void) {
    uint64_t payload[MESSAGE / 8], looked = 0;
    for (size_t word = 0; word < PT_DIRTY_WORDS; word++) {
        uint64_t dirty = pt_dirty_take(marks, taken, word);
        for (; dirty != 0; dirty &= dirty - 1) {
            size_t index = 64 * word + (size_t)__builtin_ctzll(dirty);
            while (pt_latch_read(book(index), MESSAGE, payload) == UINT64_MAX)
                sched_yield();
            last_seen[index] = whole(payload, MESSAGE, "a torn book");
            looked++;
        }
    }
    return looked;
}

static void *taker(void *unused) {
    while (pt_load(&finished) == 0)
        if (look_at_dirty() == 0)
            sched_yield();
    look_at_dirty();
    for (size_t index = 0; index < ROWS; index++)
        if (last_seen[index] != last_written[index])
            wrong("the last mark of a book was lost", index);
    return unused;
}

/* --- runs --------------------------------------------------------------------------------------*/
typedef void *(*thread_body)(void *);

static const struct mode {
    const char *name;
    thread_body body[3];
} MODES[] = {
    {"ring", {producer, consumer, NULL}},
    {"latch", {latch_writer, latch_reader, latch_reader}},
    {"dirty", {marker, taker, NULL}},
    {"sleep", {waker, sleeper, NULL}},
    {"peek", {producer, consumer, onlooker}},
};

static void run(const struct mode *mode) {
    pthread_t thread[3];
    for (int i = 0; i < 3 && mode->body[i] != NULL; i++)
        if (pthread_create(&thread[i], NULL, mode->body[i], NULL) != 0)
            wrong("no thread", (uint64_t)i);
    for (int i = 0; i < 3 && mode->body[i] != NULL; i++)
        pthread_join(thread[i], NULL);
}

int main(int words, char **word) {
    count = words == 3 ? strtoull(word[2], NULL, 10) : 0;
    for (size_t i = 0; i < sizeof MODES / sizeof *MODES && count != 0; i++) {
        if (strcmp(MODES[i].name, word[1]) != 0)
            continue;
        size_t ring = PT_RING_SLOTS_OFFSET + STRIDE * CAPACITY;
        size_t rows = ROWS * (PT_LATCH_HEAD_BYTES + 2 * MESSAGE);
        size_t latch = PT_LATCH_HEAD_BYTES + 2 * COPY;
        size_t bytes = MODES[i].body[0] == marker         ? rows
                       : MODES[i].body[0] == latch_writer ? latch
                                                          : ring;
        memory = zeroed(bytes - MISSING);
        witness = zeroed(8 * (count + WITNESSES));
        run(&MODES[i]);
        free(memory);
        free(witness);
        printf("%s: %" PRIu64 " as they must be\n", word[1], count);
        return 0;
    }
    fprintf(stderr, "usage: threads ring|latch|dirty|sleep|peek COUNT\n");
    return 2;
}
