"""Kills the executor thousands of times, at random instants and at named places, on a bad exchange.

    python -m tests.crash.campaign --cycles 2000 [--seed N] [--mutant NAME]

A cycle is one life of the executor: faults are chosen, it starts, comes to a true ledger, trades,
and dies of SIGKILL. Every so often the faults stop and it lives until nothing is on its way: then
cash and positions are the exchange's, to the micro-unit. At the end the exchange's truth log alone
says whether anything was done twice or lost (sim/verdict.py).
"""

import contextlib
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from executor import failpoints as points
from shm.codes import Cause, Mode
from sim.chronicle import Finding, chronicle, missing_lines
from sim.exposure import Caps
from sim.truth import read_truth
from sim.verdict import c1_once, c2_known, c3_conserved, c4_capped, c5_halted, c6_settled, c8_fresh
from tests.crash.faults import script
from tests.crash.place import Executor, Never, Place

NAMES = tuple(name for name in points.NAMES if name not in points.OPERATOR)
SETTLED_EVERY = 100
FAULTS_EVERY = 5
START_S, TRADE_S, PLACE_S, PATIENCE_S = 0.4, 0.7, 1.2, 4.0
"""How long the kinds of life last at most: from birth, from being armed (twice), waiting for it."""
PRESSES = 0.08
RARE = tuple(
    name for name in NAMES if name.split("-")[0] in {"rotation", "repair", "ended", "verdict"}
)
HALT_SLACK_NS = 500_000_000
"""What was written to a socket before the halt may arrive so much later on a busy machine."""
QUOTE_LIMIT_MS = 60_000
CAPS = Caps(wallet_usd_e6=900_000_000_000)
ORDINARY = {Cause.NONE, Cause.KILL, Cause.SETTLEMENT, Cause.REFUSALS, Cause.DOUBT, Cause.BALANCE}
"""Why trading may have halted here. What a comparison or the identity of an order says is none."""
SETTLE_S = 60.0
FINDINGS_SHOWN = 40


@dataclass
class Report:
    """What a campaign came to."""

    cycles: int = 0
    settled: int = 0
    seconds: float = 0.0
    deaths: Counter[str] = field(default_factory=Counter)
    """By failpoint; "instant" for the others."""
    faults: Counter[str] = field(default_factory=Counter)
    arms: int = 0
    kills: int = 0
    findings: list[str] = field(default_factory=list)
    orders: int = 0
    trades: int = 0
    lines: int = 0
    doubts: int = 0
    repairs: int = 0
    failed: int = 0
    segments: int = 0

    def text(self) -> str:
        """In a few lines."""
        missed = [name for name in NAMES if not self.deaths[name]]
        times = f"{60 * self.cycles / max(1.0, self.seconds):.0f} a minute"
        reached = sum(self.deaths[name] for name in NAMES)
        lines = [
            f"{self.cycles} deaths in {self.seconds:.0f} s ({times})",
            f"{self.settled} times all was settled and compared",
            f"{self.kills} presses of the kill switch, {self.arms} armings after halts",
            f"{self.orders} orders at the exchange, {self.trades} trades ({self.failed} failed)",
            f"{self.doubts} orders in doubt, {self.repairs} repairs, {self.segments} segments",
            f"{reached} deaths at failpoints; not reached: {', '.join(missed) or 'none'}",
            f"{len(self.findings)} findings in {self.lines} lines of truth",
        ]
        return "\n".join([*lines, *self.findings[:FINDINGS_SHOWN]])


