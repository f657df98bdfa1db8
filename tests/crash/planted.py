"""Bugs that can be planted in the executor, one at a time, and for each the test that catches it.

    python -m tests.crash.mutant NAME --instance INSTANCE     the executor with that bug
    python -m tests.crash --mutant NAME                       thousands of its deaths

`plant` changes the running process and nothing else; `Planted` undoes it at its end. The product
knows nothing of it. tests/crash/test_planted.py proves each catcher.
"""

import logging
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from executor import (
    amounts,
    breaker,
    chronicle,
    comparing,
    counting,
    dispatch,
    doctor,
    exposure,
    flights,
    fold,
    forgetting,
    gate,
    intake,
    journal,
    journal_start,
    launching,
    ledger,
    legging,
    proving,
    repairing,
    replies,
    resolver,
    risk,
    second_look,
    situation,
    snapshot,
    state,
    stock,
    venue,
)
from executor.failpoints import reach
from executor.http import NoReply
from executor.ledger import Change
from executor.replies import LegOutcome
from shm import journal_files
from shm.codes import FillStatus, LegReason, LegState, Refusal, Side
from shm.journal_record import Draft
from shm.limits import JournalSettings
from shm.records import Kind

_undo: list[Callable[[], None]] = []


def swap(owner: Any, name: str, new: Any) -> None:
    """Put something else under a name, also where it was imported by that name."""
    old = getattr(owner, name)
    places = [owner]
    if not isinstance(owner, type):
        places += [
            module for key, module in list(sys.modules.items())
            if key.startswith(("executor.", "tests.")) and vars(module).get(name) is old
        ]  # fmt: skip
    for place in places:
        setattr(place, name, new)
        _undo.append(lambda place=place: setattr(place, name, old))  # type: ignore[misc]


def unplant() -> None:
    """Everything as it was."""
    while _undo:
        _undo.pop()()


def plant(name: str) -> None:
    """Make the bug of that name."""
    PLANTED[name].make()


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The bug, for the time of a block."""
    try:
        plant(name)
        yield
    finally:
        unplant()


# --- sending --------------------------------------------------------------------------------------


class _Ear:
    """A connection that remembers what was answered."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.heard: Any = None

    async def finish(self, timeout_s: float) -> Any:
        """Wait for the answer."""
        self.heard = await self._connection.finish(timeout_s)
        return self.heard


def _resend(*, fresh: bool) -> Callable[[], None]:
    """An order whose reply does not come is sent again."""

    def make() -> None:
        answer, build = dispatch.Dispatcher.answer, launching.Launcher.build
        sent: dict[int, tuple[Any, ...]] = {}

        def remember(self: Any, flight: int, basket: Any, wishes: Any) -> Any:
            ready = build(self, flight, basket, wishes)
            sent[flight] = (self, basket, list(wishes), bytes(ready.request))
            return ready

        async def insist(
            self: Any, flight: Any, connection: Any, timeout_s: float, *more: Any
        ) -> None:
            ear: Any = _Ear(connection)
            await answer(self, flight, ear, timeout_s, *more)
            if not isinstance(ear.heard, NoReply):
                return
            launcher, basket, wishes, request = sent[flight.id]
            if fresh:
                number = secrets.randbelow(2**40)
                request = bytes(build(launcher, number, basket, wishes).request)
            await connection.open()
            if connection.begin(request) is not None:
                await connection.finish(timeout_s)

        swap(launching.Launcher, "build", remember)
        swap(dispatch.Dispatcher, "answer", insist)

    return make


