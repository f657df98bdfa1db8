/* Runs each operation of shm/atomics.h once and prints every access that it makes.
 *
 *     memory LOCATION VALUE          what is there before, where it is not 0
 *     step KIND LOCATION VALUE       one access, in order
 *     change LOCATION VALUE          somebody else stores here, between two accesses
 *     end LOCATION VALUE             what is there afterwards, where it is not 0
 *
 * tests/proof/test_ordering.py compares this with the lists in tests/proof/programs.py. Values and
 * sizes are small: two payload words a slot and a copy, a ring of two.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void seen(int step, const uint64_t *word, uint64_t value);
static long called(long number, ...);

#define PT_STEP(step, word, value) seen((int)(step), (word), (value))
#define syscall called
#include "atomics.h"
#undef syscall

#define CAPACITY 2
#define STRIDE (3 * 8)
#define COPY_BYTES (2 * 8)

static uint64_t ring_memory[(PT_RING_SLOTS_OFFSET + CAPACITY * STRIDE) / 8];
static uint64_t latch[PT_LATCH_HEAD_BYTES / 8 + 2 * COPY_BYTES / 8];
static uint64_t marks, seen_bits;
static pt_role_row role;
static pt_ring ring;
static pt_fence fence;
static pt_histogram histogram;

/* --- symbolic names ------------------------------------------------------------------------- */

static struct {
    const char *name;
    uint64_t *word;
} names[64];
static size_t name_count;

static void name_word(const char *name, uint64_t *word) {
    names[name_count].name = name;
    names[name_count++].word = word;
}

static const char *name_of(const uint64_t *word) {
    if (word == NULL)
        return "-";
    for (size_t i = 0; i < name_count; i++)
        if (names[i].word == word)
            return names[i].name;
    fprintf(stderr, "an access outside of everything that has a name\n");
    exit(1);
}

static uint64_t *word_of(const char *name) {
    for (size_t i = 0; i < name_count; i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].word;
    abort();
}

static void name_words(void) {
    pt_ring_map(&ring, (uint8_t *)ring_memory, STRIDE, CAPACITY);
    fence = (pt_fence){&role.epoch, 1};
    name_word("epoch", &role.epoch);
    name_word("pid", &role.pid);
    name_word("start_ticks", &role.start_ticks);
    name_word("started_ns", &role.started_ns);
    name_word("heartbeat_ns", &role.heartbeat_ns);
    name_word("state", &role.state);
    name_word("adopted_generation", &role.adopted_generation);
    name_word("write", ring.write);
    name_word("wake", ring.wake);
    name_word("overflow", ring.overflow);
    name_word("read", ring.read);
    name_word("waiter", ring.waiter);
    uint64_t *slot = pt_ring_slot(&ring, 0);
    name_word("slot0.commit", slot);
    name_word("slot0.1", slot + 1);
    name_word("slot0.2", slot + 2);
    slot = pt_ring_slot(&ring, 1);
    name_word("slot1.commit", slot);
    name_word("slot1.1", slot + 1);
    name_word("slot1.2", slot + 2);
    name_word("sequence", latch);
    name_word("copy0.1", pt_latch_copy(latch, COPY_BYTES, 0));
    name_word("copy0.2", pt_latch_copy(latch, COPY_BYTES, 0) + 1);
    name_word("copy1.1", pt_latch_copy(latch, COPY_BYTES, 1));
    name_word("copy1.2", pt_latch_copy(latch, COPY_BYTES, 1) + 1);
    name_word("marks", &marks);
    name_word("seen", &seen_bits);
    name_word("bucket", &histogram.bucket[pt_bucket_of(5)]);
    name_word("max_ns", &histogram.max_ns);
}

/* --- the hook ------------------------------------------------------------------------------- */

static const char *const kinds[] = {
    [PT_LOAD_ACQUIRE] = "LOAD_ACQUIRE",   [PT_LOAD_RELAXED] = "LOAD_RELAXED",
    [PT_STORE_RELEASE] = "STORE_RELEASE", [PT_STORE_RELAXED] = "STORE_RELAXED",
    [PT_FENCE_ACQUIRE] = "FENCE_ACQUIRE", [PT_FENCE_RELEASE] = "FENCE_RELEASE",
    [PT_FENCE_FULL] = "FENCE_FULL",
};
static int steps;
static struct {
    int after_step;
    const char *name;
    uint64_t value;
} change;

static void print_step(const char *kind, const uint64_t *word, uint64_t value) {
    printf("step %s %s %" PRIu64 "\n", kind, name_of(word), value);
    if (++steps == change.after_step) {
        *word_of(change.name) = change.value;
        printf("change %s %" PRIu64 "\n", change.name, change.value);
    }
}

static void seen(int step, const uint64_t *word, uint64_t value) {
    print_step(kinds[step], word, value);
}

