"""The inspector's answers as plain tables of text, for terminals, files and pipes alike."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from shm.difference import Change
from shm.findings import Finding, Severity
from shm.inspector import Row
from shm.readings import Latency, Look, RoleReading, SystemReading
from shm.schemas import SectionSchema

_WIDE = 40
_SENTENCE = 24
"""Columns that a sentence needs at least."""
_NO_EDGE = 1_000
"""Columns of a file or a pipe."""
_PLACES = {"row", "position"}
_BARS = " ▁▂▃▄▅▆▇█"
_BAR_CELLS = 10
_COLOUR = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}
_PERCENTILES: tuple[tuple[str, Callable[[Latency], float]], ...] = (
    ("p50", lambda latency: latency.p50),
    ("p90", lambda latency: latency.p90),
    ("p99", lambda latency: latency.p99),
    ("p99.9", lambda latency: latency.p999),
    ("max", lambda latency: latency.max),
)


def make_console() -> Console:
    """Standard output; texts out of segments are never taken for markup. Heeds NO_COLOR."""
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _NO_EDGE  # a file or a pipe has no edge to wrap at
    return console


class Fitting:
    """A table without shortened words: columns for which there is no room are named below it.

    The last ones go first. `wraps`: the last column holds sentences and may take several lines.
    """

    def __init__(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        title: str | None = None,
        wraps: bool = False,
    ) -> None:
        self._columns = columns
        self._rows = rows
        self._title = title
        self._wraps = wraps

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As many columns as fit; rich asks for it."""
        count = len(self._columns)
        while count > 1 and self._least_width(console, options, count) > options.max_width:
            count -= 1
        yield self._table(count)
        if count < len(self._columns):
            left_out = ", ".join(self._columns[count:])
            yield Text(f"no room for: {left_out}", style="dim")

    def _least_width(self, console: Console, options: ConsoleOptions, count: int) -> int:
        table = self._table(count, _SENTENCE)
        return Measurement.get(console, options.update(width=_NO_EDGE), table).maximum

    def _table(self, count: int, longest_sentence: int | None = None) -> Table:
        table = Table(
            box=box.SIMPLE_HEAD, title=self._title, title_justify="left", show_edge=False,
            pad_edge=False,
        )  # fmt: skip
        wraps = self._wraps and count == len(self._columns)
        for number, name in enumerate(self._columns[:count], 1):
            numbers = all(_is_number(row[number - 1]) for row in self._rows)
            table.add_column(
                name,
                no_wrap=not (wraps and number == count),
                justify="right" if numbers else "left",
            )
        for row in self._rows:
            last = row[count - 1][:longest_sentence] if wraps else row[count - 1]
            table.add_row(*row[: count - 1], last)
        return table


def _is_number(text: str) -> bool:
    """Whether a cell is a number, perhaps with a unit, or the mark of a missing one."""
    return text == "-" or text[:1].isdigit()


