"""What a load test tells people: a line for each rate as it is tried, and the result."""

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from desk.load import Findings, Soaked, Teller
from desk.load_figures import Outcome


def line_of(words: str, outcome: Outcome) -> str:
    """One rate in one line."""
    delays = outcome.delays_us
    verdict = "sustained" if outcome.sustained else "TOO MUCH"
    return (
        f"{words:<8} {outcome.per_s:>9,.0f}/s  p50 {delays.p50 / 1e3:8.2f} ms  "
        f"p99 {delays.p99 / 1e3:8.2f} ms  max {delays.max / 1e3:8.2f} ms  "
        f"lost {outcome.lost}, conflated {outcome.conflated:,}  {verdict}"
    )


def teller(*, quiet: bool) -> Teller:
    """Tells each rate on standard output, or on standard error where that is for machines."""
    return lambda words, outcome: click.echo(line_of(words, outcome), err=quiet)


def pipeline_lines(found: Findings) -> list[str]:
    """The result for people."""
    data = found.as_json()
    lines = [
        "",
        f"profile {found.profile.name}: {found.profile.words}",
        f"{found.markets} markets, {data['nominal_per_s']:,.0f} frames/s nominal",
    ]
    if found.markets < found.profile.wanted_markets:
        lines.append(
            f"(the profile is about {found.profile.wanted_markets:,}; the tables hold 1,024, and "
            f"the simulated venue lists {found.markets})"
        )
    lines += [
        f"sustained without loss and without growing delay: {data['sustained_per_s']:,.0f}/s",
        f"what limits it: {data['bottleneck']}",
    ]
    lines += [
        f"latency at {share:>3}: p50 {d['p50'] / 1e3:.2f}, p90 {d['p90'] / 1e3:.2f}, "
        f"p99 {d['p99'] / 1e3:.2f}, p99.9 {d['p999'] / 1e3:.2f}, max {d['max'] / 1e3:.2f} ms"
        for share, d in data["latency_us"].items()
    ]
    return [*lines, *_stage_lines(data["stages"])]


def soak_lines(found: Soaked) -> list[str]:
    """The result for people."""
    data = found.as_json()
    growth = ", ".join(f"{name} {size:+.1f} MB" for name, size in data["growth_mb"].items())
    return [
        "",
        (
            f"{data['frames']:,} frames in {data['seconds']:.0f} s ({data['per_s']:,.0f}/s), "
            f"{data['lost']} lost, {data['conflated']:,} conflated"
        ),
        f"memory after the warm-up: {growth}",
        *_stage_lines(data["stages"]),
    ]


def _stage_lines(stages: dict[str, Any]) -> list[str]:
    return [
        f"{name:<9} {one['rss_mb']:.0f} MB, {one['gc_collections']} collections, "
        f"{one['restarts']} restarts"
        for name, one in stages.items()
        if isinstance(one, dict)
    ]


def show(data: dict[str, Any], lines: Sequence[str], *, as_json: bool) -> None:
    """Print the result for machines or for people."""
    click.echo(msgspec.json.encode(data) if as_json else "\n".join(lines))
