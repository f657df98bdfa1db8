"""The full screen: its keys, only changed cells drawn, and life without a system."""

import asyncio
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from textual.widgets import DataTable, Input

from shm import layout
from shm.codes import Role, StageState
from shm.fabric import Fabric
from shm.roles import RoleHolder, RoleLock
from shm.screen import Panel, WatchApp
from shm.segment import create, list_files
from shm.segments import SEGMENTS
from shm.settings import Settings
from shm.system import create_all, destroy_all

SIZE = (160, 60)
NEVER_S = 3_600.0
"""The app's own clock does nothing in these tests: they say when it looks."""


def watch(
    instance: str, body: Callable[[WatchApp, object], Awaitable[None]], size: tuple[int, int] = SIZE
) -> None:
    """Run the app without a terminal and let `body` press keys."""

    async def run() -> None:
        app = WatchApp(instance, NEVER_S)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await body(app, pilot)

    asyncio.run(run())


def cells(app: WatchApp, panel: str) -> list[list[str]]:
    """What a panel's table holds."""
    grid = app.query_one(f"#{panel}", Panel).query_one(DataTable)
    return [[str(cell) for cell in grid.get_row_at(i)] for i in range(grid.row_count)]


def why(app: WatchApp, panel: str) -> str:
    """Why a panel is empty."""
    box = app.query_one(f"#{panel}", Panel).query_one(".why")
    return str(box.content) if box.display else ""


def headline(app: WatchApp) -> str:
    return str(app.query_one("#headline").content)


@pytest.fixture
def busy(instance):
    """A system in which something has happened."""
    create_all(Settings(instance=instance))
    fabric = Fabric(instance, Role.ENGINE)
    lock = RoleLock(instance, Role.ENGINE)
    lock.take()
    holder = RoleHolder(fabric.segment("control", writable=True), Role.ENGINE)
    holder.enter(StageState.RUNNING)
    holder.adopt(4)
    holder.beat(time.monotonic_ns())
    signals = fabric.produce("signals", layout.SIGNAL)
    for _ in range(16):
        assert signals.try_push(layout.SIGNAL.blank())
    counters = fabric.counters("stats-engine.counters", layout.ENGINE_STATS, write=True)
    counters.add("hits", 7)
    counters.add("evaluations", 9)
    fabric.histogram(Role.ENGINE, 0, "frame_to_signal").add(1_500)
    yield instance
    lock.release()


def test_every_panel_shows_what_there_is(busy):
    async def body(app, pilot):
        assert headline(app).startswith(f"{busy}: layout ")
        assert "paper money, sim venue, trading off" in headline(app)
        engine = next(row for row in cells(app, "roles") if row[0] == "engine")
        assert engine[1:5] == ["yes", "running", "1", str(os.getpid())]
        assert engine[6] == "4"
        signals = next(row for row in cells(app, "rings") if row[0] == "signals")
        assert signals[1] == "███·······  25%"
        assert signals[3:6] == ["16", "16", "0"]
        assert "refused" in signals[6]
        assert ["control.settings", "1", "1", "-", "-", "-"] in cells(app, "tables")
        (latency,) = cells(app, "latency")
        assert latency[:3] == ["frame_to_signal", "1", "1.5"]
        assert "█" in latency[7]
        assert [row[:3] for row in cells(app, "counters")] == [
            ["engine", "evaluations", "9"], ["engine", "hits", "7"]
        ]  # fmt: skip

    watch(busy, body)


@pytest.mark.parametrize(("size", "beside"), [((160, 60), True), ((80, 24), False)])
def test_roles_and_tables_stand_side_by_side_only_where_both_have_room(busy, size, beside):
    async def body(app, _pilot):
        roles, tables = (app.query_one(name).region for name in ("#roles", "#tables"))
        assert (roles.y == tables.y) == beside
        assert roles.width > 70
        assert roles.width < 0.6 * size[0] or not beside

    watch(busy, body, size)