class Campaign:
    """See the module."""

    def __init__(
        self,
        place: Place,
        seed: int,
        settled_every: int = SETTLED_EVERY,
        failpoints: Sequence[str] = NAMES,
        always: Sequence[str] = (),
    ) -> None:
        self.place = place
        self.random = random.Random(seed)
        self.report = Report()
        self._settled_every = settled_every
        self._names = failpoints
        self._always = always
        self._halts: list[tuple[int, int | None]] = []

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
                if not self.report.settled & (self.report.settled - 1):
                    self._judge()  # the log grows: not every time
            if shown and self.report.cycles % 20 == 0:
                self._show(cycles, began_s)
        self.settle()
        if not self.report.findings:
            self._judge()
        self.report.seconds = time.monotonic() - began_s
        return self.report

    def _show(self, cycles: int, began_s: float) -> None:
        since_s = time.monotonic() - began_s
        sys.stderr.write(
            f"\r{self.report.cycles}/{cycles} deaths, {since_s:.0f} s, "
            f"{self.place.counters().orders_sent} orders sent, "
            f"{len(self.report.findings)} findings "
        )
        sys.stderr.flush()

    # --- one life ---------------------------------------------------------------------------------

    def _change_faults(self) -> None:
        names, rules, spoiled = script(self.random, self._always)
        self.report.faults.update(names)
        self.place.rules(rules)
        self.place.spoil(spoiled)

    def _cycle(self) -> None:
        """Three kinds of life: dies at an instant of its start, of its trade, or at a place."""
        kind = self.random.choices(("start", "trade", "place"), (2, 4, 5))[0]
        failpoints = self._failpoints() if kind == "place" else ""
        account = self.place.account()
        life = self.place.birth(failpoints)
        began_s = time.monotonic()
        deadline_s = began_s + (self.random.uniform(0, START_S) if kind == "start" else PATIENCE_S)
        presses = kind == "trade" and self.random.random() < PRESSES
        armed = False
        while time.monotonic() < deadline_s and not self.place.dead(life):
            time.sleep(0.003)
            self._mind_halts()
            now = self.place.account()
            if armed or now.mode != Mode.ARMED or now.mode_since_ms == account.mode_since_ms:
                continue
            armed = True
            if presses:
                self._press(life)
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

    def _bury(self, life: Executor, failpoints: str) -> None:
        place = self.place
        by_itself = place.dead(life)
        if by_itself and (life.code != -9 or not failpoints):
            self.report.findings.append(
                f"executor ended with code {life.code}: {place.log('executor', 1_500)}"
            )
        place.kill(life)
        where = place.last_words() if by_itself else "instant"
        self.report.deaths[where] += 1

    def _press(self, life: Executor) -> None:
        """The kill switch, until the executor says that it has halted; then the operator's word."""
        self.report.kills += 1
        self.place.press()
        self._until_dead_or(life, lambda: self.place.mode is Mode.HALTED)
        since_ns = time.monotonic_ns()
        time.sleep(0.3)
        self._halts.append((since_ns, time.monotonic_ns()))
        self.place.arm()

    def _until_dead_or(self, life: Executor, condition: Any) -> None:
        self.place.until(lambda: condition() or self.place.dead(life), "halted", 10.0)

    def _mind_halts(self) -> None:
        """What halts in the ordinary way is armed again; anything else is a finding."""
        account = self.place.account()
        if account.mode != Mode.HALTED:
            return
        cause = Cause(account.cause)
        if cause not in ORDINARY:
            text = f"halted: {cause.name}: {self.place.log('executor', 2_000)}"
            if not self.report.findings:
                self.report.findings.append(text)
        elif not (self.place.var / "ARM").exists():
            self.report.arms += 1
            self.place.arm()

    # --- peace ------------------------------------------------------------------------------------

    def settle(self) -> None:
        """No more faults, no more signals: everything must come to an end, and agree."""
        place = self.place
        place.rules([])
        place.spoil([])
        place.still(True)
        life = place.birth()
        try:
            place.until(lambda: self._agrees(life), "all is settled and agrees", SETTLE_S)
            self.report.settled += 1
        except Never as never:
            self.report.findings.append(f"{self._difference()}\n{str(never)[:3_000]}")
        place.kill(life)
        place.still(False)

    def _agrees(self, life: Executor) -> bool:
        if self.place.dead(life):
            raise Never(f"it ended with code {life.code}: {self.place.log('executor')}")
        self._mind_halts()
        if self.report.findings:
            return True
        time.sleep(0.05)
        if self.place.mode is not Mode.ARMED:
            return False
        books = self.place.books()
        return books.quiet and not self._difference(books)

    def _difference(self, books: Any = None) -> str:
        books = books or self.place.books()
        account = self.place.venue_account()
        if account is None:
            return ""
        theirs = {token: size for token, size in account["positions"].items() if size}
        cash = books.state.ledger.cash_usd_e6
        if cash != account["cash_usd_e6"] or theirs != books.positions_e6:
            return (
                f"cash {cash} and the exchange's {account['cash_usd_e6']}; "
                f"positions {set(theirs.items()) ^ set(books.positions_e6.items())}"
            )
        return ""

    def _judge(self) -> None:
        report, books = self.report, self.place.books()
        lines = read_truth(self.place.truth)
        story = chronicle(lines)
        wallets = {line["wallet"] for line in story.accepted()}
        findings: list[Finding] = missing_lines(lines)
        findings += c1_once(story, books.intents)
        findings += c2_known(story, books.intents.keys(), wallets)
        findings += c3_conserved(story)
        findings += c4_capped(story, CAPS)
        halts = [(since + HALT_SLACK_NS, until) for since, until in [*books.halts, *self._halts]]
        findings += c5_halted(story, halts)
        late = [one for one in c6_settled(story, books.claims) if "the log ends" not in one.text]
        findings += late
        findings += c8_fresh(story, QUOTE_LIMIT_MS)
        report.findings += [f"{one.check} line {one.seq}: {one.text}" for one in findings]
        counters = self.place.counters()
        report.orders = len(story.accepted())
        report.trades = len(story.of("trade"))
        report.failed = sum(1 for one in story.of("trade_status") if one["status"] == "FAILED")
        report.doubts, report.repairs = counters.orders_doubt, counters.repairs_sent
        report.lines = len(lines)
        report.segments = len(list((self.place.var / "journal").glob("*.journal")))


def campaign(cycles: int, seed: int, **options: Any) -> Report:
    """A whole campaign in a folder of its own."""
    seconds, mutant = options.pop("seconds", 10**9), options.pop("mutant", "")
    shown = options.pop("shown", False)
    kept = options.pop("folder", None)
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="polytrio-crash-")
        folder = kept or stack.enter_context(temporary)
        place = Place(f"c-{secrets.token_hex(4)}", Path(folder), seed, mutant)
        stack.callback(place.end)
        return Campaign(place, seed, **options).run(cycles, seconds, shown=shown)


@click.command()
@click.option("--cycles", default=2_000, show_default=True, help="Deaths.")
@click.option("--seconds", default=10.0**9, help="Or as many as fit into this time.")
@click.option("--seed", type=int, help="Of faults, instants and the exchange; printed.")
@click.option("--mutant", default="", help="A planted bug (tests/crash/planted.py).")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep everything here.")
def main(
    *, cycles: int, seconds: float, seed: int | None, mutant: str, folder: Path | None
) -> None:
    """Run a campaign and say what it came to; exit code 1 when anything was found."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    click.echo(f"seed {seed}")
    report = campaign(cycles, seed, seconds=seconds, mutant=mutant, shown=True, folder=folder)
    click.echo("\n" + report.text())
    sys.exit(1 if report.findings else 0)


if __name__ == "__main__":
    main()
