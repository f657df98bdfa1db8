"""`polytrio config`: what holds in a running system, what a file would change, taking it over."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shm.codes import SUPERVISED, Role
from shm.control import Published, require_published
from shm.errors import ConfigError, SegmentError
from shm.fabric import Fabric
from shm.layout import RELOADING, Reloading
from shm.modes import Reloaded
from shm.reload import candidate, in_words, require_reloadable
from shm.reloadable import Change, changes, follower, restart_reason
from shm.roles import RoleTable
from shm.settings import Settings
from shm.sources import read, values
from shm.wishes import Operator

FOLLOW_PATIENCE_S = 3.0
_SWIFT = (Role.DESK, Role.INGEST, Role.ENGINE)
_FOLLOWERS = (Role.SUPERVISOR, Role.DESK, *SUPERVISED)


@dataclass(frozen=True, slots=True)
class Shown:
    """The settings that hold, where each value is from, and who works with them."""

    published: Published
    adopted: Mapping[str, int]
    last: Reloading

    def as_json(self) -> Mapping[str, Any]:
        """For machines."""
        origin = self.published.origin
        return {
            "version": self.published.version,
            "published_wall_ns": self.published.published_wall_ns,
            "file": origin.file,
            "file_found": origin.found,
            "adopted": self.adopted,
            "last_attempt": _attempt_json(self.last),
            "values": {
                key: {
                    "value": value,
                    "from": origin.source_of.get(key, "default"),
                    "follower": follower(key),
                }
                for key, value in values(self.published.settings).items()
            },
        }

    def lines(self) -> list[str]:
        """For people: what is no default, and the last attempt."""
        origin = self.published.origin
        when = time.strftime(
            "%Y-%m-%d %H:%M:%S", time.gmtime(self.published.published_wall_ns / 1e9)
        )
        found = [
            f"settings {self.published.version} since {when} UTC, from {origin.file or 'no file'}"
        ]
        found.append(
            "taken over by "
            + ", ".join(f"{name} {version}" for name, version in self.adopted.items())
        )
        settings = values(self.published.settings)
        width = max(map(len, settings))
        found += [
            f"  {key:<{width}}  {settings[key]}  ({source})"
            for key, source in sorted(origin.source_of.items())
        ]
        if self.last.attempts:
            told = self.last.text[: self.last.length].decode(errors="replace")
            found.append(f"last attempt: {_result(self.last)}{told and ': ' + told}")
        return found


def _result(row: Reloading) -> str:
    return Reloaded(row.result).name.lower() if row.result in set(Reloaded) else "unknown"


def _attempt_json(row: Reloading) -> Mapping[str, Any] | None:
    if not row.attempts:
        return None
    return {
        "result": _result(row),
        "version": row.generation,
        "text": row.text[: row.length].decode(errors="replace"),
        "tried_wall_ns": row.tried_wall_ns,
        "attempts": row.attempts,
    }


def show(instance: str) -> Shown:
    """Look at a running system; `SegmentMissing` if there is none."""
    fabric = Fabric(instance)
    published = require_published(fabric)
    table = RoleTable(fabric.segment("control", writable=False))
    return Shown(
        published,
        {role.label: table.row(role).adopted_settings for role in _FOLLOWERS},
        fabric.read_table("control.reloading", RELOADING).read(0) or RELOADING.blank(),
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file would change, and what of that needs a restart."""

    file: str
    running: bool
    found: list[Change]

    @property
    def reloadable(self) -> bool:
        """Whether all of it can be taken over by a running system."""
        return all(restart_reason(change) is None for change in self.found)

    def as_json(self) -> Mapping[str, Any]:
        """For machines."""
        return {
            "file": self.file,
            "valid": True,
            "running": self.running,
            "reloadable": self.reloadable,
            "changes": [
                change._asdict()
                | {"needs_restart": restart_reason(change), "follower": follower(change.key)}
                for change in self.found
            ],
        }

    def lines(self) -> list[str]:
        """For people."""
        against = "the running system" if self.running else "the defaults"
        if not self.found:
            return [f"{self.file} is valid and says what {against} have"[:100]]
        found = [f"{self.file} is valid; against {against}:"]
        for change in self.found:
            reason = restart_reason(change)
            needs = f"  NEEDS A RESTART: {reason}" if reason and self.running else ""
            found.append(f"  {in_words([change])}{needs}")
        return found


def check(instance: str, file: Path | None) -> Checked:
    """Read a file as a reload would, and say what it would change; `ConfigError` if it is bad."""
    try:
        running = require_published(Fabric(instance))
    except SegmentError:
        loaded = read(file, dict(os.environ))
        loaded.settings.require_supported()
        return Checked(loaded.origin.file, False, changes(Settings(), loaded.settings))
    found = candidate(running, file)
    return Checked(found.loaded.origin.file, True, found.changes)


def reload(instance: str) -> Shown:
    """Ask the supervisor to take the file over; `ConfigError` with its reason if it refuses."""
    running = require_published(Fabric(instance))
    require_reloadable(candidate(running).changes)  # says why at once, and in more words
    with Operator(instance) as operator:
        row = operator.reload()
    if row.result == Reloaded.REFUSED:
        raise ConfigError(row.text[: row.length].decode(errors="replace"))
    return _taken_over(instance)


def _taken_over(instance: str) -> Shown:
    """Wait a moment for those who follow, then look; who does not yet is seen in what is shown."""
    deadline_s = time.monotonic() + FOLLOW_PATIENCE_S
    while True:
        shown = show(instance)
        behind = [shown.adopted[role.label] < shown.published.version for role in _SWIFT]
        if not any(behind) or time.monotonic() > deadline_s:
            return shown
        time.sleep(0.02)
