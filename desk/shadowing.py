"""`polytrio shadow`: what the two engines said to the same, and on what they differ."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from desk.snapshot import Latency, Observer
from shm.fabric import Fabric
from shm.layout import ENGINE_STATS, SHADOW_ROW, EngineStats, ShadowRow
from shm.modes import Differs, EngineMode
from shm.segments import SHADOW_ROWS

_COUNTS = (
    "updates", "native", "python", "missing", "extra", "profit", "size", "legs", "edge",
    "verdicts", "profit_alerts", "count_alerts", "worst_usd_e6", "resets", "skipped",
)  # fmt: skip
_TIMES = {
    "native_us": "seen_to_signal",
    "python_us": "shadow_seen_to_signal",
    "behind_us": "shadow_behind",
}


@dataclass(frozen=True, slots=True)
class Report:
    """See the module."""

    stats: EngineStats
    rows: list[ShadowRow]
    """Newest first."""
    times: Mapping[str, Latency]

    @property
    def on(self) -> bool:
        """Whether the shadow runs now."""
        return self.stats.mode == EngineMode.SHADOW

    def as_json(self) -> Mapping[str, Any]:
        """For machines."""
        counts = {name: getattr(self.stats, f"shadow_{name}") for name in _COUNTS}
        return {
            "on": self.on,
            **counts,
            "timing": {
                name: {"p50": one.p50_us, "p99": one.p99_us, "max": one.max_us, "count": one.count}
                for name, source in _TIMES.items()
                if (one := self.times.get(source)) is not None
            },
            "differences": [_row_json(row) for row in self.rows],
        }

    def lines(self) -> list[str]:
        """For people."""
        stats = self.stats
        found = [
            (
                f"shadow {'on' if self.on else 'off'}: {stats.shadow_updates:,} looks compared, "
                f"signals native {stats.shadow_native}, python {stats.shadow_python}; alerts: "
                f"{stats.shadow_profit_alerts} of profit, {stats.shadow_count_alerts} of count"
            ),
            (
                f"differences: missing {stats.shadow_missing}, extra {stats.shadow_extra}, profit "
                f"{stats.shadow_profit}, size {stats.shadow_size}, legs {stats.shadow_legs}, edge "
                f"{stats.shadow_edge}, reasons {stats.shadow_verdicts}; begun anew "
                f"{stats.shadow_resets} times, {stats.shadow_skipped:,} looks left out"
            ),
        ]
        for name, source in _TIMES.items():
            one = self.times.get(source)
            if one is not None and one.count:
                found.append(f"  {name:<10} p50 {one.p50_us:,.1f}  p99 {one.p99_us:,.1f}")
        for row in self.rows[:10]:
            when = time.strftime("%H:%M:%S", time.gmtime(row.seen_wall_ns / 1e9))
            found.append(
                f"  {when} basket {row.basket:016x}: {', '.join(_kinds(row))}; profit "
                f"${row.native_profit_usd_e6 / 1e6:.4f} native, "
                f"${row.python_profit_usd_e6 / 1e6:.4f} python"
            )
        return found


def _kinds(row: ShadowRow) -> list[str]:
    return [str(kind.name).lower() for kind in Differs if row.differs & kind]


def _row_json(row: ShadowRow) -> Mapping[str, Any]:
    return {
        "number": row.number,
        "basket": f"{row.basket:016x}",
        "generation": row.generation,
        "market": row.market,
        "differs": _kinds(row),
        "seen_wall_ns": row.seen_wall_ns,
        **{
            side: {
                "signal": getattr(row, f"{side}_signal"),
                "size_e6": getattr(row, f"{side}_size_e6"),
                "net_e8": getattr(row, f"{side}_net_e8"),
                "profit_usd_e6": getattr(row, f"{side}_profit_usd_e6"),
                "legs": _legs_json(row, side),
            }
            for side in ("native", "python")
        },
    }


def _legs_json(row: ShadowRow, side: str) -> list[dict[str, Any]]:
    count = getattr(row, f"{side}_legs")
    columns = zip(
        getattr(row, f"{side}_leg_market"),
        getattr(row, f"{side}_leg_outcome"),
        getattr(row, f"{side}_leg_price_e4"),
        strict=True,
    )
    legs = [{"market": m, "outcome": o, "price_e4": p} for m, o, p in columns]
    return legs[:count]


def report(instance: str) -> Report:
    """Look at a running system."""
    fabric = Fabric(instance)
    table = fabric.read_table("shadow", SHADOW_ROW)
    rows = [row for place in range(SHADOW_ROWS) if (row := table.read(place)) and row.number]
    stats = fabric.counters("stats-engine.counters", ENGINE_STATS, write=False).read()
    newest_first = sorted(rows, key=lambda row: -row.number)
    return Report(stats, newest_first, Observer(instance).latencies())
