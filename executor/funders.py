"""Which wallet a key trades with under each signature type: the venue's CREATE2 addresses.

The venue derives them itself and tells nobody, so a funder that is not the derived one cannot
trade, whatever it holds. `polytrio doctor` compares. Constants: docs/venue.md "Signing".
"""

from collections.abc import Callable

from executor.keccak import checksum_address, keccak

EOA, PROXY, SAFE, DEPOSIT = 0, 1, 2, 3
_PROXY_FACTORY = bytes.fromhex("aB45c5A4B0c941a2F231C04C3f49182e1A254052")
_PROXY_CODE_HASH = bytes.fromhex("d21df8dc65880a8606f09fe0ce3df9b8869287ab0b058be05aa9e8af6330a00b")
_SAFE_FACTORY = bytes.fromhex("aacFeEa03eb1561C4e67d661e40682Bd20E3541b")
_SAFE_CODE_HASH = bytes.fromhex("2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf")
_DEPOSIT_FACTORY = bytes.fromhex("00000000000Fb5C9ADea0298D729A0CB3823Cc07")
_DEPOSIT_BEACON = bytes.fromhex("7A18EDfe055488A3128f01F563e5B479D92ffc3a")
_DEPOSIT_RUNTIME_BYTES = 0x52
_DEPOSIT_CODE = (
    bytes.fromhex("3d8160233d3973"),
    bytes.fromhex(
        "60195155f3363d3d373d3d363d602036600436635c60da1b60e01b36527fa3f0ad74e5423aebfd80d3ef43"
        "46578335a9a72aeaee59ff6cb3582b35133d50545afa5036515af43d6000803e604d573d6000fd5b3d6000"
        "f3"
    ),
)
"""An ERC-1967 beacon proxy: the beacon stands between these, the arguments behind."""


def funder_of(owner: bytes, signature_type: int) -> str:
    """Checksummed address of the wallet that holds the money of an owner's 20-byte address."""
    assert len(owner) == 20, "an address"
    return checksum_address(_DERIVED[signature_type](owner))


def _create2(factory: bytes, salt: bytes, code_hash: bytes) -> bytes:
    return keccak(b"\xff" + factory + salt + code_hash)[12:]


def _word(address: bytes) -> bytes:
    return address.rjust(32, b"\0")


def _deposit(owner: bytes) -> bytes:
    arguments = _word(_DEPOSIT_FACTORY) + _word(owner)
    length = (_DEPOSIT_RUNTIME_BYTES + len(arguments)).to_bytes(2, "big")
    head, tail = _DEPOSIT_CODE
    code = b"\x61" + length + head + _DEPOSIT_BEACON + tail + arguments
    return _create2(_DEPOSIT_FACTORY, keccak(arguments), keccak(code))


_DERIVED: dict[int, Callable[[bytes], bytes]] = {
    EOA: bytes,
    PROXY: lambda owner: _create2(_PROXY_FACTORY, keccak(owner), _PROXY_CODE_HASH),
    SAFE: lambda owner: _create2(_SAFE_FACTORY, keccak(_word(owner)), _SAFE_CODE_HASH),
    DEPOSIT: _deposit,
}
