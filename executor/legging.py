"""What to do with a basket of which only some legs filled: complete, unwind, or keep it. Pure.

Whatever is done, the basket ends at T units of every leg, and what lies between costs or brings
money now: legs that have less than T are bought at the asks, legs that have more are sold at the
bids, both down the levels that are there. T = all that any leg has is completing, T = 0 unwinding.
What cannot be sold is kept. Each T is judged by its worst case: cash now, and the least that the
positions then held pay at any settlement (shm/payoff.py). Keeping everything as it is competes by
the same measure, so that nothing is ever done that would not be better than doing nothing.

Buying puts more money where some has just stood alone, so it is bounded (`Bounds`): no purchase far
above the best ask, none larger than an order may be, and none after which the basket is certain to
lose more at worst than the leg-risk budget. A dollar put in has to do better than selling by
`GAIN_BPS` of it: for the same worst case nobody ties up two hundred dollars.

Sales are in whole shares (the venue takes dollars of four decimals), purchases on the fill-or-kill
grid (shm/grid.py), where the limit is raised to a price at which the number of shares is allowed.

Everything is said in units of the token that the basket wants of a leg. A unit more is a purchase
of it, or a sale of its opposite where that is there to be sold; a unit less is a sale of it, or a
purchase of its opposite where it is not there, because the leg itself was such a sale. Both forms
have one price and one fee, and what is worst differs by a dollar a share that no plan changes, so
that the choice among the plans is the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import accumulate

from executor.amounts import cost_usd_e6
from shm.codes import Outcome, Side
from shm.fees import FILLS_PER_ORDER, fee_table_e8, fill_fee_bound_usd_e6
from shm.grid import least_shares, share_step
from shm.inventory import may_sell
from shm.layout import Market
from shm.payoff import worst_usd_e6
from shm.units import PRICE_ONE_E4, SHARE_E6

Ladder = Sequence[tuple[int, int]]
"""(price_e4 of the token, size_e6), best first: asks cheapest first, bids dearest first."""

TARGETS_TRIED = 256
GAIN_BPS = 100
"""What buying has to be better by, of what it costs: it can be found killed, and stands alone
longer then, which the worst case of a plan that fills does not show."""
_BPS = 10_000
E14_PER_USD_E6 = 10**8


@dataclass(frozen=True, slots=True)
class Standing:
    """One leg: what it holds, and what its token could be bought and sold for."""

    market: Market
    outcome: Outcome
    held_e6: int
    asks: Ladder
    bids: Ladder
    """Both empty where the book is not to be trusted."""
    tick_e4: int
    free_e6: int
    """Shares of its token that may be sold,"""
    other_e6: int
    """and of the opposite one that may be sold instead of buying it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to order for one leg, in terms of its token."""

    leg: int
    side: Side
    size_e6: int
    limit_e4: int
    mirrored: bool = False
    """Carried out in the opposite token: the other side, at one less the limit."""


class Choice(Enum):
    """What a plan amounts to."""

    COMPLETE = auto()
    UNWIND = auto()
    LEVEL = auto()
    """Some of it is completed, some sold again."""
    HOLD = auto()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a plan may do."""

    cash_usd_e6: int
    """Most that may be spent;"""
    spent_usd_e6: int
    """what the legs have cost so far, fees included,"""
    loss_usd_e6: int
    """and most that the basket may lose at worst once more has been bought for it."""
    order_usd_e6: int
    """What one purchase may cost at its limit,"""
    collar_ticks: int
    """and how far above the best ask it may reach, in ticks"""
    collar_bps: int
    """and in hundredths of a percent: the larger of the two counts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The best that can be done."""

    choice: Choice
    orders: tuple[Order, ...]
    worst_usd_e6: int
    """Cash from the orders at the prices seen, and the least that what is then held pays."""
    hold_usd_e6: int
    """The same for doing nothing."""
    cost_usd_e6: int
    """Most that what is really bought can cost, at its limits and with fees."""
    outlay_usd_e6: int = 0
    """What units more cost at their limits, whether bought or got by selling the opposite;"""
    slack_usd_e6: int = 0
    """how much less that is at the prices seen."""

    @property
    def merit_usd_e6(self) -> int:
        """What plans are compared by."""
        return self.worst_usd_e6 - self.outlay_usd_e6 * GAIN_BPS // _BPS

    def within(self, bounds: Bounds) -> bool:
        """Whether it keeps to what it may do; only units more can lose what was not lost yet."""
        if self.cost_usd_e6 > bounds.cash_usd_e6:
            return False
        lost_usd_e6 = bounds.spent_usd_e6 - (self.worst_usd_e6 - self.slack_usd_e6)
        return not self.outlay_usd_e6 or lost_usd_e6 <= bounds.loss_usd_e6


