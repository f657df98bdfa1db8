/* The books of all markets as a state machine in C: ingest/books.py says what it does and why.
 *
 * One frame: pt_shelf_begin, then its events in order, then every row in `changed` is published.
 */
#ifndef POLYTRIO_SHELF_H
#define POLYTRIO_SHELF_H

#include "atomics.h"
#include "levels.h"
#include "mirror.h"
#include "scan.h"
#include "tokens.h"

enum { PT_CONDITION_CHARS = 66 }; /* 0x and 64 hexadecimal digits */
enum pt_book_state { PT_UNKNOWN = 0, PT_LIVE = 1, PT_STALE = 2 };
enum pt_hash_state { PT_UNCHECKED = 0, PT_MATCHED = 1, PT_DIFFERED = 2 };

/* A comparison with the venue's hash that is due. */
typedef struct {
    bool due;
    bool of_snapshot;
    bool complete;
    bool no_side;
    int64_t exchange_ms;
    char hash[PT_HASH_CHARS];
} pt_check;

typedef struct {
    uint64_t key; /* 0: nobody's row */
    pt_levels levels;
    uint64_t received_ns;
    uint64_t frames;
    int64_t exchange_ms;
    uint32_t state;
    uint32_t tick_e4;
    uint32_t last_trade_e4;
    uint32_t hash_state;
    bool hash_trusted;
    bool group_due; /* frames of one transaction: the last one has to match */
    int64_t group_ms;
    char condition[PT_CONDITION_CHARS]; /* as events must name their market */
    char group_hash[PT_HASH_CHARS];
    uint32_t texts; /* candidate texts of the last trade's price */
    uint32_t text_length[2];
    char text[2][PT_TRADE_TEXT_MAX + 1];
    pt_check check;
    bool changed, lost, refreshed; /* by the present frame */
} pt_shelf_row;

typedef struct {
    pt_shelf_row *rows; /* PT_MARKETS_MAX */
    pt_tokens tokens;
    pt_ingest_stats *stats;
    uint32_t changed[PT_MARKETS_MAX];
    uint32_t changed_count;
    uint64_t check_every;
    uint64_t until_check;
    bool out_of_memory;
    pt_sided all[PT_SCAN_CHANGES_MAX], mine[PT_SCAN_CHANGES_MAX]; /* of the present event */
    pt_mirror mirror;
} pt_shelf;

static inline void pt_shelf_begin(pt_shelf *shelf) {
    for (uint32_t i = 0; i < shelf->changed_count; i++) {
        pt_shelf_row *row = &shelf->rows[shelf->changed[i]];
        row->changed = row->lost = row->refreshed = false;
    }
    shelf->changed_count = 0;
}

static inline void pt_row_changed(pt_shelf *shelf, pt_shelf_row *row) {
    if (!row->changed) {
        row->changed = true;
        shelf->changed[shelf->changed_count++] = (uint32_t)(row - shelf->rows);
    }
}

static inline void pt_row_lose(pt_shelf_row *row) {
    if (row->state == PT_LIVE)
        row->state = PT_STALE;
    row->group_due = false;
    row->hash_trusted = false;
    row->check.due = false;
}

static inline void pt_row_lost(pt_shelf *shelf, pt_shelf_row *row) {
    pt_row_lose(row);
    pt_row_changed(shelf, row);
    row->lost = true;
    row->refreshed = false;
}

static inline uint32_t pt_shelf_find(pt_shelf *shelf, const char *token, uint32_t length) {
    uint32_t side = pt_tokens_find(&shelf->tokens, token, length);
    if (side == PT_TOKEN_NONE)
        pt_add(&shelf->stats->unknown_market, 1);
    return side;
}

