"""The killer as a process: every path leads to the latch, and it asks until the venue says yes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from executor.credentials import Handed
from shm.codes import Role
from shm.errors import LiveRefused
from shm.kill import KILL, pressed, request_kill
from shm.process import resident_bytes
from tests.killer.exchange import until
from tests.killer.scene import ROOT, resting_wallet

pytestmark = pytest.mark.slow


def require_stopped(venue, scene, trader) -> None:
    """Latched first, then cancelled, and nothing rests."""
    latch = scene.cancelled()
    assert latch.latched
    assert 0 < latch.seen_ns <= latch.cancel_sent_ns <= latch.cancel_done_ns
    assert venue.resting(trader) == 0


# --- the ways to it -------------------------------------------------------------------------------


def by_request(scene, _killer, _executor) -> None:
    request_kill(scene.var, "test", "a test")


def by_touch(scene, _killer, _executor) -> None:
    subprocess.run(["touch", str(scene.var / KILL)], check=True)


def by_command(scene, _killer, _executor) -> None:
    command = [sys.executable, "-P", "-m", "desk", "kill", "--instance", scene.instance, "--json"]
    done = subprocess.run(command, cwd=scene.var, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert '"confirmed":true' in done.stdout


def by_signal_to_the_killer(_scene, killer, _executor) -> None:
    os.kill(killer.pid, signal.SIGUSR2)


def by_signal_to_the_executor(_scene, _killer, executor) -> None:
    os.kill(executor.pid, signal.SIGUSR2)


@pytest.mark.parametrize(
    "press",
    [by_request, by_touch, by_command, by_signal_to_the_killer, by_signal_to_the_executor],
)
def test_every_path_sets_the_latch_cancels_and_can_be_armed_again(venue, scene, wallet, press):
    trader = resting_wallet(venue, scene, wallet)
    killer, executor = scene.killer(), scene.executor()
    assert venue.resting(trader) == 3
    press(scene, killer, executor)
    require_stopped(venue, scene, trader)
    assert (scene.var / KILL).exists()
    assert scene.latch().nonce == pressed(scene.var).nonce
    scene.arm()
    until(lambda: not scene.latch().latched, f"armed: {scene.logs()}")
    until(lambda: not list(scene.var.glob("ARM*")), "the arming is over")
    assert not pressed(scene.var)


def test_the_shipped_command_does_the_same_and_stays_small(venue, scene, wallet):
    trader = resting_wallet(venue, scene, wallet)
    killer = scene.killer(real=True)
    request_kill(scene.var, "test")
    require_stopped(venue, scene, trader)
    assert resident_bytes(killer.pid) < 45_000_000


def test_a_killer_that_starts_while_a_request_stands_carries_it_out(venue, scene, wallet):
    trader = resting_wallet(venue, scene, wallet)
    request_kill(scene.var, "test")
    scene.killer()
    require_stopped(venue, scene, trader)


def test_a_signal_that_comes_while_it_starts_is_not_lost(venue, scene, wallet):
    trader = resting_wallet(venue, scene, wallet)
    killer = scene.killer(wait=False)
    os.kill(killer.pid, signal.SIGUSR2)
    require_stopped(venue, scene, trader)
    assert "signal to killer" in pressed(scene.var).presses[0].told.actor


def test_a_killed_killer_is_replaced_and_its_successor_goes_on(venue, scene, wallet):
    trader = resting_wallet(venue, scene, wallet)
    venue.rule("DELETE /cancel-all", {"do": "drop"})
    killer = scene.killer()
    request_kill(scene.var, "test")
    scene.latched()
    until(lambda: scene.latch().cancel_sent_ns, "it has asked")
    killer.kill()
    killer.wait()
    assert scene.latch().latched, "the latch outlives who set it"
    venue.clear_rules()
    scene.killer()
    require_stopped(venue, scene, trader)


def test_a_successor_finds_the_latch_without_its_file_and_asks_for_the_file_again(scene):
    killer = scene.killer()
    request_kill(scene.var, "test")
    scene.latched()
    killer.kill()
    killer.wait()
    (scene.var / KILL).unlink()
    scene.killer()
    until((scene.var / KILL).exists, "the file is back")
    assert scene.latch().latched


def test_a_file_that_is_removed_by_hand_opens_nothing(venue, scene, wallet):
    resting_wallet(venue, scene, wallet)
    scene.killer()
    request_kill(scene.var, "test")
    scene.cancelled()
    (scene.var / KILL).unlink()
    until((scene.var / KILL).exists, "the file is back")
    assert scene.latch().latched
    assert pressed(scene.var).presses[0].told.actor == "killer"


def test_a_touch_while_it_is_armed_keeps_everything_stopped(scene):
    scene.killer()
    scene.executor()
    request_kill(scene.var, "test")
    scene.latched()
    before = pressed(scene.var).nonce
    os.utime(scene.var / KILL)
    scene.arm(nonce=before)
    until((scene.var / "ARM.refused").exists, "refused")
    assert scene.latch().latched
    assert (scene.var / KILL).exists()


# --- whatever else is broken ----------------------------------------------------------------------


def test_it_works_with_a_stopped_executor_and_with_a_dead_one(venue, scene, wallet):
    trader = resting_wallet(venue, scene, wallet)
    scene.killer()
    executor = scene.executor()
    os.kill(executor.pid, signal.SIGSTOP)
    request_kill(scene.var, "test")
    require_stopped(venue, scene, trader)
    os.kill(executor.pid, signal.SIGKILL)
    executor.wait()
    venue.rest(trader)
    os.utime(scene.var / KILL)
    until(lambda: venue.resting(trader) == 0, "cancelled again")


def test_e4_an_executor_that_stands_still_has_its_orders_cancelled_and_nothing_is_latched(
    venue, scene, wallet
):
    trader = resting_wallet(venue, scene, wallet)
    scene.killer()
    executor = scene.executor()
    time.sleep(0.2)
    assert venue.resting(trader) == 3, "an executor that lives is left alone"
    os.kill(executor.pid, signal.SIGSTOP)
    until(lambda: venue.resting(trader) == 0, "cancelled")
    assert not scene.latch().latched
    assert scene.counters().stand_stills == 1
    # Once for each stand-still: the next one counts again.
    os.kill(executor.pid, signal.SIGCONT)
    until(lambda: fresh(scene), "it beats again")
    venue.rest(trader)
    os.kill(executor.pid, signal.SIGSTOP)
    until(lambda: venue.resting(trader) == 0, "cancelled again")
    assert scene.counters().stand_stills == 2


def fresh(scene) -> bool:
    return time.monotonic_ns() - scene.roles.row(Role.EXECUTOR).heartbeat_ns < 200_000_000


def test_an_executor_that_ended_in_good_order_is_no_reason_to_cancel(venue, scene, wallet):
    trader = resting_wallet(venue, scene, wallet)
    scene.killer()
    executor = scene.executor()
    executor.terminate()
    assert executor.wait() == 0
    time.sleep(1.3)
    assert venue.resting(trader) == 3
    assert scene.counters().cancels_sent == 0


@pytest.fixture
def tiny_disk(tmp_path):
    """Mounts a file system with next to no room below a folder."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system")
    mounted = []

    def mount(path, options: str) -> None:
        path.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(path)], capture_output=True
        )
        if done.returncode != 0:
            pytest.skip("needs the right to mount")
        mounted.append(path)

    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_it_works_with_a_disk_that_is_full(venue, scenes, wallet, tiny_disk, tmp_path):
    tiny_disk(tmp_path / "var", "size=64k")
    scene = scenes(venue.url)
    trader = resting_wallet(venue, scene, wallet)
    scene.killer()
    with pytest.raises(OSError, match="No space"):
        (scene.var / "fill").write_bytes(bytes(2**20))
    request_kill(scene.var, "test")
    require_stopped(venue, scene, trader)
    assert (scene.var / KILL).read_bytes() == b""


