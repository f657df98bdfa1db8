/* Keccak-256 as Ethereum uses it (padding 0x01): what an order's identity is made of. */
#ifndef POLYTRIO_KECCAK_H
#define POLYTRIO_KECCAK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PT_KECCAK_RATE = 136 };

static inline uint64_t pt_rotate(uint64_t word, int by) { return word << by | word >> (64 - by); }

/* Keccak-f[1600]; constants and offsets from FIPS 202, section 3.2. */
static inline void pt_keccak_f(uint64_t state[25]) {
    static const uint64_t rounds[24] = {
        0x0000000000000001u, 0x0000000000008082u, 0x800000000000808au, 0x8000000080008000u,
        0x000000000000808bu, 0x0000000080000001u, 0x8000000080008081u, 0x8000000000008009u,
        0x000000000000008au, 0x0000000000000088u, 0x0000000080008009u, 0x000000008000000au,
        0x000000008000808bu, 0x800000000000008bu, 0x8000000000008089u, 0x8000000000008003u,
        0x8000000000008002u, 0x8000000000000080u, 0x000000000000800au, 0x800000008000000au,
        0x8000000080008081u, 0x8000000000008080u, 0x0000000080000001u, 0x8000000080008008u,
    };
    static const int offsets[24] = {1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                    27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44};
    static const int lanes[24] = {10, 7,  11, 17, 18, 3,  5,  16, 8,  21, 24, 4,
                                  15, 23, 19, 13, 12, 2,  20, 14, 22, 9,  6,  1};
    for (int round = 0; round < 24; round++) {
        uint64_t column[5], carried, kept;
        for (int x = 0; x < 5; x++)
            column[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20];
        for (int x = 0; x < 5; x++) {
            uint64_t mixed = column[(x + 4) % 5] ^ pt_rotate(column[(x + 1) % 5], 1);
            for (int y = 0; y < 25; y += 5)
                state[y + x] ^= mixed;
        }
        carried = state[1];
        for (int i = 0; i < 24; i++) {
            kept = state[lanes[i]];
            state[lanes[i]] = pt_rotate(carried, offsets[i]);
            carried = kept;
        }
        for (int y = 0; y < 25; y += 5) {
            for (int x = 0; x < 5; x++)
                column[x] = state[y + x];
            for (int x = 0; x < 5; x++)
                state[y + x] = column[x] ^ (~column[(x + 1) % 5] & column[(x + 2) % 5]);
        }
        state[0] ^= rounds[round];
    }
}

static inline void pt_keccak(const uint8_t *data, size_t length, uint8_t digest[32]) {
    uint64_t state[25] = {0};
    uint64_t block[PT_KECCAK_RATE / 8];
    while (length >= PT_KECCAK_RATE) {
        memcpy(block, data, PT_KECCAK_RATE);
        for (int i = 0; i < PT_KECCAK_RATE / 8; i++)
            state[i] ^= block[i];
        pt_keccak_f(state);
        data += PT_KECCAK_RATE;
        length -= PT_KECCAK_RATE;
    }
    memset(block, 0, sizeof block);
    memcpy(block, data, length);
    ((uint8_t *)block)[length] = 0x01;
    ((uint8_t *)block)[PT_KECCAK_RATE - 1] |= 0x80;
    for (int i = 0; i < PT_KECCAK_RATE / 8; i++)
        state[i] ^= block[i];
    pt_keccak_f(state);
    memcpy(digest, state, 32);
}

#endif
