"""Puts the journal of an earlier simulated exchange aside: a new one knows none of its accounts.

Only where the exchange is started by us, and so begins anew. What is put aside stays readable
(`polytrio journal show --folder ...`), the newest few of it.
"""

import shutil
from pathlib import Path

from shm.journal_files import Place

JOURNAL = "journal"
KEPT = 3
EARLIER = "earlier-"


def put_journal_aside(var_path: Path) -> Path | None:
    """Where it is now; None if there was none. The executor does not run."""
    place = Place(var_path / JOURNAL)
    if not place.folder.is_dir() and not place.head.is_file():
        return None
    number = max((_number(path) for path in _earlier(var_path)), default=0) + 1
    aside = Place(var_path / f"{JOURNAL}.{EARLIER}{number}")
    # The head goes last: a journal without its head is refused, a head without journal, too.
    if place.folder.is_dir():
        place.folder.rename(aside.folder)
    if place.head.is_file():
        place.head.rename(aside.head)
    for path in sorted(_earlier(var_path), key=_number)[:-KEPT]:
        shutil.rmtree(path)
        Place(path).head.unlink(missing_ok=True)
    return aside.folder


def _earlier(var_path: Path) -> list[Path]:
    return [path for path in var_path.glob(f"{JOURNAL}.{EARLIER}*") if path.is_dir()]


def _number(path: Path) -> int:
    text = path.name.rpartition(EARLIER)[2]
    return int(text) if text.isdigit() else 0
