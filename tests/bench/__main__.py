"""`make bench`: measure, print a table with the machine, write bench.json.

A suite is a module with `measure(report, effort)` that adds rows (tests/bench/report.py). Nothing
here is collected by pytest, and no test asserts a time.
"""

import importlib
import sys
from pathlib import Path

import click
from rich.console import Console

from tests.bench.effort import FULL, QUICK, Effort
from tests.bench.report import Report

SUITES = ("ipc", "memory", "journal", "kill")
OUT = Path("bench.json")


@click.command()
@click.option("--only", type=click.Choice(SUITES), multiple=True, help="Just these suites.")
@click.option("--quick", is_flag=True, help="Few and short rounds: does it work?")
@click.option("--rounds", default=FULL.rounds, show_default=True, help="Rounds of everything.")
@click.option("--trials", default=FULL.trials, show_default=True, help="Presses of the switch.")
@click.option("--out", default=OUT, show_default=True, help="Where the numbers go.", type=Path)
@click.option("--strict", is_flag=True, help="End with 1 if a target is missed.")
def main(
    *, only: tuple[str, ...], quick: bool, rounds: int, trials: int, out: Path, strict: bool
) -> None:
    """Measure what is fast here, on this machine, now."""
    console = Console()
    if not console.is_terminal:
        console.width = 180
    report = Report()
    effort = QUICK if quick else Effort(rounds=rounds, trials=trials)
    for suite in only or SUITES:
        console.print(f"measuring {suite} ...", style="dim")
        module = importlib.import_module(f"tests.bench.{suite}")
        module.measure(report, effort)
    report.print(console)
    report.write(out)
    console.print(f"all numbers, round by round: {out}")
    if strict and any(row.missed for row in report.rows):
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="make bench")
