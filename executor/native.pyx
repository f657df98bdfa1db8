# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The compiled signer: the key in native memory, and a batch of orders as one buffer.

`Key` is the twin of executor/curve.py's `PlainKey`, `Batch` of executor/batch.py's `PlainBatch`; they
document the interfaces. The work is done in signer.h and order.h.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from executor.order cimport (
    PT_BATCH_MAX, PT_BODY_MAX, PT_ORDER_TYPE_MAX, PT_PIECE_MAX, PT_POOL_MAX, PT_SIGNATURE_BYTES,
    pt_curve, pt_keccak, pt_pool_fill, pt_secrets, pt_secrets_free, pt_secrets_make, pt_sign,
    pt_sign_order, pt_signed, pt_signed_order, pt_terms, pt_wallet, pt_write_order,
)

from shm.codes import Side
from shm.segments import LAYOUT_ID  # nothing here depends on the layout

POOL_MAX = PT_POOL_MAX


def keccak_256(bytes data):
    """32 bytes."""
    cdef bytes digest = PyBytes_FromStringAndSize(NULL, 32)
    pt_keccak(data, len(data), <uint8_t *>PyBytes_AS_STRING(digest))
    return digest


cdef class Key:
    cdef pt_secrets *secrets
    cdef pt_curve curve
    cdef pt_signed counts
    cdef bint use_prepared
    cdef readonly bytes public

    def __cinit__(self, bytearray secret, addresses):
        """Takes 32 bytes over and wipes them; `addresses` are those of executor/curve.py."""
        self.secrets = pt_secrets_make()
        if self.secrets == NULL:
            raise OSError("no memory that a forked child does not inherit")
        self._bind(addresses)
        if len(secret) == 32:
            memcpy(self.secrets.key, <char *>secret, 32)
            memset(<char *>secret, 0, 32)
            self.secrets.has_key = self._verify()
        if not self.secrets.has_key:
            raise ValueError("not a private key")
        self.public = self._public()

    def __dealloc__(self):
        pt_secrets_free(self.secrets)

    cdef _bind(self, addresses):
        self.curve.context = <const void *><uintptr_t>addresses["context"]
        self.curve.seckey_verify = <void *><uintptr_t>addresses["secp256k1_ec_seckey_verify"]
        self.curve.seckey_negate = <void *><uintptr_t>addresses["secp256k1_ec_seckey_negate"]
        self.curve.tweak_mul = <void *><uintptr_t>addresses["secp256k1_ec_seckey_tweak_mul"]
        self.curve.tweak_add = <void *><uintptr_t>addresses["secp256k1_ec_seckey_tweak_add"]
        self.curve.pubkey_create = <void *><uintptr_t>addresses["secp256k1_ec_pubkey_create"]
        self.curve.pubkey_serialize = <void *><uintptr_t>addresses["secp256k1_ec_pubkey_serialize"]
        self.curve.sign_recoverable = (
            <void *><uintptr_t>addresses["secp256k1_ecdsa_sign_recoverable"]
        )
        self.curve.serialize_compact = (
            <void *><uintptr_t>addresses["secp256k1_ecdsa_recoverable_signature_serialize_compact"]
        )
        self.curve.nonce = <void *><uintptr_t>addresses["secp256k1_nonce_function_rfc6979"]

    cdef bint _verify(self):
        return (<int (*)(const void *, const uint8_t *) noexcept>self.curve.seckey_verify)(
            self.curve.context, self.secrets.key
        )

    cdef bytes _public(self):
        cdef uint8_t point[64]
        cdef uint8_t text[65]
        cdef size_t length = 65
        (<int (*)(const void *, uint8_t *, const uint8_t *) noexcept>self.curve.pubkey_create)(
            self.curve.context, point, self.secrets.key
        )
        (<int (*)(const void *, uint8_t *, size_t *, const uint8_t *, unsigned) noexcept>
            self.curve.pubkey_serialize)(self.curve.context, text, &length, point, 2)
        return text[1:65]

    def sign(self, bytes digest):
        if len(digest) != 32:
            raise ValueError(f"digest of {len(digest)} bytes")
        cdef bytes signature = PyBytes_FromStringAndSize(NULL, PT_SIGNATURE_BYTES)
        if not pt_sign(
            &self.curve, self.secrets, self.use_prepared, &self.counts, digest,
            <uint8_t *>PyBytes_AS_STRING(signature)
        ):
            raise ValueError("this process has no key: it was wiped when it was forked")
        return signature

    def prepare(self, uint64_t most):
        cdef bint put
        self.use_prepared = True
        with nogil:
            put = pt_pool_fill(&self.curve, self.secrets, most)
        return put

    @property
    def locked(self):
        return bool(self.secrets.locked)

    @property
    def pooled(self):
        return self.secrets.count

    @property
    def prepared(self):
        return self.counts.prepared

    @property
    def fallbacks(self):
        return self.counts.fallbacks

    def __reduce__(self):
        raise TypeError("a key is not pickled")


