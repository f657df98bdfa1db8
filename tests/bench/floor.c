/* From a signal to bytes in the kernel, with nothing decided, built or signed in between.
 *
 *     floor CORE CORE ROUNDS SIGNALS GAP_NS SCRATCH_BYTES FILE
 *
 * One process pushes a signal, another takes it, writes a basket's records with one pwrite and sends
 * a batch of three orders over loopback TCP to a third that reads it: what no executor can do without.
 * Before each signal the taker sweeps over SCRATCH_BYTES of its own memory, as other work does.
 * Rows: the taker sleeps in a futex, or it polls. One line each a round, as ipc.c says them.
 */
#include "atomics.h"
#include "timed.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { RECORDS_BYTES = 4 * 256, POST_BYTES = 4096, SIGNALS_ROOM = 64, WARM = 10 };

static uint64_t gap_ns;
static size_t scratch_bytes;

static void say(const char *name, uint64_t *samples, size_t count) {
    qsort(samples, count, sizeof *samples, ascending);
    printf("%s %llu %llu %llu %zu\n", name, (unsigned long long)samples[count / 2],
           (unsigned long long)samples[count * 99 / 100], (unsigned long long)samples[count - 1],
           count);
    fflush(stdout);
}

/* Reads whatever comes; the address to connect to is in `to`. */
static pid_t exchange(struct sockaddr_in *to) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof *to;
    require(bind(listener, (struct sockaddr *)to, size) == 0, "bind");
    require(listen(listener, 1) == 0, "listen");
    require(getsockname(listener, (struct sockaddr *)to, &size) == 0, "getsockname");
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        static char room[65536];
        int peer = accept(listener, NULL, NULL);
        while (read(peer, room, sizeof room) > 0)
            ;
        _exit(0);
    }
    close(listener);
    return child;
}

static void take(pt_ring *ring, const struct sockaddr_in *to, const char *path, bool polls,
                 size_t count, uint64_t *took) {
    static uint64_t signal[sizeof(pt_signal) / 8];
    static char records[RECORDS_BYTES], post[POST_BYTES];
    pin(1);
    volatile char *scratch = calloc(scratch_bytes + 64, 1);
    int file = open(path, O_WRONLY), one = 1, peer = socket(AF_INET, SOCK_STREAM, 0);
    require(file >= 0, path);
    require(connect(peer, (const struct sockaddr *)to, sizeof *to) == 0, "connect");
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < scratch_bytes; at += 64)
            scratch[at]++;
        while (!pt_ring_wait(ring, polls ? 1000000 : 0, polls ? 0 : 1000000000u))
            ;
        require(pt_ring_pop(ring, signal), "pop");
        require(pwrite(file, records, RECORDS_BYTES, (off_t)(i * RECORDS_BYTES)) == RECORDS_BYTES,
                "pwrite");
        require(send(peer, post, POST_BYTES, MSG_NOSIGNAL) == POST_BYTES, "send");
        took[i] = now_ns() - signal[0];
    }
    _exit(0);
}

static void measure(const char *name, bool polls, size_t count, const char *path) {
    const size_t stride = sizeof(pt_signal) + 8;
    const size_t ring_bytes = 4096 + PT_RING_SLOTS_OFFSET + stride * SIGNALS_ROOM;
    const size_t bytes = ring_bytes + (count + 1) * 8;
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    require(memory != MAP_FAILED, "mmap");
    uint64_t *took = (uint64_t *)(memory + (ring_bytes + 7) / 8 * 8);
    static uint64_t payload[sizeof(pt_signal) / 8];
    struct sockaddr_in to;
    pid_t reader = exchange(&to);
    pt_fence fence = {(uint64_t *)memory, 0};
    pt_ring ring;
    pt_ring_map(&ring, memory + 4096, stride, SIGNALS_ROOM);
    pid_t taker = fork();
    require(taker >= 0, "fork");
    if (taker == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pt_ring_open_consumer(&ring);
        take(&ring, &to, path, polls, count, took);
    }
    pt_ring_open_producer(&ring);
    for (size_t i = 0; i < count; i++) {
        struct timespec gap = {.tv_sec = 0, .tv_nsec = (long)gap_ns};
        nanosleep(&gap, NULL);
        payload[0] = now_ns();
        require(pt_ring_push(&ring, &fence, payload) == PT_OK, "push");
        pt_ring_wake(&ring);
    }
    int status;
    require(waitpid(taker, &status, 0) == taker && status == 0, "taker");
    require(waitpid(reader, &status, 0) == reader && status == 0, "reader");
    say(name, took + WARM, count - WARM);
    munmap(memory, bytes);
}

int main(int count, char **words) {
    if (count != 8)
        return fprintf(stderr, "see the first lines of floor.c\n"), 2;
    core[0] = atoi(words[1]);
    core[1] = atoi(words[2]);
    size_t signals = (size_t)atol(words[4]) + WARM;
    gap_ns = (uint64_t)atol(words[5]);
    scratch_bytes = (size_t)atol(words[6]);
    pin(0);
    for (int round = 0; round < atoi(words[3]); round++) {
        measure(round % 2 ? "polls" : "sleeps", round % 2, signals, words[7]);
        measure(round % 2 ? "sleeps" : "polls", !(round % 2), signals, words[7]);
    }
    return 0;
}
