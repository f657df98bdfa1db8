"""C4: how much money a wallet has at risk at each moment, by market, at worst.

Exposure in a market is what its shares have cost (fees included, proceeds taken off, never below
zero) and what open purchases may still cost at their limits. Failed trades and the market's end
take it back. Orders that were placed by hand do not count: they are not the trader's.

What is *unsettled* is less: purchases that are open, and what trades have cost that the chain has
neither confirmed nor failed. Whoever counts all of that, and anything else, as at risk never lets
it rise above the cap of everything: so it can be held against a trader's own limits from outside.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from sim.chronicle import Finding, Line, Run


@dataclass(frozen=True, slots=True)
class Caps:
    """The most of each, in micro-dollars; None is not looked at."""

    market_usd_e6: int | None = None
    wallet_usd_e6: int | None = None
    order_usd_e6: int | None = None
    """One purchase at its limit, without its fee."""
    unsettled_market_usd_e6: int | None = None
    unsettled_wallet_usd_e6: int | None = None


@dataclass(slots=True)
class _Open:
    wallet: str
    market: str
    price_e4: int
    left_e6: int

    def usd_e6(self) -> int:
        return -(-self.left_e6 * self.price_e4 // 10_000)


@dataclass(slots=True)
class _Risk:
    """The state while the lines pass."""

    apart: AbstractSet[str]
    orders: dict[str, _Open] = field(default_factory=dict)
    buying: dict[str, _Open] = field(default_factory=dict)
    cost: Counter[tuple[str, str]] = field(default_factory=Counter)
    trades: dict[str, list[tuple[str, str, int]]] = field(default_factory=dict)
    moving: dict[str, list[tuple[str, str, int]]] = field(default_factory=dict)
    """Of the trades, those that the chain has not decided."""

    def unsettled(self) -> dict[tuple[str, str], int]:
        """By wallet and market."""
        found: defaultdict[tuple[str, str], int] = defaultdict(int)
        for booked in self.moving.values():
            for wallet, market, usd_e6 in booked:
                found[wallet, market] += max(0, usd_e6)
        for order in self.buying.values():
            found[order.wallet, order.market] += order.usd_e6()
        return found

    def exposure(self) -> dict[tuple[str, str], int]:
        """By wallet and market."""
        found: defaultdict[tuple[str, str], int] = defaultdict(int)
        for key, usd_e6 in self.cost.items():
            found[key] += max(0, usd_e6)
        for order in self.buying.values():
            found[order.wallet, order.market] += order.usd_e6()
        return found

    def take(self, line: Line) -> None:
        """Follow one line."""
        match line["kind"]:
            case "order" if self.is_meant(line):
                self._accept(line)
            case "order_end":
                self.buying.pop(line["order_id"], None)
            case "trade":
                self._trade(line)
            case "trade_status" if line["status"] == "CONFIRMED":
                self.moving.pop(line["trade_id"], None)
            case "trade_status" if line["status"] == "FAILED":
                self.moving.pop(line["trade_id"], None)
                for wallet, market, usd_e6 in self.trades.pop(line["trade_id"], []):
                    self.cost[wallet, market] -= usd_e6
            case "resolved":
                for key in [key for key in self.cost if key[1] == line["market"]]:
                    del self.cost[key]
            case _:
                pass

    def is_meant(self, line: Line) -> bool:
        """Whether a line is the acceptance of an order that counts."""
        ours = line["accepted"] and not line.get("by_hand", False)
        return bool(ours and line["order_id"] not in self.apart)

    def _accept(self, line: Line) -> None:
        one = _Open(line["wallet"], line["market"], line["price_e4"], line["size_e6"])
        self.orders[line["order_id"]] = one
        if line["side"] == "BUY":
            self.buying[line["order_id"]] = one

    def _trade(self, line: Line) -> None:
        taker, *makers = line["parties"]
        parts = [(maker, _notional(line, maker, taker)) for maker in makers]
        own = [(taker, _notional(line, maker, taker, own=True)) for maker in makers]
        if own and not taker["house"]:
            own.append(({**taker, "side": "BUY", "size_e6": 0}, line["fee_usd_e6"]))
        booked = []
        for part, usd_e6 in own + parts:
            order = self.orders.get(part["order_id"])
            if order is None:
                continue
            signed = usd_e6 if part["side"] == "BUY" else -usd_e6
            self.cost[order.wallet, order.market] += signed
            booked.append((order.wallet, order.market, signed))
        for part in [taker, *makers]:
            order = self.buying.get(part["order_id"])
            if order is not None:
                order.left_e6 -= part["size_e6"]
        self.trades[line["trade_id"]] = self.moving[line["trade_id"]] = booked


def _notional(line: Line, maker: Line, taker: Line, *, own: bool = False) -> int:
    exact_e10 = maker["size_e6"] * line["price_e4"]
    usd_e6 = -(-exact_e10 // 10_000) if taker["side"] == "BUY" else exact_e10 // 10_000
    same = own or maker["token"] == taker["token"]
    return int(usd_e6 if same else maker["size_e6"] - usd_e6)


def within_caps(run: Run, caps: Caps, apart: AbstractSet[str] = frozenset()) -> list[Finding]:
    """All moments of one run at which something rises above its cap; orders `apart` do not count.

    Those are a trader's repairs: chosen because they leave less at risk than nothing does.
    """
    risk = _Risk(apart)
    findings: list[Finding] = []
    for line in run.of("order", "order_end", "trade", "trade_status", "resolved"):
        risk.take(line)
        if line["kind"] == "order" and line["side"] == "BUY" and risk.is_meant(line):
            cost_usd_e6 = -(-line["size_e6"] * line["price_e4"] // 10_000)
            findings += _above(line, "orders", {line["order_id"]: cost_usd_e6}, caps.order_usd_e6)
        everything, unsettled = risk.exposure(), risk.unsettled()
        findings += _above(line, "risks", everything, caps.market_usd_e6)
        findings += _above(line, "risks", _by_wallet(everything), caps.wallet_usd_e6)
        findings += _above(line, "has unsettled", unsettled, caps.unsettled_market_usd_e6)
        findings += _above(
            line, "has unsettled", _by_wallet(unsettled), caps.unsettled_wallet_usd_e6
        )
    return findings


def _by_wallet(usd_e6: Mapping[tuple[str, str], int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (wallet, _), one in usd_e6.items():
        found[wallet] += one
    return found


def _above(
    line: Line, what: str, usd_e6: Mapping[Any, int], cap_usd_e6: int | None
) -> list[Finding]:
    if cap_usd_e6 is None:
        return []
    return [
        Finding("C4", line["seq"], f"{who} {what} {one}, cap {cap_usd_e6}")
        for who, one in usd_e6.items()
        if one > cap_usd_e6
    ]
