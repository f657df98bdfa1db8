"""Whose money an instance's folder is about: real and simulated money never share a journal.

A simulated exchange begins anew with each run, and so does its journal; one of real money must
never be put aside, nor begin with positions that nobody has. The file `MONEY` says that real money
was traded here, and is made before the first journal of it.
"""

import os
from pathlib import Path

from shm.errors import LiveRefused
from shm.kill import DIR_MODE, FILE_MODE

MONEY = "MONEY"
LIVE = b"live\n"


def claim(var_path: Path, *, live: bool) -> None:
    """Take the folder for one kind of money; `LiveRefused` if it is of the other kind.

    The caller holds the supervisor's role, so that nobody else is just beginning here.
    """
    real = (var_path / MONEY).exists()
    if not live:
        if real:
            raise LiveRefused(
                f"{var_path} is of real money, and its journal must stay: trade simulated money "
                "under another name (--instance)"
            )
        return
    if real:
        return
    if (var_path / "journal").exists() or (var_path / "journal.head").exists():
        raise LiveRefused(
            f"the journal in {var_path} is of simulated money: trade real money under another name "
            "(--instance)"
        )
    var_path.mkdir(parents=True, exist_ok=True, mode=DIR_MODE)
    fd = os.open(var_path / MONEY, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(fd, "wb") as file:
        file.write(LIVE)
