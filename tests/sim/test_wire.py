import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.exchange import Exchange
from sim.replies import INVALID_PAYLOAD, VERSION_MISMATCH
from sim.trades import Delays
from sim.wire import Submission, parse_batch, parse_submission
from tests.sim.traders import Trader
from tests.sim.worlds import TOKENS, facts


@pytest.fixture(scope="module")
def trader():
    return Trader(Exchange(1, 10**9, Delays(1, 2)))


@pytest.fixture(scope="module")
def body(trader):
    order = trader.signed(facts(), TOKENS[0], "BUY", (5_000_000, 10_000_000))
    return json.loads(trader.wrap(order))


def test_every_vector_is_understood_field_by_field(shared):
    for vector in json.loads((shared / "vectors.json").read_text())["orders"]:
        one = parse_submission(vector["post_body_compact"].encode())
        sent = vector["post_body"]
        assert isinstance(one, Submission)
        assert (one.owner, one.order_type) == (sent["owner"], sent["orderType"])
        assert one.post_only is sent["postOnly"]
        assert str(one.order.token_id) == sent["order"]["tokenId"]
        assert one.order.maker_amount == int(vector["maker_amount"])
        assert one.order.taker_amount == int(vector["taker_amount"])
        assert one.order.signature.hex() == vector["signature"][2:]
        assert one.order.expiration_s == int(sent["order"]["expiration"])


def test_the_batch_vector_is_an_array_of_its_orders(shared):
    batch = json.loads((shared / "vectors.json").read_text())["batch_post_orders"]
    elements = parse_batch(batch["body_compact"].encode())
    assert elements
    assert all(isinstance(parse_submission(one), Submission) for one in elements)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("salt", 1 << 53),
        ("salt", -1),
        ("salt", "12"),
        ("salt", 1.5),
        ("maker", "0x12"),
        ("maker", "f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        ("signer", 5),
        ("tokenId", "012"),
        ("tokenId", "-1"),
        ("tokenId", str(1 << 256)),
        ("makerAmount", "0"),
        ("makerAmount", 5_000_000),
        ("makerAmount", "5e6"),
        ("takerAmount", "1.5"),
        ("takerAmount", str((1 << 53) + 1)),
        ("side", "buy"),
        ("side", 0),
        ("expiration", "-1"),
        ("expiration", 0),
        ("signatureType", 4),
        ("signatureType", "0"),
        ("timestamp", "now"),
        ("metadata", "0x00"),
        ("builder", "00" * 32),
        ("signature", "0x"),
        ("signature", "0x123"),
        ("signature", "zz"),
    ],
)
def test_a_field_of_the_wrong_form_refuses_the_order(body, name, value):
    damaged = body | {"order": body["order"] | {name: value}}
    assert parse_submission(json.dumps(damaged).encode()) == INVALID_PAYLOAD


@pytest.mark.parametrize("name", ["salt", "maker", "signature", "timestamp", "builder"])
def test_a_missing_field_refuses_the_order(body, name):
    order = {key: value for key, value in body["order"].items() if key != name}
    assert parse_submission(json.dumps(body | {"order": order}).encode()) == INVALID_PAYLOAD


@pytest.mark.parametrize(
    "change",
    [
        {"orderType": "MARKET"},
        {"orderType": "FOK", "postOnly": True},
        {"orderType": "FAK", "postOnly": True},
        {"owner": None},
        {"postOnly": "no"},
        {"order": []},
    ],
)
def test_a_wrong_envelope_refuses_the_order(body, change):
    assert parse_submission(json.dumps(body | change).encode()) == INVALID_PAYLOAD


def test_orders_of_the_first_protocol_are_named_as_such(body):
    old = {key: value for key, value in body["order"].items() if key != "timestamp"}
    old |= {"taker": "0x" + "00" * 20, "nonce": "0", "feeRateBps": "0"}
    assert parse_submission(json.dumps(body | {"order": old}).encode()) == VERSION_MISMATCH


def test_unknown_keys_are_ignored(body):
    more = body | {"new": 1, "order": body["order"] | {"newer": 2}}
    assert isinstance(parse_submission(json.dumps(more).encode()), Submission)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_submission_or_a_text(data):
    assert isinstance(parse_submission(data), str | Submission)
    assert isinstance(parse_batch(data), list | None)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=10,
    )
)
def test_any_json_gives_a_text_of_refusal(value):
    assert parse_submission(json.dumps(value).encode()) == INVALID_PAYLOAD
