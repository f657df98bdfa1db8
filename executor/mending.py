"""Carries out what executor/repairing.py decides: completes, unwinds or keeps what stands alone."""

import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from executor.chronicle import Chronicle
from executor.dispatch import Dispatcher
from executor.failpoints import reach
from executor.flights import Flight, tally
from executor.launching import Launcher, Wish, repair_of, repair_wishes
from executor.legging import Plan
from executor.repairing import Budget, Step, decide, needs_repair
from executor.risk import check_repair
from executor.situation import Surroundings
from executor.snapshot import draft
from executor.stock import stock_of
from executor.venue import Venue
from executor.watching import Books
from shm import records
from shm.codes import FlightState
from shm.fabric import Counters
from shm.layout import MAX_LEGS, ExecutorStats
from shm.records import Kind
from shm.settings import Settings

Keep = Callable[[Coroutine[Any, Any, None]], object]
_log = logging.getLogger("executor.mending")


class Mender:
    """See the module. `look` is called every turn."""

    def __init__(
        self,
        chronicle: Chronicle,
        around: Surroundings,
        books: Books,
        counters: Counters[ExecutorStats],
        *,
        venue: Venue,
        dispatcher: Dispatcher,
        keep: Keep,
    ) -> None:
        self._chronicle = chronicle
        self._around = around
        self._books = books
        self._counters = counters
        self._venue = venue
        self._dispatcher = dispatcher
        self._keep = keep
        self._timeout_s = 0.0

    def look(self, launcher: Launcher, settings: Settings) -> None:
        """Decide for every basket that stands alone.

        Not after we stood still: what is known is old, and a basket's time begins when it is not.
        """
        if self._around.held_up or self._around.signs.stood_still:
            return
        state = self._chronicle.state
        self._timeout_s = settings.executor.reply_timeout_ms / 1e3
        for flight in state.open_flights:
            if self._chronicle.blocked or not needs_repair(flight, state.ledger):
                continue
            if any(leg.token not in state.tokens for leg in flight.legs):
                continue
            now_ms = time.time_ns() // 1_000_000
            stock = stock_of(state.open_flights, state.ledger)
            oldest_ns = time.monotonic_ns() - settings.risk.max_quote_age_ms * 1_000_000
            legs = self._books.standings(
                flight,
                stock,
                state.tokens,
                inventory=settings.executor.inventory,
                oldest_ns=oldest_ns,
            )
            decision = decide(
                flight, state.ledger, legs, now_ms=now_ms, budget=self._budget(settings)
            )
            if decision.step is Step.KEEP:
                self._end(flight, now_ms)
            elif decision.step is Step.SEND and decision.plan is not None:
                self._send(flight, decision.plan, repair_wishes(decision.plan, legs), launcher)

    def _budget(self, settings: Settings) -> Budget:
        state = self._chronicle.state
        standing = self._around.standing()
        free_usd_e6 = self._around.derived.free_cash_usd_e6
        may_send = (
            check_repair(standing, MAX_LEGS, settings.risk) is None
            and self._venue.idle_connection() is not None
        )
        return Budget(
            naked_ms=settings.risk.max_naked_ms,
            since_ms=state.mode_since_ms,
            cost_usd_e6=max(0, free_usd_e6 - settings.executor.cash_reserve_usd_e6),
            may_send=may_send,
        )

    def _send(self, flight: Flight, plan: Plan, wishes: Sequence[Wish], launcher: Launcher) -> None:
        connection = self._venue.idle_connection()
        assert connection is not None, "the budget looked a moment ago"
        basket = repair_of(flight, plan, time.time_ns() // 1_000_000)
        ready = launcher.build(self._chronicle.next_flight, basket, wishes)
        reach("repair-unsent")
        sent = self._dispatcher.send(ready, connection)
        reach("repair-sent")
        if sent is None:
            return
        self._around.bucket.take(time.monotonic_ns(), len(wishes))
        self._counters.add("repairs_sent")
        _log.info("%s of basket %d: %d orders", plan.choice.name, flight.signal, len(wishes))
        self._keep(self._dispatcher.answer(sent, connection, self._timeout_s))

    def _end(self, flight: Flight, now_ms: int) -> None:
        """Keep what there is to the end: its proof says what it pays at least."""
        sums = tally(flight, self._chronicle.state.ledger)
        row = records.Ended(
            at_ms=now_ms,
            cost_usd_e6=sums.cost_usd_e6,
            fee_usd_e6=sums.fee_usd_e6,
            payout_usd_e6=0,
            profit_usd_e6=0,
            state=FlightState.PARTIAL,
            reason=flight.reason,
        )
        self._counters.add("repairs_held")
        reach("ended-unwritten")
        self._chronicle.tell([draft(Kind.ENDED, row, flight.id)])
        reach("ended-written")
