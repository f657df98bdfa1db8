"""Key files: hex or keystore, read in bounded time and memory, refused without a word of them."""

import json
import os
import string

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from executor import keyfile, keystore
from executor.keyfile import password_left_at, read_key
from executor.wallet import load
from shm.errors import ConfigError
from shm.passwords import CREDENTIAL, CREDENTIALS
from shm.settings import WalletSettings
from tests.executor.vectors import TEST_KEY

PASSWORD = b"correct horse battery"
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
N_QUICK = 2**10
TEXT = keystore.encrypt(TEST_KEY, PASSWORD, N_QUICK)


def file_of(tmp_path, text: bytes = TEXT, mode: int = 0o600):
    path = tmp_path / "key.json"
    path.write_bytes(text)
    path.chmod(mode)
    return path


def descriptor(password: bytes = PASSWORD) -> int:
    """As a parent leaves it."""
    reading, writing = os.pipe()
    os.write(writing, password)
    os.close(writing)
    return reading


def spoilt(**changes) -> bytes:
    tree = json.loads(TEXT)
    for name, value in changes.items():
        inner = tree
        *way, last = name.split("__")
        for step in way:
            inner = inner[step]
        inner[last] = value
    return json.dumps(tree).encode()


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_keystore_opens_with_the_password_that_a_parent_left(tmp_path, ending):
    assert read_key(file_of(tmp_path), descriptor(PASSWORD + ending)) == TEST_KEY


def test_a_keystore_opens_with_a_systemd_credential(tmp_path, monkeypatch):
    (tmp_path / CREDENTIAL).write_bytes(PASSWORD + b"\n")
    monkeypatch.setenv(CREDENTIALS, str(tmp_path))
    assert load(file_of(tmp_path), WalletSettings()).address == ADDRESS


def test_a_stage_reads_from_the_descriptor_that_it_was_told_of(tmp_path):
    password_left_at(descriptor())
    try:
        assert load(file_of(tmp_path), WalletSettings()).address == ADDRESS
    finally:
        password_left_at(None)


def test_what_other_wallets_write_opens(tmp_path):
    for kdf, work in (("scrypt", 2**10), ("pbkdf2", 1_000)):
        tree = Account.encrypt(TEST_KEY, PASSWORD.decode(), kdf=kdf, iterations=work)
        path = file_of(tmp_path, json.dumps({"Crypto" if k == "crypto" else k: v
                                             for k, v in tree.items()}).encode())  # fmt: skip
        assert read_key(path, descriptor()) == TEST_KEY


def test_what_we_write_opens_elsewhere():
    assert bytes(Account.decrypt(json.loads(TEXT), PASSWORD.decode())) == TEST_KEY


def test_without_a_password_it_says_where_one_may_come_from(tmp_path, monkeypatch):
    monkeypatch.delenv(CREDENTIALS, raising=False)
    with pytest.raises(ConfigError, match="credential 'wallet-password'"):
        read_key(file_of(tmp_path))


def test_the_environment_is_never_asked_for_a_password(tmp_path, monkeypatch):
    monkeypatch.delenv(CREDENTIALS, raising=False)
    for name in ("PASSWORD", "WALLET_PASSWORD", "POLYTRIO_PASSWORD", "POLYTRIO__WALLET__PASSWORD"):
        monkeypatch.setenv(name, PASSWORD.decode())
    with pytest.raises(ConfigError, match="nobody has given its password"):
        read_key(file_of(tmp_path))


