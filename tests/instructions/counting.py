"""Counts what a message costs: instructions under callgrind, the difference of two runs.

A count says what a clock on a shared machine cannot: the same program gives the same number, so
that ten per cent more are ten per cent more. It depends on compiler and architecture, hence the
record has an entry for each pair.
"""

import json
import platform
import re
import subprocess
import tomllib
from pathlib import Path
from typing import NamedTuple

from tests.ingest import frames
from tests.ingest.frames import hash_of, market_of, token_of

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RECORD = HERE / "record.json"
FEW, MANY = 100, 600


class Thing(NamedTuple):
    """A message, the C file that handles it, and the extension whose compiler flags it gets."""

    name: str
    source: str
    extension: str


THINGS = [
    Thing("price_change", "parsing.c", "ingest.native"),
    Thing("book", "parsing.c", "ingest.native"),
    Thing("update", "deciding.c", "engine.kernel"),
    Thing("walk", "deciding.c", "engine.kernel"),
    Thing("ring", "passing.c", "engine.kernel"),
    Thing("latch", "passing.c", "engine.kernel"),
    Thing("keccak", "signing.c", "executor.native"),
    Thing("order", "signing.c", "executor.native"),
]
BOOK_LEVELS = 98
COLLECTED = re.compile(r"Collected : (\d+)")


def compiler() -> str:
    """Architecture and compiler, as the record knows them: "x86_64 gcc 12.2.0"."""
    said = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.findall(r"\d+\.\d+\.\d+", said.splitlines()[0])
    name = "clang" if "clang" in said else "gcc"
    return f"{platform.machine()} {name} {version[-1] if version else 'unknown'}"


def quoted(text: str) -> str:
    return json.dumps(text)


def write_frames(folder: Path) -> None:
    """The frames to be parsed, as C texts: a change of two entries, and a book of 98 levels."""
    yes, no = token_of(0), token_of(1)
    side = [[(f"0.{100 + 4 * n + shift:03d}", f"{n * 37 + 12.5}") for n in range(BOOK_LEVELS // 2)]
            for shift in (0, 400)]  # fmt: skip
    texts = {
        "yes_token": yes,
        "no_token": no,
        "condition": market_of(yes),
        "book": frames.later_book(yes, 1_790_000_000_000, *side, hash_text=hash_of(1)),
        "change": frames.price_change(yes, 1_790_000_000_001, [
            frames.change(yes, "BUY", "0.28", "100.25", hash_of(1)),
            frames.change(no, "SELL", "0.72", "100.25", hash_of(2)),
        ]),
    }  # fmt: skip
    lines = [f"static const char {name}[] = {quoted(text)};\n" for name, text in texts.items()]
    (folder / "frames.h").write_text("".join(lines))


def flags_of(extension: str) -> list[str]:
    """The compiler flags that an extension is built with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (found,) = [one for one in project["tool"]["setuptools"]["ext-modules"]
                if one["name"] == extension]  # fmt: skip
    return [*found["extra-compile-args"], *(f"-I{ROOT / path}" for path in found["include-dirs"])]


def build(thing: Thing, folder: Path) -> Path:
    """The program that does the thing; made once for a folder."""
    program = folder / Path(thing.source).stem
    if not program.exists():
        write_frames(folder)
        command = ["cc", "-std=gnu11", *flags_of(thing.extension), "-Werror", f"-I{HERE}",
                   f"-I{folder}", str(HERE / thing.source), "-o", str(program)]  # fmt: skip
        subprocess.run(command, check=True)
    return program


def collected(program: Path, *words: str) -> int:
    """All instructions of a run."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program)]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    found = COLLECTED.search(done.stderr)
    if done.returncode != 0 or found is None:
        raise RuntimeError(f"{' '.join([*command, *words])}\n{done.stderr}")
    return int(found.group(1))


def instructions(thing: Thing, folder: Path, busy: int = 0) -> int:
    """Instructions a message, rounded; with a loop of so many turns beside each, if wanted."""
    program = build(thing, folder)
    few, many = (collected(program, thing.name, str(n), str(busy)) for n in (FEW, MANY))
    return round((many - few) / (MANY - FEW))


def record() -> dict[str, dict[str, int]]:
    """By architecture and compiler, then by thing: what it cost when it was last recorded."""
    found: dict[str, dict[str, int]] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return found
