"""Public shared-memory queues to compare with: installed apart, never part of the environment.

`install` puts each package of requirements/bench.txt (pinned, with hashes) below .bench/peers. One
that has no wheel for this Python or machine is left out, and the report says why.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements" / "bench.txt"
FOLDER = ROOT / ".bench" / "peers"
TIMEOUT_S = 120


def wanted() -> dict[str, str]:
    """Package -> its block of the requirements file."""
    blocks = re.split(r"\n(?=\S)", REQUIREMENTS.read_text("ascii").strip())
    return {block.partition("==")[0]: block for block in blocks}


def install() -> dict[str, str]:
    """Install what is missing; by package: "" or why it is not there."""
    return {name: _install(name, block) for name, block in wanted().items()}


def _install(name: str, block: str) -> str:
    folder = FOLDER / name
    version = block.partition("==")[2].split()[0]
    stamp = folder / f".installed-{version}"
    if stamp.exists():
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / "requirement.txt"
    listed.write_text(block + "\n")
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--require-hashes", "--only-binary", ":all:", "--upgrade",
        "--target", str(folder), "-r", str(listed),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"not installed within {TIMEOUT_S} s"
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return (errors or ["ERROR: pip failed"])[-1].removeprefix("ERROR: ")[:80]
    stamp.touch()
    return ""
