"""Wire: the bodies that were signed and recorded, to the byte."""

import msgspec

from executor.auth import Credentials, RequestSigner
from executor.signing import OrderSigner
from executor.wire import encode_batch, post_body
from tests.executor import vectors

OWNER = "00000000-0000-0000-0000-000000000001"


def body_of(order: dict):
    wallet = vectors.wallet_of(order)
    inputs = order["inputs"]
    return post_body(
        wallet,
        OrderSigner(wallet).sign(vectors.terms_of(order)),
        OWNER,
        inputs["order_type"],
        expiration_s=inputs["expiration"],
        post_only=inputs["post_only"],
    )


def test_every_recorded_body_is_reproduced(shared):
    for order in vectors.load(shared)["orders"]:
        assert msgspec.json.encode(body_of(order)).decode() == order["post_body_compact"]


def test_the_recorded_bodies_have_the_recorded_headers(shared):
    recorded = vectors.load(shared)
    creds = recorded["l2_auth"]["creds"]
    for order in recorded["orders"]:
        address = order["l2_headers_post_order"]["POLY_ADDRESS"]
        signer = RequestSigner(
            address, Credentials(creds["apiKey"], creds["secret"], creds["passphrase"])
        )
        headers = signer.headers(
            int(order["l2_headers_post_order"]["POLY_TIMESTAMP"]),
            "POST",
            "/order",
            msgspec.json.encode(body_of(order)),
        )
        assert headers == order["l2_headers_post_order"], order["name"]


def test_the_recorded_batch_is_reproduced_with_its_headers(shared):
    recorded = vectors.load(shared)
    batch = recorded["batch_post_orders"]
    by_hash = {order["post_body_compact"]: order for order in recorded["orders"]}
    members = [
        by_hash[msgspec.json.encode(element).decode()]
        for element in msgspec.json.decode(batch["body_compact"])
    ]
    body = encode_batch([body_of(order) for order in members])
    assert body.decode() == batch["body_compact"]
    creds = recorded["l2_auth"]["creds"]
    signer = RequestSigner(
        members[0]["signer"], Credentials(creds["apiKey"], creds["secret"], creds["passphrase"])
    )
    stamp = int(batch["l2_headers"]["POLY_TIMESTAMP"])
    assert signer.headers(stamp, "POST", "/orders", body) == batch["l2_headers"]
