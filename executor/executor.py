"""The executor stage: signals in, signed orders out, outcomes and fills back.

The way of one signal: admission decides, the legs are signed, the intent is written down, one
`POST /orders` leaves over a warm connection; the reply is classified order by order, and the fills
of the user channel (or, if it is silent, of REST) end the flight. Nothing is ever sent twice. What
is true stands in the journal; everything here is asked of its fold (executor/state.py).
"""

import asyncio
import os
import threading
import time
import zlib
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from executor.accepting import Accepter
from executor.breaker import note_refusal
from executor.chronicle import Chronicle
from executor.dispatch import Dispatcher
from executor.failpoints import VARIABLE, prepare, reach
from executor.fold import market_of
from executor.forgetting import TOKENS_MS
from executor.governing import Governor
from executor.intake import Intake
from executor.journal import Journal
from executor.launching import ORDER_TYPE, Launcher
from executor.mending import Mender
from executor.onlookers import Onlookers
from executor.preparing import Refill
from executor.proving import Prover
from executor.reconciling import Reconciler, insist
from executor.rehearsing import Rehearsal
from executor.reporting import Reports
from executor.risk import BPS
from executor.second_look import SecondLook
from executor.signing import OrderSigner
from executor.situation import Surroundings
from executor.snapshot import draft, market_row
from executor.starting import log_in, open_ledger, system_of
from executor.taking import Taker
from executor.user import UserChannel
from executor.venue import Unavailable, Venue
from executor.wallet import ensure_paper_key, load
from executor.watching import Books
from executor.wire import ORDER_TYPES
from shm import backend, records
from shm.codes import Cause, StageState
from shm.errors import VenueRefused
from shm.layout import EXECUTOR_STATS, SIGNAL, Market
from shm.limits import RiskSettings
from shm.records import Kind
from shm.settings import ExecutorSettings
from shm.stage import Stage
from shm.units import format_token

HOUSEKEEPING_S = 0.05
WARM_EVERY_S = 0.1
SIGNAL_WAIT_NS = 25_000_000
JOURNAL_FOLDER = "journal"
HOUR_MS = 3_600_000
PEAK_STEPS = 10
"""So much of the drawdown that halts is a new height worth a mark."""


