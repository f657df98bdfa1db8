"""Environments of peers: each in a folder of its own below .bench/, made when it is first wanted.

A peer pins what we do not want to have, or needs another Python. So each has a virtual environment
with hashed requirements (requirements/peers/), and Node's packages a folder of theirs. What cannot
be made is a reason, and the rows that need it say so.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".bench"
REQUIREMENTS = ROOT / "requirements" / "peers"
NODE_FOLDER = Path(__file__).parent / "node"
TIMEOUT_S = 420
REASON_CHARS = 110


class Wanted(NamedTuple):
    """What a peer's environment needs."""

    least: tuple[int, int] = (3, 11)
    most: tuple[int, int] = (3, 13)
    wheels_only: bool = True


WANTED = {
    "decoders": Wanted(),
    "official": Wanted(wheels_only=False),  # one of its requirements is source only
    "fastclob": Wanted(wheels_only=False),
    "nautilus": Wanted(least=(3, 12)),
}


def ours() -> Path:
    """The interpreter that runs the bench."""
    return Path(sys.executable)


def python_of(name: str) -> Path | str:
    """The interpreter of a peer's environment, or why there is none."""
    folder, listed = FOLDER / name, REQUIREMENTS / f"{name}.txt"
    python = folder / "bin" / "python"
    made_from = folder / "made-from.txt"
    if made_from.exists() and made_from.read_bytes() == listed.read_bytes():
        return python
    wanted = WANTED[name]
    base = interpreter(wanted)
    if base is None:
        return f"needs Python {wanted.least[0]}.{wanted.least[1]} or newer, and there is none"
    shutil.rmtree(folder, ignore_errors=True)
    wheels = ["--only-binary", ":all:"] if wanted.wheels_only else []
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    reason = _run([str(base), "-m", "venv", str(folder)]) or _run(
        [str(python), *pip, *wheels, "-r", str(listed)]
    )
    if reason:
        return reason
    made_from.write_bytes(listed.read_bytes())
    return python


def interpreter(wanted: Wanted) -> Path | None:
    """The newest Python in the wanted range: on the path, or one of pyenv's."""
    minors = range(wanted.most[1], wanted.least[1] - 1, -1)
    if sys.version_info[1] in minors and wanted.least <= sys.version_info[:2]:
        return Path(getattr(sys, "_base_executable", sys.executable))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in minors:
        found = shutil.which(f"python3.{minor}")
        candidates = [Path(found)] if found else []
        candidates += sorted(pyenv.glob(f"3.{minor}.*/bin/python3"))
        for candidate in candidates:
            # A shim of pyenv is found, too, and then says that it has no such version.
            if not _run([str(candidate), "-c", ""]):
                return candidate
    return None


def node() -> Path | str:
    """The folder with Node's packages, or why there is none."""
    folder = FOLDER / "node"
    listed = NODE_FOLDER / "package.json"
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "needs node and npm"
    copy = folder / "package.json"
    if not (folder / "node_modules").exists() or copy.read_bytes() != listed.read_bytes():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(listed, copy)
        words = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        reason = _run(["npm", *words, "--prefix", str(folder)])
        if reason:
            return reason
    return folder


def node_version() -> str:
    """As it says itself."""
    done = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=20)
    wanted = json.loads((NODE_FOLDER / "package.json").read_text())["dependencies"]
    return f"node {done.stdout.strip()}, ws {wanted['ws']}"


def _run(command: list[str]) -> str:
    """ "" when it went well, else the line that says most."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"not installed within {TIMEOUT_S} s"
    except OSError as error:
        return str(error)[:REASON_CHARS]
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    telling = [line for line in lines if "fatal error" in line] or [
        line for line in lines if line.lower().startswith(("error", "npm err"))
    ]
    return (telling or lines or ["it failed and said nothing"])[-1][:REASON_CHARS]


def node_environment() -> dict[str, str]:
    """Where Node finds its packages."""
    return dict(os.environ) | {"NODE_PATH": str(FOLDER / "node" / "node_modules")}
