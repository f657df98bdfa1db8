/* The memory fuzz target: sequences of frames through scanner and shelf, under ASan and UBSan.
 *
 * Each frame lies in memory that ends where it ends, so that a byte read too far is one outside.
 * Beside crashes it looks for books that contradict themselves. `world.h` (tests/fuzz/test_shelf.py)
 * has the tokens and condition ids of three markets.
 */
#include <stdio.h>

#include "shelf.h"
#include "world.h"

enum { MARKETS = 3, SEPARATOR = 0x1e };

static pt_scan scan;
static pt_shelf shelf;
static pt_ingest_stats stats;

#define REQUIRE(truth)                                                                             \
    do {                                                                                           \
        if (!(truth)) {                                                                            \
            fprintf(stderr, "line %d: contradiction: %s\n", __LINE__, #truth);                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void add_market(uint32_t number) {
    pt_shelf_row *row = &shelf.rows[number];
    pt_levels levels = row->levels;
    if (levels.step_e4 == PT_COARSE_E4) { /* memory is what costs: keep it while it fits */
        pt_levels_clear(&levels);
    } else {
        pt_levels_free(&levels);
        REQUIRE(pt_levels_make(&levels, PT_COARSE_E4));
    }
    memset(row, 0, sizeof *row);
    row->levels = levels;
    row->key = number + 1;
    row->tick_e4 = 10;
    row->texts = 1;
    memcpy(row->condition, conditions[number], PT_CONDITION_CHARS);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    shelf.rows = calloc(MARKETS, sizeof *shelf.rows);
    shelf.stats = &stats;
    REQUIRE(shelf.rows != NULL && pt_tokens_make(&shelf.tokens, 2 * MARKETS));
    for (uint32_t side = 0; side < 2 * MARKETS; side++)
        pt_tokens_add(&shelf.tokens, tokens[side], (uint32_t)strlen(tokens[side]), side);
    return 0;
}

/* --- what must be true after every frame --------------------------------------------------------- */

static void require_inside(const pt_text *text, const char *frame, size_t length) {
    REQUIRE(text->length == 0 || (text->at >= frame && text->at + text->length <= frame + length));
}

static void require_scan(const char *frame, size_t length) {
    REQUIRE(scan.events <= PT_SCAN_EVENTS_MAX && scan.changes <= PT_SCAN_CHANGES_MAX);
    for (uint32_t i = 0; i < scan.events; i++) {
        const pt_event *event = &scan.event[i];
        require_inside(&event->market, frame, length);
        if (event->kind == PT_CHANGES) {
            REQUIRE(event->count > 0 && event->first + event->count <= scan.changes);
            for (uint32_t j = event->first; j < event->first + event->count; j++) {
                require_inside(&scan.change[j].token, frame, length);
                require_inside(&scan.change[j].hash, frame, length);
            }
        } else {
            require_inside(&event->token, frame, length);
        }
        if (event->kind == PT_SNAPSHOT)
            REQUIRE(event->first + event->count + event->asks <= scan.levels);
    }
}

static void require_side(const pt_levels *levels, const pt_side *side) {
    for (uint32_t cell = 0; cell < levels->cells; cell++) {
        bool filled = side->filled[cell / 64] >> (cell % 64) & 1;
        REQUIRE(filled == (side->size_e6[cell] != 0));
        REQUIRE(side->size_e6[cell] >= 0 && side->size_e6[cell] <= PT_SIZE_E6_MAX);
    }
    REQUIRE(side->size_e6[0] == 0 && side->size_e6[levels->cells - 1] == 0);
}

static void require_column(const int32_t *price_e4, const int64_t *size_e6, uint32_t count, int sign) {
    REQUIRE(count <= PT_BOOK_LEVELS);
    for (uint32_t i = 0; i < PT_BOOK_LEVELS; i++) {
        REQUIRE((i < count) == (size_e6[i] > 0) && (i < count) == (price_e4[i] > 0));
        REQUIRE(price_e4[i] < PT_PRICE_ONE_E4);
        REQUIRE(i == 0 || i >= count || sign * (price_e4[i] - price_e4[i - 1]) > 0);
    }
}

static void require_row(const pt_shelf_row *row) {
    pt_book shown;
    pt_row_show(row, 1, &shown);
    REQUIRE(shown.state <= PT_STALE && shown.hash_state <= PT_DIFFERED);
    REQUIRE(shown.tick_e4 > 0 && shown.last_trade_e4 < PT_PRICE_ONE_E4);
    REQUIRE(row->texts >= 1 && row->texts <= 2);
    REQUIRE(row->text_length[0] <= PT_TRADE_TEXT_MAX && row->text_length[1] <= PT_TRADE_TEXT_MAX);
    require_side(&row->levels, &row->levels.bid);
    require_side(&row->levels, &row->levels.ask);
    require_column(shown.bid_price_e4, shown.bid_size_e6, shown.bid_count, -1);
    require_column(shown.ask_price_e4, shown.ask_size_e6, shown.ask_count, 1);
    if (row->check.due) {
        const pt_side *side = row->check.no_side ? &row->levels.ask : &row->levels.bid;
        size_t most = pt_side_count(side, pt_levels_words(&row->levels)) * PT_LEVEL_TEXT_MAX;
        char *text = malloc(most);
        REQUIRE(text != NULL || most == 0);
        if (text != NULL)
            (void)pt_side_text(&row->levels, side, row->check.no_side, true, text);
        free(text);
    }
}

/* --- a sequence ----------------------------------------------------------------------------------- */

static void take(const uint8_t *data, size_t length) {
    char *frame = malloc(length);
    REQUIRE(frame != NULL || length == 0);
    if (frame == NULL)
        return;
    memcpy(frame, data, length);
    if (pt_scan_frame(&scan, frame, length)) {
        require_scan(frame, length);
        pt_shelf_begin(&shelf);
        pt_shelf_take(&shelf, &scan);
        REQUIRE(!shelf.out_of_memory && shelf.changed_count <= MARKETS);
        for (uint32_t i = 0; i < shelf.changed_count; i++) {
            require_row(&shelf.rows[shelf.changed[i]]);
            for (uint32_t j = 0; j < i; j++)
                REQUIRE(shelf.changed[j] != shelf.changed[i]);
        }
    }
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (uint32_t number = 0; number < MARKETS; number++)
        add_market(number);
    shelf.changed_count = 0;
    shelf.check_every = shelf.until_check = 1;
    while (size > 0) {
        const uint8_t *end = memchr(data, SEPARATOR, size);
        size_t length = end == NULL ? size : (size_t)(end - data);
        take(data, length);
        data += length;
        size -= length;
        if (size > 0) {
            data++;
            size--;
        }
    }
    return 0;
}
