/* Groups of journal records: framed and sealed in one buffer, written by one call.
 *
 * shm/journal_record.py describes the frame and is the reference; tests compare the bytes
 * (tests/executor/test_pen.py). Little-endian machines only, like all of shared memory.
 */
#ifndef POLYTRIO_JOURNAL_H
#define POLYTRIO_JOURNAL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum {
    PT_RECORD_BYTES = 256,
    PT_RECORD_PAYLOAD = 188,
    PT_RECORD_VERSION = 1,
    PT_RECORD_MAGIC = 0x4c4a5450, /* "PTJL" */
    PT_GROUP_MAX = 255,
};

typedef struct {
    uint32_t magic;
    uint8_t version, kind, place, group;
    uint64_t seq, flight, mono_ns, wall_ns, journal;
    uint8_t previous[8];
    uint32_t run;
    uint8_t leg, zeros[3];
    uint8_t payload[PT_RECORD_PAYLOAD];
    uint32_t crc;
} pt_record;

_Static_assert(sizeof(pt_record) == PT_RECORD_BYTES, "a record has holes");
_Static_assert(offsetof(pt_record, payload) == 64, "the head is 64 bytes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are little-endian");

/* zlib's CRC-32, eight bytes at a time: table[n][b] is the CRC of b followed by n zero bytes. */
static uint32_t pt_crc_table[8][256];

static inline void pt_crc_prepare(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
        pt_crc_table[0][byte] = crc;
    }
    for (int n = 1; n < 8; n++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = pt_crc_table[n - 1][byte];
            pt_crc_table[n][byte] = before >> 8 ^ pt_crc_table[0][before & 0xff];
        }
}

static inline uint32_t pt_crc_four(uint32_t crc, const uint8_t *at) {
    uint32_t word;
    memcpy(&word, at, 4);
    word ^= crc;
    return pt_crc_table[3][word & 0xff] ^ pt_crc_table[2][word >> 8 & 0xff] ^
           pt_crc_table[1][word >> 16 & 0xff] ^ pt_crc_table[0][word >> 24];
}

static inline uint32_t pt_crc_eight(uint32_t crc, const uint8_t *at) {
    uint32_t low, high;
    memcpy(&low, at, 4);
    memcpy(&high, at + 4, 4);
    low ^= crc;
    return pt_crc_table[7][low & 0xff] ^ pt_crc_table[6][low >> 8 & 0xff] ^
           pt_crc_table[5][low >> 16 & 0xff] ^ pt_crc_table[4][low >> 24] ^
           pt_crc_table[3][high & 0xff] ^ pt_crc_table[2][high >> 8 & 0xff] ^
           pt_crc_table[1][high >> 16 & 0xff] ^ pt_crc_table[0][high >> 24];
}

/* What all records of a group have in common, and where its journal stands. */
typedef struct {
    uint64_t journal, seq, mono_ns, wall_ns;
    uint32_t run;
    uint8_t previous[8];
} pt_stand;

/* Frame one record whose payload is already in place (and zeros behind it); its seal comes last. */
static inline void pt_record_frame(
    pt_record *record, const pt_stand *stand, uint8_t kind, uint8_t place, uint8_t group,
    uint64_t flight, uint8_t leg, uint32_t run) {
    record->magic = PT_RECORD_MAGIC;
    record->version = PT_RECORD_VERSION;
    record->kind = kind;
    record->place = place;
    record->group = group;
    record->seq = stand->seq + place;
    record->flight = flight;
    record->mono_ns = stand->mono_ns;
    record->wall_ns = stand->wall_ns;
    record->journal = stand->journal;
    memcpy(record->previous, stand->previous, 8);
    record->run = run;
    record->leg = leg;
    memset(record->zeros, 0, 3);
}

/* Seal all records of a group, two at a time: each step of a CRC waits for the one before it, and
   the second record's steps fill that wait. An odd last record is sealed beside itself. */
static inline void pt_group_seal(pt_record *group, size_t count) {
    enum { SEALED = offsetof(pt_record, crc), EIGHTS = SEALED / 8 * 8 };
    _Static_assert(SEALED - EIGHTS == 4, "eights and one four");
    for (size_t i = 0; i < count; i += 2) {
        pt_record *one = group + i, *two = group + (i + 1 < count ? i + 1 : i);
        uint32_t first = 0xffffffffu, second = 0xffffffffu;
        for (size_t at = 0; at < EIGHTS; at += 8) {
            first = pt_crc_eight(first, (const uint8_t *)one + at);
            second = pt_crc_eight(second, (const uint8_t *)two + at);
        }
        first = ~pt_crc_four(first, (const uint8_t *)one + EIGHTS);
        second = ~pt_crc_four(second, (const uint8_t *)two + EIGHTS);
        one->crc = first;
        two->crc = second;
    }
}

/* Bytes written, which may be fewer than asked for, or -errno. */
static inline int64_t pt_group_write(int fd, const pt_record *group, size_t count, int64_t offset) {
    ssize_t written;
    do
        written = pwrite(fd, group, count * PT_RECORD_BYTES, offset);
    while (written < 0 && errno == EINTR);
    return written < 0 ? -(int64_t)errno : (int64_t)written;
}

#endif
