"""`polytrio run`: the whole system in the foreground, from nothing to a live view, and back.

Starts the simulated exchange (real money goes to the venue instead), makes the segments, runs the
stages as a process tree, discovers the ladders, shows what happens, and at the end stops trading
first, compares cash and positions with the exchange's own ledger, and leaves nothing behind.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.live import Live

from desk import exchange, summary
from desk.aside import put_journal_aside
from desk.killing import carried_out
from desk.mirrored import Feed
from desk.processes import Child, StageEnded, Tree, stage_children
from desk.serve import Desk
from desk.snapshot import Observer, Snapshot
from desk.view import Screen, plain_line
from shm import backend, money
from shm.codes import STAGES, SUPERVISED, Role, StageState
from shm.kill import DIR_MODE, Kill
from shm.passwords import needs_password, obtained, wipe
from shm.roles import RoleLock
from shm.secrecy import harden
from shm.settings import Settings
from shm.sources import Loaded, derived
from shm.stage import KILL_SIGNAL, LOG_FORMAT
from shm.supervision import Supervision
from shm.system import create_all, destroy_all

LOOK_S = 0.5
PLAIN_EVERY_S = 5.0
READY_PATIENCE_S = 60.0
SETTLE_S = 6.0
"""Longest wait at a planned end for orders on their way and for the last fills."""
SETTLE_HURRIED_S = 1.0
"""The same after Ctrl-C, with simulated money;"""
SETTLE_REAL_S = 2.0
"""with real money the executor's own account alone says so, which it draws once a second."""
CALM_NS = 250_000_000
"""A signal that was on its way when trading was switched off is an order by then, or none."""
STOP_PATIENCE_S = 1.0
KILL_PATIENCE_S = 5.0
"""How long a run that was killed waits at its end for the venue to say that nothing rests."""
POLL_S = 0.05
_log = logging.getLogger("desk.run")


