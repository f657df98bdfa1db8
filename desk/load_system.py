"""The whole system with a firehose as its market channel: brought up, fed, taken down again.

The simulated exchange lists the ladders and takes the orders; the market channel is
sim/firehose.py, which sends ready-made frames by a schedule. The stages are the real ones.
"""

import asyncio
import contextlib
import json
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from desk import exchange
from desk.load_profiles import Profile
from desk.processes import Child, Tree, python_command, stage_children
from desk.serve import Desk
from desk.snapshot import Observer
from shm.codes import SUPERVISED, MarketKind, MarketState, Role, StageState
from shm.errors import PolytrioError
from shm.fabric import Counters, Fabric
from shm.kill import DIR_MODE, Kill
from shm.layout import ENGINE_STATS, INGEST_STATS, EngineStats, IngestStats, Market
from shm.markets import MarketsReader
from shm.roles import RoleLock
from shm.segment import SHM_ROOT
from shm.settings import Settings
from shm.supervision import Supervision
from shm.system import create_all, destroy_all
from shm.units import format_token

READY_PATIENCE_S = 60.0
LIST_PATIENCE_S = 20.0
STOP_PATIENCE_S = 2.0
OFFER_E4 = 1_200
_FIREHOSE = "firehose"


class LoadFailed(PolytrioError):
    """The load test could not be carried out."""


@dataclass(slots=True)
class Loaded:
    """A system under load: its processes, its counters, and who feeds it."""

    fabric: Fabric
    observer: Observer
    firehose: "Firehose"
    pids: dict[str, int]
    markets: int
    ingest: Counters[IngestStats] = field(init=False)
    engine: Counters[EngineStats] = field(init=False)

    def __post_init__(self) -> None:
        self.ingest = self.fabric.counters("stats-ingest.counters", INGEST_STATS, write=False)
        self.engine = self.fabric.counters("stats-engine.counters", ENGINE_STATS, write=False)

    def done(self) -> int:
        """Frames that have come to their end: decided on, or their book looked at with another."""
        ingest, engine = self.ingest.read(), self.engine.read()
        merged = max(0, ingest.updates_conflated - engine.updates_conflated)
        return engine.updates_seen + merged


