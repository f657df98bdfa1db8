"""Which core a stage runs on: pure choice from what the machine has and the settings want.

With a core for every hot stage and one to spare, each gets one of its own, never two threads of
one physical core; otherwise the kernel decides, because a pinned stage on a shared core waits for
its neighbour.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from shm.codes import STAGES, Role
from shm.errors import ConfigError

SIBLINGS = "/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"


def dedicated_cores(allowed: Sequence[int], siblings: Mapping[int, frozenset[int]]) -> list[int]:
    """One core for each hot stage, or [] if there are too few.

    The first physical core is left to everybody else: the kernel's own work tends to be there.
    """
    physical: list[int] = []
    taken: set[int] = set()
    for core in sorted(allowed):
        if core not in taken:
            physical.append(core)
            taken |= siblings.get(core, frozenset({core}))
    return physical[1 : 1 + len(STAGES)] if len(physical) > len(STAGES) else []


def core_of(role: Role, wanted: Sequence[int], allowed: Sequence[int]) -> int | None:
    """Core of a hot stage by the settings, or by choice where they leave it open; None: any."""
    if role not in STAGES:
        return None
    place = STAGES.index(role)
    if not wanted:
        chosen = dedicated_cores(allowed, thread_siblings(allowed))
        return chosen[place] if chosen else None
    if len(wanted) != len(STAGES):
        names = ", ".join(stage.label for stage in STAGES)
        raise ConfigError(f"stages.cores wants {len(STAGES)} cores ({names}), not {len(wanted)}")
    if wanted[place] not in allowed:
        raise ConfigError(
            f"stages.cores: core {wanted[place]} for {role.label} is not one that this process may "
            f"use ({', '.join(map(str, sorted(allowed)))})"
        )
    return wanted[place]


def thread_siblings(cores: Sequence[int]) -> dict[int, frozenset[int]]:
    """The hardware threads of each core's physical core, itself included, as far as known."""
    found: dict[int, frozenset[int]] = {}
    for core in cores:
        with suppress(OSError, ValueError):  # a container may hide this: then each stands alone
            found[core] = parse_list(Path(SIBLINGS.format(core=core)).read_text("ascii"))
    return found


def parse_list(text: str) -> frozenset[int]:
    """The kernel's list format: `0-1,4` -> {0, 1, 4}."""
    cores: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cores.update(range(int(first), int(last or first) + 1))
    return frozenset(cores)


def pin(role: Role, wanted: Sequence[int]) -> int | None:
    """Move this process to its stage's core, if it has one; which."""
    core = core_of(role, wanted, sorted(os.sched_getaffinity(0)))
    if core is not None:
        os.sched_setaffinity(0, {core})
    return core
