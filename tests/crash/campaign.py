"""Kills the executor thousands of times, at random instants and at named places, on a bad exchange.

    python -m tests.crash --cycles 2000 [--seed N] [--lanes N] [--mutant NAME]

A cycle is one life of the executor: faults are chosen, it starts, comes to a true ledger, trades,
and dies of SIGKILL. The killer beside it dies, too, and somebody presses the kill switch. Every so
often the faults stop and it lives until nothing is on its way: then cash and positions are the
exchange's, to the micro-unit. At the end the exchange's truth log alone says whether anything was
done twice or lost (tests/crash/judging.py).

This is one chapter of it, with an exchange and a journal of its own; tests/crash/lanes.py has
several of them side by side.
"""

import contextlib
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from executor.failpoints import UNATTENDED
from executor.state import State
from shm.codes import Cause, Mode
from shm.kill import ARM
from shm.layout import Account
from tests.crash.accounts import is_quiet, positions_e6
from tests.crash.faults import script
from tests.crash.judging import judge
from tests.crash.place import POLL_S, Life, Never, Place
from tests.crash.report import Report
from tests.crash.switch import Switch

SETTLED_EVERY = 50
FAULTS_EVERY = 5
START_S, TRADE_S, PLACE_S, PATIENCE_S = 0.25, 0.4, 0.6, 2.5
"""How long the kinds of life last at most: from birth, from being armed (twice), waiting for it."""
PRESSES = 0.2
KILLER_DIES = 0.15
RARE = tuple(
    name for name in UNATTENDED if name.split("-")[0] in {"rotation", "repair", "ended", "verdict"}
)
ROTATION = tuple(name for name in UNATTENDED if name.startswith("rotation"))
"""A segment is full once in a hundred lives: whichever life that is dies at one of these."""
ORDINARY = {Cause.NONE, Cause.KILL, Cause.SETTLEMENT, Cause.REFUSALS, Cause.DOUBT, Cause.BALANCE}
"""Why trading may have halted here. What a comparison or the identity of an order says is none."""
SETTLE_S = 30.0


