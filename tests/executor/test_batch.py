"""Batch: one buffer with the bytes that the plain pieces give, for every wallet and market."""

import asyncio
import json
import os
import random

import pytest
from coincurve import PublicKey
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data

from executor.auth import Credentials, RequestSigner
from executor.batch import Account, CompiledBatch, PlainBatch, fill_head, head_of, make_batch
from executor.http import HttpConnection, Reply, parse_origin
from executor.keccak import checksum_address, keccak
from executor.signing import CHAIN_ID, CONTRACTS, DOMAIN_NAME, OrderSigner
from executor.wallet import Wallet
from shm import backend
from shm.codes import Side
from shm.settings import WalletSettings
from tests.conftest import require_or_skip
from tests.executor import vectors

CREDENTIALS = Credentials("8f0c4f54-3a0b-4bbb-8f56-4f2b1e8d8d0e", "c2VjcmV0c2VjcmV0", "pass phrase")
FUNDER = "0x" + "5b" * 20
TICKS_E4 = (1000, 100, 50, 25, 10, 1)
STAMP_S = 1_795_000_000


def account(signature_type: int = 0) -> Account:
    funder = "" if signature_type == 0 else FUNDER
    wallet = Wallet(
        vectors.fresh_key(), WalletSettings(signature_type=signature_type, funder=funder)
    )
    requests = RequestSigner(wallet.address, CREDENTIALS)
    return Account(OrderSigner(wallet), requests, CREDENTIALS.key, "127.0.0.1:8700", "FOK")


class Orders:
    """A seeded stream of batches, as arguments of `Batch.add`."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one(self):
        return (
            self.random.choice(list(CONTRACTS)),
            self.random.choice((Side.BUY, Side.SELL)),
            self.random.getrandbits(self.random.choice((1, 64, 250, 256))).to_bytes(32, "big"),
            (self.random.randrange(1, 1 << self.random.choice((3, 30, 53))),
             self.random.randrange(1, 1 << self.random.choice((3, 30, 53)))),
            self.random.randrange(1 << self.random.choice((1, 20, 53))),
        )  # fmt: skip

    def many(self):
        return [self.one() for _ in range(self.random.choice((1, 2, 3, 3, 3, 15)))]


def build(batch, orders, timestamp_ms: int):
    batch.start(timestamp_ms)
    hashes = [batch.add(*order)[0] for order in orders]
    return hashes, bytes(batch.finish(STAMP_S))


@pytest.mark.parametrize("signature_type", [0, 1, 2, 3])
def test_the_compiled_batch_is_the_plain_one_byte_for_byte(signature_type):
    require_or_skip(backend.NATIVE, "the compiled kernels")
    owner = account(signature_type)
    plain, compiled = PlainBatch(owner), CompiledBatch(owner)
    stream = Orders(signature_type)
    for number in range(60):
        orders, at_ms = stream.many(), 1_795_000_000_000 + number * 10 ** (number % 4)
        assert build(compiled, orders, at_ms) == build(plain, orders, at_ms)


def test_the_head_is_what_one_would_write_and_has_one_length():
    owner = account()
    head = fill_head(head_of(owner), STAMP_S, "x" * 44, 12_345)
    assert len(head) == len(head_of(owner))
    assert b"\r\nContent-Length: 12345\r\n\r\n" in head
    assert f"\r\nPOLY_TIMESTAMP: {STAMP_S}\r\n".encode() in head
    assert head.startswith(b"POST /orders HTTP/1.1\r\nHost: 127.0.0.1:8700\r\n")
    assert b"\r\nContent-Length:     7\r\n\r\n" in fill_head(head_of(owner), STAMP_S, "x" * 44, 7)


def test_a_server_reads_the_request_and_its_signature():
    from aiohttp import web

    seen = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        seen.append((dict(request.headers), body))
        return web.json_response([])

    async def scenario():
        app = web.Application()
        app.router.add_post("/orders", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        connection = HttpConnection(parse_origin(f"http://127.0.0.1:{port}"))
        assert await connection.open() is None
        batch = make_batch(account())
        for count in (1, 3, 15):
            _, request = build(batch, [Orders(count).one() for _ in range(count)], 7)
            assert connection.begin(request) is not None
            assert await connection.finish(5) == Reply(200, b"[]")
            headers, body = seen[-1]
            assert len(json.loads(body)) == count
            signer = RequestSigner("", CREDENTIALS)
            expected = signer.signature(STAMP_S, "POST", "/orders", body)
            assert headers["POLY_SIGNATURE"] == expected
        connection.close()
        await runner.cleanup()

    asyncio.run(scenario())


def typed_data(owner: Account, order, timestamp_ms: int):
    """The order as eth-account wants it, written from the venue's documents."""
    exchange, side, token, amounts, salt = order
    version, contract = CONTRACTS[exchange]
    wallet = owner.signer.wallet
    fields = [
        ("salt", "uint256"), ("maker", "address"), ("signer", "address"), ("tokenId", "uint256"),
        ("makerAmount", "uint256"), ("takerAmount", "uint256"), ("side", "uint8"),
        ("signatureType", "uint8"), ("timestamp", "uint256"), ("metadata", "bytes32"),
        ("builder", "bytes32"),
    ]  # fmt: skip
    message = {
        "salt": salt, "maker": wallet.maker, "signer": wallet.signer,
        "tokenId": int.from_bytes(token, "big"), "makerAmount": amounts[0],
        "takerAmount": amounts[1], "side": 0 if side is Side.BUY else 1,
        "signatureType": wallet.signature_type, "timestamp": timestamp_ms,
        "metadata": bytes(32), "builder": bytes(32),
    }  # fmt: skip
    domain = {"name": DOMAIN_NAME, "version": version, "chainId": CHAIN_ID,
              "verifyingContract": contract}  # fmt: skip
    types = {"Order": [{"name": name, "type": kind} for name, kind in fields]}
    return encode_typed_data(domain, types, message)


