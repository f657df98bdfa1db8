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

static inline uint32_t pt_crc(const uint8_t *data, size_t length) {
    uint32_t crc = 0xffffffffu;
    for (; length >= 8; data += 8, length -= 8) {
        uint32_t low, high;
        memcpy(&low, data, 4);
        memcpy(&high, data + 4, 4);
        low ^= crc;
        crc = pt_crc_table[7][low & 0xff] ^ pt_crc_table[6][low >> 8 & 0xff] ^
              pt_crc_table[5][low >> 16 & 0xff] ^ pt_crc_table[4][low >> 24] ^
              pt_crc_table[3][high & 0xff] ^ pt_crc_table[2][high >> 8 & 0xff] ^
              pt_crc_table[1][high >> 16 & 0xff] ^ pt_crc_table[0][high >> 24];
    }
    for (; length; data++, length--)
        crc = crc >> 8 ^ pt_crc_table[0][(crc ^ *data) & 0xff];
    return ~crc;
}

/* What all records of a group have in common, and where its journal stands. */
typedef struct {
    uint64_t journal, seq, mono_ns, wall_ns;
    uint32_t run;
    uint8_t previous[8];
} pt_stand;

/* Frame one record whose payload is already in place (and zeros behind it), and seal it. */
static inline void pt_record_seal(
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
    record->crc = pt_crc((const uint8_t *)record, offsetof(pt_record, crc));
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
