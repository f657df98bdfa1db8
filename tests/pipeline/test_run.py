"""`polytrio run`: the contract of the whole system, with real processes and real deaths."""

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from shm import segment
from shm.codes import STAGES, Role
from shm.errors import (
    ConfigError,
    LiveRefused,
    PortTaken,
    RoleTaken,
    SegmentExists,
)
from shm.segments import SEGMENTS
from tests.pipeline.system import POLYTRIO, System, environment, last_json, require_agreement, until

pytestmark = pytest.mark.slow

KEYS = {
    "venue", "mode", "seconds", "frames_in", "markets_live", "baskets", "signals", "orders_sent",
    "orders_accepted", "orders_refused", "orders_filled", "baskets_complete", "baskets_partial",
    "partial_reasons", "cash_usd_e6", "exchange_cash_usd_e6", "pnl_usd", "fees_usd",
    "legs_sold", "mispricings_offered", "latency_us", "restarts", "rss_mb", "gc_collections",
}  # fmt: skip


@pytest.fixture
def run(instance, tmp_path):
    """Starts `polytrio run` with arguments and settings from the environment."""
    running = []

    def start(*arguments: str, cwd: Path = tmp_path, **settings: str) -> System:
        env = environment(instance, tmp_path / "var", **settings)
        system = System(instance, [*POLYTRIO, "run", *arguments], env, cwd)
        running.append(system)
        return system

    yield start
    for system in running:
        system.end()


def require_sound(summary: dict) -> None:
    """Our books are the exchange's, and every partial basket has its reason."""
    require_agreement(summary)
    assert sum(summary["partial_reasons"].values()) == summary["baskets_partial"]


def test_a_run_trades_and_its_books_are_the_exchanges(run, instance):
    code, out, err = run("--for", "15", "--json").finish()
    assert code == 0, err
    summary = last_json(out)
    assert summary.keys() >= KEYS
    assert summary["frames_in"] > 500
    assert summary["markets_live"] == 132
    assert summary["mispricings_offered"] > 0
    assert summary["baskets_complete"] > 3
    assert summary["orders_filled"] >= 2 * summary["baskets_complete"]
    require_sound(summary)
    for name in ("frame_to_signal", "signal_to_post", "frame_to_post"):
        latency = summary["latency_us"][name]
        assert 0 < latency["p50"] <= latency["p99"] <= latency["max"]
    for stage in ("ingest", "engine", "executor"):
        assert summary["restarts"][stage] == 0
        assert summary["gc_collections"][stage] == 0
        assert 0 < summary["rss_mb"][stage] < 50
    assert not list(segment.list_files(instance)), "segments were left behind"


def test_killed_stages_come_back_and_no_position_is_lost(run):
    system = run("--for", "40", "--json")
    until(system.all_running, "all stages run")
    until(lambda: system.executor().baskets_complete > 1, "baskets complete")
    kills = 5
    for _ in range(kills):
        for role in (Role.EXECUTOR, Role.ENGINE, Role.INGEST):
            others = {other: system.row(other) for other in STAGES if other is not role}
            epoch = system.row(role).epoch
            system.kill(role)
            until(lambda r=role, e=epoch: system.row(r).epoch == e + 1, f"{role.label} is back")
            until(lambda r=role: system.running(r), f"{role.label} runs again")
            for other, row in others.items():
                assert system.row(other).epoch == row.epoch, f"{other.label} restarted, too"
    before = system.executor().baskets_complete
    until(lambda: system.executor().baskets_complete > before, "trading goes on")
    code, out, err = system.finish()
    assert code == 0, err
    summary = last_json(out)
    assert summary["restarts"] == {"ingest": kills, "engine": kills, "executor": kills}
    require_sound(summary)


def test_e4_a_stage_that_stands_still_is_killed_and_comes_back(run):
    system = run()
    until(system.all_running, "all stages run")
    row = system.row(Role.ENGINE)
    os.kill(row.pid, signal.SIGSTOP)
    until(lambda: system.row(Role.ENGINE).epoch == row.epoch + 1, "a new engine")
    until(system.all_running, "all stages run")
    assert system.stop()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_when_told_to(run, instance, number):
    system = run()
    until(system.all_running, "all stages run")
    pids = [system.row(role).pid for role in STAGES]
    code, _, err = system.stop(number)
    assert code == 0, err
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()
    assert not list(segment.list_files(instance))