static long called(long number, ...) {
    va_list arguments;
    va_start(arguments, number);
    const uint64_t *word = va_arg(arguments, uint64_t *);
    int what = va_arg(arguments, int);
    uint64_t value = va_arg(arguments, unsigned int);
    va_end(arguments);
    if (number != SYS_futex)
        abort();
    print_step(what == FUTEX_WAIT ? "FUTEX_WAIT" : "FUTEX_WAKE", word, value);
    return 0;
}

/* --- the cases ------------------------------------------------------------------------------ */

static const uint64_t payloads[] = {31, 32, 41, 42};
static uint64_t taken[8];

static void set(const char *name, uint64_t value) { *word_of(name) = value; }

static void after(int step, const char *name, uint64_t value) {
    change.after_step = step;
    change.name = name;
    change.value = value;
}

/* Messages 0 and 1 lie in the ring; nobody has read. */
static void two_messages(void) {
    const uint64_t words[] = {11, 12, 21, 22};
    for (uint64_t i = 0; i < 2; i++) {
        uint64_t *slot = pt_ring_slot(&ring, i);
        slot[0] = i + 1;
        slot[1] = words[2 * i];
        slot[2] = words[2 * i + 1];
    }
    set("write", 2);
}

static void print_memory(const char *when) {
    for (size_t i = 0; i < name_count; i++)
        if (*names[i].word != 0)
            printf("%s %s %" PRIu64 "\n", when, names[i].name, *names[i].word);
}

static void begin(void) { print_memory("memory"); }

/* A store that went past the hook, to a word that has no name. */
static void print_strays(const uint64_t *words, size_t bytes) {
    for (const uint64_t *word = words; word < words + bytes / 8; word++) {
        bool named = false;
        for (size_t i = 0; i < name_count; i++)
            named |= names[i].word == word;
        if (!named && *word != 0)
            printf("end (stray) %" PRIu64 "\n", *word);
    }
}

static void push(uint64_t position, uint64_t read_cache) {
    ring.position = position;
    ring.read_cache = read_cache;
    begin();
    pt_ring_push(&ring, &fence, payloads);
}

static void trace_push(void) { push(0, 0); }

static void trace_push_reuse(void) {
    two_messages();
    set("read", 1);
    push(2, 0);
}

static void trace_push_full(void) {
    two_messages();
    push(2, 0);
}

static void trace_push_refused(void) {
    set("epoch", 2);
    push(0, 0);
}

static void trace_push_refused_midway(void) {
    after(2, "epoch", 2);
    push(0, 0);
}

static void trace_push_many(void) {
    int outcome;
    begin();
    pt_ring_push_many(&ring, &fence, payloads, 2, &outcome);
}

static void trace_open_producer(void) {
    begin();
    pt_ring_open_producer(&ring);
}

static void trace_open_producer_rolling(void) {
    two_messages();
    set("write", 1);
    begin();
    pt_ring_open_producer(&ring);
}

static void trace_open_consumer(void) {
    set("read", 1);
    set("waiter", 1);
    begin();
    pt_ring_open_consumer(&ring);
}

static void trace_wake_nobody(void) {
    begin();
    pt_ring_wake(&ring);
}

static void trace_wake_sleeper(void) {
    set("waiter", 1);
    set("wake", 7);
    begin();
    pt_ring_wake(&ring);
}

static void trace_pop(void) {
    two_messages();
    begin();
    pt_ring_pop(&ring, taken);
}

static void trace_pop_nothing(void) {
    begin();
    pt_ring_pop(&ring, taken);
}

static void trace_pop_many(void) {
    two_messages();
    begin();
    pt_ring_pop_many(&ring, taken, 2);
}

static void trace_pop_many_fewer(void) {
    two_messages();
    ring.position = 1;
    begin();
    pt_ring_pop_many(&ring, taken, 3);
}

static void trace_pop_many_nothing(void) {
    begin();
    pt_ring_pop_many(&ring, taken, 3);
}

static void trace_wait_ready(void) {
    two_messages();
    begin();
    pt_ring_wait(&ring, 0, 1000);
}

static void trace_wait_ready_while_spinning(void) {
    after(1, "slot0.commit", 1);
    begin();
    pt_ring_wait(&ring, 1, 1000);
}

static void trace_wait_ready_at_the_last_look(void) {
    after(4, "slot0.commit", 1);
    begin();
    pt_ring_wait(&ring, 0, 1000);
}

static void trace_wait_sleeping(void) {
    set("wake", 7);
    begin();
    pt_ring_wait(&ring, 0, 1000);
}

static void trace_peek(void) {
    two_messages();
    set("write", 1);
    begin();
    pt_ring_peek(&ring, 0, taken);
}