cdef class Batch:
    cdef Key key
    cdef pt_wallet wallet
    cdef pt_terms terms
    cdef dict domains
    cdef char *buffer
    cdef size_t head_bytes
    cdef size_t signature_at
    cdef size_t stamp_at
    cdef size_t length_at
    cdef char *end
    cdef int count

    def __cinit__(self, Key key, template):
        """`template` is executor/batch.py's: what wallet, account and connection fix."""
        self.key = key
        self.buffer = <char *>malloc(len(template.head) + PT_BODY_MAX + 2)
        if self.buffer == NULL:
            raise MemoryError
        self._load_wallet(template)
        self._load_pieces(template)
        self.domains = {int(exchange): word for exchange, word in template.domains.items()}
        self.head_bytes = len(template.head)
        memcpy(self.buffer, <const char *><bytes>template.head, self.head_bytes)
        self.stamp_at, self.signature_at, self.length_at = template.slots

    def __dealloc__(self):
        free(self.buffer)

    cdef _load_wallet(self, template):
        cdef int i
        for i, word in enumerate(template.words):
            memcpy(self.wallet.words[i], <const char *><bytes>word, 32)
        self.wallet.wrapped = template.wrapped_tail is not None
        if self.wallet.wrapped:
            if len(template.order_type) > PT_ORDER_TYPE_MAX or len(template.wrapped_tail) != 160:
                raise ValueError("the wrapped type does not fit")
            memcpy(self.wallet.wrapped_typehash, <const char *><bytes>template.wrapped_typehash, 32)
            memcpy(self.wallet.wrapped_tail, <const char *><bytes>template.wrapped_tail, 160)
            self.wallet.order_type_bytes = len(template.order_type)
            memcpy(
                self.wallet.order_type, <const char *><bytes>template.order_type,
                self.wallet.order_type_bytes
            )

    cdef _load_pieces(self, template):
        for piece in template.pieces:
            if len(piece) > PT_PIECE_MAX:
                raise ValueError(f"a piece of {len(piece)} bytes")
        before_token, before_stamp, before_sign, after_sign = template.pieces
        self.wallet.before_token_bytes = len(before_token)
        memcpy(self.wallet.before_token, <const char *><bytes>before_token, len(before_token))
        self.wallet.before_stamp_bytes = len(before_stamp)
        memcpy(self.wallet.before_stamp, <const char *><bytes>before_stamp, len(before_stamp))
        self.wallet.before_sign_bytes = len(before_sign)
        memcpy(self.wallet.before_sign, <const char *><bytes>before_sign, len(before_sign))
        self.wallet.after_sign_bytes = len(after_sign)
        memcpy(self.wallet.after_sign, <const char *><bytes>after_sign, len(after_sign))

    def start(self, uint64_t timestamp_ms):
        self.terms.timestamp_ms = timestamp_ms
        self.end = self.buffer + self.head_bytes
        self.end[0] = b"["
        self.end += 1
        self.count = 0

    def add(self, exchange, side, bytes token, amounts, uint64_t salt):
        cdef pt_signed_order order
        cdef bytes domain = self.domains[int(exchange)]
        cdef bytes text = str(int.from_bytes(token, "big")).encode()
        if self.count == PT_BATCH_MAX or len(token) != 32 or self.end == NULL:
            raise ValueError("a batch is started, and takes 15 orders of 32-byte tokens")
        self.terms.maker_amount, self.terms.taker_amount = amounts
        self.terms.salt = salt
        self.terms.sell = side is Side.SELL
        self.terms.token_text = text
        self.terms.token_text_bytes = len(text)
        memcpy(self.terms.domain, <const char *>domain, 32)
        memcpy(self.terms.token, <const char *>token, 32)
        if not pt_sign_order(
            &self.key.curve, self.key.secrets, self.key.use_prepared, &self.key.counts,
            &self.wallet, &self.terms, &order
        ):
            raise ValueError("this process has no key: it was wiped when it was forked")
        if self.count:
            self.end[0] = b","
            self.end += 1
        self.end = pt_write_order(self.end, &self.wallet, &self.terms, &order)
        self.count += 1
        return (<char *>order.hash)[:32], (<char *>order.signature)[:65]

    def body(self):
        """The body as a view; valid until the next `start`."""
        self.end[0] = b"]"
        cdef Py_ssize_t length = self.end + 1 - self.buffer
        return memoryview(_View(self, length))[self.head_bytes:]

    def request(self, bytes timestamp_s, bytes signature):
        """Head and body as one view, ready to be sent; valid until the next `start`."""
        cdef bytes length = b"%5d" % (self.end + 1 - self.buffer - self.head_bytes)
        if len(timestamp_s) != 10 or len(signature) != 44 or len(length) != 5:
            raise ValueError("a request's head has fixed places")
        memcpy(self.buffer + self.stamp_at, <const char *>timestamp_s, 10)
        memcpy(self.buffer + self.signature_at, <const char *>signature, 44)
        memcpy(self.buffer + self.length_at, <const char *>length, 5)
        return memoryview(_View(self, self.end + 1 - self.buffer))


cdef class _View:
    """Lends a batch's buffer out, read-only."""

    cdef Batch batch
    cdef Py_ssize_t length

    def __cinit__(self, Batch batch, Py_ssize_t length):
        self.batch = batch
        self.length = length

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.batch.buffer, self.length, 1, flags)
