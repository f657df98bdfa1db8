"""The C parts of signing as Cython sees them: executor/keccak.h, signer.h, order.h."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "order.h" nogil:
    enum:
        PT_POOL_MAX
        PT_SIGNATURE_BYTES
        PT_ORDER_TYPE_MAX
        PT_PIECE_MAX
        PT_BATCH_MAX
        PT_BODY_MAX
    ctypedef struct pt_curve:
        const void *context
        void *seckey_verify
        void *seckey_negate
        void *tweak_mul
        void *tweak_add
        void *pubkey_create
        void *pubkey_serialize
        void *sign_recoverable
        void *serialize_compact
        void *nonce
    ctypedef struct pt_secrets:
        uint8_t *key
        bint has_key
        bint locked
        uint32_t count
    ctypedef struct pt_signed:
        uint64_t prepared, fallbacks
    ctypedef struct pt_wallet:
        uint8_t (*words)[32]
        bint wrapped
        uint8_t *wrapped_typehash
        uint8_t *wrapped_tail
        uint8_t *order_type
        size_t order_type_bytes
        char *before_token
        char *before_stamp
        char *before_sign
        char *after_sign
        size_t before_token_bytes, before_stamp_bytes, before_sign_bytes, after_sign_bytes
    ctypedef struct pt_terms:
        uint8_t *domain
        uint8_t *token
        const char *token_text
        size_t token_text_bytes
        uint64_t salt, maker_amount, taker_amount, timestamp_ms
        bint sell
    ctypedef struct pt_signed_order:
        uint8_t *struct_hash
        uint8_t *hash
        uint8_t *signature
        size_t signature_bytes
    void pt_keccak(const uint8_t *, size_t, uint8_t *)
    pt_secrets *pt_secrets_make()
    void pt_secrets_free(pt_secrets *)
    bint pt_pool_fill(const pt_curve *, pt_secrets *, uint32_t)
    bint pt_sign(const pt_curve *, pt_secrets *, bint, pt_signed *, const uint8_t *, uint8_t *)
    bint pt_sign_order(
        const pt_curve *, pt_secrets *, bint, pt_signed *, const pt_wallet *, const pt_terms *,
        pt_signed_order *
    )
    char *pt_write_order(
        char *, const pt_wallet *, const pt_terms *, const pt_signed_order *
    )
