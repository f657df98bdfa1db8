"""`polytrio wallet`: makes key files, takes keys over into them, and says whose they are.

    new      a fresh key
    import   a key that exists: typed, over a descriptor, or from another key file
    check    open a key file and print the address it stands for; nothing is written

A file is written under another name, read back, and only then linked to its place, which must be
free: nothing is ever overwritten. This process forbids looks into it before it knows any secret,
and its life is short.
"""

import argparse
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import msgspec

from executor import keystore
from executor.keyfile import KEY_BYTES, parse_hex, read_key
from executor.wallet import Wallet, load, make_key
from shm.errors import ConfigError, InputError, PolytrioError
from shm.passwords import Ask, ask, ask_new, handed, handed_on, needs_password, read_password, wipe
from shm.secrecy import harden
from shm.settings import Settings, WalletSettings
from shm.settings import load as load_settings

FILE_MODE = 0o600
_EOA = WalletSettings()


class Told(msgspec.Struct, frozen=True):
    """What is printed: never anything secret."""

    address: str
    """Of the key itself."""
    file: str
    format: str
    maker: str = ""
    """The wallet that holds the money, as the settings have it (check)."""
    signature_type: int | None = None


@dataclass(frozen=True)
class Asked:
    """The command line."""

    verb: str
    file: Path
    plain: bool
    settings: Settings
    password_fd: int | None
    key_fd: int | None
    key_from: Path | None
    ask: Ask = ask


def act(asked: Asked) -> Told:
    """Carry out a verb; `PolytrioError` says why not."""
    if asked.verb != "check":
        _require_free(asked.file)
    match asked.verb:
        case "new":
            return _keep(asked, _fresh())
        case "import":
            return _keep(asked, _given(asked))
        case _:
            return _check(asked)


# --- where keys come from -----------------------------------------------------------------------


def _fresh() -> bytearray:
    while True:
        secret = bytearray(secrets.token_bytes(KEY_BYTES))
        with suppress(ValueError):  # all but a handful of 32-byte numbers are keys
            _address(secret)
            return secret


def _given(asked: Asked) -> bytearray:
    if asked.key_from is not None:
        return _opened(asked.key_from, None, asked.ask)
    if asked.key_fd is not None:
        text = read_password(asked.key_fd, f"descriptor {asked.key_fd}")
    else:
        text = asked.ask("Private key (64 hex digits, not shown): ")
    try:
        secret = parse_hex(text)
        _address(secret)
    except ValueError:
        raise InputError("that is no private key: 64 hex digits are wanted") from None
    finally:
        wipe(text)
    return secret


def _opened(path: Path, password_fd: int | None, ask_for: Ask) -> bytearray:
    with handed_on(path, password_fd, os.environ, ask_for) as fd:
        return read_key(path, fd)


def _address(secret: bytearray) -> str:
    """The address of a key; ValueError if it is none. The key stays with the caller."""
    return Wallet(make_key(bytearray(secret)), _EOA).address


# --- where they go ------------------------------------------------------------------------------


def _keep(asked: Asked, secret: bytearray) -> Told:
    password: bytearray | None = None
    try:
        address = _address(secret)
        if not asked.plain:
            password = _new_password(asked)
        _write(asked.file, secret, password)
    finally:
        wipe(secret)
        if password is not None:
            wipe(password)
    return Told(address, str(asked.file), "hex" if asked.plain else "keystore")


def _new_password(asked: Asked) -> bytearray:
    if asked.password_fd is not None:
        return read_password(asked.password_fd, f"descriptor {asked.password_fd}")
    return ask_new(f"New password of {asked.file}", asked.ask)


def _require_free(path: Path) -> None:
    if os.path.lexists(path):
        raise InputError(f"{path} is there already, and a key file is never overwritten")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder: make it first, for you alone (chmod 700)")


