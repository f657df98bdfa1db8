"""The wallet that trades: whose key signs, and whose money it is.

The key comes from a file that only its owner may read, never from environment, arguments or
settings, and goes straight into native memory (executor/signer.h); its way there is wiped.
"""

import os
import secrets
import stat
from pathlib import Path

from executor.curve import PlainKey, addresses
from executor.keccak import checksum_address, keccak
from shm import backend
from shm.errors import ConfigError
from shm.settings import WalletSettings

_KEY_BYTES = 32
_FILE_BYTES_MAX = 256
_SPACE = b" \t\r\n"
_DIGITS = b"0123456789abcdef"
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


def load(path: Path, settings: WalletSettings) -> Wallet:
    """Read the key file; `ConfigError` says what is wrong with it, never what is in it."""
    text = bytearray(_FILE_BYTES_MAX)
    secret = bytearray(_KEY_BYTES)
    try:
        with path.open("rb", buffering=0) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            length = file.readinto(text)
        if mode & 0o077:
            raise ConfigError(
                f"key file {path} is open to others (mode {mode:o}): chmod 600 {path}"
            )
        _unhex(text, length, secret)
        return Wallet(make_key(secret), settings)
    except FileNotFoundError:
        raise ConfigError(f"no key file {path}") from None
    except OSError as error:
        raise ConfigError(f"key file {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"key file {path} does not hold a private key in hex") from None
    finally:
        text[:] = bytes(len(text))
        secret[:] = bytes(len(secret))


def _unhex(text: bytearray, length: int, secret: bytearray) -> None:
    """Hex digits, with or without 0x, into `secret`; ValueError if they are not its length.

    Digit by digit, in place: slices and `bytes.fromhex` would leave copies that nobody can wipe.
    """
    start, end = 0, length
    while start < end and text[start] in _SPACE:
        start += 1
    while start < end and text[end - 1] in _SPACE:
        end -= 1
    if end - start >= 2 and text[start] == ord("0") and text[start + 1] == ord("x"):
        start += 2
    if end - start != 2 * len(secret):
        raise ValueError("wrong length")
    for i in range(len(secret)):
        high, low = text[start + 2 * i], text[start + 2 * i + 1]
        secret[i] = _digit(high) << 4 | _digit(low)


def _digit(code: int) -> int:
    lower = code | 0x20 if ord("A") <= code <= ord("F") else code
    return _DIGITS.index(lower)


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
