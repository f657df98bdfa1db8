"""`python -m executor.killer`: sets the latch that stops all trading, and cancels whatever rests.

A process of its own, so that it works when the executor hangs, is dead or has never been up: it
needs the var directory, the control segment and two connections, and knows neither wallet nor
journal. Its credentials cancel and read; they cannot place an order.

    request (shm/kill.py)  ->  latch, at once and without network
                           ->  cancel-all, again and again until the venue has acknowledged it
                           ->  again after 5, 30 and 120 s, for orders that arrive late

Starting is the same: whatever request stands is carried out. When the executor stands still, or
dies with orders under way, the killer cancels without setting the latch: the executor that comes
back decides the rest.
"""

import asyncio
import time

from executor.cancelling import CancelLine, Done, NotDone
from executor.credentials import Handed
from executor.http import parse_origin
from executor.latch import Latch, News
from shm.codes import Role, StageState
from shm.errors import LiveRefused
from shm.layout import KILLER_STATS
from shm.roles import RoleTable
from shm.secrecy import harden
from shm.settings import Settings
from shm.stage import Stage, main

LOOK_S = 0.01
SWEEPS_S = (5.0, 30.0, 120.0)
STAND_STILL_NS = 1_000_000_000
"""An executor whose heartbeat is older has its orders cancelled."""
BEAT_EVERY_S = 4.0
FIRST_TIMEOUT_S, LONGEST_TIMEOUT_S = 0.75, 6.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 2.0
_AT_WORK = (StageState.RECOVERING, StageState.RUNNING)


