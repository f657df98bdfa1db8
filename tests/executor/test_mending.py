"""Mending: what is decided is carried out once; while anything hangs, nothing is sent."""

import time
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from executor import mending
from executor.dispatch import Dispatcher
from executor.launching import Launcher
from executor.mending import Mender
from executor.repairing import REPAIRS_MAX, Decision, Step
from executor.risk import REPAIR_OVERDRAFT
from shm.codes import Cause, FlightState, LegState, Mode, Purpose, Side
from shm.settings import Settings
from shm.stillness import LIMIT_NS
from tests.executor.stand import Stand
from tests.executor.test_launching import ACCOUNT
from tests.executor.written import MARKETS, SIZE_E6

F, K, D = LegState.FILLED, LegState.KILLED, LegState.DOUBT
MANY = 1_000 * SIZE_E6
SHORT_OF_TIME = replace(Settings(), risk=replace(Settings().risk, max_naked_ms=1))


class Desk(Stand):
    """A mender whose wire keeps what it is given."""

    def __init__(self, segments, folder) -> None:
        super().__init__(segments, folder)
        self.given, self.kept = [], []
        self.wire = SimpleNamespace(begin=lambda request: self.given.append(bytes(request)) or 5)
        self.venue.idle_connection = lambda: self.wire if self.venue.idle else None
        self.onlookers.begin(self.state)
        self.begin()
        self.around.look(taking=False)
        self.dispatcher = Dispatcher(
            self.written.chronicle, self.counters, self.around.signs, lambda _text: None
        )
        self.mender = Mender(
            self.written.chronicle, self.around, self.books, self.counters,
            venue=self.venue, dispatcher=self.dispatcher, keep=self.keep,
        )  # fmt: skip
        self.launcher = Launcher(ACCOUNT, self.written.journal.journal_id)
        self.prices()

    def keep(self, work) -> None:
        self.kept.append(work)
        work.close()

    def prices(self, ask_e4: int = 6_000, bid_e4: int = 5_900, **some: int) -> None:
        for one in MARKETS:
            self.book(one, [(bid_e4, MANY)], [(ask_e4, MANY)], **some)

    def awake(self) -> None:
        """A loaded machine may have held the test up; that is no subject here."""
        self.stage.still.look()
        self.around.signs.stops_heeded = self.stage.still.stops

    def look(self, settings=None) -> None:
        self.feed.beat(time.monotonic_ns())
        self.awake()
        self.mender.look(self.launcher, settings or Settings())

    def naked(self, *states: LegState):
        flight = self.written.launch(created_ms=time.time_ns() // 1_000_000)
        states = states or (F, F, K)
        self.written.reply(flight, *states)
        for place, state in enumerate(states):
            if state is F:
                self.written.fill(flight, place, at_ms=flight.created_ms)
        return flight


@pytest.fixture
def desk(segments, tmp_path):
    return Desk(segments, tmp_path)


def test_legs_that_stand_alone_are_repaired_once_and_not_again_while_that_hangs(desk):
    flight = desk.naked()
    assert flight.state is FlightState.NAKED
    for _ in range(5):
        desk.look()
    assert len(desk.given) == 1
    (repair,) = flight.repairs
    assert (repair.purpose, repair.parent) == (Purpose.REPAIR, flight.id)
    assert desk.counted("repairs_sent") == 1
    desk.written.reply(repair, *[D] * len(repair.legs))
    for _ in range(5):
        desk.look()
    assert len(desk.given) == 1


def test_a_repair_that_filled_completes_the_basket(desk):
    flight = desk.naked()
    desk.look()
    (repair,) = flight.repairs
    desk.written.reply(repair, *[F] * len(repair.legs))
    for place in range(len(repair.legs)):
        desk.written.fill(repair, place)
    assert flight.state in {FlightState.COMPLETE, FlightState.UNWOUND}
    desk.look()
    assert len(desk.given) == 1


def test_attempts_that_are_killed_end_and_what_is_left_is_kept(desk):
    flight = desk.naked()
    for _ in range(REPAIRS_MAX + 3):
        desk.around.bucket.level_ns, desk.around.bucket.at_ns = -1, 0  # pace is not the subject
        desk.look()
        if flight.repairs:
            last = flight.repairs[-1]
            if last.state is FlightState.SENT:
                desk.written.reply(last, *[K] * len(last.legs))
    assert len(desk.given) == REPAIRS_MAX
    assert flight.state is FlightState.PARTIAL
    assert desk.counted("repairs_held") == 1


@pytest.mark.parametrize(
    ("mode", "sends"),
    [(Mode.ARMED, 1), (Mode.REDUCE_ONLY, 1), (Mode.THROTTLED, 0), (Mode.CANCEL_ONLY, 0),
     (Mode.HALTED, 0)],
)  # fmt: skip
def test_a_repair_leaves_only_in_the_modes_that_allow_it(desk, mode, sends):
    desk.naked()
    if mode is not Mode.ARMED:
        desk.written.move(mode, Cause.DAY_LOSS)
    desk.look()
    assert len(desk.given) == sends


def test_nothing_leaves_after_the_kill_without_a_connection_or_beyond_the_pace(desk):
    desk.naked()
    desk.killed = True
    desk.look()
    desk.killed, desk.venue.idle = False, False
    desk.look()
    desk.venue.idle = True
    desk.around.bucket.take(time.monotonic_ns(), desk.around.bucket.burst + REPAIR_OVERDRAFT)
    desk.around.bucket.per_second = 0
    desk.look()
    assert desk.given == []


def test_nobody_repairs_by_books_that_have_not_changed_for_too_long(desk):
    flight = desk.naked()
    limit_ns = Settings().risk.max_quote_age_ms * 1_000_000
    desk.prices(received_ns=time.monotonic_ns() - limit_ns - 1)
    desk.look()
    assert desk.given == []
    assert desk.state.flights[flight.id].state is FlightState.NAKED
    desk.prices()
    desk.look()
    assert len(desk.given) == 1


def test_e2_after_a_standstill_nobody_repairs_or_gives_up_before_all_was_compared(desk):
    flight = desk.naked()
    desk.stage.still._looked_ns -= 10 * LIMIT_NS
    for _ in range(2):  # first nobody has heeded it, then it is being compared
        desk.mender.look(desk.launcher, SHORT_OF_TIME)
        assert desk.given == []
        assert desk.state.flights[flight.id].state is FlightState.NAKED
        desk.around.signs.stood_still = "stood still for 15.0 s"
        desk.stage.still.look()
        desk.around.signs.stops_heeded = desk.stage.still.stops
    desk.around.signs.stood_still = ""
    desk.look()
    assert len(desk.given) == 1


def test_nobody_repairs_while_ingest_is_silent(desk):
    desk.naked()
    limit_ns = Settings().risk.max_feed_silence_ms * 1_000_000
    desk.feed.beat(time.monotonic_ns() - limit_ns - 1)
    desk.awake()
    desk.mender.look(desk.launcher, Settings())
    assert desk.given == []
    desk.look()
    assert len(desk.given) == 1


def test_nothing_leaves_while_something_waits_to_be_written(desk):
    desk.naked()
    desk.written.fill_disk()
    desk.written.move(Mode.HALTED, Cause.KILL)
    desk.look()
    assert desk.given == []


def test_without_room_for_its_records_a_repair_is_not_sent(desk):
    flight = desk.naked()
    desk.written.fill_disk()
    desk.look()
    assert desk.given == []
    assert flight.repairs == []
    assert desk.counted("repairs_sent") == 0


def look_late(desk) -> None:
    """A look after any time that a basket may stand alone."""
    desk.awake()
    desk.mender.look(desk.launcher, SHORT_OF_TIME)


WAY_BACK = {
    Mode.HALTED: [(Mode.RECONCILING, Cause.OPERATOR), (Mode.DISARMED, Cause.CLEAN),
                  (Mode.ARMED, Cause.OPERATOR)],
    Mode.DISARMED: [(Mode.ARMED, Cause.OPERATOR)],
}  # fmt: skip


@pytest.mark.parametrize(
    "mode",
    [Mode.THROTTLED, Mode.VENUE_RESTART, Mode.CANCEL_ONLY, Mode.DISARMED, Mode.HALTED],
)
def test_no_time_runs_while_repairs_are_forbidden_and_then_the_whole_of_it(desk, mode):
    """However long a venue restarts, a halt lasts, or an operator takes to arm."""
    flight = desk.naked()
    flight.naked_ms -= 10**9
    desk.written.move(mode, Cause.OPERATOR)
    desk.state.mode_since_ms -= 10**9
    for _ in range(3):
        desk.feed.beat(time.monotonic_ns())
        look_late(desk)
    assert flight.state is FlightState.NAKED
    for then, cause in WAY_BACK.get(mode, [(Mode.ARMED, Cause.CALM)]):
        desk.written.move(then, cause)
    desk.look()
    assert len(desk.given) == 1


def test_nor_does_it_run_after_the_kill(desk):
    flight = desk.naked()
    flight.naked_ms -= 10**9
    desk.state.mode_since_ms -= 10**12
    desk.killed = True
    desk.feed.beat(time.monotonic_ns())
    look_late(desk)
    assert (flight.state, desk.given) == (FlightState.NAKED, [])


def test_nor_does_a_silent_feed_or_the_want_of_a_connection(desk):
    flight = desk.naked()
    flight.naked_ms -= 10**9
    desk.state.mode_since_ms -= 10**12
    desk.feed.beat(time.monotonic_ns() - 10**10)
    look_late(desk)
    desk.feed.beat(time.monotonic_ns())
    desk.venue.idle = False
    look_late(desk)
    assert flight.state is FlightState.NAKED
    desk.venue.idle = True
    desk.look()
    assert len(desk.given) == 1


def test_one_basket_that_waits_for_the_chain_stops_the_time_of_no_other(desk, monkeypatch):
    waiting, other = desk.naked(), desk.naked()
    since_ms = {}

    def judged(flight, *_about, budget, **_more):
        since_ms[flight.id] = budget.since_ms
        return Decision(Step.AWAIT_CHAIN if flight is waiting else Step.WAIT)

    monkeypatch.setattr(mending, "decide", judged)
    for _ in range(2):
        desk.look()
    assert since_ms[other.id] == desk.state.mode_since_ms
    assert since_ms[waiting.id] > since_ms[other.id]
    desk.written.fill(waiting, 2, at_ms=waiting.created_ms)
    desk.look()
    assert list(desk.mender._waited_ms) == []


def test_a_repair_leaves_although_baskets_have_used_up_the_pace(desk):
    desk.naked()
    desk.around.bucket.burst, desk.around.bucket.per_second = 1, 1
    desk.around.bucket.take(time.monotonic_ns(), desk.around.bucket.room(time.monotonic_ns()))
    desk.look()
    assert len(desk.given) == 1


@pytest.mark.parametrize(
    ("limits", "sides"),
    [
        ({}, {Side.BUY}),
        ({"max_naked_usd_e6": 1}, set()),  # what completing may lose
        ({"max_order_usd_e6": 1_000_000}, set()),
        ({"max_order_equity_bps": 1}, set()),
    ],
)
def test_e02_a_repair_keeps_to_the_limits_at_the_last_hop(desk, limits, sides):
    """Completing is best, at a small loss; a sale would bring less than is paid at least."""
    flight = desk.naked()
    desk.prices(ask_e4=9_000, bid_e4=3_000)
    risk = replace(Settings().risk, **limits)
    desk.look(replace(Settings(), risk=risk))
    assert {order.side for repair in flight.repairs for order in repair.legs} == sides


def sold_naked(desk, *states: LegState):
    """A trio is complete; the opposite basket, whose first leg sells its YES, ended like this."""

    at_ms = time.time_ns() // 1_000_000
    desk.written.complete(desk.written.launch(created_ms=at_ms))
    flight = desk.written.launch(created_ms=at_ms, signal=2, sold=(0,))
    desk.written.reply(flight, *states)
    for place, state in enumerate(states):
        if state is F:
            desk.written.fill(flight, place, at_ms=at_ms)
    assert flight.state is FlightState.NAKED
    return flight


def completing_is_best(desk) -> None:
    """NO of the first market is had at the middle, and for YES of the others nobody pays."""
    desk.book(MARKETS[0], [(4_900, MANY)], [(5_000, MANY)])
    for one in MARKETS[1:]:
        desk.book(one, [(200, MANY)], [(9_900, MANY)])


def only_order(desk, flight):
    (repair,) = flight.repairs
    assert len(desk.given) == 1
    (order,) = repair.legs
    return order


def test_a_sale_that_was_killed_is_completed_by_a_sale_of_what_is_still_there(desk):
    flight = sold_naked(desk, K, F, F)
    completing_is_best(desk)
    desk.look()
    order = only_order(desk, flight)
    assert (order.side, order.token) == (Side.SELL, flight.legs[0].token)


def test_where_nothing_may_be_sold_from_inventory_it_is_completed_by_a_purchase(desk):
    flight = sold_naked(desk, K, F, F)
    completing_is_best(desk)
    off = replace(Settings().executor, inventory=False)
    desk.look(replace(Settings(), executor=off))
    order = only_order(desk, flight)
    assert (order.side, order.token) == (Side.BUY, flight.legs[0].other)


def test_shares_that_another_order_has_a_claim_on_are_not_sold_by_a_repair(desk):
    flight = sold_naked(desk, K, F, F)
    completing_is_best(desk)
    desk.written.launch(created_ms=flight.created_ms, signal=3, sold=(0,))
    desk.look()
    order = only_order(desk, flight)
    assert (order.side, order.token) == (Side.BUY, flight.legs[0].other)


def test_a_sale_that_stands_alone_is_bought_back(desk):
    flight = sold_naked(desk, F, K, K)
    completing_is_best(desk)  # where the first is missing; here it would cost .99 twice
    desk.book(MARKETS[0], [(5_900, MANY)], [(6_000, MANY)])
    desk.look()
    order = only_order(desk, flight)
    assert (order.side, order.token, order.price_e4) == (Side.BUY, flight.legs[0].token, 6_000)
    repair = flight.repairs[0]
    desk.written.reply(repair, F)
    desk.written.fill(repair, 0)
    assert flight.state is FlightState.UNWOUND
    assert desk.state.ledger.holdings[flight.legs[0].token].size_e6 == SIZE_E6
    assert desk.state.exposure().naked_usd_e6 == 0