def random_amounts(rng: random.Random, side: Side) -> tuple[tuple[int, int], tuple[int, int]]:
    """Our amounts and those of exact decimal arithmetic, for a random price on a random tick."""
    from decimal import ROUND_FLOOR, Decimal

    from executor.amounts import limit_amounts

    tick_e4 = rng.choice(TICKS_E4)
    price_e4 = rng.randrange(1, 10_000 // tick_e4) * tick_e4
    size_e6 = rng.choice((rng.randrange(1, 10**12), rng.randrange(1, 10**5) * 10**6))
    shares = (Decimal(size_e6) / 10**6).quantize(Decimal("0.01"), ROUND_FLOOR)
    money = shares * Decimal(price_e4) / 10**4
    exact = (int(money * 10**6), int(shares * 10**6))
    expected = exact if side is Side.BUY else exact[::-1]
    return limit_amounts(side, price_e4, size_e6, tick_e4), expected


@pytest.mark.parametrize("signature_type", [0, 1, 2, 3])
def test_random_orders_have_exact_amounts_and_eth_accounts_hash(signature_type):
    """100,000 orders over all types in CI, fewer at home: eth-account takes its time."""
    count = 25_000 if os.environ.get("POLYTRIO_CI") == "1" else 250
    owner = account(signature_type)
    batch = make_batch(owner)
    rng = random.Random(signature_type)
    stream = Orders(signature_type)
    for _ in range(count):
        exchange, side, token, _, salt = stream.one()
        amounts, expected = random_amounts(rng, side)
        assert amounts == expected
        at_ms = rng.randrange(10**12, 2 * 10**12)
        batch.start(at_ms)
        order_hash, signature = batch.add(exchange, side, token, amounts, salt)
        message = typed_data(owner, (exchange, side, token, amounts, salt), at_ms)
        assert order_hash == keccak(b"\x19\x01" + message.header + message.body)
        assert len(signature) == 65
    assert signature_in(bytes(batch.finish(STAMP_S)))[:65] == signature


def signature_in(request: bytes) -> bytes:
    element = json.loads(request.split(b"\r\n\r\n", 1)[1])[0]
    return bytes.fromhex(element["order"]["signature"][2:])


def test_a_deterministic_signature_is_eth_accounts():
    owner = account()
    batch = make_batch(owner)
    for seed in range(20):
        order = Orders(seed).one()
        _, request = build(batch, [order], 5)
        message = typed_data(owner, order, 5)
        assert signature_in(request) == EthAccount.sign_message(message, vectors.TEST_KEY).signature


def test_a_prepared_signature_recovers_to_the_wallet_and_all_else_is_the_same():
    require_or_skip(backend.NATIVE, "the compiled kernels")
    plain, owner = PlainBatch(account()), account()
    batch = CompiledBatch(owner)
    key = owner.signer.wallet.key
    while key.prepare(64):
        pass
    for seed in range(40):
        orders = [Orders(seed).one()]
        hashes, request = build(batch, orders, 5)
        expected_hashes, expected = build(plain, orders, 5)
        assert hashes == expected_hashes
        ours, theirs = signature_in(request), signature_in(expected)
        assert ours != theirs
        recovered = PublicKey.from_signature_and_message(
            ours[:64] + bytes([ours[64] - 27]), hashes[0], hasher=None
        )
        assert address_of(recovered) == owner.signer.wallet.address
        assert request.split(b"\r\n\r\n", 1)[1] == expected.split(b"\r\n\r\n", 1)[1].replace(
            theirs.hex().encode(), ours.hex().encode()
        )
    assert (key.prepared, key.fallbacks) == (40, 0)


def address_of(public: PublicKey) -> str:
    return checksum_address(keccak(public.format(compressed=False)[1:])[12:])


def test_what_does_not_fit_is_refused():
    require_or_skip(backend.NATIVE, "the compiled kernels")
    batch = CompiledBatch(account())
    order = Orders(1).one()
    with pytest.raises(ValueError, match="started"):
        batch.add(*order)
    batch.start(1)
    for _ in range(15):
        batch.add(*order)
    with pytest.raises(ValueError, match="15 orders"):
        batch.add(*order)
    batch.start(1)
    with pytest.raises(OverflowError):
        batch.add(*order[:3], (1 << 64, 1), 5)
    with pytest.raises(ValueError, match="32-byte"):
        batch.add(order[0], order[1], b"short", (1, 1), 5)
