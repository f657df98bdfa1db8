"""Signing: byte for byte the recorded orders, and an independent implementation agrees."""

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.signing import (
    CONTRACTS,
    ORDER_TYPE,
    OrderSigner,
    OrderTerms,
    domain_separator,
)
from executor.wallet import Wallet
from shm.codes import Exchange, Side
from shm.settings import WalletSettings
from tests.executor import vectors

ORDER_FIELDS = [
    {"name": name, "type": kind}
    for kind, name in (
        word.split(" ") for word in ORDER_TYPE.decode().removeprefix("Order(")[:-1].split(",")
    )
]


def test_all_recorded_orders_have_our_hash_and_signature(shared):
    recorded = vectors.load(shared)["orders"]
    assert len(recorded) == 28
    for order in recorded:
        signed = OrderSigner(vectors.wallet_of(order)).sign(vectors.terms_of(order))
        assert "0x" + signed.struct_hash.hex() == order["struct_hash"], order["name"]
        assert "0x" + signed.order_hash.hex() == order["order_hash"], order["name"]
        assert "0x" + signed.signature.hex() == order["signature"], order["name"]


def test_the_signatures_recover_to_the_wallet(shared):
    for order in vectors.load(shared)["orders"]:
        signed = OrderSigner(vectors.wallet_of(order)).sign(vectors.terms_of(order))
        recovered = Account._recover_hash(
            bytes.fromhex(order["signed_digest"][2:]), signature=signed.signature[:65]
        )
        assert recovered == order["recovered"], order["name"]


def test_the_domain_separators_are_the_recorded_ones(shared):
    recorded = vectors.load(shared)["constants"]["exchanges"]
    for exchange, name in (
        (Exchange.STANDARD, "standard_v2"),
        (Exchange.NEG_RISK, "neg_risk_v2"),
        (Exchange.POSITION_IDS, "exchange_v3_position_ids"),
    ):
        assert "0x" + domain_separator(exchange).hex() == recorded[name]["domain_separator"]


terms = st.builds(
    OrderTerms,
    exchange=st.sampled_from(list(CONTRACTS)),
    side=st.sampled_from([Side.BUY, Side.SELL]),
    token=st.integers(1, 2**256 - 1),
    maker_amount=st.integers(0, 2**64),
    taker_amount=st.integers(0, 2**64),
    salt=st.integers(0, 2**53 - 1),
    timestamp_ms=st.integers(0, 2**44),
    metadata=st.binary(min_size=32, max_size=32),
    builder=st.binary(min_size=32, max_size=32),
)


@given(terms, st.sampled_from([0, 1, 2]))
@settings(max_examples=60, deadline=None)
def test_eth_account_signs_the_same_bytes(order, signature_type):
    funder = "" if signature_type == 0 else "0x" + "11" * 20
    wallet = Wallet(
        vectors.fresh_key(), WalletSettings(signature_type=signature_type, funder=funder)
    )
    version, contract = CONTRACTS[order.exchange]
    typed = encode_typed_data(
        domain_data={
            "name": "Polymarket CTF Exchange",
            "version": version,
            "chainId": 137,
            "verifyingContract": contract,
        },
        message_types={"Order": ORDER_FIELDS},
        message_data={
            "salt": order.salt,
            "maker": wallet.maker,
            "signer": wallet.signer,
            "tokenId": order.token,
            "makerAmount": order.maker_amount,
            "takerAmount": order.taker_amount,
            "side": 0 if order.side is Side.BUY else 1,
            "signatureType": signature_type,
            "timestamp": order.timestamp_ms,
            "metadata": order.metadata,
            "builder": order.builder,
        },
    )
    theirs = Account.sign_message(typed, vectors.TEST_KEY)
    ours = OrderSigner(wallet).sign(order)
    assert ours.order_hash == bytes(theirs.message_hash)
    assert ours.signature == bytes(theirs.signature)


def test_the_same_order_signs_to_the_same_bytes_and_another_salt_to_others():
    signer = OrderSigner(Wallet(vectors.fresh_key(), WalletSettings()))
    order = OrderTerms(Exchange.STANDARD, Side.BUY, 5, 10, 20, 1, 2)
    assert signer.sign(order) == signer.sign(order)
    other = OrderTerms(Exchange.STANDARD, Side.BUY, 5, 10, 20, 2, 2)
    assert signer.sign(other).order_hash != signer.sign(order).order_hash


@pytest.mark.parametrize("amount", [-1, 2**256])
def test_an_amount_that_is_no_uint256_crashes(amount):
    signer = OrderSigner(Wallet(vectors.fresh_key(), WalletSettings()))
    with pytest.raises(OverflowError):
        signer.sign(OrderTerms(Exchange.STANDARD, Side.BUY, 5, amount, 20, 1, 2))
