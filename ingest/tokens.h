/* From a token id, as the venue prints it, to its market's row: one hash, one comparison.
 *
 * Open addressing, never more than half full. Token ids are hashes themselves, so their last
 * sixteen digits are random enough. Cleared and filled anew when markets go.
 */
#ifndef POLYTRIO_TOKENS_H
#define POLYTRIO_TOKENS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PT_TOKEN_CHARS_MAX = 78, PT_TOKEN_NONE = UINT32_MAX };

typedef struct {
    uint32_t length; /* 0: free */
    uint32_t side;   /* row * 2, and 1 more for the NO token */
    char text[PT_TOKEN_CHARS_MAX + 2];
} pt_token;

typedef struct {
    pt_token *slots;
    uint32_t mask;
} pt_tokens;

static inline bool pt_tokens_make(pt_tokens *tokens, uint32_t most) {
    uint32_t slots = 16;
    while (slots < 2 * most)
        slots *= 2;
    tokens->mask = slots - 1;
    tokens->slots = calloc(slots, sizeof *tokens->slots);
    return tokens->slots != NULL;
}

static inline uint32_t pt_token_hash(const char *text, uint32_t length) {
    uint64_t low = 0, high = 0;
    if (length >= 16) {
        memcpy(&low, text + length - 8, 8);
        memcpy(&high, text + length - 16, 8);
    } else {
        memcpy(&low, text, length < 8 ? length : 8);
    }
    return (uint32_t)(((low * 0x9e3779b97f4a7c15u) ^ high) * 0xff51afd7ed558ccdu >> 32);
}

static inline pt_token *pt_tokens_slot(const pt_tokens *tokens, const char *text, uint32_t length) {
    uint32_t at = pt_token_hash(text, length) & tokens->mask;
    while (tokens->slots[at].length != 0) {
        pt_token *slot = &tokens->slots[at];
        if (slot->length == length && memcmp(slot->text, text, length) == 0)
            return slot;
        at = (at + 1) & tokens->mask;
    }
    return &tokens->slots[at];
}

static inline void pt_tokens_add(pt_tokens *tokens, const char *text, uint32_t length,
                                 uint32_t side) {
    pt_token *slot = pt_tokens_slot(tokens, text, length);
    slot->length = length;
    slot->side = side;
    memcpy(slot->text, text, length);
}

/* Row * 2 (+ 1 for NO), or PT_TOKEN_NONE. */
static inline uint32_t pt_tokens_find(const pt_tokens *tokens, const char *text, uint32_t length) {
    if (length == 0 || length > PT_TOKEN_CHARS_MAX)
        return PT_TOKEN_NONE;
    const pt_token *slot = pt_tokens_slot(tokens, text, length);
    return slot->length == 0 ? PT_TOKEN_NONE : slot->side;
}

static inline void pt_tokens_clear(pt_tokens *tokens) {
    memset(tokens->slots, 0, ((size_t)tokens->mask + 1) * sizeof *tokens->slots);
}

#endif
