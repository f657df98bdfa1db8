/* Performs one operation of shm/atomics.h on a mapped file and is hit by a signal at its n-th step.
 *
 *     fault FILE STEP SIGNAL EPOCH_AT EPOCH OPERATION [NUMBER ...]
 *
 * FILE is mapped whole, shared, for writing; offsets count from its start. A step is one access to a
 * shared word or one fence: a load is counted after it, a store before it, so that a process that is
 * hit at a store has not made it. STEP 0 is never reached. The operation's payload comes from
 * standard input, what it has taken goes to standard output, after the operation: a process that
 * was hit says nothing. On standard error: how many steps it took, and the outcome.
 *
 *     open-producer OFFSET STRIDE CAPACITY     push, push-many   the same; then wakes, as Python does
 *     open-consumer OFFSET STRIDE CAPACITY     pop               the same
 *     wait OFFSET STRIDE CAPACITY              pop-many OFFSET STRIDE CAPACITY MOST
 *     latch OFFSET COPY_BYTES                  mark MARKS SEEN INDEX
 *     take MARKS SEEN                          role OFFSET PID START_TICKS NOW STATE
 *
 * Exit code 2 is a wrong command line or a file that cannot be mapped.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

static uint64_t steps, fatal_step;
static int fatal_signal;
static int armed;

static inline void fault_step(void) {
    if (armed && ++steps == fatal_step)
        raise(fatal_signal);
}
#define PT_STEP(step, word, value) ((void)(step), (void)(word), (void)(value), fault_step())

#include "atomics.h"
#include "planted.h"

#ifdef PLANTED
#define RING_PUSH planted_push_commit_first
#define RING_POP planted_pop_release_first
#define LATCH_WRITE planted_latch_publish_first
#define DIRTY_MARK planted_mark_blindly
#define ROLE_TAKE planted_role_epoch_last
#else
#define RING_PUSH pt_ring_push
#define RING_POP pt_ring_pop
#define LATCH_WRITE pt_latch_write
#define DIRTY_MARK pt_dirty_mark
#define ROLE_TAKE pt_role_take
#endif

enum { NUMBERS_MAX = 8, PAYLOAD_MAX = 1 << 20 };

static uint8_t *base;
static pt_fence fence;
static uint64_t number[NUMBERS_MAX];
static uint64_t payload[PAYLOAD_MAX / 8];
static size_t payload_bytes;

static _Noreturn void refuse(const char *why) {
    fprintf(stderr, "fault: %s\n", why);
    exit(2);
}

static void map_file(const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        refuse("cannot open the file");
    base = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        refuse("cannot map the file");
}

static uint64_t *word_at(uint64_t offset) {
    return (uint64_t *)(base + offset);
}

static void map_ring(pt_ring *ring) {
    pt_ring_map(ring, base + number[0], number[1], number[2]);
}

static void say(size_t taken_bytes) {
    armed = 0;
    if (fwrite(payload, 1, taken_bytes, stdout) != taken_bytes || fflush(stdout) != 0)
        refuse("cannot write what was taken");
}

static int open_end(const char *operation) {
    pt_ring ring;
    map_ring(&ring);
    armed = 1;
    if (operation[5] == 'p')
        pt_ring_open_producer(&ring);
    else
        pt_ring_open_consumer(&ring);
    return PT_OK;
}

static int push(int many) {
    pt_ring ring;
    int outcome;
    map_ring(&ring);
    pt_ring_open_producer(&ring);
    if (payload_bytes == 0 || payload_bytes % ring.payload != 0)
        refuse("standard input holds no whole messages");
    armed = 1;
    size_t pushed;
    if (many) {
        pushed = pt_ring_push_many(&ring, &fence, payload, payload_bytes / ring.payload, &outcome);
    } else {
        outcome = RING_PUSH(&ring, &fence, payload);
        pushed = outcome == PT_OK;
    }
    if (pushed != 0)
        pt_ring_wake(&ring);
    return outcome;
}

static int pop(size_t most) {
    pt_ring ring;
    map_ring(&ring);
    pt_ring_open_consumer(&ring);
    armed = 1;
    size_t taken = most ? pt_ring_pop_many(&ring, payload, most) : RING_POP(&ring, payload);
    say(taken * ring.payload);
    return PT_OK;
}

static int wait_for_message(void) {
    pt_ring ring;
    map_ring(&ring);
    pt_ring_open_consumer(&ring);
    armed = 1;
    pt_ring_wait(&ring, 2, 1000000);
    return PT_OK;
}

static int take(void) {
    armed = 1;
    for (size_t word = 0; word < PT_DIRTY_WORDS; word++)
        payload[word] = pt_dirty_take(word_at(number[0]), word_at(number[1]), word);
    say(8 * PT_DIRTY_WORDS);
    return PT_OK;
}

static int perform(const char *operation) {
    if (strcmp(operation, "open-producer") == 0 || strcmp(operation, "open-consumer") == 0)
        return open_end(operation);
    if (strcmp(operation, "push") == 0 || strcmp(operation, "push-many") == 0)
        return push(operation[4] != 0);
    if (strcmp(operation, "pop") == 0 || strcmp(operation, "pop-many") == 0)
        return pop(operation[3] != 0 ? number[3] : 0);
    if (strcmp(operation, "wait") == 0)
        return wait_for_message();
    if (strcmp(operation, "take") == 0)
        return take();
    armed = 1;
    if (strcmp(operation, "latch") == 0)
        return LATCH_WRITE(word_at(number[0]), number[1], &fence, payload);
    if (strcmp(operation, "mark") == 0)
        return DIRTY_MARK(word_at(number[0]), word_at(number[1]), &fence, number[2]);
    if (strcmp(operation, "role") == 0) {
        ROLE_TAKE((pt_role_row *)(base + number[0]), number[1], number[2], number[3], number[4]);
        return PT_OK;
    }
    refuse("no such operation");
}

int main(int count, char **word) {
    if (count < 7 || count - 7 > NUMBERS_MAX)
        refuse("usage: fault FILE STEP SIGNAL EPOCH_AT EPOCH OPERATION [NUMBER ...]");
    map_file(word[1]);
    fatal_step = strtoull(word[2], NULL, 10);
    fatal_signal = atoi(word[3]);
    fence.epoch_word = word_at(strtoull(word[4], NULL, 10));
    fence.epoch = strtoull(word[5], NULL, 10);
    for (int i = 7; i < count; i++)
        number[i - 7] = strtoull(word[i], NULL, 10);
    payload_bytes = fread(payload, 1, sizeof payload, stdin);
    int outcome = perform(word[6]);
    armed = 0;
    fprintf(stderr, "steps %" PRIu64 " outcome %d\n", steps, outcome);
    return 0;
}
