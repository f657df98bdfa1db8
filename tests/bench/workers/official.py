"""The official Python clients: a frame into their typed event; an order built, signed, serialised.

Both are called as their own methods do it, without the network: what they ask the venue for (tick
size, neg-risk, version) is given.
"""

import json
import sys
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

from line import Thing, serve

CORPUS = json.loads(Path(sys.argv[1]).read_text())["frames"]
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
API_KEY, SECRET = (
    "11111111-1111-1111-1111-111111111111",
    "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDEyMzQ=",
)
LEGS = ((101 << 240, 0.31, 100.0), (103 << 240, 0.42, 100.0), (107 << 240, 0.22, 100.0))
"""Token, price and size of each leg, as tests/bench/workers/signing.py."""


def parsing(corpus: str) -> Thing:
    from polymarket.models.clob.market_events import parse_market_event

    def parse(frame: bytes) -> object:
        decoded = json.loads(frame)
        if isinstance(decoded, list):
            return [parse_market_event(one) for one in decoded]
        return parse_market_event(decoded)

    return Thing(parse, [(text.encode(),) for text in CORPUS[corpus]], group=1)


def py_clob() -> Thing:
    """py-clob-client-v2: three orders, one body, the request's headers."""
    from py_clob_client_v2.clob_types import (
        ApiCreds,
        CreateOrderOptions,
        OrderArgsV2,
        OrderType,
        RequestArgs,
    )
    from py_clob_client_v2.headers.headers import create_level_2_headers
    from py_clob_client_v2.order_builder.builder import OrderBuilder
    from py_clob_client_v2.order_utils.model.order_data_v2 import order_to_json_v2
    from py_clob_client_v2.signer import Signer

    signer = Signer(KEY, 137)
    builder = OrderBuilder(signer)
    options = CreateOrderOptions(tick_size="0.01", neg_risk=False)
    creds = ApiCreds(API_KEY, SECRET, "passphrase")

    def legs(count: int) -> object:
        payloads = []
        for token, price, size in LEGS[:count]:
            arguments = OrderArgsV2(token_id=str(token), price=price, size=size, side="BUY")
            order = builder.build_order(arguments, options, 2)
            payloads.append(order_to_json_v2(order, API_KEY, OrderType.FOK, False, False))
        body = json.dumps(payloads, separators=(",", ":"), ensure_ascii=False)
        wanted = RequestArgs(
            method="POST", request_path="/orders", body=payloads, serialized_body=body
        )
        return create_level_2_headers(signer, creds, wanted)

    return Thing(legs, [(3,)])


def polymarket_client() -> Thing:
    """polymarket-client: the same three orders through its own steps."""
    from eth_account import Account
    from polymarket._internal.actions.orders.limit import _compute_limit_order_amounts
    from polymarket._internal.actions.orders.orders import (
        create_signed_order,
        create_unsigned_order,
    )
    from polymarket._internal.actions.orders.post import build_post_orders_request
    from polymarket._internal.actions.orders.typed_data import (
        build_order_signature,
        build_order_typed_data,
    )
    from polymarket._internal.actions.orders.types import OrderDraft
    from polymarket._internal.hmac import build_hmac_signature

    account = Account.from_key(KEY)
    exchange = "0xE111180000d2663C0091e4f400237545B87B996B"

    def one(token: int, price: float, size: float) -> object:
        offered, requested = _compute_limit_order_amounts(
            price=Decimal(str(price)),
            size=Decimal(str(size)),
            side="BUY",
            tick_size=Decimal("0.01"),
        )
        draft = OrderDraft(
            chain_id=137,
            exchange_address=exchange,
            expiration=0,
            funder_address=account.address,
            offered_amount=offered,
            order_type="FOK",
            side="BUY",
            signer=account.address,
            requested_amount=requested,
            asset_id=str(token),
        )
        unsigned = create_unsigned_order(draft, wallet=account.address, wallet_type="EOA")
        typed = build_order_typed_data(unsigned)
        signed = account.sign_typed_data(full_message=typed)
        signature = build_order_signature(unsigned, "0x" + signed.signature.hex())
        return create_signed_order(unsigned, signature)

    def legs(count: int) -> object:
        orders = [one(*leg) for leg in LEGS[:count]]
        path, payload = build_post_orders_request(orders, owner_api_key=API_KEY)
        body = json.dumps(payload, separators=(",", ":"))
        return build_hmac_signature(
            secret=SECRET, timestamp=1_790_000_000, method="POST", path=path, body=body
        )

    return Thing(legs, [(3,)])


VERSIONS = SimpleNamespace(
    clob=f"py-clob-client-v2 {version('py-clob-client-v2')}, coincurve {version('coincurve')}",
    client=f"polymarket-client {version('polymarket-client')}, coincurve {version('coincurve')}",
)
serve(
    {f"parse/{corpus}": (lambda c=corpus: parsing(c)) for corpus in CORPUS}
    | {"py-clob-client-v2": py_clob, "polymarket-client": polymarket_client},
    {
        "parse": VERSIONS.client,
        "py-clob-client-v2": VERSIONS.clob,
        "polymarket-client": VERSIONS.client,
    },
)
