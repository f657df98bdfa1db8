"""`python -m shm`: the inspector's door. All verbs read; only `destroy` changes anything."""

import sys
import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from shm import inspector
from shm.codes import StageState
from shm.errors import PolytrioError, SegmentExists
from shm.segment import list_files
from shm.system import destroy_all, living_roles

_console = Console()
if not _console.is_terminal:
    _console.width = 200  # a file or a pipe has no edge to wrap at
_WIDE = 40


def _emit(value: Any) -> None:
    click.echo(msgspec.json.encode(value))


def _known_errors(command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PolytrioError as error:
            click.echo(f"shm: {error}", err=True)
            sys.exit(error.exit_code)

    return run


_instance = click.option("--instance", default="main", show_default=True, help="Which system.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON value for machines.")


@click.group()
def main() -> None:
    """Look into polytrio's shared memory, also while it runs, also when everything is dead."""


@main.command("list")
@_json
@_known_errors
def list_(as_json: bool) -> None:
    """Every segment on this machine, of every instance and version."""
    lines = [inspector.describe(file) for file in list_files()]
    if as_json:
        return _emit(lines)
    if not lines:
        click.echo("no segments: nothing has been started (polytrio run, supervisor.py up)")
        return None
    table = Table("instance", "segment", "layout", "KiB", "created", "written by", "holds")
    for line in lines:
        table.add_row(
            line["instance"],
            line["segment"],
            line["layout"] + ("" if line.get("this_build", True) else " (other version)"),
            str(line["bytes"] // 1024),
            line.get("created", "-"),
            ", ".join(line.get("writers", [])),
            line.get("trouble") or line["purpose"],
        )
    return _console.print(table)


@main.command()
@click.argument("segment")
@click.option("--limit", default=20, show_default=True, help="Rows a section.")
@_instance
@_json
@_known_errors
def show(segment: str, limit: int, instance: str, as_json: bool) -> None:
    """The contents of SEGMENT, or of one section of it (SEGMENT.SECTION)."""
    name, _, only = segment.partition(".")
    view = inspector.find(instance, name)
    sections = [view.section(only)] if only else view.schema["sections"]
    content = {
        section["name"]: _limited(inspector.rows(view, section), limit) for section in sections
    }
    if as_json:
        return _emit({"segment": name, "layout": view.file.layout_id, "sections": content})
    for section in sections:
        _print_rows(section, content[section["name"]])
    return None


def _limited(rows: Iterator[inspector.Row], limit: int) -> list[inspector.Row]:
    return [row for row, _ in zip(rows, range(limit), strict=False)]


def _print_rows(section: inspector.Row, rows: list[inspector.Row]) -> None:
    _console.rule(f"{section['name']} ({section['kind']}, {section['rows']} rows)")
    if not rows:
        _console.print("nothing written yet")
    for row in rows:
        _console.print(
            "  ".join(
                f"{key}={_short(value)}" for key, value in row.items() if value not in (0, "")
            ),
            highlight=True,
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _WIDE else text[: _WIDE - 3] + "..."


@main.command()
@_instance
@_json
@_known_errors
def stats(instance: str, as_json: bool) -> None:
    """Roles, counters, rings and latencies, once."""
    numbers = inspector.stats(instance)
    if as_json:
        return _emit(numbers)
    return _console.print(_picture(numbers, None, 1.0))


@main.command()
@click.option("--interval", default=0.5, show_default=True, help="Seconds between two looks.")
@click.option("--count", default=0, help="Stop after so many looks; 0 is never.")
@_instance
@_json
@_known_errors
def watch(interval: float, count: int, instance: str, as_json: bool) -> None:
    """The same as stats, again and again, with rates; with --json one line a look."""
    looks = _looks(instance, interval, count)
    if as_json:
        for numbers, _ in looks:
            _emit(numbers)
        return
    with Live(console=_console, auto_refresh=False, screen=_console.is_terminal) as live:
        for numbers, before in looks:
            live.update(_picture(numbers, before, interval), refresh=True)


def _looks(
    instance: str, interval: float, count: int
) -> Iterator[tuple[inspector.Row, inspector.Row | None]]:
    before = None
    done = 0
    while not count or done < count:
        numbers = inspector.stats(instance)
        yield numbers, before
        before = numbers
        done += 1
        if done != count:
            time.sleep(interval)


def _picture(numbers: inspector.Row, before: inspector.Row | None, interval: float) -> Group:
    roles = Table("role", "state", "epoch", "pid", "heartbeat ms", "generation", title="roles")
    for role, row in numbers["roles"].items():
        state = StageState(row["state"]).name if row["state"] in set(StageState) else "?"
        roles.add_row(
            role, state, str(row["epoch"]), str(row["pid"]), str(row["heartbeat_age_ms"]),
            str(row["adopted_generation"]),
        )  # fmt: skip
    rings = Table("ring", "written", "lag", "fill", "overflow", title="rings")
    for name, ring in numbers["rings"].items():
        rings.add_row(
            name, str(ring["written"]), str(ring["lag"]),
            f"{100 * ring['lag'] // ring['capacity']} %", str(ring["overflow"]),
        )  # fmt: skip
    latency = Table("latency", "count", "p50 us", "p90", "p99", "p99.9", "max", title="latency")
    for name, row in numbers["latency_us"].items():
        latency.add_row(name, str(row["count"]), *(f"{row[k]:,.1f}" for k in list(row)[1:]))
    counters = Table("stage", "counter", "value", "a second", title="counters that are not zero")
    for stage, cells in numbers["counters"].items():
        for name, value in cells.items():
            if value:
                was = before["counters"].get(stage, {}).get(name, 0) if before else value
                counters.add_row(stage, name, f"{value:,}", f"{(value - was) / interval:,.0f}")
    return Group(roles, rings, latency, counters)


@main.command()
@click.option("--force", is_flag=True, help="Even while processes of the instance are running.")
@_instance
@_known_errors
def destroy(instance: str, force: bool) -> None:
    """Remove the segments of an instance, of every version, when nobody uses them."""
    alive = living_roles(instance)
    if alive and not force:
        raise SegmentExists(
            f"instance {instance!r} is in use by {', '.join(alive)}: stop it first (or --force)"
        )
    click.echo(f"removed {destroy_all(instance)} segments of instance {instance!r}")


if __name__ == "__main__":
    main(prog_name="python -m shm")
