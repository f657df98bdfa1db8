"""Resolver: what is shown proves at once, what is not shown proves late, and never by one look."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.flights import LEG_UNDECIDED, NEXT_LEG, LegOrder
from executor.resolver import READS_APART_MS, Seen, balance_counts, matched_e6, proof
from executor.wire import OpenOrder
from shm.codes import LegReason, LegState, Outcome, Side
from shm.records import Evidence

SENT_MS, WINDOW_MS = 1_795_000_000_000, 30_000
NAME = "0x" + "ab" * 32
ALL_THREE = Evidence.ORDER | Evidence.OPEN_ORDERS | Evidence.TRADES | Evidence.WINDOW
KNOWN = ["LIVE", "DELAYED", "UNMATCHED", "MATCHED", "CANCELED", "CANCELED_MARKET_RESOLVED",
         "CANCELED_because: of this", "INVALID", "live", "ORDER_STATUS_MATCHED",
         "ORDER_STATUS_INVALID", "", "SOMETHING NEW"]  # fmt: skip

sizes = st.one_of(st.sampled_from(["0", "10", "-1", "NaN", "1e9", "", "0x10"]), st.text(max_size=8))
orders = st.one_of(
    st.none(),
    st.builds(
        OpenOrder, id=st.just(NAME), status=st.one_of(st.sampled_from(KNOWN), st.text(max_size=20)),
        size_matched=sizes,
    ),
)  # fmt: skip
readings = st.builds(
    Seen,
    at_ms=st.integers(SENT_MS - 10_000, SENT_MS + 3 * WINDOW_MS),
    order=orders,
    rests=st.booleans(),
    traded=st.booleans(),
    held=st.sampled_from([None, False, True]),
)
undecided = st.sampled_from(sorted(LEG_UNDECIDED))


def leg(state: LegState = LegState.DOUBT) -> LegOrder:
    return LegOrder(0, Outcome.YES, Side.BUY, 6_000, 10**7, NAME, "1", "FOK", state,
                    LegReason.TRANSPORT)  # fmt: skip


def seen(after_ms: int, status: str | None = None, **some) -> Seen:
    order = None if status is None else OpenOrder(NAME, status)
    return replace(Seen(SENT_MS + after_ms, order, rests=False, traded=False), **some)


def judge(now: Seen, earlier: Seen | None = None, state: LegState = LegState.DOUBT):
    return proof(leg(state), now, earlier, sent_ms=SENT_MS, window_ms=WINDOW_MS)


@given(undecided, readings, st.one_of(st.none(), readings))
def test_it_answers_whatever_the_venue_shows_and_with_a_step_that_exists(state, now, earlier):
    found = judge(now, earlier, state)
    assert found is None or found.state in NEXT_LEG[state]
    assert found is None or found.evidence


@given(undecided, readings, st.one_of(st.none(), readings))
def test_nothing_is_given_up_before_the_window_and_two_readings_apart(state, now, earlier):
    found = judge(now, earlier, state)
    if found is None or ALL_THREE not in found.evidence:
        return
    assert (Evidence.BALANCE in found.evidence) is (now.held is False)
    assert now.nothing
    assert earlier is not None
    assert earlier.at_ms >= SENT_MS + WINDOW_MS
    assert now.at_ms >= earlier.at_ms + READS_APART_MS


@given(readings, st.one_of(st.none(), readings))
def test_only_an_order_that_nobody_has_is_said_never_to_have_landed(now, earlier):
    found = judge(now, earlier)
    if found is not None and found.state is LegState.NEVER_LANDED:
        assert now.order is None
        assert not now.rests
        assert not now.traded
        assert not now.held


@pytest.mark.parametrize(
    ("first_ms", "second_ms", "proves"),
    [
        (WINDOW_MS, WINDOW_MS + READS_APART_MS, True),
        (WINDOW_MS - 1, WINDOW_MS + READS_APART_MS, False),
        (WINDOW_MS, WINDOW_MS + READS_APART_MS - 1, False),
        (0, 10 * WINDOW_MS, False),
    ],
)
def test_the_window_and_the_distance_to_the_millisecond(first_ms, second_ms, proves):
    found = judge(seen(second_ms), seen(first_ms))
    assert (found is not None) is proves
    if found is not None:
        assert (found.state, found.reason) == (LegState.NEVER_LANDED, LegReason.TRANSPORT)
    assert judge(seen(second_ms)) is None


def test_the_balance_is_asked_after_the_window_and_not_for_ever():
    def asks(after_ms: int) -> bool:
        return balance_counts(SENT_MS + after_ms, sent_ms=SENT_MS, window_ms=WINDOW_MS)

    end_ms = 2 * WINDOW_MS + READS_APART_MS
    assert [asks(at) for at in (WINDOW_MS - 1, WINDOW_MS, end_ms - 1, end_ms)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_an_order_that_the_venue_had_accepted_and_has_no_more_was_killed():
    last = seen(WINDOW_MS + READS_APART_MS)
    assert judge(last, seen(WINDOW_MS), LegState.LANDED).state is LegState.KILLED


@pytest.mark.parametrize(
    ("status", "then"),
    [
        ("MATCHED", LegState.FILLED),
        ("ORDER_STATUS_MATCHED", LegState.FILLED),
        ("CANCELED", LegState.KILLED),
        ("CANCELLED", LegState.KILLED),
        ("CANCELED_order couldn't be fully filled", LegState.KILLED),
        ("INVALID", LegState.KILLED),
        ("ORDER_STATUS_INVALID", LegState.KILLED),
        ("LIVE", LegState.LANDED),
        ("DELAYED", LegState.LANDED),
        ("UNMATCHED", LegState.LANDED),
    ],
)
def test_each_status_of_the_venue_proves_at_once(status, then):
    assert judge(seen(0, status)).state is then


def test_a_cancelled_order_that_had_matched_was_filled():
    order = OpenOrder(NAME, "CANCELED", size_matched="10")
    assert judge(seen(0, order=order)).state is LegState.FILLED
    assert judge(seen(0, order=OpenOrder(NAME, "INVALID", size_matched="10"))).state is (
        LegState.FILLED
    )


def test_a_trade_says_more_than_any_status():
    found = judge(seen(0, "CANCELED", traded=True))
    assert (found.state, found.evidence) == (LegState.FILLED, Evidence.TRADES)


def test_what_rests_is_landed_once_and_then_waited_for():
    assert judge(seen(0, rests=True)).evidence is Evidence.OPEN_ORDERS
    assert judge(seen(0, rests=True), state=LegState.LANDED) is None


@given(sizes)
def test_a_matched_size_is_a_number_or_nothing(text):
    assert matched_e6(OpenOrder(NAME, size_matched=text)) >= 0
