"""Hazards A20 to A32, D1 to D6: money, markets, cancels, twins of us, and the disk."""

import asyncio
import errno
import os
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from executor import admission, failpoints, journal
from executor.breaker import Signs, demands
from executor.cancelling import NotDone, judge
from executor.exposure import Exposure
from executor.fold import apply_all
from executor.gate import Admitted
from executor.http import Reply
from executor.journal import Journal, JournalFull, JournalPoisoned
from executor.modes import worst
from executor.repairing import needs_repair
from executor.risk import refusal as risk_refusal
from executor.situation import Surroundings
from executor.snapshot import draft
from executor.state import State
from executor.venue import Unavailable
from shm import records
from shm.codes import Cause, Exchange, LegReason, LegState, Mode, Purpose, Refusal
from shm.errors import ConfigError, JournalError, JournalGone, JournalOlder, RoleTaken
from shm.journal_files import Place
from shm.kill import pressed, request_kill
from shm.limits import JournalSettings, RiskSettings
from shm.records import Kind
from shm.settings import ExecutorSettings, Settings
from shm.stillness import Stillness
from tests.crash.faults import rule
from tests.crash.hand import by_hand, hand, legs_of, scenario, tokens
from tests.crash.test_hazards_orders import asked
from tests.executor.test_gate import MARKETS, signal, situation
from tests.executor.test_risk import PRICES, standing, wanted

LIMITS = RiskSettings()
POSTS = "POST /orders"
FILLED, REFUSED = "FILLED", "REFUSED"


@scenario
async def test_a20_missing_cash_is_a_definite_no_and_only_what_reduces_is_sent_until_compared(
    tmp_path,
):
    async with hand(tmp_path) as one:
        await one.rules({"at": "clock", "then": {"do": "withdraw", "usd": "all"}})
        await one.client.call("GET", "/sim/state")
        flight = await one.send()
        assert list(legs_of(flight)) == [REFUSED] * 3
        assert {leg.reason for leg in flight.legs} == {LegReason.BALANCE}
        assert asked(one) == (Mode.REDUCE_ONLY, Cause.BALANCE)
        found = await one.reconciler.compare(LIMITS, positions=True)
        assert found is not None
        assert found.cash_usd_e6 < 0
        assert one.posts() == 1


@scenario
async def test_a21_a_tick_that_changes_on_the_way_refuses_its_leg_and_no_other(tmp_path):
    change = {"at": "order", "when": {"leg": 2}, "then": {"do": "tick", "tick": "0.1"}}
    async with hand(tmp_path) as one:
        await one.rules(change)
        wishes = [one.wish(0), one.wish(1, price_e4=5_010), one.wish(2)]
        flight = await one.send(*wishes)
        assert flight.legs[0].state is LegState.FILLED
        assert {leg.state for leg in flight.legs} <= {LegState.FILLED, LegState.REFUSED}
        await one.require_agreement()


def quotes_of(limits=PRICES):
    from tests.executor.test_risk import OUTCOMES, quote

    return {row: quote(p, o) for row, (p, o) in enumerate(zip(limits, OUTCOMES, strict=True))}


def admitted(situation_, prices=PRICES, one=None):
    given = signal(prices, size=20) if one is None else one
    limits = (ExecutorSettings(max_signal_age_ms=100), LIMITS)
    return admission.admit(given, situation_, standing(), quotes_of(prices), limits)


def test_a21_a_tick_that_the_book_shows_and_the_limit_is_not_on_is_refused():
    assert isinstance(admitted(situation()), Admitted)
    assert admitted(situation(ticks_e4={1: 1_000})) is Refusal.MARKET


def test_a22_an_edge_is_computed_again_with_the_fee_of_this_moment():
    dearer = {row: one._replace(fee_rate_e6=250_000) for row, one in MARKETS.items()}
    assert admitted(situation(markets=dearer)) in {Refusal.DAMAGED, Refusal.EDGE}


@scenario
async def test_a23_a_market_that_closes_between_two_legs_refuses_the_rest_and_keeps_the_exposure(
    tmp_path,
):
    closing = {
        "at": "order",
        "when": {"leg": 2},
        "then": {"do": "accepting", "on": False, "market": tokens(1)[0]},
    }
    async with hand(tmp_path) as one:
        await one.rules(closing)
        flight = await one.send()
        await one.until(lambda: flight.state.name == "NAKED", "naked")
        states = [leg.state for leg in flight.legs]
        assert LegState.REFUSED in states
        assert LegState.FILLED in states
        assert one.chronicle.state.exposure().total_usd_e6 > 0
        await one.require_agreement()


