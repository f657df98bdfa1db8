"""The executor stage: signals in, signed orders out, outcomes and fills back.

The way of one signal: the gate decides, the legs are signed, the flight is written down, one
`POST /orders` leaves over a warm connection, the reply is classified leg by leg, and the fills of
the user channel (or, if it is silent, of REST) end the flight. Nothing is ever sent twice.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from hashlib import sha256

from executor import gate, recovery
from executor.amounts import limit_amounts
from executor.batch import Batch, make_batch
from executor.bookkeeping import Bookkeeper
from executor.flights import Flight, LegOrder
from executor.http import HttpConnection
from executor.replies import LegOutcome, classify
from executor.signing import OrderSigner
from executor.user import UserChannel
from executor.venue import Unavailable, Venue
from executor.wallet import ensure_paper_key, load
from executor.wire import OrderType
from shm.codes import (
    BasketKind,
    Exchange,
    FlightState,
    LegReason,
    LegState,
    MarketState,
    Outcome,
    Refusal,
    Role,
    Side,
    StageState,
)
from shm.layout import BOOK, EXECUTOR_STATS, FLIGHT, SIGNAL, Market, Signal
from shm.markets import MarketsReader
from shm.stage import SPINS, Stage

HOUSEKEEPING_S = 0.05
WARM_EVERY_S = 0.1
SIGNAL_WAIT_NS = 25_000_000
ORDER_TYPE: OrderType = "FOK"
SALT_BYTES = 6
TRADES_MARGIN_S = 60
"""REST is asked for trades since this long before the oldest open flight."""

_TICK_AT = slice(BOOK.offset_of["tick_e4"], BOOK.offset_of["tick_e4"] + 4)

_COUNTER_OF = {
    LegState.FILLED: "orders_accepted",
    LegState.LANDED: "orders_accepted",
    LegState.KILLED: "orders_killed",
    LegState.REFUSED: "orders_refused",
    LegState.DOUBT: "orders_doubt",
}


class Executor:
    """See the module."""

    def __init__(self, stage: Stage) -> None:
        settings = stage.settings
        settings.require_supported()
        self._stage = stage
        self._settings = settings.executor
        fabric = stage.fabric
        ensure_paper_key(settings.key_path)
        self._signer = OrderSigner(load(settings.key_path, settings.wallet))
        self._venue = Venue(settings, self._signer.wallet)
        self._counters = fabric.counters("stats-executor.counters", EXECUTOR_STATS, write=True)
        self._books = Bookkeeper(stage, self._counters)
        self._signals = fabric.consume("signals", SIGNAL)
        self._flight_rows = fabric.read_table("flights", FLIGHT)
        self._tops = fabric.read_table("books", BOOK)
        self._markets_table = MarketsReader(fabric)
        self._markets: dict[int, Market] = {}
        self._generation = 0
        self._last_signal = 0
        self._batch: Batch | None = None
        self._channel: UserChannel | None = None
        self._channel_seen = 0
        self._refreshed_ns = 0
        self._refreshing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._signal_to_seen = fabric.histogram(Role.EXECUTOR, 0, "signal_to_seen")
        self._seen_to_signed = fabric.histogram(Role.EXECUTOR, 1, "seen_to_signed")
        self._signed_to_post = fabric.histogram(Role.EXECUTOR, 2, "signed_to_post")
        self._signal_to_post = fabric.histogram(Role.EXECUTOR, 3, "signal_to_post")
        self._frame_to_post = fabric.histogram(Role.EXECUTOR, 4, "frame_to_post")
        self._post_to_reply = fabric.histogram(Role.EXECUTOR, 5, "post_to_reply")

    def _stopping(self) -> bool:
        return self._stage.stopping

    # --- start, loop, end -----------------------------------------------------------------------

    async def run(self) -> None:
        """Recover, then trade until the stage stops."""
        self._watch_signals()
        self._stage.holder.enter(StageState.WAITING)
        while not self._stopping() and not self._markets:
            self._adopt_markets()
            await asyncio.sleep(HOUSEKEEPING_S)
        channel_task = await self._recover()
        if channel_task is None:
            return
        self._keep(self._keep_warm())
        self._stage.holder.enter(StageState.RUNNING)
        try:
            while not self._stopping():
                self._adopt_markets()
                self._books.flush_reports()
                self._look_after_flights()
                self._require(channel_task)
                await asyncio.sleep(HOUSEKEEPING_S)
        finally:
            for task in (channel_task, *self._tasks):
                task.cancel()

    async def _keep_warm(self) -> None:
        """An order must not wait for a connection to be made."""
        said = None
        while True:
            trouble = await self._venue.warm()
            if trouble != said:
                said = trouble
                self._stage.log.warning("order connections: %s", trouble or "all open again")
            await asyncio.sleep(WARM_EVERY_S)

    async def _recover(self) -> asyncio.Task[None] | None:
        """Come to a true ledger; None if told to stop before."""
        stage, venue = self._stage, self._venue
        stage.holder.enter(StageState.RECOVERING)
        await recovery.insist("log in", venue.log_in, self._stopping)
        if venue.credentials is None:
            return None
        self._batch = make_batch(venue.account(self._signer, ORDER_TYPE))
        wallet = bytes.fromhex(self._signer.wallet.maker[2:])
        self._books.know_account(venue.api_key, wallet)
        url = stage.settings.venues.user_ws_url
        self._channel = UserChannel(
            url, venue.credentials, self._books.take_trade, self._counters.add
        )
        channel_task = asyncio.ensure_future(self._channel.run())
        await recovery.insist("cancel all", venue.cancel_all, self._stopping)
        ledger = await recovery.insist(
            "rebuild", lambda: recovery.rebuild(venue, self._books.fills_of), self._stopping
        )
        if ledger is None:
            channel_task.cancel()
            return None
        flights = recovery.open_flights(self._flight_rows)
        # A signal may have been read and died with its reader: numbers up to here are history.
        self._last_signal = max(self._last_signal, recovery.last_signal(self._flight_rows))
        self._books.start(ledger, flights, next_place=self._free_place())
        self._counters.add("recoveries")
        stage.log.info(
            "wallet %s, cash $%.2f, %d positions, %d baskets to resolve",
            self._signer.wallet.maker,
            ledger.cash_usd_e6 / 1e6,
            sum(holding.size_e6 != 0 for holding in ledger.holdings.values()),
            len(flights),
        )
        return channel_task

    def _free_place(self) -> int:
        """The row after the newest flight, so that the table keeps a history."""
        rows = [(self._flight_rows.read(i), i) for i in range(self._flight_rows.count)]
        newest = max(((row.signal, i) for row, i in rows if row and row.signal), default=(0, -1))
        return newest[1] + 1

    def _require(self, channel_task: "asyncio.Task[None]") -> None:
        """A task never ends by itself: if one did, its error ends the stage."""
        if channel_task.done():
            channel_task.result()
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()

    def _adopt_markets(self) -> None:
        if not self._markets_table.changed():
            return
        generation, markets = self._markets_table.read()
        self._markets = {m.row: m for m in markets if m.state == MarketState.ACTIVE}
        self._generation = generation
        self._books.learn(markets)
        self._stage.holder.adopt(generation)

    # --- signals --------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        """Bring signals into the event loop: by polling on a core of our own, else by a thread."""
        loop = asyncio.get_running_loop()
        if self._stage.dedicated_core:
            loop.call_soon(self._poll)
            return
        thread = threading.Thread(
            target=self._wait_for_signals, args=(loop.call_soon_threadsafe,), daemon=True
        )
        thread.start()

    def _poll(self) -> None:
        while (signal := self._signals.pop()) is not None:
            self._take(signal, time.monotonic_ns())
        if not self._stopping():
            asyncio.get_running_loop().call_soon(self._poll)

    def _wait_for_signals(self, hand_over: Callable[..., object]) -> None:
        """The signals ring has this one reader; it sleeps without holding the interpreter."""
        while not self._stopping():
            if self._signals.wait(SPINS, SIGNAL_WAIT_NS):
                signal = self._signals.pop()
                if signal is not None:
                    hand_over(self._take, signal, time.monotonic_ns())

    def _take(self, signal: Signal, seen_ns: int) -> None:
        self._counters.add("signals_seen")
        self._signal_to_seen.add(max(0, seen_ns - signal.created_ns))
        admitted = gate.admit(signal, self._situation(signal), self._settings)
        self._last_signal = max(self._last_signal, signal.signal)
        if isinstance(admitted, Refusal):
            self._books.refuse(signal, admitted)
            return
        connection = self._venue.idle_connection()
        assert connection is not None, "the gate looked a moment ago"
        self._launch(signal, admitted, connection, seen_ns)

    def _situation(self, signal: Signal) -> gate.Situation:
        rows = signal.leg_market[: signal.leg_count]
        ticks_e4 = {row: self._tick_e4(row) for row in rows if row < self._tops.count}
        return gate.Situation(
            now_ns=time.monotonic_ns(),
            trading=self._stage.switches.trading,
            armed=self._books.ledger is not None and self._channel is not None and self._channel.up,
            generation=self._generation,
            last_signal=self._last_signal,
            open_flights=len(self._books.open),
            busy_rows=self._books.busy_rows,
            connection_idle=self._venue.idle_connection() is not None,
            reports_waiting=self._books.reports_waiting,
            free_cash_usd_e6=self._books.free_cash_usd_e6,
            markets=self._markets,
            ticks_e4={row: tick_e4 for row, tick_e4 in ticks_e4.items() if tick_e4},
        )

    def _tick_e4(self, row: int) -> int:
        """Tick of a market as its book shows it now; 0 if it shows none. The rest is not read."""
        book = self._tops.latch.read(row)
        return 0 if book is None else int.from_bytes(book[_TICK_AT], "little")

    # --- orders ---------------------------------------------------------------------------------

    def _launch(
        self, signal: Signal, admitted: gate.Admitted, connection: HttpConnection, seen_ns: int
    ) -> None:
        assert self._batch is not None
        timestamp_ms = time.time_ns() // 1_000_000
        self._batch.start(timestamp_ms)
        hashes = [
            self._add_order(self._batch, signal, leg, admitted.size_e6, timestamp_ms)
            for leg in range(signal.leg_count)
        ]
        request = self._batch.finish(timestamp_ms // 1000)
        signed_ns = time.monotonic_ns()
        flight = self._flight(signal, admitted, hashes, timestamp_ms)
        self._books.record(flight)
        sent_ns = connection.begin(request)
        assert sent_ns is not None, "the connection was idle"
        self._seen_to_signed.add(signed_ns - seen_ns)
        self._signed_to_post.add(sent_ns - signed_ns)
        self._signal_to_post.add(sent_ns - signal.created_ns)
        self._frame_to_post.add(sent_ns - signal.frame_ns)
        flight.sent_ns = sent_ns
        for leg in flight.legs:
            leg.move(LegState.SENT)
        flight.move(FlightState.SENT)
        self._books.show(flight)
        self._books.sent(signal)
        self._counters.add("posts")
        self._counters.add("baskets_sent")
        self._counters.add("orders_sent", len(hashes))
        self._keep(self._await_reply(flight, connection))

    def _add_order(
        self, batch: Batch, signal: Signal, leg: int, size_e6: int, timestamp_ms: int
    ) -> bytes:
        """Add one leg to the batch; its order hash."""
        market = self._markets[signal.leg_market[leg]]
        side = Side(signal.leg_side[leg])
        wants_yes = signal.leg_outcome[leg] == Outcome.YES
        token = market.yes_token if wants_yes else market.no_token
        amounts = limit_amounts(side, signal.leg_price_e4[leg], size_e6, market.tick_e4)
        # A function of what is ordered: the same intent can only make the same order.
        identity = b"%d|%d|%d" % (signal.signal, leg, timestamp_ms)
        salt = int.from_bytes(sha256(identity).digest()[:SALT_BYTES], "big")
        return batch.add(Exchange(market.exchange), side, token, amounts, salt)

    def _flight(
        self,
        signal: Signal,
        admitted: gate.Admitted,
        hashes: list[bytes],
        created_ms: int,
    ) -> Flight:
        return Flight(
            place=self._books.place(),
            signal=signal.signal,
            basket=signal.basket,
            kind=BasketKind(signal.kind),
            payout_e4=signal.payout_e4,
            size_e6=admitted.size_e6,
            reserved_usd_e6=admitted.reserve_usd_e6,
            created_ms=created_ms,
            legs=[
                LegOrder(
                    row=signal.leg_market[leg],
                    outcome=Outcome(signal.leg_outcome[leg]),
                    side=Side(signal.leg_side[leg]),
                    price_e4=signal.leg_price_e4[leg],
                    order_hash="0x" + order_hash.hex(),
                )
                for leg, order_hash in enumerate(hashes)
            ],
        )

    async def _await_reply(self, flight: Flight, connection: HttpConnection) -> None:
        answer = await connection.finish(self._settings.reply_timeout_ms / 1e3)
        self._post_to_reply.add(time.monotonic_ns() - flight.sent_ns)
        outcomes = classify(answer, [leg.order_hash for leg in flight.legs])
        for leg, outcome in zip(flight.legs, outcomes, strict=True):
            leg.move(outcome.state, outcome.reason)
            self._counters.add(_COUNTER_OF[outcome.state])
        self._explain(outcomes)
        self._books.settle(flight)

    def _explain(self, outcomes: list[LegOutcome]) -> None:
        """Say what the venue said, unless it is the daily bread of killed orders."""
        texts = {o.text for o in outcomes if o.text and o.reason is not LegReason.KILLED}
        if texts:
            self._counters.add("post_errors")
            self._stage.log.warning("the venue says: %s", "; ".join(sorted(texts)))

    # --- proof ----------------------------------------------------------------------------------

    def _look_after_flights(self) -> None:
        """Ask REST for what the user channel did not show, or may have missed while it was down."""
        assert self._channel is not None
        if self._refreshing is not None and not self._refreshing.done():
            return
        now_ns = time.monotonic_ns()
        wait_ns = self._settings.fill_wait_ms * 1_000_000
        missed = self._channel.connections != self._channel_seen and self._channel.up
        late = self._books.overdue(now_ns, wait_ns)
        if missed or (late and now_ns - self._refreshed_ns > wait_ns):
            self._channel_seen = self._channel.connections
            self._refreshing = self._keep(self._refresh())

    async def _refresh(self) -> None:
        """Fold the venue's own trades; what they lack after the settle window is not there."""
        began_ns = time.monotonic_ns()
        oldest_ms = min((f.created_ms for f in self._books.open.values()), default=None)
        after_s = 0 if oldest_ms is None else oldest_ms // 1000 - TRADES_MARGIN_S
        trades = await self._venue.trades(after_s)
        self._refreshed_ns = time.monotonic_ns()
        if isinstance(trades, Unavailable):
            self._stage.log.warning("trades: %s", trades.reason)
            return
        for trade in trades:
            self._books.take_trade(trade)
        settle_ns = self._settings.doubt_settle_ms * 1_000_000
        self._books.give_up_doubts(self._books.overdue(began_ns, settle_ns))

    def _keep(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        return task


async def work(stage: Stage) -> None:
    """The stage's coroutine."""
    await Executor(stage).run()
