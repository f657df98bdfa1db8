"""The simulated exchange as a child process: start it, wait for its address, ask for its own books.

`sim` is never imported: it is an independent program that happens to live in the same repository.
"""

import asyncio
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import msgspec

from desk.processes import Child, last_line, python_command
from shm.errors import EXIT_CODES_FINAL, PolytrioError, PortTaken
from shm.settings import Settings

READY_PATIENCE_S = 30.0
MIRROR_PATIENCE_S = 90.0
"""The same where a live venue has to answer first."""
ASK_TIMEOUT_S = 2.0


class ExchangeFailed(PolytrioError):
    """The simulated exchange did not come up; carries its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class _Ready(msgspec.Struct):
    ready: bool
    url: str
    port: int
    seed: int
    markets: int


def command(settings: Settings) -> list[str]:
    """How to start the exchange with these settings."""
    return [*python_command("sim", "--die-with-parent"), *settings.sim_options()]


async def start(settings: Settings, log_path: Path) -> tuple[Child, Settings]:
    """Start it; returns the running child and the settings with its addresses filled in."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        process = subprocess.Popen(  # noqa: ASYNC220, S603  # our own module, once, at start
            command(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdout is not None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(MIRROR_PATIENCE_S if settings.mirrors else READY_PATIENCE_S):
            line = await loop.run_in_executor(None, process.stdout.readline)
        ready = msgspec.json.decode(line, type=_Ready)
    except (TimeoutError, msgspec.DecodeError):
        process.kill()
        code = process.wait()
        process.stdout.close()
        _explain(code, log_path)
    process.stdout.close()
    child = Child("sim", command(settings), None, log_path, process)
    return child, settings.with_addresses(ready.url)


def _explain(code: int, log_path: Path) -> NoReturn:
    message = f"the simulated exchange did not start: {last_line(log_path)}"
    if code == PortTaken.exit_code:
        raise PortTaken(last_line(log_path))
    raise ExchangeFailed(message, code if code in EXIT_CODES_FINAL and code else 1)


async def ask_state(clob_url: str) -> dict[str, Any] | None:
    """The exchange's own ledger and counts (`/sim/state`); None if it does not answer."""
    timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{clob_url}/sim/state") as reply,
        ):
            state: dict[str, Any] = msgspec.json.decode(await reply.read())
            return state
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError):
        return None