def test_a23_a_market_that_is_not_active_gets_no_new_legs():
    from shm.codes import MarketState

    closed = MARKETS | {1: MARKETS[1]._replace(state=MarketState.RETIRED)}
    assert admitted(situation(markets=closed)) is Refusal.MARKET


@pytest.mark.parametrize("exchange", [Exchange.NEG_RISK, Exchange.STANDARD])
@scenario
async def test_a24_a25_an_order_for_the_wrong_contract_is_refused_and_halts(exchange, tmp_path):
    async with hand(tmp_path) as one:
        wish = one.wish()
        wish = wish._replace(market=wish.market._replace(exchange=exchange))
        flight = await one.send(wish)
        if exchange is Exchange.STANDARD:
            assert list(legs_of(flight)) == [FILLED]
        else:
            assert one.accepted() == []
            assert asked(one)[0] is Mode.HALTED
        await one.settled()


@scenario
async def test_a26_a_cancel_that_is_declined_or_lost_has_cancelled_nothing(tmp_path):
    delayed = rule("order", "delay", ms=800)
    declined = rule("cancelling", "decline", reason="order is being processed")
    async with hand(tmp_path, delayed, declined) as one:
        flight = await one.send(one.wish())
        assert isinstance(await one.venue.cancel_all(), Unavailable)
        assert flight.legs[0].open
        assert one.chronicle.state.reserved_usd_e6 > 0
        await one.rules(delayed, rule("cancelling", "answer", kind="gateway_timeout"))
        assert isinstance(await one.venue.cancel_all(), Unavailable)
        assert flight.legs[0].open
        await one.settled()
        await one.require_agreement()


def test_a27_a_cancel_that_has_to_wait_is_told_how_long():
    answer = judge(Reply(429, b'{"error": "cancel budget"}', retry_after_s=9))
    assert answer == NotDone('HTTP 429: {"error": "cancel budget"}', answered=True, retry_after_s=9)


@pytest.mark.parametrize("late_ms", [300, 1_500])
@scenario
async def test_a28_an_order_that_arrives_after_everybody_gave_up_is_counted(late_ms, tmp_path):
    held = rule("placing", "hold", when={"once": True}, ms=late_ms)
    async with hand(tmp_path, held, doubt_settle_ms=300) as one:
        flight = await one.send()
        assert await one.venue.cancel_all() is None
        assert list(legs_of(flight)) == ["DOUBT"] * 3
        if late_ms > 1_000:
            await one.settled()
            assert list(legs_of(flight)) == ["NEVER_LANDED"] * 3
        await one.until(lambda: list(legs_of(flight)) == [FILLED] * 3, "they turned up")
        assert one.posts() == 1
        await one.require_agreement()


@scenario
async def test_a28_until_the_window_is_over_its_money_is_reserved(tmp_path):
    async with hand(tmp_path, rule(POSTS, "drop"), doubt_settle_ms=1_500) as one:
        await one.send()
        for _ in range(5):
            await one.turn()
            await asyncio.sleep(0.05)
        assert one.chronicle.state.reserved_usd_e6 == 30_000_000
        assert one.chronicle.state.exposure().doubts == {1: 1}


@scenario
async def test_a29_a_signal_that_comes_again_after_a_restart_is_known(tmp_path):
    async with hand(tmp_path) as one:
        await one.send()
        await one.again()
        last = one.chronicle.state.last_signal
        assert last == 1
        again = signal(PRICES, size=20, signal=last)
        assert admitted(situation(last_signal=last), one=again) is Refusal.DUPLICATE
        following = signal(PRICES, size=20, signal=last + 1)
        assert isinstance(admitted(situation(last_signal=last), one=following), Admitted)


@scenario
async def test_a30_d5_a_second_executor_of_the_wallet_does_not_start(tmp_path):
    async with hand(tmp_path) as one:
        wallet = bytes.fromhex(one.wallet[2:])
        for folder in (tmp_path / "journal", tmp_path / "elsewhere"):
            with pytest.raises(RoleTaken):
                Journal.open(folder, wallet, JournalSettings(), root=tmp_path, threaded=False)


def test_a31_nothing_is_sent_after_the_latch():
    """A batch is one write to one socket: there is no instant between two of its legs."""
    assert risk_refusal(wanted(), standing(killed=True), LIMITS) is Refusal.KILLED
    assert risk_refusal(wanted(), standing(mode=Mode.HALTED), LIMITS) is Refusal.MODE


