/* A program that does one thing so many times: `PROGRAM THING TIMES [BUSY]`.
 *
 * Whoever counts its instructions takes the difference of two runs, so that making ready does not
 * matter. BUSY turns of an empty loop beside each message are the mistake to be noticed.
 */
#ifndef POLYTRIO_COUNTED_H
#define POLYTRIO_COUNTED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    void (*make_ready)(void);
    void (*once)(void);
} pt_counted;

#define REQUIRE(truth)                                                                             \
    do {                                                                                           \
        if (!(truth)) {                                                                            \
            fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #truth);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Keeps the compiler from leaving out what nobody looks at. */
static inline void pt_keep(const void *what) { __asm__ __volatile__("" : : "r"(what) : "memory"); }

static int count(const pt_counted *things, int argc, char **argv) {
    REQUIRE(argc >= 3);
    while (things->name != NULL && strcmp(things->name, argv[1]) != 0)
        things++;
    REQUIRE(things->name != NULL);
    uint64_t times = strtoull(argv[2], NULL, 10);
    uint64_t busy = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    things->make_ready();
    for (uint64_t i = 0; i < times; i++) {
        things->once();
        for (uint64_t j = 0; j < busy; j++)
            __asm__ __volatile__("");
    }
    return 0;
}

#endif
