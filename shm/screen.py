"""The full-screen view of `watch`: the only module that needs textual, imported only to be shown.

It draws what a `Watcher` sees, twice a second, and touches a cell only when its text has changed.
A system that dies, restarts or was never there changes what the panels say, never the program.
"""

import errno
import sys
import termios
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import DataTable, Footer, Input, Static

from shm import printed
from shm.readings import Look
from shm.watcher import Watcher

Rows = Mapping[str, tuple[str, ...]]
"""Row key -> cells."""

_BAR_CELLS = 50
_BESIDE_COLUMNS = 160
"""From this width on roles and tables stand side by side with all their columns."""
_HELP = """\
q  quit                     p  pause, and go on
s  sort counters: by name, by value, by rate
f  show only rows that hold a text; Escape shows all
l  latencies as bars, and back
z  counters that are zero, too, or not
?  this, and back

The screen only looks: nothing that you press changes anything in the system. Rates and the largest
lag count from the moment this screen began; everything else counts from the start of the system.
`lag` is what a ring's reader has not given back yet. `alive` is the kernel's word, `doing` and
heartbeat are the process's own: alive without a heartbeat is a process that hangs."""


class Panel(Vertical):
    """A table with a title; when it is empty it says why."""

    DEFAULT_CSS = """
    Panel { border: round $primary; height: auto; width: 1fr; padding: 0 1; }
    Panel DataTable { height: auto; background: transparent; }
    Panel .why { color: $text-muted; }
    """

    def __init__(self, name: str, columns: Sequence[str], words: int = 1) -> None:
        super().__init__(id=name)
        self.border_title = name
        self._columns = columns
        self._words = words
        self._shown: dict[str, tuple[str, ...]] = {}
        self._grid: DataTable[Text] = DataTable(cursor_type="none", show_cursor=False)
        self._grid.can_focus = False
        self._why = Static("", classes="why", markup=False)
        self.changed_cells = 0
        """Cells written so far; tests see by it that what stays the same is not drawn again."""

    def compose(self) -> ComposeResult:
        """Table and explanation; one of them is visible."""
        yield self._grid
        yield self._why

    def on_mount(self) -> None:
        """Columns are fixed from the start."""
        for index, column in enumerate(self._columns):
            self._grid.add_column(column, key=str(index))

    def show(self, rows: Rows, why_empty: str) -> None:
        """Show these rows, or the reason why there are none."""
        self._grid.display = bool(rows)
        self._why.display = not rows
        if not rows:
            self._why.update(why_empty)
        if list(rows) != list(self._shown):
            self._grid.clear()
            for key, cells in rows.items():
                self._grid.add_row(*map(self._cell, range(len(cells)), cells), key=key)
                self.changed_cells += len(cells)
        else:
            self._update(rows)
        self._shown = dict(rows)

    def _update(self, rows: Rows) -> None:
        for key, cells in rows.items():
            before = self._shown[key]
            for index, (was, now) in enumerate(zip(before, cells, strict=True)):
                if was != now:
                    wider = len(now) > len(was)
                    self._grid.update_cell(
                        key, str(index), self._cell(index, now), update_width=wider
                    )
                    self.changed_cells += 1

    def _cell(self, index: int, text: str) -> Text:
        """Words to the left, numbers to the right; never taken for markup."""
        number = index >= self._words and text[:1].isdigit()
        return Text(text, justify="right" if number else "left", no_wrap=True)


Counter = tuple[str, str, int, float | None]
_SORTS: tuple[tuple[str, Callable[[Counter], tuple[float, str, str]]], ...] = (
    ("by name", lambda counter: (0, counter[0], counter[1])),
    ("by value", lambda counter: (-counter[2], counter[0], counter[1])),
    ("by rate", lambda counter: (-(counter[3] or 0), counter[0], counter[1])),
)