D1 = JournalSettings(segment_records=1024, durability="D1", sync_above_usd_e6=1)
D2 = JournalSettings(segment_records=1024, durability="D2")


def last_look(one, still, decided_ns):
    """What the executor asks right before bytes leave; the kill switch is its real file."""
    kill = SimpleNamespace(requested=lambda: False, look=lambda: bool(pressed(one.folder)))
    stage = SimpleNamespace(kill=kill, settings=Settings(executor=ExecutorSettings()))
    around = SimpleNamespace(_stage=stage, _looked_ns=0, held_up=still.unheeded(0))
    return Surroundings.objection(around, decided_ns)


@pytest.mark.parametrize("journal_settings", [D1, D2], ids=["D1", "D2"])
@pytest.mark.parametrize(
    ("why", "refused"),
    [("kill", Refusal.KILLED), ("age", Refusal.STALE), ("standstill", Refusal.STALE)],
)
@scenario
async def test_a31_d2_c5_no_byte_leaves_after_a_kill_or_too_late_however_long_the_disk_takes(
    journal_settings, why, refused, tmp_path, monkeypatch
):
    clock_ns, sync, synced = [10**12], os.fdatasync, []
    still = Stillness(lambda: clock_ns[0])

    def slow(fd):
        sync(fd)
        synced.append(fd)
        if why == "kill":
            request_kill(tmp_path, "test")
        elif why == "standstill":
            clock_ns[0] += 10**10
        else:
            time.sleep(2 * ExecutorSettings().max_signal_age_ms / 1e3)

    async with hand(tmp_path, journal=journal_settings) as one:
        one.dispatcher._look_again = partial(last_look, one, still)
        await one.venue.warm()
        connection = one.venue.idle_connection()
        ready = one.build([one.wish(number) for number in range(3)])
        with monkeypatch.context() as context:
            context.setattr(journal.os, "fdatasync", slow)
            decided_ns = time.monotonic_ns() if why == "age" else 0
            assert one.dispatcher.send(ready, connection, decided_ns) is None
        assert synced
        assert one.dispatcher.why_not is refused
        (flight,) = one.chronicle.state.flights.values()
        assert list(legs_of(flight)) == ["NEVER_LANDED"] * 3
        assert (flight.state.name, one.chronicle.state.reserved_usd_e6) == ("MISSED", 0)
        assert asked(one) is None
        await one.again()
        assert one.chronicle.state.open_flights == []
        assert one.posts() == 0
        await one.require_agreement()


def test_a32_a_runaway_sends_no_more_than_the_burst():
    from executor.tempo import Bucket

    bucket, sent, now_ns = Bucket(LIMITS.orders_per_second, LIMITS.orders_burst), 0, 10**12
    for tick in range(10_000):  # one second of 10,000 signals
        at_ns = now_ns + tick * 100_000
        state = standing(order_tokens=bucket.room(at_ns))
        if risk_refusal(wanted(), state, LIMITS) is None:
            bucket.take(at_ns, 3)
            sent += 3
    assert sent <= LIMITS.orders_burst + LIMITS.orders_per_second


def test_a32_more_orders_on_the_wire_than_were_meant_halt():
    signs = Signs(now_ms=1, orders_intended=3, orders_on_wire=4)
    deepest = worst(Mode.ARMED, demands(State(), Exposure(), signs, LIMITS))
    assert deepest is not None
    assert (deepest.mode, deepest.cause) == (Mode.HALTED, Cause.RUNAWAY)


@scenario
async def test_a32_what_leaves_is_counted_at_the_socket(tmp_path):
    async with hand(tmp_path, rule(POSTS, "lose")) as one:
        await one.send()
        await one.send(one.wish(1))
        assert asked(one) is None
        assert (one.signs.orders_intended, one.signs.orders_on_wire) == (4, 4)
        await one.again()
        await one.settled()
        assert asked(one) is None
        assert (one.signs.orders_intended, one.signs.orders_on_wire) == (0, 0)


@scenario
async def test_a32_an_order_that_is_sent_again_past_everybody_halts(tmp_path):
    async with hand(tmp_path) as one:
        await one.venue.warm()
        connection = one.venue.idle_connection()
        ready = one.build([one.wish()])
        request = bytes(ready.request)
        await one.dispatcher.answer(one.dispatcher.send(ready, connection), connection, 1.0)
        assert asked(one) is None
        connection.begin(request)
        await connection.finish(1.0)
        assert asked(one) == (Mode.HALTED, Cause.RUNAWAY)
        assert "2 orders left" in demands(State(), Exposure(), one.signs, LIMITS)[0].text


