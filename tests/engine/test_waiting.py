"""D-11, its second half: what stands still is looked at again, and never too often."""

import pytest

from engine.core import make_core
from engine.reference import PythonCore
from engine.waiting import RETRY_BATCH, RETRY_DOUBLINGS, RETRY_FIRST_NS, Queue
from shm import backend
from shm.codes import ReportKind, Role, Verdict
from shm.control import SwitchPanel
from shm.fabric import Fabric
from shm.layout import ENGINE_STATS
from tests.conftest import require_or_skip
from tests.engine.test_lessons import LOW, MS, TRIO, Desk, good_trio


@pytest.fixture(params=["plain", "compiled"])
def desk(request, instance) -> Desk:
    if request.param == "plain":
        return Desk(instance, PythonCore)
    require_or_skip(backend.NATIVE, "the compiled kernels")
    return Desk(instance, make_core)


def later(desk: Desk, by_ms: float, *, heard: bool = True):
    """Time passes, no book changes; the signals that it led to."""
    desk.now_ns += int(by_ms * MS)
    if heard:
        desk.ingest.beat(desk.now_ns)
    desk.core.release_overdue(desk.now_ns)
    desk.core.retry(desk.now_ns)
    return desk.news()


def counters(desk: Desk):
    return desk.fabric.counters("stats-engine.counters", ENGINE_STATS, write=False).read()


def test_after_a_refusal_it_is_looked_at_at_once(desk):
    desk.trade(TRIO)
    (first,) = good_trio(desk)
    assert later(desk, 1) == [], "it is on its way"
    desk.report(first, ReportKind.REFUSED)
    (second,) = later(desk, 0)
    assert (second.basket, second.size_e6) == (first.basket, first.size_e6)
    assert second.signal > first.signal
    assert second.frame_ns == second.seen_ns == desk.now_ns, "no frame has led to it"


def test_an_executor_that_goes_on_refusing_is_asked_less_and_less(desk):
    desk.trade(TRIO)
    (signal,) = good_trio(desk)
    began_ns, asked_ns = desk.now_ns, []
    for _ in range(900):
        desk.report(signal, ReportKind.REFUSED)
        for news in later(desk, 1):
            asked_ns.append(desk.now_ns - began_ns)
            signal = news
    assert [ns // MS for ns in asked_ns] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_a_changed_book_starts_the_patience_anew(desk):
    desk.trade(TRIO)
    (signal,) = good_trio(desk)
    for _ in range(6):
        desk.report(signal, ReportKind.REFUSED)
        (signal,) = later(desk, 100)
    desk.report(signal, ReportKind.REFUSED)
    (signal,) = desk.tell(LOW)
    desk.report(signal, ReportKind.REFUSED)
    assert later(desk, 0), "and at once, again"


def test_after_its_cooldown_it_is_looked_at_and_not_before(desk):
    desk.trade(TRIO)
    (first,) = good_trio(desk)
    desk.report(first, ReportKind.SENT)  # a cooldown of 100 ms
    desk.report(first, ReportKind.MISSED)
    assert good_trio(desk, 101) == []  # the books have moved on: its markets are free
    assert later(desk, 99) == []
    (second,) = later(desk, 1)
    assert second.basket == first.basket


def test_when_ingest_is_heard_again_it_is_looked_at(desk):
    desk.trade(TRIO)
    desk.ingest.beat(desk.now_ns)
    desk.now_ns += 1_001 * MS
    for one, bid, ask in (
        (TRIO[0], 5_900, 6_000),
        (TRIO[2], 3_500, 3_600),
        (TRIO[1], 3_000, 3_100),
    ):
        desk.write(one, (bid, 100), (ask, 100))
        desk.core.take(_update(desk, one), desk.now_ns)
    assert desk.news() == []
    assert desk.core.verdict(desk.number()) is Verdict.STALE
    assert later(desk, 5, heard=False) == []
    assert later(desk, 10)


def _update(desk: Desk, of):
    from shm.layout import Update

    return Update(of.row, 0, 0, 0, desk.now_ns, desk.now_ns, desk.now_ns)


def test_when_trading_is_allowed_it_is_looked_at(desk, instance):
    panel = SwitchPanel(Fabric(instance, Role.DESK))
    desk.trade(TRIO)
    panel.set_trading(enabled=False)
    assert good_trio(desk) == []
    assert later(desk, 400) == []
    panel.set_trading(enabled=True)
    assert later(desk, 400)


def test_when_the_edge_has_gone_meanwhile_it_is_forgotten(desk):
    desk.trade(TRIO)
    (first,) = good_trio(desk)
    desk.write(LOW, (6_500, 100), (6_600, 100))
    desk.tell(LOW)
    desk.report(first, ReportKind.REFUSED)
    before = counters(desk).retries
    assert later(desk, 2) == []
    assert later(desk, 2_000) == []
    assert counters(desk).retries == before


def test_what_stands_at_a_new_generation_is_looked_at(desk):
    """Other thresholds, say, come as a new plan: no book has changed."""
    desk.trade(TRIO)
    desk.core.adopt(desk.core.prepare(desk.baskets, [10**9] * len(desk.baskets)), 2)
    assert good_trio(desk) == []
    desk.core.adopt(desk.core.prepare(desk.baskets, [1] * len(desk.baskets)), 3)
    assert later(desk, 0)


def test_the_same_reason_is_counted_once(desk):
    desk.trade(TRIO)
    SwitchPanel(Fabric(desk.fabric.instance, Role.DESK)).set_trading(enabled=False)
    good_trio(desk)
    before = counters(desk)
    for _ in range(50):
        later(desk, 100)
    after = counters(desk)
    assert after.retries > before.retries + 5
    assert after.held_disabled == before.held_disabled


# --- the queue itself ---------------------------------------------------------------------------


def test_a_turn_looks_at_a_batch_at_most_and_the_rest_comes_next():
    queue = Queue(150)
    queue.wait_for_all()
    looked = []
    while queue.order:
        before = len(looked)
        assert queue.pass_by(5, looked.append)
        assert len(looked) - before <= RETRY_BATCH
    assert sorted(looked) == list(range(150))
    assert not queue.pass_by(5, looked.append)


def test_a_basket_is_in_the_queue_once_however_often_it_is_put_there():
    queue = Queue(3)
    for due_ns in range(1, 100):
        queue.wait_until(1, due_ns)
    assert queue.order == [1]
    assert queue.next_due_ns() == 99


def test_no_pause_is_longer_than_about_a_second():
    queue = Queue(1)
    for tries in (RETRY_DOUBLINGS + 1, 100, 10**6):
        queue.tries[0] = tries
        queue.judged(0, Verdict.BUSY, 7, 0)
        assert queue.due_ns[0] - 7 == RETRY_FIRST_NS << RETRY_DOUBLINGS < 1.1e9
