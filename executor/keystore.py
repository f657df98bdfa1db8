"""Keystore files, version 3: a key encrypted with a password. The only file that knows eth_keyfile.

Never imported where a key is used: the executor runs it as a short-lived child
(executor/keyfile.py), so that no copy of password or key that Python may leave behind outlives a
moment. What the file asks of processor and memory is bounded before anything is allocated.

    python -m executor.keystore FD    password on standard input, 32 bytes of key on standard output
"""

import os
import resource
import sys
from typing import Any, BinaryIO

import msgspec

from shm.errors import UNREADABLE, ConfigError
from shm.secrecy import harden

TEXT_BYTES_MAX = 65_536
PASSWORD_BYTES_MAX = 4_096
KEY_BYTES = 32
SCRYPT_N = 2**18
"""Cost of a new file: 256 MiB and about two seconds for each guess."""
MEMORY_BYTES_MAX = 512 * 2**20
WORK_MAX = 2**22
"""Twice the usual n * r * p; more would keep a start waiting."""
ITERATIONS_MAX = 10_000_000
CPU_S_MAX = 60
ADDRESS_SPACE_MAX = 2 * 2**30
_HASH_BYTES_MAX = 1_024


class _Lower(msgspec.Struct, frozen=True):
    """Base of the parts that matter; what else is in the file is left alone."""


class _Params(_Lower, frozen=True):
    dklen: int
    salt: str
    n: int = 0
    r: int = 0
    p: int = 0
    c: int = 0
    prf: str = ""


class _Cipher(_Lower, frozen=True):
    iv: str


class _Crypto(_Lower, frozen=True):
    cipher: str
    cipherparams: _Cipher
    ciphertext: str
    kdf: str
    kdfparams: _Params
    mac: str


class _Keystore(_Lower, frozen=True):
    version: int
    crypto: _Crypto


def parsed(text: bytes | bytearray) -> dict[str, Any]:
    """The file's object, if a child of ours can open it in bounded time and memory."""
    try:
        tree = _lower(msgspec.json.decode(text))
        found = msgspec.convert(tree, _Keystore)
    except UNREADABLE:
        raise ConfigError("it is no keystore of version 3, or damaged") from None
    _check(found)
    return {"version": 3, "crypto": tree["crypto"]}


def _lower(value: Any) -> Any:
    """Some wallets write `Crypto`."""
    if not isinstance(value, dict):
        return value
    return {str(name).lower(): _lower(inner) for name, inner in value.items()}


def _check(found: _Keystore) -> None:
    crypto, params = found.crypto, found.crypto.kdfparams
    if found.version != 3:
        raise ConfigError(f"it is a keystore of version {found.version}, and 3 is wanted")
    if crypto.cipher.lower() != "aes-128-ctr":
        raise ConfigError("its cipher is not aes-128-ctr")
    texts = (crypto.ciphertext, crypto.mac, crypto.cipherparams.iv, params.salt)
    if not all(_is_hex(text) for text in texts) or len(_bare(crypto.ciphertext)) != 2 * KEY_BYTES:
        raise ConfigError("it is no keystore of version 3, or damaged")
    if params.dklen != KEY_BYTES:
        raise ConfigError("its dklen is not 32")
    match crypto.kdf.lower():
        case "scrypt":
            _check_scrypt(params)
        case "pbkdf2":
            if params.prf.lower() != "hmac-sha256" or not 0 < params.c <= ITERATIONS_MAX:
                raise ConfigError(
                    f"its pbkdf2 asks for {params.c:,} rounds of {params.prf[:20]!r}: at most "
                    f"{ITERATIONS_MAX:,} of hmac-sha256 are allowed"
                )
        case _:
            raise ConfigError("its key derivation is neither scrypt nor pbkdf2")


def _check_scrypt(params: _Params) -> None:
    n, r, p = params.n, params.r, params.p
    if n < 2 or n & (n - 1) or r < 1 or p < 1:
        raise ConfigError("its scrypt parameters are none")
    if n * r * p > WORK_MAX or 128 * n * r > MEMORY_BYTES_MAX:
        raise ConfigError(
            f"its scrypt asks for n = {n:,}, r = {r:,}, p = {p:,}: more than this machine should "
            "spend on it; have the wallet that made it write it anew with n = 262,144"
        )


def _bare(text: str) -> str:
    return text.removeprefix("0x")


def _is_hex(text: str) -> bool:
    bare = _bare(text)
    digits = set("0123456789abcdefABCDEF")
    return 0 < len(bare) <= _HASH_BYTES_MAX and len(bare) % 2 == 0 and set(bare) <= digits


def decrypt(text: bytes | bytearray, password: bytes) -> bytes:
    """32 bytes; `ConfigError` says what is wrong, never what is inside."""
    from eth_keyfile.keyfile import decode_keyfile_json  # noqa: PLC0415  # after everything was checked

    tree = parsed(text)
    try:
        secret: bytes = decode_keyfile_json(tree, password)
    except ValueError:
        raise ConfigError("the password is wrong, or the file is damaged") from None
    return secret


def encrypt(secret: bytes | bytearray, password: bytes, n: int = SCRYPT_N) -> bytes:
    """The text of a new file."""
    from eth_keyfile.keyfile import create_keyfile_json  # noqa: PLC0415

    tree = create_keyfile_json(bytes(secret), password, version=3, kdf="scrypt", iterations=n)
    return msgspec.json.encode(tree) + b"\n"


def bound_child() -> None:
    """Whatever a file manages to ask for: this much and no more."""
    for limit, most in (
        (resource.RLIMIT_CPU, CPU_S_MAX),
        (resource.RLIMIT_AS, ADDRESS_SPACE_MAX),
    ):
        resource.setrlimit(limit, (most, most))


def _read(file: BinaryIO, most: int, too_long: str) -> bytes:
    text = file.read(most + 1)
    if len(text) > most:
        raise ConfigError(too_long)
    return text


def main() -> None:
    """Open one keystore for the executor; see the module."""
    harden()
    bound_child()
    try:
        with os.fdopen(int(sys.argv[1]), "rb") as file:
            text = _read(file, TEXT_BYTES_MAX, "it is too long for a keystore")
        password = _read(sys.stdin.buffer, PASSWORD_BYTES_MAX, "the password is too long")
        secret = decrypt(text, password)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    except MemoryError:
        sys.stderr.write("this machine has not enough memory to open it\n")
        sys.exit(ConfigError.exit_code)
    except Exception as error:  # noqa: BLE001  # a traceback could show what must not be seen
        sys.stderr.write(f"it cannot be opened ({type(error).__name__})\n")
        sys.exit(ConfigError.exit_code)
    sys.stdout.buffer.write(secret)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
