"""Wallet: keys from private files only, addresses as Ethereum writes them, nothing printed."""

import os
import pickle
import stat

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from executor.wallet import Wallet, ensure_paper_key, load, make_key
from shm.errors import ConfigError
from shm.settings import WalletSettings
from tests.executor.vectors import TEST_KEY, fresh_key

EOA = WalletSettings()
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def key_file(tmp_path, text: str, mode: int = 0o600):
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(mode)
    return path


@given(
    st.binary(min_size=32, max_size=32).filter(lambda secret: 0 < int.from_bytes(secret) < 2**255)
)
def test_the_address_is_the_one_eth_account_derives(secret):
    assert Wallet(make_key(bytearray(secret)), EOA).address == Account.from_key(secret).address


@pytest.mark.parametrize("text", [TEST_KEY.hex(), "0x" + TEST_KEY.hex() + "\n"])
def test_a_key_is_read_with_and_without_prefix(tmp_path, text):
    assert load(key_file(tmp_path, text), EOA).address == ADDRESS


@pytest.mark.parametrize(
    "text", ["", "zz", "0x12", TEST_KEY.hex() + "00", "00" * 32, "ff" * 32, TEST_KEY.hex()[:-1]]
)
def test_a_bad_key_is_refused_without_repeating_any_of_it(tmp_path, text):
    with pytest.raises(ConfigError, match="private key in hex") as caught:
        load(key_file(tmp_path, text), EOA)
    assert not text or text[:8] not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    with pytest.raises(ConfigError, match="chmod 600"):
        load(key_file(tmp_path, TEST_KEY.hex(), mode), EOA)


def test_a_missing_key_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no key file"):
        load(tmp_path / "absent", EOA)


def test_a_paper_key_is_made_once_and_private(tmp_path):
    path = tmp_path / "deep" / "paper.key"
    ensure_paper_key(path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    first = load(path, EOA).address
    ensure_paper_key(path)
    assert load(path, EOA).address == first
    assert len(list(path.parent.iterdir())) == 1


def test_wallet_types_need_and_refuse_a_funder():
    funder = "0x" + "ab" * 20
    with pytest.raises(ConfigError, match=r"needs wallet\.funder"):
        Wallet(fresh_key(), WalletSettings(signature_type=2))
    with pytest.raises(ConfigError, match="leave funder empty"):
        Wallet(fresh_key(), WalletSettings(signature_type=0, funder=funder))
    safe = Wallet(fresh_key(), WalletSettings(signature_type=2, funder=funder))
    assert (safe.maker.lower(), safe.signer) == (funder, ADDRESS)
    deposit = Wallet(fresh_key(), WalletSettings(signature_type=3, funder=funder))
    assert deposit.signer == deposit.maker


def test_a_wallet_neither_prints_nor_pickles_its_key():
    wallet = Wallet(fresh_key(), EOA)
    assert repr(wallet) == f"Wallet({ADDRESS})"
    with pytest.raises(TypeError):
        pickle.dumps(wallet)