def test_it_works_where_not_even_an_empty_file_can_be_made(
    venue, scenes, wallet, tiny_disk, tmp_path
):
    tiny_disk(tmp_path / "var", "size=64k,nr_inodes=32")
    scene = scenes(venue.url)
    trader = resting_wallet(venue, scene, wallet)
    scene.killer()
    made = [scene.var / f"fill{number}" for number in range(32)]
    with pytest.raises(OSError, match="No space"):
        [path.touch() for path in made]
    by_command(scene, None, None)
    require_stopped(venue, scene, trader)
    assert not (scene.var / KILL).exists()
    made[0].unlink()
    until((scene.var / KILL).exists, "the file is made as soon as there is room")
    assert scene.latch().latched


# --- the venue ------------------------------------------------------------------------------------


def test_the_latch_needs_no_network(scenes):
    scene = scenes("http://127.0.0.1:9")
    scene.killer()
    request_kill(scene.var, "test")
    latch = scene.latched()
    assert latch.cancel_done_ns == 0


def test_without_credentials_it_waits_for_them_and_then_cancels(venue, scene, wallet):
    scene.killer()
    request_kill(scene.var, "test")
    scene.latched()
    trader = resting_wallet(venue, scene, wallet)
    require_stopped(venue, scene, trader)


def test_it_takes_the_newest_credentials(venue, scene, wallet):
    stale = resting_wallet(venue, scene, wallet + 10_000)
    venue.run(lambda: venue.door.venue.exchange.keys.delete(stale.key))
    scene.killer()
    request_kill(scene.var, "test")
    until(lambda: scene.counters().cancels_declined > 1, "refused with the old ones")
    assert not scene.latch().cancel_done_ns
    trader = resting_wallet(venue, scene, wallet)
    require_stopped(venue, scene, trader)


