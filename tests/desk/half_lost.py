"""Runs `accept_loss` and dies at the n-th thing that it does to the file system; 0: at none."""

import os
import signal
import sys
from pathlib import Path

from desk.journal_loss import accept_loss
from shm.journal_files import Place
from tests.desk.journals import WALLET

CHANGES = {"os.rename", "os.mkdir", "os.remove", "open"}


def main() -> None:
    folder, last = Path(sys.argv[1]), int(sys.argv[2])
    count = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal count
        if event not in CHANGES or str(folder.parent) not in str(arguments[0]):
            return
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    accept_loss(
        Place(folder), wallet=WALLET, actor="test", reason="gone", records=1_024,
        root=folder.parent,
    )  # fmt: skip


if __name__ == "__main__":
    main()
