"""Governing, with the real files: kill, arm, halt, restart; the last press always wins."""

import asyncio

import msgspec
import pytest

from executor.breaker import Signs
from executor.exposure import Exposure
from executor.governing import Governor
from executor.modes import Demand
from executor.venue import Unavailable
from shm import arming, kill
from shm.arming import ArmRequest, request_arm
from shm.codes import Cause, Mode
from shm.fabric import Fabric
from shm.kill import Kill, pressed, request_kill
from shm.limits import RiskSettings
from shm.wordfiles import take_away
from tests.executor.written import Written

WALLET = "0x" + "5b" * 20
LIMITS = RiskSettings()


async def agrees() -> str:
    return ""


async def differs() -> str:
    return "a dollar is missing"


async def stopped() -> None:
    return None


async def refuses() -> Unavailable:
    return Unavailable("the venue refuses us (HTTP 403)", Cause.BANNED)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(arming, "PAUSE_S", 0)


class Desk:
    """A governor on real files and a real journal."""

    def __init__(self, folder, segments, *, live: bool = False) -> None:
        self.var = folder / "var"
        self.var.mkdir(exist_ok=True)
        self.written = Written(folder)
        self.live = live
        self.objection = ""
        self.kill = Kill(Fabric(segments), self.var)
        self.signs = Signs(now_ms=1_795_000_000_000, worth_usd_e6=10**9)
        self.start()

    def start(self) -> None:
        self.governor = Governor(
            self.written.chronicle, self.kill, wallet=WALLET,
            examine=self.examine if self.live else None,
        )  # fmt: skip

    async def examine(self) -> str:
        """What the doctor would say."""
        return self.objection

    def restart(self, reconcile=agrees) -> None:
        """As executor/executor.py does it."""
        self.written.reopen()
        halt = self.written.state.halt
        self.written.begin(Mode.BOOT)
        self.start()
        asyncio.run(self.come_up(halt, reconcile))

    async def come_up(self, halt, reconcile) -> None:
        if await self.governor.reconcile(Cause.START, reconcile):
            self.governor.resume(halt)

    def armed(self) -> "Desk":
        self.written.begin()
        return self

    def look(self) -> Mode:
        self.signs.killed = self.kill.look() and not self.governor.taking
        self.signs.journal_trouble = self.signs.journal_trouble or self.written.chronicle.trouble
        self.governor.look(self.signs, Exposure(), LIMITS)
        return self.governor.mode

    def arm(self, reconcile=agrees, nonce=None, wallet=WALLET) -> str:
        """The operator's word, carried out; why it was not, or ""."""
        wanted = pressed(self.var).nonce if nonce is None else nonce
        request_arm(self.var, wanted, "test", wallet)
        asyncio.run(self.governor.obey(reconcile, self.signs))
        refused = arming.refused(self.var)
        return refused.reason if refused else ""


@pytest.fixture
def desk(tmp_path, segments):
    return Desk(tmp_path, segments)


def test_a_kill_halts_and_the_operators_word_ends_it(desk):
    desk.armed()
    assert desk.look() is Mode.ARMED
    request_kill(desk.var, "test")
    assert desk.look() is Mode.HALTED
    assert desk.arm() == ""
    assert desk.governor.mode is Mode.ARMED
    assert not pressed(desk.var)
    assert not list(desk.var.glob("*"))
    assert desk.look() is Mode.ARMED


def test_it_is_armed_by_way_of_a_ledger_that_is_true(desk):
    desk.armed()
    request_kill(desk.var, "test")
    desk.look()
    seen = []

    async def look_around() -> str:
        seen.append(desk.governor.mode)
        return ""

    desk.arm(look_around)
    assert seen == [Mode.RECONCILING]


def test_a12_while_the_venue_refuses_us_it_is_not_armed_and_halts_for_that(desk):
    desk.armed()
    desk.signs.banned = "the venue refuses us"
    assert desk.look() is Mode.HALTED
    said = desk.arm(refuses)
    assert "the venue refuses us: check the account" in said
    assert (desk.governor.mode, desk.written.state.cause) == (Mode.HALTED, Cause.BANNED)
    assert desk.arm() == ""
    assert desk.look() is Mode.ARMED


def test_a_ledger_that_is_not_true_is_not_armed_and_the_kill_stands(desk):
    desk.armed()
    request_kill(desk.var, "test")
    desk.look()
    assert "do not agree" in desk.arm(differs)
    assert desk.governor.mode is Mode.HALTED
    assert desk.written.state.halt is Cause.DIFFERENCE
    assert pressed(desk.var)