/* Whether an event under our token names another market: then nothing of it is true. */
static inline bool pt_row_is_strange(pt_shelf *shelf, pt_shelf_row *row, const pt_text *market) {
    if (market->length == PT_CONDITION_CHARS &&
        memcmp(market->at, row->condition, PT_CONDITION_CHARS) == 0)
        return false;
    pt_add(&shelf->stats->events_refused, 1);
    pt_row_lost(shelf, row);
    return true;
}

/* Whether an event lies before what the book already shows; such are dropped and counted. */
static inline bool pt_row_is_past(pt_shelf *shelf, const pt_shelf_row *row, int64_t exchange_ms) {
    if (row->state != PT_LIVE || exchange_ms >= row->exchange_ms)
        return false;
    pt_add(&shelf->stats->backward_time, 1);
    return true;
}

static inline void pt_row_put(pt_shelf *shelf, pt_shelf_row *row, bool bid, int32_t price_e4,
                              int64_t size_e6) {
    if (!pt_levels_put(&row->levels, bid, (uint32_t)price_e4, size_e6))
        shelf->out_of_memory = true;
}

/* --- snapshots ------------------------------------------------------------------------------- */

static inline void pt_take_snapshot(pt_shelf *shelf, const pt_event *event, const pt_level *levels) {
    uint32_t side = pt_shelf_find(shelf, event->token.at, event->token.length);
    if (side == PT_TOKEN_NONE)
        return;
    pt_shelf_row *row = &shelf->rows[side / 2];
    bool no_side = side % 2 != 0;
    if (pt_row_is_strange(shelf, row, &event->market) ||
        pt_row_is_past(shelf, row, event->exchange_ms))
        return;
    if (event->tick_e4 != 0)
        row->tick_e4 = (uint32_t)event->tick_e4;
    if (event->has_last_trade) {
        row->texts = 1;
        row->text_length[0] = event->last_trade.length;
        memcpy(row->text[0], event->last_trade.at, event->last_trade.length);
    }
    pt_levels_clear(&row->levels);
    for (uint32_t i = 0; i < event->count + event->asks; i++) {
        bool bid = (i < event->count) != no_side;
        int32_t price_e4 = no_side ? PT_PRICE_ONE_E4 - levels[i].price_e4 : levels[i].price_e4;
        if (levels[i].size_e6 != 0)
            pt_row_put(shelf, row, bid, price_e4, levels[i].size_e6);
    }
    row->state = PT_LIVE;
    row->exchange_ms = event->exchange_ms;
    row->group_due = false;
    pt_row_changed(shelf, row);
    row->lost = false;
    row->refreshed = true;
    row->check.due = event->hash.length == PT_HASH_CHARS;
    if (row->check.due) {
        row->check.of_snapshot = true;
        row->check.complete = event->has_last_trade;
        row->check.no_side = no_side;
        row->check.exchange_ms = event->exchange_ms;
        memcpy(row->check.hash, event->hash.at, PT_HASH_CHARS);
    }
}

/* --- changes: all entries of one market in one frame ------------------------------------------ */

static inline void pt_put_token(pt_shelf *shelf, pt_shelf_row *row, const pt_sided *sided,
                                uint32_t count, bool no_side) {
    for (uint32_t i = 0; i < count; i++) {
        const pt_change *change = sided[i].change;
        if ((sided[i].side % 2 != 0) == no_side)
            pt_row_put(shelf, row, change->buy != no_side,
                       no_side ? PT_PRICE_ONE_E4 - change->price_e4 : change->price_e4,
                       change->size_e6);
    }
}

/* A new group of frames begins: was the old one's hash ever reached? */
static inline void pt_settle_group(pt_shelf *shelf, pt_shelf_row *row, int64_t exchange_ms,
                                   const pt_sided *sided, uint32_t count) {
    if (!row->group_due)
        return;
    for (uint32_t i = 0; i < count; i++) {
        const pt_text *hash = &sided[i].change->hash;
        if (row->group_ms == exchange_ms && hash->length == PT_HASH_CHARS &&
            memcmp(row->group_hash, hash->at, PT_HASH_CHARS) == 0)
            return;
    }
    row->group_due = false;
    if (row->hash_trusted) {
        pt_add(&shelf->stats->hash_mismatch, 1);
        row->hash_state = PT_DIFFERED;
        pt_row_lost(shelf, row);
    }
}

