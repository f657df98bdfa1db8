"""Baskets and orders as rows of shared memory: what people see, and what the executor is told."""

from collections.abc import Sequence

from engine.baskets import Basket
from engine.gate import Candidate
from engine.pricer import Edge
from engine.walk import Order
from shm.codes import Outcome, Verdict
from shm.layout import BASKET_ROW, MAX_LEGS, SIGNAL, BasketRow, Signal
from shm.payoff import Leg

_NO_LEGS = (0,) * MAX_LEGS


def basket_row(basket: Basket, edge: Edge | None, hurdle_e8: int, verdict: Verdict) -> BasketRow:
    """What a basket is worth; generation, version and time are left at zero."""
    if edge is None:
        verdict = Verdict.UNQUOTED
    elif edge.net_e8 < hurdle_e8:
        verdict = Verdict.NO_EDGE
    shown = edge or Edge(0, 0, 0)
    markets, outcomes, sides = leg_columns(basket.legs)
    return BASKET_ROW.blank()._replace(
        basket=basket.id,
        kind=basket.kind,
        group=basket.group,
        leg_count=len(basket.legs),
        verdict=verdict,
        payout_e4=basket.payout_e4,
        tie_payout_e4=basket.proof.tie_min_e4,
        void_payout_e4=basket.proof.void_e4,
        gross_e8=shown.gross_e8,
        net_e8=shown.net_e8,
        hurdle_e8=hurdle_e8,
        size_e6=shown.size_e6,
        leg_market=markets,
        leg_outcome=outcomes,
        leg_side=sides,
    )


def _padded(values: Sequence[int]) -> tuple[int, ...]:
    return (*values, *_NO_LEGS[len(values) :])


def leg_columns(
    legs: Sequence[Leg],
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Rows, outcomes and sides of legs, padded to `MAX_LEGS`."""
    return (
        _padded([leg.market.row for leg in legs]),
        _padded([leg.outcome for leg in legs]),
        _padded([leg.side for leg in legs]),
    )


def signal_row(candidate: Candidate, edge: Edge, order: Order) -> Signal:
    """The message to the executor; payout, number, generation and time stamps are left at zero."""
    basket, legs = candidate.basket, candidate.legs
    markets, outcomes, sides = leg_columns(legs)
    yes_legs = [leg.outcome is Outcome.YES for leg in legs]
    pairs = list(zip(candidate.tops, yes_legs, strict=True))
    return SIGNAL.blank()._replace(
        basket=basket.id,
        kind=basket.kind,
        leg_count=len(legs),
        size_e6=order.size_e6,
        gross_e8=edge.gross_e8,
        net_e8=edge.net_e8,
        limit_net_e8=order.limit_net_e8,
        profit_usd_e6=order.profit_usd_e6,
        leg_market=markets,
        leg_outcome=outcomes,
        leg_side=sides,
        leg_price_e4=_padded(order.limits_e4),
        leg_size_e6=_padded([t.ask_size_e6 if yes else t.bid_size_e6 for t, yes in pairs]),
        leg_version=_padded([top.version for top in candidate.tops]),
    )
