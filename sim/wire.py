"""The bodies that clients send, turned into values or refused (protocol.md C.3, D.2).

Parsing is total: every byte string gives a `Submission` or the venue's text of refusal. Only the
shape is looked at here; whether an order makes sense is decided in `checks`.
"""

import re
from dataclasses import dataclass
from typing import Any

import msgspec
from eth_utils.address import is_address, to_checksum_address

from shm.units import UINT256_MAX, UnitError, parse_token_id
from sim.order import Side
from sim.replies import INVALID_PAYLOAD, VERSION_MISMATCH
from sim.wallets import SignatureType

ORDER_TYPES = frozenset({"GTC", "GTD", "FOK", "FAK"})
IMMEDIATE = frozenset({"FOK", "FAK"})
SALT_LIMIT = 1 << 53
AMOUNT_LIMIT = 1 << 53
MAX_EXPIRATION_S = 1 << 40

_DIGITS = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_BYTES32 = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2}){1,4096}", re.ASCII)


class _OrderJson(msgspec.Struct):
    salt: int
    maker: str
    signer: str
    tokenId: str  # noqa: N815  # the venue's spelling
    makerAmount: str  # noqa: N815  # the venue's spelling
    takerAmount: str  # noqa: N815  # the venue's spelling
    side: str
    expiration: str
    signatureType: int  # noqa: N815  # the venue's spelling
    timestamp: str
    metadata: str
    builder: str
    signature: str


class _SubmissionJson(msgspec.Struct):
    order: msgspec.Raw
    owner: str
    orderType: str  # noqa: N815  # the venue's spelling
    deferExec: bool = False  # noqa: N815  # the venue's spelling
    postOnly: bool = False  # noqa: N815  # the venue's spelling


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """The eleven signed fields, the expiration that is not signed, and the signature.

    Amounts are base units of six decimals; addresses are checksummed; `token_id` is a number.
    """

    salt: int
    maker: str
    signer: str
    token_id: int
    maker_amount: int
    taker_amount: int
    side: Side
    signature_type: SignatureType
    timestamp_ms: int
    metadata: bytes
    builder: bytes
    expiration_s: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Submission:
    """One element of POST /orders."""

    order: SignedOrder
    owner: str
    order_type: str
    post_only: bool


def parse_submission(raw: bytes | msgspec.Raw) -> Submission | str:
    """One order body, or the text of refusal."""
    try:
        outer = msgspec.json.decode(raw, type=_SubmissionJson)
        inner = msgspec.json.decode(outer.order, type=_OrderJson)
        order = _signed_order(inner)
    except (msgspec.DecodeError, UnitError, UnicodeDecodeError):
        return VERSION_MISMATCH if _is_old_order(raw) else INVALID_PAYLOAD
    if outer.orderType not in ORDER_TYPES or (outer.postOnly and outer.orderType in IMMEDIATE):
        return INVALID_PAYLOAD
    return Submission(order, outer.owner, outer.orderType, outer.postOnly)


def parse_batch(body: bytes) -> list[msgspec.Raw] | None:
    """The elements of POST /orders, unparsed; None when the body is not an array."""
    try:
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_old_order(raw: bytes | msgspec.Raw) -> bool:
    """Whether this is an order of protocol version 1 (protocol.md D.6)."""
    try:
        body: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    order = body.get("order") if isinstance(body, dict) else None
    return isinstance(order, dict) and "timestamp" not in order and "feeRateBps" in order


def _signed_order(order: _OrderJson) -> SignedOrder:
    if order.side not in set(Side) or order.signatureType not in set(SignatureType):
        raise UnitError("side or signature type")
    if not 0 <= order.salt < SALT_LIMIT or not _HEX.fullmatch(order.signature):
        raise UnitError("salt or signature")
    return SignedOrder(
        salt=order.salt,
        maker=_address(order.maker),
        signer=_address(order.signer),
        token_id=parse_token_id(order.tokenId),
        maker_amount=_number(order.makerAmount, 1, AMOUNT_LIMIT),
        taker_amount=_number(order.takerAmount, 1, AMOUNT_LIMIT),
        side=Side(order.side),
        signature_type=SignatureType(order.signatureType),
        timestamp_ms=_number(order.timestamp, 0, UINT256_MAX),
        metadata=_bytes32(order.metadata),
        builder=_bytes32(order.builder),
        expiration_s=_number(order.expiration, 0, MAX_EXPIRATION_S),
        signature=bytes.fromhex(order.signature[2:]),
    )


def _number(text: str, least: int, most: int) -> int:
    if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
        raise UnitError(f"not a number of {least}..{most}: {text[:40]!r}")
    return int(text)


def _bytes32(text: str) -> bytes:
    if not _BYTES32.fullmatch(text):
        raise UnitError(f"not 32 bytes: {text[:80]!r}")
    return bytes.fromhex(text[2:])


def _address(text: str) -> str:
    if not text.startswith("0x") or not is_address(text):
        raise UnitError(f"not an address: {text[:60]!r}")
    return to_checksum_address(text)