static inline void pt_consider_hash(pt_shelf *shelf, pt_shelf_row *row, int64_t exchange_ms,
                                    const pt_sided *last) {
    bool begun = row->group_due || row->check.due;
    if (shelf->until_check > 0)
        shelf->until_check--;
    if (shelf->until_check > 0 && !begun)
        return;
    shelf->until_check = shelf->check_every;
    row->check.due = last->change->hash.length == PT_HASH_CHARS;
    if (row->check.due) {
        row->check.of_snapshot = false;
        row->check.complete = false;
        row->check.no_side = last->side % 2 != 0;
        row->check.exchange_ms = exchange_ms;
        memcpy(row->check.hash, last->change->hash.at, PT_HASH_CHARS);
    }
}

static inline void pt_take_market(pt_shelf *shelf, pt_shelf_row *row, const pt_event *event,
                                  const pt_sided *sided, uint32_t count) {
    int64_t exchange_ms = event->exchange_ms;
    if (pt_row_is_strange(shelf, row, &event->market) || pt_row_is_past(shelf, row, exchange_ms))
        return;
    pt_settle_group(shelf, row, exchange_ms, sided, count);
    if (row->state == PT_LIVE) {
        row->exchange_ms = exchange_ms;
        pt_put_token(shelf, row, sided, count, true); /* YES has the last word */
        pt_put_token(shelf, row, sided, count, false);
    }
    if (!pt_mirrored(&shelf->mirror, sided, count)) {
        pt_add(&shelf->stats->mirror_mismatch, 1);
        pt_row_lost(shelf, row);
    } else if (row->state == PT_LIVE) {
        pt_row_changed(shelf, row);
        pt_consider_hash(shelf, row, exchange_ms, &sided[count - 1]);
    }
}

/* The entries of a frame may name several markets: each gets its own, in order of appearance. */
static inline void pt_take_changes(pt_shelf *shelf, const pt_event *event,
                                   const pt_change *changes) {
    pt_sided *all = shelf->all, *mine = shelf->mine;
    uint32_t count = event->count;
    for (uint32_t i = 0; i < count; i++) {
        all[i].change = &changes[i];
        all[i].side = pt_shelf_find(shelf, changes[i].token.at, changes[i].token.length);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].side == PT_TOKEN_NONE)
            continue;
        uint32_t row = all[i].side / 2, own = 0;
        for (uint32_t j = i; j < count; j++) {
            if (all[j].side != PT_TOKEN_NONE && all[j].side / 2 == row) {
                mine[own++] = all[j];
                all[j].side = PT_TOKEN_NONE;
            }
        }
        pt_take_market(shelf, &shelf->rows[row], event, mine, own);
    }
}

/* --- trades and ticks ------------------------------------------------------------------------- */

/* How the venue may print a price inside a book hash, most likely first; returns how many ways.
 * Three decimals were recorded; ingest/checksum.py has the rule. */
static inline uint32_t pt_trade_texts(int32_t price_e4, char texts[2][PT_TRADE_TEXT_MAX + 1],
                                      uint32_t lengths[2]) {
    char shortest[PT_TRADE_TEXT_MAX + 1] = {0}, digits[5];
    uint32_t length = 1, kept = 4;
    shortest[0] = price_e4 == PT_PRICE_ONE_E4 ? '1' : '0';
    for (int i = 3, left = price_e4 % PT_PRICE_ONE_E4; i >= 0; i--, left /= 10)
        digits[i] = (char)('0' + left % 10);
    while (kept > 0 && digits[kept - 1] == '0')
        kept--;
    if (kept > 0) {
        shortest[length++] = '.';
        memcpy(shortest + length, digits, kept);
        length += kept;
    }
    uint32_t ways = 0;
    if (kept < 4) {
        texts[0][0] = shortest[0];
        texts[0][1] = '.';
        memcpy(texts[0] + 2, digits, 3);
        lengths[0] = 5;
        ways = 1;
    }
    memcpy(texts[ways], shortest, length);
    lengths[ways] = length;
    return ways + 1;
}

