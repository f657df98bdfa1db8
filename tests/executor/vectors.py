"""The recorded signing vectors, as values of ours."""

import json
from pathlib import Path

from executor.curve import PlainKey
from executor.signing import OrderTerms
from executor.wallet import Wallet, make_key
from executor.wire import SIDES
from shm.codes import Exchange
from shm.settings import WalletSettings
from shm.units import parse_price_e4, parse_size_e6

TEST_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
"""The public first key of every development chain: worthless, and printed in all their manuals."""


def fresh_key() -> PlainKey:
    """The test key in a key object of its own, compiled where possible."""
    return make_key(bytearray(TEST_KEY))


def load(shared: Path) -> dict:
    return json.loads((shared / "vectors.json").read_text())


def wallet_of(order: dict) -> Wallet:
    kind = order["inputs"]["signature_type"]
    funder = "" if kind == 0 else order["maker"]
    return Wallet(fresh_key(), WalletSettings(signature_type=kind, funder=funder))


def exchange_of(order: dict) -> Exchange:
    if order["inputs"]["exchange_version"] == 3:
        return Exchange.POSITION_IDS
    return Exchange.NEG_RISK if order["inputs"]["neg_risk"] else Exchange.STANDARD


def terms_of(order: dict) -> OrderTerms:
    inputs = order["inputs"]
    return OrderTerms(
        exchange=exchange_of(order),
        side=SIDES[inputs["side"]],
        token=int(inputs["token_id"]),
        maker_amount=int(order["maker_amount"]),
        taker_amount=int(order["taker_amount"]),
        salt=inputs["salt"],
        timestamp_ms=inputs["timestamp_ms"],
        metadata=bytes.fromhex(inputs["metadata"][2:]),
        builder=bytes.fromhex(inputs["builder"][2:]),
    )


def price_and_size(row: dict) -> tuple[int, int, int]:
    """price_e4, size or amount in e6, tick_e4."""
    size = row.get("size") or row["amount"]
    return parse_price_e4(row["price"]), parse_size_e6(size), parse_price_e4(row["tick_size"])
