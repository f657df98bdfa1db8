"""Cash and positions as a fold over fills: each fill counts once, and is taken back if it failed.

Pure. A fill is known by (trade id, our order hash); the venue repeats it with each status. MATCHED
counts at first sight, FAILED takes it back. The same fold over the venue's own trade list must give
the same result at any time: that is how a restart finds its positions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from executor.amounts import cost_usd_e6
from executor.wire import SIDES, Trade
from shm.codes import Side
from shm.fees import fill_fee_usd_e6
from shm.units import PRICE_ONE_E4, parse_price_e4, parse_size_e6

FAILED = "FAILED"
_PREFIX = "TRADE_STATUS_"
"""REST prints statuses with this in front."""


@dataclass(frozen=True, slots=True)
class Fill:
    """Our part of one trade."""

    trade: str
    order: str
    token: str
    side: Side
    price_e4: int
    size_e6: int
    fee_usd_e6: int
    failed: bool

    @property
    def cash_usd_e6(self) -> int:
        """Change of our cash, fee included."""
        if self.side is Side.BUY:
            return -cost_usd_e6(self.price_e4, self.size_e6) - self.fee_usd_e6
        return self.price_e4 * self.size_e6 // PRICE_ONE_E4 - self.fee_usd_e6


def fills_of(trade: Trade, api_key: str, fee_rate_e6: Callable[[str], int]) -> Iterator[Fill]:
    """Our fills in a trade: as taker, or as one of the makers. Raises UnitError on bad numbers.

    `trader_side` says which; where it is missing, the owner does. The list of makers also names
    strangers, who are left out.
    """
    failed = trade.status.removeprefix(_PREFIX) == FAILED
    if trade.trader_side != "MAKER" and trade.owner == api_key:
        price_e4, size_e6 = parse_price_e4(trade.price), parse_size_e6(trade.size)
        yield Fill(
            trade=trade.id,
            order=trade.taker_order_id.lower(),
            token=trade.asset_id,
            side=SIDES[trade.side],
            price_e4=price_e4,
            size_e6=size_e6,
            fee_usd_e6=fill_fee_usd_e6(fee_rate_e6(trade.asset_id), price_e4, size_e6),
            failed=failed,
        )
        return
    for maker in trade.maker_orders:
        if maker.owner == api_key:
            yield Fill(
                trade=trade.id,
                order=maker.order_id.lower(),
                token=maker.asset_id,
                side=SIDES[maker.side] if maker.side else _maker_side(trade, maker.asset_id),
                price_e4=parse_price_e4(maker.price),
                size_e6=parse_size_e6(maker.matched_amount),
                fee_usd_e6=0,
                failed=failed,
            )


def _maker_side(trade: Trade, maker_token: str) -> Side:
    """Same token: the taker's opposite. The other token: the same side (a mint or a merge)."""
    taker = SIDES[trade.side]
    if maker_token != trade.asset_id:
        return taker
    return Side.SELL if taker is Side.BUY else Side.BUY


@dataclass(slots=True)
class Holding:
    """What we have of one token."""

    size_e6: int = 0
    cost_usd_e6: int = 0
    """Cash that went in, less cash that came out, fees apart."""
    fee_usd_e6: int = 0
    fills: int = 0


@dataclass(slots=True)
class OrderFills:
    """What one of our orders got."""

    size_e6: int = 0
    cost_usd_e6: int = 0
    fee_usd_e6: int = 0


@dataclass(slots=True)
class Ledger:
    """See the module. `opening_usd_e6` is the cash before the first fill of the fold."""

    opening_usd_e6: int = 0
    cash_change_usd_e6: int = 0
    fee_usd_e6: int = 0
    holdings: dict[str, Holding] = field(default_factory=dict)
    orders: dict[str, OrderFills] = field(default_factory=dict)
    """By order hash."""
    _counted: dict[tuple[str, str], bool] = field(default_factory=dict)
    """By fill: whether it counts at present (False: taken back)."""

    @property
    def cash_usd_e6(self) -> int:
        """Cash now."""
        return self.opening_usd_e6 + self.cash_change_usd_e6

    @property
    def fills(self) -> int:
        """Fills that count."""
        return sum(self._counted.values())

    def apply(self, fill: Fill) -> bool:
        """Count a fill, or take it back; False if this changes nothing."""
        key = (fill.trade, fill.order)
        counted = self._counted.get(key)
        if fill.failed:
            self._counted[key] = False
            if counted:
                self._book(fill, -1)
            return bool(counted)
        if counted is not None:
            return False
        self._counted[key] = True
        self._book(fill, 1)
        return True

    def _book(self, fill: Fill, sign: int) -> None:
        self.cash_change_usd_e6 += sign * fill.cash_usd_e6
        self.fee_usd_e6 += sign * fill.fee_usd_e6
        spent_usd_e6 = -fill.cash_usd_e6 - fill.fee_usd_e6
        direction = 1 if fill.side is Side.BUY else -1
        holding = self.holdings.setdefault(fill.token, Holding())
        holding.size_e6 += sign * direction * fill.size_e6
        holding.cost_usd_e6 += sign * spent_usd_e6
        holding.fee_usd_e6 += sign * fill.fee_usd_e6
        holding.fills += sign
        order = self.orders.setdefault(fill.order, OrderFills())
        order.size_e6 += sign * fill.size_e6
        order.cost_usd_e6 += sign * spent_usd_e6
        order.fee_usd_e6 += sign * fill.fee_usd_e6
