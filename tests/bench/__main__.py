"""`make bench`: measure, print tables with the machine, write bench.json and what docs show of it.

A suite is a module with `measure(report, effort)` that adds rows (tests/bench/report.py). Nothing
here is collected by pytest, and no test asserts a time.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tests.bench import drawing, targets
from tests.bench.effort import FULL, QUICK, Effort
from tests.bench.report import Report

SUITES = (
    "ipc", "parse", "decode_apply", "engine", "sign", "receive", "node", "memory", "floor",
    "journal", "kill", "pipeline",
)  # fmt: skip
OUT = Path("bench.json")


@click.command()
@click.option("--only", type=click.Choice(SUITES), multiple=True, help="Just these suites.")
@click.option("--quick", is_flag=True, help="Few and short rounds: does it work?")
@click.option("--rounds", default=FULL.rounds, show_default=True, help="Rounds of everything.")
@click.option("--trials", default=FULL.trials, show_default=True, help="Presses of the switch.")
@click.option("--out", default=OUT, show_default=True, help="Where the numbers go.", type=Path)
@click.option(
    "--docs/--no-docs",
    default=None,
    help="Rewrite what docs show; by default after a whole run of all suites.",
)
@click.option("--strict", is_flag=True, help="End with 1 if a target is missed.")
def main(
    *,
    only: tuple[str, ...],
    quick: bool,
    rounds: int,
    trials: int,
    out: Path,
    docs: bool | None,
    strict: bool,
) -> None:
    """Measure what is fast here, on this machine, now."""
    docs = docs if docs is not None else not (only or quick)
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
    found = targets.answers(report)
    _print_targets(console, found)
    report.write(out, targets=[answer._asdict() for answer in found])
    console.print(f"all numbers, round by round: {out}")
    if docs:
        targets.write_docs(report)
        drawing.draw(report)
        console.print("written: the tables of docs/performance.md, docs/bench.svg")
    if strict and any(row.missed for row in report.rows):
        sys.exit(1)


def _print_targets(console: Console, found: Sequence[targets.Answer]) -> None:
    table = Table("step", "target", "measured", "", title="targets", title_justify="left")
    for answer in found:
        style = {"met": "green", "missed": "red"}.get(answer.verdict, "dim")
        table.add_row(*answer, style=style)
    console.print(table)


if __name__ == "__main__":
    main(prog_name="make bench")
