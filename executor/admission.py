"""The one decision at the last hop: a signal, everything known, the limits -> admitted or refused.

Pure. The gate (executor/gate.py) asks whether the signal is whole and worth something, risk
(executor/risk.py) whether we may and how much; then it is sized.
"""

from executor import gate, risk
from executor.gate import Admitted, Room, Shape, Situation
from shm.codes import Purpose, Refusal
from shm.layout import Signal
from shm.limits import RiskSettings
from shm.settings import ExecutorSettings


def admit(
    signal: Signal,
    situation: Situation,
    standing: risk.Standing,
    quotes: dict[int, risk.Quote],
    limits: tuple[ExecutorSettings, RiskSettings],
) -> Admitted | Refusal:
    """How many units may be sent and what they can cost, or the first reason against it.

    `quotes`: by row, of the signal's markets.
    """
    settings, risk_limits = limits
    passed = gate.judged(signal, situation, settings)
    if isinstance(passed, Refusal):
        return passed
    wanted = wanted_of(signal, passed.shape, quotes)
    reason = risk.refusal(wanted, standing, risk_limits)
    if reason is not None:
        return reason
    shares, limit = risk.units_allowed(wanted, standing, risk_limits)
    return gate.sized(signal, passed, situation, settings, Room(shares, limit))


def wanted_of(signal: Signal, shape: Shape, quotes: dict[int, risk.Quote]) -> risk.Wanted:
    """A signal that has passed the gate, as risk sees it."""
    markets = shape.markets
    return risk.Wanted(
        Purpose.BASKET,
        signal.basket,
        markets[0].group,
        markets,
        shape.outcomes,
        signal.leg_price_e4[: len(markets)],
        signal.payout_e4,
        signal.limit_net_e8,
        [quotes[market.row] for market in markets],
    )
