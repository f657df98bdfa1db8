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
from dataclasses import dataclass
from functools import lru_cache

from executor.amounts import TICKS_E4, cost_usd_e6
from shm.baskets import basket_id
from shm.codes import BasketKind, MarketKind, MarketState, Outcome, Refusal, Side
from shm.fees import FILLS_PER_ORDER, fill_fee_bound_usd_e6, share_fee_e8
from shm.grid import basket_step, least_shares
from shm.inventory import NOTHING, Held, may_sell, opposite
from shm.layout import MAX_LEGS, Market, Signal
from shm.payoff import Leg, payoff
from shm.settings import ExecutorSettings
from shm.units import PRICE_ONE_E4, SHARE_E6, SIZE_E6_MAX

E8_PER_E4 = 10_000
E14_PER_USD_E6 = 10**8
"""edge_e8 * size_e6 is in units of 1e-14 dollars; divided by this it is micro-dollars."""
KINDS = frozenset(BasketKind) - {BasketKind.NONE}
PARTLY_BOUGHT = frozenset({BasketKind.BRACKETS_NO})
"""Sets of NO of brackets: a signal may have fewer legs than the basket that it names."""
LEGS_MIN = 2
PAYOUTS_REMEMBERED = 8_192


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Admitted:
    """A signal that may be sent: how many units, and what they can cost at most."""

    size_e6: int
    reserve_usd_e6: int
    sold: frozenset[int] = frozenset()
    """Places of legs that are sold from inventory instead of bought."""


@dataclass(frozen=True, slots=True)
class Room:
    """What the limits of risk leave (executor/risk.py)."""

    shares: int
    limit: Refusal
    """The limit that leaves least."""


def refusal(signal: Signal, situation: Situation, settings: ExecutorSettings) -> Refusal | None:
    """The first reason against a signal, whatever its size; None if there is none."""
    for reason, objects in _CHECKS:
        if objects(signal, situation, settings):
            return reason
    return Refusal.EDGE if _net_edge_e8(signal, situation) <= 0 else None


def _legs(signal: Signal) -> list[tuple[int, int]]:
    """(market row, limit price) of each leg."""
    count = signal.leg_count
    return list(zip(signal.leg_market[:count], signal.leg_price_e4[:count], strict=True))


def _net_edge_e8(signal: Signal, situation: Situation) -> int:
    """Edge of one unit at the limit prices with the fees of this moment."""
    cost_e8 = sum(
        price_e4 * E8_PER_E4 + share_fee_e8(situation.markets[row].fee_rate_e6, price_e4)
        for row, price_e4 in _legs(signal)
    )
    return signal.payout_e4 * E8_PER_E4 - cost_e8


def _most_usd_e6(
    signal: Signal, situation: Situation, size_e6: int, sold: frozenset[int] = frozenset()
) -> int:
    """What `size_e6` units can cost at most, fees included; sales cost nothing."""
    return sum(
        cost_usd_e6(price_e4, size_e6)
        + fill_fee_bound_usd_e6(
            situation.markets[row].fee_rate_e6, price_e4, size_e6, FILLS_PER_ORDER
        )
        for place, (row, price_e4) in enumerate(_legs(signal))
        if place not in sold
    )


def _free_e6(signal: Signal, situation: Situation, place: int) -> int:
    """What is free of the opposite of a leg."""
    held = situation.held.get(signal.leg_market[place], NOTHING)
    return held.of(opposite(Outcome(signal.leg_outcome[place])))


def sold_legs(
    signal: Signal, situation: Situation, settings: ExecutorSettings, size_e6: int
) -> frozenset[int]:
    """Places of the legs that `size_e6` units sell from inventory."""
    if not settings.inventory or not situation.held:
        return frozenset()
    return frozenset(
        place
        for place, (row, price_e4) in enumerate(_legs(signal))
        if may_sell(
            price_e4,
            size_e6,
            _free_e6(signal, situation, place),
            situation.markets[row].min_size_e6,
        )
    )


