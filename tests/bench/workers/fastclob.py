"""fast-clob-tools: three orders built and signed in C behind the official API, one body, its HMAC.

Its amounts differ from the exact ones in some per cent of random orders; here only time counts.
"""

import json
from importlib.metadata import version

from fast_clob_tools.patch import FastOrderBuilder
from line import Thing, serve
from py_clob_client_v2.clob_types import (
    ApiCreds,
    CreateOrderOptions,
    OrderArgsV2,
    OrderType,
    RequestArgs,
)
from py_clob_client_v2.headers.headers import create_level_2_headers
from py_clob_client_v2.order_utils.model.order_data_v2 import order_to_json_v2
from py_clob_client_v2.signer import Signer

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
API_KEY, SECRET = (
    "11111111-1111-1111-1111-111111111111",
    "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDEyMzQ=",
)
LEGS = ((101 << 240, 0.31, 100.0), (103 << 240, 0.42, 100.0), (107 << 240, 0.22, 100.0))


def legs() -> Thing:
    signer = Signer(KEY, 137)
    builder = FastOrderBuilder(signer)
    options = CreateOrderOptions(tick_size="0.01", neg_risk=False)
    creds = ApiCreds(API_KEY, SECRET, "passphrase")

    def send() -> object:
        payloads = []
        for token, price, size in LEGS:
            arguments = OrderArgsV2(token_id=str(token), price=price, size=size, side="BUY")
            order = builder.build_order(arguments, options, 2)
            payloads.append(order_to_json_v2(order, API_KEY, OrderType.FOK, False, False))
        body = json.dumps(payloads, separators=(",", ":"), ensure_ascii=False)
        wanted = RequestArgs(
            method="POST", request_path="/orders", body=payloads, serialized_body=body
        )
        return create_level_2_headers(signer, creds, wanted)

    return Thing(send, [()])


NAME = f"fast-clob-tools {version('fast-clob-tools')}"
serve({"fast-clob-tools": legs}, {"fast-clob-tools": NAME})
