"""Commands that look at baskets: `polytrio replay`, `scan`, `baskets`, `explain`."""

import time
from pathlib import Path
from typing import Any

import click

from desk.errands import config_option, instance_option, json_option, known_errors, print_json
from shm.errors import InputError


@click.command()
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
@known_errors
def replay(
    markets: Path, quotes: Path, out: Path | None, plots: Path | None, *, keep: bool, as_json: bool
) -> None:
    """Run a recording through parser, books and engine: what it finds, for how long."""
    from desk import replay as play  # noqa: PLC0415

    _require_apart(out, markets, quotes)
    if plots is not None:
        from desk.plots import require_matplotlib  # noqa: PLC0415

        require_matplotlib()
    outcome = play.run(markets, quotes, out, keep=keep)
    if plots is not None:
        from desk.plots import plot  # noqa: PLC0415

        plot(outcome.log.windows(), outcome.log.resolution_ms, plots)
    if as_json:
        print_json(outcome.as_json())
    else:
        play.show(outcome, _screen())


@click.command()
@click.option("--promote", type=click.IntRange(min=1), help="Watch this find of the last scan.")
@click.option("--markets", type=click.Path(path_type=Path), help="Of a recording: markets CSV.")
@click.option("--quotes", type=click.Path(path_type=Path), help="Of a recording: quotes CSV.")
@click.option("--keep", is_flag=True, help="A recording of changes, see replay.")
@click.option("--out", type=click.Path(path_type=Path), help="Of a recording: JSON lines of finds.")
@config_option
@instance_option
@json_option
@known_errors
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
        _require_apart(out, markets, quotes)
        measure = view.measured(view.recorded(markets, quotes, keep=keep), out)
        print_json(measure) if as_json else view.show_measure(measure, screen)
        return
    if promote is not None:
        folder = _settings(config, instance).var_path
        find, new = view.promote_find(folder, promote, time.time_ns() // 1_000_000)
        if as_json:
            print_json({"promoted": new, "find": find})
        else:
            click.echo("promoted: the next generation has it" if new else "it is promoted already")
        return
    found, folder = view.running(_settings(config, instance).instance)
    view.write_down(found, folder)
    print_json(found.as_json()) if as_json else view.show(found, screen)


def _require_apart(out: Path | None, markets: Path, quotes: Path) -> None:
    if out is not None and out.resolve() in {markets.resolve(), quotes.resolve()}:
        raise InputError(f"--out {out} is one of the inputs")


def _screen() -> Any:
    """A console; wide enough for the tables where the output is no terminal."""
    from rich.console import Console  # noqa: PLC0415

    screen = Console()
    return screen if screen.is_terminal else Console(width=120)


def _settings(config: Path | None, instance: str | None) -> Any:
    from desk import killing  # noqa: PLC0415

    return killing.settings_of(instance, config)


@click.command()
@click.option("--coin", help="Only of this coin.")
@click.option("--kind", help="Only of this kind: trio, complement, ladder, ...")
@click.option(
    "--sort",
    type=click.Choice(["edge", "distance", "depth", "expiry"]),
    default="edge",
    show_default=True,
)
@click.option("--top", type=click.IntRange(min=1), help="So many; 30 on a screen, all in JSON.")
@config_option
@instance_option
@json_option
@known_errors
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
    from desk import basket_list as view  # noqa: PLC0415

    every = view.listed(_settings(config, instance).instance)
    top = top or (None if as_json else 30)
    some = view.chosen(every, coin=coin, kind=kind, sort=sort, top=top)
    if as_json:
        print_json({"baskets": [one.as_json() for one in some], "total": len(every)})
    else:
        view.show(some, len(every), _screen())


@click.command()
@click.argument("basket")
@config_option
@instance_option
@json_option
@known_errors
def explain(basket: str, config: Path | None, instance: str | None, as_json: bool) -> None:
    """One basket (its id, or how it begins): legs, payoff, fees, walk, and every check."""
    from desk import explain as view  # noqa: PLC0415
    from desk.explain_text import lines  # noqa: PLC0415

    about = view.explained(_settings(config, instance).instance, basket)
    if as_json:
        print_json(about.as_json())
    else:
        click.echo("\n".join(lines(about)))
