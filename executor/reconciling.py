"""Comes to a true ledger at start, and keeps comparing it with the venue's while it runs.

A comparison counts only if nothing of ours moved while it was read. A difference counts only if it
is there twice while nothing is on its way and the chain has confirmed everything, or has had its
time: what is on its way explains itself soon. A payout counts only if two readings of the chain
explain it in the same way: the shares may be gone a moment before their money is there, and the
venue remembers balances. Until then such a comparison says nothing.

Nothing is written while our clock is not known to agree with the venue's (`risk.clock_block_ms`):
by the time of a comparison it is decided what may be forgotten, and by ours which market is over.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from executor.chronicle import Chronicle
from executor.comparing import Comparison, Paid, Theirs, Tolerance, compare
from executor.failpoints import reach
from executor.repairing import needs_repair
from executor.snapshot import draft, word
from executor.venue import Unavailable, Venue
from shm import records
from shm.errors import VenueRefused
from shm.limits import RiskSettings
from shm.records import Kind

RETRY_S = 0.5
COMPARE_EVERY_S = 5.0
POSITIONS_EVERY_S = 60.0
CLOCK_EVERY_S = 10.0
AGAIN_S = 2.0
"""Between the two readings that have to show the same difference."""
READS_MAX = 40
_log = logging.getLogger("executor.reconciling")
AnswerT = TypeVar("AnswerT")


async def insist(
    what: str, ask: Callable[[], Awaitable[AnswerT | Unavailable]], stopping: Callable[[], bool]
) -> AnswerT | None:
    """Ask until there is an answer; each new trouble is said once. None: told to stop.

    Only a start insists, with nothing armed yet: `VenueRefused` if the venue will not have us.
    """
    said = ""
    while not stopping():
        answer = await ask()
        if not isinstance(answer, Unavailable):
            return answer
        if answer.cause:
            raise VenueRefused(answer.reason)
        if answer.reason != said:
            said = answer.reason
            _log.warning("%s: %s; asking again every %.1f s", what, said, RETRY_S)
        await asyncio.sleep(RETRY_S)
    return None


class Reconciler:
    """See the module."""

    def __init__(self, venue: Venue, chronicle: Chronicle) -> None:
        self._venue = venue
        self._chronicle = chronicle
        self._compared_s = 0.0
        self._positions_s = 0.0
        self._clock_s = 0.0
        self._running: asyncio.Future[None] | None = None
        self.difference = ""
        """What nobody could explain, in words; empty if all is well."""
        self._doubts = 0
        self.trusted = True
        """Nothing has made us doubt since a comparison that agreed began: see `doubt`."""
        self._payout: tuple[Paid, ...] = ()
        """What the last comparison was explained by, as long as that is not believed,"""
        self._payout_s: float | None = None
        """and when the chain had first been read with that result; None: it has not been."""

    def quiet(self, limits: RiskSettings) -> bool:
        """Whether nothing is on its way.

        A trade that is stuck on chain explains nothing, nor do legs that stand alone and wait for
        their repair: else one of them would hide every difference, and a start would wait for ever.
        """
        state = self._chronicle.state
        moving = [one for one in state.open_flights if not needs_repair(one, state.ledger)]
        moving_ms = time.time_ns() // 1_000_000 - limits.max_unsettled_s * 1_000
        unconfirmed = state.ledger.unconfirmed.values()
        return not moving and not any(fill.at_ms >= moving_ms for fill in unconfirmed)

    def doubt(self) -> None:
        """Something makes us doubt what we know: compare as soon as possible, all of it."""
        self._doubts += 1
        self.trusted = False
        self._clock_s = 0.0  # the clock, too, and first

    @property
    def _in_doubt(self) -> bool:
        """Whether the chain itself has to say what there is."""
        return not self.trusted or bool(self._payout)

    @property
    def _hurries(self) -> bool:
        """Whether that waits for us, and not for a person."""
        return not self.trusted or (bool(self._payout) and not self.difference)

    def look(self, limits: RiskSettings) -> "asyncio.Future[None] | None":
        """Begin what is due; its task, if it has just begun."""
        if self._running is not None and not self._running.done():
            return None
        now_s = time.monotonic()
        if now_s - self._clock_s > CLOCK_EVERY_S:
            self._clock_s = now_s
            self._running = asyncio.ensure_future(self._ask_clock())
        elif now_s - self._compared_s > (RETRY_S if self._hurries else COMPARE_EVERY_S):
            self._compared_s = now_s
            self._running = asyncio.ensure_future(self._compare_all(limits))
        else:
            return None
        return self._running

    async def _ask_clock(self) -> None:
        await self._venue.clock()

    async def _compare_all(self, limits: RiskSettings) -> None:
        now_s = time.monotonic()
        doubts = self._doubts
        positions = (
            not self.trusted or now_s - self._positions_s > POSITIONS_EVERY_S or self._ended()
        )
        before = self._chronicle.version
        found = await self.compare(limits, positions=positions)
        if not isinstance(found, Comparison) or found.clean:
            if isinstance(found, Comparison):
                self.difference = ""
                self.trusted = self.trusted or self._doubts == doubts
                self._positions_s = now_s if positions else self._positions_s
            return
        if not self.quiet(limits) or self._chronicle.version != before:
            return
        await asyncio.sleep(AGAIN_S)
        again = await self.compare(limits, positions=True, anew=True)
        if isinstance(again, Comparison) and not again.clean and self.quiet(limits):
            self.difference = in_words(again)

    def _ended(self) -> bool:
        """Whether we have something of a market that is over."""
        now_ms = time.time_ns() // 1_000_000
        state = self._chronicle.state
        return any(
            holding.size_e6 > 0 and token in state.tokens
            and state.tokens[token][0].expiry_ms <= now_ms
            for token, holding in state.ledger.holdings.items()
        )  # fmt: skip

    async def compare(
        self, limits: RiskSettings, *, positions: bool, anew: bool = False
    ) -> Comparison | Unavailable | None:
        """One comparison, written down; None: it says nothing.

        The venue gave no answer, something moved, or a payout is not to be believed yet. `anew`:
        see `_ask`. `Unavailable`: the venue refuses us.
        """
        if self._chronicle.blocked:  # what was found, a payout for instance, may wait to be written
            return None
        state = self._chronicle.state
        held = state.ledger.held if positions else []
        moved, began_s = _stamp(self._chronicle), time.monotonic()
        anew = anew or self._in_doubt
        theirs = await self._ask(held, anew=anew)
        if isinstance(theirs, Unavailable):
            return theirs if theirs.cause else None
        if theirs is None or self._chronicle.blocked or _stamp(self._chronicle) != moved:
            return None
        tolerance = Tolerance(limits.tolerance_usd_e6, limits.tolerance_size_e6)
        now_ms = time.time_ns() // 1_000_000
        found = compare(state.ledger, theirs, state.tokens, tolerance, now_ms)
        agrees = self._venue.clock_agrees(limits.clock_block_ms)
        if not self._believed(found.paid, began_s if anew else None) or (found.paid and not agrees):
            return None  # by a clock that is wrong it is not known whether its market is over
        if found.clean and agrees:
            self._write(found, theirs, len(held))
        return found

    def _believed(self, paid: tuple[Paid, ...], began_s: float | None) -> bool:
        """Whether a payout, if there is one, was read before, `AGAIN_S` ago, and both times anew.

        `began_s`: when the chain began to be read; None: the venue may have told from memory.
        """
        if paid != self._payout:
            self._payout, self._payout_s = paid, None
        if not paid:
            return True
        if began_s is None:
            return False
        if self._payout_s is None:
            self._payout_s = time.monotonic()
            return False
        return began_s - self._payout_s >= AGAIN_S

    async def _ask(self, tokens: Iterable[str], *, anew: bool) -> Theirs | Unavailable | None:
        """Cash and positions between two equal readings of cash; None: the two were not equal.

        `anew`: the venue reads the chain. It answers, and refuses orders, by balances that it
        remembers.
        """
        before = await self._venue.cash_usd_e6(anew=anew)
        if isinstance(before, Unavailable):
            return before
        positions_e6: dict[str, int] = {}
        for token in tokens:
            size_e6 = await self._venue.position_e6(token, anew=anew)
            if isinstance(size_e6, Unavailable):
                return size_e6
            positions_e6[token] = size_e6
        after = await self._venue.cash_usd_e6(anew=anew and bool(positions_e6))
        if isinstance(after, Unavailable):
            return after
        return Theirs(before, positions_e6) if before == after else None

    def _write(self, found: Comparison, theirs: Theirs, asked: int) -> None:
        state = self._chronicle.state
        paid = [
            draft(Kind.REDEEMED, records.Redeemed(one.size_e6, one.paid_usd_e6, word(one.token)))
            for one in found.paid
        ]
        ours = state.ledger.cash_usd_e6 + sum(one.paid_usd_e6 for one in found.paid)
        row = records.Compared(ours, theirs.cash_usd_e6, 0, asked, len(found.positions))
        if paid or asked:  # that cash agrees every few seconds need not be remembered
            reach("compared-unwritten")
            self._chronicle.tell([*paid, draft(Kind.COMPARED, row)])

    async def until_true(
        self, limits: RiskSettings, stopping: Callable[[], bool], turn: Callable[[], None]
    ) -> str | Unavailable | None:
        """Compare until all agrees ("") or a difference stands (in words). None: told to stop.

        `Unavailable`: the venue refuses us. `turn` is called in between: fills and proofs have to
        go on arriving.
        """
        self.difference = ""  # it is judged anew here
        found = await self.standing(limits, stopping, turn)
        if not isinstance(found, Comparison):
            return found
        return "" if found.clean else in_words(found)

    async def standing(
        self, limits: RiskSettings, stopping: Callable[[], bool], turn: Callable[[], None]
    ) -> Comparison | Unavailable | None:
        """The first comparison that is clean, or the same twice; see `until_true`."""
        last: Comparison | None = None
        while not stopping():
            turn()
            found = await self.compare(limits, positions=True, anew=last is not None)
            if isinstance(found, Unavailable) or (found is not None and found.clean):
                return found
            if found is not None and self.quiet(limits):
                if found == last:
                    return found
                last = found
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(RETRY_S)
        return None


def _stamp(chronicle: Chronicle) -> tuple[int, int]:
    ledger = chronicle.state.ledger
    return ledger.cash_usd_e6, len(ledger.fills)


def in_words(found: Comparison) -> str:
    """A difference for people."""
    parts = []
    if found.cash_usd_e6:
        more = "more" if found.cash_usd_e6 > 0 else "less"
        parts.append(f"the venue has ${abs(found.cash_usd_e6) / 1e6:.6f} {more} than the journal")
    if found.positions:
        tokens = ", ".join(token[:12] + "…" for token in found.positions[:3])
        parts.append(f"positions differ in {len(found.positions)} tokens ({tokens})")
    return "; ".join(parts)
