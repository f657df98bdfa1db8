"""Files by which an operator and the executor talk: there as a whole, and gone when they are taken.

Whoever finds a file under such a name takes it away, whatever it is: a folder that somebody made
there must neither stop the executor nor be taken for a word.
"""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from shm.errors import UNREADABLE
from shm.kill import FILE_MODE

StructT = TypeVar("StructT", bound=msgspec.Struct)


def put(path: Path, text: bytes) -> None:
    """Replace a file as a whole; OSError if there is no room, or something else is there."""
    temporary = path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(fd, "wb") as out:
            out.write(text)
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path, kind: type[StructT]) -> StructT | None:
    """What a file says; None if it is not there, or says nothing of that kind."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, *UNREADABLE):
        return None


def take_away(path: Path) -> bool:
    """Nothing has this name any more; False if that cannot be done.

    A folder with something in it is somebody's: it gets another name.
    """
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):
                path.rmdir()
                return True
            with suppress(OSError):
                shutil.move(path, path.with_name(f"no-{path.name}.{secrets.token_hex(4)}"))
                return True
            return False
        with suppress(PermissionError):
            path.unlink()
            return True
        return False
    return True
