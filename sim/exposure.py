"""C4: how much money a wallet has at risk at each moment, by market, at worst.

Exposure in a market is what its shares have cost (fees included, proceeds taken off, never below
zero) and what open purchases may still cost at their limits. Failed trades and the market's end
take it back. Orders that were placed by hand do not count: they are not the trader's.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from sim.chronicle import Finding, Line, Run


@dataclass(frozen=True, slots=True)
class Caps:
    """Most exposure in one market and of one wallet, in micro-dollars; None is not looked at."""

    market_usd_e6: int | None = None
    wallet_usd_e6: int | None = None


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

    orders: dict[str, _Open] = field(default_factory=dict)
    buying: dict[str, _Open] = field(default_factory=dict)
    cost: Counter[tuple[str, str]] = field(default_factory=Counter)
    trades: dict[str, list[tuple[str, str, int]]] = field(default_factory=dict)

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
            case "order" if line["accepted"] and not line.get("by_hand", False):
                self._accept(line)
            case "order_end":
                self.buying.pop(line["order_id"], None)
            case "trade":
                self._trade(line)
            case "trade_status" if line["status"] == "FAILED":
                for wallet, market, usd_e6 in self.trades.pop(line["trade_id"], []):
                    self.cost[wallet, market] -= usd_e6
            case "resolved":
                for key in [key for key in self.cost if key[1] == line["market"]]:
                    del self.cost[key]
            case _:
                pass

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
        self.trades[line["trade_id"]] = booked


def _notional(line: Line, maker: Line, taker: Line, *, own: bool = False) -> int:
    exact_e10 = maker["size_e6"] * line["price_e4"]
    usd_e6 = -(-exact_e10 // 10_000) if taker["side"] == "BUY" else exact_e10 // 10_000
    same = own or maker["token"] == taker["token"]
    return int(usd_e6 if same else maker["size_e6"] - usd_e6)


def within_caps(run: Run, caps: Caps) -> list[Finding]:
    """All moments of one run at which exposure rises above a cap."""
    risk = _Risk()
    findings: list[Finding] = []
    for line in run.of("order", "order_end", "trade", "trade_status", "resolved"):
        risk.take(line)
        by_wallet: Counter[str] = Counter()
        for (wallet, market), usd_e6 in risk.exposure().items():
            by_wallet[wallet] += usd_e6
            if caps.market_usd_e6 is not None and usd_e6 > caps.market_usd_e6:
                text = f"{wallet} risks {usd_e6} in market {market}, cap {caps.market_usd_e6}"
                findings.append(Finding("C4", line["seq"], text))
        for wallet, usd_e6 in by_wallet.items():
            if caps.wallet_usd_e6 is not None and usd_e6 > caps.wallet_usd_e6:
                text = f"{wallet} risks {usd_e6}, cap {caps.wallet_usd_e6}"
                findings.append(Finding("C4", line["seq"], text))
    return findings