def still_halted(desk, cause: Cause) -> None:
    """In the next process, too."""
    desk.restart()
    assert desk.governor.mode is Mode.HALTED
    assert desk.written.state.halt is cause


def armed_for_good(desk) -> None:
    """By the operator's word, and the next process arms itself."""
    assert desk.arm() == ""
    desk.restart()
    assert desk.governor.mode is Mode.ARMED


def test_a_halt_outlives_the_process_until_the_operators_word(desk):
    desk.armed()
    desk.signs.banned = "not from here"
    assert desk.look() is Mode.HALTED
    for _ in range(3):
        desk.signs = Signs(now_ms=desk.signs.now_ms, worth_usd_e6=10**9)
        still_halted(desk, Cause.BANNED)
    armed_for_good(desk)


@pytest.mark.parametrize("moment", ["comparing", "true"])
def test_a_halt_outlives_a_process_that_dies_while_it_is_being_armed(desk, monkeypatch, moment):
    """The word is lost with the process: nobody has armed."""
    desk.armed()
    desk.signs.identity = "0x2"
    assert desk.look() is Mode.HALTED

    class DiedError(Exception):
        pass

    async def die(*_about) -> str:
        raise DiedError

    with monkeypatch.context() as during:
        if moment == "true":
            during.setattr(arming, "clear", die)
        with pytest.raises(DiedError):
            desk.arm(agrees if moment == "true" else die)
    take_away(desk.var / kill.ARM)
    still_halted(desk, Cause.IDENTITY)
    armed_for_good(desk)


def test_a_kill_outlives_the_process_also_where_no_halt_was_written(desk):
    desk.armed()
    request_kill(desk.var, "test")
    desk.restart()
    assert desk.written.state.halt is Cause.KILL


def test_real_money_waits_for_a_word_that_names_the_wallet(tmp_path, segments):
    desk = Desk(tmp_path, segments, live=True)
    desk.restart()
    assert desk.governor.mode is Mode.DISARMED
    assert WALLET in desk.arm(wallet="0x" + "00" * 20)
    assert desk.governor.mode is Mode.DISARMED
    assert desk.arm(wallet=WALLET.upper().replace("X", "x")) == ""
    assert desk.governor.mode is Mode.ARMED
    assert "already" in desk.arm()


def test_real_money_is_examined_at_each_arming(tmp_path, segments):
    desk = Desk(tmp_path, segments, live=True)
    desk.restart()
    desk.objection = "allowance: nothing may be taken"
    assert desk.objection in desk.arm(wallet=WALLET)
    assert desk.governor.mode is Mode.DISARMED
    desk.objection = ""
    assert desk.arm(wallet=WALLET) == ""
    assert desk.governor.mode is Mode.ARMED


def test_paper_arms_itself(desk):
    desk.restart()
    assert desk.governor.mode is Mode.ARMED


@pytest.mark.parametrize("moment", ["reconciling", "clearing", "after"])
def test_a_press_between_arm_and_clear_wins(desk, monkeypatch, moment):
    desk.armed()
    request_kill(desk.var, "first")
    desk.look()
    clear = arming.clear

    async def press_then_clear(switch, request):
        if moment == "clearing":
            request_kill(desk.var, "second")
        failed = await clear(switch, request)
        if moment == "after":
            request_kill(desk.var, "second")
        return failed

    async def press_while_reconciling() -> str:
        if moment == "reconciling":
            request_kill(desk.var, "second")
        return ""

    monkeypatch.setattr(arming, "clear", press_then_clear)
    reason = desk.arm(press_while_reconciling)
    assert desk.look() is Mode.HALTED
    assert desk.written.state.halt is Cause.KILL
    assert pressed(desk.var)
    assert ("stopped again" in reason) is (moment != "after")


def test_a_halt_while_it_is_being_cleared_wins_and_the_operator_is_told(desk, monkeypatch):
    desk.armed()
    request_kill(desk.var, "test")
    desk.look()
    clear = arming.clear

    async def halt_then_clear(switch, request):
        desk.signs.banned = "meanwhile"
        desk.look()
        return await clear(switch, request)

    monkeypatch.setattr(arming, "clear", halt_then_clear)
    assert "halted again (BANNED)" in desk.arm()
    assert desk.governor.mode is Mode.HALTED


