import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.exchange import Exchange
from sim.trades import Delays
from sim.verify import (
    ORDER_TYPE_TEXT,
    Domain,
    domain_of,
    is_signed_by,
    order_hash,
    order_message,
)
from sim.wire import parse_submission
from tests.sim.traders import Trader
from tests.sim.worlds import TOKENS, facts

EOA = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


@pytest.fixture(scope="module")
def trader():
    return Trader(Exchange(1, 10**9, Delays(1, 2)))


def vectors(shared):
    return json.loads((shared / "vectors.json").read_text())["orders"]


def market_of(vector):
    inputs = vector["inputs"]
    version = "v2" if inputs["exchange_version"] == 3 else "v1"
    return facts(neg_risk=inputs["neg_risk"], version=version)


def parsed(body: dict):
    submission = parse_submission(json.dumps(body).encode())
    return None if isinstance(submission, str) else submission.order


def test_all_vectors_verify_with_their_hashes(shared):
    seen = vectors(shared)
    assert len(seen) == 28
    assert {one["inputs"]["signature_type"] for one in seen} == {0, 1, 2, 3}
    for vector in seen:
        order = parsed(vector["post_body"])
        domain = domain_of(market_of(vector))
        message = order_message(order, domain)
        assert message.header.hex() == vector["domain_separator"][2:]
        assert message.body.hex() == vector["struct_hash"][2:]
        assert order_hash(message) == vector["order_hash"]
        assert is_signed_by(order, domain, EOA), vector["name"]


def test_no_vector_survives_a_flipped_byte_anywhere_in_its_signature(shared):
    for vector in vectors(shared):
        domain = domain_of(market_of(vector))
        signature = bytearray.fromhex(vector["signature"][2:])
        for index in range(len(signature)):
            damaged = bytes(signature[:index]) + bytes([signature[index] ^ 1])
            damaged += bytes(signature[index + 1 :])
            order = vector["post_body"]["order"] | {"signature": "0x" + damaged.hex()}
            body = vector["post_body"] | {"order": order}
            assert not is_signed_by(parsed(body), domain, EOA), (vector["name"], index)


def test_no_vector_survives_a_change_of_any_signed_field(shared):
    changes = {
        "salt": 77,
        "tokenId": "5",
        "makerAmount": "3",
        "takerAmount": "3",
        "timestamp": "4",
        "metadata": "0x" + "01" * 32,
        "builder": "0x" + "02" * 32,
    }
    for vector in vectors(shared):
        domain = domain_of(market_of(vector))
        order = vector["post_body"]["order"]
        sides = {"side": "SELL" if order["side"] == "BUY" else "BUY"}
        for name, value in (changes | sides).items():
            body = vector["post_body"] | {"order": order | {name: value}}
            assert not is_signed_by(parsed(body), domain, EOA), (vector["name"], name)


def test_the_expiration_is_not_signed(shared):
    for vector in vectors(shared):
        order = vector["post_body"]["order"] | {"expiration": "1795366899"}
        body = vector["post_body"] | {"order": order}
        assert is_signed_by(parsed(body), domain_of(market_of(vector)), EOA)


def test_an_order_is_good_for_one_exchange_contract_only(shared):
    domains = [
        domain_of(facts(neg_risk=False)),
        domain_of(facts(neg_risk=True)),
        domain_of(facts(version="v2")),
    ]
    for vector in vectors(shared):
        right = domain_of(market_of(vector))
        order = parsed(vector["post_body"])
        accepted = [one for one in domains if is_signed_by(order, one, EOA)]
        assert accepted == [right]


def test_somebody_elses_key_does_not_sign_for_me(shared, trader):
    vector = vectors(shared)[0]
    domain = domain_of(market_of(vector))
    assert not is_signed_by(parsed(vector["post_body"]), domain, trader.eoa.address)


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=1, max_size=400))
def test_arbitrary_bytes_are_no_signature(trader, data):
    order = trader.signed(facts(), TOKENS[0], "BUY", (5_000_000, 10_000_000))
    body = json.loads(trader.wrap(order | {"signature": "0x" + data.hex()}))
    assert not is_signed_by(parsed(body), domain_of(facts()), trader.eoa.address)


def test_the_high_twin_of_a_signature_is_refused(trader):
    order = trader.signed(facts(), TOKENS[0], "BUY", (5_000_000, 10_000_000))
    raw = bytes.fromhex(order["signature"][2:])
    group = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    twin = raw[:32] + (group - int.from_bytes(raw[32:64], "big")).to_bytes(32, "big")
    twin += bytes([55 - raw[64]])
    body = json.loads(trader.wrap(order | {"signature": "0x" + twin.hex()}))
    assert is_signed_by(parsed(json.loads(trader.wrap(order))), domain_of(facts()),
                        trader.eoa.address)  # fmt: skip
    assert not is_signed_by(parsed(body), domain_of(facts()), trader.eoa.address)


def test_the_type_text_is_the_one_of_the_protocol(shared):
    constants = json.loads((shared / "vectors.json").read_text())["constants"]
    assert ORDER_TYPE_TEXT.decode() == constants["order_type_string"]
    assert len(ORDER_TYPE_TEXT) == 186
    for name, made in (
        ("standard_v2", domain_of(facts())),
        ("neg_risk_v2", domain_of(facts(neg_risk=True))),
        ("exchange_v3_position_ids", domain_of(facts(version="v2"))),
    ):
        given_domain = constants["exchanges"][name]
        assert made == Domain(given_domain["version"], given_domain["address"])
