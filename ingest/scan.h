/* Reads the exact shapes that the venue sends, straight from the receive buffer; no allocation.
 *
 * A scanner of templates, not a JSON parser: it knows the key order and the punctuation of the two
 * encoders that the venue uses (compact arrays for the first dump, objects with a space after each
 * comma later), plain ASCII texts, and numbers in their usual form. Whatever is not exactly that
 * makes it say "not canonical", and the strict decoder of ingest/wire.py reads the frame instead.
 * So it may refuse anything, and must agree with ingest/wire.py on what it accepts: a property
 * test and a fuzzer compare the two (tests/ingest/test_scan.py, tests/fuzz/).
 */
#ifndef POLYTRIO_SCAN_H
#define POLYTRIO_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    PT_HASH_CHARS = 40,
    PT_TRADE_TEXT_MAX = 11, /* ingest/wire.py: LAST_TRADE_CHARS_MAX */
    PT_SCAN_EVENTS_MAX = 256,
    PT_SCAN_CHANGES_MAX = 4096, /* ingest/wire.py: CHANGES_MAX */
    PT_SCAN_LEVELS_MAX = 65536,
    PT_SCAN_SIDE_LEVELS_MAX = 10001, /* ingest/wire.py: LEVELS_MAX */
};
static const int64_t PT_SIZE_E6_MAX = (int64_t)1 << 53;

enum pt_event_kind { PT_SNAPSHOT = 1, PT_CHANGES, PT_TRADE };

typedef struct {
    const char *at;
    uint32_t length;
} pt_text;

typedef struct {
    int32_t price_e4;
    int64_t size_e6;
} pt_level;

typedef struct {
    pt_text token;
    pt_text hash;
    int64_t size_e6;
    int32_t price_e4;
    bool buy;
} pt_change;

typedef struct {
    enum pt_event_kind kind;
    int64_t exchange_ms;
    pt_text market;        /* its condition id */
    pt_text token;         /* of a snapshot or trade */
    pt_text hash;          /* of a snapshot; length 0 where there is none */
    int32_t tick_e4;       /* of a snapshot; 0 where the frame has none */
    bool has_last_trade;   /* of a snapshot */
    pt_text last_trade;    /* of a snapshot, as printed */
    int32_t price_e4;      /* of a trade */
    uint32_t first, count; /* changes, or the bids of a snapshot in `levels` ... */
    uint32_t asks;         /* ... behind which its asks stand */
} pt_event;

typedef struct {
    uint32_t events, changes, levels; /* how many are in use */
    pt_event event[PT_SCAN_EVENTS_MAX];
    pt_change change[PT_SCAN_CHANGES_MAX];
    pt_level level[PT_SCAN_LEVELS_MAX];
} pt_scan;

typedef struct {
    const char *at, *end;
} pt_reader;

/* --- pieces: each moves on and says true, or says false ---------------------------------------- */

static inline bool pt_exactly(pt_reader *in, const char *text, size_t length) {
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, text, length) != 0)
        return false;
    in->at += length;
    return true;
}
#define PT_EXACTLY(in, literal) pt_exactly((in), (literal), sizeof(literal) - 1)

/* A comma, with or without the space that one of the two encoders puts behind it. */
static inline bool pt_comma(pt_reader *in) {
    if (in->at == in->end || *in->at != ',')
        return false;
    in->at++;
    if (in->at != in->end && *in->at == ' ')
        in->at++;
    return true;
}

/* Bytes of a word that end a plain text: a quote, a backslash, a control character, non-ASCII. */
static inline uint64_t pt_specials(uint64_t word) {
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
    return ((quote - ones) | (slash - ones) | (word - ones * 0x20) | word) & tops;
}

/* The rest of a text after its opening quote, and the closing quote. A borrow can only raise a bit
 * above a byte that is special itself, so the lowest one found is exact. */
static inline bool pt_plain(pt_reader *in, pt_text *text) {
    const char *at = in->at;
    text->at = at;
    while (in->end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        uint64_t found = pt_specials(word);
        if (found != 0) {
            at += __builtin_ctzll(found) / 8;
            break;
        }
        at += 8;
    }
    while (at != in->end && *at != '"') {
        if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x80 || *at == '\\')
            return false;
        at++;
    }
    if (at == in->end)
        return false;
    text->length = (uint32_t)(at - text->at);
    in->at = at + 1;
    return true;
}

/* `0.` and one to four digits, not zero: a price strictly between 0 and 1, in $0.0001. */
static inline bool pt_price(pt_reader *in, int32_t *price_e4) {
    static const int32_t scale[5] = {0, 1000, 100, 10, 1};
    if (in->end - in->at < 8 || in->at[0] != '0' || in->at[1] != '.')
        return false;
    int32_t value = 0, digits = 0;
    const char *at = in->at + 2;
    while (digits < 4 && *at >= '0' && *at <= '9') {
        value = value * 10 + (*at++ - '0');
        digits++;
    }
    if (digits == 0 || value == 0 || *at != '"')
        return false;
    *price_e4 = value * scale[digits];
    in->at = at + 1;
    return true;
}

