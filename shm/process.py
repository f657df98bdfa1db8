"""Facts about processes and the machine, from /proc: who is that pid, which boot is this."""

import os
from functools import cache
from pathlib import Path

_START_TICKS_FIELD = 21
_RESIDENT_FIELD = 1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@cache
def boot_id() -> bytes:
    """16 bytes that differ from boot to boot."""
    return bytes.fromhex(
        Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip().replace("-", "")
    )


def start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 if there is no such process.

    Together with the pid this names a process for good: pids are used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    # The second field is the command in parentheses and may hold spaces.
    return int(stat.rpartition(")")[2].split()[_START_TICKS_FIELD - 2])


def resident_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process in bytes; 0 if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text("ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(fields[_RESIDENT_FIELD]) * _PAGE_BYTES
