/* Orders as bytes: hashed, signed, and written as JSON from parts that never change.
 *
 * An order's struct is twelve 32-byte words, of which a wallet and a contract fix all but six. What
 * executor/signing.py and executor/wire.py say is said here again for speed; tests compare the
 * bytes (tests/executor/test_batch.py).
 */
#ifndef POLYTRIO_ORDER_H
#define POLYTRIO_ORDER_H

#include "keccak.h"
#include "signer.h"

enum {
    PT_WORDS = 12,
    PT_WORD_SALT = 1,
    PT_WORD_TOKEN = 4,
    PT_WORD_MAKER_AMOUNT = 5,
    PT_WORD_TAKER_AMOUNT = 6,
    PT_WORD_SIDE = 7,
    PT_WORD_TIMESTAMP = 9,
    PT_ORDER_TYPE_MAX = 192,
    PT_WIRE_SIGNATURE_MAX = 65 + 64 + PT_ORDER_TYPE_MAX + 2,
    PT_PIECE_MAX = 512,
    PT_BATCH_MAX = 15, /* the venue's limit */
    PT_BODY_MAX = PT_BATCH_MAX * 2304,
};

/* What a wallet fixes of every order. */
typedef struct {
    uint8_t words[PT_WORDS][32];
    bool wrapped; /* a deposit wallet: the signature is nested (ERC-7739) */
    uint8_t wrapped_typehash[32];
    uint8_t wrapped_tail[160];
    uint8_t order_type[PT_ORDER_TYPE_MAX];
    size_t order_type_bytes;
    char before_token[PT_PIECE_MAX];   /* from behind the salt up to the token */
    char before_stamp[PT_PIECE_MAX];   /* from behind the side up to the timestamp */
    char before_sign[PT_PIECE_MAX];    /* from behind the timestamp up to the signature */
    char after_sign[PT_PIECE_MAX];     /* to the end of the element */
    size_t before_token_bytes, before_stamp_bytes, before_sign_bytes, after_sign_bytes;
} pt_wallet;

typedef struct {
    uint8_t domain[32];
    uint8_t token[32];
    const char *token_text;
    size_t token_text_bytes;
    uint64_t salt, maker_amount, taker_amount, timestamp_ms;
    bool sell;
} pt_terms;

typedef struct {
    uint8_t struct_hash[32];
    uint8_t hash[32];
    uint8_t signature[PT_WIRE_SIGNATURE_MAX];
    size_t signature_bytes;
} pt_signed_order;

static inline void pt_put_word(uint8_t word[32], uint64_t value) {
    for (int i = 31; i >= 24; i--, value >>= 8)
        word[i] = (uint8_t)value;
}

static inline void pt_typed_hash(const uint8_t domain[32], const uint8_t inner[32], uint8_t out[32]) {
    uint8_t message[66] = {0x19, 0x01};
    memcpy(message + 2, domain, 32);
    memcpy(message + 34, inner, 32);
    pt_keccak(message, sizeof message, out);
}

static inline void pt_hash_order(const pt_wallet *wallet, const pt_terms *terms,
                                 pt_signed_order *order) {
    uint8_t words[PT_WORDS][32];
    memcpy(words, wallet->words, sizeof words);
    pt_put_word(words[PT_WORD_SALT], terms->salt);
    memcpy(words[PT_WORD_TOKEN], terms->token, 32);
    pt_put_word(words[PT_WORD_MAKER_AMOUNT], terms->maker_amount);
    pt_put_word(words[PT_WORD_TAKER_AMOUNT], terms->taker_amount);
    words[PT_WORD_SIDE][31] = terms->sell;
    pt_put_word(words[PT_WORD_TIMESTAMP], terms->timestamp_ms);
    pt_keccak(words[0], sizeof words, order->struct_hash);
    pt_typed_hash(terms->domain, order->struct_hash, order->hash);
}

static inline bool pt_sign_order(const pt_curve *curve, pt_secrets *secrets, bool prepared,
                                 pt_signed *counts, const pt_wallet *wallet, const pt_terms *terms,
                                 pt_signed_order *order) {
    uint8_t digest[32];
    pt_hash_order(wallet, terms, order);
    order->signature_bytes = PT_SIGNATURE_BYTES;
    if (!wallet->wrapped)
        return pt_sign(curve, secrets, prepared, counts, order->hash, order->signature);
    uint8_t nested[32 + 32 + sizeof wallet->wrapped_tail];
    memcpy(nested, wallet->wrapped_typehash, 32);
    memcpy(nested + 32, order->struct_hash, 32);
    memcpy(nested + 64, wallet->wrapped_tail, sizeof wallet->wrapped_tail);
    pt_keccak(nested, sizeof nested, digest);
    pt_typed_hash(terms->domain, digest, digest);
    if (!pt_sign(curve, secrets, prepared, counts, digest, order->signature))
        return false;
    uint8_t *to = order->signature + PT_SIGNATURE_BYTES;
    memcpy(to, terms->domain, 32);
    memcpy(to + 32, order->struct_hash, 32);
    memcpy(to + 64, wallet->order_type, wallet->order_type_bytes);
    to += 64 + wallet->order_type_bytes;
    to[0] = (uint8_t)(wallet->order_type_bytes >> 8);
    to[1] = (uint8_t)wallet->order_type_bytes;
    order->signature_bytes = (size_t)(to + 2 - order->signature);
    return true;
}

/* --- as JSON ------------------------------------------------------------------------------------ */

static inline char *pt_put(char *to, const char *text, size_t bytes) {
    memcpy(to, text, bytes);
    return to + bytes;
}
#define PT_PUT(to, literal) pt_put((to), (literal), sizeof(literal) - 1)

static inline char *pt_put_number(char *to, uint64_t value) {
    char digits[20];
    int at = 20;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return pt_put(to, digits + at, (size_t)(20 - at));
}

static inline char *pt_put_hex(char *to, const uint8_t *data, size_t bytes) {
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes; i++) {
        *to++ = hex[data[i] >> 4];
        *to++ = hex[data[i] & 15];
    }
    return to;
}

/* One element of the batch; the caller has left room for it. Returns its end. */
static inline char *pt_write_order(char *to, const pt_wallet *wallet, const pt_terms *terms,
                                   const pt_signed_order *order) {
    to = PT_PUT(to, "{\"order\":{\"salt\":");
    to = pt_put_number(to, terms->salt);
    to = pt_put(to, wallet->before_token, wallet->before_token_bytes);
    to = pt_put(to, terms->token_text, terms->token_text_bytes);
    to = PT_PUT(to, "\",\"makerAmount\":\"");
    to = pt_put_number(to, terms->maker_amount);
    to = PT_PUT(to, "\",\"takerAmount\":\"");
    to = pt_put_number(to, terms->taker_amount);
    to = PT_PUT(to, "\",\"side\":\"");
    to = terms->sell ? PT_PUT(to, "SELL") : PT_PUT(to, "BUY");
    to = pt_put(to, wallet->before_stamp, wallet->before_stamp_bytes);
    to = pt_put_number(to, terms->timestamp_ms);
    to = pt_put(to, wallet->before_sign, wallet->before_sign_bytes);
    to = pt_put_hex(to, order->signature, order->signature_bytes);
    return pt_put(to, wallet->after_sign, wallet->after_sign_bytes);
}

#endif
