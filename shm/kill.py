"""The kill switch as everybody sees it: a file that asks for it, a word in memory that says it.

The request is the file `KILL` in the instance's var directory: anybody who may write there can make
it, whatever else is dead, full or hung. The killer (executor/killer.py) turns it into the latch in
shared memory, which costs one load to look at, and cancels. Until then, and if there is no killer,
the file itself counts (`Kill.look`).

The first press wins. A later one changes nothing, unless the system is just being armed again: then
it gets a file of its own (`KILL.<something>`), so that clearing the one cannot clear the other. All
files together have one nonce, made from what they are (contents, inode, time of change): whoever
arms has to name it, and a press in between, even a `touch`, makes it another one.
"""

import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from pathlib import Path

import msgspec

from shm.errors import UNREADABLE
from shm.fabric import Fabric
from shm.layout import KILL_LATCH

KILL = "KILL"
ARM = "ARM"
ACCEPTED = "ARM.accepted"
"""An arming that the executor has begun; shm/arming.py."""
DIR_MODE = 0o700
FILE_MODE = 0o600
_BYTES_MAX = 4_096
_TRIES = 8
_LATCHED = KILL_LATCH.offset_of["latched"] // 8


class Told(msgspec.Struct, frozen=True):
    """What a press says about itself. A file made by `touch` says nothing, and counts as well."""

    nonce: str = ""
    actor: str = "by hand"
    wall_ms: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Press:
    """One request that stands."""

    path: Path
    told: Told
    identity: bytes


@dataclass(frozen=True, slots=True)
class Pressed:
    """All requests that stand, the first one first; `nonce` is 0 if there is none."""

    presses: tuple[Press, ...]
    nonce: int

    def __bool__(self) -> bool:
        return bool(self.presses)


class Request(Enum):
    """What became of a request."""

    FIRST = "it is the one that counts"
    ALREADY = "another one stands already"
    AGAIN = "it stands beside another one, which is just being cleared"
    NO_ROOM = "no file could be made: tell the killer by a signal"

    @property
    def stands(self) -> bool:
        """Whether a file asks for the kill now."""
        return self is not Request.NO_ROOM


def request_kill(var_path: Path, actor: str, reason: str = "") -> Request:
    """Ask for everything to stop. Never raises: who asks has enough to worry about."""
    text = msgspec.json.encode(
        Told(secrets.token_hex(8), actor[:200], time.time_ns() // 1_000_000, reason[:1_000])
    )
    with suppress(OSError):
        var_path.mkdir(parents=True, exist_ok=True, mode=DIR_MODE)
    with suppress(OSError):
        for _ in range(_TRIES):
            if _made(var_path / KILL, text):
                return Request.FIRST
            if being_armed(var_path):
                if _made(var_path / f"{KILL}.{secrets.token_hex(8)}", text):
                    return Request.AGAIN
            elif _exists(var_path / KILL):
                return Request.ALREADY
    return Request.ALREADY if standing(var_path) else Request.NO_ROOM


def _made(path: Path, text: bytes) -> bool:
    """Make a file that is whole from its first moment; False if it is there already.

    Without room for its contents it is made empty, which takes a name only.
    """
    temporary = path.parent / f".{KILL}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        _write(temporary, text)
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError:
        with suppress(OSError):
            temporary.unlink()  # it may be this one that takes the last room
        return _made_empty(path)
    finally:
        with suppress(OSError):
            temporary.unlink()
    return True


def _write(path: Path, text: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        if os.write(fd, text) != len(text):
            raise OSError("no room")
    finally:
        os.close(fd)


def _made_empty(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    except FileExistsError:
        return False
    return True


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def being_armed(var_path: Path) -> bool:
    """Whether the operator's word waits for the executor, or is being carried out."""
    return _exists(var_path / ARM) or _exists(var_path / ACCEPTED)


def _names(var_path: Path) -> list[str]:
    """Names of the files that ask for a kill; whatever has such a name counts."""
    try:
        names = os.listdir(var_path)  # noqa: PTH208  # looked at many times a second
    except OSError:
        return []
    return sorted(name for name in names if name == KILL or name.startswith(f"{KILL}."))


def standing(var_path: Path) -> bool:
    """Whether any file asks for the kill."""
    return bool(_names(var_path))


def pressed(var_path: Path) -> Pressed:
    """The requests that stand."""
    found = [press for name in _names(var_path) if (press := _read(var_path / name)) is not None]
    found.sort(key=lambda press: (press.told.wall_ms == 0, press.told.wall_ms, press.path.name))
    return Pressed(tuple(found), nonce_of(press.identity for press in found))


def nonce_of(identities: Iterable[bytes]) -> int:
    """One number for a set of presses, whatever their names; 0 for none."""
    ordered = sorted(identities)
    if not ordered:
        return 0
    digest = blake2b(digest_size=8)
    for identity in ordered:
        digest.update(len(identity).to_bytes(4, "big") + identity)
    return int.from_bytes(digest.digest(), "big") or 1


def _read(path: Path) -> Press | None:
    """One press; None if it is gone. What cannot be read counts as one that says nothing."""
    text = b""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            text = os.read(fd, _BYTES_MAX)
        except OSError:  # a directory, for instance
            text = b""
        finally:
            os.close(fd)
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    except OSError:
        return Press(path, Told(), path.name.encode())
    stamp = f"{status.st_dev} {status.st_ino} {status.st_mtime_ns} ".encode()
    return Press(path, _told(text), stamp + text)


def _told(text: bytes) -> Told:
    try:
        told = msgspec.json.decode(text, type=Told)
    except UNREADABLE:
        return Told()
    return Told(told.nonce, _printable(told.actor), told.wall_ms, _printable(told.reason))


def _printable(text: str) -> str:
    """What may be logged and shown: no line breaks, no control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class Kill:
    """The switch in the hands of a process that has to heed it."""

    def __init__(self, fabric: Fabric, var_path: Path) -> None:
        self._words = fabric.counters("control.kill", KILL_LATCH, write=False).words
        self._load = self._words.load
        self.instance = fabric.instance
        self.var_path = var_path
        self._file = False
        self._owed: tuple[str, str] | None = None

    def requested(self) -> bool:
        """Whether everything has to stop: one load. Ask it before every order."""
        return self._file or self._load(_LATCHED) != 0

    @property
    def latched(self) -> bool:
        """Whether the killer has said so."""
        return self._load(_LATCHED) != 0

    @property
    def owed(self) -> bool:
        """Whether it was pressed here and there is still no room for the file."""
        return self._owed is not None

    def look(self) -> bool:
        """Look at the file, too; every 50 ms or so. Whether everything has to stop."""
        if self._owed is not None and request_kill(self.var_path, *self._owed).stands:
            self._owed = None
        self._file = self._owed is not None or standing(self.var_path)
        return self.requested()

    def press(self, actor: str, reason: str = "") -> Request:
        """Ask for the kill; from now on `requested` is true here, even where no file can be made.

        Without room for a file this process keeps asking for one, and heeds itself meanwhile.
        """
        self._file = True
        request = request_kill(self.var_path, actor, reason)
        if not request.stands:
            self._owed = (actor, reason)
        return request
