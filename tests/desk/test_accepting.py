"""`polytrio accept` waits as long as the executor says that it may take, and no longer."""

import threading
import time
from types import SimpleNamespace

import pytest

from desk import accepting
from desk.killing import Unconfirmed
from shm import accepting as words
from shm.accepting import Answer, Figures

FOUND = Figures(5)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(accepting, "watched", lambda _instance: object())
    monkeypatch.setattr(accepting, "PATIENCE_S", 0.3)
    monkeypatch.setattr(accepting, "MARGIN_S", 0.1)
    return SimpleNamespace(instance="here", var_path=tmp_path)


def executor(var_path, *, within_s: float, after_s: float) -> threading.Thread:
    """Says at once how long it may take, and answers after some time."""

    def work() -> None:
        while (word := words.word_of(var_path)) is None:
            time.sleep(0.01)
        words.announce(var_path, word, within_s)
        time.sleep(after_s)
        words.answer(var_path, Answer(word.id, FOUND))

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_it_waits_for_an_answer_as_long_as_was_announced(settings):
    thread = executor(settings.var_path, within_s=5.0, after_s=0.6)
    assert accepting.differing(settings) == FOUND
    thread.join()


def test_it_does_not_wait_longer(settings):
    thread = executor(settings.var_path, within_s=0.1, after_s=1.0)
    with pytest.raises(Unconfirmed, match="has not answered"):
        accepting.differing(settings)
    thread.join()
