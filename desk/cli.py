"""The command line: `polytrio <verb>`, with `--json` for machines and documented exit codes.

Commands import what they need when they are called, so that `--help` answers at once.
"""

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from shm.errors import InputError, PolytrioError


def _known_errors(command: Callable[..., None]) -> Callable[..., None]:
    """One line and a distinct exit code (shm/errors.py) for every error with a known cause."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PolytrioError as error:
            click.echo(f"polytrio: {error}", err=True)
            sys.exit(getattr(error, "code", error.exit_code))

    return run


_config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file; ./polytrio.toml if present, else the defaults.",
)


@click.group()
@click.version_option(package_name="polytrio")
def main() -> None:
    """Riskless baskets on Polymarket's daily crypto ladders.

    Exit codes: 0 done, 2 wrong usage, 3 settings, 4 shared memory, 5 already running, 7 port taken,
    8 live refused, 9 venue refused, 10 bad input, 11 a stage kept crashing, 12 journal, 13 not
    confirmed, 14 doctor found something, 1 a defect.
    """


@main.command()
@_config
@click.option("--venue", type=click.Choice(["sim", "polymarket"]), help="Overrides the settings.")
@click.option("--instance", help="Overrides the settings: run several systems side by side.")
@click.option(
    "--for", "seconds", type=click.FloatRange(min=0.1), help="End by itself after SECONDS."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@_known_errors
def run(
    config: Path | None,
    venue: str | None,
    instance: str | None,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Run the whole system on the simulated exchange, with a live view. Ctrl-C ends it."""
    from desk.run import run as run_system  # noqa: PLC0415
    from shm.settings import load  # noqa: PLC0415

    environment = dict(os.environ)
    if venue:
        environment["POLYTRIO__VENUE"] = venue
    if instance:
        environment["POLYTRIO__INSTANCE"] = instance
    sys.exit(run_system(load(config, environment), seconds, as_json=as_json))


@main.command()
@click.option("--instance", default="main", show_default=True, help="Which running system.")
@_known_errors
def serve(instance: str) -> None:
    """Discovery and switches without a screen; supervisord runs this beside the stages."""
    from desk.serve import serve as serve_desk  # noqa: PLC0415

    serve_desk(instance)


