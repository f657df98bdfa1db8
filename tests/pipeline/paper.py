"""Paper on live data for the tests: a second exchange as the live venue, and every socket watched.

Run as a program it brings up the loopback device of a network that has nothing else, starts that
exchange there, and becomes `polytrio run`.
"""

import contextlib
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
COINS = ("BTC", "ETH")
LOOPBACK = re.compile(r"0100007F|00000000000000000000000001000000|0000000000000000FFFF00000100007F")
NOBODY = re.compile(r"0+")


def start_live(port: int = 0, seed: int = 7) -> tuple["subprocess.Popen[bytes]", int]:
    """A generating exchange that plays the live venue, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "sim", "--die-with-parent", "--port", str(port), "--seed",
         str(seed), "--coins", ",".join(COINS), "--mispricings-per-minute", "240"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout as said:
        return process, json.loads(said.readline())["port"]


def settings(port: int) -> dict[str, str]:
    """The environment in which the live venue is at this port."""
    return {
        "POLYTRIO__DESK__COINS": json.dumps(COINS),
        "POLYTRIO__VENUES__GAMMA_URL": f"http://127.0.0.1:{port}",
        "POLYTRIO__VENUES__MARKET_WS_URL": f"ws://127.0.0.1:{port}/ws/market",
    }


def peers(pid: int) -> set[tuple[str, int]]:
    """(remote address in the kernel's hex, remote port) of every internet socket of a process."""
    inodes = set()
    with contextlib.suppress(OSError):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(fd)))
    found = set()
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]:
                words = line.split()
                if words[9] in inodes:
                    address, port = words[2].split(":")
                    found.add((address, int(port, 16)))
    return found


def foreign(found: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Those that lead off this machine."""
    return {
        (address, port) for address, port in found
        if not LOOPBACK.fullmatch(address) and not NOBODY.fullmatch(address)
    }  # fmt: skip


def raise_loopback() -> None:
    """What `ip link set lo up` does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def main() -> None:
    """See the module; the arguments are those of `polytrio run`."""
    raise_loopback()
    _, port = start_live()
    command = [sys.executable, "-P", "-m", "desk", "run", *sys.argv[1:]]
    os.execve(sys.executable, command, {**os.environ, **settings(port)})


if __name__ == "__main__":
    main()
