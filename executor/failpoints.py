"""Named places where the executor can be told to die, for tests: POLYTRIO_FAILPOINT=name[:n],...

At the n-th pass the process gets SIGKILL, as from the kernel: nothing is flushed or closed, no
handler runs. Refused where real money is traded. Unset it costs one look into an empty table.
"""

import os
import signal

from shm.errors import ConfigError

VARIABLE = "POLYTRIO_FAILPOINT"
NAMES = (
    "logged-in",
    "cancelled",
    "opened-unwritten",
    "opened",
    "reconciling-unwritten",
    "disarmed-unwritten",
    "armed-unwritten",
    "armed",
    "orders-unwritten",
    "orders-written",
    "orders-begun",
    "sent-written",
    "reply-unwritten",
    "reply-written",
    "fill-unwritten",
    "fill-written",
    "verdict-unwritten",
    "verdict-written",
    "compared-unwritten",
    "rotation-unmade",
    "rotation-made",
    "rotation-done",
    "repair-unsent",
    "repair-sent",
    "ended-unwritten",
    "ended-written",
    "adopted-unwritten",
    "adopted",
)
"""In the order in which a process comes by: its start, an order, what is made of it."""
OPERATOR = ("adopted-unwritten", "adopted")
"""Those that are reached only if an operator says something."""
UNATTENDED = tuple(name for name in NAMES if name not in OPERATOR)
_left: dict[str, int] = {}
"""Passes that are left, by name."""


def prepare(text: str | None, *, live: bool) -> None:
    """Take the wish of the environment; `ConfigError` for one that is not understood, or live."""
    _left.clear()
    if not text:
        return
    if live:
        raise ConfigError(f"{VARIABLE} is set, and real money is traded: remove it")
    for wish in text.split(","):
        name, _, times = wish.partition(":")
        if name not in NAMES or not (times or "1").isdecimal() or times == "0":
            known = ", ".join(NAMES)
            raise ConfigError(f"{VARIABLE}: {wish!r} is none of {known}, with :n or without")
        _left[name] = int(times or "1")


def reach(name: str) -> None:
    """Pass a place; die there if that was asked for."""
    if name in _left:
        _left[name] -= 1
        if _left[name] == 0:
            os.write(2, f"failpoint {name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
