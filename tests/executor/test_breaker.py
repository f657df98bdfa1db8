"""Breaker: each demand alone, at its very edge; calm asks for nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.breaker import PAUSE_MAX_S, Signs, demands, note_reply, still_asked
from executor.exposure import Exposure
from executor.ledger import Fill
from executor.modes import Demand
from executor.state import Mark, State
from shm.codes import Cause, FillStatus, LegReason, Mode, Side
from shm.limits import RiskSettings

LIMITS = RiskSettings()
NOW_MS = 1_795_000_000_000
DAY_MS = 86_400_000
WORTH = 10_000_000_000
LOSS = LIMITS.max_loss_usd_e6  # of ten thousand dollars: the fixed limit is the smaller one
FALL = WORTH * LIMITS.max_drawdown_bps // 10_000


def signs(**some) -> Signs:
    return replace(Signs(now_ms=NOW_MS, worth_usd_e6=WORTH), **some)


def state(**some) -> State:
    made = State()
    for name, value in some.items():
        setattr(made, name, value)
    return made


def doubts(count: int) -> Exposure:
    exposure = Exposure()
    exposure.astray = count
    return exposure


def taken(*outcomes: bool) -> State:
    made = State()
    made.outcomes.extend(outcomes)
    return made


def failed(count: int, at_ms: int = NOW_MS, **some) -> State:
    return state(failed_ms={(f"t{i}", "o"): at_ms for i in range(count)}, **some)


def unsettled(age_ms: int, **some) -> State:
    made = state(**some)
    made.ledger.unconfirmed["t", "o"] = Fill(
        "t", "o", "1", Side.BUY, 1, 1, 0, FillStatus.MATCHED, at_ms=NOW_MS - age_ms
    )
    return made


def strange(count: int) -> State:
    return state(strangers={f"0x{i}" for i in range(count)})


CALM = (State(), Exposure(), signs())
ROW = LIMITS.max_refusals
MAYBE = LIMITS.max_settlement_failures
LATE_MS = LIMITS.max_unsettled_s * 1_000
FENCE_MS = LIMITS.fence_restart_s * 1_000
HALT, REDUCE = Mode.HALTED, Mode.REDUCE_ONLY


@pytest.mark.parametrize(
    ("one", "risk", "sign", "asked"),
    [
        (State(), Exposure(), {}, None),
        (State(), Exposure(), {"killed": True}, (HALT, Cause.KILL)),
        (State(), Exposure(), {"journal_trouble": "no room"}, (HALT, Cause.JOURNAL)),
        (State(), Exposure(), {"difference": "a dollar"}, (HALT, Cause.DIFFERENCE)),
        (strange(2), Exposure(), {"strangers_known": frozenset({"0x0", "0x1", "0x2"})}, None),
        (strange(3), Exposure(), {"strangers_known": frozenset({"0x0", "0x1"})},
         (HALT, Cause.STRANGER)),
        # as many as were known, and another one: what is forgotten hides nothing
        (strange(2), Exposure(), {"strangers_known": frozenset({"0x0", "0x9"})},
         (HALT, Cause.STRANGER)),
        # an order that was given up without a proof, until the operator has seen it
        (state(failed_ms={("unproven:1", "0x1"): 5}), Exposure(), {}, (HALT, Cause.SETTLEMENT)),
        (state(failed_ms={("unproven:1", "0x1"): 5}, forgiven_ms=5), Exposure(), {}, None),
        (state(failed_ms={("unheard:1", "0x1"): NOW_MS}), Exposure(), {}, None),
        # a day's loss: half of it leaves only what reduces
        (state(day=1, day_open_usd_e6=WORTH + LOSS), Exposure(), {}, (HALT, Cause.DAY_LOSS)),
        (state(day=1, day_open_usd_e6=WORTH + LOSS - 1), Exposure(), {}, (REDUCE, Cause.DAY_LOSS)),
        (state(day=1, day_open_usd_e6=WORTH + LOSS // 2), Exposure(), {}, (REDUCE, Cause.DAY_LOSS)),
        (state(day=1, day_open_usd_e6=WORTH + LOSS // 2 - 1), Exposure(), {}, None),
        (state(marks=[Mark(NOW_MS - DAY_MS + 1, WORTH + LOSS)]), Exposure(), {},
         (HALT, Cause.DAY_LOSS)),
        (state(marks=[Mark(NOW_MS - DAY_MS, WORTH + LOSS)]), Exposure(), {}, None),
        # from the highest worth
        (state(peak_usd_e6=WORTH + FALL), Exposure(), {}, None),
        (state(peak_usd_e6=WORTH), Exposure(), {"worth_usd_e6": WORTH - FALL},
         (HALT, Cause.DRAWDOWN)),
        (state(peak_usd_e6=WORTH), Exposure(), {"worth_usd_e6": WORTH - FALL + 1}, None),
        # a height that no mark tells of counts as well
        (state(peak_usd_e6=1), Exposure(),
         {"peak_usd_e6": WORTH, "worth_usd_e6": WORTH - FALL}, (HALT, Cause.DRAWDOWN)),
        (state(peak_usd_e6=WORTH), Exposure(), {"peak_usd_e6": 1}, None),
        # refusals
        (taken(*[False] * ROW), Exposure(), {}, (HALT, Cause.REFUSALS)),
        (taken(*[False] * (ROW - 1)), Exposure(), {}, None),
        (taken(*[False] * (ROW - 1), True, False), Exposure(), {}, None),
        # the chain
        (failed(MAYBE), Exposure(), {}, (HALT, Cause.SETTLEMENT)),
        (failed(MAYBE - 1), Exposure(), {}, None),
        (failed(MAYBE, NOW_MS - 3_600_000), Exposure(), {}, None),
        (failed(MAYBE, NOW_MS, forgiven_ms=NOW_MS), Exposure(), {}, None),
        (unsettled(LATE_MS + 1), Exposure(), {}, (HALT, Cause.SETTLEMENT)),
        (unsettled(LATE_MS + 1, forgiven_ms=NOW_MS), Exposure(), {}, None),
        (unsettled(LATE_MS), Exposure(), {}, None),
        # doubt, the socket, the clock
        (State(), doubts(LIMITS.max_doubt), {}, (HALT, Cause.DOUBT)),
        (State(), doubts(LIMITS.max_doubt - 1), {}, None),
        (State(), Exposure(), {"orders_intended": 3, "orders_on_wire": 4}, (HALT, Cause.RUNAWAY)),
        (State(), Exposure(), {"orders_intended": 4, "orders_on_wire": 4}, None),
        (State(), Exposure(), {"orders_intended": 4, "orders_on_wire": 3}, (HALT, Cause.RUNAWAY)),
        (State(), Exposure(),
         {"orders_intended": 4, "orders_on_wire": 1, "orders_withheld": 3}, None),
        (State(), Exposure(),
         {"orders_intended": 4, "orders_on_wire": 4, "orders_withheld": 3}, (HALT, Cause.RUNAWAY)),
        (State(), Exposure(), {"clock_offset_ms": LIMITS.clock_halt_ms + 1}, (HALT, Cause.CLOCK)),
        (State(), Exposure(), {"clock_offset_ms": -LIMITS.clock_halt_ms - 1}, (HALT, Cause.CLOCK)),
        (State(), Exposure(), {"clock_offset_ms": LIMITS.clock_halt_ms}, None),
        # the venue
        (State(), Exposure(), {"throttled_until_ms": NOW_MS + 1},
         (Mode.THROTTLED, Cause.VENUE_THROTTLED)),
        (State(), Exposure(), {"throttled_until_ms": NOW_MS}, None),
        (State(), Exposure(), {"restarted_ms": NOW_MS - FENCE_MS + 1},
         (Mode.VENUE_RESTART, Cause.VENUE_RESTARTING)),
        (State(), Exposure(), {"restarted_ms": NOW_MS - FENCE_MS}, None),
        (State(), Exposure(), {"unauthorized": "no"}, (HALT, Cause.UNAUTHORIZED)),
        (State(), Exposure(), {"banned": "no"}, (HALT, Cause.BANNED)),
        (State(), Exposure(), {"identity": "0x12"}, (HALT, Cause.IDENTITY)),
        (State(), Exposure(), {"short_of_cash": "no"}, (REDUCE, Cause.BALANCE)),
        (State(), Exposure(), {"short_again": "no"}, (HALT, Cause.BALANCE)),
        (State(), Exposure(), {"stood_still": "for long"}, (Mode.CANCEL_ONLY, Cause.STOOD_STILL)),
    ],
)  # fmt: skip
def test_each_reason_alone_and_at_its_edge(one, risk, sign, asked):
    found = demands(one, risk, signs(**sign), LIMITS)
    assert [(demand.mode, demand.cause) for demand in found] == ([asked] if asked else [])
    assert all(demand.text for demand in found)


@pytest.mark.parametrize(
    ("outcomes", "halts"),
    [
        ([False, True] * 5, False),  # a half, where more than a half is too many
        ([False, True] * 5 + [False], True),
        ([False, True] * 4 + [False], False),  # nine orders say nothing
    ],
)
def test_a_share_of_refusals_counts_from_ten_orders_on(outcomes, halts):
    limits = replace_limits(max_refusal_bps=5_000, max_refusals=50)
    found = demands(taken(*outcomes), Exposure(), signs(), limits)
    assert bool(found) is halts


def replace_limits(**some) -> RiskSettings:
    return RiskSettings(**some)


@given(st.lists(st.sampled_from(list(Mode)), max_size=5), st.sampled_from(list(Mode)))
def test_a_mode_is_asked_for_as_long_as_anything_asks_for_it_or_for_worse(modes, now):
    asked = [Demand(mode, Cause.CALM) for mode in modes]
    assert still_asked(now, asked) is (max([-1, *modes]) >= now)


@pytest.mark.parametrize("reason", list(LegReason))
def test_an_answer_halts_only_where_it_says_something_about_all_that_follow(reason):
    noted = signs()
    note_reply(noted, reason, "", 0)
    modes = {demand.mode for demand in demands(State(), Exposure(), noted, LIMITS)}
    assert modes == {
        LegReason.RESTARTING: {Mode.VENUE_RESTART},
        LegReason.POST_ONLY_MODE: {Mode.VENUE_RESTART},
        LegReason.THROTTLED: {Mode.THROTTLED},
        LegReason.UNAUTHORIZED: {HALT},
        LegReason.BANNED: {HALT},
        LegReason.BALANCE: {REDUCE},
    }.get(reason, set())


@given(st.integers(-(2**70), 2**70))
def test_a_pause_that_the_venue_asks_for_ends(retry_after_s):
    noted = signs()
    note_reply(noted, LegReason.THROTTLED, "", retry_after_s)
    assert NOW_MS < noted.throttled_until_ms <= NOW_MS + PAUSE_MAX_S * 1_000


@given(st.integers(0, 10**12), st.integers(-(10**12), 10**12), st.integers(0, 10**12))
def test_no_worth_however_strange_is_too_much_for_it(peak, worth, opened):
    one = state(peak_usd_e6=peak, day=1, day_open_usd_e6=opened)
    for demand in demands(one, Exposure(), signs(worth_usd_e6=worth), LIMITS):
        assert demand.cause in {Cause.DAY_LOSS, Cause.DRAWDOWN}
