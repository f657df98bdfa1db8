"""desk without a screen: discovery and the trading switch, as one of supervisord's programs.

Holds the desk's role. Trading is on while it serves and off when it ends in good order; if it
crashes, the stages go on with the markets they know.
"""

import asyncio
import logging
import signal
import sys
import time

from desk.discovery import Discovery
from desk.modes import ModeKeeper
from shm import backend
from shm.codes import Role, StageState
from shm.control import SettingsReader, SwitchPanel, require_published
from shm.fabric import Fabric
from shm.roles import RoleHolder, RoleLock
from shm.stage import LOG_FORMAT

BEAT_S = 0.05


class Desk:
    """desk's place in a running system: role (with its lock), discovery, switches."""

    def __init__(self, instance: str) -> None:
        self._lock = RoleLock(instance, Role.DESK)
        self._lock.take()
        fabric = Fabric(instance, Role.DESK)
        self._fabric = fabric
        self._holder = RoleHolder(fabric.segment("control", writable=True), Role.DESK)
        fabric.fence = self._holder.fence
        self.panel = SwitchPanel(fabric)
        self._published = SettingsReader(fabric)
        published = require_published(fabric)
        self._holder.adopt_settings(published.version)
        self.modes = ModeKeeper(fabric, self.panel)
        self.discovery = Discovery(fabric, published.settings)

    async def beat(self) -> None:
        """Stamp desk's heartbeat until cancelled; raises if the segments are not ours any more."""
        self._holder.enter(StageState.RUNNING)
        while True:
            self._holder.fence.check()
            self._fabric.require_named()
            self._holder.beat(time.monotonic_ns())
            self._follow()
            await asyncio.sleep(BEAT_S)

    def _follow(self) -> None:
        """Hear what is asked for, take over what was changed."""
        if self._published.changed():
            published = self._published.read()
            if published is not None:
                self.discovery.follow(published.settings)
                self._holder.adopt_settings(published.version)
        self.modes.turn()

    def leave(self) -> None:
        """Say that desk ends, and give its role back."""
        self._holder.enter(StageState.STOPPED)
        self._lock.release()


async def _serve(instance: str) -> None:
    desk = Desk(instance)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    desk.panel.set_trading(enabled=True)
    work = [asyncio.ensure_future(one) for one in (desk.beat(), desk.discovery.run(), stop.wait())]
    try:
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in work:
            task.cancel()
        desk.panel.set_trading(enabled=False)
        desk.leave()


def serve(instance: str) -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
    backend.require_usable()
    backend.die_with_parent()
    asyncio.run(_serve(instance))
