"""The limits at the last hop before money moves. Named checks in a fixed order, pure, in integers.

What a signal wants has passed the gate (executor/gate.py): it is whole and worth something. Here is
asked whether we may: first what speaks against sending anything now, then how many units fit below
every limit of money. A limit that leaves less than the venue's least size refuses, by its own name.
Defaults and what they mean: shm/limits.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from executor.exposure import Exposure, day_of
from executor.modes import may_send
from shm.codes import Mode, Outcome, Purpose, Refusal, Side
from shm.fees import share_fee_e8
from shm.layout import MAX_LEGS, Market
from shm.limits import RiskSettings
from shm.units import PRICE_ONE_E4

BPS = 10_000
E8_PER_E4 = 10_000
E8_PER_USD_E6 = 100


class Quote(NamedTuple):
    """The best levels of a market's book at this moment, in YES terms; 0: none."""

    live: bool
    bid_e4: int
    ask_e4: int
    tick_e4: int
    changed_ns: int

    def opposite_e4(self, outcome: int, side: Side) -> int:
        """Best price at which a token can be had (bought) or got rid of (sold); 0: none."""
        yes = outcome == Outcome.YES
        if side is Side.BUY:
            return self.ask_e4 if yes else (PRICE_ONE_E4 - self.bid_e4 if self.bid_e4 else 0)
        return self.bid_e4 if yes else (PRICE_ONE_E4 - self.ask_e4 if self.ask_e4 else 0)


class Wanted(NamedTuple):
    """What would be ordered: one unit of each leg, at these limits."""

    purpose: Purpose
    basket: int
    group: int
    markets: Sequence[Market]
    outcomes: Sequence[int]
    prices_e4: Sequence[int]
    payout_e4: int
    limit_net_e8: int
    quotes: Sequence[Quote]


@dataclass(slots=True)
class Standing:
    """Everything the checks look at, apart from the wish itself."""

    now_ns: int
    now_ms: int
    killed: bool
    mode: Mode
    equity_usd_e6: int
    exposure: Exposure
    order_tokens: int
    """Orders that the pace allows at once."""
    orders_today: int
    last_basket_ms: Mapping[int, int]
    """By group: when the last basket was sent."""
    baskets_this_hour: Mapping[int, int]
    edge_since_ms: Mapping[int, int]
    """By basket: since when its edge has been offered without a pause."""
    clock_offset_ms: int
    facts_age_ms: int
    feed_silence_ns: int
    restarted_ms: int
    """When the venue was last seen to restart; 0: never."""
    held_up: bool
    """We, or the machine, stood still, and have not looked around since: any age may be wrong."""
    quarantined: bool = False
    """An edge of this ladder was too good to be true a moment ago."""


def refusal(wanted: Wanted, standing: Standing, limits: RiskSettings) -> Refusal | None:
    """The first reason against sending anything; None if there is none."""
    for reason, objects in _CHECKS:
        if objects(wanted, standing, limits):
            return reason
    return None


