"""Carries out what executor/repairing.py decides: completes, unwinds or keeps what stands alone.

A basket's time to be repaired runs only while it could be: not in a pause of the venue, a halt, or
before the operator arms, not without a feed or a connection, nor as long as the venue does not have
the shares that are to be sold.
"""

import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from executor.chronicle import Chronicle
from executor.dispatch import Dispatcher
from executor.failpoints import reach
from executor.flights import Flight, tally
from executor.launching import Launcher, Wish, repair_of, repair_wishes
from executor.legging import Bounds, Plan
from executor.repairing import Budget, Step, decide, needs_repair
from executor.risk import check_repair, order_limit_usd_e6
from executor.situation import Surroundings
from executor.snapshot import draft
from executor.venue import Venue
from executor.watching import Books
from shm import records
from shm.codes import FlightState
from shm.fabric import Counters
from shm.layout import ExecutorStats
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
        self._hindered_ms = 0
        """When something last forbade every repair,"""
        self._waited_ms: dict[int, int] = {}
        """and the next one of a basket, by its flight: the others' time goes on."""

    def look(self, launcher: Launcher, settings: Settings) -> None:
        """Decide for every basket that stands alone.

        Not after we stood still: what is known is old, and a basket's time begins when it is not.
        """
        if self._around.held_up or self._around.signs.stood_still:
            return
        state = self._chronicle.state
        self._timeout_s = settings.executor.reply_timeout_ms / 1e3
        naked = [flight for flight in state.open_flights if needs_repair(flight, state.ledger)]
        if self._waited_ms:
            alone = {flight.id for flight in naked}
            self._waited_ms = {one: at for one, at in self._waited_ms.items() if one in alone}
        if not naked:
            return
        now_ms = time.time_ns() // 1_000_000
        if self._hindered(0, settings):
            self._hindered_ms = now_ms
            return
        for flight in naked:
            if self._chronicle.blocked:
                return
            if all(leg.token in state.tokens for leg in flight.legs):
                self._mend(flight, launcher, settings, now_ms)

    def _hindered(self, orders: int, settings: Settings) -> bool:
        """Whether something forbids a repair of so many orders at this moment."""
        against = check_repair(self._around.standing(), orders, settings.risk)
        return against is not None or self._venue.idle_connection() is None

    def _mend(self, flight: Flight, launcher: Launcher, settings: Settings, now_ms: int) -> None:
        state = self._chronicle.state
        legs = self._books.standings(
            flight,
            self._around.derived.stock,
            state.tokens,
            inventory=settings.executor.inventory,
            oldest_ns=time.monotonic_ns() - settings.risk.max_quote_age_ms * 1_000_000,
        )
        budget = Budget(
            naked_ms=settings.risk.max_naked_ms,
            since_ms=max(state.mode_since_ms, self._hindered_ms, self._waited_ms.get(flight.id, 0)),
            bounds=self._bounds(flight, settings),
        )
        decision = decide(flight, state.ledger, legs, now_ms=now_ms, budget=budget)
        if decision.step is Step.KEEP:
            self._end(flight, now_ms)
        elif decision.step is Step.AWAIT_CHAIN:
            self._waited_ms[flight.id] = now_ms
        elif decision.step is Step.SEND and decision.plan is not None:
            plan = decision.plan
            if self._hindered(len(plan.orders), settings):
                self._waited_ms[flight.id] = now_ms
            else:
                self._send(flight, plan, repair_wishes(plan, legs), launcher)

    def _bounds(self, flight: Flight, settings: Settings) -> Bounds:
        """What a repair may cost and lose: free cash, and the limits at the last hop."""
        limits, sums = settings.risk, tally(flight, self._chronicle.state.ledger)
        free_usd_e6 = self._around.derived.free_cash_usd_e6
        return Bounds(
            cash_usd_e6=max(0, free_usd_e6 - settings.executor.cash_reserve_usd_e6),
            spent_usd_e6=sums.cost_usd_e6 + sums.fee_usd_e6,
            loss_usd_e6=limits.max_naked_usd_e6,
            order_usd_e6=order_limit_usd_e6(self._around.signs.worth_usd_e6, limits),
            collar_ticks=limits.collar_ticks,
            collar_bps=limits.collar_bps,
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
