"""The life of the process: bind, announce, run until told to stop, and die with the parent."""

import asyncio
import ctypes
import errno
import ipaddress
import json
import logging
import os
import signal
import sys
from collections.abc import Coroutine

from aiohttp import web

from shm.errors import ConfigError, PortTaken
from sim.mirror_link import Link
from sim.server import SHUTDOWN_S, Door

_LOG = logging.getLogger("sim")
_PR_SET_PDEATHSIG = 1


def check_loopback(host: str) -> None:
    """`ConfigError` unless `host` is a loopback address: the admin pages ask for no password."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(
            f"--host {host}: the simulated exchange listens on loopback addresses only; "
            "use 127.0.0.1, ::1 or localhost"
        )


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux).

    The parent may have ended before the request; a parent that changes meanwhile shows that. A
    parent with process id 1 may be a real one, so the id alone proves nothing.
    """
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


async def serve(door: Door, host: str, port: int, link: Link | None = None) -> None:
    """Run until SIGTERM or SIGINT; `PortTaken` when the port is in use.

    With a link to a live venue nothing is announced before that has answered once.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        door.app(), access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await _start(site, host, port)
        if link is not None:
            await link.first()
        _announce(door, runner, host)
        await _run_until(stop, [door.run()] if link is None else [door.run(), link.run()])
    finally:
        door.hub.drop_all()
        await runner.cleanup()


async def _start(site: web.TCPSite, host: str, port: int) -> None:
    try:
        await site.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} on {host} is in use: stop the program that holds it, "
                "or give another one with --port (0 takes any free port)"
            ) from error
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}") from error


def _announce(door: Door, runner: web.AppRunner, host: str) -> None:
    port = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    exchange = door.venue.exchange
    ready = {
        "ready": True,
        "url": f"http://{shown}:{port}",
        "port": port,
        "seed": exchange.seed,
        "markets": len(exchange.floor.markets),
    }
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


async def _run_until(stop: asyncio.Event, parts: list[Coroutine[None, None, None]]) -> None:
    """Let the venue run; an error in a part ends the process instead of freezing the market."""
    running = [asyncio.create_task(part) for part in parts]
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, *running):
        task.cancel()
    await asyncio.gather(stopping, *running, return_exceptions=True)
    for task in running:
        if task in done:
            task.result()
    _LOG.info("stopped")
