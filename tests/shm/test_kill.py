"""The kill switch as everybody sees it: the file asks, the first press wins, a touch counts."""

import os
import stat
import subprocess
import sys

import msgspec
import pytest

from shm import kill
from shm.codes import Role
from shm.fabric import Fabric
from shm.kill import KILL, Kill, Request, nonce_of, pressed, request_kill, standing
from shm.layout import KILL_LATCH


def test_a_request_is_a_private_file_that_says_who_when_and_why(tmp_path):
    var = tmp_path / "var" / "main"
    assert request_kill(var, "me", "enough") is Request.FIRST
    path = var / KILL
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(var.stat().st_mode) == 0o700
    (press,) = pressed(var).presses
    assert (press.told.actor, press.told.reason) == ("me", "enough")
    assert press.told.wall_ms > 1_700_000_000_000
    assert len(press.told.nonce) == 16
    assert os.listdir(var) == [KILL]


def test_the_first_press_wins_and_a_later_one_changes_nothing(tmp_path):
    request_kill(tmp_path, "first")
    text, nonce = (tmp_path / KILL).read_bytes(), pressed(tmp_path).nonce
    assert request_kill(tmp_path, "second") is Request.ALREADY
    assert (tmp_path / KILL).read_bytes() == text
    assert pressed(tmp_path).nonce == nonce
    assert os.listdir(tmp_path) == [KILL]


def test_two_presses_in_two_processes_at_once_leave_one_whole_file(tmp_path):
    code = f"""
from pathlib import Path
from shm.kill import request_kill
print(request_kill(Path({str(tmp_path)!r}), "x" * 150).name)
"""
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = sorted(process.communicate(timeout=30)[0].strip() for process in running)
    assert said == ["ALREADY", "ALREADY", "ALREADY", "FIRST"]
    assert pressed(tmp_path).presses[0].told.actor == "x" * 150
    assert os.listdir(tmp_path) == [KILL]


def test_while_something_is_being_armed_a_press_gets_a_file_of_its_own(tmp_path):
    for name in (kill.ARM, kill.ACCEPTED):
        request_kill(tmp_path, "first")
        (tmp_path / name).touch()
        before = pressed(tmp_path).nonce
        assert request_kill(tmp_path, "second") is Request.AGAIN
        assert pressed(tmp_path).nonce not in {before, 0}
        (tmp_path / KILL).unlink()
        assert [press.told.actor for press in pressed(tmp_path).presses][-1] == "second"
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize("make", ["touch", "mkdir", "dangling", "fifo", "words", "deep"])
def test_whatever_is_called_kill_counts_and_stops_nobody_who_looks(tmp_path, make):
    path = tmp_path / KILL
    {
        "touch": path.touch,
        "mkdir": path.mkdir,
        "dangling": lambda: path.symlink_to("nowhere"),
        "fifo": lambda: os.mkfifo(path),
        "words": lambda: path.write_text("stop it!\n" * 10_000),
        "deep": lambda: path.write_text('{"x":' + "[" * 4_000),
    }[make]()
    assert standing(tmp_path)
    found = pressed(tmp_path)
    assert found.nonce
    assert found.presses[0].told.actor == "by hand"
    assert request_kill(tmp_path, "me") is Request.ALREADY


def test_a_touch_of_a_standing_request_makes_it_another_one(tmp_path):
    request_kill(tmp_path, "me")
    nonces = set()
    for moment_ns in range(1, 4):
        os.utime(tmp_path / KILL, ns=(moment_ns, moment_ns))
        nonces.add(pressed(tmp_path).nonce)
    assert len(nonces) == 3


def test_no_request_has_no_nonce_and_names_do_not_matter_to_it(tmp_path):
    assert pressed(tmp_path).nonce == 0
    assert not pressed(tmp_path / "absent")
    assert nonce_of([b"a", b"b"]) == nonce_of([b"b", b"a"]) != nonce_of([b"ab"])
    request_kill(tmp_path, "me")
    before = pressed(tmp_path).nonce
    (tmp_path / KILL).rename(tmp_path / f"{KILL}.clearing")
    assert pressed(tmp_path).nonce == before
    (tmp_path / ".KILL.1.2").touch()  # what a press that was killed may leave
    (tmp_path / "KILLER").touch()
    assert pressed(tmp_path).nonce == before


def test_what_a_press_says_cannot_break_a_line_of_a_log(tmp_path):
    told = {"actor": "me\n2026 all is well", "reason": "\x1b[2J\u202e"}
    (tmp_path / KILL).write_bytes(msgspec.json.encode(told))
    shown = pressed(tmp_path).presses[0].told
    assert shown.actor == "me?2026 all is well"
    assert shown.reason == "?[2J?"


# --- in a process that heeds it -------------------------------------------------------------------


def latch_writer(instance: str):
    fabric = Fabric(instance, Role.KILLER)
    return fabric.counters("control.kill", KILL_LATCH, write=True)


def test_the_latch_alone_and_the_file_alone_stop_trading(segments, tmp_path):
    switch = Kill(Fabric(segments), tmp_path)
    assert not switch.requested()
    latch_writer(segments).set("latched", 1)
    assert switch.requested()
    latch_writer(segments).set("latched", 0)
    assert not switch.requested()
    (tmp_path / KILL).touch()
    assert not switch.requested()  # one load only: the file is for the housekeeping
    assert switch.look()
    assert switch.requested()
    (tmp_path / KILL).unlink()
    assert switch.requested()
    assert not switch.look()
    assert not switch.requested()


@pytest.mark.parametrize("word", [1, 2, 2**63, 2**64 - 1])
def test_any_number_but_zero_in_the_latch_stops_trading(segments, tmp_path, word):
    latch_writer(segments).set("latched", word)
    assert Kill(Fabric(segments), tmp_path).requested()


def test_without_room_for_a_file_the_process_heeds_itself_and_goes_on_asking(
    segments, tmp_path, monkeypatch
):
    switch = Kill(Fabric(segments), tmp_path)

    def no_room(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "open", no_room)
        assert switch.press("me", "full") is Request.NO_ROOM
        assert switch.requested()
        assert switch.look()
        assert switch.owed
    assert switch.look()
    assert not switch.owed
    assert pressed(tmp_path).presses[0].told.actor == "me"


def test_a_press_never_raises(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_a, **_o: (_ for _ in ()).throw(OSError(1, "no")))
    assert request_kill(tmp_path, "me") is Request.FIRST
    assert (tmp_path / KILL).read_bytes() == b""
    blocked = tmp_path / "file"
    blocked.touch()
    assert request_kill(blocked / "main", "me") is Request.NO_ROOM
