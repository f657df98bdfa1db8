"""EIP-712 signatures of V2 orders, from words prepared once per wallet and contract.

An order's struct is twelve 32-byte words; nine of them are the same for all orders of a wallet or
are small numbers. So an order costs two Keccaks and one signature. Rules: docs/venue.md "Signing";
the proof is tests/executor/test_signing.py against the recorded vectors and eth-account.
"""

from dataclasses import dataclass

from executor.keccak import address_word, keccak
from executor.wallet import DEPOSIT_WALLET, Wallet
from shm.codes import Exchange, Side

CHAIN_ID = 137
DOMAIN_NAME = "Polymarket CTF Exchange"
ORDER_TYPE = (
    b"Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    b"uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    b"bytes32 builder)"
)
CONTRACTS: dict[Exchange, tuple[str, str]] = {
    Exchange.STANDARD: ("2", "0xE111180000d2663C0091e4f400237545B87B996B"),
    Exchange.NEG_RISK: ("2", "0xe2222d279d744050d28e00520010520000310F59"),
    Exchange.POSITION_IDS: ("3", "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"),
}
"""Domain version and verifying contract of each exchange."""

_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_WRAPPED_TYPE = (
    b"TypedDataSign(Order contents,string name,string version,uint256 chainId,"
    b"address verifyingContract,bytes32 salt)" + ORDER_TYPE
)
_ORDER_TYPEHASH = keccak(ORDER_TYPE)
WRAPPED_TYPEHASH = keccak(_WRAPPED_TYPE)
_SIDE_WORD = {Side.BUY: bytes(32), Side.SELL: (1).to_bytes(32, "big")}
ZERO_WORD = bytes(32)
SALT_BITS = 53
"""The salt travels as a JSON number, which is exact to 53 bits everywhere."""


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def domain_separator(exchange: Exchange) -> bytes:
    """EIP-712 domain separator of an exchange contract."""
    version, contract = CONTRACTS[exchange]
    return keccak(
        keccak(_DOMAIN_TYPE)
        + keccak(DOMAIN_NAME.encode())
        + keccak(version.encode())
        + _word(CHAIN_ID)
        + address_word(contract)
    )


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What differs from order to order. Amounts in base units (1e-6)."""

    exchange: Exchange
    side: Side
    token: int
    maker_amount: int
    taker_amount: int
    salt: int
    timestamp_ms: int
    metadata: bytes = ZERO_WORD
    builder: bytes = ZERO_WORD


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """Terms with their hash, which is also the venue's order id, and the signature."""

    terms: OrderTerms
    struct_hash: bytes
    order_hash: bytes
    signature: bytes


class OrderSigner:
    """Signs for one wallet on all exchange contracts."""

    def __init__(self, wallet: Wallet) -> None:
        self.wallet = wallet
        self._maker = address_word(wallet.maker)
        self._signer = address_word(wallet.signer)
        self._type_word = _word(wallet.signature_type)
        self.domains = {exchange: domain_separator(exchange) for exchange in CONTRACTS}
        self.wrapped_tail = (
            keccak(b"DepositWallet")
            + keccak(b"1")
            + _word(CHAIN_ID)
            + address_word(wallet.maker)
            + ZERO_WORD
        )

    def struct_hash(self, terms: OrderTerms) -> bytes:
        """Hash of the order struct, without the domain."""
        return keccak(
            b"".join(
                (
                    _ORDER_TYPEHASH,
                    _word(terms.salt),
                    self._maker,
                    self._signer,
                    _word(terms.token),
                    _word(terms.maker_amount),
                    _word(terms.taker_amount),
                    _SIDE_WORD[terms.side],
                    self._type_word,
                    _word(terms.timestamp_ms),
                    terms.metadata,
                    terms.builder,
                )
            )
        )

    def constant_words(self) -> tuple[bytes, ...]:
        """The struct's words as far as the wallet fixes them, zero where an order fills them."""
        none = ZERO_WORD
        return (
            _ORDER_TYPEHASH, none, self._maker, self._signer, none, none, none, none,
            self._type_word, none, none, none,
        )  # fmt: skip

    def sign(self, terms: OrderTerms) -> SignedOrder:
        """Hash and sign."""
        domain = self.domains[terms.exchange]
        struct_hash = self.struct_hash(terms)
        order_hash = keccak(b"\x19\x01" + domain + struct_hash)
        if self.wallet.signature_type == DEPOSIT_WALLET:
            signature = self._sign_wrapped(domain, struct_hash)
        else:
            signature = self.wallet.sign(order_hash)
        return SignedOrder(terms, struct_hash, order_hash, signature)

    def _sign_wrapped(self, domain: bytes, struct_hash: bytes) -> bytes:
        """ERC-7739: the owner signs the order nested in the wallet's own domain."""
        nested = keccak(WRAPPED_TYPEHASH + struct_hash + self.wrapped_tail)
        inner = self.wallet.sign(keccak(b"\x19\x01" + domain + nested))
        return inner + domain + struct_hash + ORDER_TYPE + len(ORDER_TYPE).to_bytes(2, "big")
