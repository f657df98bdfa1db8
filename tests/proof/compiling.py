"""Compiles the C harnesses of this folder against shm/atomics.h; a warning is an error."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require_or_skip

HERE = Path(__file__).parent
HEADERS = HERE.parents[1] / "shm"


def compiled(folder: Path, source: str, *flags: str, compiler: str = "cc") -> Path:
    """Path of the program (or object, with "-c") made from a source of this folder."""
    require_or_skip(shutil.which(compiler) is not None, f"the compiler {compiler}")
    target = folder / f"{Path(source).stem}.{len(list(folder.iterdir()))}"
    options = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]
    folders = [f"-I{HEADERS}", f"-I{HERE}"]
    command = [compiler, *options, *folders, *flags, str(HERE / source), "-o", str(target)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.fail(f"{' '.join(command)}\n{made.stderr}")
    return target
