"""The command line: `polytrio <verb>`, with `--json` for machines and documented exit codes.

Commands import what they need when they are called, so that `--help` answers at once.
"""

import os
import sys
from pathlib import Path

import click

from desk.errands import config_option, instance_option, json_option, known_errors, print_json, tell
from desk.loading import bench
from desk.remembering import journal
from desk.steering import configuration, mode, shadow
from desk.studying import baskets, explain, replay, scan


@click.group()
@click.version_option(package_name="polytrio")
def main() -> None:
    """Riskless baskets on Polymarket's daily crypto ladders.

    Exit codes: 0 done, 2 wrong usage, 3 settings, 4 shared memory, 5 already running, 7 port taken,
    8 live refused, 9 venue refused, 10 bad input, 11 a stage kept crashing, 12 journal, 13 not
    confirmed, 14 doctor found something, 15 the live venue cannot be reached, 1 a defect.
    """


for _verb in (mode, configuration, shadow, journal, replay, scan, baskets, explain, bench):
    main.add_command(_verb)


@main.command()
@config_option
@click.option("--venue", type=click.Choice(["sim", "polymarket"]), help="Overrides the settings.")
@click.option("--instance", help="Overrides the settings: run several systems side by side.")
@click.option(
    "--for", "seconds", type=click.FloatRange(min=0.1), help="End by itself after SECONDS."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--password-fd", type=int, help="Descriptor with the password of the key file.")
@known_errors
def run(
    *,
    config: Path | None,
    venue: str | None,
    instance: str | None,
    seconds: float | None,
    as_json: bool,
    password_fd: int | None,
) -> None:
    """Run the whole system with a live view, on the simulated exchange unless told otherwise.

    Ctrl-C ends it.
    """
    from desk.run import run as run_system  # noqa: PLC0415
    from shm.sources import read  # noqa: PLC0415

    environment = dict(os.environ)
    if venue:
        environment["POLYTRIO__VENUE"] = venue
    if instance:
        environment["POLYTRIO__INSTANCE"] = instance
    loaded = read(config, environment)
    sys.exit(run_system(loaded, seconds, as_json=as_json, password_fd=password_fd))


@main.command()
@click.option("--instance", default="main", show_default=True, help="Which running system.")
@known_errors
def serve(instance: str) -> None:
    """Discovery and switches without a screen; supervisord runs this beside the stages."""
    from desk.serve import serve as serve_desk  # noqa: PLC0415

    serve_desk(instance)


@main.command()
@config_option
@click.option("--instance", help="Which running system; default: the one of the settings.")
@click.option("--discover", is_flag=True, help="Ask the venue afresh instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@known_errors
def markets(config: Path | None, instance: str | None, discover: bool, as_json: bool) -> None:
    """Ladders that are traded, markets that are not and why, and families whose rules differ."""
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
        print_json(picture)
    else:
        view.show(picture, Console())


@main.command()
@click.option("--reason", default="", help="For the record.")
@config_option
@instance_option
@json_option
@known_errors
def kill(reason: str, config: Path | None, instance: str | None, as_json: bool) -> None:
    """Stop all trading at once and cancel whatever rests; `polytrio arm` allows it again."""
    from desk import killing  # noqa: PLC0415

    outcome = killing.kill(killing.settings_of(instance, config), reason)
    tell(outcome, as_json)
    if not outcome.confirmed:
        sys.exit(killing.Unconfirmed.exit_code)


@main.command()
@click.option("--wallet", default="", help="With real money: its address, typed out in full.")
@config_option
@instance_option
@json_option
@known_errors
def arm(wallet: str, config: Path | None, instance: str | None, as_json: bool) -> None:
    """Allow trading (again), once the executor has found its ledger true."""
    from desk import killing  # noqa: PLC0415

    armed_ms = killing.arm(killing.settings_of(instance, config), wallet)
    if as_json:
        click.echo(f'{{"armed": true, "after_ms": {armed_ms:.1f}}}')
    else:
        click.echo(f"armed after {armed_ms:.0f} ms")


@main.command()
@click.option("--reason", required=True, help="Why it differs; written into the journal.")
@click.option("--yes", is_flag=True, help="Do not ask: accept the figures of --cash and --shares.")
@click.option("--cash", default="", help="Dollars that the venue has more or less: +1.25, -3.")
@click.option("--shares", multiple=True, help="The same of a token: TOKEN=+5; may be repeated.")
@config_option
@instance_option
@json_option
@known_errors
def accept(
    *,
    reason: str,
    yes: bool,
    cash: str,
    shares: tuple[str, ...],
    config: Path | None,
    instance: str | None,
    as_json: bool,
) -> None:
    """Show what differs between journal and venue, and take it over once each figure was typed.

    For deposits, withdrawals and shares that were moved by hand, while nothing is traded.
    """
    from desk import accepting, killing  # noqa: PLC0415
    from shm.errors import InputError  # noqa: PLC0415

    settings = killing.settings_of(instance, config)
    if bool(cash or shares) != yes:
        raise InputError("--yes goes with the exact figures (--cash, --shares), and they with it")
    if yes:
        tell(accepting.accept(settings, reason, accepting.chosen(cash, shares)), as_json)
        return
    found = accepting.differing(settings)
    if as_json or not found:
        tell(accepting.Accepted(found, accepted=False), as_json)
        return
    click.echo("\n".join(accepting.shown(found)))
    if not accepting.confirmed(found, click.prompt):
        raise killing.Unconfirmed(accepting.TAKEN_BACK)
    tell(accepting.accept(settings, reason, found), as_json)


@main.command()
@config_option
@instance_option
@json_option
@known_errors
def status(config: Path | None, instance: str | None, as_json: bool) -> None:
    """Who lives, what stops trading, what the account says."""
    from desk import killing  # noqa: PLC0415
    from desk import status as view  # noqa: PLC0415

    tell(view.status(killing.settings_of(instance, config)), as_json)


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
    """Prove wallet, contracts, approvals, balance and clock; `polytrio doctor --help`."""
    _become("executor.doctor", arguments)


def _become(module: str, arguments: tuple[str, ...]) -> None:
    """Nothing that holds a key, and nothing that is the venue, ever runs in the desk's process."""
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606


if __name__ == "__main__":
    main()
