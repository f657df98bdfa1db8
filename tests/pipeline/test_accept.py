"""`polytrio accept`: a deposit halts, is accepted to the micro-unit, and trading goes on."""

import json
import subprocess
import urllib.request

import pytest

from executor.fold import apply_all
from executor.state import State
from shm.codes import Cause, Mode, Role
from shm.control import require_settings
from shm.fabric import Fabric
from shm.records import Kind
from tests.pipeline.operated import account, entries, mode, starting, told, trades
from tests.pipeline.system import POLYTRIO, until

pytestmark = pytest.mark.slow

run = pytest.fixture(starting)
WHY = "moved savings"


def act(system, **then):
    """Something happens at the exchange, now."""
    url = require_settings(Fabric(system.instance)).venues.clob_url
    body = json.dumps({"clear": "all", "add": [{"at": "clock", "then": then}]}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/sim/faults", data=body)) as reply:
        assert reply.status == 200


def halted(system):
    until(lambda: mode(system) is Mode.HALTED, "it halts", 90)
    assert Cause(account(system).cause) is Cause.DIFFERENCE


def halts_for(system, **then):
    """A running, trading system, and what makes it halt.

    A difference counts only when nothing is on its way, and here something nearly always is.
    """
    until(system.all_running, "all stages run")
    trades(system)
    assert told(system, "mode", "set", "execution=off").returncode == 0
    act(system, **then)
    halted(system)
    assert told(system, "mode", "set", "execution=settings").returncode == 0


def adopted(system):
    return [entry.payload for entry in entries(system) if entry.kind is Kind.ADOPTED]


def test_a_deposit_halts_and_is_accepted_figure_by_figure_and_trading_goes_on(run):
    system = run()
    halts_for(system, do="deposit", usd="12.345678")
    assert "`polytrio accept` shows what differs" in told(system, "status").stdout
    refused = told(system, "arm")
    assert refused.returncode == 13
    assert "polytrio accept" in refused.stderr
    # Wrong figures are none.
    for figures in ("+12.345677", "-12.345678"):
        done = told(system, "accept", "--reason", WHY, "--yes", "--cash", figures)
        assert done.returncode == 13, done.stdout
        assert "what differs now is cash +12.345678" in done.stderr
    done = told(system, "accept", "--reason", WHY, "--yes", "--cash", "+12.345678",
                "--shares", "1234=+1")  # fmt: skip
    assert done.returncode == 13
    assert adopted(system) == []
    # Typed as it is shown.
    command = [*POLYTRIO, "accept", "--reason", WHY, "--instance", system.instance]
    for said, code in (("+12.34\n", 13), ("+12.345678\n", 0)):
        done = subprocess.run(
            command, env=system.env, cwd=system.var, input=said, capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
        assert "cash: +12.345678 dollars" in done.stdout
    shown = told(system, "journal", "show", "--kind", "adopted").stdout
    assert WHY in shown
    assert "12345678" in shown
    (row,) = adopted(system)
    assert (row.usd_e6, row.size_e6, row.text) == (12_345_678, 0, WHY.encode())
    assert b"command line" in row.actor
    assert mode(system) is Mode.HALTED, "arming is another word"
    assert told(system, "arm").returncode == 0
    until(lambda: mode(system) is Mode.ARMED, "armed")
    trades(system)
    # Nothing differs any more, and nothing can be accepted while it trades.
    done = told(system, "accept", "--reason", WHY)
    assert done.returncode == 13
    assert "it is ARMED" in done.stderr
    assert system.stop()[0] == 0


def test_shares_that_were_taken_by_hand_are_accepted_too_and_no_profit_or_loss(run):
    system = run()
    until(system.all_running, "all stages run")
    trades(system)
    assert told(system, "kill").returncode == 0
    until(lambda: mode(system) is Mode.HALTED, "halted")
    # What was bought first may have been sold for another basket since.
    holdings = apply_all(State(), entries(system)).ledger.holdings
    token = max(holdings, key=lambda one: holdings[one].size_e6)
    act(system, do="withdraw", token=token, shares="1.5", usd="2")
    said = []

    def found() -> bool:
        said.append(told(system, "accept", "--reason", WHY, "--json"))
        return json.loads(said[-1].stdout or "{}").get("shares_e6") == {token: -1_500_000}

    try:
        until(found, "it is found", 90)
    except AssertionError as error:
        error.add_note("\n".join(one.stdout + one.stderr for one in said))
        raise
    done = told(system, "accept", "--reason", WHY, "--yes", "--cash", "-2", "--shares",
                f"{token}=-1.5", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"] is True
    assert sorted((row.usd_e6, row.size_e6) for row in adopted(system)) == [
        (-2_000_000, 0), (0, -1_500_000),
    ]  # fmt: skip
    assert told(system, "arm").returncode == 0
    until(lambda: mode(system) is Mode.ARMED, "armed")
    trades(system)
    assert system.stop()[0] == 0


@pytest.mark.parametrize("failpoint", ["adopted-unwritten", "adopted"])
def test_an_executor_that_dies_over_it_has_accepted_all_of_it_or_nothing(run, failpoint):
    system = run(POLYTRIO_FAILPOINT=failpoint)
    halts_for(system, do="deposit", usd="5")
    epoch = system.row(Role.EXECUTOR).epoch
    done = told(system, "accept", "--reason", WHY, "--yes", "--cash", "+5")
    until(lambda: system.row(Role.EXECUTOR).epoch > epoch, "a new executor", 90)
    until(lambda: system.running(Role.EXECUTOR), "it runs", 90)
    if failpoint == "adopted":
        # It was written: the word that is found again has nothing to accept.
        assert done.returncode == 13
        assert "nothing differs" in done.stderr
        halted(system)  # a halt outlives the process
        assert len(adopted(system)) == 1
    else:
        # It was not, so that each new executor finds it, and dies of the same word again.
        assert adopted(system) == []
        return
    assert told(system, "arm").returncode == 0
    until(lambda: mode(system) is Mode.ARMED, "armed")
    trades(system)
    # And once more with SIGKILL: what was accepted stays.
    epoch = system.row(Role.EXECUTOR).epoch
    system.kill(Role.EXECUTOR)
    until(lambda: system.row(Role.EXECUTOR).epoch > epoch, "a new executor", 90)
    until(lambda: system.running(Role.EXECUTOR) and mode(system) is Mode.ARMED, "armed", 90)
    trades(system)
    assert system.stop()[0] == 0
