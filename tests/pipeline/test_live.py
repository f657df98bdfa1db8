"""`execution = "live"`: real signatures and a real keystore; only the exchange is simulated."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shm.codes import Cause, Mode, Role
from shm.errors import LiveRefused, VenueRefused
from shm.money import MONEY
from shm.passwords import CREDENTIAL, CREDENTIALS
from tests.conftest import require_or_skip
from tests.pipeline.needles import files_below, found_in, needles
from tests.pipeline.real import PASSWORD, Real, Venue
from tests.pipeline.system import ROOT, System, last_json, until

pytestmark = pytest.mark.slow

PATIENCE_S = 90.0
OTHER = "0x" + "12" * 20


@pytest.fixture
def venue():
    found = Venue()
    yield found
    found.end()


@pytest.fixture
def real(instance, tmp_path, venue):
    found = Real(instance, tmp_path, venue)
    yield found
    for system in found.running:
        system.end(signal.SIGTERM)


def waiting(real, system):
    """Until it runs and waits for the operator's word."""
    until(system.all_running, "all stages run", PATIENCE_S)
    until(lambda: real.mode()[0] is Mode.DISARMED, "it is disarmed", PATIENCE_S)


def armed(real):
    done = real.told("arm", "--wallet", real.wallet)
    assert done.returncode == 0, done.stderr
    until(lambda: real.mode()[0] is Mode.ARMED, "armed", PATIENCE_S)


def trades(system):
    before = system.executor().baskets_complete
    until(lambda: system.executor().baskets_complete > before, "it trades", PATIENCE_S)


