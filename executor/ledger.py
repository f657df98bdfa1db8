"""Cash and positions as a fold over fills: each fill counts once, and is taken back if it failed.

Pure. A fill is known by (trade id, our order hash); the venue repeats it with each status. It
counts from the first sight of it, provisionally, is a position when CONFIRMED, and FAILED takes it
back. CONFIRMED and FAILED are final, and CONFIRMED has the last word: the end does not depend on
the order in which the messages came, nor on how often.
"""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from executor.amounts import cost_usd_e6
from executor.wire import SIDES, Trade
from shm.codes import FillStatus, Side
from shm.fees import fill_fee_usd_e6
from shm.units import PRICE_ONE_E4, parse_price_e4, parse_size_e6

_PREFIX = "TRADE_STATUS_"
"""REST prints statuses with this in front."""
_STATUSES = {status.name: status for status in FillStatus if status}
FINAL = {FillStatus.CONFIRMED, FillStatus.FAILED}
"""After these the chain says nothing else, but for a CONFIRMED that has the last word."""


@dataclass(frozen=True, slots=True)
class Fill:
    """Our part of one trade."""

    trade: str
    order: str
    """Order hash, "0x..." in lower case."""
    token: str
    side: Side
    price_e4: int
    size_e6: int
    fee_usd_e6: int
    status: FillStatus = FillStatus.MATCHED
    maker: bool = False
    at_ms: int = 0
    """When it was first heard of, and once it is final, when that was."""

    @property
    def cash_usd_e6(self) -> int:
        """Change of our cash, fee included."""
        if self.side is Side.BUY:
            return -cost_usd_e6(self.price_e4, self.size_e6) - self.fee_usd_e6
        return self.price_e4 * self.size_e6 // PRICE_ONE_E4 - self.fee_usd_e6

    @property
    def spent_usd_e6(self) -> int:
        """Cash that went out for it, fee apart; negative for a sale."""
        return -self.cash_usd_e6 - self.fee_usd_e6

    @property
    def counts(self) -> bool:
        """Whether it changes cash and position."""
        return self.status is not FillStatus.FAILED


def fills_of(
    trade: Trade,
    api_key: str,
    fee_rate_e6: Callable[[str], int],
    known: Container[str] = frozenset(),
) -> Iterator[Fill]:
    """Our fills in a trade: as taker, or as one of the makers. Raises UnitError on bad numbers.

    Ours is what names an order that we have sent (`known`: their hashes), whoever is said to own
    it, and what names our key: then `trader_side` says which part, and where it is missing, the
    owner does. The list of makers also names strangers, who are left out. A status that nobody
    knows is as good as MATCHED.
    """
    status = _STATUSES.get(trade.status.removeprefix(_PREFIX).upper(), FillStatus.MATCHED)
    is_ours = trade.owner == api_key or trade.taker_order_id.lower() in known
    if trade.trader_side != "MAKER" and is_ours:
        price_e4, size_e6 = parse_price_e4(trade.price), parse_size_e6(trade.size)
        yield Fill(
            trade=trade.id,
            order=trade.taker_order_id.lower(),
            token=trade.asset_id,
            side=SIDES[trade.side],
            price_e4=price_e4,
            size_e6=size_e6,
            fee_usd_e6=fill_fee_usd_e6(fee_rate_e6(trade.asset_id), price_e4, size_e6),
            status=status,
        )
        return
    for maker in trade.maker_orders or ():
        if maker.owner == api_key or maker.order_id.lower() in known:
            yield Fill(
                trade=trade.id,
                order=maker.order_id.lower(),
                token=maker.asset_id,
                side=SIDES[maker.side] if maker.side else _maker_side(trade, maker.asset_id),
                price_e4=parse_price_e4(maker.price),
                size_e6=parse_size_e6(maker.matched_amount),
                fee_usd_e6=0,
                status=status,
                maker=True,
            )


def _maker_side(trade: Trade, maker_token: str) -> Side:
    """Same token: the taker's opposite. The other token: the same side (a mint or a merge)."""
    taker = SIDES[trade.side]
    if maker_token != trade.asset_id:
        return taker
    return Side.SELL if taker is Side.BUY else Side.BUY


class Change(Enum):
    """What a message about a fill changed."""

    NOTHING = auto()
    COUNTED = auto()
    ADVANCED = auto()
    """Its status moved on; cash and positions stand."""
    CONFIRMED = auto()
    VOIDED = auto()
    """It failed; if it had counted, it was taken back."""
    REVIVED = auto()
    """It was said to have failed, and is confirmed after all: it counts again."""


_CHANGES: dict[tuple[bool, FillStatus], Change] = {
    # (a failed fill before, status now)
    (False, FillStatus.MATCHED): Change.NOTHING,
    (False, FillStatus.MINED): Change.ADVANCED,
    (False, FillStatus.RETRYING): Change.ADVANCED,
    (False, FillStatus.CONFIRMED): Change.CONFIRMED,
    (False, FillStatus.FAILED): Change.VOIDED,
    (True, FillStatus.MATCHED): Change.NOTHING,
    (True, FillStatus.MINED): Change.NOTHING,
    (True, FillStatus.RETRYING): Change.NOTHING,
    (True, FillStatus.CONFIRMED): Change.REVIVED,
    (True, FillStatus.FAILED): Change.NOTHING,
}


