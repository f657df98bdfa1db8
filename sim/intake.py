"""From a submission to the book: rules, checks, holds and delays, then the match.

An order that is held (a taker in a market with a delay) is not decided when this returns: its
hash is known, nobody can cancel it, and the checks run again when the hold is over. One that is
delayed is accepted at once and comes to the book later.
"""

import dataclasses
import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shm.units import format_size, parse_size_e6
from sim import replies
from sim.auth import ApiKey
from sim.checks import CHECKS, Candidate, needed_usd_e6, refusal
from sim.effects import Delay, Improve, Kill, Refuse, Thin
from sim.events import Event
from sim.faults import Faults, Subject
from sim.floor import Executed, Floor
from sim.limits import GTD_SAFETY_MS
from sim.liquidity import offer_better, thin
from sim.market import Market
from sim.matching import is_marketable, notional_usd_e6
from sim.modes import REFUSALS, Engine, Mode
from sim.order import Order, Outcome, Side, Status
from sim.rules import ORDER
from sim.spenders import spender_of
from sim.story import terms_of
from sim.userframes import order_frame
from sim.wire import IMMEDIATE, Submission


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one submission.

    An order is accepted only with an id and without an error; a killed one has both. `making` and
    `taking` are what was given and got in this match, in base units. While `held` is there and has
    no verdict of its own, nothing is decided.
    """

    error: str = ""
    order_id: str = ""
    status: str = ""
    making_e6: int = 0
    taking_e6: int = 0
    trade_ids: tuple[str, ...] = ()
    held: "Held | None" = None

    def body(self) -> dict[str, Any]:
        """The reply object; an element of POST /orders says success even when it failed."""
        return {
            "errorMsg": self.error,
            "orderID": self.order_id,
            "takingAmount": format_size(self.taking_e6) if self.trade_ids else "",
            "makingAmount": format_size(self.making_e6) if self.trade_ids else "",
            "status": self.status,
            "transactionsHashes": [],
            "tradeIDs": list(self.trade_ids),
            "success": True,
        }


@dataclass(slots=True, eq=False)
class Held:
    """A submission in its hold. `verdict` is there when the hold is over."""

    submission: Submission
    key: ApiKey
    order_id: str
    leg: int
    context: dict[str, Any]
    verdict: Verdict | None = None


@dataclass(slots=True)
class Counters:
    """What the admin page counts."""

    orders_received: int = 0
    orders_matched: int = 0


@dataclass(slots=True, eq=False)
class Intake:
    """Where orders come in. `index_refused`: refused hashes are duplicates from then on, too."""

    floor: Floor
    faults: Faults
    engine: Engine
    by_token: dict[str, tuple[Market, Outcome]]
    counters: Counters = field(default_factory=Counters)
    index_refused: bool = False
    _held: list[tuple[int, int, Held]] = field(default_factory=list)
    _delayed: list[tuple[int, int, Order, str]] = field(default_factory=list)
    _count: int = 0

    def submit(
        self, key: ApiKey, submission: Submission, now_ms: int, leg: int
    ) -> tuple[Verdict, list[Event]]:
        """A parsed order, place `leg` of its batch."""
        effects, events = self._visit(submission, now_ms, leg)
        candidate = self._candidate(key, submission, now_ms)
        if candidate.market is not None and candidate.price_e4:
            events += self._move_book(candidate, effects)
        error = self._refusal(candidate, effects)
        if error:
            self._tell_refused(candidate, error, leg)
            return Verdict(error=error), events
        if candidate.venue().hold_ms and self._takes(candidate):
            return self._hold(candidate, leg), events
        verdict, caused = self._accept(candidate, effects, leg)
        return verdict, events + caused + self.settle_put_off(now_ms)

    def holds(self, order_id: str) -> bool:
        """Whether an order of this hash is in its hold now."""
        return any(held.order_id == order_id for _, _, held in self._held)

    def advance(self, now_ms: int) -> list[Event]:
        """Holds and delays that are over."""
        events: list[Event] = []
        while self._held and self._held[0][0] <= now_ms:
            held = heapq.heappop(self._held)[2]
            self.floor.register.unnote(held.order_id)
            with self.floor.truth.about(**held.context):
                events += self._unhold(held, now_ms)
        while self._delayed and self._delayed[0][0] <= now_ms:
            _, _, order, ending = heapq.heappop(self._delayed)
            events += self._bring(order, ending, now_ms)
        return events + self.settle_put_off(now_ms)

    def settle_put_off(self, now_ms: int) -> list[Event]:
        """Carry out the acts that trades have caused."""
        later, self.floor.put_off = self.floor.put_off, []
        return self.faults.finish(later, now_ms)

    # The way of one order.

    def _candidate(self, key: ApiKey, submission: Submission, now_ms: int) -> Candidate:
        found = self.by_token.get(str(submission.order.token_id))
        market, outcome = found if found is not None else (None, Outcome.YES)
        return Candidate(submission, key, self.floor, market, outcome, now_ms)

    def _visit(
        self, submission: Submission, now_ms: int, leg: int
    ) -> tuple[dict[type, Any], list[Event]]:
        if not self.faults.watches(ORDER):
            return {}, []
        subject = subject_of(submission, self.by_token, leg)
        strikes, events, later = self.faults.visit(ORDER, [subject], now_ms)
        # An act "after" an order waits for the whole transaction, like those of trades.
        self.floor.put_off += later
        return {type(strike.effect): strike.effect for strike in strikes}, events

    def _move_book(self, candidate: Candidate, effects: dict[type, Any]) -> list[Event]:
        events: list[Event] = []
        order = candidate.order()
        if Thin in effects:
            left_e6 = parse_size_e6(str(effects[Thin].shares))
            events += thin(self.floor, order, left_e6, candidate.now_ms)
        if Improve in effects:
            events += offer_better(self.floor, order, effects[Improve].ticks, candidate.now_ms)
        return events

    def _refusal(self, candidate: Candidate, effects: dict[type, Any]) -> str:
        register = self.floor.register
        if Refuse in effects:
            if effects[Refuse].indexed and candidate.order_id:
                register.note(candidate.order_id)
            return str(effects[Refuse].text).replace("{id}", candidate.order_id)
        mode = self.engine.mode(candidate.now_ms)
        making = mode is Mode.POST_ONLY and candidate.submission.post_only
        if mode is not Mode.NORMAL and not making:
            return REFUSALS[mode][1]
        error = refusal(candidate)
        if error and self.index_refused and _is_signed(candidate):
            register.note(candidate.order_id)
        return error

    def _takes(self, candidate: Candidate) -> bool:
        return candidate.immediate or is_marketable(candidate.venue().book, candidate.order())

    def _accept(
        self, candidate: Candidate, effects: dict[type, Any], leg: int
    ) -> tuple[Verdict, list[Event]]:
        order = candidate.order()
        if Delay in effects:
            order = dataclasses.replace(order, status=Status.DELAYED)
        drop_ms = order.expiration_s * 1000 - GTD_SAFETY_MS if order.expiration_s else None
        self.floor.register.add(order, drop_ms)
        signed = candidate.signed
        self.floor.truth.record(
            "order", accepted=True, leg=leg, salt=str(signed.salt), signer=candidate.key.address,
            **terms_of(order),
        )  # fmt: skip
        if Delay in effects:
            return self._delay(order, effects[Delay], candidate.now_ms)
        if candidate.immediate:
            return self._execute_immediate(order, candidate.now_ms, kill=Kill in effects)
        done = self.floor.submit(order, candidate.now_ms, rest=True)
        return self._accepted(order, done), done.events

    def _execute_immediate(
        self, order: Order, now_ms: int, *, kill: bool
    ) -> tuple[Verdict, list[Event]]:
        killed = self._killed(order, kill=kill)
        if killed:
            sentence = f"CANCELED_{killed}"
            events = self.floor.withdraw([order], Status.CANCELED, now_ms, sentence=sentence)
            return Verdict(error=killed, order_id=order.order_id), events
        done = self.floor.submit(order, now_ms, rest=False)
        events = done.events
        verdict = self._accepted(order, done)
        if order.status is Status.LIVE:
            events += self.floor.withdraw([order], Status.CANCELED, now_ms)
        return verdict, events

    def _killed(self, order: Order, *, kill: bool) -> str:
        match = self.floor.preview(order)
        if order.order_type == "FOK":
            return replies.FOK_KILLED if kill or match.unfilled_e6 else ""
        return "" if match.filled_e6 and not kill else replies.FAK_KILLED

    def _accepted(self, order: Order, done: Executed) -> Verdict:
        if not done.trades:
            return Verdict(order_id=order.order_id, status="live")
        self.counters.orders_matched += 1
        shares = done.plan.filled_e6
        usd = sum(
            notional_usd_e6(fill.size_e6, execution.price_e4, order.side)
            for execution in done.plan.executions
            for fill in execution.fills
        )
        making, taking = (usd, shares) if order.side is Side.BUY else (shares, usd)
        ids = tuple(trade.trade_id for trade in done.trades)
        return Verdict("", order.order_id, "matched", making, taking, ids)

    def _tell_refused(self, candidate: Candidate, error: str, leg: int) -> None:
        signed = candidate.signed
        self.floor.truth.record(
            "order",
            accepted=False,
            why=error,
            leg=leg,
            order_id=candidate.order_id,
            wallet=signed.maker,
            signer=candidate.key.address,
            salt=str(signed.salt),
            token=str(signed.token_id),
            side=str(signed.side),
        )

    # Holds and delays.

    def _hold(self, candidate: Candidate, leg: int) -> Verdict:
        truth = self.floor.truth
        held = Held(candidate.submission, candidate.key, candidate.order_id, leg, truth.context())
        self.floor.register.note(held.order_id)
        due_ms = candidate.now_ms + candidate.venue().hold_ms
        self._count += 1
        heapq.heappush(self._held, (due_ms, self._count, held))
        truth.record("order_held", order_id=held.order_id, leg=leg, due_ms=due_ms)
        return Verdict(held=held)

    def _unhold(self, held: Held, now_ms: int) -> list[Event]:
        candidate = self._candidate(held.key, held.submission, now_ms)
        error = self._refusal(candidate, {})
        if error:
            # The venue has acknowledged the hash before; it stays known.
            self.floor.register.note(held.order_id)
            self._tell_refused(candidate, error, held.leg)
            held.verdict = Verdict(error=error)
            return []
        held.verdict, events = self._accept(candidate, {}, held.leg)
        return events

    def _delay(self, order: Order, delay: Delay, now_ms: int) -> tuple[Verdict, list[Event]]:
        if delay.ending != "never":
            self._count += 1
            entry = (now_ms + delay.ms, self._count, order, delay.ending)
            heapq.heappush(self._delayed, entry)
        told: list[Event] = [order_frame(order, "PLACEMENT", now_ms)]
        return Verdict(order_id=order.order_id, status="delayed"), told

    def _bring(self, order: Order, ending: str, now_ms: int) -> list[Event]:
        """The delay of an order is over; whatever else has ended it meanwhile counts."""
        if order.status is not Status.DELAYED:
            return []
        accepting = self.floor.markets[order.condition_id].accepting
        sentence = "" if ending == "match" and accepting else "CANCELED"
        if not sentence and not self._covered(order):
            sentence = "CANCELED_NOT_ENOUGH_BALANCE"
        if not sentence and order.order_type in IMMEDIATE:
            killed = self._killed(order, kill=False)
            sentence = f"CANCELED_{killed}" if killed else ""
        if sentence:
            return self.floor.withdraw([order], Status.CANCELED, now_ms, sentence=sentence)
        rest = order.order_type not in IMMEDIATE
        done = self.floor.release(order, now_ms, rest=rest)
        self.counters.orders_matched += bool(done.trades)
        events = done.events
        if not rest and order.remaining_e6:
            events += self.floor.withdraw([order], Status.CANCELED, now_ms)
        return events

    def _covered(self, order: Order) -> bool:
        ledger, register = self.floor.ledger, self.floor.register
        restraints, market = self.floor.restraints, self.floor.markets[order.condition_id]
        spender = spender_of(market.facts)
        if order.side is Side.SELL:
            reserved_e6 = register.reserved_e6(order.wallet, order.token)
            there = reserved_e6 <= ledger.position_e6(order.wallet, order.token)
            return there and restraints.approved(order.wallet, spender)
        own_usd_e6 = -(-order.remaining_e6 * order.price_e4 // 10_000)
        others_usd_e6 = register.reserved_usd_e6(order.wallet) - own_usd_e6
        cash_usd_e6 = ledger.cash_usd_e6(order.wallet)
        usable_usd_e6 = restraints.usable_usd_e6(order.wallet, spender, cash_usd_e6)
        return needed_usd_e6(market, order) + others_usd_e6 <= usable_usd_e6


def _is_signed(candidate: Candidate) -> bool:
    return candidate.market is not None and not CHECKS["signature"](candidate)


def subject_of(
    submission: Submission,
    by_token: dict[str, tuple[Market, Outcome]],
    leg: int,
    order_id: str = "",
) -> Subject:
    """What a rule can ask about a submission."""
    signed = submission.order
    token = str(signed.token_id)
    found = by_token.get(token)
    return Subject(
        wallet=signed.maker,
        market=found[0].facts.condition_id if found is not None else "",
        token=token,
        side=str(signed.side),
        leg=leg,
        order_type=submission.order_type,
        order_id=order_id,
    )


def decided(verdicts: Iterable[Verdict]) -> list[Verdict] | None:
    """The verdicts with those of holds in their places; None while one is missing."""
    found = [one.held.verdict if one.held is not None else one for one in verdicts]
    known = [one for one in found if one is not None]
    return known if len(known) == len(found) else None
