"""`python -m shm`: the inspector's door. All verbs read; only `destroy` changes anything."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import islice
from typing import Any

import click
import msgspec
from rich.console import RenderableType

from shm import difference, inspector, printed, spoken
from shm.diagnosis import examine
from shm.errors import LayoutMismatch, PolytrioError, SegmentError, SegmentMissing
from shm.findings import healthy
from shm.readings import Look, look
from shm.schemas import SectionSchema
from shm.segment import list_files
from shm.system import destroy_unused
from shm.watcher import Watcher

_TAIL_S = 0.02
"""How often `tail` looks: the updates ring holds a tenth of a second of a busy market."""


def _emit(value: Any) -> None:
    click.echo(msgspec.json.encode(value))
    sys.stdout.flush()  # whoever reads a pipe wants each line when it happens


def _show(*parts: RenderableType) -> None:
    console = printed.make_console()
    for part in parts:
        console.print(part, soft_wrap=not console.is_terminal)


def _known_errors(command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PolytrioError as error:
            click.echo(f"shm: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            sys.exit(0)  # the wanted end of watch and tail

    return run


_instance = click.option("--instance", default="main", show_default=True, help="Which system.")
_json = click.option("--json", "as_json", is_flag=True, help="JSON for machines.")


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
        return click.echo("no segments: nothing has been started (polytrio run, supervisor.py up)")
    return _show(printed.segments(lines))


@main.command()
@click.argument("segment", required=False)
@click.option("--limit", default=20, show_default=True, help="Rows a section.")
@click.option("--schema", is_flag=True, help="The schema instead, as JSON that `diff` reads.")
@_instance
@_json
@_known_errors
def show(segment: str | None, limit: int, schema: bool, instance: str, as_json: bool) -> None:
    """The contents of SEGMENT, or of one section of it (SEGMENT.SECTION)."""
    if schema:
        return _show_schema(segment, instance)
    if segment is None:
        raise click.UsageError("name a SEGMENT, or give --schema for all of them")
    name, _, only = segment.partition(".")
    view = inspector.find(instance, name)
    sections = [view.section(only)] if only else view.schema.sections
    content = {
        section.name: list(islice(inspector.rows(view, section), limit)) for section in sections
    }
    if as_json:
        return _emit({"segment": name, "layout": view.file.layout_id, "sections": content})
    return _show(
        *(
            printed.section_rows(section, [_worded(view, section, row) for row in shown])
            for section, shown in zip(sections, content.values(), strict=True)
        )
    )


def _worded(view: inspector.View, section: SectionSchema, row: inspector.Row) -> inspector.Row:
    """A row for people: with words for the codes that this build knows."""
    records = [part.record.name for part in section.parts]
    return spoken.in_words(records, row) if view.of_this_build else row


def _show_schema(segment: str | None, instance: str) -> None:
    if segment is not None:
        return _emit(inspector.find(instance, segment.partition(".")[0]).schema)
    names = sorted({file.segment for file in list_files(instance)})
    if not names:
        raise SegmentMissing(inspector.nothing_runs(instance))
    return _emit([inspector.find(instance, name).schema for name in names])


@main.command()
@_instance
@_json
@_known_errors
def stats(instance: str, as_json: bool) -> None:
    """Roles, rings, tables, latencies and counters, once."""
    seen = look(instance)
    if as_json:
        _emit(seen)
    elif seen.missing is None or seen.trouble:
        _show(printed.whole(seen))
    if seen.missing is not None and not seen.trouble:
        raise SegmentMissing(seen.missing)


@main.command()
@click.option("--interval", default=0.5, show_default=True, help="Seconds between two looks.")
@click.option("--count", default=0, help="Stop after so many looks; 0 is never.")
@click.option("--once", is_flag=True, help="The same as --count 1.")
@click.option("--plain", is_flag=True, help="Tables one after the other, no full screen.")
@_instance
@_json
@_known_errors
def watch(
    interval: float, count: int, once: bool, plain: bool, instance: str, *, as_json: bool
) -> None:
    """Everything live, with rates: full screen on a terminal, else tables or lines of JSON."""
    count = 1 if once else count
    if not (as_json or plain or count) and _is_screen():
        # Thirty megabytes and half a second that no other verb should pay for.
        from shm.screen import WatchApp  # noqa: PLC0415

        os.nice(10)  # looking must not slow down what is looked at
        WatchApp(instance, interval).run()
        return
    for seen in _looks(instance, interval, count):
        if as_json:
            _emit(seen)
        else:
            _show(printed.whole(seen))


def _is_screen() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _looks(instance: str, interval: float, count: int) -> Iterator[Look]:
    watcher = Watcher(instance)
    done = 0
    while not count or done < count:
        if done:
            time.sleep(interval)
        yield watcher.look()
        done += 1


@main.command()
@click.argument("ring")
@click.option("--last", default=10, show_default=True, help="Old messages to begin with.")
@click.option("--once", is_flag=True, help="Only what is there now.")
@_instance
@_json
@_known_errors
def tail(ring: str, last: int, once: bool, instance: str, as_json: bool) -> None:
    """Follow the messages of RING as they come, without taking part."""
    for row in _messages(instance, ring, last, once=once, in_words=not as_json):
        if as_json:
            _emit(row)
        elif "lost" in row and len(row) == 1:
            click.echo(f"-- lost {row['lost']:,} messages: they were overwritten too quickly")
        else:
            click.echo(printed.one_line(row))
            sys.stdout.flush()


def _messages(
    instance: str, ring: str, last: int, *, once: bool, in_words: bool
) -> Iterator[inspector.Row]:
    """Rows of messages, and `{"lost": n}`; goes on when the system is made anew."""
    view, section = inspector.find_ring(instance, ring)
    follower = inspector.Follower(view, section, last)
    while True:
        news = follower.news()
        if follower.lost:
            yield {"lost": follower.lost}
            follower.lost = 0
        yield from (_worded(view, section, row) if in_words else row for row in news)
        if once:
            return
        time.sleep(_TAIL_S)
        if not view.is_current:
            click.echo(f"shm: {ring} was removed; waiting for it to be made again", err=True)
            view, section = _found_again(instance, ring)
            follower = inspector.Follower(view, section, section.rows)


def _found_again(instance: str, ring: str) -> tuple[inspector.View, SectionSchema]:
    while True:
        try:
            return inspector.find_ring(instance, ring)
        except SegmentError:
            time.sleep(10 * _TAIL_S)


@main.command()
@click.argument("old")
@click.argument("new")
@_instance
@_json
@_known_errors
def diff(old: str, new: str, instance: str, as_json: bool) -> None:
    """Compare two layouts; exit code 0 if they are the same, 4 if they differ.

    OLD and NEW are each `build` (this code), a layout id that is present, a segment's name, or a
    file written by `show --schema`.
    """
    found = difference.compare(*difference.pair(old, new, instance))
    if as_json:
        _emit(found)
    else:
        _show(printed.changes(found))
    if found:
        sys.exit(LayoutMismatch.exit_code)


@main.command()
@click.option("--instance", default=None, help="Only this system; all of them if not given.")
@_json
@_known_errors
def doctor(instance: str | None, as_json: bool) -> None:
    """What is wrong, why, and what to do; exit code 0 if nothing is."""
    findings = examine(instance)
    if as_json:
        _emit(findings)
    else:
        _show(*(printed.finding_line(finding) for finding in findings))
        if healthy(findings):
            click.echo("healthy")
    if not healthy(findings):
        sys.exit(SegmentError.exit_code)


@main.command()
@click.option("--force", is_flag=True, help="Even while processes of the instance are running.")
@_instance
@_json
@_known_errors
def destroy(instance: str, force: bool, as_json: bool) -> None:
    """Remove the segments of an instance, of every version, when nobody uses them."""
    removed = destroy_unused(instance, force=force)
    if as_json:
        return _emit(removed)
    more = f" and {removed.leftovers} half-made ones" if removed.leftovers else ""
    return click.echo(f"removed {removed.segments} segments of instance {instance!r}{more}")


if __name__ == "__main__":
    main(prog_name="python -m shm")
