"""May this signal become orders, and how many? Named checks in a fixed order, pure.

The last hop before money moves: nothing that the engine said is taken for granted, and what can be
computed again is. What the legs pay is enumerated here once more, a signal names its basket by a
hash of the legs and says its own edge: one whose bytes changed in between contradicts itself. Sizes
are whole shares on the grid of every leg, since every leg must buy the same number or the basket is
none. Signals are purchases; a leg whose opposite is held in the whole size is sold instead, which
needs shares and no cash (shm/inventory.py). Edge, proof and all limits of risk are those of the
purchase.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from executor.amounts import TICKS_E4, cost_usd_e6
from shm.baskets import basket_id
from shm.codes import BasketKind, MarketKind, MarketState, Outcome, Refusal, Side
from shm.fees import FILLS_PER_ORDER, fill_fee_bound_usd_e6, share_fee_e8
from shm.grid import basket_step, least_shares
from shm.inventory import NOTHING, Held, may_sell, opposite
from shm.layout import MAX_LEGS, Market, Signal
from shm.payoff import worst_usd_e6
from shm.settings import ExecutorSettings
from shm.units import PRICE_ONE_E4, SHARE_E6, SIZE_E6_MAX

E8_PER_E4 = 10_000
E14_PER_USD_E6 = 10**8
"""edge_e8 * size_e6 is in units of 1e-14 dollars; divided by this it is micro-dollars."""
KINDS = frozenset(BasketKind) - {BasketKind.NONE}
PARTLY_BOUGHT = frozenset({BasketKind.BRACKETS_NO})
"""Sets of NO of brackets: a signal may have fewer legs than the basket that it names."""
LEGS_MIN = 2
SHAPES_REMEMBERED = 8_192
BOTH = frozenset({Outcome.YES, Outcome.NO})
Legs = tuple[tuple[Market, int], ...]


class Shape(NamedTuple):
    """What is the same for every signal of a basket, as long as the markets are what they are."""

    fault: Refusal | None
    """What no price can mend."""
    markets: tuple[Market, ...] = ()
    """Of its legs; none where there is a fault."""
    outcomes: tuple[Outcome, ...] = ()
    guaranteed_e4: int = 0
    """What one unit of each leg pays at least; 0: it is not the basket that it says it is."""


ShapeKey = tuple[int, int, int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Everything of a signal that its shape depends on."""


@dataclass(slots=True)
class Situation:
    """What the executor knows when a signal comes in."""

    now_ns: int
    trading: bool
    armed: bool
    """Recovered, and the user channel is up: fills would be seen."""
    generation: int
    last_signal: int
    """Highest signal number handled so far."""
    open_flights: int
    busy_rows: frozenset[int]
    """Markets that a flight is still using."""
    connection_idle: bool
    reports_waiting: bool
    free_cash_usd_e6: int
    """Cash less reservations."""
    markets: Mapping[int, Market]
    ticks_e4: Mapping[int, int]
    """Present tick of each leg's market, as its book shows it."""
    held: Mapping[int, Held]
    """By row, what may be sold of the legs' markets; rows of which nothing is held may be left
    out."""
    shapes: dict[ShapeKey, Shape] = field(default_factory=dict)
    """Those seen so far of these very markets: who has others, begins another one."""


class Admitted(NamedTuple):
    """A signal that may be sent: how many units, and what they can cost at most."""

    size_e6: int
    reserve_usd_e6: int
    sold: frozenset[int] = frozenset()
    """Places of legs that are sold from inventory instead of bought."""


class Room(NamedTuple):
    """What the limits of risk leave (executor/risk.py)."""

    shares: int
    limit: Refusal
    """The limit that leaves least."""


class Passed(NamedTuple):
    """A signal against which nothing speaks, whatever its size."""

    shape: Shape
    legs: Legs
    """Market and limit price of each leg."""


def judged(signal: Signal, situation: Situation, settings: ExecutorSettings) -> Passed | Refusal:
    """The first reason against a signal, whatever its size; or what it is if there is none."""
    for reason, objects in _CHECKS:
        if objects(signal, situation, settings):
            return reason
    shape = shape_of(signal, situation)
    if shape.fault is not None:
        return shape.fault
    legs = tuple(zip(shape.markets, signal.leg_price_e4, strict=False))
    if _off_tick(legs, situation):
        return Refusal.MARKET
    net_e8 = _net_edge_e8(signal, legs)
    if _contradictory(signal, shape, net_e8):
        return Refusal.DAMAGED
    if _busy(shape, situation, settings):
        return Refusal.BUSY
    return Refusal.EDGE if net_e8 <= 0 else Passed(shape, legs)