@pytest.mark.parametrize("moment", ["examined", "cleared"])
def test_a_halt_that_waits_to_be_written_is_not_armed_over(tmp_path, segments, monkeypatch, moment):
    """Behind it, the arming would be a step that no process can take: none could start again."""
    desk = Desk(tmp_path, segments, live=True)
    desk.written.begin(Mode.DISARMED)
    clear = arming.clear

    def halt():
        desk.written.fill_disk()
        desk.signs.banned = "meanwhile"
        desk.look()

    async def examine() -> str:
        if moment == "examined":
            halt()
        return ""

    async def clear_then_halt(switch, request):
        failed = await clear(switch, request)
        if moment == "cleared":
            halt()
        return failed

    desk.governor._examine = examine
    monkeypatch.setattr(arming, "clear", clear_then_halt)
    assert "cannot be written" in desk.arm(nonce=0)
    desk.written.make_room()
    desk.written.chronicle.flush()
    assert desk.governor.mode is Mode.HALTED
    desk.written.reopen()
    assert desk.written.state.halt is Cause.BANNED


def test_a_word_for_another_kill_or_an_old_one_is_refused(desk):
    desk.armed()
    request_kill(desk.var, "test")
    desk.look()
    assert "stopped again" in desk.arm(nonce=5)
    old = ArmRequest(pressed(desk.var).nonce, "test", WALLET, 1)
    (desk.var / kill.ARM).write_bytes(msgspec.json.encode(old))
    asyncio.run(desk.governor.obey(agrees, desk.signs))
    assert "s old" in arming.refused(desk.var).reason
    (desk.var / kill.ARM).write_bytes(b"\xff not json")
    asyncio.run(desk.governor.obey(agrees, desk.signs))
    assert "cannot be read" in arming.refused(desk.var).reason
    assert desk.governor.mode is Mode.HALTED


def test_what_the_operator_has_seen_does_not_halt_again_and_what_is_new_does(desk):
    desk.armed()
    desk.written.state.strangers.add("0x1")
    desk.signs.identity = "0x2"
    assert desk.look() is Mode.HALTED
    assert desk.arm() == ""
    assert desk.look() is Mode.ARMED
    desk.written.state.strangers.add("0x3")
    assert desk.look() is Mode.HALTED


def test_a_pause_ends_by_itself_and_a_shorter_one_inside_it_goes_on(desk):
    desk.armed()
    desk.signs.short_of_cash = "no"
    assert desk.look() is Mode.REDUCE_ONLY
    desk.signs.throttled_until_ms = desk.signs.now_ms + 1
    assert desk.look() is Mode.REDUCE_ONLY
    desk.signs.short_of_cash = ""
    assert desk.look() is Mode.THROTTLED
    desk.signs.now_ms += 1
    assert desk.look() is Mode.ARMED


def test_a_full_disk_halts_as_soon_as_that_can_be_written(desk):
    desk.armed()
    desk.written.fill_disk()
    assert not desk.written.chronicle.write_orders(*desk.written.orders())
    desk.written.chronicle.flush()
    assert desk.look() is Mode.ARMED  # it could not be written
    assert desk.written.chronicle.blocked
    request_arm(desk.var, 0, "test", WALLET)
    asyncio.run(desk.governor.obey(agrees, desk.signs))
    assert desk.look() is Mode.ARMED
    assert len(desk.written.chronicle._waiting) == 1
    desk.written.make_room()
    desk.written.chronicle.flush()
    assert desk.look() is Mode.HALTED
    assert desk.written.state.halt is Cause.JOURNAL
    assert desk.arm() == ""
    assert desk.look() is Mode.ARMED


def test_told_to_stop_while_reconciling_it_goes_nowhere(desk):
    desk.written.begin(Mode.DISARMED)
    assert not asyncio.run(desk.governor.reconcile(Cause.OPERATOR, stopped))
    assert desk.governor.mode is Mode.RECONCILING
    desk.signs.banned = "x"
    assert desk.look() is Mode.RECONCILING


def test_a_step_that_does_not_exist_does_not_get_into_the_journal(desk):
    """Once there, it would end every process that reads it."""
    desk.armed()
    seq = desk.written.chronicle.seq
    with pytest.raises(AssertionError):
        desk.governor.step(Demand(Mode.BOOT, Cause.START))
    assert desk.written.chronicle.seq == seq
    desk.written.reopen()