def test_it_trades_only_armed_starts_again_disarmed_and_its_books_are_the_venues(real, tmp_path):
    system = real.run()
    waiting(real, system)
    # Signals come, and nothing leaves before somebody has said so.
    until(lambda: system.executor().signals_seen > 3, "signals come", PATIENCE_S)
    assert system.executor().orders_sent == 0
    armed(real)
    trades(system)
    # A death of the executor, and it waits again.
    row = system.row(Role.EXECUTOR)
    system.kill(Role.EXECUTOR)
    until(lambda: system.row(Role.EXECUTOR).epoch == row.epoch + 1, "a new executor", PATIENCE_S)
    waiting(real, system)
    sent = system.executor().orders_sent
    seen = system.executor().signals_seen
    until(lambda: system.executor().signals_seen > seen + 3, "signals come", PATIENCE_S)
    assert system.executor().orders_sent == sent
    # The kill switch, with credentials that cannot order; the word that ends it has the address.
    done = real.told("kill", "--reason", "drill", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["confirmed"]
    assert said["credentials"]
    until(lambda: real.mode() == (Mode.HALTED, Cause.KILL), "it halts", PATIENCE_S)
    assert real.told("arm").returncode == LiveRefused.exit_code
    armed(real)
    trades(system)
    code, out, err = system.stop()
    assert code == 0, err
    assert f"REAL MONEY of wallet {real.wallet.lower()}" in err
    summary = last_json(out)
    assert summary["mode"] == "live"
    account = real.venue.account(real.wallet)
    assert summary["cash_usd_e6"] == account["cash_usd_e6"]
    assert summary["positions_e6"] == account["positions"]
    # The key and the password are nowhere but in the keystore's ciphertext.
    wanted = needles(real.key) | needles(PASSWORD)
    for path in files_below(tmp_path):
        assert not found_in(path.read_bytes(), wanted), path

    # Another day: the journal is gone on with, and it waits for the word again.
    again = real.run()
    waiting(real, again)
    account = real.venue.account(real.wallet)
    assert again.executor().orders_sent == 0
    code, out, err = again.stop()
    assert code == 0, err
    summary = last_json(out)
    assert (summary["cash_usd_e6"], summary["positions_e6"]) == (
        account["cash_usd_e6"], account["positions"],
    )  # fmt: skip
    # And the folder is of real money for ever.
    paper = real.run(EXECUTION_MODE="paper")
    code, _, err = paper.finish()
    assert code == LiveRefused.exit_code
    assert "is of real money" in err


def test_e7_sigterm_in_the_middle_of_trading_loses_nothing(real):
    system = real.run()
    waiting(real, system)
    armed(real)
    trades(system)
    system.process.send_signal(signal.SIGTERM)
    code, _, err = system.finish()
    assert code == 0, err
    assert not real.venue.account(real.wallet)["open_orders"]
    # What was on its way is found by the next process, as after any other death.
    again = real.run()
    waiting(real, again)
    code, out, err = again.stop()
    assert code == 0, err
    summary, account = last_json(out), real.venue.account(real.wallet)
    assert summary["cash_usd_e6"] == account["cash_usd_e6"]
    assert summary["positions_e6"] == account["positions"]


def test_each_missing_fact_keeps_it_from_trading(real):
    system = real.run()
    waiting(real, system)
    for words, says in (
        (("arm",), "--wallet"),
        (("arm", "--wallet", OTHER), real.wallet.lower()),
        (("arm", "--wallet", real.wallet[:-1]), real.wallet.lower()),
    ):
        done = real.told(*words)
        assert done.returncode == LiveRefused.exit_code
        assert says in done.stderr.lower()
    # The doctor's objection, with what to do.
    real.venue.act(do="allowance", usd="0")
    done = real.told("arm", "--wallet", real.wallet)
    assert done.returncode == 13, done.stderr
    assert "`polytrio doctor` says wrong: allowance" in done.stderr
    assert "approve" in done.stderr
    assert real.mode()[0] is Mode.DISARMED
    real.venue.act(do="allowance", usd="all")
    # Cash alone does not do: what is bought has to be sold again.
    real.venue.act(do="approval", on=False, spender="neg_risk")
    done = real.told("arm", "--wallet", real.wallet)
    assert done.returncode == 13, done.stderr
    assert "`polytrio doctor` says wrong: approval neg_risk exchange" in done.stderr
    assert "setApprovalForAll" in done.stderr
    assert real.mode()[0] is Mode.DISARMED
    real.venue.act(do="approval", on=True)
    # A ledger that is not the venue's.
    real.venue.act(do="withdraw", usd="1.25")
    until(lambda: real.mode() == (Mode.HALTED, Cause.DIFFERENCE), "it halts", PATIENCE_S)
    done = real.told("arm", "--wallet", real.wallet)
    assert done.returncode == 13
    assert "do not agree" in done.stderr
    assert "polytrio accept" in done.stderr
    assert system.executor().orders_sent == 0
    assert real.venue.ask("/sim/state")["orders_received"] == 0
    assert system.stop()[0] == 0


def test_a_deployment_starts_no_exchange_and_trades_only_armed(real, instance):
    require_or_skip((Path(sys.executable).parent / "supervisord").exists(), "supervisord")
    (real.folder / CREDENTIAL).write_bytes(PASSWORD)
    env = real.environment(**{CREDENTIALS: str(real.folder)})
    system = System(instance, [sys.executable, "supervisor.py", "up"], env, ROOT)
    real.running.append(system)
    waiting(real, system)
    until(lambda: system.executor().signals_seen > 3, "signals come", PATIENCE_S)
    assert system.executor().orders_sent == 0
    listed = subprocess.run(
        [sys.executable, "supervisor.py", "status"], env=env, cwd=ROOT, capture_output=True,
        text=True,
    )  # fmt: skip
    assert re.search(r"^sim +STOPPED", listed.stdout, re.MULTILINE), listed.stdout
    armed(real)
    trades(system)


@pytest.mark.parametrize(
    ("at", "kind", "says"),
    [
        ("account", "unauthorized", "HTTP 401): check the wallet's key and the machine's clock"),
        ("GET /balance-allowance", "geoblocked", "HTTP 403): check the account, and from where"),
    ],
)
def test_a11_a12_a_start_that_the_venue_refuses_ends_with_what_to_check(real, at, kind, says):
    rule = {"at": at, "then": {"do": "answer", "kind": kind}}
    real.venue.ask("/sim/faults", {"clear": "all", "add": [rule]})
    code, _, err = real.run().finish()
    assert code == VenueRefused.exit_code, err
    assert says in err.strip().splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"POLYTRIO__VENUE": "sim"}, 'set venue = "polymarket"'),
        ({"POLYTRIO__WALLET__KEY_FILE": ""}, "set wallet.key_file"),
        ({"POLYTRIO__VENUES__USER_WS_URL": ""}, "name all four"),
        ({"POLYTRIO_PYTHON": "1"}, "needs the compiled kernels"),
    ],
)
def test_a_start_without_one_of_the_facts_is_one_line(real, more, says):
    code, out, err = real.run(**more).finish()
    assert code == LiveRefused.exit_code, out + err
    lines = err.strip().splitlines()
    assert len(lines) == 1
    assert says in lines[0]
    assert not (real.folder / "var" / real.instance / MONEY).exists()


def test_a_failpoint_is_refused(real):
    code, _, err = real.run(POLYTRIO_FAILPOINT="orders-written").finish()
    assert code == 3, err
    assert "real money is traded: remove it" in err


def test_paper_in_the_same_folder_before_it_is_refused(real):
    journal = real.folder / "var" / real.instance / "journal"
    journal.mkdir(parents=True)
    code, _, err = real.run().finish()
    assert code == LiveRefused.exit_code
    assert "is of simulated money" in err
    assert list(journal.iterdir()) == []
