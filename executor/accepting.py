"""Takes a difference over that the operator accepts: a deposit, a withdrawal, shares moved by hand.

Only while nothing is sent (HALTED or DISARMED), only what is found at that moment, twice, while
nothing is on its way; written down with who said so and why. Arming is another word.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from executor.chronicle import Chronicle
from executor.comparing import Comparison
from executor.failpoints import reach
from executor.reconciling import Reconciler
from executor.snapshot import draft
from executor.snapshot import word as token_word
from executor.venue import Unavailable
from shm import accepting, records
from shm.accepting import Answer, Figures, Word, in_words
from shm.codes import Mode
from shm.journal_record import GROUP_MAX, Draft
from shm.kill import Kill
from shm.limits import RiskSettings
from shm.payloads import clip
from shm.records import Kind

PATIENCE_S = 20.0
PATIENCE_A_TOKEN_S = 1.0
"""More for each token that is held: five comparisons read it (one from the venue's memory, four
from the chain, which takes two requests), and a request takes a tenth of a second or so."""
ACTOR_BYTES, TEXT_BYTES = 32, 96
_CASH = bytes(32)
_log = logging.getLogger("executor.accepting")


class Accepter:
    """See the module."""

    def __init__(self, chronicle: Chronicle, reconciler: Reconciler, kill: Kill) -> None:
        self._chronicle = chronicle
        self._reconciler = reconciler
        self._var_path = kill.var_path
        self._busy = False

    @property
    def asked(self) -> bool:
        """Whether a word waits, and nobody answers one."""
        return not self._busy and accepting.waiting(self._var_path)

    async def obey(self, limits: RiskSettings, stopping: Callable[[], bool]) -> None:
        """Answer the word that waits, one at a time."""
        word = None if self._busy else accepting.word_of(self._var_path)
        if word is None:
            return
        self._busy = True
        try:
            answer = await self._answer_to(word, limits, stopping)
        finally:
            self._busy = False
        if answer is not None:
            accepting.answer(self._var_path, answer)
            _log.info("accept: %s", answer.refused or ("done" if answer.accepted else "told"))

    async def _answer_to(
        self, word: Word, limits: RiskSettings, stopping: Callable[[], bool]
    ) -> Answer | None:
        """None: too early to say, the word waits on."""
        mode = self._chronicle.state.mode
        if mode in {Mode.BOOT, Mode.RECONCILING} or self._chronicle.blocked:
            return None
        reason = accepting.objection(word, time.time_ns() // 1_000_000) or self._refusal()
        if reason:
            return Answer(word.id, refused=reason)
        patience_s = self._patience_s()
        accepting.announce(self._var_path, word, patience_s)
        found = await self._found(limits, stopping, patience_s)
        if isinstance(found, Unavailable):
            return Answer(word.id, refused=found.reason)
        if found is None:
            reason = "something is still on its way, or the venue does not answer: ask again"
            return Answer(word.id, refused=reason)
        figures = figures_of(found)
        if word.figures is None:
            return Answer(word.id, figures)
        reason = self._refusal() or judged(word.figures, figures)
        if reason:
            return Answer(word.id, figures, refused=reason)
        self._write(word, found)
        return Answer(word.id, figures, accepted=True)

    def _refusal(self) -> str:
        mode = self._chronicle.state.mode
        if self._chronicle.blocked:
            return "the journal cannot be written now"
        if mode in {Mode.HALTED, Mode.DISARMED}:
            return ""
        if mode in {Mode.BOOT, Mode.RECONCILING}:
            return "everything is just being compared: ask again"
        return f"it is {mode.name}, and what may be on its way differs: `polytrio kill` first"

    def _patience_s(self) -> float:
        """How long an operator waits: everything that is held has to be read."""
        held = self._chronicle.state.ledger.held
        return PATIENCE_S + len(held) * PATIENCE_A_TOKEN_S

    async def _found(
        self, limits: RiskSettings, stopping: Callable[[], bool], patience_s: float
    ) -> Comparison | Unavailable | None:
        """What stands; None if nothing does within that time."""
        try:
            async with asyncio.timeout(patience_s):
                return await self._reconciler.standing(limits, stopping, lambda: None)
        except TimeoutError:
            return None

    def _write(self, word: Word, found: Comparison) -> None:
        """All of it in one group: a reader finds everything, or nothing."""
        reach("adopted-unwritten")
        self._chronicle.tell(drafts_of(word, found), durable=True)
        reach("adopted")
        self._reconciler.difference = ""
        _log.warning("%s accepted %s", word.actor, in_words(figures_of(found)))


def figures_of(found: Comparison) -> Figures:
    """What a comparison could not explain."""
    shares_e6 = dict(zip(found.positions, found.sizes_e6, strict=True))
    return Figures(found.cash_usd_e6, shares_e6)


def judged(said: Figures, found: Figures) -> str:
    """Why figures are not accepted; empty if they are what was found."""
    if not found:
        return "nothing differs: there is nothing to accept"
    if said != found:
        return f"what differs now is {in_words(found)}, and not {in_words(said)}"
    if len(found.shares_e6) + 1 > GROUP_MAX // 2:
        return f"{len(found.shares_e6)} positions differ: more than one record group holds"
    return ""


def drafts_of(word: Word, found: Comparison) -> Sequence[Draft]:
    """The records of what was paid out, and of what is accepted."""
    actor, text = clip(word.actor, ACTOR_BYTES), clip(word.reason, TEXT_BYTES)
    drafts = [
        draft(Kind.REDEEMED, records.Redeemed(one.size_e6, one.paid_usd_e6, token_word(one.token)))
        for one in found.paid
    ]
    if found.cash_usd_e6:
        row = records.Adopted(found.cash_usd_e6, 0, _CASH, actor, text)
        drafts.append(draft(Kind.ADOPTED, row))
    for token, size_e6 in zip(found.positions, found.sizes_e6, strict=True):
        row = records.Adopted(0, size_e6, token_word(token), actor, text)
        drafts.append(draft(Kind.ADOPTED, row))
    return drafts