@dataclass(slots=True)
class Run:
    """One run of the whole system."""

    loaded: Loaded
    seconds: float | None
    as_json: bool
    console: Console
    password: bytearray | None = field(default=None, repr=False)
    started_s: float = field(default_factory=time.monotonic)
    hurried: bool = False
    feed: Feed | None = None
    """Of a mirroring exchange."""
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        """The settings as they were read; addresses come when the exchange is up."""
        self.settings = self.loaded.settings

    async def go(self) -> int:
        """Run to the end; the exit code. Errors of the tree are raised."""
        stop = asyncio.Event()
        self._heed_signals(stop)
        with contextlib.ExitStack() as stack:
            lock = RoleLock(self.settings.instance, Role.SUPERVISOR)
            lock.take()
            stack.callback(lock.release)
            money.claim(self.settings.var_path, live=self.settings.mode == "live")
            logs = self.settings.var_path / "log"
            sim = await self._exchange(logs / "sim.log")
            try:
                fabric = create_all(*derived(self.loaded, self.settings))
                stack.callback(destroy_all, self.settings.instance)
                children = stage_children(self.settings.instance, logs, SUPERVISED)
                kill = Kill(fabric, self.settings.var_path)
                self._heed_kill_signal(kill)
                supervision = Supervision(fabric)
                tree = Tree(fabric, [*children, *sim], supervision, kill, self.password)
                await self._supervised(tree, kill, stop)
            finally:
                await Tree.stop_children(sim, STOP_PATIENCE_S)
        return 0

    async def _exchange(self, log: Path) -> list[Child]:
        """Whoever takes our orders: the venue, or an exchange of our own, which begins anew."""
        if self.settings.mode == "live":
            self.settings = self.settings.with_live_addresses()
            return []
        sim, self.settings = await exchange.start(self.settings, log)
        put_journal_aside(self.settings.var_path)
        return [sim]

    def _heed_signals(self, stop: asyncio.Event) -> None:
        def end() -> None:
            self.hurried = True
            stop.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, end)

    def _heed_kill_signal(self, kill: Kill) -> None:
        """SIGUSR2 to us, as to any stage, stops all trading; until here it was held back."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(KILL_SIGNAL, kill.press, "signal to run")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {KILL_SIGNAL})

    async def _supervised(self, tree: Tree, kill: Kill, stop: asyncio.Event) -> None:
        """Stages up, desk at work, until the end; then down in order, the killer last."""
        desk = Desk(self.settings.instance)
        stages = [child for child in tree.children if child.role in STAGES]
        killer = [child for child in tree.children if child.role is Role.KILLER]
        tree.start()
        tasks = [
            asyncio.ensure_future(tree.watch()),
            asyncio.ensure_future(desk.discovery.run()),
            asyncio.ensure_future(desk.beat()),
        ]
        if self.settings.mirrors:
            self.feed = Feed(self.settings.venues.clob_url, self._tell)
            tasks.append(asyncio.ensure_future(self.feed.run()))
        try:
            observer = Observer(self.settings.instance)
            await self._until_ready(observer, tasks, stop)
            desk.panel.set_trading(enabled=True)
            self._say_how_to_arm(observer)
            await self._show(observer, tasks, stop)
            desk.panel.set_trading(enabled=False)
            last, state = await self._settled(observer)
            if self.as_json:
                self._print_summary(last, state)
        finally:
            for task in tasks:
                task.cancel()
            desk.leave()
            await Tree.stop_children(stages, STOP_PATIENCE_S)
            await carried_out(kill, KILL_PATIENCE_S)
            await Tree.stop_children(killer, STOP_PATIENCE_S)

    async def _until_ready(
        self, observer: Observer, tasks: Sequence["asyncio.Future[None]"], stop: asyncio.Event
    ) -> None:
        deadline_s = time.monotonic() + READY_PATIENCE_S
        while not stop.is_set() and not _ready(observer.look()):
            _raise_ended(tasks)
            if self.feed is not None and self.feed.trouble:
                # Ladders are listed when they are listed; the feed has said that we wait for them.
                deadline_s = time.monotonic() + READY_PATIENCE_S
            if time.monotonic() > deadline_s:
                raise StageEnded(
                    f"the system is not ready after {READY_PATIENCE_S:.0f} s: look into "
                    f"{self.settings.var_path / 'log'}",
                    1,
                )
            await asyncio.sleep(POLL_S)

    async def _show(
        self, observer: Observer, tasks: Sequence["asyncio.Future[None]"], stop: asyncio.Event
    ) -> None:
        """Look and tell until the time is over or somebody says stop."""
        deadline_s = None if self.seconds is None else time.monotonic() + self.seconds
        title = (
            f" polytrio  {self.settings.venue} venue, {self.settings.money_in_words}, instance "
            f"{self.settings.instance!r}  {backend.notice()}  Ctrl-C ends "
        )
        screen = Screen(title)
        with self._output(screen) as show:
            while not stop.is_set():
                _raise_ended(tasks)
                screen.take(observer.look())
                screen.title = title if self.feed is None else f" {self.feed.title}{title}"
                show()
                left_s = LOOK_S
                if deadline_s is not None:
                    left_s = min(LOOK_S, deadline_s - time.monotonic())
                    if left_s <= 0:
                        return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), left_s)

    def _say_how_to_arm(self, observer: Observer) -> None:
        """With real money nothing is sent before somebody has typed whose it is."""
        if self.settings.mode == "live":
            wallet = "0x" + observer.look().account.wallet[-20:].hex()
            self._tell(
                f"REAL MONEY of wallet {wallet}: nothing is sent until "
                "`polytrio arm --wallet ADDRESS`"
            )

    def _tell(self, line: str) -> None:
        """Say something that is no figure; a full screen has it in its title instead."""
        _log.warning("%s", line)
        if not self.console.is_terminal or self.as_json:
            sys.stderr.write(f"polytrio: {line}\n")
            sys.stderr.flush()

    @contextlib.contextmanager
    def _output(self, screen: Screen) -> Any:
        """A full screen on a terminal, a line now and then elsewhere."""
        if self.console.is_terminal and not self.as_json:
            with Live(console=self.console, auto_refresh=False, screen=True) as live:
                yield lambda: live.update(screen.render(), refresh=True)
            self.console.print(screen.render())
            return
        yield _line_teller(screen, Console(stderr=True) if self.as_json else self.console)

    async def _settled(self, observer: Observer) -> tuple[Snapshot, dict[str, Any] | None]:
        """Wait until nothing is on its way and both ledgers say the same, or patience ends.

        The other ledger of real money is the venue's, with which the executor compares by itself.
        """
        live = self.settings.mode == "live"
        hurried_s = SETTLE_REAL_S if live else SETTLE_HURRIED_S
        deadline_s = time.monotonic() + (hurried_s if self.hurried else SETTLE_S)
        calm_ns = time.monotonic_ns() + CALM_NS
        while True:
            url = self.settings.venues.clob_url
            state = None if live else await exchange.ask_state(url)
            now = observer.look()
            quiet = now.account.reserved_usd_e6 == 0
            known = now.account.updated_ns > calm_ns if live else summary.agrees(now, state)
            if (quiet and known) or time.monotonic() > deadline_s:
                return now, state
            await asyncio.sleep(POLL_S)

    def _print_summary(self, now: Snapshot, state: dict[str, Any] | None) -> None:
        final = summary.summary(
            now,
            state,
            venue=self.settings.venue,
            mode=self.settings.mode,
            seconds=time.monotonic() - self.started_s,
        )
        sys.stdout.write(msgspec.json.encode(final).decode() + "\n")
        sys.stdout.flush()


def _ready(now: Snapshot) -> bool:
    running = all(seen.row.state == StageState.RUNNING for seen in now.health.values())
    return running and now.ingest.books_live > 0 and now.engine.baskets > 0


def _raise_ended(tasks: Sequence["asyncio.Future[None]"]) -> None:
    for task in tasks:
        if task.done():
            task.result()


def _line_teller(screen: Screen, console: Console) -> Callable[[], None]:
    next_s = 0.0

    def tell() -> None:
        nonlocal next_s
        now_s = time.monotonic()
        if screen.before is not None and now_s >= next_s:
            next_s = now_s + PLAIN_EVERY_S
            console.print(plain_line(screen.before), highlight=False, soft_wrap=True)

    return tell


def run(
    loaded: Loaded, seconds: float | None, *, as_json: bool, password_fd: int | None = None
) -> int:
    """Run the system; see the module. Returns the exit code."""
    settings = loaded.settings
    settings.require_supported()
    backend.require_usable(live=settings.mode == "live")
    signal.pthread_sigmask(signal.SIG_BLOCK, {KILL_SIGNAL})
    settings.var_path.mkdir(parents=True, exist_ok=True, mode=DIR_MODE)
    log = settings.var_path / "log" / "run.log"
    log.parent.mkdir(exist_ok=True)
    logging.basicConfig(filename=log, level=logging.INFO, format=LOG_FORMAT)
    console = Console()
    if not backend.NATIVE:
        Console(stderr=True).print(backend.notice(), style="bold yellow")
    if needs_password(settings.key_path):
        harden()  # the password is kept as long as executors may have to be started again
    password = obtained(settings.key_path, password_fd, os.environ)
    try:
        return asyncio.run(Run(loaded, seconds, as_json, console, password).go())
    finally:
        if password is not None:
            wipe(password)