@pytest.mark.parametrize(
    "then",
    [
        {"do": "decline", "reason": "order is being processed"},
        {"do": "garble", "how": "empty"},
        {"do": "garble", "how": "html"},
        {"do": "garble", "how": "null"},
        {"do": "garble", "how": "string"},
        {"do": "garble", "how": "error_dict"},
        {"do": "garble", "how": "truncated"},
        {"do": "answer", "kind": "bad_gateway"},
        {"do": "answer", "kind": "disabled"},
        {"do": "answer", "kind": "restarting"},
        {"do": "reset", "moment": "before"},
        {"do": "close", "bytes": 20},
        {"do": "drop"},
    ],
    ids=lambda then: "-".join(map(str, then.values())).replace(" ", "_"),
)
def test_a26_what_proves_nothing_is_not_a_cancel_and_it_asks_again(venue, scene, wallet, then):
    trader = resting_wallet(venue, scene, wallet)
    venue.rule("DELETE /cancel-all", then, count=2)
    scene.killer()
    request_kill(scene.var, "test")
    require_stopped(venue, scene, trader)
    counters = scene.counters()
    assert counters.cancels_declined + counters.cancels_unanswered == 2
    assert scene.latch().cancels_failed == 2


def test_a27_a_negative_bucket_is_waited_for_as_long_as_the_venue_says(venue, scene, wallet):
    trader = resting_wallet(venue, scene, wallet)
    venue.rule(
        "DELETE /cancel-all",
        {"do": "answer", "status": 429, "text": "slow down", "retry_after_s": 1},
        count=2,
    )
    scene.killer()
    request_kill(scene.var, "test")
    until(lambda: scene.latch().cancel_done_ns, "cancelled")
    signer = trader.eoa.address
    sent_ns = [line["mono_ns"] for line in venue.cancels() if line["signer"] == signer]
    first, second, third = sent_ns[:3]
    assert second - first >= 1_000_000_000
    assert third - second >= 1_000_000_000


def test_a28_an_order_that_arrives_late_is_swept(venue, scene, wallet):
    trader = resting_wallet(venue, scene, wallet)
    scene.killer()
    request_kill(scene.var, "test")
    require_stopped(venue, scene, trader)
    for sweep in range(1, 4):
        venue.rest(trader)  # it was on its way when everything was cancelled
        until(lambda sweep=sweep: scene.counters().sweeps >= sweep, f"sweep {sweep}")
        until(lambda: venue.resting(trader) == 0, "swept")
    venue.rest(trader)
    time.sleep(0.5)
    assert scene.counters().sweeps == 3
    assert venue.resting(trader) == 1


def test_the_sweeps_come_after_5_30_and_120_seconds():
    from executor import killer

    assert killer.SWEEPS_S == (5.0, 30.0, 120.0)


