"""watch, tail and stats: rates, lags, losses, and what is said when there is nothing to see."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from click.testing import CliRunner

from shm import inspector, layout, printed, readings
from shm.__main__ import main
from shm.codes import Role
from shm.errors import SegmentMissing
from shm.fabric import Fabric
from shm.layout import SIGNAL, UPDATE
from shm.readings import OVERFLOW, look
from shm.segment import create, destroy, list_files
from shm.segments import SEGMENTS, Kind
from shm.settings import Settings
from shm.system import create_all, destroy_all
from shm.watcher import Watcher

QUIET_ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in {"FORCE_COLOR", "NO_COLOR"}}


def run(*words: str):
    done = CliRunner().invoke(main, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts `python -m shm ...` as a process of its own; none survives its test."""
    with ExitStack() as stack:

        def start(*words: str) -> subprocess.Popen:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "shm", *words], env=QUIET_ENVIRONMENT, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def push(producer, *numbers: int) -> None:
    for number in numbers:
        assert producer.try_push(SIGNAL.blank()._replace(signal=number))


# --- looks ------------------------------------------------------------------------------------


def test_rates_are_differences_over_the_time_between_two_looks(segments, monkeypatch):
    engine = Fabric(segments, Role.ENGINE)
    counters = engine.counters("stats-engine.counters", layout.ENGINE_STATS, write=True)
    signals = engine.produce("signals", SIGNAL)
    clock = iter([10**9, 3 * 10**9])
    monkeypatch.setattr(readings.time, "monotonic_ns", lambda: next(clock))
    watcher = Watcher(segments)
    counters.add("hits", 100)
    first = watcher.look()
    assert first.rates == {}
    assert first.rings["signals"].per_second is None
    counters.add("hits", 50)
    push(signals, 1, 2)
    second = watcher.look()
    assert second.rates["engine"]["hits"] == 25
    assert second.rates["engine"]["signals"] == 0
    assert second.rings["signals"].per_second == 1


def test_the_largest_lag_seen_is_kept_when_the_reader_has_caught_up(segments):
    signals = Fabric(segments, Role.ENGINE).produce("signals", SIGNAL)
    reader = Fabric(segments, Role.EXECUTOR).consume("signals", SIGNAL)
    watcher = Watcher(segments)
    push(signals, *range(5))
    assert watcher.look().rings["signals"].lag_max == 5
    while reader.pop():
        continue
    seen = watcher.look().rings["signals"]
    assert (seen.lag, seen.lag_max) == (0, 5)


def test_a_system_that_was_made_anew_starts_without_rates(instance):
    create_all(Settings(instance=instance))
    watcher = Watcher(instance)
    watcher.look()
    assert watcher.look().rates
    destroy_all(instance)
    gone = watcher.look()
    assert "no segments" in gone.missing
    assert not gone.rings
    create_all(Settings(instance=instance))
    again = watcher.look()
    assert again.missing is None
    assert again.rates == {}
    assert watcher.look().rates


def test_segments_that_come_and_go_are_no_errors(segments):
    watcher = Watcher(segments)
    for file in list(list_files(segments)):
        destroy(file)
        seen = watcher.look()
        assert (seen.system is None) == (seen.missing is not None)
    assert not watcher.look().trouble
    create(segments, SEGMENTS["signals"])
    seen = watcher.look()
    assert "signals" in seen.rings
    assert "no control segment" in seen.missing


def test_a_look_knows_mode_venue_boot_and_whether_trading_is_on(instance):
    from shm.control import SwitchPanel

    create_all(Settings(instance=instance))
    system = look(instance).system
    assert (system.mode, system.venue, system.trading) == ("paper", "sim", False)
    assert system.this_boot
    assert system.this_build
    SwitchPanel(Fabric(instance, Role.DESK)).set_trading(enabled=True)
    assert look(instance).system.trading
    text = run("stats", "--instance", instance).output.splitlines()[0]
    assert "(this one), up " in text
    assert "paper money, sim venue, trading on" in text


