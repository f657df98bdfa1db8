/* The clock of all ages and latencies: CLOCK_MONOTONIC, comparable between processes. */
#ifndef POLYTRIO_CLOCK_H
#define POLYTRIO_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t pt_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
