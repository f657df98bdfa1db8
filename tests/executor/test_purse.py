"""`polytrio wallet`: key files are made whole or not at all, and never over another."""

import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from executor import keystore, purse
from executor.keyfile import read_key
from executor.purse import Asked, act
from shm.errors import ConfigError, InputError
from shm.settings import Settings
from tests.executor.test_keystore import ADDRESS, N_QUICK, PASSWORD, TEXT, descriptor
from tests.executor.vectors import TEST_KEY
from tests.pipeline.system import POLYTRIO, ROOT


class Terminal:
    """A person who answers what is asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.prompts: list[str] = []
        self.given: list[bytearray] = []

    def __call__(self, prompt: str) -> bytearray:
        self.prompts.append(prompt)
        self.given.append(bytearray(self.answers.pop(0)))
        return self.given[-1]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    real = keystore.encrypt
    monkeypatch.setattr(
        keystore, "encrypt", lambda secret, password: real(secret, password, N_QUICK)
    )


def asked(verb: str, file, terminal: Terminal, **more) -> Asked:
    return replace(Asked(verb, file, False, Settings(), None, None, None, terminal), **more)


def test_a_new_wallet_is_a_private_file_that_opens_with_the_password_typed_twice(tmp_path):
    terminal = Terminal(PASSWORD, PASSWORD)
    told = act(asked("new", tmp_path / "key", terminal))
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["key"]
    assert act(asked("check", tmp_path / "key", Terminal(PASSWORD))).address == told.address
    assert len(terminal.prompts) == 2
    assert all(not any(given) for given in terminal.given), "what was typed is wiped"


def test_two_new_wallets_are_two(tmp_path):
    terminal = Terminal()
    one = act(asked("new", tmp_path / "one", terminal, plain=True))
    two = act(asked("new", tmp_path / "two", terminal, plain=True))
    assert one.address != two.address
    assert terminal.prompts == []


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((PASSWORD, PASSWORD + b"!"), "not the same"),
        ((b"short",), "too short"),
    ],
)
def test_a_password_that_was_mistyped_or_is_short_writes_nothing(tmp_path, answers, why):
    with pytest.raises(ConfigError, match=why):
        act(asked("new", tmp_path / "key", Terminal(*answers)))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("verb", ["new", "import"])
def test_nothing_is_ever_overwritten_and_nobody_asked_in_vain(tmp_path, verb):
    (tmp_path / "key").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    terminal = Terminal()
    for name in ("key", "link"):
        with pytest.raises(InputError, match="never overwritten"):
            act(asked(verb, tmp_path / name, terminal))
    assert (tmp_path / "key").read_text() == "mine"
    assert terminal.prompts == []


def test_a_file_that_appears_meanwhile_is_not_overwritten_either(tmp_path):
    path = tmp_path / "key"

    def slow(prompt: str) -> bytearray:
        path.write_text("mine")
        return bytearray(PASSWORD)

    with pytest.raises(InputError, match="never overwritten"):
        act(replace(asked("new", path, Terminal()), ask=slow))
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["key"]


def test_a_key_is_taken_over_from_the_terminal_a_descriptor_or_another_file(tmp_path):
    hexed = TEST_KEY.hex().encode()
    typed = act(asked("import", tmp_path / "a", Terminal(b"0x" + hexed, PASSWORD, PASSWORD)))
    passed = act(asked("import", tmp_path / "b", Terminal(), key_fd=descriptor(hexed), plain=True))
    (tmp_path / "old").write_bytes(TEXT)
    (tmp_path / "old").chmod(0o600)
    moved = act(
        asked("import", tmp_path / "c", Terminal(PASSWORD), plain=True, key_from=tmp_path / "old")
    )
    assert typed.address == passed.address == moved.address == ADDRESS
    assert read_key(tmp_path / "a", descriptor()) == TEST_KEY
    assert read_key(tmp_path / "b") == read_key(tmp_path / "c") == TEST_KEY


@pytest.mark.parametrize("text", [b"zz", b"00" * 32, b"ff" * 32, TEST_KEY.hex().encode() + b"0"])
def test_h1_what_is_no_key_is_refused_and_not_repeated(tmp_path, text):
    with pytest.raises(InputError, match="no private key") as caught:
        act(asked("import", tmp_path / "key", Terminal(text)))
    assert text[:8].decode() not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_file_that_does_not_give_the_key_back_gets_no_name(tmp_path, monkeypatch):
    other = keystore.encrypt(bytes(31) + b"\5", PASSWORD)
    monkeypatch.setattr(keystore, "encrypt", lambda *_: other)
    with pytest.raises(InputError, match="does not give back"):
        act(asked("new", tmp_path / "key", Terminal(PASSWORD, PASSWORD)))
    assert os.listdir(tmp_path) == []


# --- as a user runs it ----------------------------------------------------------------------------


def run(*words: str, **more):
    return subprocess.run(
        [*POLYTRIO, "wallet", *words], cwd=ROOT, capture_output=True, text=True,
        start_new_session=True, **more,
    )  # fmt: skip


def test_the_verbs_on_the_command_line(tmp_path):
    path = str(tmp_path / "key")
    made = run("new", path, "--plain", "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    secret = (tmp_path / "key").read_text().strip()
    assert secret not in made.stdout + made.stderr
    checked = run("check", path, "--json")
    assert json.loads(checked.stdout)["address"] == told["address"]
    assert json.loads(checked.stdout)["maker"] == told["address"]
    again = run("new", path, "--plain")
    assert again.returncode == InputError.exit_code
    assert "never overwritten" in again.stderr


def test_a_real_keystore_takes_its_full_cost_and_a_descriptor(tmp_path):
    fd = descriptor()
    path = str(tmp_path / "key")
    made = run("import", path, "--password-fd", str(fd), "--from", str(plain(tmp_path)),
               "--json", pass_fds=(fd,))  # fmt: skip
    os.close(fd)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["address"] == ADDRESS
    params = json.loads((tmp_path / "key").read_text())["crypto"]["kdfparams"]
    assert (params["n"], params["r"], params["p"]) == (2**18, 8, 1)


def plain(tmp_path):
    path = tmp_path / "plain"
    path.write_text(TEST_KEY.hex())
    path.chmod(0o600)
    return path


def test_without_a_terminal_it_says_how_else_to_give_the_password(tmp_path):
    made = run("new", str(tmp_path / "key"), stdin=subprocess.DEVNULL)
    assert made.returncode == ConfigError.exit_code
    assert "--password-fd" in made.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("point", ["open", "os.link", "os.remove"])
def test_killed_half_way_there_is_a_whole_file_or_none(tmp_path, point):
    script = (
        "import os, signal, sys\n"
        "from executor import purse\n"
        f"point, path = {point!r}, {str(tmp_path / 'key')!r}\n"
        "def watch(event, arguments):\n"
        "    if event == point and '.key.' in str(arguments[0]) and os.path.exists(arguments[0]):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(watch)\n"
        "purse.main(['new', path, '--plain'])\n"
    )
    code = subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode
    assert code == -signal.SIGKILL
    path = tmp_path / "key"
    assert path.exists() == (point == "os.remove")
    if path.exists():
        assert len(read_key(path)) == 32


def test_it_forbids_looks_into_itself_before_it_knows_anything(monkeypatch):
    seen = []
    monkeypatch.setattr(purse, "harden", lambda: seen.append("hardened"))
    monkeypatch.setattr(purse, "parsed", lambda *_: seen.append("parsed") or sys.exit(0))
    with pytest.raises(SystemExit):
        purse.main([])
    assert seen == ["hardened", "parsed"]
