"""The command line: `polytrio <verb>`, with `--json` for machines and documented exit codes.

Commands import what they need when they are called, so that `--help` answers at once.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from shm.errors import InputError, JournalDamaged, PolytrioError


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
@click.option("--password-fd", type=int, help="Descriptor with the password of the key file.")
@_known_errors
def run(
    *,
    config: Path | None,
    venue: str | None,
    instance: str | None,
    seconds: float | None,
    as_json: bool,
    password_fd: int | None,
) -> None:
    """Run the whole system on the simulated exchange, with a live view. Ctrl-C ends it."""
    from desk.run import run as run_system  # noqa: PLC0415
    from shm.settings import load  # noqa: PLC0415

    environment = dict(os.environ)
    if venue:
        environment["POLYTRIO__VENUE"] = venue
    if instance:
        environment["POLYTRIO__INSTANCE"] = instance
    settings = load(config, environment)
    sys.exit(run_system(settings, seconds, as_json=as_json, password_fd=password_fd))


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
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for plots of the windows, PNG and SVG (needs matplotlib).",
)
@click.option(
    "--keep", is_flag=True, help="A recording of changes: markets not mentioned stay as they were."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_known_errors
def replay(
    markets: Path, quotes: Path, out: Path | None, plots: Path | None, *, keep: bool, as_json: bool
) -> None:
    """Run a recording through parser, books and engine: what it finds, for how long."""
    from rich.console import Console  # noqa: PLC0415

    from desk import replay as play  # noqa: PLC0415

    if out is not None and out.resolve() in {markets.resolve(), quotes.resolve()}:
        raise InputError(f"--out {out} is one of the inputs")
    if plots is not None:
        from desk.plots import require_matplotlib  # noqa: PLC0415

        require_matplotlib()
    outcome = play.run(markets, quotes, out, keep=keep)
    if plots is not None:
        from desk.plots import plot  # noqa: PLC0415

        plot(outcome.log.windows(), outcome.log.resolution_ms, plots)
    if as_json:
        import msgspec  # noqa: PLC0415

        click.echo(msgspec.json.encode(outcome.as_json()))
    else:
        screen = Console()
        play.show(outcome, screen if screen.is_terminal else Console(width=120))


@main.command()
@click.option("--promote", type=click.IntRange(min=1), help="Watch this find of the last scan.")
@click.option("--markets", type=click.Path(path_type=Path), help="Of a recording: markets CSV.")
@click.option("--quotes", type=click.Path(path_type=Path), help="Of a recording: quotes CSV.")
@click.option("--keep", is_flag=True, help="A recording of changes, see replay.")
@click.option("--out", type=click.Path(path_type=Path), help="Of a recording: JSON lines of finds.")
@_config
@_running
@_json
@_known_errors
def scan(
    promote: int | None,
    markets: Path | None,
    quotes: Path | None,
    out: Path | None,
    config: Path | None,
    *,
    instance: str | None,
    keep: bool,
    as_json: bool,
) -> None:
    """The best riskless purchase of each ladder, with proof; what compiled baskets miss."""
    from rich.console import Console  # noqa: PLC0415

    from desk import scanning as view  # noqa: PLC0415

    if (markets is None) != (quotes is None):
        raise click.UsageError("a recording needs both --markets and --quotes")
    screen = Console()
    if markets is not None and quotes is not None:
        if out is not None and out.resolve() in {markets.resolve(), quotes.resolve()}:
            raise InputError(f"--out {out} is one of the inputs")
        measure = view.measured(view.recorded(markets, quotes, keep=keep), out)
        _print_json(measure) if as_json else view.show_measure(measure, screen)
        return
    if promote is not None:
        folder = _settings(config, instance).var_path
        find, new = view.promote_find(folder, promote, time.time_ns() // 1_000_000)
        if as_json:
            _print_json({"promoted": new, "find": find})
        else:
            click.echo("promoted: the next generation has it" if new else "it is promoted already")
        return
    found, folder = view.running(_settings(config, instance).instance)
    view.write_down(found, folder)
    _print_json(found.as_json()) if as_json else view.show(found, screen)


def _settings(config: Path | None, instance: str | None) -> Any:
    from desk import killing  # noqa: PLC0415

    return killing.settings_of(instance, config)


def _print_json(value: Any) -> None:
    import msgspec  # noqa: PLC0415

    click.echo(msgspec.json.encode(value))


@main.command()
@click.option("--coin", help="Only of this coin.")
@click.option("--kind", help="Only of this kind: trio, complement, ladder, ...")
@click.option(
    "--sort",
    type=click.Choice(["edge", "distance", "depth", "expiry"]),
    default="edge",
    show_default=True,
)
@click.option("--top", type=click.IntRange(min=1), help="So many; 30 on a screen, all in JSON.")
@_config
@_running
@_json
@_known_errors
def baskets(
    coin: str | None,
    kind: str | None,
    top: int | None,
    config: Path | None,
    *,
    instance: str | None,
    sort: str,
    as_json: bool,
) -> None:
    """Every basket: its edge now, what it lacks of a signal, depth, expiry."""
    from rich.console import Console  # noqa: PLC0415

    from desk import basket_list as view  # noqa: PLC0415

    every = view.listed(_settings(config, instance).instance)
    top = top or (None if as_json else 30)
    some = view.chosen(every, coin=coin, kind=kind, sort=sort, top=top)
    if as_json:
        _print_json({"baskets": [one.as_json() for one in some], "total": len(every)})
    else:
        screen = Console()
        view.show(some, len(every), screen if screen.is_terminal else Console(width=120))


@main.command()
@click.argument("basket")
@_config
@_running
@_json
@_known_errors
def explain(basket: str, config: Path | None, instance: str | None, as_json: bool) -> None:
    """One basket (its id, or how it begins): legs, payoff, fees, walk, and every check."""
    from desk import explain as view  # noqa: PLC0415
    from desk.explain_text import lines  # noqa: PLC0415

    about = view.explained(_settings(config, instance).instance, basket)
    if as_json:
        _print_json(about.as_json())
    else:
        click.echo("\n".join(lines(about)))


@main.group()
def journal() -> None:
    """The executor's journal: look inside, check it, take it elsewhere; say that it is lost."""


