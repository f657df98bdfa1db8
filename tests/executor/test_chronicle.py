"""Chronicle: what is folded is what a reader finds; what cannot be written waits, in order."""

import errno
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.snapshot import draft, may_be_taken, snapshot
from shm import records
from shm.codes import Cause, FlightState, LegState, Mode
from shm.errors import JournalDamaged, JournalError
from shm.journal_record import GROUP_MAX, RECORD_BYTES
from shm.records import Kind
from tests.executor.stories import Story
from tests.executor.written import Written


@pytest.fixture
def written(tmp_path):
    return Written(tmp_path)


def mark(number: int):
    return draft(Kind.MARK, records.Mark(number, number))


@given(seed=st.integers(0, 2**32), length=st.integers(1, 120))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_state_is_what_a_reader_of_the_disk_comes_to(tmp_path, seed, length):
    folder = tmp_path / f"{seed}-{length}"
    folder.mkdir(exist_ok=True)
    written = Written(folder)
    for entry in Story(seed).act_many(length).entries:
        written.chronicle.tell([draft(entry.kind, entry.payload, entry.flight, entry.leg)])
    ours = written.state.digest()
    written.reopen()
    assert written.state.digest() == ours
    written.chronicle.close()
    shutil.rmtree(folder)


def test_orders_are_on_disk_before_they_are_folded_and_not_twice(written):
    written.begin()
    number = written.chronicle.next_flight
    assert written.chronicle.write_orders(*written.orders())
    assert number not in written.state.flights
    assert written.chronicle.seq == number + 3
    written.chronicle.fold_orders()
    assert written.state.flights[number].state is FlightState.INTENT
    digest = written.state.digest()
    written.reopen()
    assert written.state.digest() == digest
    assert len(written.state.flights[number].legs) == 3


def test_orders_that_were_written_and_never_sent_are_in_doubt_at_the_next_start(written):
    written.begin()
    number = written.chronicle.next_flight
    written.chronicle.write_orders(*written.orders())
    written.reopen()
    written.begin()
    flight = written.state.flights[number]
    assert flight.state is FlightState.RESOLVING
    assert {leg.state for leg in flight.legs} == {LegState.DOUBT}


def test_the_number_of_a_flight_is_never_used_twice_whatever_happens(written):
    written.begin()
    numbers = []
    for round_ in range(12):
        numbers.append(written.chronicle.next_flight)
        written.complete(written.launch(signal=round_ + 1))
        if round_ % 4 == 2:
            written.reopen()
            written.begin()
        elif round_ % 4 == 3:
            rotate(written)
    assert len(set(numbers)) == len(numbers)
    assert numbers == sorted(numbers)


# --- a disk without room ------------------------------------------------------------------------


def test_a_full_disk_keeps_what_happened_in_order_and_folds_none_of_it(written):
    written.begin()
    before = written.state.digest(), written.chronicle.version, written.chronicle.seq
    written.fill_disk()
    for number in range(1, 6):
        written.chronicle.tell([mark(number)])
    assert written.chronicle.blocked
    assert "make room" in written.chronicle.trouble
    assert (written.state.digest(), written.chronicle.version, written.chronicle.seq) == before
    written.make_room()
    written.chronicle.flush()
    assert not written.chronicle.blocked
    assert written.chronicle.trouble == ""
    assert [m.at_ms for m in written.state.marks] == [1, 2, 3, 4, 5]
    digest = written.state.digest()
    written.reopen()
    assert written.state.digest() == digest


def test_orders_that_found_no_room_leave_no_trace_and_the_trouble_is_not_forgotten(written):
    written.begin()
    digest, number = written.state.digest(), written.chronicle.next_flight
    written.fill_disk()
    assert not written.chronicle.write_orders(*written.orders())
    assert (written.state.digest(), written.chronicle.next_flight) == (digest, number)
    assert not written.chronicle.blocked
    written.make_room()
    written.chronicle.flush()  # nothing waits: nothing has shown that there is room again
    assert "make room" in written.chronicle.trouble
    written.chronicle.tell([mark(1)])
    assert written.chronicle.trouble == ""
    assert number not in written.state.flights


def test_orders_while_something_waits_are_a_defect(written):
    written.begin()
    orders = written.orders()
    written.fill_disk()
    written.chronicle.tell([mark(1)])
    with pytest.raises(AssertionError, match="not written"):
        written.chronicle.write_orders(*orders)


