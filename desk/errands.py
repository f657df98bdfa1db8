"""What the commands of `polytrio` have in common: options, and how known errors end them."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from shm.errors import PolytrioError


def known_errors(command: Callable[..., None]) -> Callable[..., None]:
    """One line and a distinct exit code (shm/errors.py) for every error with a known cause."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PolytrioError as error:
            click.echo(f"polytrio: {error}", err=True)
            sys.exit(getattr(error, "code", error.exit_code))

    return run


def print_json(value: Any) -> None:
    """One JSON value, for machines."""
    import msgspec  # noqa: PLC0415  # `--help` does without

    click.echo(msgspec.json.encode(value))


def tell(outcome: Any, as_json: bool) -> None:
    """What a command has to say: `as_json()` for machines, `lines()` for people."""
    if as_json:
        print_json(outcome.as_json())
    else:
        click.echo("\n".join(outcome.lines()))


config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file; ./polytrio.toml if present, else the defaults.",
)
instance_option = click.option("--instance", help="Which system; default: the one of the settings.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
