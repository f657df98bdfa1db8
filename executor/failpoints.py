"""Named places where the executor can be told to die, for tests: POLYTRIO_FAILPOINT=name[:n].

At the n-th pass the process gets SIGKILL, as from the kernel: nothing is flushed or closed, no
handler runs. Refused where real money is traded. Unset it costs one comparison.
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
)
"""In the order in which a process comes by: its start, an order, what is made of it."""
_name = ""
_left = 0


def prepare(text: str | None, *, live: bool) -> None:
    """Take the wish of the environment; `ConfigError` for one that is not understood, or live."""
    global _name, _left  # one process dies once
    _name, _left = "", 0
    if not text:
        return
    if live:
        raise ConfigError(f"{VARIABLE} is set, and real money is traded: remove it")
    name, _, times = text.partition(":")
    if name not in NAMES or not (times or "1").isdecimal() or times == "0":
        raise ConfigError(f"{VARIABLE}={text!r} is none of {', '.join(NAMES)}, with :n or without")
    _name, _left = name, int(times or "1")


def reach(name: str) -> None:
    """Pass a place; die there if that was asked for."""
    global _left
    if name == _name:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
