"""One batch of orders, from its signed bytes to the last word about each: written, sent, answered.

The order of things is what makes a crash survivable: the journal has every signed byte before the
socket has any, and nothing is ever sent twice. Writing may take long where the disk does, so that
right before the bytes leave it is asked once more whether they still may: what may not is withheld,
which the journal says, too.
"""

import time
from collections.abc import Callable
from hashlib import blake2b

from executor.breaker import Signs, note_reply
from executor.chronicle import Chronicle
from executor.failpoints import reach
from executor.flights import Flight
from executor.http import HttpConnection, NoReply, Reply
from executor.launching import Ready
from executor.replies import LegOutcome, classify
from executor.snapshot import draft
from shm import records
from shm.backend import HistogramWriter
from shm.codes import LegReason, LegState, Refusal, Side
from shm.fabric import Counters
from shm.layout import ExecutorStats
from shm.payloads import clip
from shm.records import Evidence, Kind

DIGEST_BYTES = 16
TEXT_BYTES = 96
_COUNTER_OF = {
    LegState.FILLED: "orders_accepted",
    LegState.LANDED: "orders_accepted",
    LegState.KILLED: "orders_killed",
    LegState.REFUSED: "orders_refused",
    LegState.DOUBT: "orders_doubt",
}
LookAgain = Callable[[int], Refusal | None]
"""What speaks, at this very moment, against orders that were decided at some monotonic time."""


class Dispatcher:
    """See the module."""

    def __init__(
        self,
        chronicle: Chronicle,
        counters: Counters[ExecutorStats],
        signs: Signs,
        say: Callable[[str], None],
        *,
        look_again: LookAgain = lambda _decided_ns: None,
    ) -> None:
        self._look_again = look_again
        self.why_not = Refusal.UNARMED
        """Why the last `send` sent nothing."""
        self._chronicle = chronicle
        self._counters = counters
        self._signs = signs
        self._say = say

    def send(self, ready: Ready, connection: HttpConnection, decided_ns: int = 0) -> Flight | None:
        """Write, then send; None: nothing was sent (`why_not`).

        `decided_ns`: when what asks for it was made, if that has an age limit.
        """
        chronicle = self._chronicle
        number = chronicle.next_flight
        reach("orders-unwritten")
        if not chronicle.write_orders(ready.basket, ready.intents):
            self.why_not = Refusal.UNARMED
            return None
        reach("orders-written")
        objection = self._look_again(decided_ns)
        if objection is not None:
            self._withhold(number, objection)
            return None
        sent_ns = connection.begin(ready.request)
        reach("orders-begun")
        assert sent_ns is not None, "the connection was idle"
        chronicle.fold_orders()
        flight = chronicle.state.flights[number]
        flight.sent_ns = sent_ns
        request = bytes(ready.request)
        digest = blake2b(request, digest_size=DIGEST_BYTES).digest()
        row = records.Sent(time.time_ns() // 1_000_000, 1, len(request), digest)
        chronicle.tell([draft(Kind.SENT, row, number)])
        reach("sent-written")
        self._counters.add("posts")
        self._counters.add("orders_sent", len(ready.intents))
        return flight

    def _withhold(self, number: int, objection: Refusal) -> None:
        """They stand in the journal and have not left: so that nobody looks for them, say that."""
        self.why_not = objection
        self._chronicle.fold_orders()
        legs = range(len(self._chronicle.state.flights[number].legs))
        self._signs.orders_withheld += len(legs)
        row = records.Verdict(
            time.time_ns() // 1_000_000, Evidence.WITHHELD, LegState.NEVER_LANDED, LegReason.NONE
        )
        self._chronicle.tell([draft(Kind.VERDICT, row, number, leg) for leg in legs])
        self._say(f"withheld {len(legs)} orders that were written: {objection.name.lower()}")

    async def answer(
        self,
        flight: Flight,
        connection: HttpConnection,
        timeout_s: float,
        latency: HistogramWriter | None = None,
    ) -> None:
        """Wait for the venue's answer, and write down what it says of each order."""
        answer = await connection.finish(timeout_s)
        if latency is not None:
            latency.add(time.monotonic_ns() - flight.sent_ns)
        outcomes = classify(answer, [leg.order_hash for leg in flight.legs])
        at_ms = self._signs.now_ms = time.time_ns() // 1_000_000
        status, body = (answer.status, answer.body) if isinstance(answer, Reply) else (0, b"")
        digest = blake2b(body, digest_size=DIGEST_BYTES).digest()
        drafts = []
        for place, (leg, outcome) in enumerate(zip(flight.legs, outcomes, strict=True)):
            self._counters.add(_COUNTER_OF[outcome.state])
            row = records.Reply(
                at_ms, status, outcome.state, outcome.reason,
                bytes.fromhex(leg.order_hash[2:]), digest, clip(outcome.text, TEXT_BYTES),
            )  # fmt: skip
            drafts.append(draft(Kind.REPLY, row, flight.id, place))
        reach("reply-unwritten")
        self._chronicle.tell(drafts)
        reach("reply-written")
        self._note(flight, outcomes, answer)

    def _note(self, flight: Flight, outcomes: list[LegOutcome], answer: Reply | NoReply) -> None:
        """What the answer means for all that follow; and say it, unless it is daily bread."""
        retry_after_s = answer.retry_after_s if isinstance(answer, Reply) else 0
        for leg, outcome in zip(flight.legs, outcomes, strict=True):
            sale = leg.side is Side.SELL
            note_reply(self._signs, outcome.reason, outcome.text, retry_after_s, sale=sale)
            self._signs.identity = self._signs.identity or outcome.stranger
        texts = {o.text for o in outcomes if o.text and o.reason is not LegReason.KILLED}
        if texts:
            self._counters.add("post_errors")
            self._say(f"the venue says: {'; '.join(sorted(texts))}")
