"""Words in files: whole or not there, and taken away whatever lies under their names."""

import msgspec
import pytest

from shm import accepting, arming, wordfiles
from shm.accepting import Answer, Figures, in_words, parse_signed, signed
from shm.units import UnitError


class Said(msgspec.Struct, frozen=True):
    text: str


def test_a_word_is_read_as_it_was_put(tmp_path):
    path = tmp_path / "WORD"
    assert wordfiles.read(path, Said) is None
    wordfiles.put(path, b'{"text": "go"}')
    assert wordfiles.read(path, Said) == Said("go")
    assert path.stat().st_mode & 0o777 == 0o600
    wordfiles.put(path, b"{")
    assert wordfiles.read(path, Said) is None
    assert [one.name for one in tmp_path.iterdir()] == ["WORD"]


def make(path, what):
    if what == "file":
        path.write_text("x")
    elif what == "link":
        path.symlink_to("nowhere")
    elif what != "nothing":
        path.mkdir()
        if what == "full folder":
            (path / "something").write_text("x")


@pytest.mark.parametrize("what", ["nothing", "file", "link", "empty folder", "full folder"])
def test_a_name_is_free_after_it_was_taken_away(what, tmp_path):
    path = tmp_path / "WORD"
    make(path, what)
    assert wordfiles.take_away(path)
    assert not path.exists()
    assert not path.is_symlink()
    kept = list(tmp_path.rglob("something"))
    assert len(kept) == (what == "full folder"), "what somebody put there is not lost"


@pytest.mark.parametrize("name", ["ARM", "ARM.accepted", "ARM.refused", "ACCEPT", "ACCEPT.answer"])
@pytest.mark.parametrize("what", ["empty folder", "full folder", "link"])
def test_a_folder_where_a_word_should_be_stops_nobody(name, what, tmp_path):
    make(tmp_path / name, what)
    assert arming.arm_requested(tmp_path) is None
    assert accepting.word_of(tmp_path) is None
    arming.request_arm(tmp_path, 0, "me")
    assert arming.arm_requested(tmp_path).actor == "me"
    arming.refuse(tmp_path, 0, "no")
    assert arming.refused(tmp_path).reason == "no"
    word = accepting.say(tmp_path, "me")
    assert accepting.word_of(tmp_path) == word
    accepting.answer(tmp_path, Answer(word.id))
    assert accepting.answered(tmp_path, word) == Answer(word.id)
    assert not accepting.waiting(tmp_path)


def test_an_answer_is_of_its_word_only(tmp_path):
    first, second = accepting.say(tmp_path, "me"), accepting.say(tmp_path, "me")
    accepting.answer(tmp_path, Answer(first.id))
    assert accepting.answered(tmp_path, second) is None


@pytest.mark.parametrize("value", [0, 1, -1, 12_345_678, -(10**15), 1_000_000])
def test_figures_keep_their_sign_and_every_place(value):
    assert parse_signed(signed(value)) == value
    assert len(signed(value).partition(".")[2]) == 6


@pytest.mark.parametrize("text", ["", "5", "+", "+1.2345678", "+-5", "--5", "+1e3", "+0x1", " +1"])
def test_what_is_no_figure_is_refused(text):
    with pytest.raises(UnitError):
        parse_signed(text)


def test_figures_say_what_differs():
    assert not Figures()
    assert in_words(Figures()) == "nothing"
    assert in_words(Figures(-1, {"7": 5})) == "cash -0.000001, 7 +0.000005"