static inline void pt_take_trade(pt_shelf *shelf, const pt_event *event) {
    uint32_t side = pt_shelf_find(shelf, event->token.at, event->token.length);
    if (side == PT_TOKEN_NONE)
        return;
    pt_shelf_row *row = &shelf->rows[side / 2];
    if (pt_row_is_strange(shelf, row, &event->market))
        return;
    row->last_trade_e4 = (uint32_t)(side % 2 ? PT_PRICE_ONE_E4 - event->price_e4 : event->price_e4);
    char texts[2][PT_TRADE_TEXT_MAX + 1] = {{0}};
    uint32_t lengths[2] = {0};
    uint32_t ways = pt_trade_texts(event->price_e4, texts, lengths);
    for (uint32_t i = 0; i < ways; i++)
        if (row->text_length[0] == lengths[i] && memcmp(row->text[0], texts[i], lengths[i]) == 0)
            return;
    row->hash_trusted = false;
    row->texts = ways;
    memcpy(row->text_length, lengths, sizeof lengths);
    memcpy(row->text, texts, sizeof texts);
}

static inline void pt_take_tick(pt_shelf *shelf, const pt_event *event) {
    uint32_t side = pt_shelf_find(shelf, event->token.at, event->token.length);
    if (side == PT_TOKEN_NONE)
        return;
    pt_shelf_row *row = &shelf->rows[side / 2];
    uint32_t tick_e4 = (uint32_t)event->tick_e4;
    if (pt_row_is_strange(shelf, row, &event->market) || row->tick_e4 == tick_e4)
        return;
    row->tick_e4 = tick_e4;
    pt_row_changed(shelf, row);
    if (!pt_side_on_grid(&row->levels, &row->levels.bid, tick_e4) ||
        !pt_side_on_grid(&row->levels, &row->levels.ask, tick_e4))
        pt_row_lost(shelf, row);
}

/* --- to shared memory ------------------------------------------------------------------------- */

static inline void pt_row_show(const pt_shelf_row *row, uint64_t epoch, pt_book *shown) {
    shown->market_key = row->key;
    shown->epoch = epoch;
    shown->exchange_ms = row->exchange_ms;
    shown->received_ns = row->received_ns;
    shown->frames = row->frames;
    shown->state = row->state;
    shown->tick_e4 = row->tick_e4;
    shown->last_trade_e4 = row->last_trade_e4;
    shown->hash_state = row->hash_state;
    shown->bid_count = pt_bids_show(&row->levels, shown->bid_price_e4, shown->bid_size_e6);
    shown->ask_count = pt_asks_show(&row->levels, shown->ask_price_e4, shown->ask_size_e6);
}

/* Applies the events of a scanned frame; what changed is in `changed` afterwards. */
static inline void pt_shelf_take(pt_shelf *shelf, const pt_scan *scan) {
    for (uint32_t i = 0; i < scan->events; i++) {
        const pt_event *event = &scan->event[i];
        switch (event->kind) {
        case PT_CHANGES:
            pt_add(&shelf->stats->events_price_change, 1);
            pt_take_changes(shelf, event, &scan->change[event->first]);
            break;
        case PT_SNAPSHOT:
            pt_add(&shelf->stats->events_book, 1);
            pt_take_snapshot(shelf, event, &scan->level[event->first]);
            break;
        case PT_TRADE:
            pt_add(&shelf->stats->events_last_trade, 1);
            pt_take_trade(shelf, event);
            break;
        }
    }
}

#endif
