"""The command line of the proxy that spoils connections: `python -m sim.proxy`."""

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

import click

from shm.errors import ConfigError, PolytrioError
from sim.lifecycle import check_loopback, die_with_parent
from sim.relay import Proxy
from sim.toxics import Rule, read_rules
from sim.truth import Truth, TruthFile

_LOG = logging.getLogger("sim.proxy")


@click.command(context_settings={"max_content_width": 100})
@click.option("--listen", "port", default=0, show_default=True, help="Port; 0 takes any free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address.")
@click.option("--to", "target", required=True, help="HOST:PORT of the server.")
@click.option(
    "--faults",
    type=click.Path(path_type=Path),
    help="Rules (TOML or JSON; docs/simulator.md); SIGHUP reads them again.",
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="Write here when each request came, before any rule has seen it.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of everything random.")
@click.option("--raw", is_flag=True, help="Look at bytes only, as for TLS.")
@click.option("--die-with-parent", "tied", is_flag=True, help="End when the parent ends (Linux).")
def main(
    *,
    port: int,
    host: str,
    target: str,
    faults: Path | None,
    truth: Path | None,
    seed: int,
    raw: bool,
    tied: bool,
) -> None:
    """Pass connections on to a server, and spoil them as the rules say.

    When it listens it prints one line of JSON on standard output; logs go to standard error.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    try:
        if tied:
            die_with_parent()
        check_loopback(host)
        rules = () if faults is None else read_rules(faults)
        proxy = Proxy(parse_target(target), rules, seed)
        proxy.raw = raw
        proxy.truth = None if truth is None else Truth(TruthFile(truth))
        asyncio.run(_serve(proxy, (host, port), faults))
    except PolytrioError as error:
        click.echo(f"proxy: {error}", err=True)
        sys.exit(error.exit_code)


def parse_target(text: str) -> tuple[str, int]:
    """HOST:PORT, with or without the scheme of a URL; `ConfigError` otherwise."""
    host, _, port = text.rsplit("://", maxsplit=1)[-1].rstrip("/").rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"--to {text}: HOST:PORT is wanted")
    return host.strip("[]"), int(port)


async def _serve(proxy: Proxy, where: tuple[str, int], faults: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    port = await proxy.start(*where)
    if faults is not None:
        loop.add_signal_handler(signal.SIGHUP, _reload, proxy, faults)
    sys.stdout.write(json.dumps({"ready": True, "port": port}) + "\n")
    sys.stdout.flush()
    try:
        await stop.wait()
    finally:
        await proxy.stop()


def _reload(proxy: Proxy, faults: Path) -> None:
    """Read the rules again; a file that is wrong changes nothing."""
    rules: tuple[Rule, ...]
    try:
        rules = read_rules(faults)
    except ConfigError as error:
        _LOG.error("%s; the rules stay as they are", error)
        return
    proxy.set_rules(rules)
    _LOG.info("%d rules from now on", len(rules))


if __name__ == "__main__":
    main()