class Killer:
    """See the module."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._log = stage.log
        self._var = stage.settings.var_path
        self._latch = Latch(stage.fabric, stage.kill)
        self._counters = stage.fabric.counters("stats-killer.counters", KILLER_STATS, write=True)
        self._roles = RoleTable(stage.fabric.segment("control", writable=False))
        self._line = CancelLine(parse_origin(stage.settings.venues.clob_url))
        self._handed = Handed(self._var)
        self._due: list[float] = []
        """When to cancel (monotonic), soonest first."""
        self._urgent = False
        """What is due does not wait for a cancel that is still under way."""
        self._cancelling: list[asyncio.Task[None]] = []
        self._beating: list[asyncio.Task[None]] = []
        self._beat_s = 0.0
        self._stood_still = 0
        """Epoch of the executor whose standing still has been answered."""
        self._said = ""

    async def run(self) -> None:
        """Look for requests until the stage stops."""
        warmth = asyncio.ensure_future(self._line.keep_warm())
        try:
            while not self._stage.stopping:
                self._look()
                self._require(warmth)
                await asyncio.sleep(LOOK_S)
        finally:
            for task in (warmth, *self._cancelling, *self._beating):
                task.cancel()
            self._line.close()

    def _require(self, warmth: "asyncio.Task[None]") -> None:
        """An error in a task is a defect, and ends the stage."""
        for task in (warmth, *self._cancelling, *self._beating):
            if task.done():
                task.result()
        self._cancelling = [task for task in self._cancelling if not task.done()]
        self._beating = [task for task in self._beating if not task.done()]

    def _look(self) -> None:
        """One turn: requests first, since they must not wait for anything else."""
        news = self._latch.look()
        if news is News.KILLED:
            self._counters.add("requests_seen")
            seen_s = time.monotonic()
            self._due = [seen_s, *(seen_s + after_s for after_s in SWEEPS_S)]
            self._urgent = True
        elif news is News.ARMED:
            self._due = []
        if self._handed.look():
            self._counters.add("credentials_read")
            self._line.forget()
        self._watch_executor()
        self._start_what_is_due()

    # --- the executor -----------------------------------------------------------------------------

    def _executor_age_ns(self) -> int | None:
        """Age of its heartbeat while it may have orders under way; None otherwise."""
        row = self._roles.row(Role.EXECUTOR)
        if row.state not in _AT_WORK:
            return None
        return max(0, time.monotonic_ns() - row.heartbeat_ns)

    def _watch_executor(self) -> None:
        age_ns = self._executor_age_ns()
        epoch = self._roles.epoch(Role.EXECUTOR)
        if age_ns is None or age_ns <= STAND_STILL_NS:
            self._stood_still = 0
        elif epoch != self._stood_still:
            self._stood_still = epoch
            self._counters.add("stand_stills")
            self._log.warning("the executor stands still: cancelling what may rest")
            self._due.insert(0, time.monotonic())
            self._urgent = True
        self._beat(age_ns)

    def _beat(self, age_ns: int | None) -> None:
        """The venue cancels by itself what these credentials have, when it hears no more of us."""
        if not self._stage.settings.killer.venue_heartbeat or self._handed.signer is None:
            return
        now_s = time.monotonic()
        alive = age_ns is not None and age_ns < STAND_STILL_NS
        if self._beating or not alive or self._latch.row().latched:
            return
        if now_s - self._beat_s >= BEAT_EVERY_S:
            self._beat_s = now_s
            self._beating = [asyncio.ensure_future(self._send_beat())]

    async def _send_beat(self) -> None:
        assert self._handed.signer is not None
        self._counters.add("beats_sent")
        trouble = await self._line.beat(self._handed.signer)
        if trouble:
            self._say(f"heartbeat: {trouble}")
        else:
            self._counters.add("beats_accepted")

    # --- cancelling -------------------------------------------------------------------------------

    def _start_what_is_due(self) -> None:
        if not self._due or self._due[0] > time.monotonic():
            return
        if len(self._cancelling) >= (2 if self._urgent else 1):
            return
        if self._handed.signer is None:
            self._say(f"cannot cancel: {self._handed.trouble}")
            return
        self._due.pop(0)
        self._urgent = False
        self._cancelling.append(asyncio.ensure_future(self._cancel()))

    async def _cancel(self) -> None:
        """Ask until the venue says that nothing rests any more."""
        timeout_s, wait_s = FIRST_TIMEOUT_S, FIRST_WAIT_S
        sweep = self._latch.row().cancel_done_ns != 0
        while True:
            assert self._handed.signer is not None
            asked = self._latch.row()
            if not asked.cancel_sent_ns:
                self._latch.stamp("cancel_sent_ns")
            self._counters.add("cancels_sent")
            outcome = await self._line.cancel_all(self._handed.signer, timeout_s)
            if isinstance(outcome, Done):
                break
            self._failed(outcome)
            await asyncio.sleep(outcome.retry_after_s or wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            timeout_s = min(2 * timeout_s, LONGEST_TIMEOUT_S)
        self._counters.add("cancels_done")
        self._counters.add("sweeps", int(sweep))
        self._latch.count("cancels")
        now = self._latch.row()
        if asked.latched and asked.nonce == now.nonce and not now.cancel_done_ns:
            self._latch.stamp("cancel_done_ns")
        self._say(f"cancelled: {outcome.cancelled} orders rested")

    def _failed(self, outcome: NotDone) -> None:
        self._latch.count("cancels_failed")
        self._counters.add("cancels_declined" if outcome.answered else "cancels_unanswered")
        self._say(f"not cancelled: {outcome.reason}")

    def _say(self, text: str) -> None:
        """Once: a venue that is down would otherwise fill the disk."""
        if text != self._said:
            self._said = text
            self._log.warning("%s", text)


def require_own_machine(settings: Settings) -> None:
    """Simulated money never reaches a real exchange, not even to cancel."""
    origin = parse_origin(settings.venues.clob_url)
    if settings.mode == "paper" and not origin.loopback:
        raise LiveRefused(
            f'mode = "paper" trades on this machine only, and venues.clob_url names {origin.host}'
        )


async def work(stage: Stage) -> None:
    """The stage's coroutine."""
    require_own_machine(stage.settings)
    killer = Killer(stage)
    stage.holder.enter(StageState.RUNNING)
    await killer.run()


def _body(stage: Stage) -> None:
    stage.run_async(work)


if __name__ == "__main__":
    harden()
    main(Role.KILLER, _body)