_folder = click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="A journal anywhere else."
)
_kind = click.option("--kind", "kinds", multiple=True, help="Only such records; may be repeated.")
_flight = click.option("--flight", type=int, help="Only records about this signal.")
_since = click.option("--since", default=0, help="From this record on.")


@journal.command()
@_config
@_running
@_folder
@_kind
@_flight
@_since
@click.option("--last", type=click.IntRange(min=1), help="Only so many, the newest ones.")
@click.option("--follow", is_flag=True, help="Go on with what is written from now on; Ctrl-C ends.")
@_known_errors
def show(
    *,
    config: Path | None,
    instance: str | None,
    folder: Path | None,
    kinds: tuple[str, ...],
    flight: int | None,
    since: int,
    last: int | None,
    follow: bool,
) -> None:
    """Print records, one a line."""
    from desk import journal as view  # noqa: PLC0415
    from shm.settings import load  # noqa: PLC0415

    place = view.place_of(load(config, dict(os.environ)), instance, folder)
    wanted = view.Wanted(flight, view.kinds_of(kinds), since)
    view.show(place, wanted, click.echo, last=last, follow=follow)


@journal.command()
@_config
@_running
@_folder
@_json
@_known_errors
def verify(config: Path | None, instance: str | None, folder: Path | None, as_json: bool) -> None:
    """Read every record of every segment, and name what is wrong. Exit code 12 if something is."""
    import msgspec  # noqa: PLC0415

    from desk import journal as view  # noqa: PLC0415
    from shm.settings import load  # noqa: PLC0415

    told = view.verdict(view.place_of(load(config, dict(os.environ)), instance, folder))
    click.echo(msgspec.json.encode(told) if as_json else "\n".join(view.verdict_text(told)))
    if not told["whole"]:
        raise JournalDamaged("the journal is not whole; docs/journal.md says what to do")


@journal.command()
@_config
@_running
@_folder
@_kind
@_flight
@_since
@click.option("--out", type=click.Path(path_type=Path), help="A file; default: standard output.")
@_known_errors
def export(
    *,
    config: Path | None,
    instance: str | None,
    folder: Path | None,
    kinds: tuple[str, ...],
    flight: int | None,
    since: int,
    out: Path | None,
) -> None:
    """Print records as JSON, one object a line, with everything that they hold."""
    from desk import journal as view  # noqa: PLC0415
    from shm.settings import load  # noqa: PLC0415

    place = view.place_of(load(config, dict(os.environ)), instance, folder)
    wanted = view.Wanted(flight, view.kinds_of(kinds), since)
    view.export(place, wanted, out)


@journal.command("accept-loss")
@_config
@_running
@_folder
@click.option("--reason", required=True, help="For the record: what happened to it.")
@click.option("--wallet", help="Whose it was (0x...), if nothing that is left says so.")
@_known_errors
def accept_loss(
    config: Path | None, instance: str | None, folder: Path | None, reason: str, wallet: str | None
) -> None:
    """Begin a new journal in the place of one that is damaged, gone or older.

    The executor must not run. What is left of the old one is put beside. The next start looks for
    every order and position of the wallet at the venue before it may trade.
    """
    from desk import journal_loss  # noqa: PLC0415
    from desk.journal import place_of  # noqa: PLC0415
    from shm.settings import load  # noqa: PLC0415

    settings = load(config, dict(os.environ))
    place = place_of(settings, instance, folder)
    remains = journal_loss.accept_loss(
        place,
        wallet=journal_loss.parse_wallet(wallet),
        actor=journal_loss.whoami(),
        reason=reason,
        records=settings.journal.segment_records,
    )
    rest = f"the old one is put aside at {remains}" if remains else "nothing is left of the old one"
    click.echo(f"a new journal is at {place.folder}; {rest}")


_PASSED_ON = {"ignore_unknown_options": True, "help_option_names": []}


@main.command(context_settings=_PASSED_ON, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sim(arguments: tuple[str, ...]) -> None:
    """The simulated exchange on its own; `polytrio sim --help` lists its options."""
    _become("sim", arguments)


@main.command(context_settings=_PASSED_ON, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def wallet(arguments: tuple[str, ...]) -> None:
    """Key files: new, import, check; `polytrio wallet --help` lists the options."""
    _become("executor.purse", arguments)


@main.command(context_settings=_PASSED_ON, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def doctor(arguments: tuple[str, ...]) -> None:
    """Prove wallet, contracts, allowances, balance and clock; `polytrio doctor --help`."""
    _become("executor.doctor", arguments)


def _become(module: str, arguments: tuple[str, ...]) -> None:
    """Nothing that holds a key, and nothing that is the venue, ever runs in the desk's process."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606


if __name__ == "__main__":
    main()