class Firehose:
    """The feeding process and its line protocol (sim/firehose.py)."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603  # our own module
            python_command("sim.firehose"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.port = int(self._heard()["port"])

    def ask(self, order: dict[str, Any]) -> None:
        """Give an order; `answer` waits for what comes of it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    async def answer(self) -> dict[str, Any]:
        """What it says to the order before."""
        return await asyncio.get_running_loop().run_in_executor(None, self._heard)

    def _heard(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise LoadFailed(f"the firehose ended with {self.process.wait()}: see its error above")
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


# --- fair prices ----------------------------------------------------------------------------------


def facts_of(markets: list[Market]) -> list[dict[str, Any]]:
    """What the firehose is told: ids, and fair prices that belong together in every ladder.

    The chance to end above a strike falls by equal steps from strike to strike; a bracket has what
    lies between its bounds. So no basket is worth anything, but for the offers of the ranges.
    """
    bounds: dict[tuple[bytes, int], list[int]] = {}
    for market in markets:
        if market.kind == MarketKind.ABOVE:
            bounds.setdefault((market.coin, market.expiry_ms), []).append(market.lower_usd_e6)
    chance = {key: _chances_e4(strikes) for key, strikes in bounds.items()}
    return [
        {
            "condition": "0x" + market.condition.hex(),
            "yes": format_token(market.yes_token),
            "no": format_token(market.no_token),
            "fair_e4": _fair_e4(market, chance.get((market.coin, market.expiry_ms), {})),
            "offer_e4": OFFER_E4 if market.kind == MarketKind.RANGE else 0,
            "tick_e4": market.tick_e4,
        }
        for market in markets
    ]


def _chances_e4(strikes: list[int]) -> dict[int, int]:
    ordered = sorted(strikes)
    return {
        strike: 10_000 - 100 * round(100 * (place + 1) / (len(ordered) + 1))
        for place, strike in enumerate(ordered)
    }


def _fair_e4(market: Market, chance_e4: dict[int, int]) -> int:
    lower = chance_e4.get(market.lower_usd_e6, 10_000)
    if market.kind == MarketKind.ABOVE:
        return lower
    return max(200, lower - chance_e4.get(market.upper_usd_e6, 0))


# --- the system -----------------------------------------------------------------------------------


def settings_of(base: Settings, profile: Profile, var_dir: str) -> Settings:
    """Settings of a load test: its own instance and folder, the profile's ladders, a quiet sim."""
    replace = msgspec.structs.replace
    desk = replace(base.desk, coins=profile.coins, days=profile.days, var_dir=var_dir)
    sim = replace(base.sim, port=0, frames_per_second=1, mispricings_per_minute=0)
    # The firehose is silent between two rates, and answers nobody while it makes its frames;
    # every answer would count as a frame.
    ingest = replace(base.ingest, data_silence_ms=3_600_000, confirm_after_s=86_400)
    name = f"load-{secrets.token_hex(4)}"
    return replace(base, instance=name, execution="paper", desk=desk, sim=sim, ingest=ingest)


@contextlib.asynccontextmanager
async def loaded(base: Settings, profile: Profile) -> AsyncIterator[Loaded]:
    """The whole system with the firehose as its market channel; gone without a trace afterwards."""
    folder = tempfile.mkdtemp(prefix="polytrio-load-")
    settings = settings_of(base, profile, folder)
    settings.var_path.mkdir(parents=True, mode=DIR_MODE)
    logs = settings.var_path / "log"
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(_remove_locks, settings.instance)
        lock = RoleLock(settings.instance, Role.SUPERVISOR)
        lock.take()
        stack.callback(lock.release)
        firehose = Firehose()
        stack.callback(firehose.stop)
        venues = msgspec.structs.replace(
            settings.venues, market_ws_url=f"ws://127.0.0.1:{firehose.port}/ws/market"
        )
        settings = msgspec.structs.replace(settings, venues=venues)
        sim, settings = await exchange.start(settings, logs / "sim.log")
        stack.push_async_callback(Tree.stop_children, [sim], STOP_PATIENCE_S)
        fabric = create_all(settings)
        stack.callback(destroy_all, settings.instance)
        children = stage_children(settings.instance, logs, SUPERVISED)
        stack.push_async_callback(Tree.stop_children, children, STOP_PATIENCE_S)
        kill = Kill(fabric, settings.var_path)
        tree = Tree(fabric, [*children, sim], Supervision(fabric), kill)
        tree.start()
        desk = Desk(settings.instance)
        stack.callback(desk.leave)
        work = (tree.watch(), desk.discovery.run(), desk.beat())
        tasks = [asyncio.ensure_future(one) for one in work]
        for task in tasks:
            stack.callback(task.cancel)
        observer = Observer(settings.instance)
        markets = await _fed(fabric, firehose, observer, tasks, profile)
        desk.panel.set_trading(enabled=True)
        pids = _pids(children) | {_FIREHOSE: firehose.process.pid} | _pids([sim])
        yield Loaded(fabric, observer, firehose, pids, markets)
        desk.panel.set_trading(enabled=False)


def _remove_locks(instance: str) -> None:
    """Nobody will ever hold a role of this instance again."""
    for path in SHM_ROOT.glob(f"polytrio.{instance}.*.lock"):
        path.unlink(missing_ok=True)


def _pids(children: list[Child]) -> dict[str, int]:
    return {child.name: child.process.pid for child in children if child.process is not None}


async def _fed(
    fabric: Fabric, firehose: Firehose, observer: Observer, tasks: list[Any], profile: Profile
) -> int:
    """Wait for the ladders, give them to the firehose, wait until every book lives; how many."""
    wanted = len(profile.coins) * profile.days
    groups: set[Any] = set()
    known: list[Market] = []

    def listed() -> bool:
        known[:] = [m for m in MarketsReader(fabric).read()[1] if m.state == MarketState.ACTIVE]
        groups.update((m.coin, m.expiry_ms) for m in known)
        return len(groups) >= wanted

    with contextlib.suppress(TimeoutError):  # a venue may list fewer: then those are what there is
        await _until(listed, tasks, LIST_PATIENCE_S)
    if not known:
        raise LoadFailed("no ladder was found: see the logs of `polytrio run`")
    firehose.ask({"markets": facts_of(known)})
    await firehose.answer()

    def alive() -> bool:
        now = observer.look()
        running = all(seen.row.state == StageState.RUNNING for seen in now.health.values())
        return running and now.ingest.books_live == len(known) and now.engine.baskets > 0

    try:
        await _until(alive, tasks, READY_PATIENCE_S)
    except TimeoutError:
        raise LoadFailed(f"not all of {len(known)} books came to live") from None
    return len(known)


async def _until(condition: Callable[[], bool], tasks: list[Any], patience_s: float) -> None:
    deadline_s = time.monotonic() + patience_s
    while not condition():
        for task in tasks:
            if task.done():
                task.result()
        if time.monotonic() > deadline_s:
            raise TimeoutError
        await asyncio.sleep(0.05)