@dataclass(slots=True)
class Holding:
    """What we have of one token."""

    size_e6: int = 0
    cost_usd_e6: int = 0
    """Cash that went in, less cash that came out, fees apart."""
    fee_usd_e6: int = 0
    fills: int = 0

    def add(self, fill: Fill, sign: int) -> None:
        """Count a fill (1), or take it back (-1)."""
        direction = 1 if fill.side is Side.BUY else -1
        self.size_e6 += sign * direction * fill.size_e6
        self.cost_usd_e6 += sign * fill.spent_usd_e6
        self.fee_usd_e6 += sign * fill.fee_usd_e6
        self.fills += sign


@dataclass(slots=True)
class OrderFills:
    """What one of our orders got. Cost of a sale is negative."""

    size_e6: int = 0
    cost_usd_e6: int = 0
    fee_usd_e6: int = 0
    voided_e6: int = 0
    """Size that had been matched and failed on chain."""


NO_FILLS = OrderFills()


@dataclass(slots=True)
class Ledger:
    """See the module. `opening_usd_e6` is the cash before the first fill of the fold."""

    opening_usd_e6: int = 0
    cash_change_usd_e6: int = 0
    fee_usd_e6: int = 0
    holdings: dict[str, Holding] = field(default_factory=dict)
    orders: dict[str, OrderFills] = field(default_factory=dict)
    """By order hash."""
    fills: dict[tuple[str, str], Fill] = field(default_factory=dict)
    """By (trade, order): what was last said of it."""
    unconfirmed: dict[tuple[str, str], Fill] = field(default_factory=dict)
    """Those of them that count and are not final."""

    @property
    def cash_usd_e6(self) -> int:
        """Cash now."""
        return self.opening_usd_e6 + self.cash_change_usd_e6

    @property
    def fills_counted(self) -> int:
        """Fills that count."""
        return sum(fill.counts for fill in self.fills.values())

    @property
    def held(self) -> list[str]:
        """Tokens of which there is something."""
        return [token for token, holding in self.holdings.items() if holding.size_e6]

    @property
    def unconfirmed_orders(self) -> set[str]:
        """Hashes of orders with a fill that the chain has yet to confirm, whatever its size."""
        return {order for _, order in self.unconfirmed}

    def size_e6(self, token: str) -> int:
        """Shares of a token that are held."""
        holding = self.holdings.get(token)
        return holding.size_e6 if holding else 0

    def of_order(self, order_hash: str) -> OrderFills:
        """What an order got so far."""
        return self.orders.get(order_hash, NO_FILLS)

    def change_of(self, fill: Fill) -> Change:
        """What `apply` would change."""
        before = self.fills.get((fill.trade, fill.order))
        if before is None:
            return Change.COUNTED if fill.counts else Change.VOIDED
        if before.status is fill.status or before.status is FillStatus.CONFIRMED:
            return Change.NOTHING
        if before.status in {FillStatus.MINED, FillStatus.RETRYING} and fill.status not in FINAL:
            advanced = fill.status is not FillStatus.MATCHED
            return Change.ADVANCED if advanced else Change.NOTHING
        return _CHANGES[before.status is FillStatus.FAILED, fill.status]

    def apply(self, fill: Fill) -> Change:
        """Count a fill, move it on, or take it back."""
        change = self.change_of(fill)
        if change is Change.NOTHING:
            return change
        key = (fill.trade, fill.order)
        before = self.fills.get(key)
        # What was counted first is what is taken back: later messages repeat it at best.
        now = fill
        if before is not None:  # nor does one that is tried again and again begin to wait anew
            at_ms = fill.at_ms if fill.status in FINAL else before.at_ms
            now = replace(before, status=fill.status, at_ms=at_ms)
        if before is not None and before.counts:
            self._book(before, -1)
        if now.counts:
            self._book(now, 1)
        voided = now.size_e6 * ((not now.counts) - (before is not None and not before.counts))
        self.orders.setdefault(now.order, OrderFills()).voided_e6 += voided
        self.fills[key] = now
        self.unconfirmed.pop(key, None)
        if now.status not in FINAL:
            self.unconfirmed[key] = now
        return change

    def _book(self, fill: Fill, sign: int) -> None:
        self.cash_change_usd_e6 += sign * fill.cash_usd_e6
        self.fee_usd_e6 += sign * fill.fee_usd_e6
        self.holdings.setdefault(fill.token, Holding()).add(fill, sign)
        order = self.orders.setdefault(fill.order, OrderFills())
        order.size_e6 += sign * fill.size_e6
        order.cost_usd_e6 += sign * fill.spent_usd_e6
        order.fee_usd_e6 += sign * fill.fee_usd_e6
