"""The curve: the only file that knows coincurve, which ships libsecp256k1 and its Python face."""

from coincurve import PrivateKey, PublicKey
from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

_KEY_BYTES = 32
_FUNCTIONS = (
    "secp256k1_ec_seckey_verify",
    "secp256k1_ec_seckey_negate",
    "secp256k1_ec_seckey_tweak_mul",
    "secp256k1_ec_seckey_tweak_add",
    "secp256k1_ec_pubkey_create",
    "secp256k1_ec_pubkey_serialize",
    "secp256k1_ecdsa_sign_recoverable",
    "secp256k1_ecdsa_recoverable_signature_serialize_compact",
)


def addresses() -> dict[str, int]:
    """Where the library's functions lie, for compiled code that calls them without Python."""
    found = {name: int(ffi.cast("uintptr_t", ffi.addressof(lib, name))) for name in _FUNCTIONS}
    nonce = lib.secp256k1_nonce_function_rfc6979
    found["secp256k1_nonce_function_rfc6979"] = int(ffi.cast("uintptr_t", nonce))
    found["context"] = int(ffi.cast("uintptr_t", GLOBAL_CONTEXT.ctx))
    return found


def recovered(digest: bytes, signature: bytes) -> bytes:
    """The public key (64 bytes, x and y) that made a signature of 65 bytes over a digest."""
    compact = signature[:64] + bytes([signature[64] - 27])
    public = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    return bytes(public.format(compressed=False)[1:])


class PlainKey:
    """A key in coincurve's own object: the reference, and what runs without compiler.

    `native.Key` has the same interface, keeps the secret in native memory and can prepare nonces.
    """

    def __init__(self, secret: bytearray) -> None:
        """Takes 32 bytes over and wipes them; ValueError if they are no key."""
        try:
            if len(secret) != _KEY_BYTES:
                raise ValueError("not a private key")
            self._key = PrivateKey(bytes(secret))
        finally:
            secret[:] = bytes(len(secret))
        self.public: bytes = self._key.public_key.format(compressed=False)[1:]
        """64 bytes, x and y."""
        self.prepared = 0
        """Signatures made with prepared nonces."""
        self.fallbacks = 0
        """Signatures for which the pool of prepared nonces was empty."""
        self.pooled = 0
        self.locked = False
        """Whether the secret lies in memory that is never swapped."""

    def sign(self, digest: bytes) -> bytes:
        """65 bytes r, s, v over a 32-byte digest; v is 27 or 28."""
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")

    def prepare(self, most: int) -> bool:  # noqa: ARG002  # the compiled key's interface
        """Prepare one more nonce unless there are `most`; without compiler there are none."""
        return False