def test_only_cells_that_changed_are_drawn_again(busy):
    async def body(app, pilot):
        panel = app.query_one("#counters", Panel)
        app.take_look()
        before = panel.changed_cells
        app.take_look()
        assert panel.changed_cells == before
        counters = Fabric(busy, Role.ENGINE).counters(
            "stats-engine.counters", layout.ENGINE_STATS, write=True
        )
        counters.add("hits", 1)
        app.take_look()
        row = next(row for row in cells(app, "counters") if row[1] == "hits")
        assert row[2] == "8"
        assert panel.changed_cells - before <= 2  # the value, and its rate

    watch(busy, body)


def test_pause_stands_still_and_says_so(busy):
    async def body(app, pilot):
        await pilot.press("p")
        assert headline(app).endswith("PAUSED")
        destroy_all(busy)
        app.take_look()
        assert cells(app, "rings")
        await pilot.press("p")
        app.take_look()
        assert not cells(app, "rings")

    watch(busy, body)


def counters_of(app: WatchApp) -> tuple[str, list[str]]:
    """Title and names of the counters, as shown."""
    title = app.query_one("#counters", Panel).border_title
    return str(title), [row[1] for row in cells(app, "counters")]


def test_sort_goes_through_name_value_and_rate(busy):
    async def body(app, pilot):
        counters = Fabric(busy, Role.ENGINE).counters(
            "stats-engine.counters", layout.ENGINE_STATS, write=True
        )
        counters.add("hits", 1)
        app.take_look()
        assert counters_of(app) == ("counters by name", ["evaluations", "hits"])
        await pilot.press("s")
        assert counters_of(app) == ("counters by value", ["evaluations", "hits"])
        await pilot.press("s")
        assert counters_of(app) == ("counters by rate", ["hits", "evaluations"])
        await pilot.press("s")
        assert counters_of(app)[0] == "counters by name"

    watch(busy, body)


def test_filter_shows_only_rows_that_hold_the_text_until_escape(busy):
    async def body(app, pilot):
        await pilot.press("f")
        assert isinstance(app.focused, Input)
        await pilot.press("h", "i", "t", "s")
        await pilot.pause()
        assert [row[1] for row in cells(app, "counters")] == ["hits"]
        assert why(app, "rings") == "no row holds 'hits'"
        await pilot.press("enter", "s")
        assert "by value" in str(app.query_one("#counters", Panel).border_title)
        await pilot.press("escape")
        await pilot.pause()
        assert len(cells(app, "counters")) == 2
        assert cells(app, "rings")

    watch(busy, body)


def test_latencies_and_help_come_and_go(busy):
    async def body(app, pilot):
        bars, box = app.query_one("#bars"), app.query_one("#help")
        assert not bars.display
        assert not box.display
        await pilot.press("l")
        assert "frame_to_signal (engine), 1 values" in str(bars.content)
        assert "1.02us ██████████" in str(bars.content)
        assert not app.query_one("#rings").display
        await pilot.press("l")
        assert app.query_one("#rings").display
        await pilot.press("question_mark")
        assert box.display
        assert "pause" in str(box.content)
        await pilot.press("question_mark")
        assert not box.display

    watch(busy, body)


def test_counters_that_are_zero_are_shown_on_demand(busy):
    async def body(app, pilot):
        assert len(cells(app, "counters")) == 2
        await pilot.press("z")
        assert len(cells(app, "counters")) > 50
        await pilot.press("z")
        assert len(cells(app, "counters")) == 2

    watch(busy, body)


def test_it_survives_a_system_that_goes_and_comes_back_and_says_what_is_missing(busy):
    async def body(app, pilot):
        destroy_all(busy)
        app.take_look()
        assert "has no segments: nothing runs under this name" in headline(app)
        for panel in ("roles", "rings", "tables", "latency", "counters"):
            assert not cells(app, panel)
            assert "nothing is there to read" in why(app, panel)
        app.query_one("#bars").display = True
        app.draw()
        for plan in SEGMENTS.values():
            create(busy, plan)
        app.take_look()
        assert cells(app, "rings")
        assert why(app, "latency") == (
            "nothing is measured yet: a stage names its histograms when it starts"
        )
        assert why(app, "counters") == "all are zero (z shows zeros, too)"

    watch(busy, body)


