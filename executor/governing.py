"""Who changes the mode: the circuit breaker, the kill switch, the operator's word. Each is told.

Falling is immediate. Back to ARMED by itself goes only what is a pause; a halt waits for the
operator's word, and that is taken only after the ledger has been found true again.
"""

import logging
import time
from collections.abc import Awaitable, Callable

from executor import breaker
from executor.breaker import Signs
from executor.chronicle import Chronicle
from executor.exposure import Exposure
from executor.failpoints import reach
from executor.modes import PASSING, Demand, check_step, worst
from executor.snapshot import draft
from executor.venue import REFUSALS, Unavailable
from shm import arming, records
from shm.arming import ArmRequest
from shm.codes import Cause, Mode
from shm.kill import Kill, being_armed, pressed
from shm.limits import RiskSettings
from shm.payloads import clip
from shm.records import Kind

ACTOR_BYTES, TEXT_BYTES = 32, 96
_log = logging.getLogger("executor.governing")
Reconcile = Callable[[], Awaitable[str | Unavailable | None]]
"""Comes to a true ledger: "", or the difference that stands, or the venue's refusal of us, or None
if told to stop."""
Examine = Callable[[], Awaitable[str]]
"""Whether wallet and venue fit together: "", or what forbids real money."""


class Governor:
    """See the module."""

    def __init__(
        self, chronicle: Chronicle, kill: Kill, *, wallet: str, examine: Examine | None
    ) -> None:
        self._chronicle = chronicle
        self._kill = kill
        self._live = examine is not None
        """Real money is not armed unexamined."""
        self._examine = examine
        self._wallet = wallet
        self.taking = False
        """The operator's word is being carried out: the kill that it ends still stands."""

    @property
    def mode(self) -> Mode:
        """The present mode."""
        return self._chronicle.state.mode

    def step(self, demand: Demand, actor: str = "", nonce: int = 0) -> None:
        """Go to a mode, and write it down before anything else happens in it."""
        before = self.mode
        if not self._chronicle.blocked:  # a defect must not get into the journal, and stay there
            check_step(before, demand.mode, demand.cause)
        row = records.ModeChange(
            nonce & 0xFFFF_FFFF_FFFF_FFFF, demand.mode, demand.cause,
            clip(actor, ACTOR_BYTES), clip(demand.text, TEXT_BYTES),
        )  # fmt: skip
        durable = demand.mode in {Mode.HALTED, Mode.ARMED}
        reach(f"{demand.mode.name.lower()}-unwritten")
        self._chronicle.tell([draft(Kind.MODE, row)], durable=durable)
        reach(demand.mode.name.lower())
        level = logging.WARNING if demand.mode > Mode.ARMED else logging.INFO
        text = f": {demand.text}" if demand.text else ""
        _log.log(level, "%s -> %s (%s)%s", before.name, demand.mode.name, demand.cause.name, text)

    def look(self, signs: Signs, exposure: Exposure, limits: RiskSettings) -> None:
        """Follow the deepest demand; leave a pause that nothing asks for any more."""
        if self._chronicle.blocked or self.mode in {Mode.BOOT, Mode.RECONCILING}:
            return  # nothing is sent anyway, and what is known is not all
        asked = breaker.demands(self._chronicle.state, exposure, signs, limits)
        deepest = worst(self.mode, asked)
        if deepest is not None:
            self.step(deepest)
        elif self.mode in PASSING and not breaker.still_asked(self.mode, asked):
            self.step(Demand(Mode.ARMED, Cause.CALM))
            lesser = worst(self.mode, asked)
            if lesser is not None:  # a shorter pause was inside the longer one
                self.step(lesser)

    # --- the way up ------------------------------------------------------------------------------

    async def reconcile(self, cause: Cause, reconcile: Reconcile) -> bool:
        """RECONCILING, then DISARMED if all agrees; False: told to stop, or halted."""
        self.step(Demand(Mode.RECONCILING, cause))
        found = await reconcile()
        if found is None:
            return False
        if isinstance(found, Unavailable):
            self.step(Demand(Mode.HALTED, found.cause, found.reason))
            return False
        if found:
            self.step(Demand(Mode.HALTED, Cause.DIFFERENCE, found))
            return False
        self.step(Demand(Mode.DISARMED, Cause.CLEAN))
        return True

    def resume(self, halt: Cause) -> None:
        """After a clean start: what halted an earlier process still halts; paper arms itself."""
        if self._kill.look():
            self.step(Demand(Mode.HALTED, Cause.KILL, "everything was stopped"))
        elif halt:
            text = "halted before this process started; `polytrio arm` ends it"
            self.step(Demand(Mode.HALTED, halt, text))
        elif not self._live:
            self.step(Demand(Mode.ARMED, Cause.OPERATOR, "paper arms itself"), "paper")

    @property
    def asked(self) -> bool:
        """Whether the operator's word may wait, and nobody carries one out."""
        return not self.taking and being_armed(self._kill.var_path)

    async def obey(self, reconcile: Reconcile, signs: Signs) -> None:
        """The operator's word, if one waits: carried out, one at a time."""
        request = None if self.taking else arming.arm_requested(self._kill.var_path)
        if request is None:
            return
        self.taking = True
        try:
            await self._take_word(request, reconcile, signs)
        finally:
            self.taking = False

    async def _take_word(self, request: ArmRequest, reconcile: Reconcile, signs: Signs) -> None:
        """Check it, come to a true ledger, arm."""
        if self._chronicle.blocked or self.mode in {Mode.BOOT, Mode.RECONCILING}:
            return
        reason = self._objection(request)
        if not reason and self._examine is not None:
            reason = await self._examine()
        reason = reason or self._unwritten()
        if reason:
            arming.refuse(self._kill.var_path, request.nonce, reason)
            return
        if self.mode is Mode.HALTED:
            self._forgive(signs)
            if not await self.reconcile(Cause.OPERATOR, reconcile):
                arming.refuse(self._kill.var_path, request.nonce, self._not_true())
                return
        reason = self._unwritten() or self._halted_again()
        if reason:
            arming.refuse(self._kill.var_path, request.nonce, reason)
            return
        failed = await arming.clear(self._kill, request)
        reason = self._unwritten() or self._halted_again()
        if failed:
            _log.warning("not armed: %s", failed)
        elif reason:
            arming.refuse(self._kill.var_path, request.nonce, reason)
        else:
            text = "the operator's word"
            self.step(Demand(Mode.ARMED, Cause.OPERATOR, text), request.actor, request.nonce)

    def _not_true(self) -> str:
        refused = dict(REFUSALS.values()).get(self._chronicle.state.cause)
        if refused:
            return f"the venue refuses us: {refused}"
        return (
            "the ledger and the venue do not agree: `polytrio accept` shows what differs, and can "
            "accept it"
        )

    def _unwritten(self) -> str:
        """Why nobody knows which mode it is in: a change of it may wait to be written."""
        return "the journal cannot be written now: ask again" if self._chronicle.blocked else ""

    def _halted_again(self) -> str:
        if self.mode is Mode.DISARMED:
            return ""
        return f"it halted again ({self._chronicle.state.cause.name}): see `polytrio status`"

    def _objection(self, request: ArmRequest) -> str:
        if self.mode not in {Mode.HALTED, Mode.DISARMED}:
            return f"it is {self.mode.name} already"
        now_ms = time.time_ns() // 1_000_000
        kill = pressed(self._kill.var_path)
        return arming.refusal(request, kill, wallet=self._wallet, live=self._live, now_ms=now_ms)

    def _forgive(self, signs: Signs) -> None:
        """What the operator has seen does not halt again by itself; it does if it happens again."""
        signs.unauthorized = signs.banned = signs.identity = ""
        signs.short_of_cash = signs.short_again = signs.stood_still = ""
        signs.difference = signs.journal_trouble = ""
        signs.strangers_known = frozenset(self._chronicle.state.strangers)
