"""Looks for secrets where they must not be: as bytes, and as what a careless line makes of them."""

import base64
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes

FRAGMENT_BYTES = 8
CHUNK_BYTES = 1 << 22


def needles(secret: bytes) -> set[bytes]:
    """A secret in the forms in which it could lie around; pieces of it, too."""
    shapes = {
        secret,
        secret[::-1],
        secret.hex().encode(),
        secret.hex().upper().encode(),
        secret[::-1].hex().encode(),
        base64.b64encode(secret).rstrip(b"="),
        base64.urlsafe_b64encode(secret).rstrip(b"="),
        quote_from_bytes(secret).encode(),
        repr(secret)[2:-1].encode(),
        str(int.from_bytes(secret)).encode(),
    }
    pieces = {
        secret[at : at + FRAGMENT_BYTES] for at in range(0, len(secret), FRAGMENT_BYTES)
    }  # fmt: skip
    pieces |= {piece.hex().encode() for piece in pieces}
    return {shape for shape in shapes | pieces if len(shape) >= FRAGMENT_BYTES}


def found_in(data: bytes, wanted: Iterable[bytes]) -> list[bytes]:
    """Which of them are there."""
    return [needle for needle in wanted if needle in data]


def files_below(*folders: Path) -> Iterator[Path]:
    """Everything that could hold a secret and is a file."""
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def family(pid: int) -> list[int]:
    """A process and all that came from it, by /proc."""
    parents: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{name}/stat").read_text()
        except OSError:
            continue
        parents[int(name)] = int(stat.rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def memory(pid: int) -> Iterator[bytes]:
    """What a process has written to its memory, piece by piece; needs the right to look."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(word, 16) for word in span.split("-"))
            for at in range(start, end, CHUNK_BYTES):
                try:
                    mem.seek(at)
                    # A needle over the edge of two pieces is seen in the second.
                    yield mem.read(min(CHUNK_BYTES + 128, end - at))
                except (OSError, ValueError, OverflowError):
                    break
