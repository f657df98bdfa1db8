"""Order signatures, verified with eth-account and nothing else (protocol.md D.1 to D.3).

The domain comes from the market, never from the client: an order signed for another exchange
contract recovers to a stranger and is refused. The order hash is the EIP-712 digest of the plain
order for all signature types.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from sim.ethereum import Account, SignableMessage, encode_typed_data
from sim.market import Facts
from sim.order import Side
from sim.wallets import SignatureType
from sim.wire import SignedOrder

CHAIN_ID = 137
DOMAIN_NAME = "Polymarket CTF Exchange"
STANDARD = ("2", "0xE111180000d2663C0091e4f400237545B87B996B")
NEG_RISK = ("2", "0xe2222d279d744050d28e00520010520000310F59")
POSITION_IDS = ("3", "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa")

ECDSA_BYTES = 65
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0

_ORDER_FIELDS = (
    ("salt", "uint256"),
    ("maker", "address"),
    ("signer", "address"),
    ("tokenId", "uint256"),
    ("makerAmount", "uint256"),
    ("takerAmount", "uint256"),
    ("side", "uint8"),
    ("signatureType", "uint8"),
    ("timestamp", "uint256"),
    ("metadata", "bytes32"),
    ("builder", "bytes32"),
)
_WRAPPER_FIELDS = (
    ("contents", "Order"),
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
)
ORDER_TYPE_TEXT = f"Order({','.join(f'{kind} {name}' for name, kind in _ORDER_FIELDS)})".encode()
_ORDER_TYPES = {"Order": [{"name": name, "type": kind} for name, kind in _ORDER_FIELDS]}
_WRAPPER_TYPES = {
    "TypedDataSign": [{"name": name, "type": kind} for name, kind in _WRAPPER_FIELDS],
    **_ORDER_TYPES,
}


@dataclass(frozen=True, slots=True)
class Domain:
    """The EIP-712 domain of one exchange contract."""

    version: str
    contract: str

    def fields(self) -> dict[str, Any]:
        """The domain as eth-account takes it."""
        return {
            "name": DOMAIN_NAME,
            "version": self.version,
            "chainId": CHAIN_ID,
            "verifyingContract": self.contract,
        }


def domain_of(facts: Facts) -> Domain:
    """The exchange contract that settles a market: by protocol version, then by neg-risk."""
    if facts.version == "v2":
        return Domain(*POSITION_IDS)
    return Domain(*(NEG_RISK if facts.neg_risk else STANDARD))


@lru_cache(maxsize=256)
def order_message(order: SignedOrder, domain: Domain) -> SignableMessage:
    """The order as eth-account signs it: header is the domain separator, body the struct hash."""
    return encode_typed_data(domain.fields(), _ORDER_TYPES, _order_fields(order))


def order_hash(message: SignableMessage) -> str:
    """The venue's order id: the EIP-712 digest, 0x and 64 hex digits."""
    return "0x" + keccak(b"\x19" + message.version + message.header + message.body).hex()


def is_signed_by(order: SignedOrder, domain: Domain, owner: str) -> bool:
    """Whether the key of the address `owner` has signed this order for this domain."""
    plain = order_message(order, domain)
    if order.signature_type is not SignatureType.DEPOSIT:
        return _recovers_to(plain, order.signature, owner)
    inner = _unwrap(order.signature, plain)
    return inner is not None and _recovers_to(_wrapper_message(order, domain), inner, owner)


def _unwrap(signature: bytes, plain: SignableMessage) -> bytes | None:
    """The inner ECDSA signature of an ERC-7739 wrapper, or None when a part of it is not ours.

    Layout: signature 65, domain separator 32, struct hash 32, type text, its length in 2 bytes.
    """
    tail = plain.header + plain.body + ORDER_TYPE_TEXT + len(ORDER_TYPE_TEXT).to_bytes(2, "big")
    if len(signature) != ECDSA_BYTES + len(tail) or signature[ECDSA_BYTES:] != tail:
        return None
    return signature[:ECDSA_BYTES]


def _wrapper_message(order: SignedOrder, domain: Domain) -> SignableMessage:
    wrapper = {
        "contents": _order_fields(order),
        "name": "DepositWallet",
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": order.maker,
        "salt": bytes(32),
    }
    return encode_typed_data(domain.fields(), _WRAPPER_TYPES, wrapper)


def _recovers_to(message: SignableMessage, signature: bytes, owner: str) -> bool:
    if len(signature) != ECDSA_BYTES or signature[64] not in (27, 28):
        return False
    # The contracts take low-s signatures only, which makes a signature unique.
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        return False
    try:
        recovered = Account.recover_message(message, signature=signature)
    except (BadSignature, ValidationError, ValueError):
        return False
    return bool(recovered == owner)


def _order_fields(order: SignedOrder) -> dict[str, Any]:
    return {
        "salt": order.salt,
        "maker": order.maker,
        "signer": order.signer,
        "tokenId": order.token_id,
        "makerAmount": order.maker_amount,
        "takerAmount": order.taker_amount,
        "side": 0 if order.side is Side.BUY else 1,
        "signatureType": int(order.signature_type),
        "timestamp": order.timestamp_ms,
        "metadata": order.metadata,
        "builder": order.builder,
    }
