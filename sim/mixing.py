"""The array that answers a batch of orders, mixed up. Pure; legs count from 1."""

from collections.abc import Set as AbstractSet
from random import Random
from typing import Any

from sim.effects import Mixing


def mix(
    rows: list[dict[str, Any]], how: Mixing, legs: AbstractSet[int], rng: Random, text: str = ""
) -> list[dict[str, Any]]:
    """Another array in place of `rows`; only elements of `legs` are harmed.

    `permuted` never gives the same order for two or more different elements.
    """
    match how:
        case "permuted":
            return _permuted(rows, rng)
        case "missing":
            return [row for leg, row in enumerate(rows, start=1) if leg not in legs]
        case "doubled":
            return [
                row for leg, row in enumerate(rows, start=1) for _ in range(2 if leg in legs else 1)
            ]
        case "extra":
            return [*rows, {**rows[0], "orderID": _some_id(rng)}] if rows else rows
        case "other_id":
            return [
                {**row, "orderID": _some_id(rng)} if leg in legs else row
                for leg, row in enumerate(rows, start=1)
            ]
        case "blank":
            gone = {"orderID": "", "errorMsg": text, "status": "", "makingAmount": "",
                    "takingAmount": "", "tradeIDs": [], "success": True}  # fmt: skip
            return [
                {**row, **gone} if leg in legs else row for leg, row in enumerate(rows, start=1)
            ]


def _permuted(rows: list[dict[str, Any]], rng: Random) -> list[dict[str, Any]]:
    mixed = rng.sample(rows, len(rows))
    return mixed if mixed != rows else rows[1:] + rows[:1]


def _some_id(rng: Random) -> str:
    return f"0x{rng.getrandbits(256):064x}"
