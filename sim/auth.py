"""The venue's two authentications and its API keys (protocol.md C.1, C.2).

L1 is an EIP-712 statement of the EOA and gives keys; L2 is an HMAC with a key's secret over every
private request. Failing is a value: the caller answers it with 401.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from eth_keys.exceptions import BadSignature
from eth_utils.address import is_address, to_checksum_address
from eth_utils.exceptions import ValidationError

from sim.ethereum import Account, SignableMessage, encode_typed_data
from sim.limits import AUTH_SKEW_S, MAX_API_KEYS

CHAIN_ID = 137
STATEMENT = "This message attests that I control the given wallet"
_DOMAIN = {"name": "ClobAuthDomain", "version": "1", "chainId": CHAIN_ID}
_TYPES = {
    "ClobAuth": [
        {"name": "address", "type": "address"},
        {"name": "timestamp", "type": "string"},
        {"name": "nonce", "type": "uint256"},
        {"name": "message", "type": "string"},
    ]
}
_NONCE_DIGITS_MAX = 20
_TIMESTAMP_DIGITS_MAX = 12


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Credentials of one EOA; `key` is the order owner that the venue wants to see."""

    key: str
    secret: str
    passphrase: str
    address: str
    nonce: int

    def public(self) -> dict[str, str]:
        """What the venue answers on creation and derivation."""
        return {"apiKey": self.key, "secret": self.secret, "passphrase": self.passphrase}


class KeyRing:
    """All API keys; one for each EOA and nonce, derived from a secret of this exchange."""

    def __init__(self, seed: int) -> None:
        self._root = hashlib.sha256(f"sim api keys {seed}".encode()).digest()
        self._keys: dict[str, ApiKey] = {}
        self._by_nonce: dict[tuple[str, int], ApiKey] = {}

    def create(self, address: str, nonce: int) -> ApiKey | None:
        """A new key, or None when this nonce has one already or there are too many."""
        if (address, nonce) in self._by_nonce or len(self._keys) >= MAX_API_KEYS:
            return None
        material = self._root + f"{address} {nonce} {len(self._keys)}".encode()
        one = ApiKey(
            key=str(uuid.UUID(bytes=hashlib.sha256(b"key" + material).digest()[:16], version=4)),
            secret=base64.urlsafe_b64encode(hashlib.sha256(b"secret" + material).digest()).decode(),
            passphrase=hashlib.sha256(b"passphrase" + material).hexdigest(),
            address=address,
            nonce=nonce,
        )
        self._keys[one.key] = self._by_nonce[address, nonce] = one
        return one

    def derive(self, address: str, nonce: int) -> ApiKey | None:
        """The key of this EOA and nonce, if it was created."""
        return self._by_nonce.get((address, nonce))

    def get(self, key: str) -> ApiKey | None:
        """The key with this id."""
        return self._keys.get(key)

    def of_address(self, address: str) -> list[str]:
        """Ids of all keys of an EOA."""
        return [one.key for one in self._keys.values() if one.address == address]

    def delete(self, key: ApiKey) -> None:
        """Forget a key; `KeyError` when it is not there."""
        del self._keys[key.key], self._by_nonce[key.address, key.nonce]


def l1_message(address: str, timestamp: str, nonce: int) -> SignableMessage:
    """The statement that the EOA signs; the timestamp is signed as a string."""
    statement = {"address": address, "timestamp": timestamp, "nonce": nonce, "message": STATEMENT}
    return encode_typed_data(_DOMAIN, _TYPES, statement)


def l1_identity(headers: Mapping[str, str], now_s: int) -> tuple[str, int] | None:
    """(EOA, nonce) of a request whose L1 headers verify, else None."""
    address = headers.get("POLY_ADDRESS", "")
    timestamp = headers.get("POLY_TIMESTAMP", "")
    nonce = headers.get("POLY_NONCE", "0")
    if not is_address(address) or not _is_recent(timestamp, now_s):
        return None
    if not _is_digits(nonce, _NONCE_DIGITS_MAX):
        return None
    eoa = to_checksum_address(address)
    try:
        recovered = Account.recover_message(
            l1_message(eoa, timestamp, int(nonce)), signature=headers.get("POLY_SIGNATURE", "0x")
        )
    except (BadSignature, ValidationError, ValueError):
        return None
    return (eoa, int(nonce)) if recovered == eoa else None


def l2_signature(secret: str, timestamp: str, request: str, body: bytes) -> str:
    """URL-safe base64 of the HMAC; `request` is the method and the path without its query."""
    key = base64.urlsafe_b64decode(secret)
    digest = hmac.new(key, f"{timestamp}{request}".encode() + body, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()


def l2_key(
    ring: KeyRing, headers: Mapping[str, str], request: str, body: bytes, now_s: int
) -> ApiKey | None:
    """The API key of a request whose L2 headers verify, else None.

    `request` is the upper-case method and the path without its query, joined.
    """
    key = ring.get(headers.get("POLY_API_KEY", ""))
    timestamp = headers.get("POLY_TIMESTAMP", "")
    if key is None or not _is_recent(timestamp, now_s):
        return None
    if headers.get("POLY_ADDRESS", "").lower() != key.address.lower():
        return None
    expected = l2_signature(key.secret, timestamp, request, body)
    signed = _same(headers.get("POLY_SIGNATURE", ""), expected)
    known = _same(headers.get("POLY_PASSPHRASE", ""), key.passphrase)
    return key if signed and known else None


def socket_key(ring: KeyRing, key: str, secret: str, passphrase: str) -> ApiKey | None:
    """The API key of raw credentials on the user channel, else None."""
    one = ring.get(key)
    if one is None:
        return None
    matches = [_same(secret, one.secret), _same(passphrase, one.passphrase)]
    return one if all(matches) else None


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def _is_digits(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= most


def _is_recent(timestamp: str, now_s: int) -> bool:
    if not _is_digits(timestamp, _TIMESTAMP_DIGITS_MAX):
        return False
    return abs(int(timestamp) - now_s) <= AUTH_SKEW_S