def segments(lines: Sequence[Row]) -> Fitting:
    """The answer of `list`."""
    rows = [
        (
            line["instance"],
            line["segment"],
            str(line["bytes"] // 1024),
            line["layout"] + ("" if line.get("this_build", True) else " (other version)"),
            line.get("created", "-"),
            _few(line.get("writers", [])),
            line.get("trouble") or line["purpose"],
        )
        for line in lines
    ]
    columns = ("instance", "segment", "KiB", "layout", "created", "written by", "holds")
    return Fitting(columns, rows, wraps=True)


def _few(names: Sequence[str]) -> str:
    """Two names, and how many more there are."""
    return ", ".join(names[:2]) + (f" + {len(names) - 2}" if len(names) > 2 else "")


def section_rows(section: SectionSchema, rows: Iterable[Row]) -> Group:
    """One section of `show`, a line a row, zeros left out."""
    title = f"-- {section.name} ({section.kind}, {section.rows} rows)"
    lines = [Text(one_line(row)) for row in rows]
    return Group(Text(title, style="bold"), *(lines or [Text("nothing written yet")]))


def one_line(row: Row) -> str:
    """A row as `key=value` words, without what is zero or empty; it always says which one it is."""
    return "  ".join(
        f"{key}={_short(value)}"
        for key, value in row.items()
        if key in _PLACES or not _is_zero(value)
    )


def _is_zero(value: Any) -> bool:
    return not any(value) if isinstance(value, list) else value in (0, "")


def _short(value: Any) -> str:
    text = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
    return text if len(text) <= _WIDE else text[: _WIDE - 3] + "..."


def headline(look: Look) -> str:
    """One line about the whole: instance, boot, uptime, mode, trading."""
    if look.system is None:
        return f"{look.instance}: {look.missing or 'its control segment cannot be read'}"
    return f"{look.instance}: {_about(look.system)}"


def _about(system: SystemReading) -> str:
    words = [
        f"layout {system.layout}" + ("" if system.this_build else " (other version)"),
        f"boot {system.boot}" + (" (this one)" if system.this_boot else " (AN EARLIER ONE)"),
        f"up {duration(system.uptime_s)}",
    ]
    if system.mode:
        words.append(f"{system.mode} money")
    if system.venue:
        words.append(f"{system.venue} venue")
    if system.trading is not None:
        words.append("trading on" if system.trading else "trading off")
    if system.execution:
        words.append(f"execution {system.execution}")
    if system.fallen_back:
        words.append("engine FALLEN BACK to python")
    elif system.engine:
        words.append(f"engine {system.engine}")
    if system.settings_version:
        words.append(f"settings {system.settings_version}")
    return ", ".join(words)


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = int(seconds)
    for unit_s, unit, below_s, below in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m")):
        if whole >= unit_s:
            return f"{whole // unit_s}{unit} {whole % unit_s // below_s}{below}"
    return f"{whole // 60}m {whole % 60}s" if whole >= 60 else f"{seconds:.1f}s"


def age(milliseconds: float | None) -> str:
    """An age for people; `-` where there is none."""
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f}ms" if milliseconds < 1_000 else duration(milliseconds / 1e3)


def role_cells(label: str, role: RoleReading) -> tuple[str, ...]:
    """One role as cells; see `ROLE_COLUMNS`."""
    alive = {True: "yes", False: "no", None: "unknown"}[role.alive]
    return (
        label, alive, role.doing, str(role.epoch), str(role.pid),
        age(role.heartbeat_age_ms) if role.loops else "-",
        str(role.adopted_generation), str(role.adopted_settings),
    )  # fmt: skip


ROLE_COLUMNS = (
    "role", "alive", "doing", "epoch", "pid", "heartbeat", "generation", "settings",
)  # fmt: skip
RING_COLUMNS = (
    "ring", "fill", "a second", "lag", "max lag", "overflow", "if full", "written", "read",
)  # fmt: skip
TABLE_COLUMNS = ("table", "in use", "of", "newest", "oldest", "by")
COUNTER_COLUMNS = ("stage", "counter", "value", "a second")
LATENCY_COLUMNS = ("latency us", "count", "p50", "p90", "p99", "p99.9", "max", "shape, log scale")


def ring_rows(look: Look) -> list[tuple[str, ...]]:
    """Every ring as cells."""
    return [
        (
            name,
            bar(ring.lag, ring.capacity),
            rate(ring.per_second),
            f"{ring.lag:,}",
            f"{ring.lag_max:,}",
            f"{ring.overflow:,}",
            ring.full_means + (f" ({ring.dirty:,} now)" if ring.dirty is not None else ""),
            f"{ring.written:,}",
            f"{ring.read:,}",
        )
        for name, ring in look.rings.items()
    ]


def table_rows(look: Look) -> list[tuple[str, ...]]:
    """Every table as cells."""
    return [
        (
            name, f"{table.used:,}" + (f" (+{table.busy} busy)" if table.busy else ""),
            f"{table.rows:,}", age(table.newest_ms), age(table.oldest_ms), table.stamp or "-",
        )
        for name, table in look.tables.items()
    ]  # fmt: skip


def counter_rows(look: Look, *, zeros: bool) -> list[tuple[str, str, int, float | None]]:
    """Every counter: stage, name, value, rate; without zeros unless asked."""
    return [
        (stage, name, value, look.rates.get(stage, {}).get(name))
        for stage, cells in look.counters.items()
        for name, value in cells.items()
        if value or zeros
    ]