@scenario
async def test_a5_a_user_channel_that_is_silent_loses_no_fill(tmp_path):
    async with hand(tmp_path, rule("user", "lose")) as one:
        flight = await one.send()
        assert list(legs_of(flight)) == [FILLED] * 3
        assert flight.open
        await one.until(lambda: flight.state.name == "COMPLETE", "the fills are found")
        await one.require_agreement()


@scenario
async def test_a4_a_fill_that_comes_while_the_ledger_is_opened_counts(tmp_path):
    async with hand(tmp_path, rule("user", "late", ms=300)) as one:
        await one.send()
        early = one.intake
        early._open = False  # as between log-in and OPENED
        await one.until(lambda: early._early, "fills came")
        early.open()
        await one.require_agreement()


@scenario
async def test_a16_there_is_one_repair_at_a_time(tmp_path):
    async with hand(tmp_path, rule("order", "kill", when={"leg": 1, "nth": 1})) as one:
        flight = await one.send()
        await one.settled()
        ledger = one.chronicle.state.ledger
        assert needs_repair(flight, ledger)
        await one.rules(rule(POSTS, "lose"), rule("user", "late", ms=1_500))
        basket = one.basket(1)._replace(parent=flight.id, purpose=Purpose.REPAIR)
        ready = one.launcher.build(one.chronicle.next_flight, basket, [one.wish(0)])
        await one.venue.warm()
        connection = one.venue.idle_connection()
        repair = one.dispatcher.send(ready, connection)
        assert not needs_repair(flight, ledger)
        await one.dispatcher.answer(repair, connection, 0.2)
        assert not needs_repair(flight, ledger)
        await one.until(lambda: flight.state.name == "COMPLETE", "repaired")
        await one.require_agreement()


@scenario
async def test_a30_an_order_of_somebody_else_halts(tmp_path):
    async with hand(tmp_path) as one:
        await one.send(one.wish(1))
        await one.settled()
        await one.rules(by_hand())
        state = one.chronicle.state
        await one.until(lambda: state.strangers, "it is seen")
        found = demands(state, state.exposure(), one.signs, LIMITS)
        assert (Mode.HALTED, Cause.STRANGER) in {(d.mode, d.cause) for d in found}


@scenario
async def test_an_intent_can_only_ever_be_one_order(tmp_path):
    async with hand(tmp_path) as one:
        basket, wishes = one.basket(1), [one.wish()]
        first = [one.launcher.build(7, basket, wishes).intents[0].order_hash for _ in range(3)]
        assert len(set(first)) == 1
        assert one.launcher.build(8, basket, wishes).intents[0].order_hash not in first


# --- the disk ---------------------------------------------------------------------------------


@scenario
async def test_d1_without_a_record_nothing_is_sent_and_cancelling_still_works(
    tmp_path, monkeypatch
):
    async with hand(tmp_path) as one:
        await one.venue.warm()
        pen = one.journal._pen

        class Full:
            def write_orders(self, *_):
                return -errno.ENOSPC

            def __getattr__(self, name):
                return getattr(pen, name)

        one.journal._pen = Full()
        connection = one.venue.idle_connection()
        assert one.dispatcher.send(one.build([one.wish()]), connection) is None
        assert "no room" in one.chronicle.trouble
        one.signs.journal_trouble = one.chronicle.trouble
        assert asked(one) == (Mode.HALTED, Cause.JOURNAL)
        assert one.posts() == 0
        assert await one.venue.cancel_all() is None
        one.journal._pen = pen
        await one.send()
        await one.require_agreement()


@scenario
async def test_d1_what_happened_while_the_disk_was_full_is_written_when_there_is_room(tmp_path):
    async with hand(tmp_path) as one:
        append, full = one.journal.append, [True]

        def write(drafts, *, durable=False):
            return JournalFull("full") if full[0] else append(drafts, durable=durable)

        one.chronicle.say(Kind.MARK, records.Mark(1, 2))
        one.journal.append = write
        one.chronicle.say(Kind.MARK, records.Mark(3, 4))
        assert one.chronicle.blocked
        assert len(one.chronicle.state.marks) == 1
        full[0] = False
        one.chronicle.flush()
        assert not one.chronicle.blocked
        assert one.chronicle.state.marks[-1].worth_usd_e6 == 4