def test_a_role_is_alive_by_its_lock_and_nothing_else(segments):
    from shm.roles import RoleHolder, RoleLock

    control = Fabric(segments, Role.ENGINE).segment("control", writable=True)
    RoleHolder(control, Role.ENGINE).beat(time.monotonic_ns())
    lock = RoleLock(segments, Role.ENGINE)
    assert look(segments).roles["engine"].alive is False
    lock.take()
    assert look(segments).roles["engine"].alive is True
    lock.release()


def test_tables_show_rows_in_use_and_the_ages_of_the_oldest_and_newest(segments):
    books = Fabric(segments, Role.INGEST).write_table("books", layout.BOOK)
    now_ns = time.monotonic_ns()
    for row, age_ns in ((3, 5 * 10**9), (4, 60 * 10**9), (9, 10**9)):
        books.write(row, layout.BOOK.blank()._replace(market_key=1, received_ns=now_ns - age_ns))
    seen = look(segments).tables["books"]
    assert (seen.used, seen.rows, seen.stamp) == (3, 1024, "received_ns")
    assert 1_000 <= seen.newest_ms < 5_000
    assert seen.oldest_ms >= 60_000
    empty = look(segments).tables["flights"]
    assert (empty.used, empty.oldest_ms, empty.newest_ms) == (0, None, None)


def test_a_table_that_is_one_row_of_many_records_counts_the_records(segments):
    from shm.markets import MarketsWriter
    from tests.engine.factory import ladder

    markets = ladder([10, 20, 30])
    MarketsWriter(Fabric(segments, Role.DESK)).publish(1, markets)
    seen = look(segments).tables["markets"]
    assert (seen.used, seen.rows, seen.stamp) == (len(markets), 1024, "published_ns")


def test_dirty_markets_are_those_whose_bits_differ(segments):
    marker = Fabric(segments, Role.INGEST).dirty_marker()
    taker = Fabric(segments, Role.ENGINE).dirty_taker()
    for market in (0, 63, 64, 1023):
        marker.mark(market)
    assert look(segments).rings["updates"].dirty == 4
    taker.take()
    assert look(segments).rings["updates"].dirty == 0
    assert look(segments).rings["signals"].dirty is None


def test_every_ring_of_the_map_says_what_becomes_of_a_message_that_finds_it_full():
    rings = {
        section.name
        for plan in SEGMENTS.values()
        for section in plan.sections
        if section.kind is Kind.RING
    }
    assert set(OVERFLOW) == rings


def test_a_message_whose_producer_died_before_moving_the_hint_is_counted_and_shown(segments):
    signals = Fabric(segments, Role.ENGINE).produce("signals", SIGNAL)
    push(signals, 7, 8)
    view = Fabric(segments, Role.ENGINE).segment("signals", writable=True).view
    hint = SEGMENTS["signals"].placed["signals"].offset
    view[hint : hint + 8] = (1).to_bytes(8, "little")  # as if killed right after the commit
    found, section = inspector.find_ring(segments, "signals")
    assert inspector.ring_state(found, section).written == 2
    assert [row["signal"] for row in inspector.rows(found, section)] == [7, 8]


