"""Passwords: from a terminal, a descriptor or a credential, wiped, and handed on once."""

import os
import pty
import subprocess
import sys
import time

import pytest

from shm.errors import ConfigError
from shm.passwords import (
    CREDENTIAL,
    CREDENTIALS,
    ask_new,
    handed,
    needs_password,
    obtained,
    read_password,
)
from tests.pipeline.system import ROOT

PASSWORD = b"correct horse battery"


def pipe_of(data: bytes) -> int:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


def keystore(tmp_path):
    path = tmp_path / "key"
    path.write_text(' {"version": 3}')
    return path


def read_until(fd: int, word: bytes) -> bytes:
    seen = b""
    deadline_s = time.monotonic() + 30
    while word not in seen:
        assert time.monotonic() < deadline_s, seen
        seen += os.read(fd, 1_000)
    return seen


def test_what_is_typed_at_the_terminal_is_not_shown_and_the_echo_comes_back():
    script = (
        "from shm.passwords import ask\n"
        "import termios\n"
        "fd = open('/dev/tty')\n"
        "assert ask('Password: ') == b'correct horse battery'\n"
        "assert termios.tcgetattr(fd)[3] & termios.ECHO\n"
        "print('all is well')\n"
    )
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", script])
    shown = read_until(fd, b"Password: ")
    os.write(fd, PASSWORD + b"\n")
    shown += read_until(fd, b"all is well")
    os.waitpid(pid, 0)
    os.close(fd)
    assert b"horse" not in shown


def test_without_a_terminal_it_says_how_else():
    script = "from shm.passwords import ask\nask('Password: ')\n"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert "--password-fd N" in done.stderr


def test_a_descriptor_is_read_to_its_end_without_the_end_of_the_line_and_closed():
    fd = pipe_of(PASSWORD + b"\r\n")
    assert read_password(fd, "here") == PASSWORD
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize(
    ("data", "why"), [(b"", "is empty"), (b"\n", "is empty"), (b"x" * 4_097, "longer than")]
)
def test_what_is_no_password_is_refused(data, why):
    with pytest.raises(ConfigError, match=why):
        read_password(pipe_of(data), "here")


def test_a_descriptor_that_is_not_open_is_named():
    with pytest.raises(ConfigError, match="no password at descriptor 999"):
        read_password(999, "descriptor 999")


def test_a_password_is_handed_on_once_and_stays_in_hand():
    password = bytearray(PASSWORD)
    with handed(password) as fd:
        assert os.read(fd, 100) == PASSWORD
        assert os.read(fd, 100) == b""
    assert password == PASSWORD  # for the next executor
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_the_longest_password_does_not_block_whoever_hands_it_on():
    with handed(bytearray(b"x" * 4_096)) as fd:
        assert len(os.read(fd, 5_000)) == 4_096


def test_a_new_password_is_typed_twice_and_wiped_if_they_differ():
    given = [bytearray(PASSWORD), bytearray(b"something else")]
    typed = list(given)
    with pytest.raises(ConfigError, match="not the same"):
        ask_new("New password", lambda _: typed.pop(0))
    assert not any(given[0])
    assert not any(given[1])


def test_where_a_password_comes_from(tmp_path):
    def never(prompt: str) -> bytearray:
        raise AssertionError(prompt)

    path = keystore(tmp_path)
    plain = tmp_path / "plain"
    plain.write_text("ab" * 32)
    assert needs_password(path)
    assert not needs_password(plain)
    assert not needs_password(tmp_path / "absent")
    assert obtained(plain, None, {}, never) is None
    assert obtained(path, pipe_of(PASSWORD), {}, never) == PASSWORD
    assert obtained(path, None, {}, lambda _: bytearray(b"typed")) == b"typed"
    (tmp_path / CREDENTIAL).write_text("x")
    assert obtained(path, None, {CREDENTIALS: str(tmp_path)}, never) is None
    with pytest.raises(ConfigError, match="is no keystore"):
        obtained(plain, 99, {}, never)
