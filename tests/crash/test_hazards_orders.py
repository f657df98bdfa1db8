"""Hazards A1 to A19: one order from its intent to the chain, on an exchange that misbehaves."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor import dispatch, intake, venue
from executor.breaker import demands
from executor.comparing import Comparison
from executor.exposure import Exposure
from executor.flights import NEXT_LEG
from executor.http import NoReply, Reply
from executor.modes import worst
from executor.repairing import Budget, Step, decide, needs_repair
from executor.replies import classify
from executor.state import State
from executor.venue import Unavailable
from shm.codes import Cause, FillStatus, FlightState, LegReason, LegState, Mode
from shm.limits import RiskSettings
from tests.crash.faults import rule
from tests.crash.hand import SIZE_E6, hand, legs_of, scenario
from tests.executor.test_legging import ASKS, BIDS, FREE, trio

LIMITS = RiskSettings()
POSTS = "POST /orders"
LATE_FILLS = rule("user", "late", ms=600)
"""Otherwise the user channel is faster than any answer."""
FILLED, KILLED, REFUSED, DOUBT = "FILLED", "KILLED", "REFUSED", "DOUBT"


class Death(BaseException):
    """Stands for SIGKILL: nobody catches it."""


def deadly(monkeypatch, module, name):
    """From now on a place of a module is the end."""

    def reach(passed):
        if passed == name:
            raise Death

    monkeypatch.setattr(module, "reach", reach)


async def die_sending(one, monkeypatch, name, module=dispatch):
    """Send three orders, die at a place, and start again without the fault."""
    with monkeypatch.context() as context:
        deadly(context, module, name)
        with pytest.raises(Death):
            await one.send()
        await asyncio.sleep(0.05)
    await one.again()


def asked(one):
    """The deepest mode that is asked for after what has been heard."""
    one.count.look(one.signs)
    found = demands(State(), Exposure(), one.signs, LIMITS)
    deepest = worst(Mode.ARMED, found)
    return (deepest.mode, deepest.cause) if deepest else None


@scenario
async def test_a1_killed_before_the_intent_is_written_nothing_was_sent_and_nothing_is_kept(
    tmp_path, monkeypatch
):
    async with hand(tmp_path) as one:
        await die_sending(one, monkeypatch, "orders-unwritten")
        assert one.chronicle.state.flights == {}
        assert one.chronicle.state.reserved_usd_e6 == 0
        assert one.posts() == 0
        await one.require_agreement()


@scenario
async def test_a2_killed_between_intent_and_bytes_it_is_looked_for_and_never_sent(
    tmp_path, monkeypatch
):
    async with hand(tmp_path) as one:
        await die_sending(one, monkeypatch, "orders-written")
        (flight,) = one.chronicle.state.flights.values()
        assert list(legs_of(flight)) == [DOUBT] * 3
        assert one.chronicle.state.reserved_usd_e6 > 0
        await one.settled()
        assert list(legs_of(flight)) == ["NEVER_LANDED"] * 3
        assert one.chronicle.state.reserved_usd_e6 == 0
        assert one.posts() == 0
        await one.require_agreement()


@pytest.mark.parametrize("place", ["orders-begun", "sent-written", "reply-unwritten"])
@scenario
async def test_a3_a4_killed_after_the_bytes_left_the_orders_are_found_and_booked_once(
    place, tmp_path, monkeypatch
):
    async with hand(tmp_path) as one:
        await die_sending(one, monkeypatch, place)
        await one.settled()
        (flight,) = one.chronicle.state.flights.values()
        assert list(legs_of(flight)) == [FILLED] * 3
        assert one.posts() == 1
        await one.require_agreement()


@scenario
async def test_a4_killed_around_the_record_of_a_fill_it_counts_once(tmp_path, monkeypatch):
    for place in ("fill-unwritten", "fill-written"):
        folder = tmp_path / place
        async with hand(folder) as one:
            with monkeypatch.context() as context:
                deadly(context, intake, place)
                await one.send()
                await asyncio.sleep(0.1)  # the channel's task has died of it
                for task in one.tasks:
                    if task.done():
                        assert isinstance(task.exception(), Death)
                one.tasks = [task for task in one.tasks if not task.done()]
            await one.again()
            await one.require_agreement()
            held = [holding.size_e6 for holding in one.chronicle.state.ledger.holdings.values()]
            assert held == [SIZE_E6] * 3


@pytest.mark.parametrize(
    "spoilt",
    [
        rule(POSTS, "lose"),
        rule(POSTS, "late", ms=2_000),
        rule(POSTS, "reset", moment="after"),
        rule(POSTS, "close", bytes=0),
        rule(POSTS, "close", bytes=120),
        rule(POSTS, "garble", how="length"),
    ],
)
@scenario
async def test_a5_a_lost_reply_leaves_a_doubt_that_ends_by_proof_without_a_second_order(
    spoilt, tmp_path
):
    async with hand(tmp_path, spoilt, LATE_FILLS) as one:
        flight = await one.send()
        assert list(legs_of(flight)) == [DOUBT] * 3
        assert one.chronicle.state.reserved_usd_e6 > 0
        await one.settled()
        assert list(legs_of(flight)) == [FILLED] * 3
        assert one.posts() == 1
        await one.require_agreement()


@scenario
async def test_a5_a_request_that_never_arrived_ends_as_never_landed(tmp_path):
    async with hand(tmp_path, rule(POSTS, "drop")) as one:
        flight = await one.send()
        assert list(legs_of(flight)) == [DOUBT] * 3
        await one.settled()
        assert list(legs_of(flight)) == ["NEVER_LANDED"] * 3
        assert one.accepted() == []
        await one.require_agreement()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "kind", ["internal", "timed_out", "bad_gateway", "unavailable", "gateway_timeout"]
)
@scenario
async def test_a6_a_server_error_proves_nothing(kind, moment, tmp_path):
    spoilt = rule(POSTS, "answer", kind=kind, moment=moment)
    async with hand(tmp_path, spoilt, LATE_FILLS) as one:
        flight = await one.send()
        assert list(legs_of(flight)) == [DOUBT] * 3
        await one.settled()
        landed = moment == "after"
        assert list(legs_of(flight)) == [FILLED if landed else "NEVER_LANDED"] * 3
        assert one.posts() == 1
        await one.require_agreement()


@scenario
async def test_a7_duplicated_proves_that_it_landed_and_the_fills_are_looked_for(tmp_path):
    spoilt = rule(POSTS, "answer", kind="duplicated", moment="after")
    async with hand(tmp_path, spoilt, LATE_FILLS) as one:
        flight = await one.send()
        assert list(legs_of(flight)) == ["LANDED"] * 3
        await one.settled()
        assert list(legs_of(flight)) == [FILLED] * 3
        await one.require_agreement()


@scenario
async def test_a8_425_is_a_definite_no_and_closes_the_shop_for_a_while(tmp_path):
    async with hand(tmp_path, rule(POSTS, "answer", kind="restarting")) as one:
        flight = await one.send()
        assert list(legs_of(flight)) == [REFUSED] * 3
        assert {leg.reason for leg in flight.legs} == {LegReason.RESTARTING}
        assert asked(one) == (Mode.VENUE_RESTART, Cause.VENUE_RESTARTING)
        one.signs.now_ms += LIMITS.fence_restart_s * 1_000 + 1
        assert asked(one) is None
        await asyncio.sleep(0.1)
        assert one.posts() == 1
        await one.require_agreement()


@pytest.mark.parametrize("kind", ["post_only_mode", "cancel_only", "disabled"])
@scenario
async def test_a9_a_venue_that_takes_no_orders_gets_none_and_cancels_are_still_tried(
    kind, tmp_path
):
    async with hand(tmp_path, rule(POSTS, "answer", kind=kind)) as one:
        flight = await one.send()
        assert FILLED not in legs_of(flight)
        if REFUSED in legs_of(flight):
            assert asked(one) == (Mode.VENUE_RESTART, Cause.VENUE_RESTARTING)
        else:  # nothing says that it was not taken: the doubt keeps the ladder closed
            assert one.chronicle.state.exposure().doubts
        assert await one.venue.cancel_all() is None
        await one.settled()
        assert one.posts() == 1
        await one.require_agreement()


@scenario
async def test_a10_429_stops_orders_as_long_as_it_says_and_nothing_is_tried_again(tmp_path):
    throttled = rule(POSTS, "answer", status=429, text="slow down", retry_after_s=7)
    async with hand(tmp_path, throttled) as one:
        flight = await one.send()
        assert list(legs_of(flight)) == [REFUSED] * 3
        assert asked(one) == (Mode.THROTTLED, Cause.VENUE_THROTTLED)
        assert one.signs.throttled_until_ms == one.signs.now_ms + 7_000
        assert await one.venue.cancel_all() is None
        assert one.posts() == 1


@scenario
async def test_a11_401_halts(tmp_path):
    async with hand(tmp_path, rule(POSTS, "answer", kind="unauthorized")) as one:
        flight = await one.send()
        assert list(legs_of(flight)) == [REFUSED] * 3
        assert asked(one) == (Mode.HALTED, Cause.UNAUTHORIZED)
        assert one.posts() == 1


CASH = "GET /balance-allowance"


async def refused_reads(tmp_path, kind, cause):
    """Reads are refused for a while, first once, then again and again."""
    async with hand(tmp_path) as one:
        await one.send()
        await one.settled()
        await one.rules(rule(CASH, "answer", when={"once": True}, kind=kind))
        asks, clocks = one.requests(CASH), one.requests("GET /time")
        found = await one.reconciler.compare(LIMITS, positions=False)
        assert isinstance(found, Comparison), found
        assert found.clean
        assert one.requests(CASH) == asks + 3  # two readings, and one of them again
        assert one.requests("GET /time") == clocks + (cause is Cause.UNAUTHORIZED)
        assert asked(one) is None
        await one.rules(rule(CASH, "answer", kind=kind))
        asks = one.requests(CASH)
        found = await one.reconciler.compare(LIMITS, positions=True)
        assert isinstance(found, Unavailable)
        assert asked(one) == (Mode.HALTED, cause)
        assert one.requests(CASH) == asks + 2
        # It goes on asking, and cancels; nothing of it ends anything.
        assert isinstance(await one.reconciler.compare(LIMITS, positions=True), Unavailable)
        assert await one.venue.cancel_all() is None
        await one.rules()
        await one.require_agreement()


@scenario
async def test_a11_a_read_that_gets_401_is_made_again_by_the_venues_clock_and_then_halts(tmp_path):
    await refused_reads(tmp_path, "unauthorized", Cause.UNAUTHORIZED)


@scenario
async def test_a12_a_read_that_gets_403_is_made_again_and_then_halts(tmp_path, monkeypatch):
    monkeypatch.setattr(venue, "FORBIDDEN_PAUSE_S", 0.01)
    await refused_reads(tmp_path, "cloudflare_banned", Cause.BANNED)


@scenario
async def test_e1_an_hour_of_difference_is_seen_by_the_first_read_which_goes_on(tmp_path):
    async with hand(tmp_path) as one:
        await one.send()
        await one.settled()
        for ms in (3_600_000, -3_600_000):
            await one.rules(rule("clock", "skew_clock", ms=ms))
            await one.until(lambda ms=ms: one.client.door.venue.skew_ms == ms, "it has jumped")
            assert await one.venue.cash_usd_e6() == one.chronicle.state.ledger.cash_usd_e6
            await one.turn()
            assert asked(one) == (Mode.HALTED, Cause.CLOCK)
            assert not one.signs.unauthorized
            # A start gets as far, too: it logs in by the venue's clock, and halts for its own.
            await one.again()
            await one.turn()
            assert asked(one) == (Mode.HALTED, Cause.CLOCK)
            await one.require_agreement()


@pytest.mark.parametrize("kind", ["geoblocked", "cloudflare_banned", "banned", "closed_only"])
@scenario
async def test_a12_an_account_that_may_not_trade_halts(kind, tmp_path):
    async with hand(tmp_path, rule(POSTS, "answer", kind=kind)) as one:
        flight = await one.send()
        assert list(legs_of(flight)) == [REFUSED] * 3
        assert asked(one) == (Mode.HALTED, Cause.BANNED)
        assert one.posts() == 1


@pytest.mark.parametrize(
    "how",
    ["truncated", "html", "empty", "string", "null", "charset", "utf8", "gzip", "error_dict",
     "deep", "huge"],
)  # fmt: skip
@scenario
async def test_a13_a_200_that_says_nothing_is_a_doubt(how, tmp_path):
    async with hand(tmp_path, rule(POSTS, "garble", how=how), LATE_FILLS) as one:
        flight = await one.send()
        assert list(legs_of(flight)) == [DOUBT] * 3
        await one.settled()
        assert list(legs_of(flight)) == [FILLED] * 3
        await one.require_agreement()


HASHES = [f"0x{i:064x}" for i in range(3)]
REFUSING = {401, 403, 425, 429}


@given(st.integers(100, 599).filter(lambda status: status not in REFUSING), st.binary())
def test_a13_no_bytes_refuse_or_fill_an_order_by_accident(status, body):
    outcomes = classify(Reply(status, body), HASHES)
    assert [outcome.state for outcome in outcomes] == [LegState.DOUBT] * 3


@given(st.booleans(), st.booleans())
def test_a13_without_an_answer_only_what_never_left_is_refused(sent, late):
    (outcome,) = classify(NoReply(sent, "gone", late), HASHES[:1])
    assert outcome.state is (LegState.DOUBT if sent else LegState.REFUSED)


@pytest.mark.parametrize("how", ["permuted", "missing", "doubled", "extra", "blank"])
@scenario
async def test_a14_a_batch_is_read_by_hashes_and_never_by_places(how, tmp_path):
    mixed = rule(POSTS, "batch", when={"leg": 2}, how=how)
    if how == "blank":
        mixed["then"]["text"] = "words that nobody has heard before"
    killed = rule("order", "kill", when={"leg": 1})
    async with hand(tmp_path, mixed, killed, LATE_FILLS) as one:
        flight = await one.send()
        unsaid = how in {"missing", "blank"}
        assert list(legs_of(flight)) == [KILLED, DOUBT if unsaid else FILLED, FILLED]
        await one.settled()
        assert list(legs_of(flight)) == [KILLED, FILLED, FILLED]
        await one.require_agreement()


@scenario
async def test_a14_an_id_that_is_none_of_ours_halts(tmp_path):
    async with hand(tmp_path, rule(POSTS, "batch", when={"leg": 2}, how="other_id")) as one:
        await one.send()
        assert asked(one) == (Mode.HALTED, Cause.IDENTITY)
        await one.require_agreement()


@pytest.mark.parametrize("ending", ["match", "kill"])
@scenario
async def test_a15_a_delayed_order_stays_exposure_until_it_is_known(ending, tmp_path):
    delayed = rule("order", "delay", when={"leg": 1}, ms=600, ending=ending)
    async with hand(tmp_path, delayed) as one:
        flight = await one.send()
        assert flight.legs[0].state is LegState.LANDED
        for _ in range(10):
            await one.turn()
            await asyncio.sleep(0.02)
        assert flight.open
        assert one.chronicle.state.reserved_usd_e6 > 0
        assert not needs_repair(flight, one.chronicle.state.ledger)
        await one.settled()
        assert flight.legs[0].state is (LegState.FILLED if ending == "match" else LegState.KILLED)
        assert one.posts() == 1
        await one.require_agreement()


@pytest.mark.parametrize("dead", [(1,), (2,), (1, 2), (2, 3), (1, 3)])
@scenario
async def test_a16_legs_that_stand_alone_are_repaired_at_once(dead, tmp_path):
    killed = [rule("order", "kill", when={"leg": leg}) for leg in dead]
    async with hand(tmp_path, *killed) as one:
        flight = await one.send()
        await one.settled()
        ledger = one.chronicle.state.ledger
        assert flight.state is FlightState.NAKED
        assert needs_repair(flight, ledger)
        held = [0 if place in dead else 10 for place in (1, 2, 3)]
        budget = Budget(3_000, 0, FREE)
        decision = decide(
            flight, ledger, trio(held, ASKS, BIDS), now_ms=flight.naked_ms + 50, budget=budget
        )
        assert decision.step is Step.SEND
        late = decide(
            flight, ledger, trio(held, ASKS, BIDS), now_ms=flight.naked_ms + 3_001, budget=budget
        )
        assert late.step is Step.KEEP
        await one.require_agreement()


@pytest.mark.parametrize("restart", [False, True])
@scenario
async def test_a17_a_trade_that_fails_is_taken_back_and_the_basket_stands_naked(restart, tmp_path):
    failing = rule("trade", "fail", when={"nth": 2}, ms=400, retrying=True)
    async with hand(tmp_path, failing) as one:
        flight = await one.send()
        await one.until(lambda: flight.state is FlightState.COMPLETE, "complete")
        if restart:
            await one.again()
            (flight,) = one.chronicle.state.flights.values()
        await one.until(lambda: flight.state is FlightState.NAKED, "naked again")
        assert one.chronicle.state.failures(2**62) == 0
        assert len(one.chronicle.state.failed_ms) == 1
        await one.require_agreement()


def test_a17_two_failures_within_an_hour_halt():
    state = State()
    state.failed_ms = {("a", "x"): 10**12, ("b", "y"): 10**12 + 5}
    one = type("One", (), {})
    from executor.breaker import Signs

    one.signs = Signs(now_ms=10**12 + 60_000)
    found = demands(state, Exposure(), one.signs, LIMITS)
    assert (Mode.HALTED, Cause.SETTLEMENT) in {(d.mode, d.cause) for d in found}


@scenario
async def test_a18_a_trade_that_is_tried_again_under_another_hash_is_one_fill(tmp_path):
    again = rule("trade", "retry", ms=60, again_ms=60, times=2, ending="CONFIRMED")
    async with hand(tmp_path, again) as one:
        await one.send()
        await one.require_agreement()
        fills = one.chronicle.state.ledger.fills
        assert len(fills) == 3
        assert {fill.status for fill in fills.values()} == {FillStatus.CONFIRMED}


@scenario
async def test_a19_a_trade_that_never_reaches_the_chain_stays_exposure_and_closes_the_shop(
    tmp_path,
):
    async with hand(tmp_path, rule("trade", "stuck", when={"nth": 1})) as one:
        await one.send()
        state = one.chronicle.state
        await one.until(lambda: len(state.ledger.unconfirmed) == 1, "two are confirmed")
        now_ms = max(fill.at_ms for fill in state.ledger.fills.values())
        one.signs.now_ms = now_ms + LIMITS.max_unsettled_s * 1_000 + 1_000
        found = demands(state, state.exposure(), one.signs, LIMITS)
        assert (Mode.HALTED, Cause.SETTLEMENT) in {(d.mode, d.cause) for d in found}
        assert state.exposure().total_usd_e6 > 0


def test_an_order_without_an_end_can_still_fill():
    for state in (LegState.DOUBT, LegState.LANDED, LegState.NEVER_LANDED, LegState.KILLED):
        assert LegState.FILLED in NEXT_LEG[state]