def _net_edge_e8(signal: Signal, legs: Legs) -> int:
    """Edge of one unit at the limit prices with the fees of this moment."""
    cost_e8 = 0
    for market, price_e4 in legs:
        cost_e8 += price_e4 * E8_PER_E4 + share_fee_e8(market.fee_rate_e6, price_e4)
    return signal.payout_e4 * E8_PER_E4 - cost_e8


def _most_usd_e6(legs: Legs, size_e6: int, sold: frozenset[int] = frozenset()) -> int:
    """What `size_e6` units can cost at most, fees included; sales cost nothing."""
    most = 0
    for place, (market, price_e4) in enumerate(legs):
        if place not in sold:
            most += cost_usd_e6(price_e4, size_e6)
            most += fill_fee_bound_usd_e6(market.fee_rate_e6, price_e4, size_e6, FILLS_PER_ORDER)
    return most


def _free_e6(passed: Passed, situation: Situation, place: int) -> int:
    """What is free of the opposite of a leg."""
    held = situation.held.get(passed.shape.markets[place].row, NOTHING)
    return held.of(opposite(passed.shape.outcomes[place]))


def sold_legs(
    passed: Passed, situation: Situation, settings: ExecutorSettings, size_e6: int
) -> frozenset[int]:
    """Places of the legs that `size_e6` units sell from inventory."""
    if not settings.inventory or not situation.held:
        return frozenset()
    return frozenset(
        place
        for place, (market, price_e4) in enumerate(passed.legs)
        if may_sell(price_e4, size_e6, _free_e6(passed, situation, place), market.min_size_e6)
    )


