"""C7: the secrets of a campaign, in every form in which they could be written, and where to look.

A secret may be where it belongs (the key file, the killer's credentials) and in the memory of who
uses it. It may be in no log, no journal, no segment of shared memory, no command line and no
environment.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from shm.errors import PolytrioError
from sim.chronicle import Finding

LEAST_BYTES = 8
"""What is shorter turns up by chance."""
OVERLAP_BYTES = 4_096
PIECE_BYTES = 1 << 20


class NoSecrets(PolytrioError):
    """There is nothing to look for: then nothing was looked for."""


def forms_of(secret: bytes) -> dict[str, bytes]:
    """A secret as bytes and as it is written: name of the form -> what to look for."""
    number = int.from_bytes(secret, "big")
    forms = {
        "bytes": secret,
        "bytes backwards": secret[::-1],
        "hex": secret.hex().encode(),
        "hex in capitals": secret.hex().upper().encode(),
        "base64": base64.b64encode(secret).rstrip(b"="),
        "base64 for addresses": base64.urlsafe_b64encode(secret).rstrip(b"="),
        "decimal": str(number).encode(),
    }
    return {name: form for name, form in forms.items() if len(form) >= LEAST_BYTES}


def canaries_of(key_path: Path, credentials: Path) -> dict[str, dict[str, bytes]]:
    """Name of each secret of a system -> its forms; `NoSecrets` before there are any."""
    if not key_path.exists() or not credentials.exists():
        raise NoSecrets(f"no key at {key_path}, or no credentials at {credentials}")
    handed = msgspec.json.decode(credentials.read_bytes(), type=dict[str, str])
    secret = base64.urlsafe_b64decode(handed["secret"])
    return {
        "the wallet's key": forms_of(bytes.fromhex(key_path.read_text().strip())),
        "the API secret": forms_of(secret) | {"as it was given": handed["secret"].encode()},
        "the API passphrase": {"as it was given": handed["passphrase"].encode()},
    }


def c7_hidden(
    places: Iterable[Path], canaries: Mapping[str, Mapping[str, bytes]]
) -> tuple[list[Finding], int]:
    """Every place (a file) in which a form of a secret stands; and how many were looked at.

    A process that has ended meanwhile has no command line any more.
    """
    findings, looked = [], 0
    for place in places:
        try:
            seen = found_in(place, canaries)
        except (FileNotFoundError, ProcessLookupError):
            continue
        looked += 1
        findings += [Finding("C7", 0, f"{what} stands in {place}") for what in sorted(seen)]
    return findings, looked


def found_in(place: Path, canaries: Mapping[str, Mapping[str, bytes]]) -> set[str]:
    """Which secrets a file has, and in which form."""
    seen: set[str] = set()
    for piece in pieces_of(place):
        for name, forms in canaries.items():
            seen |= {f"{name} ({form})" for form, what in forms.items() if what in piece}
    return seen


def pieces_of(place: Path) -> Iterator[bytes]:
    """A file in pieces that overlap by more than any form is long."""
    before = b""
    with place.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield before + piece
            before = piece[-OVERLAP_BYTES:]


def places_of(
    folder: Path, segments: Iterable[Path], pids: Iterable[int], but: Iterable[Path]
) -> Iterator[Path]:
    """Files of a folder and of shared memory, and what can be seen of processes; `but` for some."""
    allowed = {path.resolve() for path in but}
    files = [path for path in folder.rglob("*") if path.is_file()]
    yield from (path for path in [*files, *segments] if path.resolve() not in allowed)
    for pid in pids:
        yield from (Path(f"/proc/{pid}") / name for name in ("cmdline", "environ"))
