"""What could be lost, and where: from flights, fills and holdings, each at its worst. Pure.

Until the chain has confirmed every fill of a basket, any of its legs may still turn out not to be
there: all that it cost is at risk, and all that may still be spent on it. Legs that are kept alone
risk what they cost less what they pay in the worst case. A basket that is complete and confirmed
risks nothing: it pays more than it cost, whatever happens. A leg that is sold from inventory risks
what its purchase would: whoever gives YES away at p may miss the dollar that NO would have cost
1 - p of.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from executor.amounts import cost_usd_e6
from executor.flights import (
    FLIGHT_OPEN,
    LEG_UNDECIDED,
    Flight,
    LegOrder,
    leg_orders,
    positions_e6,
    unconfirmed,
    units,
)
from executor.flights import cost_usd_e6 as leg_cost_usd_e6
from executor.ledger import Ledger
from shm.codes import FlightState, LegState, Outcome, Side
from shm.fees import FILLS_PER_ORDER, fill_fee_bound_usd_e6
from shm.inventory import opposite
from shm.layout import Market
from shm.payoff import worst_usd_e6
from shm.units import PRICE_ONE_E4

DAY_MS = 86_400_000
Token = tuple[Market, Outcome]


def day_of(market: Market) -> tuple[bytes, int]:
    """Coin and expiry day: ladders with the same one fall together."""
    return market.coin, market.expiry_ms // DAY_MS


@dataclass(slots=True)
class Exposure:
    """Micro-dollars that could be lost."""

    total_usd_e6: int = 0
    naked_usd_e6: int = 0
    """The part of it that is legs without their basket,"""
    launched_usd_e6: int = 0
    """and what baskets on their way may leave alone: each all of its legs but the cheapest."""
    by_market: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """By the market's key."""
    by_group: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    by_day: dict[tuple[bytes, int], int] = field(default_factory=lambda: defaultdict(int))
    doubts: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """By group: flights with an order that may still fill or not, for all that anyone knows;"""
    astray: int = 0
    """those of them with an order of which nobody knows whether it has arrived."""

    def add(self, market: Market, usd_e6: int) -> None:
        """Count what is at risk on one market."""
        self.total_usd_e6 += usd_e6
        self.by_market[market.key] += usd_e6
        self.by_group[market.group] += usd_e6
        self.by_day[day_of(market)] += usd_e6


def exposure_of(
    flights: Iterable[Flight], ledger: Ledger, tokens: Mapping[str, Token], strangers: set[str]
) -> Exposure:
    """Add up all flights, and the fills of orders that are not ours (`strangers`: order hashes).

    `tokens` says which market and outcome a token is; what is not in it cannot be placed, and was
    never bought by us.
    """
    exposure = Exposure()
    waiting = ledger.unconfirmed_orders
    for flight in flights:
        if flight.parent == 0 and _may_risk(flight, waiting):
            _add_flight(exposure, flight, ledger, tokens, waiting)
    for order_hash in strangers:
        seen = ledger.of_order(order_hash)
        for fill in ledger.fills.values():
            if fill.order == order_hash and fill.counts and fill.token in tokens:
                exposure.add(tokens[fill.token][0], max(0, seen.cost_usd_e6 + seen.fee_usd_e6))
                break
    return exposure


def _may_risk(flight: Flight, waiting: set[str]) -> bool:
    """Whether a flight has to be looked at: most are over and confirmed, and a signal waits."""
    if flight.open or flight.repairs or flight.state is FlightState.PARTIAL:
        return True
    return bool(waiting) and unconfirmed(flight, waiting)


