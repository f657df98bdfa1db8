/* The key and its signatures, in memory that is neither swapped, dumped nor inherited.
 *
 * All curve arithmetic is libsecp256k1's (through coincurve, which ships it): this file decides what
 * is signed with which nonce, and where secrets lie. Two ways to a nonce:
 *
 *   rfc6979    deterministic, from key and digest; about 40 us a signature
 *   prepared   made beforehand, off the hot path, from the key, fresh randomness of the system and a
 *              counter, through HMAC (the library's RFC 6979 generator fed with them). What is kept
 *              is r, 1/k and r*d/k, so that a signature is one multiplication and one addition:
 *              s = z/k + r*d/k.
 *
 * A nonce that is used twice gives the key away. So an entry is wiped in the moment it is taken,
 * under a lock; the pool lies in memory that the kernel zeroes in a forked child, is never written
 * anywhere, and a process starts with an empty one. An empty pool falls back to rfc6979.
 */
#ifndef POLYTRIO_SIGNER_H
#define POLYTRIO_SIGNER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

enum { PT_POOL_MAX = 512, PT_SIGNATURE_BYTES = 65 };

/* The functions of libsecp256k1 that we use, as its header declares them. */
typedef struct {
    const void *context;
    int (*seckey_verify)(const void *, const uint8_t *);
    int (*seckey_negate)(const void *, uint8_t *);
    int (*tweak_mul)(const void *, uint8_t *, const uint8_t *);
    int (*tweak_add)(const void *, uint8_t *, const uint8_t *);
    int (*pubkey_create)(const void *, uint8_t *, const uint8_t *);
    int (*pubkey_serialize)(const void *, uint8_t *, size_t *, const uint8_t *, unsigned);
    int (*sign_recoverable)(const void *, uint8_t *, const uint8_t *, const uint8_t *,
                            const void *, const void *);
    int (*serialize_compact)(const void *, uint8_t *, int *, const uint8_t *);
    int (*nonce)(uint8_t *, const uint8_t *, const uint8_t *, const uint8_t *, void *, unsigned);
} pt_curve;

typedef struct {
    uint8_t r[32];
    uint8_t inverse[32];  /* 1/k */
    uint8_t product[32];  /* r*d/k */
    uint8_t odd;          /* parity of the point's y */
} pt_nonce;

/* One private mapping, zeroed by the kernel in a forked child: no key, an empty pool. */
typedef struct pt_secrets {
    uint8_t key[32];
    bool has_key;
    bool lock;
    bool locked; /* its pages are never swapped */
    uint32_t count;
    uint64_t made;
    struct pt_secrets *next;
    pt_nonce pool[PT_POOL_MAX];
} pt_secrets;

/* All that this process has: objects may live to its end without being taken down. */
static pt_secrets *pt_secrets_first;

/* At the end of the process. After kill -9 there is nobody to wipe; the kernel gives no page to
 * anybody else before it is zeroed. */
static void pt_secrets_wipe_all(void) {
    for (pt_secrets *secrets = pt_secrets_first; secrets != NULL;) {
        pt_secrets *next = secrets->next;
        explicit_bzero(secrets, sizeof *secrets);
        secrets = next;
    }
    pt_secrets_first = NULL;
}

/* One thread at a time, like `pt_secrets_free`: the interpreter's lock is held. */
static inline pt_secrets *pt_secrets_make(void) {
    static bool wiped_at_exit;
    pt_secrets *secrets = mmap(NULL, sizeof *secrets, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secrets == MAP_FAILED)
        return NULL;
    if (madvise(secrets, sizeof *secrets, MADV_WIPEONFORK) != 0) {
        munmap(secrets, sizeof *secrets);
        return NULL; /* without it a child could repeat our nonces */
    }
    madvise(secrets, sizeof *secrets, MADV_DONTDUMP);
    /* As far as the limit allows: swap is the lesser danger. */
    secrets->locked = mlock(secrets, sizeof *secrets) == 0;
    if (!wiped_at_exit)
        wiped_at_exit = atexit(pt_secrets_wipe_all) == 0;
    secrets->next = pt_secrets_first;
    pt_secrets_first = secrets;
    return secrets;
}

static inline void pt_secrets_free(pt_secrets *secrets) {
    if (secrets != NULL) {
        for (pt_secrets **at = &pt_secrets_first; *at != NULL; at = &(*at)->next)
            if (*at == secrets) {
                *at = secrets->next;
                break;
            }
        explicit_bzero(secrets, sizeof *secrets);
        munmap(secrets, sizeof *secrets);
    }
}

static inline void pt_secrets_enter(pt_secrets *secrets) {
    while (__atomic_test_and_set(&secrets->lock, __ATOMIC_ACQUIRE))
        ;
}

static inline void pt_secrets_leave(pt_secrets *secrets) {
    __atomic_clear(&secrets->lock, __ATOMIC_RELEASE);
}

/* --- preparing a nonce, off the hot path -------------------------------------------------------- */

/* value = value ** (n - 2): the inverse modulo the group order n, by Fermat. */
static inline bool pt_invert(const pt_curve *curve, uint8_t value[32]) {
    static const uint8_t exponent[32] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
        0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x3f,
    };
    uint8_t base[32], square[32];
    memcpy(base, value, 32);
    bool ok = true;
    for (int bit = 1; bit < 256; bit++) { /* the first bit is set: value is base already */
        memcpy(square, value, 32);
        ok = curve->tweak_mul(curve->context, value, square) && ok;
        if (exponent[bit / 8] >> (7 - bit % 8) & 1)
            ok = curve->tweak_mul(curve->context, value, base) && ok;
    }
    explicit_bzero(base, sizeof base);
    explicit_bzero(square, sizeof square);
    return ok;
}