def test_room_that_runs_out_between_two_groups_loses_and_repeats_nothing(written):
    written.begin()
    written.fill_disk()
    written.chronicle.tell([mark(number) for number in range(GROUP_MAX + 20)])
    tries = iter([0, errno.ENOSPC, 0])
    pen = written.disk.pen
    written.disk.write = lambda *what: -next(tries) or pen.write(*what)
    written.chronicle.flush()
    assert written.chronicle.blocked
    assert len(written.state.marks) == GROUP_MAX
    written.chronicle.flush()
    assert [m.at_ms for m in written.state.marks] == list(range(GROUP_MAX + 20))


def test_a_real_file_limit_is_a_full_disk(written):
    """The kernel's own word: a file that may not grow beyond the room it has (EFBIG)."""
    written.begin()
    os.ftruncate(written.journal._fd, written.journal._offset)
    child = os.fork()
    if child == 0:
        import resource  # the limit is this child's alone
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = written.journal._offset + RECORD_BYTES
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        sent = written.chronicle.write_orders(*written.orders())
        told = "make room" in written.chronicle.trouble
        os._exit(0 if told and not sent else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_disk_that_fails_ends_it(written):
    written.begin()
    written.disk.error = errno.EIO
    with pytest.raises(JournalError, match="kernel's log"):
        written.chronicle.tell([mark(1)])
    written.make_room()
    with pytest.raises(JournalError):
        written.chronicle.tell([mark(2)])
    with pytest.raises(JournalError):
        written.chronicle.require_disk()


def test_a_disk_that_fails_under_orders_ends_it_before_they_are_sent(written):
    written.begin()
    orders = written.orders()
    written.disk.error = errno.EIO
    with pytest.raises(JournalError, match="kernel's log"):
        written.chronicle.write_orders(*orders)


# --- segments -----------------------------------------------------------------------------------


def rotate(written) -> None:
    """Rotate now, whether it is time or not."""
    written.journal._full_at = 0
    written.chronicle.rotate_when_full()


def test_a_new_segment_says_what_the_old_one_said(written):
    written.begin()
    written.complete(written.launch())
    first = written.journal.segment
    digest = written.state.digest()
    rotate(written)
    assert written.journal.segment == first + 1
    assert written.state.digest() == digest
    written.reopen()
    assert written.state.digest() == digest
    written.begin()
    written.complete(written.launch(signal=2))


def test_no_segment_begins_while_orders_are_on_their_way_or_records_wait(written):
    written.begin()
    flight = written.launch()
    assert not may_be_taken(written.state)
    rotate(written)
    assert written.journal.segment == 1
    written.complete(flight)
    written.fill_disk()
    written.chronicle.tell([mark(1)])
    rotate(written)
    assert written.journal.segment == 1
    written.make_room()
    written.chronicle.flush()
    rotate(written)
    assert written.journal.segment == 2


def test_a_snapshot_that_does_not_add_up_is_refused(written):
    written.begin()
    written.complete(written.launch())
    digest = written.state.digest()
    written.state.ledger.cash_change_usd_e6 += 1  # as if two programs did not fold alike
    written.journal.rotate(snapshot(written.state), digest=digest)
    with pytest.raises(JournalDamaged, match="does not add up"):
        written.reopen()


def test_a_chronicle_that_folds_what_it_did_not_write_is_found_out(written):
    """The first test, with the defect that it is there for."""
    written.begin()
    fold = written.chronicle._fold
    written.chronicle._fold = lambda group: fold([mark(group[0].payload.at_ms + 1)])
    written.chronicle.tell([mark(5)])
    digest = written.state.digest()
    written.reopen()
    assert written.state.digest() != digest


def test_a_mode_is_folded_at_once(written):
    written.begin(Mode.DISARMED)
    written.move(Mode.HALTED, Cause.KILL)
    assert written.state.mode is Mode.HALTED
    assert written.state.halt is Cause.KILL


def test_who_works_out_what_follows_is_told_of_every_group_that_was_folded(tmp_path):
    written = Written(tmp_path).begin()
    told = []
    written.chronicle.on_told = lambda: told.append(written.chronicle.version)
    written.chronicle.write_orders(*written.orders())
    assert told == [], "orders are folded when they have left"
    written.chronicle.fold_orders()
    assert told == [written.chronicle.version]
    written.fill_disk()
    written.move(Mode.HALTED, Cause.KILL)
    assert len(told) == 1
