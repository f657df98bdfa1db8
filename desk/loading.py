"""Commands that load the whole system: `polytrio bench pipeline|soak`."""

import os
from pathlib import Path

import click

from desk.errands import config_option, json_option, known_errors


@click.group()
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
@config_option
@json_option
@known_errors
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
@config_option
@json_option
@known_errors
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
