"""Second look: what shakes the ledger holds new baskets back until a later comparison agrees."""

import asyncio

import pytest

from executor import reconciling
from executor.breaker import Signs, demands, note_reply
from executor.exposure import Exposure
from executor.reconciling import Reconciler
from executor.second_look import SHORT_AGAIN_MS, SecondLook
from executor.state import State
from shm.codes import Cause, LegReason, Mode
from shm.limits import RiskSettings
from shm.stillness import LIMIT_NS, Stillness
from tests.executor.asked import AWAY, Asked
from tests.executor.written import CASH_USD_E6, Written

LIMITS = RiskSettings()


class Desk:
    def __init__(self, folder) -> None:
        self.now_ns = 10**15
        self.venue = Asked(CASH_USD_E6)
        self.signs = Signs()
        self.still = Stillness(lambda: self.now_ns)
        self.reconciler = Reconciler(self.venue, Written(folder).begin().chronicle)
        self.second = SecondLook(self.still, self.signs, self.reconciler)
        self.second.begin()
        self.pass_time(2)

    def wait(self, some_ns: int) -> str:
        """Time passes, then the loop turns."""
        self.now_ns += some_ns
        self.signs.now_ms = self.now_ns // 1_000_000
        return self.second.look()

    def turn(self) -> str:
        return self.wait(50_000_000)

    def refuse(self, *, sale: bool = False) -> None:
        """The venue says that cash is missing, or shares."""
        note_reply(self.signs, LegReason.BALANCE, "not enough balance", 0, sale=sale)

    async def compare(self) -> None:
        """What is due is done: the clock is asked, then all is compared."""
        for _ in range(2):
            task = self.reconciler.look(LIMITS)
            if task is not None:
                await task

    def pass_time(self, seconds: int) -> None:
        """Turn after turn, none of them late."""
        for _ in range(seconds):
            self.wait(10**9)

    @property
    def reasons(self) -> tuple[str, str]:
        return self.signs.short_of_cash, self.signs.stood_still


def impatient(tmp_path, monkeypatch) -> Desk:
    for name in ("AGAIN_S", "RETRY_S"):
        monkeypatch.setattr(reconciling, name, 0)
    return Desk(tmp_path)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    return impatient(tmp_path, monkeypatch)


def begun(desk) -> int:
    return desk.venue.times("cash")


def test_a20_missing_cash_is_compared_at_once_and_forgotten_when_all_agrees(desk):
    async def story() -> None:
        await desk.compare()
        before = begun(desk)
        desk.refuse()
        assert desk.turn() == ""
        assert desk.signs.short_of_cash
        await desk.compare()
        assert begun(desk) > before
        desk.turn()
        assert desk.reasons == ("", "")
        # and the same again, much later
        desk.pass_time(SHORT_AGAIN_MS // 1_000)
        desk.refuse()
        desk.turn()
        assert desk.signs.short_of_cash
        await desk.compare()
        desk.turn()
        assert desk.reasons == ("", "")
        assert not desk.signs.short_again
        assert not begun(desk) % 2, "cash is read twice a comparison"
        before = begun(desk)
        desk.turn()
        await desk.compare()
        assert begun(desk) == before, "and then nothing is asked any more"

    asyncio.run(story())


def test_a20_what_is_missing_is_read_from_the_chain_anew_before_it_is_compared(desk):
    async def story() -> None:
        await desk.compare()
        assert desk.venue.times("read anew") == 0
        desk.refuse()
        desk.turn()
        await desk.compare()
        assert desk.venue.asked.count(("read anew", "cash")) == 1
        desk.turn()
        await desk.compare()
        assert desk.venue.times("read anew") == 1

    asyncio.run(story())


def test_a20_shares_that_are_missing_for_a_sale_are_compared_and_are_no_want_of_cash(desk):
    """They may be on their way to the chain: nothing halts for that alone."""

    async def story() -> None:
        await desk.compare()
        for _ in range(5):
            before = begun(desk)
            desk.refuse(sale=True)
            desk.turn()
            assert not desk.reconciler.trusted
            await desk.compare()
            assert begun(desk) > before
            desk.turn()
            assert demands(State(), Exposure(), desk.signs, LIMITS) == []

    asyncio.run(story())


def test_a20_cash_that_is_missing_again_although_both_agree_halts(desk):
    async def story() -> None:
        await desk.compare()
        for _ in range(2):
            desk.refuse()
            desk.turn()
            await desk.compare()
            desk.turn()
        asked = demands(State(), Exposure(), desk.signs, LIMITS)
        assert [(one.mode, one.cause) for one in asked] == [(Mode.HALTED, Cause.BALANCE)]
        assert "allowance" in asked[0].text

    asyncio.run(story())


def test_a_refusal_that_comes_while_the_last_one_is_compared_is_not_cleared_by_that(desk):
    async def story() -> None:
        await desk.compare()
        desk.refuse()
        desk.turn()

        def refused_again() -> int:
            desk.refuse()
            desk.turn()
            return CASH_USD_E6

        desk.venue.script["cash"] = [CASH_USD_E6, refused_again]
        await desk.compare()
        desk.turn()
        assert desk.signs.short_of_cash
        await desk.compare()
        desk.turn()
        assert desk.reasons == ("", "")

    asyncio.run(story())


def test_while_the_venue_does_not_answer_or_does_not_agree_it_stays(desk):
    async def story() -> None:
        await desk.compare()
        desk.refuse()
        desk.turn()
        desk.venue.script["cash"] = [AWAY, AWAY]
        await desk.compare()
        desk.turn()
        assert desk.signs.short_of_cash
        desk.venue.cash -= 5_000_000
        await desk.compare()
        desk.turn()
        assert desk.signs.short_of_cash
        assert "less than the journal" in desk.reconciler.difference
        desk.venue.cash += 5_000_000
        await desk.compare()
        desk.turn()
        assert desk.reasons == ("", "")

    asyncio.run(story())


def test_e2_after_a_standstill_nothing_new_until_a_comparison_agrees_and_ingest_had_time(
    tmp_path, monkeypatch
):
    desk = impatient(tmp_path, monkeypatch)

    async def story() -> None:
        await desk.compare()
        assert desk.wait(600 * 10**9) == "stood still for 600.0 s"
        assert desk.signs.stood_still == "stood still for 600.0 s"
        await desk.compare()
        desk.turn()
        assert desk.signs.stood_still, "the others have not noticed yet"
        desk.wait(LIMIT_NS)
        assert desk.reasons == ("", "")
        assert desk.turn() == ""

    asyncio.run(story())


def test_e2_a_comparison_that_began_before_the_standstill_proves_nothing(desk):
    async def story() -> None:
        await desk.compare()
        desk.refuse()
        desk.turn()

        def stops() -> int:
            desk.wait(60 * 10**9)
            return CASH_USD_E6

        desk.venue.script["cash"] = [CASH_USD_E6, stops]
        await desk.compare()
        desk.wait(LIMIT_NS)
        assert all(desk.reasons)
        await desk.compare()
        desk.turn()
        assert desk.reasons == ("", "")

    asyncio.run(story())


def test_a_standstill_before_the_ledger_was_found_true_does_not_matter(desk):
    desk.now_ns += 60 * 10**9
    desk.still.look()
    desk.second.begin()
    assert desk.turn() == ""
    assert desk.reasons == ("", "")