class Campaign:
    """See the module."""

    def __init__(
        self,
        place: Place,
        seed: int,
        settled_every: int = SETTLED_EVERY,
        failpoints: Sequence[str] = UNATTENDED,
        always: Sequence[str] = (),
        *,
        judged_early: bool = False,
    ) -> None:
        self.place = place
        self.random = random.Random(seed)
        self.report = Report()
        self._settled_every = settled_every
        self._names = failpoints
        self._always = always
        self._judged_early = judged_early
        self._switch = Switch(place, self.random, self.report)
        self._killer: Life | None = None
        self._peaces: list[tuple[int, int]] = []

    def run(self, cycles: int, seconds: float = 10**9, *, shown: bool = False) -> Report:
        """So many deaths, or as many as fit into the time; then the verdict."""
        began_s = time.monotonic()
        self.settle()
        while self.report.cycles < cycles and time.monotonic() - began_s < seconds:
            if self.report.findings:
                break
            if self.report.cycles % FAULTS_EVERY == 0:
                self._change_faults()
            try:
                self._cycle()
            except Never as never:
                self.report.findings.append(str(never)[:3_000])
            self.report.cycles += 1
            if self.report.cycles % self._settled_every == 0:
                self.settle()
                # The log grows: not every time.
                if self._judged_early and not self.report.settled & (self.report.settled - 1):
                    self._judge()
            if shown and self.report.cycles % 20 == 0:
                self._show(cycles, began_s)
        self.settle()
        if not self.report.findings:
            self._judge()
        self.report.seconds = time.monotonic() - began_s
        return self.report

    def _judge(self) -> None:
        judge(self.place, self.report, self._switch.halts, self._peaces)

    def _show(self, cycles: int, began_s: float) -> None:
        since_s = time.monotonic() - began_s
        sys.stderr.write(
            f"{self.place.instance}: {self.report.cycles}/{cycles} deaths, {since_s:.0f} s, "
            f"{self.place.counters()[0].orders_sent} orders sent, "
            f"{len(self.report.findings)} findings\n"
        )

    # --- one life ---------------------------------------------------------------------------------

    def _change_faults(self) -> None:
        names, rules, spoiled = script(self.random, self.place.markets(), self._always)
        self.report.faults.update(names)
        self.place.rules(rules)
        self.place.spoil(spoiled)

    def _cycle(self) -> None:
        """Three kinds of life: dies at an instant of its start, of its trade, or at a place."""
        kind = self.random.choices(("start", "trade", "place"), (2, 4, 5))[0]
        failpoints = self._failpoints() if kind == "place" else self.random.choice(ROTATION)
        killer = self._mind_killer()
        account = self.place.account()
        life = self.place.birth(failpoints)
        began_s = time.monotonic()
        deadline_s = began_s + (self.random.uniform(0, START_S) if kind == "start" else PATIENCE_S)
        presses = kind == "trade" and self.random.random() < PRESSES
        armed = False
        while time.monotonic() < deadline_s and not self.place.dead(life):
            time.sleep(POLL_S)
            now = self.place.account()
            self._mind_halts(now)
            if armed or now.mode != Mode.ARMED or now.mode_since_ms == account.mode_since_ms:
                continue
            armed = True
            if presses:
                life = self._switch.press(life, killer)
            if kind != "start":
                lives_s = self.random.uniform(0, TRADE_S) if kind == "trade" else PLACE_S
                deadline_s = time.monotonic() + lives_s
        self._bury(life, failpoints)

    def _failpoints(self) -> str:
        """The one that was reached least, or any; and rare ones, should it come by."""
        least = min(self.report.deaths[name] for name in self._names)
        rare = [name for name in self._names if self.report.deaths[name] == least]
        chosen = [self.random.choice(rare if self.random.random() < 0.5 else self._names)]
        chosen += [name for name in RARE if self.random.random() < 0.3]
        return ",".join(f"{name}:{self.random.choice((1, 1, 2))}" for name in set(chosen))

    def _bury(self, life: Life, failpoints: str) -> None:
        place = self.place
        by_itself = place.dead(life)
        if by_itself and (life.code != -9 or not failpoints):
            self.report.findings.append(
                f"executor ended with code {life.code}: {place.log('executor', 1_500)}"
            )
        place.kill(life)
        where = place.last_words() if by_itself else "instant"
        self.report.deaths[where] += 1

    def _mind_killer(self) -> Life:
        """It dies now and then, and is brought back."""
        killer, place = self._killer, self.place
        if killer is not None and not place.dead(killer) and self.random.random() < KILLER_DIES:
            place.kill(killer)
            self.report.killer_deaths += 1
        if killer is not None and place.dead(killer) and killer.code != -9:
            text = f"killer ended with code {killer.code}: {place.log('killer', 1_500)}"
            self.report.findings.append(text)
        if killer is None or place.dead(killer):
            killer = place.killer()
        self._killer = killer
        return killer

    def _mind_halts(self, account: Account) -> None:
        """What halts in the ordinary way is armed again; anything else is a finding."""
        if account.mode != Mode.HALTED:
            return
        cause = Cause(account.cause)
        if cause not in ORDINARY:
            text = f"halted: {cause.name}: {self.place.log('executor', 2_000)}"
            if not self.report.findings:
                self.report.findings.append(text)
        elif not (self.place.var / ARM).exists():
            self.report.arms += 1
            self.place.arm()

    # --- peace ------------------------------------------------------------------------------------

    def settle(self) -> None:
        """No more faults, no more signals: everything must come to an end, and agree."""
        place = self.place
        place.rules([])
        place.spoil([])
        place.still(True)
        since_ns = time.monotonic_ns()
        self._mind_killer()
        life = place.birth()
        try:
            place.until(lambda: self._agrees(life), "all is settled and agrees", SETTLE_S)
            self._peaces.append((since_ns, time.monotonic_ns()))
            self.report.settled += 1
        except Never as never:
            self.report.findings.append(
                f"C6: {SETTLE_S:.0f} s after the last fault it is {place.mode.name}, "
                f"{self._difference(place.living())}\n{str(never)[:3_000]}"
            )
        place.kill(life)
        place.still(False)

    def _agrees(self, life: Life) -> bool:
        if self.place.dead(life):
            raise Never(f"it ended with code {life.code}: {self.place.log('executor')}")
        account = self.place.account()
        self._mind_halts(account)
        if self.report.findings:
            return True
        time.sleep(0.02)
        if account.mode != Mode.ARMED:
            return False
        state = self.place.living()
        return is_quiet(state) and not self._difference(state)

    def _difference(self, state: State) -> str:
        account = self.place.venue_account()
        if account is None:
            return ""
        theirs = {token: size for token, size in account["positions"].items() if size}
        cash, ours = state.ledger.cash_usd_e6, positions_e6(state)
        if cash != account["cash_usd_e6"] or theirs != ours:
            return (
                f"cash {cash} and the exchange's {account['cash_usd_e6']}; "
                f"positions {set(theirs.items()) ^ set(ours.items())}"
            )
        return ""


def chapter(cycles: int, seed: int, **options: Any) -> Report:
    """As many deaths with one exchange and one journal, in a folder of its own."""
    seconds, mutant = options.pop("seconds", 10**9), options.pop("mutant", "")
    shown = options.pop("shown", False)
    kept = options.pop("folder", None)
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="polytrio-crash-")
        folder = kept or stack.enter_context(temporary)
        place = Place(f"c-{secrets.token_hex(4)}", Path(folder), seed, mutant)
        stack.callback(place.end)
        return Campaign(place, seed, **options).run(cycles, seconds, shown=shown)
