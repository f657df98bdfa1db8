"""`python -m tests.crash`: a campaign from the command line; exit code 1 when anything is found."""

import secrets
import sys
from pathlib import Path

import click

from tests.crash.lanes import LANES, side_by_side


@click.command()
@click.option("--cycles", default=2_000, show_default=True, help="Deaths.")
@click.option("--seconds", default=10.0**9, help="Or as many as fit into this time.")
@click.option("--seed", type=int, help="Of faults, instants and the exchange; printed.")
@click.option("--lanes", default=LANES, show_default=True, help="Chapters at a time.")
@click.option("--mutant", default="", help="A planted bug (tests/crash/planted.py).")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep everything here.")
def main(
    *, cycles: int, seconds: float, seed: int | None, lanes: int, mutant: str, folder: Path | None
) -> None:
    """Kill the executor so often, and say what came of it."""
    seed = secrets.randbelow(10**6) if seed is None else seed
    click.echo(f"seed {seed}")
    report = side_by_side(
        cycles, seed, lanes=lanes, seconds=seconds, mutant=mutant, folder=folder, shown=True
    )
    click.echo(report.text())
    sys.exit(1 if report.findings else 0)


if __name__ == "__main__":
    main()
