/* Frames scanned, applied and made ready to be shown: ingest's part, without Python. */
#include "shelf.h"

#include "counted.h"
#include "frames.h" /* made by tests/instructions/counting.py */

static pt_scan scan;
static pt_shelf shelf;
static pt_shelf_row rows[1];
static pt_ingest_stats stats;
static pt_book shown;

static void take(const char *frame, size_t length) {
    pt_shelf_begin(&shelf);
    REQUIRE(pt_scan_frame(&scan, frame, length));
    pt_shelf_take(&shelf, &scan);
    for (uint32_t i = 0; i < shelf.changed_count; i++)
        pt_row_show(&shelf.rows[shelf.changed[i]], 1, &shown);
    pt_keep(&shown);
}

static void make_ready(void) {
    shelf.rows = rows;
    shelf.stats = &stats;
    shelf.check_every = shelf.until_check = UINT64_MAX; /* the hash is made behind publication */
    REQUIRE(pt_tokens_make(&shelf.tokens, 2 * PT_MARKETS_MAX));
    pt_tokens_add(&shelf.tokens, yes_token, (uint32_t)strlen(yes_token), 0);
    pt_tokens_add(&shelf.tokens, no_token, (uint32_t)strlen(no_token), 1);
    REQUIRE(pt_levels_make(&rows[0].levels, PT_COARSE_E4));
    rows[0].key = 1;
    rows[0].tick_e4 = 10;
    rows[0].texts = 1;
    memcpy(rows[0].condition, condition, PT_CONDITION_CHARS);
    take(book, sizeof book - 1);
    REQUIRE(rows[0].state == PT_LIVE && shown.bid_count == PT_BOOK_LEVELS);
}

static void price_change(void) {
    take(change, sizeof change - 1);
    REQUIRE(shelf.changed_count == 1 && !rows[0].lost);
}

static void whole_book(void) { take(book, sizeof book - 1); }

int main(int argc, char **argv) {
    static const pt_counted things[] = {
        {"price_change", make_ready, price_change},
        {"book", make_ready, whole_book},
        {NULL, NULL, NULL},
    };
    return count(things, argc, argv);
}