@main.command()
@_config
@click.option("--instance", help="Which running system; default: the one of the settings.")
@click.option("--discover", is_flag=True, help="Ask the venue afresh instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_known_errors
def markets(config: Path | None, instance: str | None, discover: bool, as_json: bool) -> None:
    """Ladders that are traded, markets that are not and why, and families whose rules differ."""
    import msgspec  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    from desk import markets as view  # noqa: PLC0415
    from shm.settings import load  # noqa: PLC0415

    settings = load(config, dict(os.environ))
    instance = instance or settings.instance
    if discover:
        picture = view.fresh(view.settings_of(instance) or settings)
    else:
        picture = view.running(instance)
    if as_json:
        click.echo(msgspec.json.encode(picture))
    else:
        view.show(picture, Console())


_running = click.option("--instance", help="Which system; default: the one of the settings.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@main.command()
@click.option("--reason", default="", help="For the record.")
@_config
@_running
@_json
@_known_errors
def kill(reason: str, config: Path | None, instance: str | None, as_json: bool) -> None:
    """Stop all trading at once and cancel whatever rests; `polytrio arm` allows it again."""
    from desk import killing  # noqa: PLC0415

    outcome = killing.kill(killing.settings_of(instance, config), reason)
    _tell(outcome, as_json)
    if not outcome.confirmed:
        sys.exit(killing.Unconfirmed.exit_code)


@main.command()
@click.option("--wallet", default="", help="With real money: its address, typed out in full.")
@_config
@_running
@_json
@_known_errors
def arm(wallet: str, config: Path | None, instance: str | None, as_json: bool) -> None:
    """Allow trading (again), once the executor has found its ledger true."""
    from desk import killing  # noqa: PLC0415

    armed_ms = killing.arm(killing.settings_of(instance, config), wallet)
    if as_json:
        click.echo(f'{{"armed": true, "after_ms": {armed_ms:.1f}}}')
    else:
        click.echo(f"armed after {armed_ms:.0f} ms")


@main.command()
@_config
@_running
@_json
@_known_errors
def status(config: Path | None, instance: str | None, as_json: bool) -> None:
    """Who lives, what stops trading, what the account says."""
    from desk import killing  # noqa: PLC0415
    from desk import status as view  # noqa: PLC0415

    _tell(view.status(killing.settings_of(instance, config)), as_json)


def _tell(outcome: Any, as_json: bool) -> None:
    if as_json:
        import msgspec  # noqa: PLC0415

        click.echo(msgspec.json.encode(outcome.as_json()))
    else:
        click.echo("\n".join(outcome.lines()))


@main.command()
@click.option("--markets", required=True, type=click.Path(path_type=Path), help="Markets CSV.")
@click.option("--quotes", required=True, type=click.Path(path_type=Path), help="Quotes CSV.")
@click.option("--out", type=click.Path(path_type=Path), help="CSV of every positive evaluation.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_known_errors
def replay(markets: Path, quotes: Path, out: Path | None, as_json: bool) -> None:
    """Run a recording through parser, books and engine, and count what they find."""
    import msgspec  # noqa: PLC0415

    from desk.replay import run as run_replay  # noqa: PLC0415

    if out is not None and out.resolve() in {markets.resolve(), quotes.resolve()}:
        raise InputError(f"--out {out} is one of the inputs")
    outcome = run_replay(markets, quotes, out)
    if as_json:
        click.echo(msgspec.json.encode(outcome.as_json()))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("basket", "evaluations", "gross > 0", "net > 0", "best net, cents")
    for name, count in outcome.kinds.items():
        best = outcome.best_net_e8.get(name)
        table.add_row(
            name,
            f"{count.evaluations:,}",
            f"{count.gross_positive:,}",
            f"{count.net_positive:,}",
            "-" if best is None else f"{best / 1e6:+.2f}",
        )
    Console().print(table)
    click.echo(f"{outcome.crawls} crawls, {outcome.markets} markets, {outcome.baskets} baskets")


@main.group()
def bench() -> None:
    """Load tests of the whole system, on the simulated exchange."""


_profile = click.option(
    "--profile",
    type=click.Choice(["today", "twice", "venue"]),
    default="today",
    show_default=True,
    help="today's ladders, twice their recorded peak, or the whole venue.",
)


@bench.command()
@_profile
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.5),
    default=3.0,
    show_default=True,
    help="For each rate.",
)
@_config
@_json
@_known_errors
def pipeline(profile: str, seconds: float, config: Path | None, as_json: bool) -> None:
    """Raise the rate of frames until it is too much; latency at parts of what is sustained."""
    import asyncio  # noqa: PLC0415

    from desk import load, load_view  # noqa: PLC0415
    from desk.load_profiles import PROFILES  # noqa: PLC0415
    from shm.settings import load as load_settings  # noqa: PLC0415

    settings = load_settings(config, dict(os.environ))
    teller = load_view.teller(quiet=as_json)
    found = asyncio.run(load.measure(settings, PROFILES[profile], seconds, teller))
    load_view.show(found.as_json(), load_view.pipeline_lines(found), as_json=as_json)


@bench.command()
@_profile
@click.option(
    "--minutes", type=click.FloatRange(min=0.05), default=10.0, show_default=True, help="How long."
)
@_config
@_json
@_known_errors
def soak(profile: str, minutes: float, config: Path | None, as_json: bool) -> None:
    """Keep the profile's rate for long: what grows, what is collected, what is lost."""
    import asyncio  # noqa: PLC0415

    from desk import load, load_view  # noqa: PLC0415
    from desk.load_profiles import PROFILES  # noqa: PLC0415
    from shm.settings import load as load_settings  # noqa: PLC0415

    settings = load_settings(config, dict(os.environ))
    teller = load_view.teller(quiet=as_json)
    found = asyncio.run(load.soak(settings, PROFILES[profile], minutes * 60.0, teller))
    load_view.show(found.as_json(), load_view.soak_lines(found), as_json=as_json)


@main.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sim(arguments: tuple[str, ...]) -> None:
    """The simulated exchange on its own; `polytrio sim --help` lists its options."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", "sim", *arguments])  # noqa: S606


if __name__ == "__main__":
    main()
