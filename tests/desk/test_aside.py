"""Aside: an exchange that begins anew has no use for what was known of the one before it."""

import pytest

from desk.aside import KEPT, put_journal_aside
from executor.journal import Journal
from shm.journal_record import Draft
from shm.limits import JournalSettings
from shm.records import Kind, Mark

WALLET = b"\x07" * 20
SETTINGS = JournalSettings(segment_records=1_024)


def write(tmp_path, worth: int) -> None:
    journal = Journal.open(tmp_path / "journal", WALLET, SETTINGS, root=tmp_path, threaded=False)
    journal.append([Draft(Kind.MARK, 0, 0, Mark(1, worth))])
    journal.close()


def worths(folder, tmp_path) -> list[int]:
    journal = Journal.open(folder, WALLET, SETTINGS, root=tmp_path, threaded=False)
    found = [entry.payload.worth_usd_e6 for entry in journal.found if entry.kind is Kind.MARK]
    journal.close()
    return found


def test_nothing_is_put_aside_where_nothing_is(tmp_path):
    assert put_journal_aside(tmp_path) is None


def test_a_journal_is_put_aside_whole_and_a_new_one_begins(tmp_path):
    write(tmp_path, 5)
    aside = put_journal_aside(tmp_path)
    assert aside is not None
    assert worths(aside, tmp_path) == [5]
    assert worths(tmp_path / "journal", tmp_path) == []


@pytest.mark.parametrize("runs", [KEPT + 3])
def test_only_the_newest_few_are_kept(tmp_path, runs):
    folders = []
    for run in range(runs):
        write(tmp_path, run)
        folders.append(put_journal_aside(tmp_path))
    assert [folder.is_dir() for folder in folders] == [False] * (runs - KEPT) + [True] * KEPT
    assert worths(folders[-1], tmp_path) == [runs - 1]
