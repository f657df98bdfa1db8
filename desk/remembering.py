"""Commands about the executor's journal: `polytrio journal show|verify|export|accept-loss`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from desk.errands import config_option, instance_option, json_option, known_errors, print_json
from shm.errors import JournalDamaged

if TYPE_CHECKING:
    from shm.journal_files import Place


@click.group()
def journal() -> None:
    """The executor's journal: look inside, check it, take it elsewhere; say that it is lost."""


_folder = click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="A journal anywhere else."
)
_kind = click.option("--kind", "kinds", multiple=True, help="Only such records; may be repeated.")
_flight = click.option("--flight", type=int, help="Only records about this signal.")
_since = click.option("--since", default=0, help="From this record on.")


def _place(config: Path | None, instance: str | None, folder: Path | None) -> "Place":
    """The journal that is asked for."""
    from desk.journal import place_of  # noqa: PLC0415
    from shm.settings import load  # noqa: PLC0415

    return place_of(load(config, dict(os.environ)), instance, folder)


@journal.command()
@config_option
@instance_option
@_folder
@_kind
@_flight
@_since
@click.option("--last", type=click.IntRange(min=1), help="Only so many, the newest ones.")
@click.option("--follow", is_flag=True, help="Go on with what is written from now on; Ctrl-C ends.")
@known_errors
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

    place = _place(config, instance, folder)
    wanted = view.Wanted(flight, view.kinds_of(kinds), since)
    view.show(place, wanted, click.echo, last=last, follow=follow)


@journal.command()
@config_option
@instance_option
@_folder
@json_option
@known_errors
def verify(config: Path | None, instance: str | None, folder: Path | None, as_json: bool) -> None:
    """Read every record of every segment, and name what is wrong. Exit code 12 if something is."""
    from desk import journal as view  # noqa: PLC0415

    told = view.verdict(_place(config, instance, folder))
    print_json(told) if as_json else click.echo("\n".join(view.verdict_text(told)))
    if not told["whole"]:
        raise JournalDamaged("the journal is not whole; docs/journal.md says what to do")


@journal.command()
@config_option
@instance_option
@_folder
@_kind
@_flight
@_since
@click.option("--out", type=click.Path(path_type=Path), help="A file; default: standard output.")
@known_errors
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

    place = _place(config, instance, folder)
    wanted = view.Wanted(flight, view.kinds_of(kinds), since)
    view.export(place, wanted, out)


@journal.command("accept-loss")
@config_option
@instance_option
@_folder
@click.option("--reason", required=True, help="For the record: what happened to it.")
@click.option("--wallet", help="Whose it was (0x...), if nothing that is left says so.")
@known_errors
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
