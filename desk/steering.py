"""Commands that change a running system: `polytrio mode`, `polytrio config`, `polytrio shadow`."""

import os
from pathlib import Path

import click

from desk.errands import config_option, instance_option, json_option, known_errors, tell
from shm.errors import ConfigError


def _instance(given: str | None, config: Path | None) -> str:
    """The instance that was named, else the one of the settings, also where the file is bad."""
    from shm.settings import load  # noqa: PLC0415

    if given:
        return given
    try:
        return load(config, dict(os.environ)).instance
    except ConfigError:
        return os.environ.get("POLYTRIO__INSTANCE", "main")


@click.group()
def mode() -> None:
    """Which engine decides, which library carries the market feed, whether orders leave."""


@mode.command("show")
@config_option
@instance_option
@json_option
@known_errors
def mode_show(config: Path | None, instance: str | None, as_json: bool) -> None:
    """What was chosen where, and what runs."""
    from desk import modes  # noqa: PLC0415

    tell(modes.modes_of(_instance(instance, config)), as_json)


@mode.command("set")
@click.argument("choices", nargs=-1, required=True)
@config_option
@instance_option
@json_option
@known_errors
def mode_set(
    choices: tuple[str, ...], config: Path | None, instance: str | None, as_json: bool
) -> None:
    """Choose while it runs, as in `engine=shadow`; `=settings` takes a choice back.

    engine=native|python|shadow, socket=picows|websockets, execution=paper|live|off.
    """
    from desk import modes  # noqa: PLC0415

    choice = modes.parsed(choices)
    tell(modes.choose(_instance(instance, config), choice), as_json)


@click.group("config")
def configuration() -> None:
    """The settings of a running system, and taking over changed ones."""


@configuration.command("show")
@config_option
@instance_option
@json_option
@known_errors
def config_show(config: Path | None, instance: str | None, as_json: bool) -> None:
    """What holds, where it is from, who works with it, and what became of the last change."""
    from desk import configuring  # noqa: PLC0415

    tell(configuring.show(_instance(instance, config)), as_json)


@configuration.command("check")
@config_option
@instance_option
@json_option
@known_errors
def config_check(config: Path | None, instance: str | None, as_json: bool) -> None:
    """Whether a file is good, what it would change, and what of that needs a restart."""
    from desk import configuring  # noqa: PLC0415

    tell(configuring.check(_instance(instance, config), config), as_json)


@configuration.command("reload")
@config_option
@instance_option
@json_option
@known_errors
def config_reload(config: Path | None, instance: str | None, as_json: bool) -> None:
    """Take the file over now, whole or not at all."""
    from desk import configuring  # noqa: PLC0415

    tell(configuring.reload(_instance(instance, config)), as_json)


@click.command()
@config_option
@instance_option
@json_option
@known_errors
def shadow(config: Path | None, instance: str | None, as_json: bool) -> None:
    """What the native and the Python engine said to the same, and on what they differ."""
    from desk import shadowing  # noqa: PLC0415

    tell(shadowing.report(_instance(instance, config)), as_json)
