"""Proving to the venue who we are: an EIP-712 signature once (L1), an HMAC for every request (L2).

Rules: docs/venue.md "Authentication".
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from executor.keccak import address_word, keccak
from executor.signing import CHAIN_ID
from executor.wallet import Wallet

_MESSAGE = b"This message attests that I control the given wallet"
_AUTH_TYPE = b"ClobAuth(address address,string timestamp,uint256 nonce,string message)"
_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId)"

Headers = dict[str, str]


def l1_digest(address: str, timestamp_s: int, nonce: int) -> bytes:
    """What the key signs to obtain its API credentials; the timestamp counts as text."""
    domain = keccak(
        keccak(_DOMAIN_TYPE)
        + keccak(b"ClobAuthDomain")
        + keccak(b"1")
        + CHAIN_ID.to_bytes(32, "big")
    )
    struct = keccak(
        keccak(_AUTH_TYPE)
        + address_word(address)
        + keccak(str(timestamp_s).encode())
        + nonce.to_bytes(32, "big")
        + keccak(_MESSAGE)
    )
    return keccak(b"\x19\x01" + domain + struct)


def l1_headers(wallet: Wallet, timestamp_s: int, nonce: int = 0) -> Headers:
    """Headers that ask for API credentials."""
    signature = wallet.sign(l1_digest(wallet.address, timestamp_s, nonce))
    return {
        "POLY_ADDRESS": wallet.address,
        "POLY_SIGNATURE": "0x" + signature.hex(),
        "POLY_TIMESTAMP": str(timestamp_s),
        "POLY_NONCE": str(nonce),
    }


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """API key, secret and passphrase. Never printed."""

    key: str
    secret: str
    passphrase: str

    def __repr__(self) -> str:
        return "Credentials(...)"


class RequestSigner:
    """L2 headers; the keyed HMAC state is made once and copied for every request."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self._keyed = hmac.new(
            base64.urlsafe_b64decode(credentials.secret), digestmod=hashlib.sha256
        )
        self.fixed = {
            "POLY_ADDRESS": address,
            "POLY_API_KEY": credentials.key,
            "POLY_PASSPHRASE": credentials.passphrase,
        }
        """The headers that are the same for every request."""

    def signature(self, timestamp_s: int, method: str, path: str, body: bytes | memoryview) -> str:
        """Value of POLY_SIGNATURE; `path` without query, `body` exactly as it will be sent."""
        state = self._keyed.copy()
        state.update(f"{timestamp_s}{method}{path}".encode())
        state.update(body)
        return base64.urlsafe_b64encode(state.digest()).decode()

    def headers(self, timestamp_s: int, method: str, path: str, body: bytes) -> Headers:
        """All headers of one request."""
        return {
            **self.fixed,
            "POLY_TIMESTAMP": str(timestamp_s),
            "POLY_SIGNATURE": self.signature(timestamp_s, method, path, body),
        }
