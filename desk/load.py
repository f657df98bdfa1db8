"""`polytrio bench`: the whole system under a market feed that rises until it is too much, or lasts.

`pipeline` reports the highest rate without a lost frame and without a delay that grows, latency at
a tenth, a half and nine tenths of it, memory, garbage collections, and who had no time left. `soak`
keeps one rate for minutes and reports what grew. Both run the real stages (desk/load_system.py).
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from desk.load_figures import MS_NS, Outcome, Seen, bottleneck, delays_ns, grows, percentiles
from desk.load_profiles import SLOT_NS, Profile, schedule
from desk.load_system import Loaded, loaded
from desk.snapshot import Snapshot
from shm.codes import STAGES
from shm.settings import Settings

LOOK_S = 0.0001
LEAD_NS = 100 * MS_NS
DRAIN_S = 3.0
SETTLE_S = 0.05
TENTH_NS = 100 * MS_NS
RISE = 1.6
RATES_MAX = 24
SHARES = (0.1, 0.5, 0.9)
SOAK_PART_S = 30.0
Teller = Callable[[str, Outcome], None]


def spent_ns(pid: int) -> int:
    """Processor time of a process's main thread so far; 0 if there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0])
    except (OSError, IndexError):
        return 0


class Times:
    """Processor time by process: over all, and in the busiest tenth of a second of each."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._first = self._last = self._read()
        self.peak = dict.fromkeys(pids, 0.0)

    def _read(self) -> tuple[int, dict[str, int]]:
        return time.monotonic_ns(), {name: spent_ns(pid) for name, pid in self._pids.items()}

    def look(self) -> None:
        """Called all the time; a tenth of a second is what it looks at."""
        if time.monotonic_ns() - self._last[0] >= TENTH_NS:
            now = self._read()
            shares = _shares(self._last, now)
            self.peak = {name: max(most, shares[name]) for name, most in self.peak.items()}
            self._last = now

    def overall(self) -> dict[str, float]:
        """Cores that each process used since the beginning."""
        return _shares(self._first, self._read())


def _shares(
    before: tuple[int, dict[str, int]], now: tuple[int, dict[str, int]]
) -> dict[str, float]:
    wall_ns = max(1, now[0] - before[0])
    return {name: max(0.0, (now[1][name] - before[1][name]) / wall_ns) for name in now[1]}


async def attempt(system: Loaded, profile: Profile, per_s: float, seconds: float) -> Outcome:
    """Send at a rate for a while, and say what became of it."""
    counts = schedule(profile, per_s, seconds)
    total = sum(counts)
    system.firehose.ask({})  # its rings are made now, and not while it sends
    await system.firehose.answer()
    before, base = system.ingest.read(), system.done()
    start_ns = time.monotonic_ns() + LEAD_NS
    end_ns = start_ns + len(counts) * SLOT_NS
    system.firehose.ask({"start_ns": start_ns, "slot_ns": SLOT_NS, "counts": counts})
    times = Times(system.pids)
    watch = Watch(base, total, end_ns + int(DRAIN_S * 1e9))
    seen = await asyncio.to_thread(_watched, system, watch, times)
    said = await system.firehose.answer()
    await asyncio.sleep(SETTLE_S)  # a frame is counted a moment after it was published
    after = system.ingest.read()
    found = delays_ns(start_ns, SLOT_NS, counts, seen)
    drained_ns = max(0, seen[-1].at_ns - end_ns)
    return Outcome(
        per_s=total / (len(counts) * SLOT_NS / 1e9),
        frames=total,
        lost=max(0, total - (after.frames_in - before.frames_in)) + said["lost_clients"],
        conflated=after.updates_conflated - before.updates_conflated,
        delays_us=percentiles(found),
        late_us=said["late_ns"] / 1e3,
        drained_ms=drained_ns / 1e6,
        grew=grows(found, drained_ns),
        cpu={name: round(cores, 3) for name, cores in times.overall().items()},
        cpu_peak={name: round(cores, 3) for name, cores in times.peak.items()},
    )


class Watch(NamedTuple):
    """What is waited for: so many frames beyond a count, or a time."""

    base: int
    total: int
    until_ns: int


def _watched(system: Loaded, watch: Watch, times: Times) -> list[Seen]:
    """Look at the counters, often, until all frames are done or the time is over.

    In a thread: an event loop cannot wait for less than a millisecond.
    """
    seen = [Seen(time.monotonic_ns(), 0)]
    while seen[-1].done < watch.total:
        time.sleep(LOOK_S)
        times.look()
        now = Seen(time.monotonic_ns(), system.done() - watch.base)
        if now.at_ns > watch.until_ns:
            break
        if now.done != seen[-1].done:
            seen.append(now)
    return seen


@dataclass(slots=True)
class Findings:
    """All rates that were tried."""

    profile: Profile
    markets: int
    cores: int
    tried: list[Outcome] = field(default_factory=list)
    at_share: dict[float, Outcome] = field(default_factory=dict)
    last: Snapshot | None = None

    @property
    def best(self) -> Outcome | None:
        """The highest rate that was sustained."""
        return max((o for o in self.tried if o.sustained), key=lambda o: o.per_s, default=None)

    def limits(self) -> str:
        """What stood in the way of more."""
        failed = [o for o in self.tried if not o.sustained]
        if not failed:
            return "nothing up to the highest rate that was tried"
        first = min(failed, key=lambda o: o.per_s)
        return bottleneck(first, self.cores)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        best = self.best
        stages = {} if self.last is None else _stages(self.last)
        return {
            "profile": self.profile.name,
            "markets": self.markets,
            "markets_wanted": self.profile.wanted_markets,
            "nominal_per_s": self.profile.nominal_per_s(self.markets),
            "cores": self.cores,
            "load_average": os.getloadavg()[0],
            "sustained_per_s": best.per_s if best else 0.0,
            "bottleneck": self.limits(),
            "latency_us": {f"{s:.0%}": asdict(o.delays_us) for s, o in self.at_share.items()},
            "stages": stages,
            "tried": [asdict(o) | {"sustained": o.sustained} for o in self.tried],
        }


def _stages(now: Snapshot) -> dict[str, Any]:
    return {
        role.label: {
            "rss_mb": round(now.rss_bytes[role] / 1e6, 1),
            "gc_collections": now.stage[role].gc_collections,
            "restarts": max(0, now.health[role].row.epoch - 1),
        }
        for role in STAGES
    } | {"signals": now.engine.signals, "orders": now.executor.orders_sent}


async def measure(base: Settings, profile: Profile, seconds: float, tell: Teller) -> Findings:
    """Rise from half the nominal rate until it is too much, look closer, then measure latency."""
    async with loaded(base, profile) as system:
        found = Findings(profile, system.markets, len(os.sched_getaffinity(0)))

        async def once(words: str, per_s: float, length_s: float = seconds) -> Outcome:
            outcome = await attempt(system, profile, per_s, length_s)
            tell(words, outcome)
            return outcome

        await once("warm-up", 2_000.0, 1.0)
        per_s = profile.nominal_per_s(system.markets) / 2
        low, high = 0.0, 0.0
        for _ in range(RATES_MAX):
            outcome = await once("rising", per_s)
            found.tried.append(outcome)
            low, high = (per_s, high) if outcome.sustained else (low, per_s)
            if not outcome.sustained:
                break
            per_s *= RISE
        for _ in range(2):
            if high and low:
                middle = (low * high) ** 0.5
                outcome = await once("closer", middle)
                found.tried.append(outcome)
                low, high = (middle, high) if outcome.sustained else (low, middle)
        best = found.best
        if best is not None:
            for share in SHARES:
                found.at_share[share] = await once(f"{share:.0%}", best.per_s * share)
        found.last = system.observer.look()
    return found


@dataclass(slots=True)
class Soaked:
    """What a long run at one rate left."""

    profile: Profile
    markets: int
    part_s: float
    parts: list[Outcome] = field(default_factory=list)
    rss_mb: list[dict[str, float]] = field(default_factory=list)
    """By stage, after each part; the first part is the warm-up and counts for nothing."""
    last: Snapshot | None = None

    def growth_mb(self) -> dict[str, float]:
        """By stage: from the end of the first part to the end of the last."""
        if not self.rss_mb:
            return {}
        first, last = self.rss_mb[0], self.rss_mb[-1]
        return {name: round(last[name] - first[name], 2) for name in first}

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        measured = self.parts[1:]
        return {
            "profile": self.profile.name,
            "markets": self.markets,
            "seconds": self.part_s * len(measured),
            "per_s": measured[0].per_s if measured else 0.0,
            "frames": sum(part.frames for part in measured),
            "lost": sum(part.lost for part in measured),
            "conflated": sum(part.conflated for part in measured),
            "worst_drained_ms": max((part.drained_ms for part in measured), default=0.0),
            "growth_mb": self.growth_mb(),
            "rss_mb": self.rss_mb,
            "stages": {} if self.last is None else _stages(self.last),
            "load_average": os.getloadavg()[0],
            "parts": [asdict(part) for part in self.parts],
        }


async def soak(base: Settings, profile: Profile, seconds: float, tell: Teller) -> Soaked:
    """Keep the profile's nominal rate for so long, in parts, after one part of warm-up."""
    async with loaded(base, profile) as system:
        found = Soaked(profile, system.markets, min(SOAK_PART_S, seconds))
        per_s = profile.nominal_per_s(system.markets)
        for number in range(1 + round(seconds / found.part_s)):
            outcome = await attempt(system, profile, per_s, found.part_s)
            tell("warm-up" if number == 0 else f"part {number}", outcome)
            found.parts.append(outcome)
            found.last = system.observer.look()
            found.rss_mb.append(
                {role.label: round(found.last.rss_bytes[role] / 1e6, 2) for role in STAGES}
            )
    return found