def leg_usd_e6(market: Market, price_e4: int) -> int:
    """What one share costs at a limit price with its fee, rounded up."""
    e8 = price_e4 * E8_PER_E4 + share_fee_e8(market.fee_rate_e6, price_e4)
    return -(-e8 // E8_PER_USD_E6)


def total_limit_usd_e6(equity_usd_e6: int, limits: RiskSettings) -> int:
    """What may be at risk altogether."""
    return min(limits.max_total_usd_e6, equity_usd_e6 * limits.max_total_equity_bps // BPS)


def order_limit_usd_e6(equity_usd_e6: int, limits: RiskSettings) -> int:
    """What one order may cost."""
    return min(limits.max_order_usd_e6, equity_usd_e6 * limits.max_order_equity_bps // BPS)


def loss_limit_usd_e6(equity_usd_e6: int, limits: RiskSettings) -> int:
    """What may be lost in a day."""
    return min(limits.max_loss_usd_e6, equity_usd_e6 * limits.max_loss_equity_bps // BPS)


# --- how much -----------------------------------------------------------------------------------


def units_allowed(wanted: Wanted, standing: Standing, limits: RiskSettings) -> tuple[int, Refusal]:
    """Most whole units that every limit of money leaves, and the limit that leaves least."""
    costs = [
        leg_usd_e6(market, price_e4)
        for market, price_e4 in zip(wanted.markets, wanted.prices_e4, strict=True)
    ]
    exposure, equity_usd_e6, unit = standing.exposure, standing.equity_usd_e6, sum(costs)
    least = (order_limit_usd_e6(equity_usd_e6, limits) // max(costs), Refusal.NOTIONAL)
    if limits.max_order_shares < least[0]:
        least = (limits.max_order_shares, Refusal.SHARES)
    most_usd_e6, by_market = limits.max_market_usd_e6, exposure.by_market
    for market, cost in zip(wanted.markets, costs, strict=True):
        units = max(0, most_usd_e6 - by_market.get(market.key, 0)) // cost
        if units < least[0]:
            least = (units, Refusal.EXPOSURE_MARKET)
    rooms = (
        (
            limits.max_group_usd_e6 - exposure.by_group.get(wanted.group, 0),
            Refusal.EXPOSURE_GROUP,
        ),
        (
            limits.max_day_usd_e6 - exposure.by_day.get(day_of(wanted.markets[0]), 0),
            Refusal.EXPOSURE_DAY,
        ),
        (total_limit_usd_e6(equity_usd_e6, limits) - exposure.total_usd_e6, Refusal.EXPOSURE),
    )
    for room_usd_e6, limit in rooms:
        units = max(0, room_usd_e6) // unit
        if units < least[0]:
            least = (units, limit)
    # All legs but the cheapest may come to stand alone, of this one and of those on their way.
    naked = unit - min(costs)
    alone_usd_e6 = exposure.naked_usd_e6 + exposure.launched_usd_e6
    units = max(0, limits.max_naked_usd_e6 - alone_usd_e6) // naked
    return least if least[0] <= units else (units, Refusal.NAKED)


# --- whether at all -------------------------------------------------------------------------------

_Check = Callable[[Wanted, Standing, RiskSettings], bool]


def _clock(_wanted: Wanted, standing: Standing, limits: RiskSettings) -> bool:
    return abs(standing.clock_offset_ms) > limits.clock_block_ms


def _facts(wanted: Wanted, standing: Standing, limits: RiskSettings) -> bool:
    """Whether the markets' facts are old, or a limit is not on the tick that its book shows."""
    if standing.facts_age_ms > limits.max_metadata_age_s * 1_000:
        return True
    ticks = zip(wanted.prices_e4, wanted.quotes, strict=True)
    return any(quote.tick_e4 == 0 or price_e4 % quote.tick_e4 for price_e4, quote in ticks)


def _fence(wanted: Wanted, standing: Standing, limits: RiskSettings) -> bool:
    end_ms = min(market.expiry_ms for market in wanted.markets)
    if standing.now_ms > end_ms - limits.fence_end_s * 1_000:
        return True
    since_ms = standing.now_ms - standing.restarted_ms
    return standing.restarted_ms != 0 and since_ms < limits.fence_restart_s * 1_000


def _silent(standing: Standing, limits: RiskSettings) -> bool:
    """Whether no book at all is to be trusted: ingest, or we, may have stood still."""
    silence_ns = abs(standing.feed_silence_ns)
    return standing.held_up or silence_ns > limits.max_feed_silence_ms * 1_000_000


def _stale(wanted: Wanted, standing: Standing, limits: RiskSettings) -> bool:
    """Whether a leg's book is not to be trusted now, whatever it was when the signal was made."""
    if _silent(standing, limits):
        return True
    oldest_ns = standing.now_ns - limits.max_quote_age_ms * 1_000_000
    return any(not quote.live or quote.changed_ns < oldest_ns for quote in wanted.quotes)


def _collar(wanted: Wanted, _standing: Standing, limits: RiskSettings) -> bool:
    """Whether a purchase would pay far more than what is quoted, or nothing is quoted at all."""
    for outcome, price_e4, quote in zip(
        wanted.outcomes, wanted.prices_e4, wanted.quotes, strict=True
    ):
        best_e4 = quote.opposite_e4(outcome, Side.BUY)
        by_bps = best_e4 * limits.collar_bps // BPS
        if best_e4 == 0 or price_e4 > best_e4 + max(limits.collar_ticks * quote.tick_e4, by_bps):
            return True
    return False


def _too_good(wanted: Wanted, standing: Standing, limits: RiskSettings) -> bool:
    if standing.quarantined:
        return True
    if wanted.limit_net_e8 * BPS > wanted.payout_e4 * E8_PER_E4 * limits.max_edge_bps:
        return True
    since_ms = standing.edge_since_ms.get(wanted.basket, standing.now_ms)
    return standing.now_ms - since_ms > limits.max_edge_age_ms


def _in_doubt(wanted: Wanted, standing: Standing, limits: RiskSettings) -> bool:
    doubts = standing.exposure.doubts
    return (
        doubts.get(wanted.group, 0) >= limits.max_doubt_group
        or sum(doubts.values()) >= limits.max_doubt
    )


def _rate(wanted: Wanted, standing: Standing, limits: RiskSettings) -> bool:
    orders = len(wanted.markets)
    return standing.order_tokens < orders or standing.orders_today + orders > limits.orders_per_day


def _repeat(wanted: Wanted, standing: Standing, limits: RiskSettings) -> bool:
    last_ms = standing.last_basket_ms.get(wanted.group, 0)
    return (
        0 <= standing.now_ms - last_ms < limits.group_pause_ms
        or standing.baskets_this_hour.get(wanted.group, 0) >= limits.group_per_hour
    )


_CHECKS: tuple[tuple[Refusal, _Check], ...] = (
    (Refusal.KILLED, lambda _wanted, standing, _limits: standing.killed),
    (Refusal.MODE, lambda wanted, standing, _: not may_send(standing.mode, wanted.purpose)),
    (Refusal.CLOCK, _clock),
    (Refusal.METADATA, _facts),
    (Refusal.FENCE, _fence),
    (Refusal.STALE, _stale),
    (Refusal.COLLAR, _collar),
    (Refusal.TOO_GOOD, _too_good),
    (Refusal.IN_DOUBT, _in_doubt),
    (
        Refusal.NAKED,
        lambda _wanted, standing, limits: standing.exposure.naked_usd_e6 >= limits.max_naked_usd_e6,
    ),
    (Refusal.RATE, _rate),
    (Refusal.REPEAT, _repeat),
)


REPAIR_OVERDRAFT = MAX_LEGS
"""Orders that repairs may owe the pace: a basket never takes what a repair would need."""


def check_repair(standing: Standing, orders: int, limits: RiskSettings) -> Refusal | None:
    """What speaks against a repair: the kill switch, the mode, the clock, a silent feed, the pace.

    Limits of exposure do not: a repair is chosen because it leaves less at risk than nothing does.
    What it may cost and lose is in its plan (executor/legging.py). A leg whose own book is old has
    no levels for it (executor/watching.py).
    """
    if standing.killed:
        return Refusal.KILLED
    if not may_send(standing.mode, Purpose.REPAIR):
        return Refusal.MODE
    if abs(standing.clock_offset_ms) > limits.clock_block_ms:
        return Refusal.CLOCK
    if _silent(standing, limits):
        return Refusal.STALE
    return Refusal.RATE if standing.order_tokens + REPAIR_OVERDRAFT < orders else None