def _add_flight(
    exposure: Exposure,
    flight: Flight,
    ledger: Ledger,
    tokens: Mapping[str, Token],
    waiting: set[str],
) -> None:
    orders = [order for order in flight.all_orders if order.token in tokens]
    in_doubt = any(order.state in LEG_UNDECIDED for order in orders)
    if in_doubt:
        exposure.doubts[flight.group] += 1
        exposure.astray += any(order.state is LegState.DOUBT for order in orders)
    at_risk = 0
    risks = []
    if flight.state in FLIGHT_OPEN or unconfirmed(flight, waiting):
        for leg, order in leg_orders(flight):
            if order.token in tokens:
                market = tokens[order.token][0]
                risk = _order_risk(flight, leg, order, ledger, market)
                exposure.add(market, risk)
                risks.append(risk)
        at_risk = sum(risks)
    elif flight.state is FlightState.PARTIAL:
        at_risk = _kept(flight, ledger, tokens)
        held = positions_e6(flight, ledger)
        kept = [
            leg for leg, size_e6 in zip(flight.legs, held, strict=True)
            if size_e6 > 0 and not is_gone(leg.token, ledger, tokens)
        ]  # fmt: skip
        for leg in kept:
            if leg.token in tokens:
                exposure.add(tokens[leg.token][0], -(-at_risk // len(kept)))
    # What filled beside an order in doubt stands alone for as long as nobody knows of that one.
    alone = in_doubt and any(positions_e6(flight, ledger))
    if alone or flight.state in {FlightState.NAKED, FlightState.PARTIAL}:
        exposure.naked_usd_e6 += at_risk
    elif flight.open:
        exposure.launched_usd_e6 += at_risk - min(risks, default=0)


def _order_risk(
    flight: Flight, leg: LegOrder, order: LegOrder, ledger: Ledger, market: Market
) -> int:
    """What one order of a basket, or of a repair of it, puts at risk: spent, or still to be spent.

    One that takes a leg back puts nothing there.
    """
    if units(leg, order) < 0:
        return 0
    seen = ledger.of_order(order.order_hash)
    spent = max(0, leg_cost_usd_e6(leg, order, seen) + seen.fee_usd_e6)
    if not order.open:
        return spent
    if order.side is Side.BUY:
        its_flight = next(one for one in (flight, *flight.repairs) if order in one.legs)
        return max(spent, flight_share(its_flight, order.size_e6, order.price_e4))
    fee = fill_fee_bound_usd_e6(market.fee_rate_e6, order.price_e4, order.size_e6, FILLS_PER_ORDER)
    return max(spent, cost_usd_e6(PRICE_ONE_E4 - order.price_e4, order.size_e6) + fee)


def flight_share(flight: Flight, size_e6: int, price_e4: int) -> int:
    """What one open purchase of a flight may still cost: its part of what is reserved."""
    bought = [leg for leg in flight.legs if leg.side is Side.BUY]
    total = sum(leg.size_e6 * leg.price_e4 for leg in bought) or 1
    return -(-flight.reserved_usd_e6 * size_e6 * price_e4 // total)


def _kept(flight: Flight, ledger: Ledger, tokens: Mapping[str, Token]) -> int:
    """What legs that stay alone cost, less what they pay at least; nothing once all are gone."""
    if not is_kept(flight, ledger, tokens):
        return 0
    spent = 0
    for leg, order in leg_orders(flight):
        seen = ledger.of_order(order.order_hash)
        spent += leg_cost_usd_e6(leg, order, seen) + seen.fee_usd_e6
    held = positions_e6(flight, ledger)
    known = [
        (*wanted(leg, tokens), size_e6)
        for leg, size_e6 in zip(flight.legs, held, strict=True)
        if leg.token in tokens and size_e6 > 0
    ]
    return max(0, spent - (worst_usd_e6(known) if known else 0))


def wanted(leg: LegOrder, tokens: Mapping[str, Token]) -> Token:
    """Market and outcome that a basket wants of a leg: the opposite of what it sells."""
    market, outcome = tokens[leg.token]
    return market, outcome if leg.side is Side.BUY else opposite(outcome)


def is_gone(token: str, ledger: Ledger, tokens: Mapping[str, Token]) -> bool:
    """Whether nothing is left of a leg: it was paid out.

    That its own token is no longer there does not say so: it may have been sold for another basket,
    which counts as if it had bought the opposite; or it was sold by the leg itself. Only when no
    token of its ladder is held can nothing of it be lost any more.
    """
    if ledger.size_e6(token) > 0:
        return False
    if token not in tokens:
        return True
    market = tokens[token][0]
    return not any(
        one.size_e6 > 0 and name in tokens
        and (tokens[name][0].group, tokens[name][0].fingerprint)
        == (market.group, market.fingerprint)
        for name, one in ledger.holdings.items()
    )  # fmt: skip


def is_kept(flight: Flight, ledger: Ledger, tokens: Mapping[str, Token]) -> bool:
    """Whether a flight's legs, or some of them, are still there."""
    held = positions_e6(flight, ledger)
    return any(
        size_e6 > 0 and not is_gone(leg.token, ledger, tokens)
        for leg, size_e6 in zip(flight.legs, held, strict=True)
    )


def worth_usd_e6(ledger: Ledger, tokens: Mapping[str, Token]) -> int:
    """Cash, and what everything held pays at least, each ladder at its own worst price."""
    ladders: dict[tuple[int, int], list[tuple[Market, Outcome, int]]] = defaultdict(list)
    for token, holding in ledger.holdings.items():
        if holding.size_e6 > 0 and token in tokens:
            market, outcome = tokens[token]
            rule = (market.group, market.fingerprint)
            ladders[rule].append((market, outcome, holding.size_e6))
    return ledger.cash_usd_e6 + sum(map(worst_usd_e6, ladders.values()))
