/* An update looked at, and a walk down the levels: the engine's part, without Python.
 *
 * The plan is a ladder pair of nineteen strikes: for each two neighbours a triangle, its complement
 * and the ladder, so 18 trios and 54 baskets. The update is of a strike in the middle, which has a
 * part in six of them; at these prices none is worth a signal.
 */
#include "core.h"

#include "counted.h"

enum {
    STRIKES = 19,
    PAIRS = STRIKES - 1,
    BASKETS = 3 * PAIRS,
    LEGS = 8 * PAIRS,
    LEVELS = 6,
    MIDDLE = STRIKES / 2,
    ROW_WORDS = 1 + 2 * sizeof(pt_book) / 8,
};

static pt_basket baskets[BASKETS];
static pt_leg legs[LEGS];
static uint32_t of_row[LEGS];
static int64_t fees_e8[PT_FEE_TABLE];
static uint64_t cooling_until_ns[BASKETS], books[PT_MARKETS_MAX][ROW_WORDS];
static uint32_t verdicts[BASKETS];
static uint64_t due_ns[BASKETS];
static uint32_t tries[BASKETS], queue[BASKETS];
static uint8_t queued[BASKETS];
static pt_plan plan = {.basket = baskets, .leg = legs, .of_row = of_row};
static pt_core core;
static pt_engine_stats stats;
static pt_histogram histogram;
static pt_role_row ingest;
static pt_switches switches;
static pt_fence fence;
static pt_update update = {.market = MIDDLE};
static uint32_t legs_made;

static uint32_t above(uint32_t strike) { return strike; }
static uint32_t range(uint32_t pair) { return STRIKES + pair; }

static void add_leg(pt_basket *basket, uint32_t row, bool yes) {
    if (basket->legs == 0)
        basket->first_leg = legs_made;
    legs[legs_made].row = row;
    legs[legs_made++].yes = yes;
    basket->legs++;
}

static void add_pair(uint32_t pair) {
    pt_basket *triangle = &baskets[3 * pair], *complement = triangle + 1, *ladder = triangle + 2;
    add_leg(triangle, above(pair), true);
    add_leg(triangle, range(pair), false);
    add_leg(triangle, above(pair + 1), false);
    add_leg(complement, above(pair), false);
    add_leg(complement, range(pair), true);
    add_leg(complement, above(pair + 1), true);
    add_leg(ladder, above(pair), true);
    add_leg(ladder, above(pair + 1), false);
    triangle->payout_e8 = 2 * (int64_t)100000000;
    complement->payout_e8 = ladder->payout_e8 = 100000000;
    for (uint32_t i = 0; i < 3; i++) {
        baskets[3 * pair + i].id = 3 * pair + i + 1;
        baskets[3 * pair + i].hurdle_e8 = 1000000;
    }
}

static void index_rows(void) {
    uint32_t at = 0;
    for (uint32_t row = 0; row < STRIKES + PAIRS; row++) {
        pt_fact *fact = &plan.fact[row];
        *fact = (pt_fact){.key = row + 1, .fee_e8 = fees_e8, .least_e6 = 5000000, .first = at};
        for (uint32_t number = 0; number < BASKETS; number++)
            for (uint32_t i = 0; i < baskets[number].legs; i++)
                if (legs[baskets[number].first_leg + i].row == row)
                    of_row[at++] = number;
        fact->count = at - fact->first;
    }
}

/* A book around a middle price, with the gap between bid and ask that it is given. */
static void show(uint32_t row, int32_t middle_e4, int32_t half_gap_e4) {
    pt_book book = {.market_key = row + 1, .epoch = 1, .state = PT_LIVE_BOOK, .received_ns = 1,
                    .tick_e4 = 10, .bid_count = LEVELS, .ask_count = LEVELS};
    for (int32_t level = 0; level < LEVELS; level++) {
        book.bid_price_e4[level] = middle_e4 - half_gap_e4 - 10 * level;
        book.ask_price_e4[level] = middle_e4 + half_gap_e4 + 10 * level;
        book.bid_size_e6[level] = (100 + 7 * row + 31 * (uint32_t)level) * 1000000ll;
        book.ask_size_e6[level] = (120 + 5 * row + 17 * (uint32_t)level) * 1000000ll;
    }
    REQUIRE(pt_latch_write(books[row], sizeof book, &fence, (const uint64_t *)&book) == PT_OK);
}

static void make_ready(void) {
    for (uint32_t pair = 0; pair < PAIRS; pair++)
        add_pair(pair);
    REQUIRE(legs_made == LEGS);
    index_rows();
    plan.baskets = BASKETS;
    for (int64_t price_e4 = 0; price_e4 <= PT_ONE_E4; price_e4++)
        fees_e8[price_e4] = (70000 * price_e4 * (PT_ONE_E4 - price_e4) + 999999) / 1000000;
    for (uint32_t strike = 0; strike < STRIKES; strike++)
        show(above(strike), 9500 - 500 * (int32_t)strike, 50);
    for (uint32_t pair = 0; pair < PAIRS; pair++)
        show(range(pair), 500, 50);
    for (size_t i = 0; i < sizeof core.limits / sizeof(int64_t); i++)
        ((int64_t *)&core.limits)[i] = (int64_t)1 << 40; /* nothing is limited */
    core.limits.slippage_ticks = 1;
    core.limits.min_profit_usd_e6 = 1;
    core.plan = &plan;
    core.memory.cooling_until_ns = cooling_until_ns;
    core.memory.verdict = verdicts;
    core.memory.due_ns = due_ns;
    core.memory.tries = tries;
    core.memory.queue = queue;
    core.memory.queued = queued;
    core.epoch = core.ingest_epoch = 1;
    core.books = (const uint8_t *)books;
    core.book_stride = sizeof books[0];
    core.fence = &fence;
    core.ingest = &ingest;
    core.switches = &switches;
    core.stats = &stats;
    core.frame_to_signal = core.published_to_seen = core.seen_to_signal = &histogram;
    pt_look_at_everything(&core);
}

static void update_of_six_baskets(void) {
    REQUIRE(pt_take_update(&core, &update, 5) && stats.hits == 0);
    pt_keep(&core);
}

static void make_a_hit(void) {
    make_ready();
    show(range(MIDDLE), 2000, 50); /* too dear by far: its NO is cheap */
    pt_look(&core, range(MIDDLE));
}

static void walk_on_a_hit(void) {
    pt_walk walk;
    pt_order order;
    pt_start_walk(&core, &baskets[3 * MIDDLE], &walk);
    REQUIRE(pt_best_order(&walk, 1000000, (int64_t)1000000000, 1, &order));
    REQUIRE(walk.steps > LEVELS && order.size_e6 > 0);
    pt_keep(&order);
}

int main(int argc, char **argv) {
    static const pt_counted things[] = {
        {"update", make_ready, update_of_six_baskets},
        {"walk", make_a_hit, walk_on_a_hit},
        {NULL, NULL, NULL},
    };
    return count(things, argc, argv);
}