class Executor:
    """See the module."""

    def __init__(self, stage: Stage) -> None:
        settings = stage.settings
        settings.require_supported()
        backend.require_usable(live=settings.mode == "live")
        prepare(os.environ.get(VARIABLE), live=settings.mode == "live")
        self._stage = stage
        fabric = stage.fabric
        if settings.mode == "paper":
            ensure_paper_key(settings.key_path)
        self._signer = OrderSigner(load(settings.key_path, settings.wallet))
        wallet = self._signer.wallet
        self._venue = Venue(settings, wallet)
        self._counters = fabric.counters("stats-executor.counters", EXECUTOR_STATS, write=True)
        self._journal = Journal.open(
            settings.var_path / JOURNAL_FOLDER, bytes.fromhex(wallet.maker[2:]), settings.journal
        )
        self._reports = Reports(fabric, self._counters)
        self._onlookers = Onlookers(stage, self._counters, self._reports)
        self._chronicle = Chronicle(self._journal, self._onlookers.turned)
        self._books = Books(fabric)
        self._around = Surroundings(stage, self._chronicle, self._venue, self._books, self._reports)
        self._governor = Governor(
            self._chronicle, stage.kill, wallet=wallet.maker,
            examine=self._objection if settings.mode == "live" else None,
        )  # fmt: skip
        self._reconciler = Reconciler(self._venue, self._chronicle)
        self._second_look = SecondLook(stage.still, self._around.signs, self._reconciler)
        self._accepter = Accepter(self._chronicle, self._reconciler, stage.kill)
        self._dispatcher = Dispatcher(
            self._chronicle, self._counters, self._around.signs, stage.log.warning,
            look_again=self._around.objection,
        )  # fmt: skip
        self._mender = Mender(
            self._chronicle, self._around, self._books, self._counters,
            venue=self._venue, dispatcher=self._dispatcher, keep=self._keep,
        )  # fmt: skip
        self._signals = fabric.consume("signals", SIGNAL)
        self._tasks: set[asyncio.Future[Any]] = set()
        signing = settings.signing
        prepares = signing.nonces == "prepared"
        self._refill = Refill(wallet.key, signing.pool) if prepares else None
        self._taker = Taker(
            stage, self._around, self._chronicle, self._reports,
            dispatcher=self._dispatcher, venue=self._venue, counters=self._counters,
            keep=self._keep,
        )  # fmt: skip
        self._settling = False
        self._chronicle.on_told = self._told

    def _stopping(self) -> bool:
        return self._stage.stopping

    # --- start, loop, end -----------------------------------------------------------------------

    async def run(self) -> None:
        """Come to a true ledger, then trade until the stage stops."""
        self._watch_signals()
        self._stage.holder.enter(StageState.WAITING)
        while not self._stopping() and not self._around.markets:
            self._adopt_markets()
            await asyncio.sleep(HOUSEKEEPING_S)
        self._stage.holder.enter(StageState.RECOVERING)
        try:
            if await self._open():
                self._stage.holder.enter(StageState.RUNNING)
                while not self._stopping():
                    self._turn()
                    await asyncio.sleep(HOUSEKEEPING_S)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._refill is not None:
                self._refill.stop()
            self._onlookers.show(self._chronicle, self._around, now=True)
            self._chronicle.close()

    async def _open(self) -> bool:
        """See executor/starting.py; False: told to stop."""
        stage, venue = self._stage, self._venue
        if not await log_in(stage, venue, self._stopping):
            return False
        account = venue.account(self._signer, ORDER_TYPES[ORDER_TYPE - 1])
        self._taker.launcher = Launcher(account, self._journal.journal_id)
        self._intake = Intake(self._chronicle, self._counters, venue.api_key)
        assert venue.credentials is not None
        url = stage.settings.venues.user_ws_url
        self._channel = UserChannel(
            url, venue.credentials, self._intake.take_one, self._counters.add
        )
        self._channel_seen = 0
        self._keep(self._channel.run())
        self._keep(self._keep_warm())
        self._prover = Prover(venue, self._chronicle, self._intake.take, stage.log.warning)
        await insist("cancel all", venue.cancel_all, self._stopping)
        reach("cancelled")
        if self._stopping():
            return False
        state = self._chronicle.state
        halt = state.halt
        # Before any fill counts: what ends by one that an earlier process did not see is reported.
        if state.system != system_of(stage):
            self._onlookers.earlier(state.open_flights)
        self._onlookers.begin(state)
        if not await open_ledger(stage, venue, self._journal, self._chronicle, self._intake):
            return False
        self._counters.add("recoveries")
        self._around.ready = True
        self._second_look.begin()
        self._say_what_was_found()
        true = await self._governor.reconcile(Cause.START, self._until_true)
        venue.on_refused = self._refused  # from here on it halts, and does not end
        if true:
            self._around.signs.strangers_known = frozenset(self._chronicle.state.strangers)
            self._governor.resume(halt)
        return not self._stopping()

    def _say_what_was_found(self) -> None:
        state = self._chronicle.state
        self._stage.log.info(
            "wallet %s, cash $%.2f, %d positions, %d baskets to resolve, run %d, record %d",
            self._signer.wallet.maker, state.ledger.cash_usd_e6 / 1e6, len(state.ledger.held),
            len(state.open_flights), state.run, self._chronicle.seq,
        )  # fmt: skip

    async def _objection(self) -> str:
        """What `polytrio doctor` finds that forbids real money; "" if there is nothing."""
        from executor import doctor as asked  # noqa: PLC0415  # memory that only real money is worth
        from executor.examination import objection  # noqa: PLC0415

        listed = asked.listed_in(self._around.markets.values())
        doctor = asked.Doctor(self._stage.settings, self._signer.wallet, None, listed)
        return objection(await doctor.examine())

    async def _until_true(self) -> str | None:
        """While it starts: the loop does not turn yet, so that this has to.

        Nothing is armed before the venue has told its time: nobody knows how far off ours is.
        """
        if await insist("clock", self._venue.clock, self._stopping) is None:
            return None
        limits = self._taker.limits[1]
        found = await self._reconciler.until_true(limits, self._stopping, self._turn)
        if isinstance(found, Unavailable):
            raise VenueRefused(found.reason)
        return found

    def _refused(self, refusal: Unavailable) -> None:
        """The venue does not let us read, and has said so twice."""
        note_refusal(self._around.signs, refusal.cause, refusal.reason)

    async def _until_true_again(self) -> str | Unavailable | None:
        """While the loop turns."""
        return await self._reconciler.until_true(
            self._taker.limits[1], self._stopping, lambda: None
        )

    async def _keep_warm(self) -> None:
        """An order must not wait for a connection to be made."""
        said = None
        while True:
            trouble = await self._venue.warm()
            if trouble != said:
                said = trouble
                self._stage.log.warning("order connections: %s", trouble or "all open again")
            await asyncio.sleep(WARM_EVERY_S)

    def _turn(self) -> None:
        """What has to be looked at twenty times a second."""
        around, settings = self._around, self._stage.settings
        self._take_settings()
        self._adopt_markets()
        self._reports.flush()
        self._chronicle.require_disk()
        around.note_trouble()
        self._chronicle.flush()
        self._chronicle.rotate_when_full()
        around.signs.clock_offset_ms = self._venue.clock_offset_ms
        around.channel_up = self._channel.up
        stood_still = self._second_look.look()
        if stood_still:
            self._stage.log.warning("%s: all connections anew", stood_still)
            self._venue.renew()
            self._channel.renew()
        around.signs.difference = around.signs.difference or self._reconciler.difference
        around.look(taking=self._governor.taking)
        self._governor.look(around.signs, around.derived.exposure, settings.risk)
        self._mark()
        if self._channel.connections != self._channel_seen and self._channel.up:
            self._channel_seen = self._channel.connections
            self._prover.missed = True
        for task in (self._prover.look(settings.executor), self._reconciler.look(settings.risk)):
            if task is not None:
                self._tasks.add(task)
        if self._taker.launcher is not None:
            self._mender.look(self._taker.launcher, settings)
        if self._governor.asked:
            self._keep(self._governor.obey(self._until_true_again, around.signs))
        if self._accepter.asked:
            self._keep(self._accepter.obey(settings.risk, self._stopping))
        if self._refill is not None:
            self._counters.set("nonces_missing", self._refill.missing)
        self._onlookers.show(self._chronicle, around)
        self._require()

    def _mark(self) -> None:
        """The worth of everything: each hour, at the start of a day, after a halt, at a new height.

        A height that is too little for a mark only this process remembers. A mark of another day
        than it is would make the loss of this one forgotten.
        """
        state, signs = self._chronicle.state, self._around.signs
        last_ms = state.marks[-1].at_ms if state.marks else 0
        due = signs.now_ms // HOUR_MS != last_ms // HOUR_MS or not state.peak_usd_e6
        limits = self._taker.limits[1]
        step_bps = max(1, limits.max_drawdown_bps // PEAK_STEPS)
        rise_usd_e6 = signs.worth_usd_e6 - state.peak_usd_e6
        due = due or rise_usd_e6 * BPS > state.peak_usd_e6 * step_bps
        due = due and self._venue.clock_agrees(limits.clock_block_ms)
        if due and signs.worth_usd_e6 and state.run and not self._chronicle.blocked:
            self._chronicle.say(Kind.MARK, records.Mark(signs.now_ms, signs.worth_usd_e6))

    def _take_settings(self) -> None:
        before = self._taker.limits
        settings = self._stage.take_settings()
        if settings is None:
            return
        after = self._taker.limits = (settings.executor, settings.risk)
        self._around.limit_tempo(settings.risk)
        if before != after:
            row = records.Limits(_crc(before), _crc(after), b"settings")
            self._chronicle.say(Kind.LIMITS, row)

    def _require(self) -> None:
        """A task that ended with an error ends the stage."""
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()

    def _adopt_markets(self) -> None:
        """Take over a new generation, and remember for ever what its tokens are."""
        rows = self._around.adopt()
        if rows is None:
            return
        tokens = self._chronicle.state.tokens
        over_ms = time.time_ns() // 1_000_000 - TOKENS_MS  # of those nothing is remembered
        news = [
            market for market in self._around.markets.values()
            if market.expiry_ms > over_ms and _is_new(market, tokens)
        ]  # fmt: skip
        self._chronicle.tell([draft(Kind.MARKET, market_row(market)) for market in news])
        self._onlookers.know(rows)
        self._stage.holder.adopt(self._around.generation)

    def _told(self) -> None:
        """The journal has grown: what follows from it is worked out before a signal asks for it."""
        if not self._settling:
            self._settling = True
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        self._settling = False
        self._around.bring_up_to_date()

    # --- signals --------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        """Bring signals into the event loop: by polling on a core of our own, else by a thread."""
        loop = asyncio.get_running_loop()
        if self._stage.dedicated_core:
            self._rehearsal = Rehearsal()
            loop.call_soon(self._poll)
            return
        thread = threading.Thread(
            target=self._wait_for_signals, args=(loop.call_soon_threadsafe,), daemon=True
        )
        thread.start()

    def _poll(self) -> None:
        self._rehearsal.turn(time.monotonic_ns())
        while (signal := self._signals.pop()) is not None:
            self._taker.take(signal, time.monotonic_ns())
        if not self._stopping():
            asyncio.get_running_loop().call_soon(self._poll)

    def _wait_for_signals(self, hand_over: Callable[..., object]) -> None:
        """The signals ring has this one reader; it sleeps without holding the interpreter."""
        while not self._stopping():
            # Not a turn of spinning: the core is wanted by the loop that takes the last signal.
            if self._signals.wait(0, SIGNAL_WAIT_NS):
                signal = self._signals.pop()
                if signal is not None:
                    hand_over(self._taker.take, signal, time.monotonic_ns())

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        return task


def _is_new(market: Market, tokens: dict[str, Any]) -> bool:
    """Whether a market, or a fact of it that matters to a fill, is not in the journal yet."""
    known = tokens.get(format_token(market.yes_token))
    return known is None or known[0] != market_of(market_row(market))


def _crc(limits: tuple[ExecutorSettings, RiskSettings]) -> int:
    return zlib.crc32(msgspec.json.encode(limits))


async def work(stage: Stage) -> None:
    """The stage's coroutine."""
    await Executor(stage).run()