def test_d2_a_sync_that_fails_is_final(tmp_path, monkeypatch):
    one = Journal.open(tmp_path / "j", bytes(20), JournalSettings(), root=tmp_path, threaded=False)

    def fail(_fd):
        raise OSError(errno.EIO, "Input/output error")

    one.append([draft(Kind.MARK, records.Mark(1, 2))])
    with monkeypatch.context() as context:
        context.setattr(journal.os, "fdatasync", fail)
        assert isinstance(one.sync(), JournalPoisoned)
    assert isinstance(one.append([draft(Kind.MARK, records.Mark(1, 2))]), JournalPoisoned)
    assert isinstance(one.sync(), JournalPoisoned)
    from executor.chronicle import Chronicle

    with pytest.raises(JournalError):
        Chronicle(one, lambda _turn: None).require_disk()


def filled(folder, count=20):
    """A journal with some records, closed; where its segment is, and how long it is."""
    one = Journal.open(folder / "j", bytes(20), JournalSettings(), root=folder, threaded=False)
    for number in range(count):
        one.append([draft(Kind.MARK, records.Mark(number, number))])
    end = one._offset
    one.close()
    return Place(folder / "j").segment(1), end


def reopened(folder):
    one = Journal.open(folder / "j", bytes(20), JournalSettings(), root=folder, threaded=False)
    state = apply_all(State(), one.found)
    one.close()
    return state


def test_d3_damage_before_the_end_halts_and_names_the_record(tmp_path):
    path, end = filled(tmp_path)
    data = bytearray(path.read_bytes())
    data[end // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match="record"):
        reopened(tmp_path)


def test_d3_a_torn_end_that_was_never_acknowledged_is_cut(tmp_path):
    path, end = filled(tmp_path)
    with path.open("r+b") as file:
        file.seek(end)
        file.write(b"PTJL" + bytes(100))
    assert len(reopened(tmp_path).marks) == 20


def test_d4_a_journal_that_is_gone_or_an_older_copy_is_refused(tmp_path):
    path, _ = filled(tmp_path)
    older = path.read_bytes()
    one = Journal.open(tmp_path / "j", bytes(20), JournalSettings(), root=tmp_path, threaded=False)
    one.append([draft(Kind.MARK, records.Mark(99, 99))], durable=True)
    one.close()
    newer = path.read_bytes()
    path.write_bytes(older)
    with pytest.raises(JournalOlder):
        reopened(tmp_path)
    path.unlink()
    with pytest.raises(JournalGone):
        reopened(tmp_path)
    path.write_bytes(newer)
    path.chmod(0o600)
    assert reopened(tmp_path).marks[-1].worth_usd_e6 == 99


@scenario
async def test_d6_a_segment_that_is_full_is_followed_by_one_that_begins_with_the_state(tmp_path):
    async with hand(tmp_path) as one:
        await one.send()
        await one.settled()
        while not one.journal.full:
            one.chronicle.say(Kind.MARK, records.Mark(1, 2))
        before = one.chronicle.state.picture()
        one.chronicle.rotate_when_full()
        assert one.journal.segment == 2
        assert apply_all(State(), one.journal_entries()).picture() == before
        await one.again()
        await one.require_agreement()


# --- failpoints ---------------------------------------------------------------------------------


def test_failpoints_are_refused_with_real_money_and_under_unknown_names():
    with pytest.raises(ConfigError, match="real money"):
        failpoints.prepare("orders-written", live=True)
    for text in ("orders", "orders-written:0", "orders-written:x", "armed:-1"):
        with pytest.raises(ConfigError, match="none of"):
            failpoints.prepare(text, live=False)
    failpoints.prepare(None, live=True)
    failpoints.prepare("", live=True)


def test_a_failpoint_kills_at_its_nth_pass_and_not_before(tmp_path):
    for passes in (1, 3):
        pid = os.fork()
        if pid == 0:
            failpoints.prepare(f"orders-written:{passes}", live=False)
            for done in range(5):
                failpoints.reach("orders-begun")
                (tmp_path / f"{passes}-{done}").touch()
                failpoints.reach("orders-written")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
        assert len(list(tmp_path.glob(f"{passes}-*"))) == passes


def test_every_failpoint_is_somewhere_in_the_executor():
    sources = Path(failpoints.__file__).parent.glob("*.py")
    text = "".join(path.read_text() for path in sources if path.name != "failpoints.py")
    modes = {mode.name.lower() for mode in Mode}
    for name in failpoints.NAMES:
        of_a_mode = name.removesuffix("-unwritten") in modes
        assert f'reach("{name}")' in text or of_a_mode, name