def best_plan(legs: Sequence[Standing], bounds: Bounds) -> Plan:
    """The plan with the best worst case within the bounds; HOLD if no other one is better."""
    hold_usd_e6 = _worst(legs, [leg.held_e6 for leg in legs])
    best = Plan(Choice.HOLD, (), hold_usd_e6, hold_usd_e6, 0)
    for target_e6 in _targets(legs):
        plan = _aim(legs, target_e6, hold_usd_e6, bounds)
        if plan is not None and plan.within(bounds) and plan.merit_usd_e6 > best.merit_usd_e6:
            best = plan
    return best


def is_even(held_e6: Sequence[int]) -> bool:
    """Whether all legs have the same number of units, up to what is too little to trade."""
    return max(held_e6) - min(held_e6) < SHARE_E6


def _targets(legs: Sequence[Standing]) -> Iterator[int]:
    """Whole units worth aiming at, most first.

    Every number of them up to `TARGETS_TRIED`. Beyond that, where one more makes less difference:
    so many evenly spread, and those where a leg has just used up a level, or has what it has.
    """
    most = max(leg.held_e6 for leg in legs) // SHARE_E6
    step = most // TARGETS_TRIED + 1
    found = {*range(0, most + 1, step), most}
    if step > 1:
        for leg in legs:
            buys = accumulate((size_e6 for _, size_e6 in leg.asks), initial=leg.held_e6)
            sales = accumulate((-size_e6 for _, size_e6 in leg.bids), initial=leg.held_e6)
            found.update(e6 // SHARE_E6 for e6 in (*buys, *sales))
    yield from (n * SHARE_E6 for n in sorted(found, reverse=True) if 0 <= n <= most)


def _aim(legs: Sequence[Standing], target_e6: int, hold_usd_e6: int, bounds: Bounds) -> Plan | None:
    """The orders that bring every leg to the target; None where one cannot get there."""
    orders: list[Order] = []
    cash_usd_e6 = most_cost_usd_e6 = outlay_usd_e6 = slack_usd_e6 = 0
    after_e6: list[int] = []
    for place, leg in enumerate(legs):
        missing_e6 = target_e6 - leg.held_e6
        if missing_e6 >= SHARE_E6:
            bought = _buy(place, leg, missing_e6, bounds)
            if bought is None:
                return None
            order, paid_usd_e6, most_usd_e6 = bought
            orders.append(order)
            cash_usd_e6 -= paid_usd_e6
            most_cost_usd_e6 += 0 if order.mirrored else most_usd_e6
            outlay_usd_e6 += most_usd_e6
            slack_usd_e6 += most_usd_e6 - paid_usd_e6
            after_e6.append(leg.held_e6 + order.size_e6)
        elif missing_e6 <= -SHARE_E6 and (sold := _sell(place, leg, -missing_e6)):
            order, got_usd_e6, most_usd_e6 = sold
            orders.append(order)
            cash_usd_e6 += got_usd_e6
            most_cost_usd_e6 += most_usd_e6
            after_e6.append(leg.held_e6 - order.size_e6)
        else:
            after_e6.append(leg.held_e6)
    if not orders:
        return None
    worst = cash_usd_e6 + _worst(legs, after_e6)
    return Plan(
        _choice(orders), tuple(orders), worst, hold_usd_e6, most_cost_usd_e6,
        outlay_usd_e6, slack_usd_e6,
    )  # fmt: skip


def _choice(orders: Sequence[Order]) -> Choice:
    sides = {order.side for order in orders}
    if sides == {Side.BUY}:
        return Choice.COMPLETE
    return Choice.UNWIND if sides == {Side.SELL} else Choice.LEVEL


def _buy(
    place: int, leg: Standing, wanted_e6: int, bounds: Bounds
) -> tuple[Order, int, int] | None:
    """(order, what it costs at the levels seen, what it can cost at most), or None.

    The collar is about the levels that are bought from. The limit may stand higher, where the
    number of shares is allowed: that costs nothing that the venue's own matching does not ask for,
    and counts whole in what the plan can cost and lose.
    """
    shares = -(-wanted_e6 // SHARE_E6)
    walked = _walk(leg.asks, shares * SHARE_E6)
    if walked is None:
        return None
    paid = sum(_usd_e6(leg, price_e4, part_e6, up=True) for price_e4, part_e6 in walked)
    size_e6, best_e4, dearest_e4 = shares * SHARE_E6, walked[0][0], walked[-1][0]
    by_ticks, by_bps = bounds.collar_ticks * leg.tick_e4, best_e4 * bounds.collar_bps // _BPS
    if dearest_e4 > best_e4 + max(by_ticks, by_bps):
        return None
    mirrored = may_sell(dearest_e4, size_e6, leg.other_e6, leg.market.min_size_e6)
    limit_e4 = dearest_e4 if mirrored else _allowed_limit(leg, dearest_e4, shares)
    if limit_e4 is None:
        return None
    most = _most(leg, limit_e4, size_e6)
    if most > bounds.order_usd_e6:
        return None
    return Order(place, Side.BUY, size_e6, limit_e4, mirrored=mirrored), paid, most


def _allowed_limit(leg: Standing, price_e4: int, shares: int) -> int | None:
    """The lowest limit from a price on, on the tick, at which the venue takes so many shares."""
    for limit_e4 in range(price_e4, PRICE_ONE_E4, leg.tick_e4):
        if shares % share_step(limit_e4) == 0:
            return limit_e4 if shares >= least_shares(limit_e4, leg.market.min_size_e6) else None
    return None


def _sell(place: int, leg: Standing, surplus_e6: int) -> tuple[Order, int, int] | None:
    """For as much of a surplus as the bids take: order, what it brings, what it can cost."""
    there_e6 = sum(size_e6 for _, size_e6 in leg.bids)
    size_e6 = min(surplus_e6, there_e6) // SHARE_E6 * SHARE_E6
    walked = _walk(leg.bids, size_e6) if size_e6 else None
    if not walked:
        return None
    limit_e4 = walked[-1][0]
    got = sum(_usd_e6(leg, price_e4, part_e6, up=False) for price_e4, part_e6 in walked)
    if size_e6 > leg.free_e6:
        back_e4 = _allowed_limit(leg, PRICE_ONE_E4 - limit_e4, size_e6 // SHARE_E6)
        if back_e4 is None:
            return None
        order = Order(place, Side.SELL, size_e6, PRICE_ONE_E4 - back_e4, mirrored=True)
        return order, got, _most(leg, back_e4, size_e6)
    if size_e6 < least_shares(limit_e4, leg.market.min_size_e6) * SHARE_E6:
        return None
    return Order(place, Side.SELL, size_e6, limit_e4), got, 0


def _walk(ladder: Ladder, wanted_e6: int) -> list[tuple[int, int]] | None:
    """The levels that fill a size, the last one in part; None if there is not enough."""
    taken: list[tuple[int, int]] = []
    for price_e4, size_e6 in ladder:
        part_e6 = min(size_e6, wanted_e6)
        taken.append((price_e4, part_e6))
        wanted_e6 -= part_e6
        if wanted_e6 == 0:
            return taken
    return None


def _usd_e6(leg: Standing, price_e4: int, size_e6: int, *, up: bool) -> int:
    """Dollars paid (up) or got for a size at a price, with the fee, rounded against us."""
    fee_e14 = fee_table_e8(leg.market.fee_rate_e6)[price_e4] * size_e6
    money_e14 = price_e4 * 10**4 * size_e6
    if up:
        return -(-(money_e14 + fee_e14) // E14_PER_USD_E6)
    return (money_e14 - fee_e14) // E14_PER_USD_E6


def _most(leg: Standing, limit_e4: int, size_e6: int) -> int:
    """What a purchase can cost at most: price and fee together grow with the price."""
    fee_rate_e6 = leg.market.fee_rate_e6
    fee_usd_e6 = fill_fee_bound_usd_e6(fee_rate_e6, limit_e4, size_e6, FILLS_PER_ORDER)
    return cost_usd_e6(limit_e4, size_e6) + fee_usd_e6


def _worst(legs: Sequence[Standing], held_e6: Sequence[int]) -> int:
    return worst_usd_e6(
        [(leg.market, leg.outcome, size_e6) for leg, size_e6 in zip(legs, held_e6, strict=True)]
    )