/* Up to ten digits without leading zeros, then perhaps a point and up to six more. */
static inline bool pt_size(pt_reader *in, int64_t *size_e6) {
    static const int64_t scale[7] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    const char *at = in->at, *end = in->end;
    int64_t whole = 0, part = 0;
    int digits = 0, places = 0;
    while (at != end && *at >= '0' && *at <= '9' && digits < 10) {
        whole = whole * 10 + (*at++ - '0');
        digits++;
    }
    if (digits == 0 || (digits > 1 && in->at[0] == '0'))
        return false;
    if (at != end && *at == '.') {
        at++;
        while (at != end && *at >= '0' && *at <= '9' && places < 6) {
            part = part * 10 + (*at++ - '0');
            places++;
        }
        if (places == 0)
            return false;
    }
    if (at == end || *at != '"')
        return false;
    *size_e6 = whole * 1000000 + part * scale[places];
    in->at = at + 1;
    return *size_e6 <= PT_SIZE_E6_MAX;
}

/* Up to fifteen digits. */
static inline bool pt_millis(pt_reader *in, int64_t *millis) {
    int64_t value = 0;
    int digits = 0;
    while (in->at != in->end && *in->at >= '0' && *in->at <= '9' && digits < 15) {
        value = value * 10 + (*in->at++ - '0');
        digits++;
    }
    *millis = value;
    return digits != 0 && PT_EXACTLY(in, "\"");
}

static inline bool pt_book_hash(pt_reader *in, pt_text *hash) {
    return pt_plain(in, hash) && (hash->length == PT_HASH_CHARS || hash->length == 0);
}

/* --- events ------------------------------------------------------------------------------------ */

static inline bool pt_levels_of_side(pt_reader *in, pt_scan *scan, uint32_t *count) {
    uint32_t first = scan->levels;
    if (PT_EXACTLY(in, "]")) {
        *count = 0;
        return true;
    }
    do {
        if (scan->levels == PT_SCAN_LEVELS_MAX)
            return false;
        pt_level *level = &scan->level[scan->levels++];
        if (!PT_EXACTLY(in, "{\"price\":\"") || !pt_price(in, &level->price_e4) || !pt_comma(in) ||
            !PT_EXACTLY(in, "\"size\":\"") || !pt_size(in, &level->size_e6) || !PT_EXACTLY(in, "}"))
            return false;
    } while (pt_comma(in));
    *count = scan->levels - first;
    return *count <= PT_SCAN_SIDE_LEVELS_MAX && PT_EXACTLY(in, "]");
}

static inline bool pt_both_sides(pt_reader *in, pt_scan *scan, pt_event *event) {
    event->first = scan->levels;
    return PT_EXACTLY(in, "\"bids\":[") && pt_levels_of_side(in, scan, &event->count) &&
           pt_comma(in) && PT_EXACTLY(in, "\"asks\":[") &&
           pt_levels_of_side(in, scan, &event->asks);
}

/* The first dump's order: time and hash before the levels, tick and last trade behind them. */
static inline bool pt_dump_book(pt_reader *in, pt_scan *scan, pt_event *event) {
    pt_text version;
    if (!pt_millis(in, &event->exchange_ms) || !pt_comma(in) || !PT_EXACTLY(in, "\"hash\":\"") ||
        !pt_book_hash(in, &event->hash) || !pt_comma(in) || !pt_both_sides(in, scan, event) ||
        !pt_comma(in) || !PT_EXACTLY(in, "\"tick_size\":\"") || !pt_price(in, &event->tick_e4) ||
        !pt_comma(in) || !PT_EXACTLY(in, "\"event_type\":\"book\"") || !pt_comma(in) ||
        !PT_EXACTLY(in, "\"last_trade_price\":\"") || !pt_plain(in, &event->last_trade) ||
        event->last_trade.length > PT_TRADE_TEXT_MAX)
        return false;
    event->has_last_trade = true;
    if (pt_comma(in) && !(PT_EXACTLY(in, "\"version\":\"") && pt_plain(in, &version)))
        return false;
    return PT_EXACTLY(in, "}");
}

/* The order of a book after a trade: levels first, neither tick nor last trade. */
static inline bool pt_later_book(pt_reader *in, pt_scan *scan, pt_event *event) {
    return pt_both_sides(in, scan, event) && pt_comma(in) && PT_EXACTLY(in, "\"hash\":\"") &&
           pt_book_hash(in, &event->hash) && pt_comma(in) && PT_EXACTLY(in, "\"timestamp\":\"") &&
           pt_millis(in, &event->exchange_ms) && pt_comma(in) &&
           PT_EXACTLY(in, "\"event_type\":\"book\"}");
}

