"""Credentials for the killer: the file changes as a whole, and no half of it stays anywhere."""

import os
import signal
import stat

import pytest

from executor import credentials
from executor.credentials import FILE_NAME, Credentials, Handed, hand_over

ADDRESS = "0x" + "ab" * 20
OURS = Credentials("key", "c2VjcmV0", "passphrase")


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_was_handed_over_is_its_owners_alone_and_the_newest_counts(tmp_path):
    hand_over(tmp_path, ADDRESS, Credentials("old", "b2xk", "old"))
    hand_over(tmp_path, ADDRESS, OURS)
    assert names(tmp_path) == {FILE_NAME}
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    handed = Handed(tmp_path)
    assert handed.look()
    assert handed.signer.fixed["POLY_API_KEY"] == "key"


@pytest.mark.parametrize("full", [True, False])
def test_where_it_cannot_be_written_nothing_is_left_half(tmp_path, monkeypatch, full):
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(credentials.os, "fdopen" if full else "open", refuse)
    with pytest.raises(OSError, match="No space"):
        hand_over(tmp_path, ADDRESS, OURS)
    assert names(tmp_path) == set()


def test_what_one_that_was_killed_half_way_left_goes_with_the_next(tmp_path):
    """Found by a campaign (C7): the secrets stood in a third file, for ever."""
    child = os.fork()
    if child == 0:
        credentials.Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        hand_over(tmp_path, ADDRESS, OURS)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (left,) = names(tmp_path)
    assert left != FILE_NAME
    hand_over(tmp_path, ADDRESS, OURS)
    assert names(tmp_path) == {FILE_NAME}
