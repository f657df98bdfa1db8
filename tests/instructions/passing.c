/* Messages and rows through shared memory: the ring and the latch. */
#include "atomics.h"

#include "counted.h"

enum { CAPACITY = 1024, STRIDE = PT_COMMIT_BYTES + sizeof(pt_update) };

static uint64_t ring_memory[(PT_RING_SLOTS_OFFSET + CAPACITY * STRIDE) / 8];
static uint64_t row[1 + 2 * sizeof(pt_book) / 8];
static uint64_t epoch = 1;
static pt_ring sender, receiver;
static pt_fence fence = {&epoch, 1};
static pt_update update, received;
static pt_book written, seen;

static void make_ready(void) {
    pt_ring_map(&sender, (uint8_t *)ring_memory, STRIDE, CAPACITY);
    pt_ring_map(&receiver, (uint8_t *)ring_memory, STRIDE, CAPACITY);
    pt_ring_open_producer(&sender);
    pt_ring_open_consumer(&receiver);
    written.market_key = 7;
}

static void ring(void) {
    update.book_version++;
    REQUIRE(pt_ring_push(&sender, &fence, (const uint64_t *)&update) == PT_OK);
    pt_ring_wake(&sender);
    REQUIRE(pt_ring_pop(&receiver, (uint64_t *)&received));
    pt_keep(&received);
}

static void latch(void) {
    written.frames++;
    REQUIRE(pt_latch_write(row, sizeof written, &fence, (const uint64_t *)&written) == PT_OK);
    REQUIRE(pt_latch_read(row, sizeof seen, (uint64_t *)&seen) != UINT64_MAX);
    pt_keep(&seen);
}

int main(int argc, char **argv) {
    static const pt_counted things[] = {
        {"ring", make_ready, ring},
        {"latch", make_ready, latch},
        {NULL, NULL, NULL},
    };
    return count(things, argc, argv);
}
