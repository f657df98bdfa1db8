"""Keeps a process's memory to itself: no core dump, no look through /proc or a debugger.

For those who hold secrets: the executor, the killer, and whoever has a password in hand. It keeps
other processes of the same user out; root, and who can change this user's files, it does not.
"""

import ctypes
import os
import resource

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4


def harden() -> None:
    """Forbid dumps of this process and looks into it; before it reads any secret."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _prctl(_PR_SET_DUMPABLE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl(PR_SET_DUMPABLE)")


def hardened() -> bool:
    """Whether `harden` holds here; an exec would have undone half of it."""
    no_core = resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
    return no_core and _prctl(_PR_GET_DUMPABLE) == 0


def _prctl(option: int) -> int:
    call = ctypes.CDLL(None, use_errno=True).prctl
    call.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    return int(call(option, 0, 0, 0, 0))
