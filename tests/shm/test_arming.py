"""Arming: the operator's word names the kill; a press in between wins, wherever in between it is.

The interleavings are all of them: an act of the other side is done before every single operation
on the file system, one after the other.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from executor.latch import GONE_LOOKS, Latch
from shm import arming
from shm.arming import ArmRequest, arm_requested, clear, refusal, refuse, refused, request_arm
from shm.codes import Role
from shm.fabric import Fabric
from shm.kill import KILL, Kill, Request, pressed, request_kill, standing

WALLET = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
NOW_MS = 1_795_363_200_000
CALLS = ("open", "link", "rename", "unlink", "listdir", "lstat")


class World:
    """An executor's hand and a killer's latch on one folder, in one process."""

    def __init__(self, instance: str, var: Path, monkeypatch) -> None:
        self.var = var
        self.kill = Kill(Fabric(instance), var)
        killer = Fabric(instance, Role.KILLER)
        self.latch = Latch(killer, Kill(killer, var))
        self.patience = 0
        self.refused = ""
        clock = SimpleNamespace(monotonic=self.monotonic, time_ns=time.time_ns)
        monkeypatch.setattr(arming, "asyncio", SimpleNamespace(sleep=self.sleep))
        monkeypatch.setattr(arming, "time", clock)

    async def sleep(self, _seconds: float) -> None:
        """Meanwhile the killer looks, often enough to see that something is gone."""
        for _ in range(GONE_LOOKS + 1):
            self.latch.look()

    def monotonic(self) -> float:
        self.patience += 1
        return float(self.patience)

    def stopped(self) -> bool:
        """Whether everything is stopped, once the killer has looked again."""
        for _ in range(GONE_LOOKS + 2):
            self.latch.look()
        return self.kill.look()

    def arm(self, request: ArmRequest | None = None) -> str:
        """What the executor does with a word: judge it, and carry it out."""
        request = request or arm_requested(self.var)
        assert request is not None
        return asyncio.run(clear(self.kill, request))


@pytest.fixture
def world(segments, tmp_path, monkeypatch):
    return World(segments, tmp_path, monkeypatch)


def killed(world: World) -> ArmRequest:
    """Everything is stopped, and the operator has said the word."""
    request_kill(world.var, "first")
    assert world.stopped()
    return request_arm(world.var, pressed(world.var).nonce, "me")


def test_an_arming_clears_the_kill_and_leaves_nothing_behind(world):
    killed(world)
    assert world.arm() == ""
    assert not world.stopped()
    assert os.listdir(world.var) == []


def test_with_nothing_killed_it_is_only_taken_away(world):
    request_arm(world.var, 0, "me")
    assert world.arm() == ""
    assert os.listdir(world.var) == []


def test_one_that_names_another_kill_does_nothing(world):
    killed(world)
    request_arm(world.var, 12345, "me")
    assert "again" in world.arm()
    assert world.stopped()
    assert not arm_requested(world.var)
    assert "again" in refused(world.var).reason


def test_without_a_killer_the_latch_stays_and_it_says_so(world, monkeypatch):
    killed(world)

    async def nobody(_seconds: float) -> None:
        return

    monkeypatch.setattr(arming, "asyncio", SimpleNamespace(sleep=nobody))
    assert "does not open the latch" in world.arm()
    assert world.kill.latched


def test_a_request_that_is_removed_by_hand_is_made_again(world):
    request_kill(world.var, "first")
    assert world.stopped()
    (world.var / KILL).unlink()
    assert world.stopped()
    assert standing(world.var)
    assert pressed(world.var).presses[0].told.actor == "killer"


def test_two_requests_are_cleared_by_one_word_that_names_both(world):
    killed(world)
    assert request_kill(world.var, "second") is Request.AGAIN
    assert world.stopped()
    assert "again" in world.arm()
    request_arm(world.var, pressed(world.var).nonce, "me")
    assert world.arm() == ""
    assert not world.stopped()


# --- F13: whoever presses while it is being armed has stopped it ----------------------------------


def press_by_hand(var: Path) -> None:
    """`touch KILL`."""
    path = var / KILL
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
    os.utime(path)


def press_by_command(var: Path) -> None:
    """`polytrio kill`."""
    assert request_kill(var, "second").stands


class Before:
    """Does something once, before the n-th operation on the file system."""

    def __init__(self, monkeypatch, number: int, act: Callable[[], None]) -> None:
        self._left = number
        self._act = act
        self.done = False
        self._inside = False
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))

    def _wrapped(self, call):
        def counted(*arguments, **options):
            if not self._inside and not self.done:
                self._left -= 1
                if self._left < 0:
                    self.done = self._inside = True
                    self._act()
                    self._inside = False
            return call(*arguments, **options)

        return counted


def every_place(segments, tmp_path, monkeypatch, act, run) -> int:
    """Run `run` again and again, with `act` one operation later each time; how many places."""
    places = 0
    while True:
        var = tmp_path / str(places)
        var.mkdir()
        world = World(segments, var, monkeypatch)
        killed(world)
        with monkeypatch.context() as patched:
            before = Before(patched, places, lambda world=world: act(world))
            run(world)
        if not before.done:
            return places
        assert world.stopped(), f"a press was lost at operation {places}"
        assert standing(var)
        # And it takes one more word, no less, to go on.
        request_arm(var, pressed(var).nonce, "me")
        assert world.arm() == ""
        assert not world.stopped()
        places += 1


@pytest.mark.parametrize("press", [press_by_hand, press_by_command])
def test_f13_a_press_at_any_moment_of_an_arming_wins(segments, tmp_path, monkeypatch, press):
    def run(world: World) -> None:
        world.refused = world.arm()

    places = every_place(segments, tmp_path, monkeypatch, lambda world: press(world.var), run)
    assert places > 40


def test_f13_a_whole_arming_at_any_moment_of_a_press_does_not_swallow_it(
    segments, tmp_path, monkeypatch
):
    def whole(world: World) -> None:
        world.refused = world.arm()

    places = every_place(
        segments, tmp_path, monkeypatch, whole, lambda world: press_by_command(world.var)
    )
    assert places >= 3


def test_f13_the_checker_catches_an_arming_that_just_removes_the_file(
    segments, tmp_path, monkeypatch
):
    async def careless(kill: Kill, request: ArmRequest) -> str:
        if pressed(kill.var_path).nonce != request.nonce:
            return "again"
        (kill.var_path / arming.ARM).rename(kill.var_path / arming.ACCEPTED)
        for name in [n for n in os.listdir(kill.var_path) if n.startswith(KILL)]:
            os.unlink(kill.var_path / name)
        await arming.asyncio.sleep(0.1)
        os.unlink(kill.var_path / arming.ACCEPTED)
        return ""

    def run(world: World) -> None:
        asyncio.run(careless(world.kill, arm_requested(world.var)))

    with pytest.raises(AssertionError, match="a press was lost"):
        every_place(segments, tmp_path, monkeypatch, lambda world: press_by_command(world.var), run)


# --- what the operator's word must be -------------------------------------------------------------


def word(**changes) -> ArmRequest:
    return ArmRequest(**({"nonce": 0, "actor": "me", "wallet": "", "wall_ms": NOW_MS} | changes))


def judged(request: ArmRequest, tmp_path: Path, *, live: bool = False) -> str:
    return refusal(request, pressed(tmp_path), wallet=WALLET, live=live, now_ms=NOW_MS)


def test_real_money_wants_the_address_and_says_what_to_type(tmp_path):
    for typed in ("", WALLET[:-1], WALLET[2:], "0x" + "00" * 20, "yes"):
        said = judged(word(wallet=typed), tmp_path, live=True)
        assert f"polytrio arm --wallet {WALLET}" in said
    assert judged(word(wallet=WALLET), tmp_path, live=True) == ""
    assert judged(word(wallet=WALLET.lower()), tmp_path, live=True) == ""
    assert judged(word(), tmp_path) == ""


@pytest.mark.parametrize("age_ms", [arming.VALID_MS + 1, -arming.FUTURE_MS - 1])
def test_an_old_word_and_one_from_the_future_do_not_count(tmp_path, age_ms):
    assert "polytrio arm" in judged(word(wall_ms=NOW_MS - age_ms), tmp_path)


def test_a_word_that_cannot_be_read_is_taken_away(tmp_path):
    (tmp_path / arming.ARM).write_bytes(b"\xff{")
    assert arm_requested(tmp_path) is None
    assert not (tmp_path / arming.ARM).exists()
    assert "cannot be read" in refused(tmp_path).reason


def test_a_refused_word_is_gone_and_the_next_one_forgets_why(tmp_path):
    request_arm(tmp_path, 7, "me")
    refuse(tmp_path, 7, "because")
    assert (refused(tmp_path).nonce, refused(tmp_path).reason) == (7, "because")
    assert arm_requested(tmp_path) is None
    request_arm(tmp_path, 8, "me")
    assert refused(tmp_path) is None


def test_a_word_that_comes_between_two_looks_is_not_taken_for_an_unreadable_one(
    tmp_path, monkeypatch
):
    """The first look finds no file; it is there when the second one asks whether there is any."""
    read, looks = arming._request, []

    def arrives_late(path):
        looks.append(path)
        if len(looks) == 1:
            request_arm(tmp_path, 7, "test")
            return None
        return read(path)

    monkeypatch.setattr(arming, "_request", arrives_late)
    found = arm_requested(tmp_path)
    assert found is not None
    assert found.nonce == 7
    assert refused(tmp_path) is None


def test_a_word_that_comes_while_it_is_looked_for_is_never_refused(tmp_path, monkeypatch):
    places = 0
    while True:
        var = tmp_path / str(places)
        var.mkdir()
        with monkeypatch.context() as patched:
            before = Before(patched, places, lambda var=var: request_arm(var, 0, "me"))
            found = arm_requested(var)
        if not before.done:
            break
        assert refused(var) is None, f"it came before operation {places}"
        assert found or arm_requested(var)
        places += 1
    assert places >= 1
