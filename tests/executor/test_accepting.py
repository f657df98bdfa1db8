"""Accepting, on a real journal: exactly what is found, while nothing is sent, all or nothing."""

import asyncio
from types import SimpleNamespace

import pytest

from executor import accepting, reconciling
from executor.accepting import Accepter
from executor.breaker import Signs, demands
from executor.exposure import Exposure
from executor.ledger import Holding
from executor.reconciling import Reconciler
from shm import accepting as words
from shm import records
from shm.accepting import Figures
from shm.codes import Cause, LegState, Mode
from shm.limits import RiskSettings
from shm.records import Kind
from tests.executor.asked import AWAY, Asked
from tests.executor.written import CASH_USD_E6, START_MS, Written

LIMITS = RiskSettings()
DEPOSIT = Figures(12_345_678)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    for name in ("RETRY_S", "AGAIN_S"):
        monkeypatch.setattr(reconciling, name, 0)
    monkeypatch.setattr(accepting, "PATIENCE_S", 0.2)


class Desk:
    def __init__(self, folder) -> None:
        self.var = folder / "var"
        self.var.mkdir()
        self.written = Written(folder).begin(Mode.HALTED)
        self.venue = Asked(CASH_USD_E6)
        self.start()

    def start(self) -> None:
        chronicle = self.written.chronicle
        kill = SimpleNamespace(var_path=self.var)
        self.accepter = Accepter(chronicle, Reconciler(self.venue, chronicle), kill)

    def holds(self, *states: LegState) -> list[str]:
        """Legs that filled, and are the venue's as well."""
        flight = self.written.launch()
        self.written.reply(flight, *states)
        for place, state in enumerate(states):
            if state is LegState.FILLED:
                self.written.fill(flight, place)
        ledger = self.written.state.ledger
        self.venue.cash = ledger.cash_usd_e6
        self.venue.positions = {t: h.size_e6 for t, h in ledger.holdings.items()}
        return [leg.token for leg in flight.legs]

    def say(self, figures=None):
        """A word, and the answer to it."""
        word = words.say(self.var, "me", "because", figures)
        asyncio.run(self.accepter.obey(LIMITS, lambda: False))
        return words.answered(self.var, word)


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def adopted(desk):
    found = [e for e in desk.written.journal.found if e.kind is Kind.ADOPTED]
    return [(e.payload.usd_e6, e.payload.size_e6) for e in found]


def test_what_differs_is_told_and_only_exactly_that_is_accepted(desk):
    desk.venue.cash += DEPOSIT.cash_usd_e6
    assert desk.say().found == DEPOSIT
    for wrong in (Figures(12_345_677), Figures(-12_345_678), Figures(12_345_678, {"5": 1}),
                  Figures()):  # fmt: skip
        answer = desk.say(wrong)
        assert not answer.accepted
        assert "what differs now is cash +12.345678" in answer.refused
    assert desk.written.state.ledger.cash_usd_e6 == CASH_USD_E6
    assert desk.say(DEPOSIT).accepted
    assert desk.written.state.ledger.cash_usd_e6 == desk.venue.cash
    assert "nothing differs" in desk.say(DEPOSIT).refused
    desk.written.reopen()
    assert desk.written.state.ledger.cash_usd_e6 == desk.venue.cash
    assert adopted(desk) == [(12_345_678, 0)]
    assert desk.written.state.mode is Mode.HALTED


