"""Passwords of key files: where they may come from, and how one process hands one to another.

They come from a terminal without echo, over a descriptor that the caller has opened, or as a
systemd credential; never from arguments, settings or the environment, which others can read. Here
they are in bytearrays, which can be wiped; from one process to another they go through a pipe,
which is empty once it has been read.
"""

import os
import termios
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from shm.errors import ConfigError

PASSWORD_BYTES_MAX = 4_096
"""What a pipe takes at once, whatever its size."""
PASSWORD_BYTES_MIN = 8
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Names the folder in which systemd has put a service's credentials."""
CREDENTIAL = "wallet-password"
_HEAD_BYTES = 64
_ENDINGS = b"\r\n"

Ask = Callable[[str], bytearray]


def wipe(buffer: bytearray) -> None:
    """Zeros, in place."""
    buffer[:] = bytes(len(buffer))


def is_keystore(head: bytes | bytearray) -> bool:
    """Whether a key file that begins like this holds a keystore."""
    return head.lstrip().startswith(b"{")


def needs_password(path: Path) -> bool:
    """Whether there is a key file that only a password opens. What is wrong with it shows later."""
    try:
        with path.open("rb", buffering=0) as file:
            return is_keystore(file.read(_HEAD_BYTES))
    except OSError:
        return False


def credential(environment: Mapping[str, str]) -> Path | None:
    """The file in which systemd has put the password, if it has."""
    folder = environment.get(CREDENTIALS)
    if not folder:
        return None
    path = Path(folder) / CREDENTIAL
    return path if path.exists() else None


def fill(fd: int, buffer: bytearray) -> int:
    """Read until the end or until the buffer is full; how much there was."""
    length = 0
    view = memoryview(buffer)
    while length < len(buffer) and (count := os.readv(fd, [view[length:]])):
        length += count
    return length


def read_password(fd: int, where: str) -> bytearray:
    """What a descriptor holds, without the end of its line. Closes it."""
    buffer = bytearray(PASSWORD_BYTES_MAX + 1)
    try:
        length = fill(fd, buffer)
    except OSError as error:
        raise ConfigError(f"no password at {where}: {error.strerror}") from None
    else:
        return _trimmed(buffer, length, where)
    finally:
        wipe(buffer)
        try:
            os.close(fd)
        except OSError as error:
            raise ConfigError(f"no password at {where}: {error.strerror}") from None


def _trimmed(buffer: bytearray, length: int, where: str) -> bytearray:
    if length > PASSWORD_BYTES_MAX:
        raise ConfigError(f"the password at {where} is longer than {PASSWORD_BYTES_MAX:,} bytes")
    while length and buffer[length - 1] in _ENDINGS:
        length -= 1
    if not length:
        raise ConfigError(f"the password at {where} is empty")
    return buffer[:length]


def ask(prompt: str) -> bytearray:
    """One line from the terminal, without echo; `ConfigError` if there is no terminal."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise ConfigError(
            "there is no terminal to ask for the password at: give it with --password-fd N, or as "
            f"systemd credential {CREDENTIAL!r} (docs/security.md)"
        ) from None
    line = bytearray(PASSWORD_BYTES_MAX + 1)
    try:
        with _no_echo(fd):
            os.write(fd, prompt.encode())
            length = _line(fd, line)
            os.write(fd, b"\n")
        return _trimmed(line, length, "the terminal")
    finally:
        wipe(line)
        os.close(fd)


def _line(fd: int, buffer: bytearray) -> int:
    length = 0
    view = memoryview(buffer)
    while length < len(buffer) and (count := os.readv(fd, [view[length:]])):
        length += count
        if buffer[length - 1] in _ENDINGS:
            break
    return length


@contextmanager
def _no_echo(fd: int) -> Iterator[None]:
    before = termios.tcgetattr(fd)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(fd, termios.TCSAFLUSH, silent)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)


def ask_new(prompt: str, ask_for: Ask = ask) -> bytearray:
    """A new password, typed twice."""
    first = ask_for(f"{prompt}: ")
    trouble = ""
    if len(first) < PASSWORD_BYTES_MIN:
        trouble = f"the password is too short: {PASSWORD_BYTES_MIN} letters at least"
    else:
        again = ask_for(f"{prompt}, again: ")
        if first != again:
            trouble = "the two passwords are not the same: nothing was written"
        wipe(again)
    if trouble:
        wipe(first)
        raise ConfigError(trouble)
    return first


@contextmanager
def handed(password: bytearray) -> Iterator[int]:
    """A descriptor from which one child can read the password, once. Closed here at the end."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            os.write(writing, password)
        finally:
            os.close(writing)
        yield reading
    finally:
        os.close(reading)


def obtained(
    path: Path, password_fd: int | None, environment: Mapping[str, str], ask_for: Ask = ask
) -> bytearray | None:
    """The password of a key file, for a child; None: it needs none, or has a credential to read."""
    if not needs_password(path):
        if password_fd is not None:
            raise ConfigError(f"--password-fd is given, and key file {path} is no keystore")
        return None
    if password_fd is not None:
        return read_password(password_fd, f"descriptor {password_fd}")
    if credential(environment) is not None:
        return None
    return ask_for(f"Password of {path}: ")


@contextmanager
def handed_on(
    path: Path, password_fd: int | None, environment: Mapping[str, str], ask_for: Ask = ask
) -> Iterator[int | None]:
    """The `obtained` password of a key file, where whoever reads the key looks for it.

    Yields a descriptor that its reader closes; None: there is no password to hand on.
    """
    password = obtained(path, password_fd, environment, ask_for)
    if password is None:
        yield None
        return
    try:
        with handed(password) as fd:
            yield os.dup(fd)
    finally:
        wipe(password)