def test_everything_is_readable_when_every_process_is_dead(segments):
    code = f"""
import os, signal
from shm.codes import Role
from shm.fabric import Fabric
from shm.layout import BOOK, SIGNAL
from shm.roles import RoleHolder, RoleLock
RoleLock({segments!r}, Role.ENGINE).take()
engine = Fabric({segments!r}, Role.ENGINE)
RoleHolder(engine.segment("control", writable=True), Role.ENGINE)
engine.produce("signals", SIGNAL).try_push(SIGNAL.blank()._replace(signal=77))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    seen = look(segments)
    assert seen.roles["engine"].alive is False
    assert seen.rings["signals"].lag == 1
    assert "signal=77" in run("show", "signals", "--instance", segments).output
    assert "signal=77" in run("tail", "signals", "--once", "--instance", segments).output


# --- pictures of numbers ----------------------------------------------------------------------


def test_a_bar_shows_a_trace_of_anything_and_is_full_only_when_full():
    assert printed.bar(0, 64) == "··········   0%"
    assert printed.bar(1, 1024).startswith("█·")
    assert printed.bar(64, 64) == "██████████ 100%"
    assert printed.bar(32, 64) == "█████·····  50%"
    assert printed.bar(1 << 63, 64).endswith("100%")


def test_the_shape_of_a_histogram_names_both_ends_and_marks_every_filled_octave():
    summary = readings.summary_us("engine", [0] * 160 + [1] * 32 + [0] * 32 + [1000] + [0] * 799, 9)
    left, marks, right = summary_parts(printed.shape(summary.octaves))
    assert (left, right) == ("512ns", "4.1us")
    assert len(marks) == 3
    assert marks[1] == " "
    assert marks[2] == "█"
    assert printed.shape([0] * 32) == ""
    assert printed.bars([0] * 32, 10) == ["  nothing yet"]
    lines = printed.bars(summary.octaves, 10)
    assert len(lines) == 3
    assert lines[2].split() == ["2.05us", "█" * 10, "1,000"]


def summary_parts(text: str) -> tuple[str, str, str]:
    left, rest = text.split(" ", 1)
    marks, right = rest.rsplit(" ", 1)
    return left, marks, right


@pytest.mark.parametrize("octave", range(32))
def test_an_octave_begins_where_the_buckets_say(octave):
    from shm.histogram import bucket_of

    value = 0 if octave == 0 else 1 << (octave + 4)
    assert bucket_of(value) == 32 * octave
    assert printed.octave_start(octave)[-1] == "s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2s"), (59, "59.0s"), (61, "1m 1s"), (3_700, "1h 1m"), (90_000, "1d 1h")],
)
def test_a_duration_has_its_two_largest_units(seconds, text):
    assert printed.duration(seconds) == text


# --- the verbs --------------------------------------------------------------------------------


def test_stats_of_nothing_says_so_with_the_code_of_a_missing_segment(instance):
    done = run("stats", "--instance", instance)
    assert done.exit_code == SegmentMissing.exit_code
    assert "nothing runs under this name" in done.stderr


def test_watch_without_a_terminal_prints_tables_without_a_single_escape(segments, program):
    done = program("watch", "--count", "2", "--interval", "0.01", "--instance", segments)
    out, err = done.communicate(timeout=60)
    assert (done.returncode, err) == (0, "")
    assert out.count("rings") == 2
    assert "\x1b" not in out


def test_watch_survives_an_instance_that_is_not_there_yet(instance, program):
    done = program("watch", "--json", "--interval", "0.02", "--instance", instance)
    first = json.loads(done.stdout.readline())
    assert "no segments" in first["missing"]
    create_all(Settings(instance=instance))
    while json.loads(done.stdout.readline())["missing"]:
        continue
    destroy_all(instance)
    while not json.loads(done.stdout.readline())["missing"]:
        continue
    done.send_signal(signal.SIGINT)
    _, err = done.communicate(timeout=60)
    assert (done.returncode, err) == (0, "")


@pytest.mark.parametrize(
    "words",
    [["list"], ["stats"], ["watch", "--once"], ["watch", "--plain", "--count", "1"], ["doctor"]],
    ids="-".join,
)
def test_no_verb_loads_the_full_screen_library_unless_it_is_shown(segments, words):
    scope = [] if words == ["list"] else ["--instance", segments]
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from shm.__main__ import main\n"
        f"CliRunner().invoke(main, {words + scope!r})\n"
        "print('textual' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_colours_are_left_out_when_nobody_wants_them(segments, monkeypatch):
    os.chmod(next(list_files(segments)).path, 0o644)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31m" in run("doctor", "--instance", segments).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in run("doctor", "--instance", segments).output


# --- tail -------------------------------------------------------------------------------------


def test_tail_shows_the_last_messages_one_object_a_line(segments):
    push(Fabric(segments, Role.ENGINE).produce("signals", SIGNAL), *range(20))
    done = run("tail", "signals", "--once", "--last", "3", "--json", "--instance", segments)
    assert [json.loads(line)["signal"] for line in done.stdout.splitlines()] == [17, 18, 19]
    assert len(run("tail", "signals", "--once", "--instance", segments).output.splitlines()) == 10


def test_tail_follows_messages_as_they_come_and_moves_nothing(segments, program):
    signals = Fabric(segments, Role.ENGINE).produce("signals", SIGNAL)
    done = program("tail", "signals", "--json", "--instance", segments)
    push(signals, 5)
    assert json.loads(done.stdout.readline())["signal"] == 5
    push(signals, 6, 7)
    assert [json.loads(done.stdout.readline())["signal"] for _ in range(2)] == [6, 7]
    assert look(segments).rings["signals"].read == 0
    done.send_signal(signal.SIGINT)
    _, err = done.communicate(timeout=60)
    assert (done.returncode, err) == (0, "")


def test_tail_says_how_many_messages_it_lost(segments):
    updates = Fabric(segments, Role.INGEST).produce("updates", UPDATE)
    reader = Fabric(segments, Role.ENGINE).consume("updates", UPDATE)
    follower = inspector.Follower(*inspector.find_ring(segments, "updates"), 0)
    for number in range(3_000):
        assert updates.try_push(UPDATE.blank()._replace(market=number))
        reader.pop()
    news = [row["market"] for row in follower.news()]
    assert news == list(range(3_000 - len(news), 3_000))
    assert follower.lost == 3_000 - len(news) > 0
    assert follower.news() == []


RUNAWAY = """
from shm.codes import Role
from shm.fabric import Fabric
from shm.layout import UPDATE
updates = Fabric({instance!r}, Role.INGEST).produce("updates", UPDATE)
reader = Fabric({instance!r}, Role.ENGINE).consume("updates", UPDATE)
number = 0
while True:
    updates.try_push(UPDATE.blank()._replace(
        market=number, book_version=number, frame_ns=number, published_ns=number))
    reader.pop()
    number += 1