def latency_cells(name: str, latency: Latency) -> tuple[str, ...]:
    """One histogram as cells."""
    return (
        name,
        f"{latency.count:,}",
        *(f"{value(latency):,.1f}" for _, value in _PERCENTILES),
        shape(latency.octaves),
    )


def bar(part: int, whole: int) -> str:
    """A fill bar and its percentage; anything in it shows at least one mark."""
    share = min(1.0, part / whole) if whole else 0.0
    cells = min(_BAR_CELLS, -(-int(share * 1_000) * _BAR_CELLS // 1_000)) if part else 0
    cells = max(cells, 1 if part else 0)
    return f"{'█' * cells}{'·' * (_BAR_CELLS - cells)} {100 * share:3.0f}%"


def shape(octaves: Sequence[int]) -> str:
    """A histogram as one character a power of two, heights on a log scale, with its ends named."""
    filled = [index for index, count in enumerate(octaves) if count]
    if not filled:
        return ""
    first, last = filled[0], filled[-1]
    highest = max(octaves).bit_length()
    marks = "".join(
        _BARS[-(-count.bit_length() * (len(_BARS) - 1) // highest)]
        for count in octaves[first : last + 1]
    )
    return f"{octave_start(first)} {marks} {octave_start(last + 1)}"


def bars(octaves: Sequence[int], cells: int) -> list[str]:
    """A histogram as one line a power of two, lengths on a log scale, with the counts."""
    filled = [index for index, count in enumerate(octaves) if count]
    if not filled:
        return ["  nothing yet"]
    highest = max(octaves).bit_length()
    return [
        f"  {octave_start(index):>7} {'█' * -(-count.bit_length() * cells // highest)} {count:,}"
        for index, count in enumerate(octaves[: filled[-1] + 1])
        if index >= filled[0]
    ]


def octave_start(octave: int) -> str:
    """Where an octave of `Latency.octaves` begins, for people: the first one begins at 0."""
    nanoseconds = 0 if octave == 0 else 1 << (octave + 4)
    for unit_ns, unit in ((10**9, "s"), (10**6, "ms"), (10**3, "us")):
        if nanoseconds >= unit_ns:
            return f"{nanoseconds / unit_ns:.3g}{unit}"
    return f"{nanoseconds}ns"


def rate(per_second: float | None) -> str:
    """A rate for people; `-` before the second look."""
    return "-" if per_second is None else f"{per_second:,.0f}"


def whole(look: Look) -> RenderableType:
    """All of a look as tables, one under the other."""
    parts: list[RenderableType] = [Text(headline(look), style="bold")]
    parts += [
        Text(f"{segment}: {trouble}", style="red") for segment, trouble in look.trouble.items()
    ]
    counters = [
        (stage, name, f"{value:,}", rate(per_second))
        for stage, name, value, per_second in counter_rows(look, zeros=False)
    ]
    roles = [role_cells(label, role) for label, role in look.roles.items()]
    latencies = [latency_cells(name, latency) for name, latency in look.latency_us.items()]
    for title, columns, rows in (
        ("roles", ROLE_COLUMNS, roles),
        ("rings", RING_COLUMNS, ring_rows(look)),
        ("tables", TABLE_COLUMNS, table_rows(look)),
        ("latency", LATENCY_COLUMNS, latencies),
        ("counters that are not zero", COUNTER_COLUMNS, counters),
    ):
        if rows:
            parts += [Fitting(columns, rows, title=title), Text()]
        elif look.missing is None:
            parts.append(Text(f"{title}: none yet"))
    return Group(*parts)


def changes(found: Sequence[Change]) -> RenderableType:
    """The answer of `diff`."""
    if not found:
        return Text("the same")
    table = Table("what", "where", "was", "is now")
    for change in found:
        table.add_row(change.what, change.place, change.was, change.now)
    return table


def finding_line(finding: Finding) -> Text:
    """One finding of `doctor` as one line."""
    line = Text(f"{finding.severity:<7} ", style=_COLOUR[finding.severity])
    line.append(f"{finding.subject}: {finding.cause}", style="default")
    if finding.remedy:
        line.append(f" -> {finding.remedy}", style="default")
    return line
