"""C7: the secrets of a campaign, and every place where one of them must not be.

A secret may be where it belongs (the key file, the killer's credentials) and in the memory of who
uses it. It may be in no log, no journal, no segment of shared memory, no command line and no
environment. Forms of a secret: tests/pipeline/needles.py.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from sim.chronicle import Finding
from tests.pipeline.needles import files_below, found_in, needles

OVERLAP_BYTES = 4_096
"""More than the longest form of any secret."""
PIECE_BYTES = 1 << 20


def canaries_of(key_path: Path, credentials: Path) -> dict[str, set[bytes]]:
    """Name of each secret of a system that runs -> its forms; OSError before there are any."""
    handed = msgspec.json.decode(credentials.read_bytes(), type=dict[str, str])
    words = {name: {handed[name].encode()} for name in ("secret", "passphrase")}
    return {
        "the wallet's key": needles(bytes.fromhex(key_path.read_text().strip())),
        "the API secret": needles(base64.urlsafe_b64decode(handed["secret"])) | words["secret"],
        "the API passphrase": words["passphrase"],
    }


def c7_hidden(
    places: Iterable[Path], canaries: Mapping[str, set[bytes]]
) -> tuple[list[Finding], int]:
    """Every place (a file) in which a secret stands, and how many places were searched.

    A process that has ended meanwhile has no command line any more.
    """
    findings, searched = [], 0
    for place in places:
        try:
            seen = secrets_in(place, canaries)
        except (FileNotFoundError, ProcessLookupError):
            continue
        searched += 1
        findings += [Finding("C7", 0, f"{name} stands in {place}") for name in sorted(seen)]
    return findings, searched


def secrets_in(place: Path, canaries: Mapping[str, set[bytes]]) -> set[str]:
    """Names of the secrets that a file has."""
    return {
        name
        for piece in pieces_of(place)
        for name, forms in canaries.items()
        if found_in(piece, forms)
    }


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
    for path in [*files_below(folder), *segments]:
        if path.resolve() not in allowed:
            yield path
    for pid in pids:
        yield from (Path(f"/proc/{pid}") / name for name in ("cmdline", "environ"))
