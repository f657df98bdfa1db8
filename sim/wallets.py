"""Which wallet an EOA trades with under each signature type: CREATE2 addresses (protocol.md G.1).

All of them are derived, so an order of somebody else's wallet is refused without any memory of who
came first. The init codes are those of the deployed factories; the vectors' four addresses for the
test key come out of them.
"""

import enum
from functools import lru_cache

from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak

PROXY_FACTORY = to_canonical_address("0xaB45c5A4B0c941a2F231C04C3f49182e1A254052")
PROXY_INIT_HASH = bytes.fromhex("d21df8dc65880a8606f09fe0ce3df9b8869287ab0b058be05aa9e8af6330a00b")
SAFE_FACTORY = to_canonical_address("0xaacFeEa03eb1561C4e67d661e40682Bd20E3541b")
SAFE_INIT_HASH = bytes.fromhex("2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf")
DEPOSIT_FACTORY = to_canonical_address("0x00000000000Fb5C9ADea0298D729A0CB3823Cc07")
DEPOSIT_BEACON = to_canonical_address("0x7A18EDfe055488A3128f01F563e5B479D92ffc3a")

# An ERC-1967 beacon proxy whose runtime is followed by its arguments; the second and third byte
# are the length of both together.
_BEACON_RUNTIME_BYTES = 0x52
_BEACON_PREFIX = bytes.fromhex("3d8160233d3973")
_BEACON_CODE = bytes.fromhex(
    "60195155f3363d3d373d3d363d602036600436635c60da1b60e01b36527f"
    "a3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50"
    "545afa5036515af43d6000803e604d573d6000fd5b3d6000f3"
)


class SignatureType(enum.IntEnum):
    """How an order is signed, and so which wallet pays."""

    EOA = 0
    PROXY = 1
    SAFE = 2
    DEPOSIT = 3


@lru_cache(maxsize=4096)
def wallet_of(eoa: str, signature_type: SignatureType) -> str:
    """Checksummed address of the wallet that `eoa` controls under a signature type."""
    return _DERIVE[signature_type](to_canonical_address(eoa))


def _create2(factory: bytes, salt: bytes, init_hash: bytes) -> str:
    return to_checksum_address(keccak(b"\xff" + factory + salt + init_hash)[12:])


def _word(address: bytes) -> bytes:
    return address.rjust(32, b"\x00")


def _deposit(eoa: bytes) -> str:
    arguments = _word(DEPOSIT_FACTORY) + _word(eoa)
    length = (_BEACON_RUNTIME_BYTES + len(arguments)).to_bytes(2, "big")
    code = b"\x61" + length + _BEACON_PREFIX + DEPOSIT_BEACON + _BEACON_CODE + arguments
    return _create2(DEPOSIT_FACTORY, keccak(arguments), keccak(code))


_DERIVE = {
    SignatureType.EOA: to_checksum_address,
    SignatureType.PROXY: lambda eoa: _create2(PROXY_FACTORY, keccak(eoa), PROXY_INIT_HASH),
    SignatureType.SAFE: lambda eoa: _create2(SAFE_FACTORY, keccak(_word(eoa)), SAFE_INIT_HASH),
    SignatureType.DEPOSIT: _deposit,
}
