"""What the engine is told of its signals: refused, sent, how each basket ended. Never dropped.

A full ring keeps reports here, in order, and stops new baskets meanwhile.
"""

import time
from collections import deque
from collections.abc import Sequence

from executor.flights import Flight, Tally
from shm.codes import FlightState, PartialReason, Refusal, ReportKind
from shm.fabric import Counters, Fabric
from shm.layout import MAX_LEGS, REPORT, ExecutorStats, Report, Signal

_NO_LEGS = (0,) * MAX_LEGS
KIND_OF_END = {
    FlightState.COMPLETE: ReportKind.COMPLETE,
    FlightState.PARTIAL: ReportKind.PARTIAL,
    FlightState.UNWOUND: ReportKind.PARTIAL,
    FlightState.NAKED: ReportKind.PARTIAL,
    FlightState.MISSED: ReportKind.MISSED,
}
"""For the engine a basket that is being repaired is over: its markets are the executor's now."""


class Reports:
    """See the module."""

    def __init__(self, fabric: Fabric, counters: Counters[ExecutorStats]) -> None:
        self._ring = fabric.produce("reports", REPORT)
        self._counters = counters
        self._unreported: deque[Report] = deque()

    @property
    def waiting(self) -> bool:
        """Whether the engine does not keep up."""
        return bool(self._unreported)

    def refused(self, signal: Signal, refusal: Refusal) -> None:
        """Count a refused signal and tell the engine why."""
        self._counters.add(f"refused_{refusal.name.lower()}")
        self._push(_about(signal, ReportKind.REFUSED, refusal))

    def sent(self, signal: Signal) -> None:
        """Tell the engine that orders went out."""
        self._push(_about(signal, ReportKind.SENT, PartialReason.NONE))

    def ended(self, flight: Flight, sums: Tally) -> None:
        """Tell the engine how a basket ended."""
        now_ns = time.monotonic_ns()
        self._push(
            Report(
                signal=flight.signal,
                basket=flight.basket,
                kind=KIND_OF_END[flight.state],
                reason=flight.reason,
                leg_count=len(flight.legs),
                legs_filled=sums.legs_filled,
                size_e6=flight.size_e6,
                cost_usd_e6=sums.cost_usd_e6,
                fee_usd_e6=sums.fee_usd_e6,
                profit_usd_e6=sums.locked_profit_usd_e6,
                reported_ns=now_ns,
                latency_ns=max(0, now_ns - flight.sent_ns) if flight.sent_ns else 0,
                leg_market=column([leg.row for leg in flight.legs]),
                leg_state=column([leg.state for leg in flight.legs]),
                leg_reason=column([leg.reason for leg in flight.legs]),
            )
        )

    def flush(self) -> None:
        """Push what waits, as far as the ring has room."""
        while self._unreported and self._ring.try_push(self._unreported[0]):
            self._unreported.popleft()
        if self._unreported:
            self._counters.add("reports_waited")

    def _push(self, report: Report) -> None:
        self._unreported.append(report)
        self.flush()


def column(values: Sequence[int]) -> tuple[int, ...]:
    """One value a leg, padded to the record's width."""
    return (*values, *_NO_LEGS[len(values) :])


def _about(signal: Signal, kind: ReportKind, reason: int) -> Report:
    now_ns = time.monotonic_ns()
    return Report(
        signal=signal.signal,
        basket=signal.basket,
        kind=kind,
        reason=reason,
        leg_count=signal.leg_count,
        legs_filled=0,
        size_e6=signal.size_e6,
        cost_usd_e6=0,
        fee_usd_e6=0,
        profit_usd_e6=0,
        reported_ns=now_ns,
        latency_ns=max(0, now_ns - signal.created_ns),
        leg_market=signal.leg_market,
        leg_state=_NO_LEGS,
        leg_reason=_NO_LEGS,
    )