def test_shares_and_cash_are_taken_over_in_one_group_and_are_no_loss(desk):
    first, second, _ = desk.holds(*[LegState.FILLED] * 3)
    state = desk.written.state
    worth = state.worth_usd_e6()
    desk.written.chronicle.say(Kind.MARK, records.Mark(START_MS, worth))
    size_e6, cost = state.ledger.holdings[first].size_e6, state.ledger.holdings[first].cost_usd_e6
    desk.venue.cash -= 900_000_000
    desk.venue.positions[first] = 0
    desk.venue.positions[second] -= size_e6 // 2
    figures = Figures(-900_000_000, {first: -size_e6, second: -size_e6 // 2})
    assert desk.say(figures).accepted
    holdings = state.ledger.holdings
    assert (holdings[first].size_e6, holdings[first].cost_usd_e6) == (0, 0)
    assert cost > 0
    assert holdings[second].size_e6 == size_e6 // 2
    now_worth = state.worth_usd_e6()
    assert now_worth < worth - 900_000_000
    assert state.day_open_usd_e6 == state.peak_usd_e6 == state.marks[-1].worth_usd_e6 == now_worth
    signs = Signs(now_ms=START_MS + 1, worth_usd_e6=now_worth)
    causes = {one.cause for one in demands(state, Exposure(), signs, LIMITS)}
    assert not causes & {Cause.DAY_LOSS, Cause.DRAWDOWN}
    desk.written.reopen()
    groups = [e for e in desk.written.journal.found if e.kind is Kind.ADOPTED]
    assert [(e.place, e.group) for e in groups] == [(0, 3), (1, 3), (2, 3)]
    assert desk.written.state.picture() == state.picture()


@pytest.mark.parametrize("mode", [Mode.ARMED, Mode.REDUCE_ONLY])
def test_nothing_is_accepted_while_something_may_be_sent(tmp_path, mode):
    desk = Desk(tmp_path)
    desk.written = Written(tmp_path / "other").begin(mode)
    desk.start()
    desk.venue.cash += 5
    answer = desk.say(DEPOSIT)
    assert f"it is {mode.name}" in answer.refused
    assert "polytrio kill" in answer.refused


def test_a_mode_that_changes_while_it_is_compared_refuses(desk):
    desk.venue.cash += DEPOSIT.cash_usd_e6
    state = desk.written.state

    def arms():
        state.mode = Mode.ARMED
        return desk.venue.cash

    desk.venue.script["cash"] = [desk.venue.cash] * 3 + [arms]
    assert "it is ARMED" in desk.say(DEPOSIT).refused
    assert state.ledger.cash_usd_e6 == CASH_USD_E6


def test_before_the_ledger_is_true_the_word_waits(tmp_path):
    desk = Desk(tmp_path)
    desk.written = Written(tmp_path / "other").begin(Mode.RECONCILING)
    desk.start()
    assert desk.say() is None
    assert words.waiting(desk.var)
    assert desk.accepter.asked


def test_while_something_is_on_its_way_or_the_venue_is_away_nothing_is_found(desk):
    desk.venue.script["cash"] = [AWAY] * 100_000
    assert "on its way" in desk.say().refused
    desk.venue.script["cash"] = []
    desk.written.launch()
    desk.venue.cash += 20_000_000
    assert "on its way" in desk.say().refused
    assert desk.written.state.ledger.cash_usd_e6 == CASH_USD_E6


def test_with_many_tokens_held_there_is_time_to_read_them_all(desk, monkeypatch):
    """Each reading takes a while; nobody has to wait longer than was announced."""
    held = desk.written.state.ledger.holdings
    held.update({str(1_000 + n): Holding(10**6, 500_000, 0, 1) for n in range(30)})
    desk.venue.positions = dict.fromkeys(held, 10**6)
    desk.venue.cash = desk.written.state.ledger.cash_usd_e6 + 10**6
    read = desk.venue.position_e6

    async def slowly(token, *, anew=False):
        await asyncio.sleep(0.008)
        return await read(token, anew=anew)

    desk.venue.position_e6 = slowly
    monkeypatch.setattr(accepting, "PATIENCE_A_TOKEN_S", 0.1)
    word = words.say(desk.var, "me")
    heard = []

    async def listening():
        work = asyncio.ensure_future(desk.accepter.obey(LIMITS, lambda: False))
        while not work.done():
            heard.append(words.announced(desk.var, word))
            assert words.answered(desk.var, word) is None or work.done()
            await asyncio.sleep(0.01)

    asyncio.run(listening())
    assert any(said is not None and said.within_s == pytest.approx(3.2) for said in heard)
    assert words.answered(desk.var, word).found == Figures(10**6)


def test_an_old_word_is_none_and_one_that_cannot_be_read_is_taken_away(desk, monkeypatch):
    word = words.say(desk.var, "me")
    monkeypatch.setattr(words, "VALID_MS", -(10**9))
    asyncio.run(desk.accepter.obey(LIMITS, lambda: False))
    assert "s old" in words.answered(desk.var, word).refused
    (desk.var / words.ACCEPT).write_text("{")
    asyncio.run(desk.accepter.obey(LIMITS, lambda: False))
    assert not words.waiting(desk.var)


def test_without_room_nothing_is_taken_over(desk):
    desk.venue.cash += DEPOSIT.cash_usd_e6
    desk.written.fill_disk()
    answer = desk.say(DEPOSIT)
    assert answer.accepted is False or desk.written.chronicle.blocked
    assert desk.written.state.ledger.cash_usd_e6 == CASH_USD_E6
