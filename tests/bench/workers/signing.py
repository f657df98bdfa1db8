"""Three legs of a basket, hashed, signed, serialised and authenticated: what a signal costs."""

import secrets
from typing import Any

from executor.auth import Credentials, RequestSigner
from executor.batch import Account, PlainBatch, make_batch
from executor.curve import PlainKey
from executor.signing import OrderSigner
from executor.wallet import Wallet, make_key
from shm import backend
from shm.codes import Exchange, Side
from shm.settings import WalletSettings
from tests.bench.workers.line import Thing

SECRET_KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""The public first key of every development chain."""
CREDENTIALS = Credentials(
    "11111111-1111-1111-1111-111111111111", "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDEyMzQ=", "pass"
)
LEGS = ((101 << 240, 3_100), (103 << 240, 4_200), (107 << 240, 2_200))
"""Token and price of each leg; of a hundred shares."""
SIZE_E6 = 100_000_000
POOL = 64
TIME_MS, TIME_S = 1_790_000_000_000, 1_790_000_000


def _thing(key: PlainKey, batch_of: Any) -> Thing:
    wallet = Wallet(key, WalletSettings())
    requests = RequestSigner(wallet.address, CREDENTIALS)
    batch = batch_of(Account(OrderSigner(wallet), requests, CREDENTIALS.key, "127.0.0.1:1", "FOK"))
    legs = [(token.to_bytes(32, "big"), SIZE_E6 * price_e4 // 10_000) for token, price_e4 in LEGS]

    def send() -> object:
        batch.start(TIME_MS)
        for token, maker_amount in legs:
            salt = secrets.randbits(53)
            batch.add(Exchange.STANDARD, Side.BUY, token, (maker_amount, SIZE_E6), salt)
        return batch.finish(TIME_S)

    return Thing(send, [()])


def plain() -> Thing:
    """The reference in Python."""
    return _thing(PlainKey(bytearray.fromhex(SECRET_KEY)), PlainBatch)


def rfc6979() -> Thing:
    """The compiled batch with deterministic nonces: the default."""
    return _thing(make_key(bytearray.fromhex(SECRET_KEY)), make_batch)


def prepared() -> Thing:
    """The compiled batch with prepared nonces; they are refilled between two measurements."""
    key = make_key(bytearray.fromhex(SECRET_KEY))

    def refill() -> None:
        while key.prepare(POOL):
            pass
        assert key.fallbacks == 0, "the pool ran empty: this measures something else"

    refill()
    return _thing(key, make_batch)._replace(between=refill)


def things() -> dict[str, Any]:
    """What `ours` serves."""
    found: dict[str, Any] = {"batch of three, python": plain}
    if backend.NATIVE:
        found |= {"batch of three, rfc6979": rfc6979, "batch of three, prepared": prepared}
    return found
