"""The venue's API credentials: what they sign, and how the killer gets them.

They cancel and read, and cannot place an order: that takes the wallet's key. So the executor hands
them over, after it has logged in, in a file that only its owner can read, and the killer needs
nothing else. Rules of the signature: docs/venue.md "Authentication".
"""

import base64
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec

from shm.errors import UNREADABLE

Headers = dict[str, str]
FILE_NAME = "killer.credentials"
FILE_MODE = 0o600


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """API key, secret and passphrase. Never printed."""

    key: str
    secret: str
    passphrase: str

    def __repr__(self) -> str:
        return "Credentials(...)"

    def __reduce__(self) -> str:
        raise TypeError("credentials are not pickled")


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

    def __reduce__(self) -> str:
        raise TypeError("credentials are not pickled")


class _Handed(msgspec.Struct, frozen=True):
    address: str
    key: str
    secret: str
    passphrase: str

    def __repr__(self) -> str:
        return "_Handed(...)"


def hand_over(var_path: Path, address: str, credentials: Credentials) -> None:
    """Leave the credentials for the killer; OSError if there is no room for them.

    The executor calls this each time it has logged in; a wallet has one. The file changes as a
    whole. What one that died half-way has left, with the same secrets in it, goes first.
    """
    for left in var_path.glob(f".{FILE_NAME}.*"):
        left.unlink(missing_ok=True)
    text = msgspec.json.encode(
        _Handed(address, credentials.key, credentials.secret, credentials.passphrase)
    )
    temporary = var_path / f".{FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, FILE_MODE), "wb") as out:
            out.write(text)
        temporary.rename(var_path / FILE_NAME)
    finally:
        temporary.unlink(missing_ok=True)


class Handed:
    """The killer's end: a signer, as long as there are credentials, and always of the newest."""

    def __init__(self, var_path: Path) -> None:
        self._path = var_path / FILE_NAME
        self._seen: tuple[int, ...] = ()
        self.signer: RequestSigner | None = None
        self.trouble = "the executor has not logged in yet"
        """Why there is no signer, in words that give nothing away."""

    def look(self) -> bool:
        """Read the file if it has changed; whether there is another signer than before.

        Credentials that were good stay when their file goes: they may still cancel.
        """
        try:
            status = self._path.stat()
        except OSError:
            return False
        seen = (status.st_ino, status.st_ctime_ns, status.st_size)
        if seen == self._seen:
            return False
        self._seen = seen
        signer = self._read()
        if signer is not None:
            self.signer, self.trouble = signer, ""
        return signer is not None

    def _read(self) -> RequestSigner | None:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            with os.fdopen(fd, "rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                text = file.read()
        except OSError as error:
            self.trouble = f"{self._path} cannot be read: {error.strerror}"
            return None
        if mode & 0o077:
            self.trouble = f"{self._path} is open to others (mode {mode:o}): chmod 600"
            return None
        try:
            handed = msgspec.json.decode(text, type=_Handed)
            credentials = Credentials(handed.key, handed.secret, handed.passphrase)
            return RequestSigner(handed.address, credentials)
        except UNREADABLE:
            self.trouble = f"{self._path} does not hold credentials"
            return None
