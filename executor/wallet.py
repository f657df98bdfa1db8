"""The signing key and the wallet it trades for. The key never leaves this file's object.

It comes from a file that only its owner may read; never from environment, arguments or settings.
"""

import os
import secrets
import stat
from pathlib import Path

from coincurve import PrivateKey

from executor.keccak import checksum_address, keccak
from shm.errors import ConfigError
from shm.settings import WalletSettings

_KEY_BYTES = 32
EOA = 0
DEPOSIT_WALLET = 3


class Wallet:
    """Signs digests. `address` is the key's own (EOA), `maker` the wallet that holds the money."""

    def __init__(self, secret: bytes, settings: WalletSettings) -> None:
        self._key = PrivateKey(secret)
        public = self._key.public_key.format(compressed=False)[1:]
        self.address = checksum_address(keccak(public)[12:])
        self.signature_type = settings.signature_type
        self.maker = self._maker(settings)
        # A deposit wallet signs as itself: its owner's key only proves the signature's inside.
        self.signer = self.maker if self.signature_type == DEPOSIT_WALLET else self.address

    def _maker(self, settings: WalletSettings) -> str:
        if settings.signature_type == EOA:
            if settings.funder and settings.funder.lower() != self.address.lower():
                raise ConfigError(
                    f"wallet.funder is {settings.funder}, but with signature_type = 0 the money is "
                    f"at the key's own address {self.address}: leave funder empty"
                )
            return self.address
        if not settings.funder:
            raise ConfigError(
                f"wallet.signature_type = {settings.signature_type} needs wallet.funder: the "
                "address of the proxy, Safe or deposit wallet that holds the money"
            )
        return checksum_address(bytes.fromhex(settings.funder[2:]))

    def sign(self, digest: bytes) -> bytes:
        """65 bytes r, s, v over a 32-byte digest; deterministic (RFC 6979), v is 27 or 28."""
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("a wallet is not pickled")


def load(path: Path, settings: WalletSettings) -> Wallet:
    """Read the key file; `ConfigError` says what is wrong with it, never what is in it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(256)
    except FileNotFoundError:
        raise ConfigError(f"no key file {path}") from None
    except OSError as error:
        raise ConfigError(f"key file {path} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise ConfigError(f"key file {path} is open to others (mode {mode:o}): chmod 600 {path}")
    try:
        secret = bytes.fromhex(text.decode("ascii").strip().removeprefix("0x"))
        return Wallet(_require_size(secret), settings)
    except ValueError:
        raise ConfigError(f"key file {path} does not hold a private key in hex") from None


def _require_size(secret: bytes) -> bytes:
    if len(secret) != _KEY_BYTES:
        raise ValueError
    return secret


def ensure_paper_key(path: Path) -> None:
    """Make the paper wallet's key if there is none; it can only ever trade simulated money."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    while not path.exists():
        secret = secrets.token_bytes(_KEY_BYTES)
        try:
            PrivateKey(secret)  # all but a handful of 32-byte numbers are keys
        except ValueError:
            continue
        temporary = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secret.hex() + "\n")
        temporary.rename(path)
