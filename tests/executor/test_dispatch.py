"""Dispatch: every signed byte is on disk before the socket has any, and nothing is sent twice."""

import asyncio
from hashlib import blake2b
from pathlib import Path

import pytest

from executor import executor
from executor.breaker import Signs
from executor.dispatch import Dispatcher
from executor.http import NoReply, Reply
from executor.launching import Launcher, Ready, Wish, basket_of
from shm.codes import FlightState, LegReason, LegState, Refusal, Side
from shm.records import Evidence, Kind
from tests.executor.test_gate import signal
from tests.executor.test_launching import ACCOUNT, ADMITTED, AT_MS
from tests.executor.written import MARKETS, OUTCOMES, PRICES_E4, SIZE_E6, Counted, Written


class Wire:
    """A connection: what it was given, and what stood on disk at that moment."""

    def __init__(self, written) -> None:
        self.written, self.given, self.on_disk = written, [], []
        self.answer = NoReply(sent=True, reason="silence")

    def begin(self, request) -> int:
        self.given.append(bytes(request))
        journal = self.written.journal
        data = journal._place.segment(journal.segment).read_bytes()
        self.on_disk.append(data[: journal._offset])
        return 123

    async def finish(self, _timeout_s):
        return self.answer


class Desk:
    def __init__(self, folder) -> None:
        self.written = Written(folder).begin()
        self.counters, self.signs, self.said = Counted(), Signs(), []
        self.dispatcher = Dispatcher(
            self.written.chronicle, self.counters, self.signs, self.said.append
        )
        self.launcher = Launcher(ACCOUNT, self.written.journal.journal_id)
        self.wire = Wire(self.written)

    def ready(self) -> Ready:
        wishes = [
            Wish(one, outcome, Side.BUY, price, SIZE_E6, 10)
            for one, outcome, price in zip(MARKETS, OUTCOMES, PRICES_E4, strict=True)
        ]
        basket = basket_of(signal(), ADMITTED, MARKETS[0].group, AT_MS)
        return self.launcher.build(self.written.chronicle.next_flight, basket, wishes)

    def send(self):
        return self.dispatcher.send(self.ready(), self.wire)

    def hear(self, flight, answer) -> None:
        self.wire.answer = answer
        asyncio.run(self.dispatcher.answer(flight, self.wire, 1.0))


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_every_signed_byte_is_on_disk_before_the_socket_has_any(desk):
    ready = desk.ready()
    signatures = [intent.signature for intent in ready.intents]
    flight = desk.dispatcher.send(ready, desk.wire)
    (data,) = desk.wire.on_disk
    for intent, signature in zip(ready.intents, signatures, strict=True):
        assert signature in data
        assert intent.order_hash in data
    assert flight.state is FlightState.SENT
    assert desk.counters == {"posts": 1, "orders_sent": 3}


def test_a_dispatcher_that_sends_first_is_found_out(desk):
    """The defect that the test before is there for."""
    chronicle = desk.written.chronicle
    ready = desk.ready()
    desk.wire.begin(ready.request)
    chronicle.write_orders(ready.basket, ready.intents)
    assert ready.intents[0].signature not in desk.wire.on_disk[0]


def test_without_room_nothing_is_sent_and_nothing_is_remembered(desk):
    desk.written.fill_disk()
    digest = desk.written.state.digest()
    assert desk.send() is None
    assert desk.wire.given == []
    assert not desk.counters
    assert desk.written.state.digest() == digest
    desk.written.make_room()
    assert desk.send() is not None


def test_what_left_is_remembered_by_its_digest(desk):
    flight = desk.send()
    entries = [e for e in _entries(desk) if e.kind is Kind.SENT]
    (request,) = desk.wire.given
    assert entries[-1].flight == flight.id
    assert entries[-1].payload.body_digest == blake2b(request, digest_size=16).digest()


def _entries(desk):
    desk.written.reopen()
    return list(desk.written.journal.found)


def objecting(desk, objection) -> list[int]:
    """From now on this speaks against whatever has been written; what was asked about."""
    asked = []

    def look_again(decided_ns: int):
        asked.append(decided_ns)
        assert desk.wire.given == []
        return objection

    desk.dispatcher._look_again = look_again
    return asked