HOSTILE = {
    "a wrong password": (TEXT, b"wrong horse battery", "the password is wrong"),
    "an empty password": (TEXT, b"", "is empty"),
    "an endless password": (TEXT, b"x" * 5_000, "longer than"),
    "a truncated file": (TEXT[:200], PASSWORD, "damaged"),
    "another version": (spoilt(version=4), PASSWORD, "version 4"),
    "a wrong mac": (spoilt(crypto__mac="00" * 32), PASSWORD, "wrong, or the file is damaged"),
    "a short ciphertext": (spoilt(crypto__ciphertext="00" * 31), PASSWORD, "damaged"),
    "an unknown cipher": (spoilt(crypto__cipher="aes-256-cbc"), PASSWORD, "aes-128-ctr"),
    "an unknown kdf": (spoilt(crypto__kdf="md5"), PASSWORD, "neither scrypt nor pbkdf2"),
    "scrypt of a terabyte": (spoilt(crypto__kdfparams__n=2**30), PASSWORD, "more than this"),
    "scrypt of a huge r": (spoilt(crypto__kdfparams__r=2**25), PASSWORD, "more than this"),
    "scrypt of a huge p": (spoilt(crypto__kdfparams__p=2**20), PASSWORD, "more than this"),
    "scrypt with n of no power": (spoilt(crypto__kdfparams__n=1_000), PASSWORD, "are none"),
    "negative scrypt": (spoilt(crypto__kdfparams__n=-4), PASSWORD, "are none"),
    "numbers of 400 digits": (spoilt(crypto__kdfparams__n=10**400), PASSWORD, "keystore"),
    "nesting": (b'{"a":' * 30_000 + b"1", PASSWORD, "keystore"),
    "an enormous file": (b"{" + b" " * 70_000 + b"}", PASSWORD, "too long"),
    "no object": (b"{}", PASSWORD, "damaged"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_h2_a_keystore_that_does_not_open_is_refused_in_bounded_time_and_memory(tmp_path, what):
    text, password, why = HOSTILE[what]
    with pytest.raises(ConfigError, match=why) as caught:
        read_key(file_of(tmp_path, text), descriptor(password))
    assert password.decode() not in str(caught.value) or not password
    assert TEST_KEY.hex()[:8] not in str(caught.value)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(TEXT)["crypto"])), json_like)
@settings(max_examples=200)
def test_h2_whatever_stands_in_a_keystore_the_answer_is_a_refusal(name, value):
    try:
        keystore.parsed(spoilt(**{f"crypto__{name}": value}))
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_h2_any_bytes_are_refused_or_a_keystore(data):
    with pytest.raises(ConfigError):
        keystore.parsed(b"{" + data)


def test_h2_the_child_is_held_to_its_limits_by_the_kernel(tmp_path, monkeypatch):
    """Should the checks miss something: the file is let through, and the kernel stops it."""
    runner = tmp_path / "executor_keystore.py"
    runner.write_text(
        "import executor.keystore as k\n"
        "k.MEMORY_BYTES_MAX = k.WORK_MAX = 2**60\n"
        "k.main()\n"
    )  # fmt: skip
    real = keyfile.subprocess.Popen

    def popen(command, **options):
        return real([command[0], str(runner), command[-1]], **options, cwd=os.getcwd())

    monkeypatch.setattr(keyfile.subprocess, "Popen", popen)
    text = spoilt(crypto__kdfparams__n=2**24)  # 16 GiB
    with pytest.raises(ConfigError, match=r"memory|cannot be opened|damaged|ended"):
        read_key(file_of(tmp_path, text), descriptor())


alphabet = st.sampled_from(string.hexdigits + "xyz \n")


@given(st.text(alphabet, max_size=80))
@settings(max_examples=200)
def test_h1_a_malformed_key_is_refused_without_repeating_any_of_it(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("key") / "file"
    path.write_text(text)
    path.chmod(0o600)
    try:
        read_key(path)
    except ConfigError as error:
        said = str(error).replace(str(path), "")
        assert len(text) < 8 or text[:8] not in said
    else:
        assert len(text.strip().removeprefix("0x")) == 64


def test_h1_others_may_not_even_read_a_keystore(tmp_path):
    with pytest.raises(ConfigError, match="chmod 600"):
        read_key(file_of(tmp_path, mode=0o644), descriptor())


def test_h1_a_fifo_or_folder_is_no_key_file(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(ConfigError, match="is no file"):
            read_key(path)


def test_h1_the_key_of_another_wallet_than_the_funders_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="leave funder empty"):
        load(file_of(tmp_path), WalletSettings(funder="0x" + "11" * 20), descriptor())