def _send_in_order(*, unwritten: bool) -> Callable[[], None]:
    """The bytes leave before the journal has them, or it never gets them."""

    def send(self: Any, ready: Any, connection: Any, _decided_ns: int = 0) -> Any:
        number = self._chronicle.next_flight
        sent_ns = connection.begin(ready.request)
        reach("orders-unwritten")
        reach("orders-begun")
        if unwritten:
            reach("sent-written")
        if not self._chronicle.write_orders(ready.basket, ready.intents):
            return None
        reach("orders-written")
        self._chronicle.fold_orders()
        flight = self._chronicle.state.flights[number]
        flight.sent_ns = sent_ns
        row = dispatch.records.Sent(time.time_ns() // 1_000_000, 1, 1, bytes(16))
        self._chronicle.tell([snapshot.draft(Kind.SENT, row, number)])
        reach("sent-written")
        return flight

    return lambda: swap(dispatch.Dispatcher, "send", send)


def _counted_where_they_are_meant() -> None:
    """As many left as were meant to: what somebody else sends is in neither number."""
    send = dispatch.Dispatcher.send

    def count(self: Any, ready: Any, connection: Any, decided_ns: int = 0) -> Any:
        flight = send(self, ready, connection, decided_ns)
        counting.METER.orders += len(ready.intents) if flight is not None else 0
        return flight

    swap(dispatch.Dispatcher, "send", count)
    swap(counting.Meter, "note", lambda *_: None)


def _sends_without_room() -> None:
    write = chronicle.Chronicle.write_orders

    def boldly(self: Any, basket: Any, intents: Any) -> bool:
        if not write(self, basket, intents):
            legs = [Draft(Kind.INTENT, self.next_flight, i, row) for i, row in enumerate(intents)]
            self._orders = [Draft(Kind.BASKET, self.next_flight, 0, basket), *legs]
        return True

    swap(chronicle.Chronicle, "write_orders", boldly)


# --- replies --------------------------------------------------------------------------------------


def _statuses_refuse(first: int, last: int) -> Callable[[], None]:
    """Any such status is taken for a refusal, whatever it says."""
    whole = replies._whole

    def refuse(status: int, body: bytes) -> LegOutcome:
        if first <= status <= last:
            return LegOutcome(LegState.REFUSED, LegReason.OTHER, "")
        return whole(status, body)

    return lambda: swap(replies, "_whole", refuse)


def _lost_replies_refuse() -> None:
    classify = replies.classify

    def refuse(answer: Any, hashes: Any) -> Any:
        return classify(
            replace(answer, sent=False) if isinstance(answer, NoReply) else answer, hashes
        )

    swap(replies, "classify", refuse)


def _replies_by_place() -> None:
    def by_place(found: Any, hashes: Any) -> list[LegOutcome]:
        outcomes = [replies._one(one) for one in found[: len(hashes)]]
        return outcomes + [replies._MISSING] * (len(hashes) - len(outcomes))

    swap(replies, "_matched", by_place)


def _duplicated_refuses() -> None:
    by_text = replies._by_text

    def refuse(text: str) -> Any:
        if "duplicated" in text.lower():
            return LegOutcome(LegState.REFUSED, LegReason.DUPLICATED, text)
        return by_text(text)

    swap(replies, "_by_text", refuse)


def _unknown_texts_refuse() -> None:
    by_text = replies._by_text
    swap(replies, "_by_text", lambda text: by_text(text)
         or LegOutcome(LegState.REFUSED, LegReason.OTHER, text))  # fmt: skip


def _delayed_is_killed() -> None:
    swap(replies, "_STATES", replies._STATES | {"delayed": LegState.KILLED})


def _note_without(reason: LegReason) -> Callable[[], None]:
    note = breaker.note_reply

    def deaf(signs: Any, heard: LegReason, *words: Any, **more: Any) -> None:
        if heard is not reason:
            note(signs, heard, *words, **more)

    return lambda: swap(breaker, "note_reply", deaf)


def _identity_ignored() -> None:
    classify = replies.classify
    swap(replies, "classify", lambda answer, hashes: [
        replace(one, stranger="") for one in classify(answer, hashes)
    ])  # fmt: skip


# --- fills and proofs -----------------------------------------------------------------------------


def _fills_count_again() -> None:
    swap(ledger.Ledger, "change_of", lambda _self, fill: Change.COUNTED if fill.counts
         else Change.VOIDED)  # fmt: skip
    apply = ledger.Ledger.apply

    def again(self: Any, fill: Any) -> Change:
        self.fills.pop((fill.trade, fill.order), None)
        return apply(self, fill)

    swap(ledger.Ledger, "apply", again)


def _failures_ignored() -> None:
    change_of = ledger.Ledger.change_of
    swap(ledger.Ledger, "change_of", lambda self, fill: Change.NOTHING
         if fill.status is FillStatus.FAILED else change_of(self, fill))  # fmt: skip


def _positions_from_replies() -> None:
    said = fold._said

    def believe(now: Any, entry: Any) -> Any:
        flight = now.flights[entry.flight]
        leg = flight.legs[entry.leg]
        if entry.payload.state == LegState.FILLED:
            now.ledger.apply(ledger.Fill(
                f"reply {leg.order_hash[:12]}", leg.order_hash, leg.token, leg.side, leg.price_e4,
                leg.size_e6, 0, FillStatus.CONFIRMED,
            ))  # fmt: skip
        return said(now, entry)

    swap(fold, "_FOLDS", fold._FOLDS | {Kind.REPLY: believe, Kind.FILL: fold._nothing})


def _fees_forgotten() -> None:
    fills_of = ledger.fills_of

    def free(trade: Any, key: str, _rate: Any, *known: Any) -> Any:
        return fills_of(trade, key, lambda _token: 0, *known)

    swap(ledger, "fills_of", free)


def _first_look_proves() -> None:
    judge = resolver.proof

    def hasty(leg: Any, seen: Any, _earlier: Any, *, sent_ms: int, window_ms: int) -> Any:
        del window_ms
        return judge(leg, seen, replace(seen, at_ms=sent_ms), sent_ms=sent_ms, window_ms=0)

    swap(resolver, "proof", hasty)


def _silence_believed() -> None:
    swap(proving.Prover, "_late", lambda *_: [])
    swap(proving.Prover, "_due", lambda self, *_: self.missed)


def _doubts_forgotten_at_start() -> None:
    opened = fold._opened

    def forget(now: Any, entry: Any) -> Any:
        for flight in now.open_flights:
            if flight.state in {flights.FlightState.INTENT, flights.FlightState.SENT}:
                forgetting._drop(now, flight)
        return opened(now, entry)

    swap(fold, "_FOLDS", fold._FOLDS | {Kind.OPENED: forget})


def _given_up_is_final() -> None:
    shows = flights._shows_filled
    swap(flights, "_shows_filled", lambda leg, seen: leg.state is not LegState.NEVER_LANDED
         and shows(leg, seen))  # fmt: skip


def _early_end() -> None:
    swap(flights, "awaited", lambda *_: [])


def _fills_before_the_ledger_is_open_are_dropped() -> None:
    take = intake.Intake.take

    def drop(self: Any, trades: Any) -> None:
        if self._open:
            take(self, trades)

    swap(intake.Intake, "take", drop)


def _snapshot_forgets() -> None:
    swap(snapshot, "_is_told", lambda now, fill: now.flight_of(fill.order) is not None)


def _rounded_down() -> None:
    swap(amounts, "cost_usd_e6", lambda price_e4, size_e6: price_e4 * size_e6 // 10_000)


# --- what is not looked at ------------------------------------------------------------------------


def _without(owner: Any, refusal: Refusal) -> Callable[[], None]:
    """A check of the gate or of risk that is left out."""

    def make() -> None:
        left = tuple(pair for pair in owner._CHECKS if pair[0] is not refusal)
        swap(owner, "_CHECKS", left)

    return make


def _breaker_without(check: Any) -> Callable[[], None]:
    left = tuple(one for one in breaker._CHECKS if one is not check)
    return lambda: swap(breaker, "_CHECKS", left)


def _heeds_nothing() -> None:
    for refusal in (Refusal.KILLED, Refusal.MODE):
        _without(risk, refusal)()


def _no_limit_of_exposure() -> None:
    swap(risk, "units_allowed", lambda *_: (10**6, Refusal.EXPOSURE))


def _doubts_stay() -> None:
    swap(proving.Prover, "look", lambda *_: None)


def _secrets_are_logged() -> None:
    log_in = venue.Venue.log_in

    async def talkative(self: Any) -> Any:
        found = await log_in(self)
        if self.credentials is not None:
            logging.getLogger("executor").warning("logged in with %s", self.credentials.secret)
        return found

    swap(venue.Venue, "log_in", talkative)


def _repairs_heed_nothing() -> None:
    swap(risk, "check_repair", lambda *_: None)


def _repairs_in_parallel() -> None:
    def impatient(flight: Any, _ledger: Any) -> bool:
        return bool(flight.state is flights.FlightState.NAKED)

    swap(repairing, "needs_repair", impatient)


def _naked_for_ever() -> None:
    decide = repairing.decide

    def patient(*words: Any, now_ms: int, budget: Any) -> Any:
        return decide(*words, now_ms=now_ms, budget=replace(budget, naked_ms=2**40))

    swap(repairing, "decide", patient)


def _buys_for_nothing() -> None:
    swap(legging, "GAIN_BPS", 0)


def _repairs_lose_anything() -> None:
    def bold(self: Any, bounds: Any) -> bool:
        return bool(self.cost_usd_e6 <= bounds.cash_usd_e6)

    swap(legging.Plan, "within", bold)


def _refusals_forgotten() -> None:
    swap(repairing, "_without_refused", lambda _flight, legs: list(legs))


def _any_size_may_stand_alone() -> None:
    units_allowed = risk.units_allowed

    def generous(wanted: Any, standing: Any, limits: Any) -> Any:
        limits = msgspec.structs.replace(limits, max_naked_usd_e6=2**40)
        return units_allowed(wanted, standing, limits)

    swap(risk, "units_allowed", generous)


def _pauses_decide() -> None:
    decide = repairing.decide

    def strict(*words: Any, now_ms: int, budget: Any) -> Any:
        return decide(*words, now_ms=now_ms, budget=replace(budget, since_ms=0))

    swap(repairing, "decide", strict)


def _declined_is_done() -> None:
    cancel_all = venue.Venue.cancel_all

    async def done(self: Any) -> None:
        await cancel_all(self)

    swap(venue.Venue, "cancel_all", done)


def _any_difference_is_dust() -> None:
    swap(comparing.Comparison, "clean", property(lambda _self: True))
    compare = comparing.compare
    swap(comparing, "compare", lambda *words: replace(compare(*words), cash_usd_e6=0, positions=()))


def _reservations_dropped() -> None:
    swap(state.State, "reserved_usd_e6", property(lambda _self: 0))


def _shares_promised_to_nobody() -> None:
    """Whoever asks next may sell them again."""
    stock_of = stock.stock_of
    swap(stock, "stock_of", lambda _flights, now: stock_of([], now))


def _unconfirmed_is_sold() -> None:
    swap(stock.Stock, "free_e6", lambda self, token: self.sellable_e6(token))


def _side_makes_the_sign() -> None:
    """A sale takes a unit away, whatever the leg was sent for."""
    swap(flights, "units", lambda leg, order: 0 if leg.token != order.token
         else 1 if order.side is Side.BUY else -1)  # fmt: skip


def _price_not_mirrored() -> None:
    mirrored = launching.mirrored
    swap(launching, "mirrored", lambda wish: mirrored(wish)._replace(price_e4=wish.price_e4))


def _sold_legs_cost_cash_in_hand() -> None:
    """What a sale brought is taken for what the basket earned."""
    swap(flights, "cost_usd_e6", lambda _leg, _order, seen: seen.cost_usd_e6)


def _sales_risk_nothing() -> None:
    order_risk = exposure._order_risk
    swap(exposure, "_order_risk", lambda flight, leg, order, *more: 0
         if order.side is Side.SELL else order_risk(flight, leg, order, *more))  # fmt: skip


def _gone_with_its_token() -> None:
    def gone(token: str, now: Any, _tokens: Any) -> bool:
        holding = now.holdings.get(token)
        return holding is None or holding.size_e6 <= 0

    swap(exposure, "is_gone", gone)


def _salt_of_the_moment() -> None:
    swap(launching.Launcher, "salt", lambda *_: secrets.randbelow(2**48))


def _sync_again() -> None:
    def sync(self: Any) -> None:
        try:
            self._sync()
        except OSError:
            self._poisoned = None

    swap(journal.Journal, "sync", sync)


def _asked_once() -> None:
    """What the venue refuses is not asked again."""

    async def once(self: Any, method: str, target: str, headers: Any) -> Any:
        return await self._ask(method, target, headers())

    swap(venue.Venue, "_insist", once)


async def _nobody_asks(_self: Any, _ask: Any) -> None:
    """The doctor does not look at the approvals."""


class Bug(NamedTuple):
    """How it is made, and which test fails because of it."""

    make: Callable[[], None]
    catcher: str
    arguments: Mapping[str, Any] = MappingProxyType({})


_ORDERS, _LIMITS = "tests.crash.test_hazards_orders:", "tests.crash.test_hazards_limits:"
_RISK, _FLIGHTS = "tests.executor.test_risk:", "tests.executor.test_flights:"
_LEGGING = "tests.executor.test_legging:"
_INVENTORY = "tests.crash.test_hazards_inventory:"
_EXPOSURE = "tests.executor.test_exposure:"
_SOLD = _FLIGHTS + (
    "test_every_triple_of_outcomes_with_a_leg_that_is_sold_is_judged_as_if_it_were_bought"
)
_ALL_FILLED = {"ends": [LegState.FILLED] * 3, "sold": 1, "fills_first": False}
_LOST = _ORDERS + "test_a5_a_lost_reply_leaves_a_doubt_that_ends_by_proof_without_a_second_order"
_LOSE = {"spoilt": {"at": "POST /orders", "when": {}, "then": {"do": "lose"}}}
_BATCH = _ORDERS + "test_a14_a_batch_is_read_by_hashes_and_never_by_places"
_A31 = _LIMITS + "test_a31_nothing_is_sent_after_the_latch"
_D3 = _LIMITS + "test_d3_damage_before_the_end_halts_and_names_the_record"
_A17 = _ORDERS + "test_a17_a_trade_that_fails_is_taken_back_and_the_basket_stands_naked"
_A18 = _ORDERS + "test_a18_a_trade_that_is_tried_again_under_another_hash_is_one_fill"
_A2 = _ORDERS + "test_a2_killed_between_intent_and_bytes_it_is_looked_for_and_never_sent"
_A28 = _LIMITS + "test_a28_an_order_that_arrives_after_everybody_gave_up_is_counted"

PLANTED: dict[str, Bug] = {
    "fresh salt on retry": Bug(_resend(fresh=True), _LOST, _LOSE),
    "sent again byte for byte": Bug(_resend(fresh=False), _LOST, _LOSE),
    "sent again, for the counter at the socket": Bug(
        _resend(fresh=False), _LIMITS + "test_a32_what_leaves_is_counted_at_the_socket"
    ),
    "orders are counted where they are meant": Bug(
        _counted_where_they_are_meant,
        _LIMITS + "test_a32_an_order_that_is_sent_again_past_everybody_halts",
    ),
    "nobody looks again after the disk": Bug(
        lambda: swap(situation.Surroundings, "objection", lambda *_: None),
        _LIMITS
        + "test_a31_d2_c5_no_byte_leaves_after_a_kill_or_too_late_however_long_the_disk_takes",
        {
            "journal_settings": JournalSettings(segment_records=1024, durability="D2"),
            "why": "kill",
            "refused": Refusal.KILLED,
        },
    ),
    "salt of the moment": Bug(
        _salt_of_the_moment, _LIMITS + "test_an_intent_can_only_ever_be_one_order"
    ),
    "journal after the send": Bug(
        _send_in_order(unwritten=False),
        _ORDERS
        + "test_a1_killed_before_the_intent_is_written_nothing_was_sent_and_nothing_is_kept",
    ),
    "journal after the reply": Bug(
        _send_in_order(unwritten=True),
        _ORDERS + "test_a3_a4_killed_after_the_bytes_left_the_orders_are_found_and_booked_once",
        {"place": "sent-written"},
    ),
    "sends what a full disk did not take": Bug(
        _sends_without_room,
        _LIMITS + "test_d1_without_a_record_nothing_is_sent_and_cancelling_still_works",
    ),
    "any 4xx is a refusal": Bug(
        _statuses_refuse(400, 499),
        _ORDERS + "test_a7_duplicated_proves_that_it_landed_and_the_fills_are_looked_for",
    ),
    "any 5xx is a refusal": Bug(
        _statuses_refuse(500, 599),
        _ORDERS + "test_a6_a_server_error_proves_nothing",
        {"kind": "bad_gateway", "moment": "after"},
    ),
    "a lost reply is a refusal": Bug(_lost_replies_refuse, _LOST, _LOSE),
    "duplicated is a refusal": Bug(
        _duplicated_refuses,
        _ORDERS + "test_a7_duplicated_proves_that_it_landed_and_the_fills_are_looked_for",
    ),
    "an unknown text is a refusal": Bug(_unknown_texts_refuse, _BATCH, {"how": "blank"}),
    "batch replies by place": Bug(_replies_by_place, _BATCH, {"how": "permuted"}),
    "delayed is killed": Bug(
        _delayed_is_killed,
        _ORDERS + "test_a15_a_delayed_order_stays_exposure_until_it_is_known",
        {"ending": "match"},
    ),
    "a foreign id is overlooked": Bug(
        _identity_ignored, _ORDERS + "test_a14_an_id_that_is_none_of_ours_halts"
    ),
    "425 is forgotten": Bug(
        _note_without(LegReason.RESTARTING),
        _ORDERS + "test_a8_425_is_a_definite_no_and_closes_the_shop_for_a_while",
    ),
    "429 is forgotten": Bug(
        _note_without(LegReason.THROTTLED),
        _ORDERS + "test_a10_429_stops_orders_as_long_as_it_says_and_nothing_is_tried_again",
    ),
    "401 is forgotten": Bug(_note_without(LegReason.UNAUTHORIZED), _ORDERS + "test_a11_401_halts"),
    "403 is forgotten": Bug(
        _note_without(LegReason.BANNED),
        _ORDERS + "test_a12_an_account_that_may_not_trade_halts",
        {"kind": "geoblocked"},
    ),
    "missing cash is forgotten": Bug(
        _note_without(LegReason.BALANCE),
        _LIMITS
        + "test_a20_missing_cash_is_a_definite_no_and_only_what_reduces_is_sent_until_compared",
    ),
    "a fill counts twice": Bug(_fills_count_again, _A18),
    "a failed trade stands": Bug(_failures_ignored, _A17, {"restart": False}),
    "positions from replies": Bug(_positions_from_replies, _A18),
    "fees are forgotten": Bug(
        _fees_forgotten, "tests.executor.test_ledger:test_a_taker_pays_price_and_fee"
    ),
    "costs are rounded in our favour": Bug(
        _rounded_down, "tests.executor.test_amounts:test_costs_are_rounded_against_us"
    ),
    "the first look proves": Bug(
        _first_look_proves, _LIMITS + "test_a28_until_the_window_is_over_its_money_is_reserved"
    ),
    "silence of the user channel is believed": Bug(
        _silence_believed, _LIMITS + "test_a5_a_user_channel_that_is_silent_loses_no_fill"
    ),
    "doubts are forgotten at a start": Bug(_doubts_forgotten_at_start, _A2),
    "what was given up is final": Bug(_given_up_is_final, _A28, {"late_ms": 1_500}),
    "a basket ends before its fills are in": Bug(
        _early_end,
        _FLIGHTS + "test_every_triple_of_outcomes_in_both_orders_of_arrival",
        {"ends": [LegState.FILLED] * 3, "fills_first": False},
    ),
    "fills before the start is over are dropped": Bug(
        _fills_before_the_ledger_is_open_are_dropped,
        _LIMITS + "test_a4_a_fill_that_comes_while_the_ledger_is_opened_counts",
    ),
    "a snapshot forgets fills": Bug(
        _snapshot_forgets, "tests.executor.test_fold:test_a_snapshot_says_all_that_the_history_said"
    ),
    "kill is ignored": Bug(_without(risk, Refusal.KILLED), _A31),
    "halt is ignored": Bug(_without(risk, Refusal.MODE), _A31),
    "neither kill nor halt is heeded": Bug(_heeds_nothing, _A31),
    "old quotes will do": Bug(
        _without(risk, Refusal.STALE),
        _RISK + "test_each_limit_alone_and_at_its_edge",
        {"wish": {}, "state": {"feed_silence_ns": 750_000_001}, "reason": Refusal.STALE},
    ),
    "after a standstill all is believed": Bug(
        lambda: swap(second_look.SecondLook, "look", lambda _self: ""),
        "tests.executor.test_second_look:"
        "test_e2_after_a_standstill_nothing_new_until_a_comparison_agrees_and_ingest_had_time",
    ),
    "no limit of exposure": Bug(
        _no_limit_of_exposure,
        _RISK + "test_the_number_of_shares_is_limited_where_they_are_cheap",
    ),
    "nobody resolves a doubt": Bug(
        _doubts_stay, _ORDERS + "test_a5_a_request_that_never_arrived_ends_as_never_landed"
    ),
    "secrets are logged": Bug(
        _secrets_are_logged, "tests.crash.test_canaries:test_h8_a_log_in_tells_no_log_the_secret"
    ),
    "halt is ignored by repairs": Bug(
        _repairs_heed_nothing,
        _RISK
        + "test_a_repair_passes_limits_of_exposure_but_no_kill_mode_clock_silence_and_no_pace",
    ),
    "no limit of pace": Bug(
        _without(risk, Refusal.RATE), _LIMITS + "test_a32_a_runaway_sends_no_more_than_the_burst"
    ),
    "a signal counts again": Bug(
        _without(gate, Refusal.DUPLICATE),
        _LIMITS + "test_a29_a_signal_that_comes_again_after_a_restart_is_known",
    ),
    "the fee of yesterday": Bug(
        lambda: swap(gate, "_net_edge_e8", lambda signal, _situation: signal.limit_net_e8),
        _LIMITS + "test_a22_an_edge_is_computed_again_with_the_fee_of_this_moment",
    ),
    "any market will do": Bug(
        lambda: swap(gate, "_tradable", lambda _market: True),
        _LIMITS + "test_a23_a_market_that_is_not_active_gets_no_new_legs",
    ),
    "a refused read is final": Bug(
        _asked_once,
        _ORDERS + "test_a11_a_read_that_gets_401_is_made_again_by_the_venues_clock_and_then_halts",
    ),
    "a read that is refused halts nothing": Bug(
        lambda: swap(breaker, "note_refusal", lambda *_: None),
        _ORDERS + "test_a12_a_read_that_gets_403_is_made_again_and_then_halts",
    ),
    "reads are signed by our own clock": Bug(
        lambda: swap(venue.Venue, "_now_s", lambda _self: int(time.time())),
        _ORDERS + "test_e1_an_hour_of_difference_is_seen_by_the_first_read_which_goes_on",
    ),
    "nobody asks who may take shares": Bug(
        lambda: swap(doctor.Doctor, "_shares", _nobody_asks),
        "tests.executor.test_doctor:test_what_the_venue_holds_against_the_wallet_is_found",
        {"name": "approval standard exchange"},
    ),
    "nobody counts at the socket": Bug(
        _breaker_without(breaker._socket),
        _LIMITS + "test_a32_more_orders_on_the_wire_than_were_meant_halt",
    ),
    "failed trades do not halt": Bug(
        _breaker_without(breaker._settlement),
        _ORDERS + "test_a17_two_failures_within_an_hour_halt",
    ),
    "strangers are overlooked": Bug(
        _breaker_without(breaker._own), _LIMITS + "test_a30_an_order_of_somebody_else_halts"
    ),
    "repairs side by side": Bug(
        _repairs_in_parallel, _LIMITS + "test_a16_there_is_one_repair_at_a_time"
    ),
    "naked without end": Bug(
        _naked_for_ever,
        _ORDERS + "test_a16_legs_that_stand_alone_are_repaired_at_once",
        {"dead": (1,)},
    ),
    "a purchase for the same worst case": Bug(
        _buys_for_nothing,
        _LEGGING + "test_e02_nobody_ties_up_money_for_the_worst_case_that_a_sale_has_too",
    ),
    "a repair may lose anything": Bug(
        _repairs_lose_anything,
        _LEGGING + "test_a_basket_that_would_lose_more_than_its_budget_is_not_completed",
    ),
    "a closed market is asked again": Bug(
        _refusals_forgotten,
        "tests.executor.test_repairing:"
        "test_a20_a_leg_that_cannot_be_bought_is_not_asked_for_again_and_the_others_are_sold",
        {"reason": LegReason.CLOSED},
    ),
    "a basket of any size": Bug(
        _any_size_may_stand_alone,
        _RISK + "test_all_legs_but_the_cheapest_fit_into_what_may_stand_alone",
        {"naked_usd_e6": 0, "launched_usd_e6": 0},
    ),
    "a pause decides what is kept": Bug(
        _pauses_decide,
        "tests.executor.test_repairing:"
        "test_after_a_start_or_an_arming_there_is_the_whole_time_again",
    ),
    "a declined cancel is done": Bug(
        _declined_is_done,
        _LIMITS + "test_a26_a_cancel_that_is_declined_or_lost_has_cancelled_nothing",
    ),
    "any difference is dust": Bug(
        _any_difference_is_dust,
        _LIMITS
        + "test_a20_missing_cash_is_a_definite_no_and_only_what_reduces_is_sent_until_compared",
    ),
    "reservations are dropped": Bug(_reservations_dropped, _A2),
    "shares are promised to nobody": Bug(
        _shares_promised_to_nobody,
        _INVENTORY + "test_shares_in_doubt_are_promised_to_nobody_else_until_it_is_known",
    ),
    "shares are sold that the chain may take back": Bug(
        _unconfirmed_is_sold,
        "tests.executor.test_stock:"
        "test_what_the_chain_may_take_back_is_not_free_but_a_repair_may_sell_it_again",
        {"status": FillStatus.MATCHED},
    ),
    "a sold leg is one unit less": Bug(
        _side_makes_the_sign,
        _INVENTORY + "test_a_held_token_is_sold_and_cash_and_positions_are_the_exchanges",
    ),
    "what a sale brings is profit": Bug(_sold_legs_cost_cash_in_hand, _SOLD, _ALL_FILLED),
    "a sale at the price of the purchase": Bug(
        _price_not_mirrored,
        "tests.executor.test_launching:"
        "test_a_leg_from_inventory_sells_the_opposite_at_one_less_the_price",
    ),
    "a sale on its way risks nothing": Bug(
        _sales_risk_nothing,
        _EXPOSURE + "test_a_sale_on_its_way_risks_its_purchase_with_fees_and_reserves_no_cash",
        {"state": LegState.DOUBT},
    ),
    "a leg is gone with its token": Bug(
        _gone_with_its_token,
        _EXPOSURE + "test_a_kept_leg_whose_token_was_sold_for_another_basket_is_still_at_risk",
    ),
    "no lock": Bug(
        lambda: swap(journal_files.FileLock, "take", lambda _self: None),
        _LIMITS + "test_a30_d5_a_second_executor_of_the_wallet_does_not_start",
    ),
    "damage is cut off": Bug(lambda: swap(journal_start, "require_sound", lambda *_: None), _D3),
    "a failed sync is tried again": Bug(
        _sync_again, _LIMITS + "test_d2_a_sync_that_fails_is_final"
    ),
}
"""Name -> bug."""
