"""Changed settings in a running system: taken over whole, without a restart, or not at all."""

import subprocess
import sys

import pytest

from shm.codes import Role
from shm.errors import ConfigError
from shm.fabric import Fabric
from shm.layout import BASKET_ROW, SIGNAL
from tests.pipeline.system import until
from tests.pipeline.verbs import Running

pytestmark = pytest.mark.slow

TIMID = "[engine]\nmin_profit_usd_e6 = 1000000000000\n"
BOLD = "[engine]\nmin_profit_usd_e6 = 20000\n"


@pytest.fixture
def start(instance, tmp_path):
    """Starts `polytrio run` on a settings file."""
    running = []

    def begin(text: str, **settings: str) -> Running:
        running.append(Running(instance, tmp_path, text, **settings))
        until(running[-1].all_running, "all stages run")
        return running[-1]

    yield begin
    for system in running:
        system.end()


def test_a_threshold_takes_effect_without_restart_and_a_bad_file_changes_nothing(start, instance):
    system = start(TIMID)
    until(lambda: system.engine.held_small > 0, "opportunities that are too small")
    assert system.engine.signals == 0
    epochs = system.epochs()

    system.file.write_text(BOLD)  # nobody asks: the file is looked at
    until(lambda: system.engine.signals > 3, "signals")
    assert system.version == 2
    until(lambda: system.row(Role.ENGINE).adopted_settings == 2, "the engine says so")
    until(lambda: system.row(Role.DESK).adopted_settings == 2, "desk says so")
    assert system.epochs() == epochs, "nobody was restarted"
    signals = Fabric(instance).tail("signals", SIGNAL).news()
    assert signals
    assert all(signal.settings_version == 2 for signal in signals)
    row = Fabric(instance).read_table("baskets", BASKET_ROW)
    until(lambda: row.read(0).settings_version == 2, "a row that is drawn again says so")

    system.file.write_text("[engine]\nmin_profit_usd_e6 = -1\n")
    code, _, complaint = system.ask("config", "reload")
    assert code == ConfigError.exit_code
    assert "engine.min_profit_usd_e6" in complaint
    until(lambda: shown(system)["last_attempt"]["result"] == "refused", "the refusal is told")
    assert "engine.min_profit_usd_e6" in shown(system)["last_attempt"]["text"]
    assert system.version == 2
    assert shown(system)["values"]["engine.min_profit_usd_e6"]["value"] == 20_000
    before = system.engine.signals
    until(lambda: system.engine.signals > before, "trading goes on as before")
    assert system.epochs() == epochs
    inspected = subprocess.run(
        [sys.executable, "-P", "-m", "shm", "show", "control.reloading", "--instance", instance],
        capture_output=True, text=True,
    )  # fmt: skip
    assert "result=3  generation=2" in inspected.stdout, inspected.stderr


def shown(system: Running):
    return system.told("config", "show")


def test_coins_come_and_go_while_it_runs(start):
    system = start('[desk]\ncoins = ["BTC", "ETH"]\n')
    until(lambda: system.ingest.books_live == 88, "books of two coins")
    epochs = system.epochs()
    system.file.write_text('[desk]\ncoins = ["BTC"]\n')
    said = system.told("config", "reload")
    assert (said["version"], said["values"]["desk.coins"]["value"]) == (2, ["BTC"])
    until(lambda: system.ingest.subscriptions == 44, "one coin is left")
    system.file.write_text('[desk]\ncoins = ["BTC", "ETH"]\n')
    system.told("config", "reload")
    until(lambda: system.ingest.books_live == 88, "both are back")
    assert system.epochs() == epochs


def test_what_a_file_would_change_is_said_before(start):
    system = start(TIMID)
    system.file.write_text(BOLD + "[sim]\nseed = 5\n")
    said = system.told("config", "check")
    assert not said["reloadable"]
    reasons = {change["key"]: change["needs_restart"] for change in said["changes"]}
    assert reasons["engine.min_profit_usd_e6"] is None
    assert "simulated exchange" in reasons["sim.seed"]
    code, _, complaint = system.ask("config", "reload")
    assert code == ConfigError.exit_code
    assert "needs a restart: sim.seed" in complaint
    assert system.version == 1


def test_an_unknown_coin_is_refused(start):
    system = start(TIMID)
    system.file.write_text('[desk]\ncoins = ["BTC", "LUNA"]\n')
    code, _, complaint = system.ask("config", "reload")
    assert code == ConfigError.exit_code
    assert "desk.coins" in complaint
    assert system.version == 1


def test_a_limit_is_tightened_while_it_runs_and_not_loosened(start, instance):
    system = start("[risk]\norders_per_day = 500000\n")
    until(system.all_running, "all stages run")
    epochs = system.epochs()
    system.file.write_text("[risk]\norders_per_day = 1\n")
    said = system.told("config", "reload")
    assert (said["version"], said["values"]["risk.orders_per_day"]["value"]) == (2, 1)
    until(lambda: system.executor().refused_rate > 3, "the executor heeds it")
    sent = system.executor().orders_sent
    refused = system.executor().refused_rate
    until(lambda: system.executor().refused_rate > refused + 3, "more are refused")
    assert system.executor().orders_sent == sent
    system.file.write_text("[risk]\norders_per_day = 2\n")
    code, _, complaint = system.ask("config", "reload")
    assert code == ConfigError.exit_code
    assert "risk.orders_per_day (a limit may only be tightened while it runs)" in complaint
    assert (system.version, system.epochs()) == (2, epochs)
