"""What can go wrong around shared memory, M1 to M4, M7 and M8: deaths, removals, stand-stills.

M5 and M6 are in tests/shm/test_damage.py, M9 to M12 in tests/shm/test_surroundings.py.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from executor.chronicle import Chronicle
from executor.gate import Admitted
from executor.journal import Journal
from shm import records, segment
from shm.backend import LatchReader, RingConsumer, RingProducer
from shm.codes import BasketKind, Purpose, Refusal, ReportKind, Role
from shm.control import SwitchPanel
from shm.errors import EXIT_CODES_FINAL, LayoutMismatch, SegmentMissing, SegmentOrphaned
from shm.fabric import Fabric, find_section
from shm.inspector import find, ring_state
from shm.layout import BOOK, REPORT, SIGNAL, UPDATE
from shm.limits import JournalSettings
from shm.records import Kind
from shm.segment import attach, create, list_files
from shm.segments import RING_READ_OFFSET, SEGMENTS, segment_name
from shm.settings import Settings
from shm.system import create_all
from tests.executor.test_gate import NOW_NS, SETTINGS, admit, situation
from tests.executor.test_gate import signal as gate_signal
from tests.shm import victims
from tests.shm.victims import ROW, bury, message, ready, ring_shape

pytestmark = pytest.mark.contract


@pytest.fixture(autouse=True)
def nobody_stays() -> Iterator[None]:
    yield
    victims.kill_all()


def path_of(instance: str, name: str) -> Path:
    return segment._path(segment_name(instance, name))


def books_reader(instance: str) -> LatchReader:
    placed = find_section("books")[1]
    view = Fabric(instance).segment("books", writable=False).view
    return LatchReader(view, placed.offset, BOOK.size, placed.section.rows)


# --- M1: killed in the middle of a write, or of a read ------------------------------------------


def whole(reader: LatchReader) -> bool:
    """Whether the row is one write of the writer."""
    payload = reader.read(ROW)
    return payload is None or payload == message(reader.seen, BOOK.size)


def kill_again_and_again(role, instance: str, deaths: int, watch) -> None:
    """Start, let live for a random moment, kill, look; while it lives, `watch` all the time."""
    moments = random.Random(1)
    for _ in range(deaths):
        process = ready(role, instance)
        end_s = time.monotonic() + moments.uniform(0, 0.01)
        watch()
        while time.monotonic() < end_s:
            watch()
        process.kill()
        assert bury(process).code == -signal.SIGKILL
        watch()


def test_m1_a_killed_writer_leaves_whole_rows_and_a_ring_without_gap_or_repetition(segments):
    reader = books_reader(segments)
    view = Fabric(segments).segment("updates", writable=True).view
    ring = RingConsumer(view, *ring_shape("updates"))
    expected = 0

    def watch() -> None:
        nonlocal expected
        assert whole(reader)
        while (payload := ring.pop()) is not None:
            assert payload == message(expected, UPDATE.size)
            expected += 1

    kill_again_and_again(victims.writer, segments, 25, watch)
    assert expected > 25
    assert reader.version(ROW) >= 25


def test_m1_a_writer_without_latch_would_be_caught(segments):
    reader = books_reader(segments)
    process = ready(victims.careless_writer, segments)
    deadline_s = time.monotonic() + 30
    while len(set(memoryview(reader.read(ROW)).cast("Q"))) == 1:
        assert time.monotonic() < deadline_s, "no torn row was ever seen"
    process.kill()


def test_m1_a_killed_reader_costs_at_most_a_repetition_and_never_stops_the_writer(segments):
    view = Fabric(segments).segment("updates", writable=True).view
    writer = RingProducer(view, *ring_shape("updates"), Fabric(segments).fence)
    words = memoryview(view).cast("Q")
    read_at = (ring_shape("updates")[0] + RING_READ_OFFSET) // 8
    pushed = 0

    def watch() -> None:
        nonlocal pushed
        pushed += writer.try_push(message(writer.position, UPDATE.size))

    kill_again_and_again(victims.reader, segments, 20, watch)
    assert pushed > 20
    released = words[read_at]
    successor = RingConsumer(view, *ring_shape("updates"))
    left = []
    while (payload := successor.pop()) is not None:
        left.append(payload)
    assert left == [message(p, UPDATE.size) for p in range(released, writer.position)]


# --- M2: a process that was attached ends ---------------------------------------------------------


def test_m2_the_end_of_an_attached_process_takes_nothing_along(instance):
    """`multiprocessing` removes a segment with the first process that ends; here it is loaded."""
    create(instance, SEGMENTS["signals"])
    mapped = attach(instance, SEGMENTS["signals"], writable=True)
    mapped.view[-1] = 77
    for _ in range(3):
        assert bury(victims.start(victims.visitor, instance)).code == 0
        mapped.require_named()
        assert attach(instance, SEGMENTS["signals"], writable=False).view[-1] == 77


# --- M3: removed while in use ---------------------------------------------------------------------


def test_m3_removed_segments_stay_whole_for_their_holders_who_leave_while_newcomers_are_refused(
    instance,
):
    create_all(Settings(instance=instance))
    old = victims.running_stage(instance)
    fabric = Fabric(instance, Role.INGEST)
    books = fabric.write_table("books", BOOK)
    for file in list_files(instance):
        file.path.unlink()
    assert books.write(1, BOOK.blank()) == 1
    assert books.version(1) == 1
    with pytest.raises(SegmentOrphaned, match="restart the system"):
        fabric.require_named()
    late = bury(victims.start(victims.stage, instance))
    assert late.code == SegmentMissing.exit_code
    assert late.err.startswith("engine: no segment ")
    assert late.err.count("\n") == 1
    left = bury(old)
    assert left.code == SegmentOrphaned.exit_code
    assert left.err.endswith("to make a new one\n")


def test_m3_who_holds_a_part_of_the_old_world_and_a_part_of_the_new_one_notices(instance):
    create_all(Settings(instance=instance))
    torn = Fabric(instance)
    torn.segment("control", writable=False)
    create_all(Settings(instance=instance))
    torn.segment("books", writable=False)
    with pytest.raises(SegmentOrphaned, match=r"control.* was removed while in use"):
        torn.require_named()
    with pytest.raises(SegmentOrphaned):
        torn.segment("control", writable=False).require_named()


# --- M4: cut short --------------------------------------------------------------------------------


def test_m4_who_touches_what_was_cut_off_dies_loudly_and_does_not_come_back(instance):
    create_all(Settings(instance=instance))
    reader = ready(victims.toucher, instance)
    idle = victims.running_stage(instance)
    os.truncate(path_of(instance, "books"), SEGMENTS["books"].data_offset)
    assert bury(reader).code == -signal.SIGBUS
    assert -signal.SIGBUS not in EXIT_CODES_FINAL  # the supervisor starts it again, and then:
    again = bury(victims.start(victims.toucher, instance))
    assert "its header says" in again.err.splitlines()[-1]
    assert again.err.endswith(f"python -m shm destroy --instance {instance}`\n")
    os.truncate(path_of(instance, "control"), SEGMENTS["control"].total_bytes - 4096)
    left = bury(idle)  # it had not come near the end of its segment yet
    assert left.code == LayoutMismatch.exit_code
    assert "was cut to" in left.err.splitlines()[-1]
    late = bury(victims.start(victims.stage, instance))
    assert late.code == LayoutMismatch.exit_code
    assert late.code in EXIT_CODES_FINAL
    assert late.err.count("\n") == 1


# --- M7: a consumer that does not come round ------------------------------------------------------


def stopped(process: subprocess.Popen) -> bool:
    status = Path(f"/proc/{process.pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "T"


def test_m7_a_stopped_consumer_blocks_nobody_and_knows_every_book_when_it_goes_on(segments):
    process = ready(victims.follower, segments)
    ingest = Fabric(segments, Role.INGEST)
    books, updates = ingest.write_table("books", BOOK), ingest.produce("updates", UPDATE)
    marker = ingest.dirty_marker()
    os.kill(process.pid, signal.SIGSTOP)
    while not stopped(process):
        time.sleep(0.001)
    conflated = 0
    for number in range(3 * SEGMENTS["updates"].placed["updates"].section.rows):
        row = number * 7 % 1_000
        books.write(row, BOOK.blank())
        if not updates.try_push(UPDATE.blank()._replace(market=row)):
            marker.mark(row)
            conflated += 1
    assert stopped(process), "all of this went on without it"
    assert conflated > 1_000
    os.kill(process.pid, signal.SIGCONT)
    SwitchPanel(Fabric(segments, Role.DESK)).set_trading(enabled=True)
    answer = json.loads(bury(process).out)
    assert {int(row): version for row, version in answer["known"].items()} == {
        row: books.version(row) for row in range(1_000)
    }
    assert 0 < answer["conflated"] <= 1_000


def test_m7_signals_are_refused_while_there_is_no_room_and_too_old_when_they_are_read(segments):
    engine = Fabric(segments, Role.ENGINE).produce("signals", SIGNAL)
    executor = Fabric(segments, Role.EXECUTOR).consume("signals", SIGNAL)
    room = SEGMENTS["signals"].placed["signals"].section.rows
    outcomes = [engine.try_push(gate_signal(signal=number)) for number in range(1, room + 11)]
    assert outcomes == [True] * room + [False] * 10
    view = find(segments, "signals")
    assert ring_state(view, view.section("signals")).overflow == 10
    late = situation(now_ns=NOW_NS + 30 * 10**9, last_signal=0)
    for number in range(1, room + 1):
        signal_ = executor.pop()
        assert signal_.signal == number
        assert admit(signal_, late, SETTINGS) is Refusal.STALE
    assert engine.try_push(gate_signal(signal=room + 11))


# --- M8: a consumer that starts again at an old message -------------------------------------------


def test_m8_a_signal_that_is_read_twice_is_ordered_once(segments, tmp_path):
    engine = Fabric(segments, Role.ENGINE).produce("signals", SIGNAL)
    fabric = Fabric(segments, Role.EXECUTOR)
    engine.try_push(gate_signal(signal=10))
    first = fabric.consume("signals", SIGNAL).pop()
    assert isinstance(admit(first, situation(last_signal=0), SETTINGS), Admitted)
    with journal(tmp_path) as chronicle:
        chronicle.say(Kind.BASKET, basket(first.signal), chronicle.next_flight)
    placed = find_section("signals")[1]
    at = placed.offset + RING_READ_OFFSET
    fabric.segment("signals", writable=True).view[at : at + 8] = bytes(8)  # never released
    successor = Fabric(segments, Role.EXECUTOR)
    again = successor.consume("signals", SIGNAL)
    with journal(tmp_path) as chronicle:
        known = chronicle.state.last_signal
    repeated = again.pop()
    assert repeated == first
    assert admit(repeated, situation(last_signal=known), SETTINGS) is Refusal.DUPLICATE
    engine.try_push(gate_signal(signal=11))
    assert isinstance(admit(again.pop(), situation(last_signal=known), SETTINGS), Admitted)


@contextmanager
def journal(folder) -> Iterator[Chronicle]:
    """What an executor remembers, for as long as it lives."""
    settings = JournalSettings(segment_records=1_024)
    opened = Journal.open(folder / "journal", bytes(20), settings, threaded=False)
    chronicle = Chronicle(opened, lambda _turn: None)
    try:
        yield chronicle
    finally:
        chronicle.close()


def basket(number: int) -> records.Basket:
    return records.Basket(number, 5, 0, 20_000, 5_000_000, 9_000_000, 10**6, 1, 7,
                          BasketKind.TRIANGLE_BUY, Purpose.BASKET, 0)  # fmt: skip


def test_m8_a_report_that_is_read_twice_changes_nothing(segments):
    reports = Fabric(segments, Role.EXECUTOR).produce("reports", REPORT)
    reports.try_push(REPORT.blank()._replace(signal=7, kind=ReportKind.REFUSED))
    view = Fabric(segments).segment("reports", writable=True).view
    shape = ring_shape("reports")
    taken = RingConsumer(view, *shape).pop_many(9)
    view[shape[0] + RING_READ_OFFSET : shape[0] + RING_READ_OFFSET + 8] = bytes(8)
    assert RingConsumer(view, *shape).pop_many(9) == taken  # what comes of it: tests/engine
