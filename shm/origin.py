"""Where the settings that are in force came from: published together with them.

Apart from shm/sources.py, which reads files: a stage is told, and never reads one.
"""

from typing import Any

import msgspec


class Origin(msgspec.Struct, frozen=True):
    """What a tree of settings was made from."""

    file: str = ""
    """Path of the file, absolute; empty if there is none to read."""
    found: bool = False
    """Whether it was there."""
    asked: bool = False
    """Whether it was named, and so must exist."""
    environment: dict[str, str] = {}
    """The variables that were used."""
    source_of: dict[str, str] = {}
    """Key -> source, for every value that is not the default."""
    filled: dict[str, Any] = {}
    """Key -> what was read, where something else was filled in for it (addresses, whole paths)."""