def _write(path: Path, secret: bytearray, password: bytearray | None) -> None:
    """Write under another name, read back, then link: what has the name is whole and ours."""
    if password is None:
        text = bytearray(secret.hex().encode() + b"\n")
    else:
        text = bytearray(keystore.encrypt(secret, bytes(password)))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, FILE_MODE), "wb", buffering=0) as out:
            os.fchmod(out.fileno(), FILE_MODE)  # whatever the umask says
            out.write(text)
            os.fsync(out.fileno())
        _require_same(temporary, secret, password)
        os.link(temporary, path)
    except FileExistsError:
        raise InputError(f"{path} is there already, and is never overwritten") from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        wipe(text)
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)


def _require_same(path: Path, secret: bytearray, password: bytearray | None) -> None:
    if password is None:
        found = read_key(path)
    else:
        with handed(password) as fd:
            found = read_key(path, os.dup(fd))
    same = found == secret
    wipe(found)
    if not same:  # no assertion: python -O must not strip it
        raise InputError(f"{path} does not give back the key that was written: nothing was kept")


# --- check --------------------------------------------------------------------------------------


def _check(asked: Asked) -> Told:
    kind = "keystore" if needs_password(asked.file) else "hex"
    with handed_on(asked.file, asked.password_fd, os.environ, asked.ask) as fd:
        wallet = load(asked.file, asked.settings.wallet, fd)
    return Told(wallet.address, str(asked.file), kind, wallet.maker, wallet.signature_type)


# --- the command line -----------------------------------------------------------------------------


def parsed(words: Sequence[str] | None = None) -> tuple[Asked, bool]:
    """What is asked for, and whether as JSON."""
    parser = argparse.ArgumentParser(prog="polytrio wallet", description="Key files.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, told in (
        ("new", "make a key"),
        ("import", "take a key over into a file"),
        ("check", "print whose key is in a file"),
    ):
        one = verbs.add_parser(verb, help=told, description=told)
        one.add_argument("file", nargs="?", type=Path, help="default: wallet.key_file")
        one.add_argument("--config", type=Path, help="settings file; ./polytrio.toml if present")
        one.add_argument("--password-fd", type=int, help="descriptor with the file's password")
        one.add_argument("--json", action="store_true", help="print one JSON object")
        if verb != "check":
            one.add_argument("--plain", action="store_true", help="hex digits, without a password")
        if verb == "import":
            one.add_argument("--key-fd", type=int, help="descriptor with the key, in hex")
            one.add_argument("--from", dest="key_from", type=Path, help="another key file")
    found = parser.parse_args(words)
    settings = load_settings(found.config, dict(os.environ))
    file = found.file or (Path(settings.wallet.key_file) if settings.wallet.key_file else None)
    if file is None:
        raise ConfigError("name a file, or set wallet.key_file")
    plain = getattr(found, "plain", False)
    if plain and found.password_fd is not None:
        raise ConfigError("--plain has no password: leave --password-fd out")
    return Asked(
        found.verb, file, plain, settings, found.password_fd,
        getattr(found, "key_fd", None), getattr(found, "key_from", None),
    ), found.json  # fmt: skip


def _lines(verb: str, told: Told) -> Iterator[str]:
    yield f"address {told.address}"
    if verb == "check":
        yield f"money at {told.maker}, signature type {told.signature_type} (settings, [wallet])"
    yield f"{told.format} file {told.file}"
    if verb != "check":
        yield "Keep a copy of it elsewhere: nobody can make this key again."
    if told.format == "hex":
        yield "Whoever reads this file has the money; a keystore wants a password as well."


def main(words: Sequence[str] | None = None) -> NoReturn:
    """One verb, and the end of this process."""
    harden()
    try:
        asked, as_json = parsed(words)
        told = act(asked)
    except PolytrioError as error:
        sys.stderr.write(f"polytrio: {error}\n")
        sys.exit(error.exit_code)
    text = msgspec.json.encode(told).decode() if as_json else "\n".join(_lines(asked.verb, told))
    sys.stdout.write(text + "\n")
    sys.exit(0)


if __name__ == "__main__":
    main()
