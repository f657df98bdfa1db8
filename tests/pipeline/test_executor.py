"""The executor as a process on the real exchange: no room, a second one, a halt and its end."""

import json
import os
import resource
import signal
import urllib.request
import zlib
from pathlib import Path

import msgspec
import pytest

from executor.fold import apply_all
from executor.state import State
from shm.codes import Cause, Mode, Role
from shm.control import SettingsReader, publish_settings
from shm.errors import JournalNoRoom, RoleTaken
from shm.fabric import Fabric
from shm.kill import pressed
from shm.records import Kind
from tests.pipeline.operated import account, entries, mode, starting, told, trades
from tests.pipeline.system import until

pytestmark = pytest.mark.slow

SHORT_OF_A_SEGMENT = 12 * 2**20
"""Room for every segment of shared memory, and not for one of the journal."""


run = pytest.fixture(starting)


def test_without_room_for_a_journal_it_does_not_start_and_says_where_room_is_missing(run):
    code, _, err = run(SHORT_OF_A_SEGMENT).finish(60)
    assert code == JournalNoRoom.exit_code, err
    last = err.strip().splitlines()[-1]
    assert "make room on that disk" in last
    assert "journal" in last
    assert "Traceback" not in err


def test_a_disk_that_fills_up_halts_it_loses_nothing_and_arm_ends_it(run):
    system = run()
    until(system.all_running, "all stages run")
    trades(system)
    pid = system.row(Role.EXECUTOR).pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4_096, hard))
    # Nothing more can be written, so nothing more is sent.
    until(lambda: len({len(entries(system)) for _ in range(50)}) == 1, "nothing is written")
    sent = [None, system.executor().orders_sent]
    until(lambda: sent.append(system.executor().signals_seen) or sent[-1] > sent[2] + 20, "signals")
    assert system.executor().orders_sent == sent[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    until(lambda: mode(system) is Mode.HALTED, "it has halted")
    assert Cause(account(system).cause) is Cause.JOURNAL
    assert system.row(Role.EXECUTOR).pid == pid
    done = told(system, "arm")
    assert done.returncode == 0, done.stderr
    until(lambda: mode(system) is Mode.ARMED, "armed")
    trades(system)
    require_fold_of_the_disk(system)


def require_fold_of_the_disk(system) -> None:
    """The account that people see is the fold of the file."""

    def agrees() -> bool:
        state = apply_all(State(), entries(system))
        seen = account(system)
        return (seen.cash_usd_e6, seen.mode, seen.orders_intended) == (
            state.ledger.cash_usd_e6, state.mode, state.orders_intended,
        )  # fmt: skip

    until(agrees, "the picture is the journal")


def test_a_second_executor_with_the_same_wallet_is_refused_whatever_its_instance(run, instance):
    first = run()
    until(first.all_running, "all stages run")
    key = str(first.var / "paper.key")
    second = run(name=f"{instance}-2", POLYTRIO__WALLET__KEY_FILE=key)
    code, _, err = second.finish(90)
    assert code == RoleTaken.exit_code, err
    assert "wallet" in err.strip().splitlines()[-1]
    for path in Path("/dev/shm").glob(f"polytrio.{instance}-2.*"):
        path.unlink()
    trades(first)


def test_a_halt_outlives_the_executor_and_arm_ends_it(run):
    system = run()
    until(system.all_running, "all stages run")
    trades(system)
    assert told(system, "kill").returncode == 0
    until(lambda: mode(system) is Mode.HALTED, "halted")
    row = system.row(Role.EXECUTOR)
    os.kill(row.pid, signal.SIGKILL)
    until(lambda: system.row(Role.EXECUTOR).epoch == row.epoch + 1, "a new executor")
    until(lambda: system.running(Role.EXECUTOR), "it runs")
    until(lambda: mode(system) is Mode.HALTED, "halted again")
    sent = system.executor().orders_sent
    done = told(system, "arm")
    assert done.returncode == 0, done.stderr
    until(lambda: mode(system) is Mode.ARMED, "armed")
    assert not pressed(system.var)
    trades(system)
    assert system.executor().orders_sent > sent
    modes = [Mode(e.payload.mode) for e in entries(system) if e.kind is Kind.MODE]
    assert modes[-3:] == [Mode.RECONCILING, Mode.DISARMED, Mode.ARMED]
    require_fold_of_the_disk(system)


def test_limits_that_change_while_it_runs_are_taken_over_and_written_down(run):
    """Published as a reload publishes them; what a file may change is shm/reloadable.py's."""
    system = run()
    until(system.all_running, "all stages run")
    published = SettingsReader(Fabric(system.instance)).read()
    risk = msgspec.structs.replace(published.settings.risk, orders_per_day=1_999)
    settings = msgspec.structs.replace(published.settings, risk=risk)
    publish_settings(Fabric(system.instance, Role.SUPERVISOR), settings, published.origin)
    until(lambda: [e for e in entries(system) if e.kind is Kind.LIMITS], "it is written down")
    (entry,) = [e for e in entries(system) if e.kind is Kind.LIMITS]
    executor = published.settings.executor
    assert (entry.payload.old_crc, entry.payload.new_crc) == (
        zlib.crc32(msgspec.json.encode((executor, published.settings.risk))),
        zlib.crc32(msgspec.json.encode((executor, risk))),
    )
    trades(system)


class Exchange:
    """The simulated exchange of a running system, as its operator sees it."""

    def __init__(self, system) -> None:
        settings = SettingsReader(Fabric(system.instance)).read().settings
        self.url = settings.venues.clob_url

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.url + path, data=data)
        with urllib.request.urlopen(asked, timeout=30) as reply:
            return json.load(reply)

    def faults(self, *rules) -> None:
        """These, instead of those that were in force."""
        self.ask("/sim/faults", {"clear": "all", "add": list(rules)})

    def struck(self) -> int:
        """How often the faults have."""
        return sum(rule["done"] for rule in self.ask("/sim/faults")["rules"])


def test_a11_a12_refused_reads_halt_it_it_lives_on_and_arm_ends_it_when_they_are_answered(run):
    system = run()
    until(system.all_running, "all stages run")
    trades(system)
    exchange, row = Exchange(system), system.row(Role.EXECUTOR)
    for kind, cause in (("unauthorized", Cause.UNAUTHORIZED), ("cloudflare_banned", Cause.BANNED)):
        answer = {"do": "answer", "kind": kind}
        exchange.faults({"at": "GET /balance-allowance", "then": answer})
        until(lambda: mode(system) is Mode.HALTED, "it has halted")
        assert Cause(account(system).cause) is cause
        struck = exchange.struck()
        until(lambda n=struck: exchange.struck() > n, "it goes on asking")
        done = told(system, "arm")
        assert done.returncode != 0
        assert "the venue refuses us" in done.stderr
        assert mode(system) is Mode.HALTED
        exchange.faults()
        done = told(system, "arm")
        assert done.returncode == 0, done.stderr
        until(lambda: mode(system) is Mode.ARMED, "armed")
        trades(system)
    now = system.row(Role.EXECUTOR)
    assert (now.pid, now.epoch) == (row.pid, row.epoch)
    halts = [e.payload for e in entries(system) if e.kind is Kind.MODE]
    halts = [Cause(row.cause) for row in halts if row.mode == Mode.HALTED]
    assert set(halts) == {Cause.UNAUTHORIZED, Cause.BANNED}
    require_fold_of_the_disk(system)