def test_a_wrong_clock_of_ours_does_not_keep_it_from_cancelling(venue, scene, wallet):
    trader = resting_wallet(venue, scene, wallet)
    venue.rule("clock", {"do": "skew_clock", "ms": -61_000})
    until(lambda: not venue.rule_waits(), "the clocks differ")
    try:
        scene.killer()
        request_kill(scene.var, "test")
        require_stopped(venue, scene, trader)
    finally:
        venue.rule("clock", {"do": "skew_clock", "ms": 0})
        until(lambda: not venue.rule_waits(), "the clocks agree again")


def test_two_presses_do_not_double_the_requests(venue, scene, wallet):
    trader = resting_wallet(venue, scene, wallet)
    scene.killer()
    for _ in range(20):
        request_kill(scene.var, "test")
    require_stopped(venue, scene, trader)
    assert scene.counters().requests_seen == 1


# --- the venue's own heartbeat --------------------------------------------------------------------


def test_with_the_venues_heartbeat_the_chain_of_ids_is_kept(venue, scenes, wallet, monkeypatch):
    scene = scenes(venue.url, venue_heartbeat=True)
    trader = resting_wallet(venue, scene, wallet)
    monkeypatch.setenv("TEST_BEAT_S", "0.1")
    scene.killer()
    executor = scene.executor()
    until(lambda: scene.counters().beats_accepted >= 3, f"beats: {scene.logs()}")
    # Another process's beat breaks the chain; the venue names the right id, and it goes on.
    venue.run(lambda: venue.beat(trader))
    before = scene.counters().beats_accepted
    until(lambda: scene.counters().beats_accepted >= before + 2, f"beats: {scene.logs()}")
    # Without the executor nobody says that all is well.
    os.kill(executor.pid, signal.SIGSTOP)
    until(lambda: scene.counters().stand_stills == 1, "noticed")
    before = scene.counters().beats_sent
    time.sleep(0.5)
    assert scene.counters().beats_sent == before


def test_without_the_setting_no_heartbeat_is_sent(venue, scene, wallet, monkeypatch):
    resting_wallet(venue, scene, wallet)
    monkeypatch.setenv("TEST_BEAT_S", "0.1")
    scene.killer()
    scene.executor()
    time.sleep(0.5)
    assert scene.counters().beats_sent == 0


# --- what it is, and is not -----------------------------------------------------------------------


def test_it_loads_neither_key_nor_signer_nor_journal():
    code = "import sys, executor.killer; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    ours = {name for name in loaded if name.startswith("executor")}
    assert ours == {
        "executor", "executor.cancelling", "executor.counting", "executor.credentials",
        "executor.http", "executor.killer", "executor.latch",
    }  # fmt: skip
    never = ("coincurve", "sha3", "Crypto", "eth", "numpy", "aiohttp", "websockets", "sqlalchemy")
    assert not [name for name in loaded if name.split(".")[0].startswith(never)]


def test_it_is_hardened(scene):
    killer = scene.killer(real=True)
    assert os.stat(f"/proc/{killer.pid}/environ").st_uid == 0
    limits = Path(f"/proc/{killer.pid}/limits").read_text()
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]


def test_simulated_money_reaches_no_other_machine_not_even_to_cancel(scenes):
    scene = scenes("https://clob.example")
    killer = scene.killer(wait=False)
    assert killer.wait(timeout=30) == LiveRefused.exit_code
    assert "clob.example" in scene.logs()


def test_credentials_that_others_can_read_or_that_are_none_are_not_used(venue, scene, wallet):
    trader = venue.trader(wallet)
    scene.hand_over(trader)
    path = scene.var / "killer.credentials"
    assert path.stat().st_mode & 0o777 == 0o600
    handed = Handed(scene.var)
    assert handed.look()
    assert not handed.look()
    assert trader.key.secret not in repr(handed.signer) + repr(handed)
    path.chmod(0o644)
    other = Handed(scene.var)
    assert not other.look()
    assert "chmod 600" in other.trouble
    path.chmod(0o600)
    path.write_bytes(b'{"key": 1}')
    broken = Handed(scene.var)
    assert not broken.look()
    assert "does not hold credentials" in broken.trouble
