"""Real money for the tests: `execution = "live"` with a keystore, on an exchange of this machine.

The exchange is a process of its own that outlives every run, as the venue does; nothing of a run
knows that it is simulated.
"""

import json
import os
import secrets
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from desk.snapshot import Observer
from executor import keystore
from executor.wallet import load
from shm.codes import Cause, Mode
from shm.settings import WalletSettings
from tests.pipeline import paper
from tests.pipeline.system import POLYTRIO, System, environment

PASSWORD = b"correct horse battery"


class Venue:
    """The exchange, as its operator sees it."""

    def __init__(self) -> None:
        self.process, self.port = paper.start_live()

    def ask(self, path: str, body: Any = None) -> Any:
        """One of the pages under /sim/."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data)
        with urllib.request.urlopen(asked) as reply:
            return json.load(reply)

    def act(self, **then: str | bool) -> None:
        """Something happens at the venue, now."""
        rule = {"at": "clock", "then": then}
        self.ask("/sim/faults", {"clear": "all", "add": [rule]})

    def account(self, wallet: str) -> dict[str, Any]:
        """What it has of a wallet."""
        found: dict[str, Any] = self.ask("/sim/state")["accounts"].get(wallet, {})
        return found

    def end(self) -> None:
        """Gone."""
        self.process.kill()
        self.process.wait()


class Real:
    """An operator with a keystore, a folder, and an exchange to trade at."""

    def __init__(self, instance: str, folder: Path, venue: Venue) -> None:
        self.instance, self.folder, self.venue = instance, folder, venue
        self.key = secrets.token_bytes(31) + b"\1"
        self.key_file = folder / "wallet.json"
        self.key_file.write_bytes(keystore.encrypt(self.key, PASSWORD, 2**10))
        self.key_file.chmod(0o600)
        plain = folder / "plain.key"
        plain.write_text(self.key.hex())
        plain.chmod(0o600)
        self.wallet = load(plain, WalletSettings()).maker
        plain.unlink()
        self.running: list[System] = []

    def environment(self, **more: str) -> dict[str, str]:
        """What makes a run one of real money; `more` goes before it."""
        url = f"127.0.0.1:{self.venue.port}"
        given = {
            "EXECUTION_MODE": "live",
            "POLYTRIO__VENUE": "polymarket",
            "POLYTRIO__VENUES__CLOB_URL": f"http://{url}",
            "POLYTRIO__VENUES__USER_WS_URL": f"ws://{url}/ws/user",
            "POLYTRIO__WALLET__KEY_FILE": str(self.key_file),
            "POLYTRIO__EXECUTOR__MAX_SIGNAL_AGE_MS": "2000",  # the machine may be busy
            "POLYTRIO__EXECUTOR__DOUBT_SETTLE_MS": "2000",
            **paper.settings(self.venue.port),
        }
        return environment(self.instance, self.folder / "var", **(given | more))

    def run(self, *arguments: str, **more: str) -> System:
        """`polytrio run`, with the password by a descriptor."""
        reading, writing = os.pipe()
        os.write(writing, PASSWORD + b"\n")
        os.close(writing)
        command = [*POLYTRIO, "run", "--json", "--password-fd", str(reading), *arguments]
        system = System.__new__(System)
        system.instance = self.instance
        system.process = subprocess.Popen(
            command, env=self.environment(**more), cwd=self.folder, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, pass_fds=(reading,),
        )  # fmt: skip
        os.close(reading)
        self.running.append(system)
        return system

    def told(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Another verb, as the operator types it."""
        command = [*POLYTRIO, *words, "--instance", self.instance]
        return subprocess.run(
            command, env=self.environment(), cwd=self.folder, capture_output=True, text=True,
            timeout=90,
        )  # fmt: skip

    def mode(self) -> tuple[Mode, Cause]:
        """What the executor shows."""
        account = Observer(self.instance).look().account
        return Mode(account.mode), Cause(account.cause)
