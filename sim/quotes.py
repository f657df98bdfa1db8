"""C8: on which quotes an order was sent, as far as the exchange can know.

The exchange knows what it has sent and what a rule has withheld. An order is blind if no socket
had been subscribed to its market for longer than an order is on its way (who asks for a book again
unsubscribes first, and a socket may close behind an order), and stale if a newer state of the
market had been withheld for too long: the trader's own picture was at least that old, and its data
had stopped.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from sim.chronicle import Finding, Line, Run
from sim.rules import PLACING

ON_ITS_WAY_NS = 1_000_000_000
"""From the decision to the exchange, on a machine that has other things to do."""


@dataclass(slots=True)
class _View:
    """Which markets are watched by which socket, and since when one is withheld."""

    watched: dict[int, set[str]] = field(default_factory=dict)
    alone_ns: dict[str, int] = field(default_factory=dict)
    """Since when nobody hears of a market of which somebody did."""
    withheld_ns: dict[str, int] = field(default_factory=dict)

    def take(self, line: Line) -> None:
        """Follow one line."""
        if line["kind"] == "socket" and line["channel"] == "market":
            self._socket(line)
        elif line["kind"] == "frames":
            for market in line["sent"]:
                self.withheld_ns.pop(market, None)
            for market in line["withheld"]:
                if market not in line["sent"]:
                    self.withheld_ns.setdefault(market, line["mono_ns"])

    def _socket(self, line: Line) -> None:
        markets = self.watched.setdefault(line["socket"], set())
        match line["what"]:
            case "subscribe":
                markets |= set(line["markets"])
                for market in line["markets"]:
                    self.alone_ns.pop(market, None)
                    if line["snapshots"]:
                        self.withheld_ns.pop(market, None)
            case "unsubscribe":
                markets -= set(line["markets"])
                self._leave(line["markets"], line["mono_ns"])
            case "close":
                self._leave(self.watched.pop(line["socket"]), line["mono_ns"])
            case _:
                pass

    def _leave(self, left: Iterable[str], mono_ns: int) -> None:
        for market in left:
            if not self._is_watched(market):
                self.alone_ns.setdefault(market, mono_ns)

    def _is_watched(self, market: str) -> bool:
        return any(market in markets for markets in self.watched.values())

    def is_blind(self, market: str, mono_ns: int) -> bool:
        """Whether nobody hears of a market, and has not for longer than an order is on its way."""
        if self._is_watched(market):
            return False
        since_ns = self.alone_ns.get(market)
        return since_ns is None or mono_ns - since_ns > ON_ITS_WAY_NS

    def age_ns(self, market: str, mono_ns: int) -> int:
        """For how long a newer state has been withheld."""
        return mono_ns - self.withheld_ns.get(market, mono_ns)


def on_live_quotes(run: Run, limit_ms: int, wallets: AbstractSet[str]) -> list[Finding]:
    """All orders of one run that were sent blindly or on stale quotes; no wallets means all."""
    view, findings = _View(), []
    for line in run.lines:
        view.take(line)
        if line["kind"] != "request" or line["place"] not in PLACING:
            continue
        for order in line.get("orders", []):
            market = order["market"]
            if wallets and order["wallet"] not in wallets:
                continue
            age_ns = view.age_ns(market, line["mono_ns"])
            if view.is_blind(market, line["mono_ns"]):
                text = f"order {order['order_id']}: nobody was subscribed to its market"
                findings.append(Finding("C8", line["seq"], text))
            elif age_ns > limit_ms * 1_000_000:
                text = f"order {order['order_id']}: quotes withheld for {age_ns // 1_000_000} ms"
                findings.append(Finding("C8", line["seq"], text))
    return findings