def sized(
    signal: Signal, passed: Passed, situation: Situation, settings: ExecutorSettings, room: Room
) -> Admitted | Refusal:
    """The most units that signal, grid, limits and cash allow."""
    legs = passed.legs
    step = basket_step([price_e4 for _, price_e4 in legs])
    least = max([least_shares(price_e4, market.min_size_e6) for market, price_e4 in legs])
    offered = signal.size_e6 // SHARE_E6 // step * step
    if offered < least:
        return Refusal.SIZE
    offered = min(offered, room.shares // step * step)
    if offered < least:
        return room.limit
    budget_usd_e6 = min(
        settings.max_basket_usd_e6, situation.free_cash_usd_e6 - settings.cash_reserve_usd_e6
    )
    for shares in _sizes(passed, situation, settings, budget_usd_e6, offered):
        size_e6 = shares // step * step * SHARE_E6
        sold = sold_legs(passed, situation, settings, size_e6)
        most_usd_e6 = _most_usd_e6(legs, size_e6, sold)
        if size_e6 >= least * SHARE_E6 and (most_usd_e6 <= budget_usd_e6 or most_usd_e6 == 0):
            return Admitted(size_e6, most_usd_e6, sold)
    return Refusal.CASH


def _sizes(
    passed: Passed,
    situation: Situation,
    settings: ExecutorSettings,
    budget_usd_e6: int,
    offered: int,
) -> Iterator[int]:
    """Numbers of shares worth trying, most first: all, else those that cash suffices for.

    Fewer shares may mean more sales. What one share costs over-counts the rounding of many, so that
    this many are affordable.
    """
    yield offered
    frees = {_free_e6(passed, situation, place) // SHARE_E6 for place in range(len(passed.legs))}
    tops = [offered, *(free for free in frees if 0 < free < offered)]
    sales = {sold_legs(passed, situation, settings, top * SHARE_E6) for top in tops}
    tried = set(tops[1:])
    for sold in {frozenset[int](), *sales}:
        one_usd_e6 = _most_usd_e6(passed.legs, SHARE_E6, sold)
        if one_usd_e6:
            tried.add(min(offered, max(0, budget_usd_e6) // one_usd_e6))
    yield from sorted(tried, reverse=True)


# --- what is the same for all signals of a basket -------------------------------------------------


def shape_of(signal: Signal, situation: Situation) -> Shape:
    """A signal's shape, found out once: enumerating what it pays takes longer than signing."""
    shapes = situation.shapes
    key = (
        signal.kind, signal.basket, signal.leg_count,
        signal.leg_market, signal.leg_outcome, signal.leg_side,
    )  # fmt: skip
    shape = shapes.get(key)
    if shape is None:
        if len(shapes) >= SHAPES_REMEMBERED:
            shapes.clear()
        shape = shapes[key] = _shape(signal, situation.markets)
    return shape


def _shape(signal: Signal, known: Mapping[int, Market]) -> Shape:
    count = signal.leg_count
    if signal.kind not in KINDS or not LEGS_MIN <= count <= MAX_LEGS:
        return Shape(Refusal.DAMAGED)
    columns = (signal.leg_market, signal.leg_outcome, signal.leg_side)
    if any(any(column[count:]) for column in columns):
        return Shape(Refusal.DAMAGED)
    if any(side != Side.BUY for side in signal.leg_side[:count]):
        return Shape(Refusal.UNSUPPORTED)
    markets = [known.get(row) for row in signal.leg_market[:count]]
    outcomes = signal.leg_outcome[:count]
    tradable = [market for market in markets if market is not None and _tradable(market)]
    if len(tradable) != count or not all(outcome in BOTH for outcome in outcomes):
        return Shape(Refusal.MARKET)
    bought = tuple(Outcome(outcome) for outcome in outcomes)
    legs = tuple(tradable)
    return Shape(None, legs, bought, guaranteed_e4(legs, bought) if _named(signal, legs) else 0)


def _tradable(market: Market) -> bool:
    return market.state == MarketState.ACTIVE and not market.taker_delay_ms


def _named(signal: Signal, markets: tuple[Market, ...]) -> bool:
    """Whether the legs are those of the basket that the signal names."""
    count = signal.leg_count
    outcomes, sides = signal.leg_outcome[:count], signal.leg_side[:count]
    if signal.kind in PARTLY_BOUGHT:
        return set(outcomes) == {Outcome.NO} and all(m.kind != MarketKind.ABOVE for m in markets)
    keys = (market.key for market in markets)
    return basket_id(signal.kind, zip(keys, outcomes, sides, strict=True)) == signal.basket


def guaranteed_e4(markets: tuple[Market, ...], outcomes: tuple[Outcome, ...]) -> int:
    """What buying one unit of each leg pays at least, ties aside; 0 where that cannot be said.

    Markets of different rules do not settle on one price, and a market twice is one liquidity:
    neither is a basket.
    """
    rules = {(market.group, market.fingerprint) for market in markets}
    if len(rules) != 1 or len({market.key for market in markets}) != len(markets):
        return 0
    # Of each a share, counted in units of $0.0001, pays its least where the price is no bound.
    shares = [
        (market, outcome, PRICE_ONE_E4) for market, outcome in zip(markets, outcomes, strict=True)
    ]
    return worst_usd_e6(shares)


# --- named checks ---------------------------------------------------------------------------------

_Check = Callable[[Signal, Situation, ExecutorSettings], bool]


def _stale(signal: Signal, situation: Situation, settings: ExecutorSettings) -> bool:
    return situation.now_ns - signal.created_ns > settings.max_signal_age_ms * 1_000_000


def _misshapen(signal: Signal, situation: Situation, _settings: ExecutorSettings) -> bool:
    """Whether a field has a value that no engine writes; legs apart, see `_shape`."""
    count = signal.leg_count
    if not 0 < signal.size_e6 <= SIZE_E6_MAX or not 0 < signal.payout_e4 <= count * PRICE_ONE_E4:
        return True
    earlier = (signal.frame_ns, signal.parsed_ns, signal.published_ns, signal.seen_ns)
    if signal.created_ns > situation.now_ns or max(earlier) > signal.created_ns:
        return True
    return any(signal.leg_price_e4[count:])


def _off_tick(legs: Legs, situation: Situation) -> bool:
    """Whether a limit is no price of its market, as the book shows its tick now."""
    for market, price_e4 in legs:
        tick_e4 = situation.ticks_e4.get(market.row, market.tick_e4)
        if tick_e4 not in TICKS_E4 or price_e4 % tick_e4 or not 0 < price_e4 < PRICE_ONE_E4:
            return True
    return False


def _contradictory(signal: Signal, shape: Shape, net_e8: int) -> bool:
    """Whether the legs are not the basket's, or pay something else, or edge and size do not fit.

    Every unit is worth at least its edge at the limit prices, so profit bounds size.
    """
    return (
        shape.guaranteed_e4 != signal.payout_e4
        or net_e8 != signal.limit_net_e8
        or net_e8 * signal.size_e6 // E14_PER_USD_E6 > signal.profit_usd_e6
    )


def _busy(shape: Shape, situation: Situation, settings: ExecutorSettings) -> bool:
    return (
        situation.open_flights >= settings.max_flights
        or not situation.connection_idle
        or situation.reports_waiting
        or not situation.busy_rows.isdisjoint([market.row for market in shape.markets])
    )


_CHECKS: tuple[tuple[Refusal, _Check], ...] = (
    (Refusal.DISABLED, lambda _signal, situation, _settings: not situation.trading),
    (Refusal.UNARMED, lambda _signal, situation, _settings: not situation.armed),
    (Refusal.STALE, _stale),
    (
        Refusal.DUPLICATE,
        lambda signal, situation, _settings: signal.signal <= situation.last_signal,
    ),
    (
        Refusal.GENERATION,
        lambda signal, situation, _settings: signal.generation != situation.generation,
    ),
    (Refusal.DAMAGED, _misshapen),
)
"""Asked first, in this order; then fault of the shape, tick, contradiction, business, edge."""
