/* Two pinned processes and the operations of shm/atomics.h, timed: hops, latches, streams.
 *
 *     ipc hop    CORE CORE ROUNDS PINGS PACE_NS
 *     ipc latch  CORE CORE ROUNDS READS
 *     ipc stream CORE CORE ROUNDS MESSAGES
 *
 * One line a row and round: name, then p50, p99 and maximum in nanoseconds, then how many samples.
 * Rows alternate within a round, so that what the machine does meets all of them alike.
 */
#include "atomics.h"
#include "timed.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { TOGETHER = 32, WARM = 2000, WORDS_MAX = 2048 };

static uint8_t *shared(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE,
                        -1, 0);
    require(memory != MAP_FAILED, "mmap");
    return memory;
}

/* Samples are sums of `parts` equal parts. */
static void say(const char *name, uint64_t *samples, size_t count, double parts) {
    qsort(samples, count, sizeof *samples, ascending);
    printf("%s %.2f %.2f %.2f %zu\n", name, (double)samples[count / 2] / parts,
           (double)samples[count * 99 / 100] / parts, (double)samples[count - 1] / parts, count);
    fflush(stdout);
}

/* --- hops ---------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    uint64_t lines; /* of the bare word: it walks over so many; 0 for a ring */
    size_t stride;
    uint64_t capacity;
    bool wake; /* also looks whether the consumer sleeps, as a pipeline that may sleep does */
} pt_shape;

static const pt_shape SHAPES[] = {
    {"word", 1, 64, 0, false},
    {"word-1024-lines", 1024, 64, 0, false},
    {"ring-64x128", 0, 64, 128, false},
    {"ring-64x128-wake", 0, 64, 128, true},
    {"ring-updates", 0, sizeof(pt_update) + 8, 1024, false},
    {"ring-signals", 0, sizeof(pt_signal) + 8, 64, false},
};

typedef struct {
    const pt_shape *shape;
    pt_ring out, in;
    uint64_t *word_out, *word_in;
    uint64_t sent, got;
    pt_fence fence;
    uint64_t buffer[WORDS_MAX];
} pt_end;

static size_t side_bytes(const pt_shape *shape) {
    size_t bytes = shape->lines ? shape->lines * 64
                                : PT_RING_SLOTS_OFFSET + shape->stride * shape->capacity;
    return (bytes + 4095) / 4096 * 4096;
}

static void open_end(pt_end *end, const pt_shape *shape, uint8_t *memory, bool echo) {
    uint8_t *there = memory + 4096, *back = there + side_bytes(shape);
    uint8_t *out = echo ? back : there, *in = echo ? there : back;
    memset(end, 0, sizeof *end);
    end->shape = shape;
    end->fence = (pt_fence){(uint64_t *)memory, 0};
    end->word_out = (uint64_t *)out;
    end->word_in = (uint64_t *)in;
    if (shape->lines)
        return;
    pt_ring_map(&end->out, out, shape->stride, shape->capacity);
    pt_ring_map(&end->in, in, shape->stride, shape->capacity);
    pt_ring_open_producer(&end->out);
    pt_ring_open_consumer(&end->in);
}

static inline void put(pt_end *end) {
    end->sent++;
    if (end->shape->lines) {
        uint64_t line = end->sent & (end->shape->lines - 1);
        __atomic_store_n(end->word_out + 8 * line, end->sent, __ATOMIC_RELEASE);
        return;
    }
    end->buffer[0] = end->sent;
    while (pt_ring_push(&end->out, &end->fence, end->buffer) != PT_OK)
        ;
    if (end->shape->wake)
        pt_ring_wake(&end->out);
}

static inline void take(pt_end *end) {
    end->got++;
    if (end->shape->lines) {
        const uint64_t *word = end->word_in + 8 * (end->got & (end->shape->lines - 1));
        while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != end->got)
            ;
        return;
    }
    while (!pt_ring_pop(&end->in, end->buffer))
        ;
    if (end->buffer[0] != end->got)
        abort();
}

/* Pings as fast as they go: no clock between them, batches of TOGETHER. */
static void back_to_back(pt_end *end, uint64_t *samples, size_t count) {
    uint64_t before = now_ns();
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < TOGETHER; k++) {
            put(end);
            take(end);
        }
        uint64_t after = now_ns();
        samples[i] = after - before;
        before = after;
    }
}

/* Pings at a fixed pace, each timed from the moment at which it was due: a stall is felt by all that
 * it delays, not by one. */
static void paced(pt_end *end, uint64_t *samples, size_t count, uint64_t pace_ns) {
    uint64_t due = now_ns() + pace_ns;
    for (size_t i = 0; i < count; i++, due += pace_ns) {
        while (now_ns() < due)
            ;
        put(end);
        take(end);
        samples[i] = now_ns() - due;
    }
}

static void hop(const pt_shape *shape, uint64_t *samples, size_t pings, uint64_t pace_ns) {
    size_t bytes = 4096 + 2 * side_bytes(shape);
    uint8_t *memory = shared(bytes);
    size_t batches = pings / TOGETHER;
    uint64_t all = WARM + batches * TOGETHER + pings;
    static pt_end end;
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(1);
        open_end(&end, shape, memory, true);
        for (uint64_t i = 0; i < all; i++) {
            take(&end);
            put(&end);
        }
        _exit(0);
    }
    open_end(&end, shape, memory, false);
    for (int i = 0; i < WARM; i++) {
        put(&end);
        take(&end);
    }
    char name[64];
    back_to_back(&end, samples, batches);
    snprintf(name, sizeof name, "%s/back-to-back", shape->name);
    say(name, samples, batches, 2.0 * TOGETHER);
    paced(&end, samples, pings, pace_ns);
    snprintf(name, sizeof name, "%s/paced", shape->name);
    say(name, samples, pings, 2.0);
    int status;
    require(waitpid(child, &status, 0) == child && status == 0, "echo");
    munmap(memory, bytes);
}

