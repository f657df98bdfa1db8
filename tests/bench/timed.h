/* What the C programs of the bench share: the clock, two cores to pin to, order, and loud failure. */
#ifndef POLYTRIO_TIMED_H
#define POLYTRIO_TIMED_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int core[2];

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void require(bool good, const char *what) {
    if (good)
        return;
    perror(what);
    exit(1);
}

static void pin(int which) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core[which], &set);
    require(sched_setaffinity(0, sizeof set, &set) == 0, "pin");
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

#endif