static inline bool pt_random_nonce(const pt_curve *curve, pt_secrets *secrets, uint8_t k[32]) {
    struct {
        uint64_t count, wall_ns, steady_ns, padding;
    } extra = {0, 0, 0, 0};
    uint8_t fresh[32];
    struct timespec now;
    if (getrandom(fresh, sizeof fresh, 0) != (ssize_t)sizeof fresh)
        return false;
    clock_gettime(CLOCK_REALTIME, &now);
    extra.wall_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    clock_gettime(CLOCK_MONOTONIC, &now);
    extra.steady_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    extra.count = __atomic_add_fetch(&secrets->made, 1, __ATOMIC_RELAXED);
    bool ok = curve->nonce(k, fresh, secrets->key, NULL, &extra, 0) &&
              curve->seckey_verify(curve->context, k);
    explicit_bzero(fresh, sizeof fresh);
    return ok;
}

/* Makes one nonce; false where chance (once in 2^127), the system or a missing key forbids it. */
static inline bool pt_make_nonce(const pt_curve *curve, pt_secrets *secrets, pt_nonce *nonce) {
    static const uint8_t order[32] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
        0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
    };
    uint8_t k[32], point[64], text[65];
    size_t length = sizeof text;
    bool ok = secrets->has_key && pt_random_nonce(curve, secrets, k) &&
              curve->pubkey_create(curve->context, point, k) &&
              curve->pubkey_serialize(curve->context, text, &length, point, 1u << 1) &&
              memcmp(text + 1, order, 32) < 0; /* else r would be x - n: leave that case out */
    if (ok) {
        memcpy(nonce->r, text + 1, 32);
        nonce->odd = text[64] & 1;
        memcpy(nonce->inverse, k, 32);
        ok = pt_invert(curve, nonce->inverse);
        memcpy(nonce->product, nonce->inverse, 32);
        ok = ok && curve->tweak_mul(curve->context, nonce->product, nonce->r) &&
             curve->tweak_mul(curve->context, nonce->product, secrets->key);
    }
    explicit_bzero(k, sizeof k);
    explicit_bzero(point, sizeof point);
    explicit_bzero(text, sizeof text);
    return ok;
}

/* Puts one more nonce into the pool unless it holds `most`; whether it did. */
static inline bool pt_pool_fill(const pt_curve *curve, pt_secrets *secrets, uint32_t most) {
    pt_nonce nonce;
    bool put = false;
    if (__atomic_load_n(&secrets->count, __ATOMIC_RELAXED) < most &&
        pt_make_nonce(curve, secrets, &nonce)) {
        pt_secrets_enter(secrets);
        if (secrets->count < most && secrets->count < PT_POOL_MAX) {
            secrets->pool[secrets->count++] = nonce;
            put = true;
        }
        pt_secrets_leave(secrets);
    }
    explicit_bzero(&nonce, sizeof nonce);
    return put;
}

/* --- signing ----------------------------------------------------------------------------------- */

/* Takes a nonce for good: it is wiped from the pool before anybody can see it again. */
static inline bool pt_pool_take(pt_secrets *secrets, pt_nonce *nonce) {
    bool taken = false;
    pt_secrets_enter(secrets);
    if (secrets->count != 0) {
        pt_nonce *entry = &secrets->pool[--secrets->count];
        *nonce = *entry;
        explicit_bzero(entry, sizeof *entry);
        taken = true;
    }
    pt_secrets_leave(secrets);
    return taken;
}

/* s = z/k + r*d/k in its lower form; the recovery bit goes with it. */
static inline bool pt_sign_prepared(const pt_curve *curve, const pt_nonce *nonce,
                                    const uint8_t digest[32], uint8_t signature[65]) {
    static const uint8_t half[32] = {
        0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
    };
    uint8_t s[32], odd = nonce->odd;
    memcpy(s, nonce->inverse, 32);
    bool ok = curve->tweak_mul(curve->context, s, digest) &&
              curve->tweak_add(curve->context, s, nonce->product);
    if (ok && memcmp(s, half, 32) > 0) {
        ok = curve->seckey_negate(curve->context, s);
        odd ^= 1;
    }
    memcpy(signature, nonce->r, 32);
    memcpy(signature + 32, s, 32);
    signature[64] = 27 + odd;
    return ok;
}

static inline bool pt_sign_rfc6979(const pt_curve *curve, const pt_secrets *secrets,
                                   const uint8_t digest[32], uint8_t signature[65]) {
    uint8_t made[65];
    int recovery = 0;
    if (!secrets->has_key ||
        !curve->sign_recoverable(curve->context, made, digest, secrets->key, NULL, NULL) ||
        !curve->serialize_compact(curve->context, signature, &recovery, made))
        return false;
    signature[64] = (uint8_t)(27 + recovery);
    return true;
}

typedef struct {
    uint64_t prepared, fallbacks;
} pt_signed;

/* 65 bytes r, s, v; false only without a key. */
static inline bool pt_sign(const pt_curve *curve, pt_secrets *secrets, bool prepared,
                           pt_signed *counts, const uint8_t digest[32], uint8_t signature[65]) {
    if (prepared) {
        pt_nonce nonce;
        bool done = pt_pool_take(secrets, &nonce) &&
                    pt_sign_prepared(curve, &nonce, digest, signature);
        explicit_bzero(&nonce, sizeof nonce);
        if (done) {
            counts->prepared++;
            return true;
        }
        counts->fallbacks++;
    }
    return pt_sign_rfc6979(curve, secrets, digest, signature);
}

#endif
