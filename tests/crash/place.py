"""Everything around an executor that is to die often: exchange, proxy, feed, engine; its births.

Only executor and killer are killed. The exchange keeps its truth in a file; every byte between them
and the exchange passes the proxy, which writes down when each request came to its door.
"""

import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from executor.credentials import FILE_NAME
from executor.failpoints import VARIABLE
from executor.state import State
from shm import arming, segment
from shm.codes import Mode, Role, StageState
from shm.fabric import Fabric
from shm.kill import KILL, pressed, request_kill
from shm.layout import ACCOUNT, EXECUTOR_STATS, KILLER_STATS, Account
from shm.roles import RoleTable
from shm.settings import load
from shm.system import create_all
from sim.chronicle import Line
from sim.exposure import Caps
from sim.truth import read_truth
from tests.crash.accounts import Books, read_books, read_living
from tests.crash.canaries import places_of

ROOT = Path(__file__).parents[2]
BOOT_PATIENCE_S = 60.0
POLL_S = 0.004
CAPS = Caps(
    order_usd_e6=25_000_000,
    unsettled_market_usd_e6=30_000_000,
    unsettled_wallet_usd_e6=150_000_000,
)
"""The executor's limits, which the exchange's log is held against: low enough to be reached."""
QUOTE_AGE_MS = 2_000
SETTINGS = {
    "DESK__COINS": '["BTC"]',
    "DESK__DAYS": "2",  # in the last hour before its end there is nothing to trade in a ladder
    "SIM__OPENING_CASH_USD": "1000000",
    "SIM__FRAMES_PER_SECOND": "60",
    "SIM__MISPRICINGS_PER_MINUTE": "600",
    "ENGINE__COOLDOWN_MS": "20",
    "ENGINE__SIGNAL_WAIT_MS": "150",
    "ENGINE__MAX_BASKET_SHARES": "40",
    "EXECUTOR__MAX_FLIGHTS": "6",
    "EXECUTOR__REPLY_TIMEOUT_MS": "200",
    "EXECUTOR__DOUBT_SETTLE_MS": "500",
    "EXECUTOR__FILL_WAIT_MS": "100",
    "EXECUTOR__MAX_SIGNAL_AGE_MS": "1000",
    "RISK__MAX_DOUBT": "100",
    "RISK__MAX_DOUBT_GROUP": "100",
    "RISK__MAX_REFUSALS": "1000",
    "RISK__MAX_REFUSAL_BPS": "10000",
    "RISK__MAX_SETTLEMENT_FAILURES": "100",
    "RISK__FENCE_RESTART_S": "1",
    "RISK__MAX_NAKED_MS": "500",
    "RISK__MAX_ORDER_USD_E6": str(CAPS.order_usd_e6),
    "RISK__MAX_MARKET_USD_E6": str(CAPS.unsettled_market_usd_e6),
    "RISK__MAX_TOTAL_USD_E6": str(CAPS.unsettled_wallet_usd_e6),
    "RISK__MAX_FEED_SILENCE_MS": "5000",
    "RISK__MAX_QUOTE_AGE_MS": str(QUOTE_AGE_MS),
    "RISK__TOLERANCE_USD_E6": "1",
    "RISK__TOLERANCE_SIZE_E6": "1",
    "JOURNAL__SEGMENT_RECORDS": "1024",
    "STAGES__WAIT": "block",
}
"""Nothing is as patient as with real money, and nothing that halts for a person's eyes is as shy:
thousands of deaths have to fit into minutes. Differences of one micro-dollar count."""