/* --- latches --------------------------------------------------------------------------------- */

static void latch(size_t size, uint64_t *samples, size_t count) {
    static uint64_t payload[WORDS_MAX];
    uint8_t *memory = shared(4096 + PT_LATCH_HEAD_BYTES + 2 * size);
    uint64_t *row = (uint64_t *)(memory + 4096);
    pt_fence fence = {(uint64_t *)memory, 0};
    char name[64];
    for (int write = 0; write < 2; write++) {
        uint64_t before = now_ns();
        for (size_t i = 0; i < count; i++) {
            for (int k = 0; k < TOGETHER; k++)
                if (write)
                    pt_latch_write(row, size, &fence, payload);
                else
                    require(pt_latch_read(row, size, payload) != UINT64_MAX, "latch");
            uint64_t after = now_ns();
            samples[i] = after - before;
            before = after;
        }
        snprintf(name, sizeof name, "latch-%s-%zu", write ? "write" : "read", size);
        say(name, samples, count, TOGETHER);
    }
    munmap(memory, 4096 + PT_LATCH_HEAD_BYTES + 2 * size);
}

/* Reads of a row that its writer, on the other core, writes without a pause. */
static void contended(size_t size, uint64_t *samples, size_t count) {
    static uint64_t payload[WORDS_MAX];
    uint8_t *memory = shared(4096 + PT_LATCH_HEAD_BYTES + 2 * size);
    uint64_t *row = (uint64_t *)(memory + 4096);
    pt_fence fence = {(uint64_t *)memory, 0};
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(1);
        for (uint64_t number = 1;; number++) {
            for (size_t i = 0; i < size / 8; i++)
                payload[i] = number;
            pt_latch_write(row, size, &fence, payload);
        }
    }
    while (pt_load(row) == 0)
        ;
    uint64_t before = now_ns();
    for (size_t i = 0; i < count; i++) {
        while (pt_latch_read(row, size, payload) == UINT64_MAX)
            ;
        for (size_t k = 1; k < size / 8; k++)
            if (payload[k] != payload[0])
                abort();
        uint64_t after = now_ns();
        samples[i] = after - before;
        before = after;
    }
    kill(child, SIGKILL);
    require(waitpid(child, NULL, 0) == child, "writer");
    char name[64];
    snprintf(name, sizeof name, "latch-contended-%zu", size);
    say(name, samples, count, 1.0);
    munmap(memory, 4096 + PT_LATCH_HEAD_BYTES + 2 * size);
}

/* --- streams ----------------------------------------------------------------------------------- */

static void stream(size_t at_once, size_t messages) {
    const pt_shape shape = {"", 0, sizeof(pt_update) + 8, 1024, false};
    enum { MOST = 64 };
    uint8_t *memory = shared(4096 + 2 * side_bytes(&shape));
    static pt_end end;
    static uint64_t batch[MOST * (sizeof(pt_update) / 8)];
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(1);
        open_end(&end, &shape, memory, false);
        int outcome;
        for (size_t sent = 0; sent < messages;) {
            size_t some = messages - sent < at_once ? messages - sent : at_once;
            sent += pt_ring_push_many(&end.out, &end.fence, batch, some, &outcome);
        }
        _exit(0);
    }
    open_end(&end, &shape, memory, true);
    while (!pt_ring_ready(&end.in))
        ;
    uint64_t before = now_ns();
    for (size_t got = 0; got < messages;)
        got += pt_ring_pop_many(&end.in, batch, at_once);
    uint64_t each = (now_ns() - before) * 1000 / messages;
    require(waitpid(child, NULL, 0) == child, "producer");
    munmap(memory, 4096 + 2 * side_bytes(&shape));
    char name[64];
    snprintf(name, sizeof name, "stream-by-%zu", at_once);
    say(name, &each, 1, 1000.0);
}

int main(int count, char **words) {
    if (count != 6 + (words[1] != NULL && strcmp(words[1], "hop") == 0))
        return fprintf(stderr, "see the first lines of ipc.c\n"), 2;
    core[0] = atoi(words[2]);
    core[1] = atoi(words[3]);
    int rounds = atoi(words[4]);
    size_t samples = (size_t)atol(words[5]);
    uint64_t *room = malloc((samples + 1) * sizeof *room);
    require(room != NULL, "malloc");
    pin(0);
    for (int round = 0; round < rounds; round++) {
        if (strcmp(words[1], "hop") == 0)
            for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) /* there and back again */
                hop(&SHAPES[round % 2 ? sizeof SHAPES / sizeof *SHAPES - 1 - i : i], room, samples,
                    (uint64_t)atol(words[6]));
        if (strcmp(words[1], "latch") == 0)
            for (size_t size = 64; size <= 8192; size *= size == 64 ? 8 : 4) { /* 64 512 2048 8192 */
                latch(size, room, samples);
                contended(size, room, samples);
            }
        if (strcmp(words[1], "stream") == 0)
            for (size_t at_once = 1; at_once <= 64; at_once *= 64)
                stream(at_once, samples);
    }
    free(room);
    return 0;
}
