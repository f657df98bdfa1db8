"""Reconciling with a scripted venue: a difference has to be there twice, a payout is told once."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor import reconciling
from executor.clocks import offset_ms
from executor.comparing import Comparison
from executor.reconciling import Reconciler, in_words, insist
from executor.venue import Unavailable
from shm.codes import Cause, FillStatus, FlightState, LegState
from shm.errors import VenueRefused
from shm.limits import RiskSettings
from tests.executor.asked import AWAY, Asked
from tests.executor.written import CASH_USD_E6, MARKETS, SIZE_E6, Written

LIMITS = RiskSettings()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    for name in ("RETRY_S", "AGAIN_S"):
        monkeypatch.setattr(reconciling, name, 0)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Desk:
    def __init__(self, folder) -> None:
        self.written = Written(folder).begin()
        self.venue = Asked(CASH_USD_E6)
        self.reconciler = Reconciler(self.venue, self.written.chronicle)
        self.turns = 0

    def agree(self) -> None:
        """The venue has what we have."""
        ledger = self.written.state.ledger
        self.venue.cash = ledger.cash_usd_e6
        self.venue.positions = {t: h.size_e6 for t, h in ledger.holdings.items()}

    def compare(self, *, positions: bool = True):
        return asyncio.run(self.reconciler.compare(LIMITS, positions=positions))

    def all(self) -> str:
        asyncio.run(self.reconciler._compare_all(LIMITS))
        return self.reconciler.difference

    def settle(self) -> None:
        """What is explained by a payout is looked at once more, and again, and believed."""
        for _ in range(3):
            assert self.all() == ""

    def until_true(self, turn=lambda: None, rounds: int = 50):
        def counting() -> None:
            self.turns += 1
            turn()

        return asyncio.run(
            self.reconciler.until_true(LIMITS, lambda: self.turns >= rounds, counting)
        )


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_what_agrees_agrees(desk):
    assert desk.compare().clean
    assert desk.all() == ""
    assert desk.reconciler.trusted
    assert desk.until_true() == ""


def test_a_difference_counts_only_when_it_is_there_twice(desk):
    desk.venue.cash -= 5_000_000
    desk.venue.script["cash"] = [CASH_USD_E6 - 5_000_000] * 2  # and then it is as it should be
    desk.venue.cash = CASH_USD_E6
    assert desk.all() == ""
    desk.venue.cash = CASH_USD_E6 - 5_000_000
    assert "$5.000000 less" in desk.all()


def test_while_something_is_on_its_way_there_is_no_difference(desk):
    desk.written.launch()
    desk.venue.cash -= 5_000_000
    assert not desk.reconciler.quiet(LIMITS)
    assert desk.all() == ""
    assert desk.until_true(rounds=5) is None


def test_unconfirmed_fills_are_on_their_way_too(desk):
    flight = desk.written.launch()
    desk.written.reply(flight, *[LegState.FILLED] * 3)
    for place in range(3):
        desk.written.fill(flight, place, FillStatus.MATCHED, at_ms=now_ms())
    assert not desk.reconciler.quiet(LIMITS)
    for place in range(3):
        desk.written.fill(flight, place, FillStatus.CONFIRMED)
    assert desk.reconciler.quiet(LIMITS)


def test_legs_that_wait_for_their_repair_hide_no_difference(desk):
    """Before the operator arms nobody repairs them, however long that takes."""
    flight = desk.written.launch()
    desk.written.reply(flight, LegState.FILLED, LegState.FILLED, LegState.KILLED)
    assert not desk.reconciler.quiet(LIMITS)
    for place in (0, 1):
        desk.written.fill(flight, place)
    assert flight.state is FlightState.NAKED
    desk.agree()
    desk.venue.cash += 6_000_000
    assert "$6.000000 more" in desk.all()
    assert "$6.000000 more" in desk.until_true()


def test_a19_a_trade_that_is_stuck_on_chain_hides_no_difference_for_ever(desk):
    """The venue may count only what is on chain: a start would wait for it without an end."""
    flight = desk.written.launch()
    desk.written.reply(flight, *[LegState.FILLED] * 3)
    for place in range(3):
        stuck_ms = now_ms() - LIMITS.max_unsettled_s * 1_000 - 1
        at_ms = stuck_ms if place == 0 else now_ms()
        desk.written.fill(flight, place, FillStatus.MATCHED, at_ms=at_ms)
    desk.agree()
    desk.venue.cash += 6_000_000
    assert desk.all() == "", "the others are on their way"
    for place in (1, 2):
        desk.written.fill(flight, place, FillStatus.CONFIRMED)
    assert "$6.000000 more" in desk.all()
    assert "$6.000000 more" in desk.until_true()


def test_a_comparison_during_which_a_fill_came_does_not_count(desk):
    flight = desk.written.launch()
    desk.written.reply(flight, *[LegState.FILLED] * 3)
    cash = desk.written.state.ledger.cash_usd_e6

    def filled() -> int:
        desk.written.fill(flight, 0)
        return cash

    desk.venue.script["cash"] = [cash, filled]
    assert desk.compare() is None


def test_cash_that_moves_between_its_two_readings_does_not_count(desk):
    desk.venue.script["cash"] = [CASH_USD_E6, CASH_USD_E6 + 1]
    assert desk.compare() is None


@pytest.mark.parametrize("what", ["cash", "position"])
def test_a_venue_that_is_away_is_no_difference(desk, what):
    desk.written.complete(desk.written.launch())
    desk.agree()
    desk.venue.script[what] = [AWAY]
    assert desk.compare() is None
    desk.venue.script[what] = [AWAY]
    assert desk.all() == ""


def ended(desk, monkeypatch) -> None:
    """A complete basket whose markets are over; all three legs are held."""
    desk.written.complete(desk.written.launch())
    after_ms = MARKETS[0].expiry_ms + 60_000
    monkeypatch.setattr(reconciling.time, "time_ns", lambda: after_ms * 1_000_000)
    desk.agree()


def test_a_payout_is_told_and_told_once(desk, monkeypatch):
    ended(desk, monkeypatch)
    held = [h.size_e6 for h in desk.written.state.ledger.holdings.values()]
    desk.venue.positions = {}
    desk.venue.cash += 2 * held[0]  # YES above 10, NO of 10..20, NO above 20: two of them pay
    desk.settle()
    state = desk.written.state
    assert state.ledger.cash_usd_e6 == desk.venue.cash
    assert all(h.size_e6 == 0 for h in state.ledger.holdings.values())
    seq = desk.written.chronicle.seq
    assert desk.all() == ""
    assert desk.written.chronicle.seq == seq
    digest = state.digest()
    desk.written.reopen()
    assert desk.written.state.digest() == digest


@pytest.mark.parametrize("offset_ms", [None, LIMITS.clock_block_ms + 1, -86_400_000])
def test_e1_while_our_clock_is_not_known_to_agree_nothing_is_written(desk, monkeypatch, offset_ms):
    """By the time of a comparison it is decided what is forgotten."""
    ended(desk, monkeypatch)
    seq = desk.written.chronicle.seq
    desk.venue.offset_ms = offset_ms
    assert desk.compare().clean
    assert desk.until_true() == ""
    desk.venue.positions = {}
    desk.venue.cash += 2 * SIZE_E6
    assert desk.compare() is None, "whether the market is over is not known either"
    assert desk.all() == ""
    assert desk.written.chronicle.seq == seq
    desk.venue.offset_ms = LIMITS.clock_block_ms
    assert desk.until_true() == ""
    assert desk.written.state.ledger.cash_usd_e6 == desk.venue.cash


def test_while_the_disk_is_full_a_payout_is_not_told_twice(desk, monkeypatch):
    ended(desk, monkeypatch)
    size_e6 = next(iter(desk.written.state.ledger.holdings.values())).size_e6
    desk.venue.positions = {}
    desk.venue.cash += 2 * size_e6
    desk.written.fill_disk()
    for _ in range(6):
        desk.all()
    desk.written.make_room()
    desk.written.chronicle.flush()
    assert desk.written.state.ledger.cash_usd_e6 == desk.venue.cash
    assert desk.compare().clean


def test_legs_that_are_kept_alone_are_at_risk_until_they_are_paid_and_then_forgotten(
    desk, monkeypatch
):
    flight = desk.written.launch()
    desk.written.reply(flight, LegState.FILLED, LegState.KILLED, LegState.KILLED)
    desk.written.fill(flight, 0)
    desk.written.keep(flight)
    assert desk.written.state.exposure().naked_usd_e6 > 0
    orphans = desk.written.state.orphan_usd_e6()
    assert orphans == 6_000_000
    after_ms = MARKETS[0].expiry_ms + 60_000
    monkeypatch.setattr(reconciling.time, "time_ns", lambda: after_ms * 1_000_000)
    desk.venue.cash, desk.venue.positions = desk.written.state.ledger.cash_usd_e6, {}
    desk.settle()
    exposure = desk.written.state.exposure()
    assert (exposure.naked_usd_e6, exposure.total_usd_e6) == (0, 0)
    desk.written.complete(desk.written.launch(created_ms=after_ms, signal=2))
    assert flight.id not in desk.written.state.flights
    assert desk.written.state.orphan_usd_e6() == orphans


def kept_and_ended(desk, monkeypatch) -> str:
    """One leg alone, whose market is over: it may pay nothing as well; its token."""
    flight = desk.written.launch()
    desk.written.reply(flight, LegState.FILLED, LegState.KILLED, LegState.KILLED)
    desk.written.fill(flight, 0)
    desk.written.keep(flight)
    after_ms = MARKETS[0].expiry_ms + 60_000
    monkeypatch.setattr(reconciling.time, "time_ns", lambda: after_ms * 1_000_000)
    desk.agree()
    return flight.legs[0].token


@pytest.mark.parametrize("starting", [True, False])
def test_h6_shares_that_go_before_their_money_comes_are_no_payout_of_nothing(
    desk, monkeypatch, starting
):
    token = kept_and_ended(desk, monkeypatch)
    cash = desk.written.state.ledger.cash_usd_e6
    desk.venue.positions = {}
    desk.venue.script["cash"] = [cash] * 4  # two comparisons; then its ten dollars are there, too
    desk.venue.cash = cash + SIZE_E6
    if starting:
        assert desk.until_true() == ""
    else:
        for _ in range(2):
            assert desk.all() == ""
            assert desk.written.state.ledger.size_e6(token) == SIZE_E6
        desk.settle()
    assert desk.written.state.ledger.cash_usd_e6 == desk.venue.cash
    assert desk.written.state.ledger.size_e6(token) == 0
    assert desk.compare().clean


def test_h6_a_payout_is_believed_by_two_readings_of_the_chain_some_time_apart(desk, monkeypatch):
    token = kept_and_ended(desk, monkeypatch)
    clock = SimpleNamespace(now_s=10**6)
    monkeypatch.setattr(reconciling.time, "monotonic", lambda: clock.now_s)
    monkeypatch.setattr(reconciling, "AGAIN_S", 2.0)
    desk.venue.positions = {}
    assert desk.compare() is None
    assert desk.venue.times("read anew") == 0, "that was what the venue remembered"
    for after_s in (0, 1.9):
        clock.now_s = 10**6 + after_s
        assert desk.compare() is None
        assert desk.written.state.ledger.size_e6(token) == SIZE_E6
    assert desk.venue.asked.count(("read anew", token)) == 2
    clock.now_s = 10**6 + 2
    assert desk.compare().clean
    assert desk.written.state.ledger.size_e6(token) == 0


def test_what_is_there_again_was_no_payout(desk, monkeypatch):
    token = kept_and_ended(desk, monkeypatch)
    for round_ in range(6):
        desk.venue.positions = {token: SIZE_E6} if round_ % 3 == 2 else {}
        assert desk.all() == ""
    assert desk.written.state.ledger.size_e6(token) == SIZE_E6


def test_a_difference_is_read_from_the_chain_before_it_halts(desk):
    desk.venue.cash += 7_000_000
    assert desk.all()
    assert desk.venue.times("read anew") == 1
    desk.venue.asked.clear()
    assert desk.until_true()
    assert desk.venue.times("read anew") == 1


# --- at start -----------------------------------------------------------------------------------


def test_at_start_a_difference_that_stands_is_said_in_words(desk):
    desk.venue.cash += 7_000_000
    assert desk.until_true() == "the venue has $7.000000 more than the journal"


def test_at_start_it_waits_for_what_explains_itself(desk):
    """A fill that the user channel has yet to bring; `turn` is where it comes in."""
    flight = desk.written.launch()
    desk.written.reply(flight, *[LegState.FILLED] * 3)
    desk.venue.cash = CASH_USD_E6 - 6_000_000 - 6_900_000 - 5_900_000
    desk.venue.positions = {leg.token: leg.size_e6 for leg in flight.legs}
    places = iter(range(3))

    def turn() -> None:
        for place in places:
            desk.written.fill(flight, place)
            return

    assert desk.until_true(turn) == ""


def test_a_difference_of_before_does_not_halt_after_it_was_found_true_again(desk):
    desk.venue.cash += 7_000_000
    assert desk.all()
    desk.venue.cash -= 7_000_000
    assert desk.until_true() == ""
    assert desk.reconciler.difference == ""


def test_told_to_stop_it_stops(desk):
    desk.venue.script["cash"] = [AWAY] * 100
    assert desk.until_true(rounds=3) is None


def test_asking_goes_on_until_there_is_an_answer_or_an_end():
    venue = Asked()
    venue.script["cancel"] = [AWAY, AWAY]
    assert asyncio.run(insist("cancel", venue.cancel_all, lambda: False)) is None
    assert venue.times("cancel") == 3
    venue.script["cash"] = [AWAY] * 9
    assert asyncio.run(insist("cash", venue.cash_usd_e6, lambda: venue.times("cash") >= 2)) is None
    assert venue.times("cash") == 2


REFUSED = Unavailable("the venue refuses us (HTTP 401): check the clock", Cause.UNAUTHORIZED)


def test_a11_a_start_that_the_venue_refuses_ends_with_what_to_check():
    venue = Asked()
    venue.script["cancel"] = [AWAY, REFUSED]
    with pytest.raises(VenueRefused, match="check the clock"):
        asyncio.run(insist("cancel", venue.cancel_all, lambda: False))


@pytest.mark.parametrize("what", ["cash", "position"])
def test_a11_a_comparison_that_is_refused_is_no_difference_and_says_so(desk, what):
    desk.written.complete(desk.written.launch())
    desk.agree()
    desk.venue.script[what] = [REFUSED]
    assert desk.compare() == REFUSED
    desk.venue.script[what] = [REFUSED]
    assert desk.all() == ""
    desk.venue.script[what] = [REFUSED]
    assert desk.until_true() == REFUSED
    assert desk.until_true() == ""


# --- the clock ----------------------------------------------------------------------------------


@given(st.integers(-10_000, 10_000), st.integers(0, 500), st.integers(0, 500),
       st.integers(10**12, 2 * 10**12))  # fmt: skip
def test_the_clocks_offset_is_never_overstated(ahead_ms, there_ms, back_ms, venue_ms):
    before = venue_ms - there_ms + ahead_ms
    after = venue_ms + back_ms + ahead_ms
    found = offset_ms(before, venue_ms // 1_000, after)
    assert abs(found) <= abs(ahead_ms)
    assert found == 0 or (found > 0) is (ahead_ms > 0)
    if abs(ahead_ms) > 1_000 + there_ms + back_ms:
        assert abs(ahead_ms) - abs(found) <= 1_000 + there_ms + back_ms


def test_a_difference_in_words_names_what_differs():
    found = Comparison((), -1_500_000, ("12345678901234567890",))
    assert in_words(found) == (
        "the venue has $1.500000 less than the journal; "
        "positions differ in 1 tokens (123456789012…)"
    )