def sized(
    signal: Signal, situation: Situation, settings: ExecutorSettings, room: Room
) -> Admitted | Refusal:
    """The most units that signal, grid, limits and cash allow."""
    legs = _legs(signal)
    step = basket_step([price_e4 for _, price_e4 in legs])
    least = max(
        least_shares(price_e4, situation.markets[row].min_size_e6) for row, price_e4 in legs
    )
    offered = signal.size_e6 // SHARE_E6 // step * step
    if offered < least:
        return Refusal.SIZE
    offered = min(offered, room.shares // step * step)
    if offered < least:
        return room.limit
    budget_usd_e6 = min(
        settings.max_basket_usd_e6, situation.free_cash_usd_e6 - settings.cash_reserve_usd_e6
    )
    for shares in _sizes(signal, situation, settings, budget_usd_e6, offered):
        size_e6 = shares // step * step * SHARE_E6
        sold = sold_legs(signal, situation, settings, size_e6)
        most_usd_e6 = _most_usd_e6(signal, situation, size_e6, sold)
        if size_e6 >= least * SHARE_E6 and (most_usd_e6 <= budget_usd_e6 or most_usd_e6 == 0):
            return Admitted(size_e6, most_usd_e6, sold)
    return Refusal.CASH


def _sizes(
    signal: Signal,
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
    frees = {_free_e6(signal, situation, place) // SHARE_E6 for place in range(signal.leg_count)}
    tops = [offered, *(free for free in frees if 0 < free < offered)]
    forms = {sold_legs(signal, situation, settings, top * SHARE_E6) for top in tops}
    tried = set(tops[1:])
    for form in {frozenset[int](), *forms}:
        one_usd_e6 = _most_usd_e6(signal, situation, SHARE_E6, form)
        if one_usd_e6:
            tried.add(min(offered, max(0, budget_usd_e6) // one_usd_e6))
    yield from sorted(tried, reverse=True)


_Check = Callable[[Signal, Situation, ExecutorSettings], bool]


def _stale(signal: Signal, situation: Situation, settings: ExecutorSettings) -> bool:
    return situation.now_ns - signal.created_ns > settings.max_signal_age_ms * 1_000_000


def _misshapen(signal: Signal, situation: Situation, _settings: ExecutorSettings) -> bool:
    """Whether a field has a value that no engine writes."""
    count = signal.leg_count
    if signal.kind not in KINDS or not LEGS_MIN <= count <= MAX_LEGS:
        return True
    if not 0 < signal.size_e6 <= SIZE_E6_MAX or not 0 < signal.payout_e4 <= count * PRICE_ONE_E4:
        return True
    earlier = (signal.frame_ns, signal.parsed_ns, signal.published_ns, signal.seen_ns)
    if signal.created_ns > situation.now_ns or max(earlier) > signal.created_ns:
        return True
    columns = (signal.leg_market, signal.leg_outcome, signal.leg_side, signal.leg_price_e4)
    return any(any(column[count:]) for column in columns)


def _contradictory(signal: Signal, situation: Situation, _settings: ExecutorSettings) -> bool:
    """Whether the legs are not the basket's, or pay something else, or edge and size do not fit.

    Every unit is worth at least its edge at the limit prices, so profit bounds size.
    """
    count = signal.leg_count
    markets = tuple(situation.markets[row] for row in signal.leg_market[:count])
    outcomes, sides = signal.leg_outcome[:count], signal.leg_side[:count]
    keys = (market.key for market in markets)
    if signal.kind in PARTLY_BOUGHT:
        named = set(outcomes) == {Outcome.NO} and all(m.kind != MarketKind.ABOVE for m in markets)
    else:
        named = basket_id(signal.kind, zip(keys, outcomes, sides, strict=True)) == signal.basket
    return (
        not named
        or guaranteed_e4(markets, outcomes) != signal.payout_e4
        or _net_edge_e8(signal, situation) != signal.limit_net_e8
        or signal.limit_net_e8 * signal.size_e6 // E14_PER_USD_E6 > signal.profit_usd_e6
    )


@lru_cache(maxsize=PAYOUTS_REMEMBERED)
def guaranteed_e4(markets: tuple[Market, ...], outcomes: tuple[int, ...]) -> int:
    """What buying one unit of each leg pays at least, ties aside; 0 where that cannot be said.

    Remembered, because the enumeration takes longer than signing. Markets of different rules do not
    settle on one price, and a market twice is one liquidity: neither is a basket.
    """
    rules = {(market.group, market.fingerprint) for market in markets}
    if len(rules) != 1 or len({market.key for market in markets}) != len(markets):
        return 0
    legs = [
        Leg(market, Outcome(outcome), Side.BUY)
        for market, outcome in zip(markets, outcomes, strict=True)
    ]
    return payoff(legs).interval_min_e4


def _unsupported(signal: Signal, _situation: Situation, _settings: ExecutorSettings) -> bool:
    return any(side != Side.BUY for side in signal.leg_side[: signal.leg_count])


def _market(signal: Signal, situation: Situation, _settings: ExecutorSettings) -> bool:
    """Whether a leg's market is no active one without delay, or its price is off its tick."""
    for row, price_e4 in _legs(signal):
        market = situation.markets.get(row)
        if market is None or market.state != MarketState.ACTIVE or market.taker_delay_ms:
            return True
        tick_e4 = situation.ticks_e4.get(row, market.tick_e4)
        if tick_e4 not in TICKS_E4 or price_e4 % tick_e4 or not 0 < price_e4 < PRICE_ONE_E4:
            return True
    return any(
        outcome not in {Outcome.YES, Outcome.NO}
        for outcome in signal.leg_outcome[: signal.leg_count]
    )


def _busy(signal: Signal, situation: Situation, settings: ExecutorSettings) -> bool:
    return (
        situation.open_flights >= settings.max_flights
        or not situation.connection_idle
        or situation.reports_waiting
        or any(row in situation.busy_rows for row, _ in _legs(signal))
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
    (Refusal.UNSUPPORTED, _unsupported),
    (Refusal.MARKET, _market),
    (Refusal.DAMAGED, _contradictory),
    (Refusal.BUSY, _busy),
)
