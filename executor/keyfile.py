"""Reads the key file: 64 hex digits, or a keystore, whose password the parent has left for us.

The file is opened once and looked at through that descriptor, also by the child that decrypts a
keystore (executor/keystore.py). The password comes over a descriptor that the parent has made, or
as a systemd credential; never from arguments, settings or the environment, which others can read.
Everything secret is in bytearrays that are wiped here.
"""

import os
import select
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shm.errors import ConfigError
from shm.passwords import CREDENTIAL, credential, fill, is_keystore, read_password, wipe

KEY_BYTES = 32
FILE_BYTES_MAX = 65_536
CHILD_PATIENCE_S = 90.0
_MESSAGE_BYTES_MAX = 2_048
_SPACE = b" \t\r\n"
_DIGITS = b"0123456789abcdef"


_left: int | None = None


def password_left_at(fd: int | None) -> None:
    """Where the parent of this process has left the password: one descriptor, read once."""
    global _left  # noqa: PLW0603  # a descriptor is the process's own
    _left = fd


def read_key(path: Path, password_fd: int | None = None) -> bytearray:
    """32 bytes, to be taken over and wiped; `ConfigError` never says what is in the file."""
    secret = bytearray(KEY_BYTES)
    text = bytearray(FILE_BYTES_MAX)
    try:
        with _opened(path) as fd:
            length = fill(fd, text)
            if is_keystore(text[:length]):
                os.lseek(fd, 0, os.SEEK_SET)
                with _password(path, password_fd) as password:
                    _decrypt(path, fd, password, secret)
            else:
                _unhex(text, length, secret)
    except ValueError:
        wipe(secret)
        raise ConfigError(f"key file {path} does not hold a private key in hex") from None
    except ConfigError:
        wipe(secret)
        raise
    finally:
        wipe(text)
    return secret


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of a file that is nobody's business but its owner's."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ConfigError(f"no key file {path}") from None
    except OSError as error:
        raise ConfigError(f"key file {path} cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(fd)
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"key file {path} is no file")
        if mode & 0o077:
            raise ConfigError(
                f"key file {path} is open to others (mode {mode:o}): chmod 600 {path}"
            )
        yield fd
    finally:
        os.close(fd)


def parse_hex(text: bytearray) -> bytearray:
    """32 bytes from hex digits; ValueError if they are none."""
    secret = bytearray(KEY_BYTES)
    _unhex(text, len(text), secret)
    return secret


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


@contextmanager
def _password(path: Path, password_fd: int | None) -> Iterator[bytearray]:
    """The keystore's password, for as long as the block lasts."""
    password = _read_password(path, password_fd)
    try:
        yield password
    finally:
        wipe(password)


def _read_password(path: Path, password_fd: int | None) -> bytearray:
    if password_fd is None:
        password_fd = _left
    if password_fd is not None:
        return read_password(password_fd, f"descriptor {password_fd}")
    given = credential(os.environ)
    if given is not None:
        fd = os.open(given, os.O_RDONLY | os.O_CLOEXEC)
        return read_password(fd, f"credential {CREDENTIAL}")
    raise ConfigError(
        f"key file {path} is a keystore, and nobody has given its password: start on a terminal "
        f"with `polytrio run`, or give the service a credential {CREDENTIAL!r} (docs/security.md)"
    )


def _decrypt(path: Path, fd: int, password: bytearray, secret: bytearray) -> None:
    """Let a child open the keystore behind `fd`."""
    child = subprocess.Popen(  # noqa: S603  # our own module
        [sys.executable, "-P", "-m", "executor.keystore", str(fd)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(fd,),
        env={},
        bufsize=0,
    )
    received = bytearray(KEY_BYTES + 1)
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        os.write(child.stdin.fileno(), password)
        child.stdin.close()
        _wait(child, path)
        length = fill(child.stdout.fileno(), received)
        if child.returncode != 0 or length != KEY_BYTES:
            said = child.stderr.read(_MESSAGE_BYTES_MAX).decode("utf-8", "replace").strip()
            reason = said.splitlines()[-1] if said else f"its reader ended ({child.returncode})"
            raise ConfigError(f"key file {path}: {reason}")
        for place in range(KEY_BYTES):
            secret[place] = received[place]
    except BrokenPipeError:
        raise ConfigError(f"key file {path}: its reader did not start") from None
    finally:
        wipe(received)
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                stream.close()


def _wait(child: "subprocess.Popen[bytes]", path: Path) -> None:
    """What it answers fits into a pipe, so it ends by itself."""
    deadline_s = time.monotonic() + CHILD_PATIENCE_S
    while child.poll() is None:
        if time.monotonic() > deadline_s:
            raise ConfigError(f"key file {path}: not open after {CHILD_PATIENCE_S:.0f} s")
        select.select([], [], [], 0.01)
