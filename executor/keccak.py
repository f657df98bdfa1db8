"""Keccak-256 and the address forms built on it: what Ethereum calls a hash."""

from sha3 import keccak_256


def keccak(data: bytes) -> bytes:
    """32 bytes."""
    digest: bytes = keccak_256(data).digest()
    return digest


def checksum_address(address: bytes) -> str:
    """20 bytes -> "0x..." with the mixed case of EIP-55."""
    digits = address.hex()
    shades = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(shade, 16) >= 8 else digit
        for digit, shade in zip(digits, shades, strict=False)
    )


def address_word(address: str) -> bytes:
    """Hex address -> the 32-byte word that EIP-712 hashes."""
    return bytes.fromhex(address.removeprefix("0x")).rjust(32, b"\0")
