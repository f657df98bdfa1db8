"""The way of one signal: decided, signed, written, sent. What can wait until it has left, waits."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from executor import admission
from executor.chronicle import Chronicle
from executor.dispatch import Dispatcher
from executor.gate import Admitted, Situation
from executor.http import HttpConnection
from executor.launching import Launcher, Ready, made_ready
from executor.reporting import Reports
from executor.situation import Surroundings
from executor.venue import Venue
from shm.codes import Refusal, Role
from shm.fabric import Counters
from shm.layout import ExecutorStats, Signal
from shm.limits import RiskSettings
from shm.settings import ExecutorSettings
from shm.stage import Stage

Keep = Callable[[Coroutine[Any, Any, None]], object]


class Taker:
    """See the module. Takes nothing before it is given a launcher: unarmed until then."""

    def __init__(
        self,
        stage: Stage,
        around: Surroundings,
        chronicle: Chronicle,
        reports: Reports,
        *,
        dispatcher: Dispatcher,
        venue: Venue,
        counters: Counters[ExecutorStats],
        keep: Keep,
    ) -> None:
        self._stage = stage
        self._around = around
        self._chronicle = chronicle
        self._reports = reports
        self._dispatcher = dispatcher
        self._venue = venue
        self._counters = counters
        self._keep = keep
        self.launcher: Launcher | None = None
        self.limits: tuple[ExecutorSettings, RiskSettings] = (
            stage.settings.executor, stage.settings.risk,
        )  # fmt: skip
        """As they were taken over last."""
        fabric = stage.fabric
        self._signal_to_seen = fabric.histogram(Role.EXECUTOR, 0, "signal_to_seen")
        self._seen_to_signed = fabric.histogram(Role.EXECUTOR, 1, "seen_to_signed")
        self._signed_to_post = fabric.histogram(Role.EXECUTOR, 2, "signed_to_post")
        self._signal_to_post = fabric.histogram(Role.EXECUTOR, 3, "signal_to_post")
        self._frame_to_post = fabric.histogram(Role.EXECUTOR, 4, "frame_to_post")
        self._post_to_reply = fabric.histogram(Role.EXECUTOR, 5, "post_to_reply")

    def take(self, signal: Signal, seen_ns: int) -> None:
        """Send a signal's orders, or say why not."""
        around = self._around
        around.note_edge(signal.basket, around.signs.now_ms)
        quotes = around.quotes(signal)
        situation = around.situation(quotes)
        market = around.markets.get(signal.leg_market[0])
        rows = signal.leg_market[: signal.leg_count]
        standing = around.standing(market.group if market else 0, signal.basket, rows)
        admitted: Admitted | Refusal = Refusal.OFF
        if self._stage.sending:
            admitted = admission.admit(signal, situation, standing, quotes, self.limits)
        around.seen_signal = max(around.seen_signal, signal.signal)
        if isinstance(admitted, Refusal):
            self._reports.refused(signal, admitted)
            if admitted is Refusal.TOO_GOOD and market:
                around.quarantine(market.group, self.limits[1].quarantine_ms)
        else:
            self._launch(signal, admitted, situation, seen_ns)
        self._counters.add("signals_seen")
        self._signal_to_seen.add(max(0, seen_ns - signal.created_ns))

    def _launch(
        self, signal: Signal, admitted: Admitted, situation: Situation, seen_ns: int
    ) -> None:
        connection = self._venue.idle_connection()
        assert connection is not None, "the gate looked a moment ago"
        assert self.launcher is not None, "unarmed until there is one"
        ready = made_ready(
            self.launcher, self._chronicle.next_flight, signal, admitted, situation,
            now_ms=time.time_ns() // 1_000_000,
        )  # fmt: skip
        if self._send(signal, ready, connection, (seen_ns, time.monotonic_ns())):
            self._counters.add("legs_sold", len(admitted.sold))

    def _send(
        self, signal: Signal, ready: Ready, connection: HttpConnection, at_ns: tuple[int, int]
    ) -> bool:
        """Write, send, and wait for the answer beside everything else; False: nothing was sent.

        `at_ns`: seen, signed.
        """
        around, (seen_ns, signed_ns) = self._around, at_ns
        flight = self._dispatcher.send(ready, connection, signal.created_ns)
        self._seen_to_signed.add(signed_ns - seen_ns)
        if flight is None:
            self._reports.refused(signal, self._dispatcher.why_not)
            return False
        self._signed_to_post.add(flight.sent_ns - signed_ns)
        self._signal_to_post.add(flight.sent_ns - signal.created_ns)
        self._frame_to_post.add(flight.sent_ns - signal.frame_ns)
        around.bucket.take(flight.sent_ns, len(ready.intents))
        around.forget_edge(signal.basket)
        self._counters.add("baskets_sent")
        self._reports.sent(signal)
        timeout_s = self.limits[0].reply_timeout_ms / 1e3
        self._keep(self._dispatcher.answer(flight, connection, timeout_s, self._post_to_reply))
        return True
