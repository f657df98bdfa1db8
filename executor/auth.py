"""Proving to the venue who we are: an EIP-712 signature once (L1), an HMAC for every request (L2).

The second is in executor/credentials.py, apart from everything that knows a wallet's key. Rules:
docs/venue.md "Authentication".
"""

from executor.credentials import Credentials, Headers, RequestSigner
from executor.keccak import address_word, keccak
from executor.signing import CHAIN_ID
from executor.wallet import Wallet

__all__ = ["Credentials", "Headers", "RequestSigner", "l1_digest", "l1_headers"]

_MESSAGE = b"This message attests that I control the given wallet"
_AUTH_TYPE = b"ClobAuth(address address,string timestamp,uint256 nonce,string message)"
_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId)"


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