def test_a_damaged_segment_is_named_and_the_rest_is_shown(busy):
    file = next(file for file in list_files(busy) if file.segment == "books")
    with open(file.path, "r+b") as damaged:
        damaged.write(b"\0")

    async def body(app, pilot):
        trouble = app.query_one("#trouble")
        assert trouble.display
        assert "no polytrio header" in str(trouble.content)
        assert cells(app, "rings")

    watch(busy, body)


def test_texts_out_of_a_segment_are_not_markup(busy):
    Fabric(busy, Role.ENGINE).histogram(Role.ENGINE, 1, "[/red] [b]x").add(5)

    async def body(app, pilot):
        assert "[/red] [b]x" in [row[0] for row in cells(app, "latency")]
        await pilot.press("l")
        await pilot.pause()
        assert "[/red] [b]x (engine)" in str(app.query_one("#bars").content)

    watch(busy, body)


def test_q_ends_it(busy):
    async def body(app, pilot):
        await pilot.press("q")
        await pilot.pause()
        assert app._exit

    watch(busy, body)


class Terminal:
    """The real program on a pseudo-terminal."""

    def __init__(self, *words: str, **environment: str) -> None:
        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 150, 0, 0))
        kept = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "shm", *words],
            stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
            env=kept | {"TERM": "xterm-256color"} | environment,
        )  # fmt: skip
        os.close(follower)
        self.seen = b""

    def read_until(self, text: bytes, patience_s: float = 60.0) -> None:
        deadline_s = time.monotonic() + patience_s
        while text not in self.seen:
            assert time.monotonic() < deadline_s, self.seen[-2000:]
            if select.select([self.leader], [], [], 0.1)[0]:
                self.seen += os.read(self.leader, 65_536)

    def end(self) -> int:
        """Read to the end, so that the program is never held up; its exit code."""
        with suppress(OSError):  # when the other side is closed
            while True:
                self.seen += os.read(self.leader, 65_536)
        return self.process.wait(60)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Opens terminals; no program survives its test."""
    with ExitStack() as stack:

        def start(*words: str, **environment: str) -> Terminal:
            opened = Terminal(*words, **environment)
            stack.callback(lambda: os.close(opened.leader))
            stack.enter_context(opened.process)
            stack.callback(opened.process.kill)
            return opened

        yield start


def test_on_a_terminal_it_fills_the_screen_and_q_gives_it_back(busy, terminal):
    screen = terminal("watch", "--instance", busy)
    screen.read_until(b"frame_to_signal")
    assert b"\x1b[?1049h" in screen.seen
    os.write(screen.leader, b"q")
    assert screen.end() == 0
    assert b"\x1b[?1049l" in screen.seen
    assert b"Traceback" not in screen.seen


@pytest.mark.parametrize("words", [(), ("--plain",)])
def test_it_ends_when_its_terminal_is_closed(busy, terminal, words):
    screen = terminal("watch", "--instance", busy, *words)
    screen.read_until(b"frame_to_signal")
    os.close(screen.leader)
    screen.leader = os.open(os.devnull, os.O_RDONLY)
    screen.process.wait(60)


def colours(seen: bytes) -> bool:
    """Whether any cell was given a colour that is not a shade of grey."""
    import re

    found = re.findall(rb"\x1b\[[0-9;]*?[34]8;2;(\d+);(\d+);(\d+)", seen)
    return any(len(set(rgb)) > 1 for rgb in found)


def test_without_colour_if_nobody_wants_it(busy, terminal):
    for environment, wanted in (({}, True), ({"NO_COLOR": "1"}, False)):
        screen = terminal("watch", "--instance", busy, COLORTERM="truecolor", **environment)
        screen.read_until(b"frame_to_signal")
        os.write(screen.leader, b"q")
        assert screen.end() == 0
        assert colours(screen.seen) is wanted


def test_plain_tables_on_a_terminal_that_wants_no_screen(busy, terminal):
    for words, environment in ((["--plain"], {}), ([], {"TERM": "dumb"})):
        screen = terminal("watch", "--interval", "0.05", "--instance", busy, *words, **environment)
        screen.read_until(b"frame_to_signal")
        screen.process.send_signal(2)
        assert screen.end() == 0
        assert b"\x1b[?1049h" not in screen.seen
