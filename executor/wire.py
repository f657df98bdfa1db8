"""The venue's private messages as msgspec structs: orders out; replies, trades and balances in.

Field order of the outgoing structs is the official one, because the body's bytes are signed.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from executor.signing import SignedOrder
from executor.wallet import Wallet
from shm.codes import Side

OrderType = Literal["GTC", "GTD", "FOK", "FAK"]
ORDER_TYPES: tuple[OrderType, ...] = ("GTC", "GTD", "FOK", "FAK")
"""By OrderKind (shm/records.py), from 1."""


class OrderBody(Struct):
    """The signed order as JSON."""

    salt: int
    maker: str
    signer: str
    tokenId: str  # noqa: N815  # the venue's spelling
    makerAmount: str  # noqa: N815
    takerAmount: str  # noqa: N815
    side: str
    expiration: str
    signatureType: int  # noqa: N815
    timestamp: str
    metadata: str
    builder: str
    signature: str


class PostBody(Struct):
    """One element of `POST /orders`, and the body of `POST /order`."""

    order: OrderBody
    owner: str
    orderType: OrderType  # noqa: N815
    deferExec: bool = False  # noqa: N815
    postOnly: bool = False  # noqa: N815


def post_body(
    wallet: Wallet,
    order: SignedOrder,
    owner: str,
    order_type: OrderType,
    *,
    expiration_s: int = 0,
    post_only: bool = False,
) -> PostBody:
    """A signed order -> what is posted."""
    terms = order.terms
    return PostBody(
        order=OrderBody(
            salt=terms.salt,
            maker=wallet.maker,
            signer=wallet.signer,
            tokenId=str(terms.token),
            makerAmount=str(terms.maker_amount),
            takerAmount=str(terms.taker_amount),
            side=terms.side.name,
            expiration=str(expiration_s),
            signatureType=wallet.signature_type,
            timestamp=str(terms.timestamp_ms),
            metadata="0x" + terms.metadata.hex(),
            builder="0x" + terms.builder.hex(),
            signature="0x" + order.signature.hex(),
        ),
        owner=owner,
        orderType=order_type,
        postOnly=post_only,
    )


def encode_batch(bodies: list[PostBody]) -> bytes:
    """Compact JSON array, exactly the bytes to sign and send."""
    return msgspec.json.encode(bodies)


class OrderReply(Struct):
    """One element of the reply to `POST /orders`."""

    orderID: str | None = ""  # noqa: N815
    errorMsg: str | None = ""  # noqa: N815
    status: str | None = ""
    makingAmount: str | None = ""  # noqa: N815
    takingAmount: str | None = ""  # noqa: N815
    success: bool = False


class ErrorReply(Struct):
    """Body of a refusal."""

    error: str = ""


class MakerOrder(Struct):
    """One resting order that took part in a trade; may be a stranger's."""

    order_id: str
    matched_amount: str
    price: str
    asset_id: str
    owner: str | None = ""
    side: str | None = ""


class Trade(Struct):
    """A trade as the user channel and `/data/trades` show it, seen from its taker."""

    id: str
    taker_order_id: str
    asset_id: str
    side: str
    price: str
    size: str
    status: str
    owner: str | None = ""
    trader_side: str | None = ""
    maker_orders: list[MakerOrder] | None = None
    event_type: str = "trade"


class TradePage(Struct):
    """One page of `/data/trades`."""

    data: list[Trade]
    next_cursor: str = "LTE="


class OpenOrder(Struct):
    """An order that the venue knows: of a page, by its hash, or from the user channel."""

    id: str
    status: str = ""
    asset_id: str = ""
    side: str = ""
    price: str = "0"
    original_size: str = "0"
    size_matched: str = "0"
    event_type: str = "order"


class OrderPage(Struct):
    """One page of `/data/orders`."""

    data: list[OpenOrder]
    next_cursor: str = "LTE="


class ApiKeyReply(Struct):
    """Reply to the L1 request."""

    apiKey: str  # noqa: N815
    secret: str
    passphrase: str


class BalanceReply(Struct):
    """Reply of `/balance-allowance`, base units."""

    balance: str


class CancelReply(Struct):
    """Reply to a cancel: HTTP 200 does not mean cancelled, nor does a body that says nothing."""

    canceled: list[str]
    not_canceled: dict[str, str] = {}


SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