@pytest.mark.parametrize("objection", [Refusal.KILLED, Refusal.STALE])
def test_what_may_not_leave_any_more_when_it_is_written_is_withheld_and_nobody_looks_for_it(
    desk, objection
):
    asked = objecting(desk, objection)
    assert desk.dispatcher.send(desk.ready(), desk.wire, 77) is None
    assert asked == [77]
    assert desk.dispatcher.why_not is objection
    assert desk.wire.given == []
    assert not desk.counters
    (flight,) = desk.written.state.flights.values()
    assert flight.state is FlightState.MISSED
    assert [leg.state for leg in flight.legs] == [LegState.NEVER_LANDED] * 3
    assert (flight.sent_ms, desk.written.state.reserved_usd_e6) == (0, 0)
    assert desk.signs.orders_withheld == 3
    assert "withheld 3 orders" in desk.said[-1]
    digest = desk.written.state.digest()
    verdicts = [e.payload for e in _entries(desk) if e.kind is Kind.VERDICT]
    assert [row.evidence for row in verdicts] == [Evidence.WITHHELD] * 3
    assert desk.written.state.digest() == digest


def test_what_was_withheld_while_the_disk_filled_up_is_told_when_there_is_room(desk):
    asked = objecting(desk, Refusal.KILLED)
    ready, fill = desk.ready(), desk.dispatcher._look_again

    def full(decided_ns: int):
        desk.written.fill_disk()
        return fill(decided_ns)

    desk.dispatcher._look_again = full
    assert desk.dispatcher.send(ready, desk.wire) is None
    assert asked == [0]
    assert desk.written.chronicle.blocked
    (flight,) = desk.written.state.flights.values()
    assert flight.open
    desk.written.make_room()
    desk.written.chronicle.flush()
    assert flight.state is FlightState.MISSED


def test_the_next_one_leaves_when_nothing_speaks_against_it(desk):
    objecting(desk, Refusal.STALE)
    assert desk.send() is None
    objecting(desk, None)
    assert desk.send().state is FlightState.SENT


def test_the_executor_looks_again_before_every_order():
    source = Path(executor.__file__).read_text()
    assert "look_again=self._around.objection" in source


@pytest.mark.parametrize(
    ("answer", "state", "counter"),
    [
        (NoReply(sent=True, reason="reset"), LegState.DOUBT, "orders_doubt"),
        (Reply(500, b"oops"), LegState.DOUBT, "orders_doubt"),
        (Reply(200, b"\xff not json"), LegState.DOUBT, "orders_doubt"),
        (Reply(200, b"[]"), LegState.DOUBT, "orders_doubt"),
        (Reply(200, b"null"), LegState.DOUBT, "orders_doubt"),
        (Reply(200, b'[{"orderID":null,"status":null},null,7]'), LegState.DOUBT, "orders_doubt"),
    ],
)
def test_whatever_the_answer_is_each_order_has_one_word_and_nothing_leaves_again(
    desk, answer, state, counter
):
    flight = desk.send()
    desk.hear(flight, answer)
    assert [leg.state for leg in flight.legs] == [state] * 3
    assert desk.counters[counter] == 3
    assert len(desk.wire.given) == 1


def test_what_a_refusal_means_for_all_that_follow_is_noted(desk):
    flight = desk.send()
    desk.hear(flight, Reply(429, b'{"error":"Too Many Requests"}', 10**9))
    assert desk.signs.throttled_until_ms > desk.signs.now_ms
    assert all(leg.reason is LegReason.THROTTLED for leg in flight.legs)
    assert desk.said


def test_an_answer_while_the_disk_is_full_waits_and_counts_once(desk):
    flight = desk.send()
    desk.written.fill_disk()
    desk.hear(flight, NoReply(sent=True, reason="reset"))
    assert [leg.state for leg in flight.legs] == [LegState.SENT] * 3
    desk.written.make_room()
    desk.written.chronicle.flush()
    assert [leg.state for leg in flight.legs] == [LegState.DOUBT] * 3
    assert desk.counters["orders_doubt"] == 3


def test_room_that_ends_between_writing_and_sending_changes_nothing_about_the_order_of_things(desk):
    """SENT finds no room: it waits, and the answer waits behind it."""
    ready = desk.ready()
    pen = desk.written.disk
    began = desk.wire.begin

    def begin(request) -> int:
        pen.error = 28
        return began(request)

    desk.wire.begin = begin
    flight = desk.dispatcher.send(ready, desk.wire)
    assert flight.state is FlightState.INTENT
    assert desk.written.chronicle.blocked
    desk.hear(flight, NoReply(sent=True, reason="reset"))
    desk.written.make_room()
    desk.written.chronicle.flush()
    assert flight.state is FlightState.RESOLVING
    digest = desk.written.state.digest()
    desk.written.reopen()
    assert desk.written.state.digest() == digest