class Life:
    """One process that the nursery has forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None


class Place:
    """See the module."""

    def __init__(self, instance: str, folder: Path, seed: int, mutant: str = "") -> None:
        self.instance = instance
        self.folder = folder
        self.random = random.Random(seed)
        self._children: list[subprocess.Popen[bytes]] = []
        self._lives: dict[int, Life] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.truth = folder / "truth.jsonl"
        self.door = folder / "door.jsonl"
        """When requests came to the proxy, which takes from its sockets at once what is there."""
        self._barriers = 0
        self._toxics = folder / "proxy.json"
        environment = {f"POLYTRIO__{key}": value for key, value in SETTINGS.items()}
        environment |= {
            "POLYTRIO__INSTANCE": instance,
            "POLYTRIO__DESK__VAR_DIR": str(folder / "var"),
            "POLYTRIO__SIM__SEED": str(seed),
        }
        settings = load(None, environment)
        options = [*settings.sim_options(), "--mined-after-ms", "40", "--confirmed-after-ms", "120"]
        ready = self._listening("tests.crash.exchange", *options, "--truth", str(self.truth))
        self.url = ready["url"]
        self.spoil([])
        port = self.url.rsplit(":", 1)[1]
        words = ("--to", f"127.0.0.1:{port}", "--faults", str(self._toxics))
        relay = self._listening("sim.proxy", *words, "--truth", str(self.door))
        self._proxy = self._children[-1]
        self._relay = ("127.0.0.1", int(relay["port"]))
        spoiled = f"127.0.0.1:{relay['port']}"
        environment |= {
            "POLYTRIO__VENUES__CLOB_URL": f"http://{spoiled}",
            "POLYTRIO__VENUES__USER_WS_URL": f"ws://{spoiled}/ws/user",
        }
        self.settings = load(None, environment).with_addresses(self.url)
        self.var = self.settings.var_path
        self.var.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.fabric = create_all(self.settings)
        self._roles = RoleTable(Fabric(instance).segment("control", writable=False))
        self._account = Fabric(instance).read_table("positions.account", ACCOUNT)
        self._counters = Fabric(instance).counters(
            "stats-executor.counters", EXECUTOR_STATS, write=False
        )
        self._sweeps = Fabric(instance).counters("stats-killer.counters", KILLER_STATS, write=False)
        for role in (Role.INGEST, Role.ENGINE):
            self._start(role.label, [sys.executable, "-m", role.module, "--instance", instance])
        self._engine = self._children[-1]
        self._start("desk", [sys.executable, "-m", "desk", "serve", "--instance", instance])
        words = [sys.executable, "-m", "tests.crash.nursery", instance]
        self._nursery = self._start("nursery", words + ([mutant] if mutant else []), piped=True)
        self._heard = b""
        self.until(lambda: self.runs(Role.ENGINE), "the engine runs", BOOT_PATIENCE_S)

    # --- processes --------------------------------------------------------------------------------

    def _start(self, name: str, words: list[str], *, piped: bool = False) -> Any:
        with (self.folder / f"{name}.log").open("ab") as log:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} if piped else {}
            child = subprocess.Popen(words, cwd=ROOT, stderr=log, **({"stdout": log} | pipes))
        self._children.append(child)
        return child

    def _listening(self, module: str, *options: str) -> dict[str, Any]:
        words = [sys.executable, "-m", module, "--die-with-parent", "--port", "0", *options]
        if module == "sim.proxy":
            words[words.index("--port")] = "--listen"
        child = self._start(module, words, piped=True)
        line = child.stdout.readline()
        assert line, (self.folder / f"{module}.log").read_text()
        return dict(json.loads(line))

    def runs(self, role: Role) -> bool:
        """Whether a stage says that it runs."""
        return self._roles.row(role).state == StageState.RUNNING

    def birth(self, failpoints: str = "") -> Life:
        """A new executor; it dies at the first of the failpoints that it comes by."""
        return self._fork("executor", {VARIABLE: failpoints})

    def killer(self) -> Life:
        """A new killer."""
        return self._fork("killer", {})

    def _fork(self, role: str, environment: dict[str, str]) -> Life:
        log = str(self.folder / f"{role}.log")
        order = {"role": role, "environment": environment, "log": log}
        self._nursery.stdin.write(json.dumps(order).encode() + b"\n")
        self._nursery.stdin.flush()
        seen = set(self._lives)
        self.until(lambda: self.listen() or set(self._lives) != seen, "it is born")
        return self._lives[(set(self._lives) - seen).pop()]

    def listen(self) -> bool:
        """Take what the nursery says; False, so that it may stand in a condition."""
        pipe = self._nursery.stdout
        while select.select([pipe], [], [], 0)[0]:
            piece = os.read(pipe.fileno(), 65_536)
            assert piece, f"the nursery is gone: {self.log('nursery')}"
            *lines, self._heard = (self._heard + piece).split(b"\n")
            for said in map(json.loads, lines):
                if "born" in said:
                    self._lives[said["born"]] = Life(said["born"])
                else:
                    self._lives[said["ended"]].code = said["code"]
        return False

    def kill(self, life: Life) -> None:
        """SIGKILL, and wait until it is gone."""
        if not self.dead(life):
            self._strike(life)
        self.until(lambda: self.dead(life), "it is dead")
        self._lives.pop(life.pid, None)

    @staticmethod
    def _strike(life: Life) -> None:
        with contextlib.suppress(ProcessLookupError):  # dead and buried, and not told of yet
            os.kill(life.pid, signal.SIGKILL)

    def dead(self, life: Life) -> bool:
        """Whether it has ended."""
        self.listen()
        return life.code is not None

    def still(self, quiet: bool) -> None:
        """Stop the engine (no more signals), or let it go on."""
        os.kill(self._engine.pid, signal.SIGSTOP if quiet else signal.SIGCONT)

    def end(self) -> None:
        """Leave nothing behind."""
        for life in list(self._lives.values()):
            if not self.dead(life):
                self._strike(life)
        self.still(False)
        for child in reversed(self._children):
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        for path in segment.SHM_ROOT.glob(f"polytrio.{self.instance}.*"):
            path.unlink()

    def log(self, name: str, last: int = 3_000) -> str:
        """The end of what a process said."""
        return (self.folder / f"{name}.log").read_text()[-last:]

    def last_words(self) -> str:
        """Name of the failpoint that the last executor died at."""
        return self.log("executor", 200).strip().rsplit("failpoint ", 1)[-1]

    def until(self, condition: Any, what: str, patience_s: float = 30.0) -> Any:
        """Wait; patient, because nothing here measures time."""
        deadline_s = time.monotonic() + patience_s
        while not (found := condition()):
            if time.monotonic() > deadline_s:
                raise Never(f"never: {what}\n{self.log('executor')}")
            time.sleep(POLL_S)
        return found

    # --- what can be seen and asked ---------------------------------------------------------------

    def account(self) -> Account:
        """As the living executor shows it, or the last one did."""
        return self.until(lambda: self._account.read(0), "the account can be read")

    @property
    def mode(self) -> Mode:
        """The same, of its mode."""
        return Mode(self.account().mode)

    def venue_account(self) -> dict[str, Any] | None:
        """Cash and positions as the exchange has them; None before the first order or log-in."""
        accounts: dict[str, Any] = self.ask("/sim/state")["accounts"]
        return next(iter(accounts.values()), None)

    def markets(self) -> list[str]:
        """Condition ids of all markets, in the order of their ladders."""
        ladders = self.ask("/sim/ladders")
        return [one["condition_id"] for ladder in ladders for one in ladder["markets"]]

    def counters(self) -> tuple[Any, Any]:
        """The executor's counters and the killer's, over all their lives."""
        return self._counters.read(), self._sweeps.read()

    def books(self) -> Books:
        """What the journal says, all of it, folded anew."""
        return read_books(self.var / "journal")

    def living(self) -> State:
        """What a restarted executor would find: the living segment, folded."""
        return read_living(self.var / "journal")

    def press(self) -> None:
        """The kill switch."""
        request_kill(self.var, "campaign")

    def touch(self) -> None:
        """The same by hand."""
        (self.var / KILL).touch(0o600)

    def barrier(self) -> int:
        """Monotonic time at which the proxy had taken every byte that was sent before this call.

        A request of ours comes to its door behind them: its loop takes all sockets that are
        readable in one turn, and ours takes it several.
        """
        self._barriers += 1
        word = f"/barrier-{self._barriers}"
        began = self.door.stat().st_size
        with socket.create_connection(self._relay, timeout=20) as ours:
            ours.sendall(f"GET {word} HTTP/1.1\r\nHost: door\r\n\r\n".encode())
            self.until(lambda: word.encode() in self._read_door(began), "the proxy takes requests")
        return time.monotonic_ns()

    def _read_door(self, since: int) -> bytes:
        with self.door.open("rb") as file:
            file.seek(since)
            return file.read()

    def told(self) -> tuple[list[Line], list[Line]]:
        """The lines of the exchange, and those of its door."""
        return read_truth(self.truth), read_truth(self.door)

    @property
    def stopped(self) -> bool:
        """Whether a press stands."""
        return bool(pressed(self.var))

    def arm(self) -> None:
        """The operator's word."""
        arming.request_arm(self.var, pressed(self.var).nonce, "campaign")

    def ask(self, path: str, body: Any = None) -> Any:
        """A page of the exchange for tests."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.url + path, data=data, timeout=20) as reply:
            return json.loads(reply.read())

    def secret_places(self) -> Iterator[Path]:
        """Everything but the two files in which secrets are kept."""
        segments = segment.SHM_ROOT.glob(f"polytrio.{self.instance}.*")
        pids = [child.pid for child in self._children] + list(self._lives)
        return places_of(self.folder, segments, pids, self.secret_files)

    @property
    def secret_files(self) -> tuple[Path, Path]:
        """(key, credentials of the killer)."""
        return self.settings.key_path, self.var / FILE_NAME

    def rules(self, rules: list[dict[str, Any]]) -> None:
        """Other faults of the exchange instead of those that are in force."""
        self.ask("/sim/faults", {"clear": "all", "add": rules})

    def spoil(self, rules: list[dict[str, Any]]) -> None:
        """Other faults of the connection."""
        temporary = self._toxics.with_suffix(".new")
        temporary.write_text(json.dumps({"rules": rules}))
        temporary.rename(self._toxics)
        if hasattr(self, "_proxy"):
            self._proxy.send_signal(signal.SIGHUP)


class Never(AssertionError):
    """Something that had to happen did not."""
