"""The wallet that trades: whose key signs, and whose money it is.

The key comes from a file that only its owner may read, never from environment, arguments or
settings, and goes straight into native memory (executor/signer.h); its way there is wiped.
"""

import os
import secrets
from pathlib import Path

from executor.curve import PlainKey, addresses
from executor.keccak import checksum_address, keccak
from executor.keyfile import read_key
from shm import backend
from shm.errors import ConfigError
from shm.passwords import wipe
from shm.settings import WalletSettings

_KEY_BYTES = 32
EOA = 0
DEPOSIT_WALLET = 3


class Wallet:
    """Signs digests. `address` is the key's own (EOA), `maker` the wallet that holds the money."""

    def __init__(self, key: PlainKey, settings: WalletSettings) -> None:
        self.key = key
        self.address = checksum_address(keccak(key.public)[12:])
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
        """65 bytes r, s, v over a 32-byte digest; v is 27 or 28."""
        return self.key.sign(digest)

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("a wallet is not pickled")


def make_key(secret: bytearray) -> PlainKey:
    """Take 32 bytes over and wipe them; ValueError if they are no key."""
    if not backend.NATIVE:
        return PlainKey(secret)
    key: PlainKey = backend.compiled("executor.native").Key(secret, addresses())
    return key


def load(path: Path, settings: WalletSettings, password_fd: int | None = None) -> Wallet:
    """Read the key file; `ConfigError` says what is wrong with it, never what is in it.

    `password_fd` is where the parent has left the password of a keystore (executor/keyfile.py).
    """
    secret = read_key(path, password_fd)
    try:
        return Wallet(make_key(secret), settings)
    except ValueError:
        raise ConfigError(f"key file {path} does not hold a private key in hex") from None
    finally:
        wipe(secret)


def ensure_paper_key(path: Path) -> None:
    """Make the paper wallet's key if there is none; it can only ever trade simulated money."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    while not path.exists():
        secret = secrets.token_bytes(_KEY_BYTES)
        try:
            PlainKey(bytearray(secret))  # all but a handful of 32-byte numbers are keys
        except ValueError:
            continue
        temporary = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secret.hex() + "\n")
        temporary.rename(path)
