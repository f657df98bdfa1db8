/* An order hashed and written, and the hash alone: the executor's part, without the curve. */
#include "order.h"

#include "counted.h"

static uint8_t words[PT_WORDS][32], digest[32];
static pt_wallet wallet;
static pt_signed_order order;
static char body[4096];
static pt_terms terms = {
    .token_text = "71127630386120656758408978044351419482245124376038216083094380571334164423050",
    .salt = 1234567890123, .maker_amount = 28000000, .taker_amount = 100000000,
    .timestamp_ms = 1790000000000,
};

static size_t fill(char *piece, size_t length) {
    memset(piece, 'x', length);
    return length;
}

static void make_ready(void) {
    for (size_t i = 0; i < sizeof words; i++)
        words[i / 32][i % 32] = (uint8_t)(i * 7);
    memcpy(wallet.words, words, sizeof words);
    terms.token_text_bytes = strlen(terms.token_text);
    wallet.before_token_bytes = fill(wallet.before_token, 180);
    wallet.before_stamp_bytes = fill(wallet.before_stamp, 60);
    wallet.before_sign_bytes = fill(wallet.before_sign, 210);
    wallet.after_sign_bytes = fill(wallet.after_sign, 120);
    order.signature_bytes = PT_SIGNATURE_BYTES;
}

static void keccak_384(void) {
    words[0][0]++;
    pt_keccak(words[0], sizeof words, digest);
    pt_keep(digest);
}

static void order_hashed_and_written(void) {
    terms.salt++;
    pt_hash_order(&wallet, &terms, &order);
    char *end = pt_write_order(body, &wallet, &terms, &order);
    REQUIRE(end > body + 700 && end < body + sizeof body);
    pt_keep(body);
}

int main(int argc, char **argv) {
    static const pt_counted things[] = {
        {"keccak", make_ready, keccak_384},
        {"order", make_ready, order_hashed_and_written},
        {NULL, NULL, NULL},
    };
    return count(things, argc, argv);
}