static inline bool pt_trade(pt_reader *in, pt_event *event) {
    pt_text text;
    int64_t size_e6;
    event->kind = PT_TRADE;
    if (!pt_price(in, &event->price_e4) || !pt_comma(in) || !PT_EXACTLY(in, "\"size\":\"") ||
        !pt_size(in, &size_e6) || !pt_comma(in) || !PT_EXACTLY(in, "\"fee_rate_bps\":\"") ||
        !pt_plain(in, &text) || !pt_comma(in) || !PT_EXACTLY(in, "\"side\":\"") ||
        !pt_plain(in, &text) || !pt_comma(in) || !PT_EXACTLY(in, "\"timestamp\":\"") ||
        !pt_millis(in, &event->exchange_ms) || !pt_comma(in) ||
        !PT_EXACTLY(in, "\"event_type\":\"last_trade_price\""))
        return false;
    if (pt_comma(in) && !(PT_EXACTLY(in, "\"transaction_hash\":\"") && pt_plain(in, &text)))
        return false;
    return PT_EXACTLY(in, "}");
}

static inline bool pt_one_change(pt_reader *in, pt_change *change) {
    pt_text best;
    if (!PT_EXACTLY(in, "{\"asset_id\":\"") || !pt_plain(in, &change->token) || !pt_comma(in) ||
        !PT_EXACTLY(in, "\"price\":\"") || !pt_price(in, &change->price_e4) || !pt_comma(in) ||
        !PT_EXACTLY(in, "\"size\":\"") || !pt_size(in, &change->size_e6) || !pt_comma(in) ||
        !PT_EXACTLY(in, "\"side\":\""))
        return false;
    change->buy = PT_EXACTLY(in, "BUY\"");
    return (change->buy || PT_EXACTLY(in, "SELL\"")) && pt_comma(in) &&
           PT_EXACTLY(in, "\"hash\":\"") && pt_book_hash(in, &change->hash) && pt_comma(in) &&
           PT_EXACTLY(in, "\"best_bid\":\"") && pt_plain(in, &best) && pt_comma(in) &&
           PT_EXACTLY(in, "\"best_ask\":\"") && pt_plain(in, &best) && PT_EXACTLY(in, "}");
}

static inline bool pt_price_changes(pt_reader *in, pt_scan *scan, pt_event *event) {
    event->kind = PT_CHANGES;
    event->first = scan->changes;
    do {
        if (scan->changes == PT_SCAN_CHANGES_MAX)
            return false;
        if (!pt_one_change(in, &scan->change[scan->changes++]))
            return false;
    } while (pt_comma(in));
    event->count = scan->changes - event->first;
    return PT_EXACTLY(in, "]") && pt_comma(in) && PT_EXACTLY(in, "\"timestamp\":\"") &&
           pt_millis(in, &event->exchange_ms) && pt_comma(in) &&
           PT_EXACTLY(in, "\"event_type\":\"price_change\"}");
}

static inline bool pt_one_event(pt_reader *in, pt_scan *scan) {
    if (scan->events == PT_SCAN_EVENTS_MAX)
        return false;
    pt_event *event = &scan->event[scan->events++];
    if (!PT_EXACTLY(in, "{\"market\":\"") || !pt_plain(in, &event->market) || !pt_comma(in))
        return false;
    if (PT_EXACTLY(in, "\"price_changes\":["))
        return pt_price_changes(in, scan, event);
    if (!PT_EXACTLY(in, "\"asset_id\":\"") || !pt_plain(in, &event->token) || !pt_comma(in))
        return false;
    if (PT_EXACTLY(in, "\"price\":\""))
        return pt_trade(in, event);
    event->kind = PT_SNAPSHOT;
    event->tick_e4 = 0;
    event->has_last_trade = false;
    if (PT_EXACTLY(in, "\"timestamp\":\""))
        return pt_dump_book(in, scan, event);
    return pt_later_book(in, scan, event);
}

/* Reads a whole frame into `scan`; false if it is not one of the shapes above, to the last byte. */
static inline bool pt_scan_frame(pt_scan *scan, const char *frame, size_t length) {
    pt_reader in = {frame, frame + length};
    scan->events = scan->changes = scan->levels = 0;
    bool array = PT_EXACTLY(&in, "[");
    do {
        if (!pt_one_event(&in, scan))
            return false;
    } while (array && pt_comma(&in));
    if (array && !PT_EXACTLY(&in, "]"))
        return false;
    (void)PT_EXACTLY(&in, "\n");
    return in.at == in.end;
}

#endif
