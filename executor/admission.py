"""The one decision at the last hop: a signal, everything known, the limits -> admitted or refused.

Pure. The gate (executor/gate.py) asks whether the signal is whole and worth something, risk
(executor/risk.py) whether we may and how much; then it is sized.
"""

from executor import gate, risk
from executor.gate import Admitted, Room, Situation
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
    reason = gate.refusal(signal, situation, settings)
    if reason is not None:
        return reason
    wanted = wanted_of(signal, situation, quotes)
    reason = risk.refusal(wanted, standing, risk_limits)
    if reason is not None:
        return reason
    shares, limit = risk.units_allowed(wanted, standing, risk_limits)
    return gate.sized(signal, situation, settings, Room(shares, limit))


def wanted_of(signal: Signal, situation: Situation, quotes: dict[int, risk.Quote]) -> risk.Wanted:
    """A signal that has passed the gate, as risk sees it."""
    count = signal.leg_count
    rows = signal.leg_market[:count]
    markets = [situation.markets[row] for row in rows]
    return risk.Wanted(
        purpose=Purpose.BASKET,
        basket=signal.basket,
        group=markets[0].group,
        markets=markets,
        outcomes=signal.leg_outcome[:count],
        prices_e4=signal.leg_price_e4[:count],
        payout_e4=signal.payout_e4,
        limit_net_e8=signal.limit_net_e8,
        quotes=[quotes[row] for row in rows],
    )
