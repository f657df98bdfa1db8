import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.wallets import SignatureType, wallet_of
from tests.sim.traders import account


def test_the_four_wallets_of_the_test_key_are_those_of_the_vectors(shared):
    key = json.loads((shared / "vectors.json").read_text())["key"]
    derived = [wallet_of(key["eoa"], one) for one in SignatureType]
    names = ("eoa", "proxy_wallet", "gnosis_safe", "deposit_wallet_beacon")
    assert derived == [key[name] for name in names]


@given(st.integers(0, 50))
def test_wallets_differ_by_type_and_by_owner(number):
    mine = {wallet_of(account(number).address, one) for one in SignatureType}
    others = {wallet_of(account(number + 1).address, one) for one in SignatureType}
    assert len(mine) == 4
    assert not mine & others


def test_what_is_no_address_has_no_wallet():
    with pytest.raises(ValueError, match="0x12"):
        wallet_of("0x12", SignatureType.SAFE)
