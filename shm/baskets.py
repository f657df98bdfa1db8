"""The number of a basket: who computes it again knows that the legs are those that were meant."""

from collections.abc import Iterable
from hashlib import blake2b


def basket_id(kind: int, legs: Iterable[tuple[int, int, int]]) -> int:
    """Hash of kind and legs (market key, outcome, side); the same over restarts and machines."""
    digest = blake2b(digest_size=8)
    digest.update(bytes([kind]))
    for market_key, outcome, side in legs:
        digest.update(market_key.to_bytes(8, "big") + bytes([outcome, side]))
    return int.from_bytes(digest.digest(), "big")
