"""`polytrio journal accept-loss`: only what is lost, only when nobody trades, and to the end."""

import os
import signal
import subprocess
import sys

import pytest

from desk.journal_loss import accept_loss, parse_wallet
from executor.journal import Journal
from shm.errors import ConfigError, InputError, JournalError, RoleTaken
from shm.journal_files import Place
from shm.journal_verify import verify
from shm.records import Kind
from tests.desk.journals import (
    SETTINGS,
    WALLET,
    flip,
    mark,
    newer_code,
    opened,
    reply,
    whole,
    written,
)
from tests.desk.test_journal import broken, told
from tests.pipeline.system import ROOT


def accepted(folder, wallet=None):
    return accept_loss(
        Place(folder), wallet=wallet, actor="me", reason="the disk died", records=1_024,
        root=folder.parent,
    )  # fmt: skip


def lost(folder, how: str) -> None:
    """A journal of two segments, lost in one of the ways that there are."""
    path = whole(folder, rotations=1)
    match how:
        case "damaged":
            flip(path, 3)
        case "no head":
            folder.with_name("journal.head").unlink()
        case "spoilt head":
            folder.with_name("journal.head").write_bytes(b"\1" * 1_024)
        case "no segments":
            for segment in folder.glob("*.journal"):
                segment.unlink()
        case "no folder":
            for segment in folder.glob("*.journal"):
                segment.unlink()
            folder.rmdir()


WAYS = ["damaged", "no head", "spoilt head", "no segments", "no folder"]


@pytest.mark.parametrize("how", WAYS)
def test_d4_a_lost_journal_is_refused_until_the_operator_says_so(tmp_path, how):
    folder = tmp_path / "journal"
    lost(folder, how)
    with pytest.raises(JournalError, match="accept-loss"):
        opened(folder)
    remains = accepted(folder)
    assert (remains is None) == (how == "no folder")
    journal = opened(folder)
    first = journal.found[0]
    assert first.kind is Kind.LOSS
    assert first.payload.actor == b"me"
    assert first.payload.text == b"the disk died"
    assert first.payload.lost_segment == 2
    assert journal.needs_sweep, "orders that nobody here knows have to be looked for"
    assert isinstance(journal.append([mark(1)]), int)
    journal.close()
    assert not verify(Place(folder)).faults


def test_what_is_left_of_the_old_one_is_kept_as_it_was(tmp_path):
    folder = tmp_path / "journal"
    lost(folder, "damaged")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    remains = accepted(folder)
    assert {path.name: path.read_bytes() for path in remains.iterdir()} == before


def test_a_whole_journal_cannot_be_given_up(tmp_path):
    folder = tmp_path / "journal"
    whole(folder)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="nothing is lost"):
        accepted(folder)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("record", [reply(b"to nobody", flight=99), newer_code()])
def test_a_whole_journal_that_no_start_can_fold_can_be_given_up(tmp_path, record):
    folder = tmp_path / "journal"
    journal = written(folder)
    journal.append([record])
    journal.close()
    assert not verify(Place(folder)).faults, "each record is what was written"
    remains = accepted(folder)
    assert len(list(remains.glob("*.journal"))) == 1
    journal = opened(folder)
    assert journal.found[0].kind is Kind.LOSS
    assert journal.needs_sweep
    journal.close()


@pytest.mark.parametrize("number", [1, 2])
def test_a_journal_that_the_disk_does_not_read_can_be_given_up(tmp_path, monkeypatch, number):
    folder = tmp_path / "journal"
    whole(folder, rotations=1)
    with monkeypatch.context() as patch:
        broken(patch, folder / f"{number:06d}.journal")
        accepted(folder)
    journal = opened(folder)
    assert journal.found[0].payload.lost_segment == 2
    journal.close()


def test_d5_nobody_gives_up_a_journal_that_is_being_written(tmp_path):
    folder = tmp_path / "journal"
    journal = written(folder)
    flip(folder / "000001.journal", 3)
    with pytest.raises(RoleTaken):
        accepted(folder)
    journal.close()


def test_nothing_is_begun_where_nothing_was(tmp_path):
    with pytest.raises(InputError, match="begins one by itself"):
        accepted(tmp_path / "journal")
    with pytest.raises(InputError, match="begins one by itself"):
        accepted(tmp_path / "no" / "journal")


def test_whose_it_was_is_asked_only_if_nothing_says_so(tmp_path):
    folder = tmp_path / "journal"
    lost(folder, "no segments")
    folder.with_name("journal.head").write_bytes(b"\1" * 1_024)
    with pytest.raises(ConfigError, match="add --wallet"):
        accepted(folder)
    assert accepted(folder, WALLET) is not None
    opened(folder).close()


def test_another_wallet_than_the_journals_is_refused(tmp_path):
    folder = tmp_path / "journal"
    lost(folder, "damaged")
    with pytest.raises(ConfigError, match="the journal was of 0x0707"):
        accepted(folder, b"\x08" * 20)
    assert parse_wallet("0x" + "08" * 20) == b"\x08" * 20
    with pytest.raises(ConfigError, match="is no address"):
        parse_wallet("0x08")


@pytest.mark.parametrize("how", WAYS)
def test_killed_half_way_it_is_still_refused_and_saying_it_again_goes_on(tmp_path, how):
    ended = False
    for last in range(1, 60):
        folder = tmp_path / str(last) / "journal"
        folder.parent.mkdir()
        lost(folder, how)
        command = [sys.executable, "-m", "tests.desk.half_lost", str(folder), str(last)]
        code = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}).returncode
        if code == 0:
            ended = True
            break
        assert code == -signal.SIGKILL
        if verify(Place(folder)).faults:  # killed before its last step
            with pytest.raises(JournalError):
                opened(folder)
            accepted(folder, WALLET)
        journal = opened(folder)
        assert journal.found[0].kind is Kind.LOSS
        journal.close()
    assert ended
    assert last > 8, "the points of death were hit"


def test_the_verb_says_where_both_are(tmp_path, instance):
    folder = tmp_path / "journal"
    lost(folder, "damaged")
    result = told("accept-loss", "--folder", str(folder), "--reason", "test")
    assert result.exit_code == 0, result.output
    assert "a new journal is at" in result.stdout
    assert "journal.lost-" in result.stdout
    assert told("verify", "--folder", str(folder)).exit_code == 0
    journal = Journal.open(folder, WALLET, SETTINGS, threaded=False)
    assert journal.found[0].kind is Kind.LOSS
    journal.close()
    again = told("accept-loss", "--folder", str(folder), "--reason", "test")
    assert again.exit_code == InputError.exit_code