class WatchApp(App[None]):
    """See the module."""

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = "#panels"
    """Arrow keys scroll, letters are commands, until somebody asks for the filter."""
    CSS = """
    #headline { text-style: bold; padding: 0 1; }
    #trouble { color: $error; padding: 0 1; }
    #help, #bars { border: round $primary; height: auto; padding: 0 1; }
    .pair { height: auto; }
    .-narrow .pair { layout: vertical; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_BESIDE_COLUMNS, "-wide")]  # noqa: RUF012  # as textual has it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("p", "pause", "pause"),
        Binding("s", "sort", "sort"),
        Binding("f", "filter", "filter"),
        Binding("l", "latency", "latency"),
        Binding("z", "zeros", "zeros"),
        Binding("question_mark", "help", "help"),
        Binding("escape", "everything", show=False),
    ]

    def __init__(self, instance: str, interval_s: float) -> None:
        super().__init__()
        self._watcher = Watcher(instance)
        self._interval_s = interval_s
        self._look: Look | None = None
        self._sort = 0
        self._zeros = False
        self._wanted = ""
        self.paused = False
        self.title = f"polytrio {instance}"

    def compose(self) -> ComposeResult:
        """Headline, panels, and the parts that a key brings up."""
        yield Static("", id="headline", markup=False)
        yield Static("", id="trouble", markup=False)
        yield Input(placeholder="show only rows that hold this text", id="filter")
        with VerticalScroll(id="panels"):
            yield Static(_HELP, id="help", markup=False)
            yield Static("", id="bars", markup=False)
            with Horizontal(classes="pair"):
                yield Panel("roles", printed.ROLE_COLUMNS, words=3)
                yield Panel("tables", printed.TABLE_COLUMNS)
            yield Panel("rings", printed.RING_COLUMNS)
            yield Panel("latency", printed.LATENCY_COLUMNS)
            yield Panel("counters", printed.COUNTER_COLUMNS, words=2)
        yield Footer()

    def on_mount(self) -> None:
        """Hide what keys bring up, look once, and go on looking."""
        for name in ("#trouble", "#filter", "#help", "#bars"):
            self.query_one(name).display = False
        self.take_look()
        self.set_interval(self._interval_s, self.take_look)

    def take_look(self) -> None:
        """One look, unless paused; the end, if nobody is there to look."""
        if _terminal_is_gone():
            self.exit()
        elif not self.paused:
            self._look = self._watcher.look()
            self.draw()

    def draw(self) -> None:
        """Show the last look; also after a key that changes what is shown."""
        look = self._look
        if look is None:
            return
        paused = "  PAUSED" if self.paused else ""
        self._say("#headline", printed.headline(look) + paused)
        trouble = [f"{segment}: {what}" for segment, what in look.trouble.items()]
        self._say("#trouble", "\n".join(trouble))
        self.query_one("#trouble").display = bool(trouble)
        if self.query_one("#bars").display:
            self._say("#bars", self._bars(look))
        roles = (printed.role_cells(*item) for item in look.roles.items())
        self._panel("roles", _keyed(roles), look, "no role was ever taken")
        self._panel("tables", _keyed(printed.table_rows(look)), look, "no tables are there")
        self._panel("rings", _keyed(printed.ring_rows(look)), look, "no rings are there")
        latencies = (printed.latency_cells(*item) for item in look.latency_us.items())
        nothing = "nothing is measured yet: a stage names its histograms when it starts"
        self._panel("latency", _keyed(latencies), look, nothing)
        self._panel("counters", self._counters(look), look, "all are zero (z shows zeros, too)")

    def _say(self, name: str, text: str) -> None:
        widget = self.query_one(name, Static)
        if str(widget.content) != text:
            widget.update(text)

    def _panel(self, name: str, rows: Rows, look: Look, nothing: str) -> None:
        wanted = self._wanted.lower()
        found = {
            key: cells for key, cells in rows.items() if any(wanted in c.lower() for c in cells)
        }
        why = "nothing is there to read; the first line says why" if look.missing else nothing
        if rows and not found:
            why = f"no row holds {self._wanted!r}"
        elif look.trouble and not look.missing:
            why = f"{nothing}; unreadable: {', '.join(look.trouble)}"
        self.query_one(f"#{name}", Panel).show(found, why)

    def _counters(self, look: Look) -> Rows:
        title, order = _SORTS[self._sort]
        self.query_one("#counters", Panel).border_title = f"counters {title}"
        counters = sorted(printed.counter_rows(look, zeros=self._zeros), key=order)
        return {
            f"{stage}.{name}": (stage, name, f"{value:,}", printed.rate(per_second))
            for stage, name, value, per_second in counters
        }

    def _bars(self, look: Look) -> str:
        if not look.latency_us:
            return look.missing or "nothing is measured yet"
        lines: list[str] = []
        for name, latency in look.latency_us.items():
            if self._wanted.lower() in name.lower():
                lines.append(f"{name} ({latency.stage}), {latency.count:,} values")
                lines += printed.bars(latency.octaves, _BAR_CELLS)
        return "\n".join(lines) or f"no histogram is named {self._wanted!r}"

    def action_pause(self) -> None:
        """Stop looking, or go on."""
        self.paused = not self.paused
        self.draw()

    def action_sort(self) -> None:
        """The next order of the counters."""
        self._sort = (self._sort + 1) % len(_SORTS)
        self.draw()

    def action_zeros(self) -> None:
        """Show counters that are zero, or not."""
        self._zeros = not self._zeros
        self.draw()

    def action_help(self) -> None:
        """Show the keys, or not."""
        box = self.query_one("#help")
        box.display = not box.display

    def action_latency(self) -> None:
        """Bars instead of tables, or tables again."""
        bars = self.query_one("#bars")
        bars.display = not bars.display
        for panel in self.query(Panel):
            panel.display = not bars.display
        self.draw()

    def action_filter(self) -> None:
        """Ask for a text."""
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()

    def action_everything(self) -> None:
        """No filter any more."""
        box = self.query_one("#filter", Input)
        box.value = self._wanted = ""
        box.display = False
        self.query_one("#panels").focus()
        self.draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The filter works while it is typed."""
        self._wanted = event.value
        self.draw()

    def on_input_submitted(self) -> None:
        """Keep the filter, and give the keys back."""
        self.query_one("#filter").display = bool(self._wanted)
        self.query_one("#panels").focus()


def _terminal_is_gone() -> bool:
    """Whether the terminal was closed: not every one says so with a SIGHUP.

    Without it textual's reader finds the end of a file for ever, as fast as a core allows.
    """
    try:
        termios.tcgetattr(sys.__stdin__.fileno() if sys.__stdin__ else 0)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    except (OSError, ValueError):
        return False  # no terminal at all, as in a test
    return False


def _keyed(rows: Iterable[tuple[str, ...]]) -> Rows:
    return {cells[0]: cells for cells in rows}