def test_all_stages_die_with_it_and_a_new_run_starts_afresh(run):
    system = run()
    until(system.all_running, "all stages run")
    pids = [system.row(role).pid for role in STAGES]
    system.process.kill()
    system.process.communicate()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "stages are gone")
    again = run()
    until(again.all_running, "all stages run")
    assert [again.row(role).epoch for role in STAGES] == [1, 1, 1]
    assert again.stop()[0] == 0


# --- bad input: one line that says what to do, a code of its own, no restart loop ----------------


def require_refusal(system: System, code: int, *says: str) -> None:
    found, _, err = system.finish(60)
    assert found == code, err
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    for words in says:
        assert re.search(words, lines[0]), lines[0]


def test_a_second_start_is_refused(run):
    system = run()
    until(system.all_running, "all stages run")
    require_refusal(run(), RoleTaken.exit_code, "another supervisor", "--instance")
    assert system.stop()[0] == 0


def test_an_unknown_key_is_refused(run, tmp_path):
    (tmp_path / "polytrio.toml").write_text("[engine]\ncooldown = 5\n")
    require_refusal(run(), ConfigError.exit_code, "cooldown_ms")


def test_a_wrong_type_is_refused(run):
    system = run(POLYTRIO__ENGINE__COOLDOWN_MS="soon")
    require_refusal(system, ConfigError.exit_code, r"\$\.engine\.cooldown_ms")


def test_a_taken_port_is_refused(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        system = run(POLYTRIO__SIM__PORT=port)
        require_refusal(system, PortTaken.exit_code, port)


def test_e10_segments_of_another_version_are_refused_and_kept(run, instance):
    stranger = segment.SHM_ROOT / f"polytrio.{instance}.books.deadbeef"
    stranger.write_bytes(b"")
    require_refusal(run(), SegmentExists.exit_code, "python -m shm destroy")
    assert stranger.exists()


def test_real_money_on_the_simulated_venue_is_refused(run):
    require_refusal(run(EXECUTION_MODE="live"), LiveRefused.exit_code, 'execution = "paper"')


def test_paper_money_cannot_reach_another_machine(run):
    system = run(POLYTRIO__VENUES__CLOB_URL="https://clob.example")
    code, _, err = system.finish(90)
    assert code == LiveRefused.exit_code, err
    assert "clob.example" in err.strip().splitlines()[-1]


def test_an_exchange_that_dies_ends_the_run_with_one_line(run):
    system = run()
    until(system.all_running, "all stages run")
    time.sleep(0.5)
    children = Path(f"/proc/{system.process.pid}/task/{system.process.pid}/children").read_text()
    sim = next(
        int(pid) for pid in children.split()
        if b"\0sim\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )  # fmt: skip
    os.kill(sim, signal.SIGKILL)
    code, _, err = system.finish(30)
    assert code == 1
    assert err.strip().splitlines()[-1].startswith("polytrio: sim ended")


def test_without_kernels_it_runs_in_python_mode_and_says_so(run):
    code, out, err = run("--for", "10", "--json", POLYTRIO_PYTHON="1").finish()
    assert code == 0, err
    assert "PYTHON MODE" in err
    summary = last_json(out)
    assert summary["baskets_complete"] > 0
    require_sound(summary)


def test_every_segment_of_a_running_system_can_be_inspected(run, instance):
    from click.testing import CliRunner

    from shm.__main__ import main

    system = run()
    until(system.all_running, "all stages run")
    for name in SEGMENTS:
        shown = CliRunner().invoke(main, ["show", name, "--instance", instance, "--json"])
        assert shown.exit_code == 0, shown.output
    stats = CliRunner().invoke(main, ["stats", "--instance", instance, "--json"])
    assert '"frames_in":' in stats.output
    assert system.stop()[0] == 0


def test_what_is_held_is_sold_for_other_baskets_and_the_books_stay_the_exchanges(run):
    """Trios and their opposites of one ladder come in turn: one's tokens are the other's sales."""
    code, out, err = run(
        "--for", "30", "--json",
        POLYTRIO__SIM__MISPRICINGS_PER_MINUTE="600", POLYTRIO__ENGINE__COOLDOWN_MS="20",
    ).finish()  # fmt: skip
    assert code == 0, err
    summary = last_json(out)
    assert summary["legs_sold"] > 0
    require_sound(summary)