"""


@pytest.fixture
def lapped(segments) -> Iterator[inspector.Follower]:
    """A follower of a ring whose producer goes round it as fast as it can, in its own process."""
    child = subprocess.Popen([sys.executable, "-c", RUNAWAY.format(instance=segments)])
    follower = inspector.Follower(*inspector.find_ring(segments, "updates"), 0)
    follower.producer = child
    yield follower
    child.kill()
    child.wait()


def is_whole(row: dict) -> bool:
    """Every field of these messages holds the message's own position."""
    return len({row[k] for k in ("position", "market", "book_version", "published_ns")}) == 1


def test_tail_shows_only_whole_messages_and_counts_the_others_while_it_is_lapped(segments, lapped):
    started = inspector.ring_state(*inspector.find_ring(segments, "updates")).written
    shown = []
    while lapped.lost == 0 or len(shown) < 5_000:
        assert lapped.producer.poll() is None
        shown += lapped.news()
    assert all(is_whole(row) for row in shown)
    positions = [row["position"] for row in shown]
    assert positions == sorted(set(positions))
    assert len(shown) + lapped.lost >= positions[-1] - started


class Careless:
    """Copies a slot without looking at its commit word or at the producer's hint."""

    def __init__(self, view, section) -> None:
        self._view, self._section = view, section

    def peek(self, position: int) -> bytes:
        slot = position % self._section.rows * self._section.stride
        start = self._view.start(self._section) + self._section.prelude + slot
        return bytes(self._view.memory[start + 8 : start + self._section.stride])


def test_a_careless_tail_would_be_caught(segments, lapped):
    lapped._tail = Careless(*inspector.find_ring(segments, "updates"))
    while all(is_whole(row) for row in lapped.news()):
        assert lapped.producer.poll() is None


def test_tail_goes_on_when_the_system_is_made_anew(instance, program):
    create_all(Settings(instance=instance))
    done = program("tail", "signals", "--json", "--instance", instance)
    push(Fabric(instance, Role.ENGINE).produce("signals", SIGNAL), 1)
    assert json.loads(done.stdout.readline())["signal"] == 1
    destroy_all(instance)
    assert "waiting for it" in done.stderr.readline()
    create_all(Settings(instance=instance))
    push(Fabric(instance, Role.ENGINE).produce("signals", SIGNAL), 2)
    assert json.loads(done.stdout.readline())["signal"] == 2
    done.send_signal(signal.SIGINT)
    done.communicate(timeout=60)
    assert done.returncode == 0


def test_what_is_no_ring_is_answered_with_the_rings_that_there_are(segments):
    done = run("tail", "books", "--instance", segments)
    assert done.exit_code == SegmentMissing.exit_code
    assert "none in this segment" in done.stderr
    assert "updates.updates" in run("tail", "updates.dirty", "--instance", segments).stderr
