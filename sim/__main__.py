"""The command line of the simulated exchange: `python -m sim`."""

import asyncio
import logging
import sys
from pathlib import Path

import click

from shm.errors import PolytrioError
from sim import options as checked
from sim.lifecycle import check_loopback, die_with_parent, serve
from sim.mirror_link import Link
from sim.options import Options, build_venue
from sim.rules import read_script
from sim.server import Door, WallClock


@click.command(context_settings={"max_content_width": 100})
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address.")
@click.option("--port", default=8700, show_default=True, help="Port; 0 takes any free one.")
@click.option("--seed", type=int, help="Seed of everything random; default: a new one, printed.")
@click.option("--coins", default="BTC,ETH,SOL", show_default=True, help="Coins with ladders.")
@click.option("--days", default=2, show_default=True, help="Ladders of the next N noons.")
@click.option("--frames-per-second", default=300.0, show_default=True, help="Over all markets.")
@click.option("--mispricings-per-minute", default=90.0, show_default=True, help="Mean rate.")
@click.option("--opening-cash-usd", default="10000", show_default=True, help="Of each wallet.")
@click.option("--mined-after-ms", default=400, show_default=True, help="From match to MINED.")
@click.option("--confirmed-after-ms", default=1200, show_default=True, help="To CONFIRMED.")
@click.option(
    "--recording",
    "recordings",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Recorded frames (JSON lines) instead of generated markets; may be given again.",
)
@click.option(
    "--recording-markets",
    type=click.Path(path_type=Path),
    help="Table of markets; the recording is then a table of quotes (CSV).",
)
@click.option("--speed", default=1.0, show_default=True, help="Pace of a recording.")
@click.option(
    "--faults",
    type=click.Path(path_type=Path),
    help="Script of faults (TOML or JSON; docs/simulator.md); POST /sim/faults changes it.",
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="Append the exchange's own account of everything to this file (JSON lines).",
)
@click.option(
    "--mirror",
    metavar="WS_URL",
    help="Live market channel whose books are mirrored (docs/paper.md).",
)
@click.option(
    "--mirror-gamma", metavar="URL", help="Live Gamma that lists the ladders of --mirror."
)
@click.option("--die-with-parent", "tied", is_flag=True, help="End when the parent ends (Linux).")
def main(
    *,
    host: str,
    port: int,
    seed: int | None,
    coins: str,
    days: int,
    frames_per_second: float,
    mispricings_per_minute: float,
    opening_cash_usd: str,
    mined_after_ms: int,
    confirmed_after_ms: int,
    recordings: tuple[Path, ...],
    recording_markets: Path | None,
    speed: float,
    faults: Path | None,
    truth: Path | None,
    mirror: str | None,
    mirror_gamma: str | None,
    tied: bool,
) -> None:
    """Run a complete local exchange that speaks the venue's protocol.

    When it listens it prints one line of JSON on standard output; logs go to standard error.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    try:
        if tied:
            die_with_parent()
        check_loopback(host)
        checked.check_range("--port", port, 0, 65_535)
        options = Options(
            seed=checked.new_seed() if seed is None else seed,
            coins=checked.parse_coins(coins),
            days=days,
            frames_per_second=frames_per_second,
            mispricings_per_minute=mispricings_per_minute,
            opening_cash_usd_e6=checked.parse_cash(opening_cash_usd),
            delays=checked.check_delays(mined_after_ms, confirmed_after_ms),
            recordings=recordings,
            recording_markets=recording_markets,
            speed=speed,
            rules=() if faults is None else read_script(faults),
            truth=truth,
            mirror=checked.parse_mirror(mirror, mirror_gamma),
        )
        clock = WallClock()
        door = Door(build_venue(options, clock.now_ms()), clock)
        asyncio.run(serve(door, host, port, link_of(door, options)))
    except PolytrioError as error:
        click.echo(f"sim: {error}", err=True)
        sys.exit(error.exit_code)


def link_of(door: Door, options: Options) -> Link | None:
    """What connects the mirror with the live venue, where there is one."""
    if options.mirror is None or door.venue.mirror is None:
        return None
    return Link(options.mirror, door.venue.mirror, door.clock, door.hub.publish)


if __name__ == "__main__":
    main()