static void trace_peek_gone(void) {
    two_messages();
    begin();
    pt_ring_peek(&ring, 2, taken);
}

static void latch_write(uint64_t sequence) {
    set("sequence", sequence);
    begin();
    pt_latch_write(latch, COPY_BYTES, &fence, payloads);
}

static void trace_latch_write_even(void) { latch_write(4); }

static void trace_latch_write_odd(void) { latch_write(5); }

static void trace_latch_write_refused(void) {
    set("epoch", 2);
    latch_write(4);
}

static void trace_latch_write_refused_midway(void) {
    after(3, "epoch", 2);
    latch_write(4);
}

static void latch_read(uint64_t sequence) {
    set("sequence", sequence);
    set("copy0.1", 51);
    set("copy0.2", 52);
    set("copy1.1", 61);
    set("copy1.2", 62);
    begin();
    pt_latch_read(latch, COPY_BYTES, taken);
}

static void trace_latch_read_even(void) { latch_read(4); }

static void trace_latch_read_odd(void) { latch_read(5); }

static void trace_latch_read_again(void) {
    after(3, "sequence", 5);
    latch_read(4);
}

static void dirty_mark(void) {
    begin();
    pt_dirty_mark(&marks, &seen_bits, &fence, 2);
}

static void trace_dirty_mark(void) { dirty_mark(); }

static void trace_dirty_mark_back(void) {
    set("marks", 4);
    set("seen", 4);
    dirty_mark();
}

static void trace_dirty_mark_again(void) {
    set("marks", 4);
    dirty_mark();
}

static void trace_dirty_mark_refused(void) {
    set("epoch", 2);
    dirty_mark();
}

static void trace_dirty_take(void) {
    set("marks", 6);
    set("seen", 2);
    begin();
    pt_dirty_take(&marks, &seen_bits, 0);
}

static void trace_dirty_take_nothing(void) {
    set("marks", 4);
    set("seen", 4);
    begin();
    pt_dirty_take(&marks, &seen_bits, 0);
}

static void trace_role_take(void) {
    set("epoch", 6);
    begin();
    pt_role_take(&role, 101, 102, 103, 104);
}

static void trace_histogram(void) {
    set("bucket", 3);
    begin();
    pt_histogram_add(&histogram, 5);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"push", trace_push},
    {"push onto a slot given back", trace_push_reuse},
    {"push, full", trace_push_full},
    {"push, refused", trace_push_refused},
    {"push, refused midway", trace_push_refused_midway},
    {"push_many", trace_push_many},
    {"open_producer", trace_open_producer},
    {"open_producer, rolling forward", trace_open_producer_rolling},
    {"open_consumer", trace_open_consumer},
    {"wake, nobody sleeps", trace_wake_nobody},
    {"wake", trace_wake_sleeper},
    {"pop", trace_pop},
    {"pop, nothing", trace_pop_nothing},
    {"pop_many", trace_pop_many},
    {"pop_many, fewer", trace_pop_many_fewer},
    {"pop_many, nothing", trace_pop_many_nothing},
    {"wait, ready", trace_wait_ready},
    {"wait, ready while spinning", trace_wait_ready_while_spinning},
    {"wait, ready at the last look", trace_wait_ready_at_the_last_look},
    {"wait, sleeping", trace_wait_sleeping},
    {"peek", trace_peek},
    {"peek, gone", trace_peek_gone},
    {"latch_write, even", trace_latch_write_even},
    {"latch_write, odd", trace_latch_write_odd},
    {"latch_write, refused", trace_latch_write_refused},
    {"latch_write, refused midway", trace_latch_write_refused_midway},
    {"latch_read, even", trace_latch_read_even},
    {"latch_read, odd", trace_latch_read_odd},
    {"latch_read, again", trace_latch_read_again},
    {"dirty_mark", trace_dirty_mark},
    {"dirty_mark, back", trace_dirty_mark_back},
    {"dirty_mark, dirty already", trace_dirty_mark_again},
    {"dirty_mark, refused", trace_dirty_mark_refused},
    {"dirty_take", trace_dirty_take},
    {"dirty_take, nothing", trace_dirty_take_nothing},
    {"role_take", trace_role_take},
    {"histogram_add", trace_histogram},
};

/* Without an argument: the names of all cases. With one: that case, in fresh memory. */
int main(int count, char **arguments) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (count == 1)
            puts(cases[i].name);
        else if (strcmp(arguments[1], cases[i].name) == 0) {
            name_words();
            set("epoch", 1);
            cases[i].run();
            print_memory("end");
            print_strays(ring_memory, sizeof ring_memory);
            print_strays(latch, sizeof latch);
            print_strays((const uint64_t *)&role, sizeof role);
            print_strays((const uint64_t *)&histogram, sizeof histogram);
            return 0;
        }
    }
    return count == 1 ? 0 : 2;
}
