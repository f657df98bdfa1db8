"""A batch of orders as one HTTP request: signed, serialised, authenticated, ready to be sent.

What wallet, account and connection fix is put together once (`Template`); an order adds its salt,
token, amounts, time and signature. `PlainBatch` builds the request from the pieces that the other
files describe, `native.Batch` writes the same bytes into one buffer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from executor.auth import RequestSigner
from executor.signing import ORDER_TYPE, WRAPPED_TYPEHASH, OrderSigner, OrderTerms
from executor.wallet import DEPOSIT_WALLET
from executor.wire import OrderType, encode_batch, post_body
from shm import backend
from shm.codes import Exchange, Side

ORDERS_PATH = "/orders"
SIGNATURE_BYTES = 65
"""Of the key itself: a deposit wallet's signature has more behind it."""
USER_AGENT = "polytrio"
_STAMP = b"0000000000"
_SIGNATURE = b"A" * 44
_LENGTH = b"    0"
_MARK = 10**15 + 7
"""Stands for a number in a sample order, to find the places where numbers go."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose batches these are, and where they go."""

    signer: OrderSigner
    requests: RequestSigner
    api_key: str
    authority: str
    order_type: OrderType


class Batch(Protocol):
    """Builds one request at a time."""

    def start(self, timestamp_ms: int) -> None:
        """Begin a new batch; all its orders carry this time."""

    def add(
        self, exchange: Exchange, side: Side, token: bytes, amounts: tuple[int, int], salt: int
    ) -> tuple[bytes, bytes]:
        """Add an order and sign it; its hash, and the key's 65-byte signature.

        `token` is the 32-byte id, amounts are in base units.
        """

    def finish(self, timestamp_s: int) -> bytes | memoryview:
        """Sign the request; the bytes to send, valid until the next `start`."""


def head_of(account: Account) -> bytes:
    """Request line and headers, with places for time, signature and length of constant width.

    The length stands right-aligned behind spaces, which HTTP allows before a value.
    """
    lines = [
        f"POST {ORDERS_PATH} HTTP/1.1",
        f"Host: {account.authority}",
        f"User-Agent: {USER_AGENT}",
        "Accept: application/json",
        *(f"{name}: {value}" for name, value in account.requests.fixed.items()),
        f"POLY_TIMESTAMP: {_STAMP.decode()}",
        f"POLY_SIGNATURE: {_SIGNATURE.decode()}",
        "Content-Type: application/json",
        f"Content-Length: {_LENGTH.decode()}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("ascii")


def fill_head(head: bytes, timestamp_s: int, signature: str, length: int) -> bytes:
    """A request's head with its three places filled."""
    stamp_at, signature_at, length_at = slots_of(head)
    filled = bytearray(head)
    filled[stamp_at : stamp_at + len(_STAMP)] = b"%10d" % timestamp_s
    filled[signature_at : signature_at + len(_SIGNATURE)] = signature.encode("ascii")
    filled[length_at : length_at + len(_LENGTH)] = b"%5d" % length
    return bytes(filled)


def slots_of(head: bytes) -> tuple[int, int, int]:
    """Where time, signature and length stand."""
    stamp, signature, length = (b"POLY_TIMESTAMP: ", b"POLY_SIGNATURE: ", b"Content-Length: ")
    return tuple(head.index(name) + len(name) for name in (stamp, signature, length))  # type: ignore[return-value]


class PlainBatch:
    """See the module."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._head = head_of(account)
        self._timestamp_ms = 0
        self._bodies: list[Any] = []

    def start(self, timestamp_ms: int) -> None:
        """See Batch."""
        self._timestamp_ms = timestamp_ms
        self._bodies.clear()

    def add(
        self, exchange: Exchange, side: Side, token: bytes, amounts: tuple[int, int], salt: int
    ) -> tuple[bytes, bytes]:
        """See Batch."""
        account = self._account
        order = account.signer.sign(
            OrderTerms(
                exchange=exchange,
                side=side,
                token=int.from_bytes(token, "big"),
                maker_amount=amounts[0],
                taker_amount=amounts[1],
                salt=salt,
                timestamp_ms=self._timestamp_ms,
            )
        )
        wallet = account.signer.wallet
        self._bodies.append(post_body(wallet, order, account.api_key, account.order_type))
        return order.order_hash, order.signature[:SIGNATURE_BYTES]

    def finish(self, timestamp_s: int) -> bytes:
        """See Batch."""
        body = encode_batch(self._bodies)
        signature = self._account.requests.signature(timestamp_s, "POST", ORDERS_PATH, body)
        return fill_head(self._head, timestamp_s, signature, len(body)) + body


@dataclass(frozen=True, slots=True)
class Template:
    """What the compiled batch is told once."""

    head: bytes
    slots: tuple[int, int, int]
    words: tuple[bytes, ...]
    """The struct's twelve words; the ones that an order fills are zero."""
    pieces: tuple[bytes, ...]
    """JSON between salt, token, side, time and signature, and behind it."""
    domains: Mapping[Exchange, bytes]
    wrapped_typehash: bytes
    wrapped_tail: bytes | None
    order_type: bytes


def template_of(account: Account) -> Template:
    """Take a sample order apart at the places where orders differ."""
    signer = account.signer
    head = head_of(account)
    sample = signer.sign(
        OrderTerms(
            exchange=Exchange.STANDARD, side=Side.BUY, token=_MARK + 1, maker_amount=_MARK + 2,
            taker_amount=_MARK + 3, salt=_MARK, timestamp_ms=_MARK + 4,
        )
    )  # fmt: skip
    body = encode_batch([post_body(signer.wallet, sample, account.api_key, account.order_type)])
    element = body[1:-1]
    marks = [b"%d" % (_MARK + i) for i in range(5)] + [sample.signature.hex().encode()]
    _, after_salt = element.split(marks[0])
    before_token, after_token = after_salt.split(marks[1])
    _, after_amounts = after_token.split(marks[3])
    _, after_side = after_amounts.split(b'"BUY', 1)
    before_stamp, after_stamp = after_side.split(marks[4])
    before_sign, after_sign = after_stamp.split(marks[5])
    return Template(
        head=head,
        slots=slots_of(head),
        words=signer.constant_words(),
        pieces=(before_token, before_stamp, before_sign, after_sign),
        domains=signer.domains,
        wrapped_typehash=WRAPPED_TYPEHASH,
        wrapped_tail=(
            signer.wrapped_tail if signer.wallet.signature_type == DEPOSIT_WALLET else None
        ),
        order_type=ORDER_TYPE,
    )


class CompiledBatch:
    """native.Batch, with the request signed by Python's own HMAC, which is as fast as any."""

    def __init__(self, account: Account) -> None:
        native = backend.compiled("executor.native")
        self._batch = native.Batch(account.signer.wallet.key, template_of(account))
        self._requests = account.requests
        self.start = self._batch.start
        self.add = self._batch.add

    def finish(self, timestamp_s: int) -> memoryview:
        """See Batch."""
        signature = self._requests.signature(timestamp_s, "POST", ORDERS_PATH, self._batch.body())
        request: memoryview = self._batch.request(b"%10d" % timestamp_s, signature.encode())
        return request


def make_batch(account: Account) -> Batch:
    """The compiled batch where there is one."""
    return CompiledBatch(account) if backend.NATIVE else PlainBatch(account)
