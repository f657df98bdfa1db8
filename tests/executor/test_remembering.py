"""Remembering: what cannot be folded is refused by number, as damage or as of a newer version."""

import subprocess
import sys

import pytest

from executor.remembering import remembered
from shm import records
from shm.codes import Cause, FillStatus, LegReason, LegState, Mode
from shm.errors import JournalDamaged, JournalError, JournalForeign
from shm.journal_files import Place
from shm.payloads import PAYLOADS
from shm.records import Kind
from tests.executor.written import START_MS, Written


def contradiction(written: Written) -> tuple:
    """An order that was killed is said to rest: no step of the tables."""
    flight = written.launch()
    written.reply(flight, *[LegState.KILLED] * 3)
    verdict = records.Verdict(START_MS, 0, LegState.LANDED, LegReason.NONE)
    return (Kind.VERDICT, flight.id, 0, verdict)


def of_nobody(_written: Written) -> tuple:
    return (Kind.SENT, 999, 0, records.Sent(START_MS, 1, 99, bytes(16)))


def second_order_of_three(written: Written) -> tuple:
    flight = written.launch()
    reply = records.Reply(START_MS, 200, LegState.FILLED, 0, bytes(32), bytes(16), b"")
    return (Kind.REPLY, flight.id, 3, reply)


def newer(_written: Written) -> tuple:
    return (Kind.MODE, 0, 0, records.ModeChange(0, Mode.HALTED, max(Cause) + 1, b"x", b"newer"))


def newer_fill(written: Written) -> tuple:
    flight = written.launch()
    leg = flight.legs[0]
    name = bytes.fromhex(leg.order_hash[2:])
    status = max(FillStatus) + 1
    row = records.Fill(START_MS, 10**6, 0, 5_000, leg.side, status, 0, b"t", name, bytes(32))
    return (Kind.FILL, flight.id, 0, row)


CASES = [
    (contradiction, JournalDamaged, "VERDICT.*KILLED -> LANDED"),
    (of_nobody, JournalDamaged, "SENT.*999"),
    (second_order_of_three, JournalDamaged, "REPLY"),
    (newer, JournalForeign, "MODE.*newer polytrio"),
    (newer_fill, JournalForeign, "FILL.*newer polytrio"),
]


@pytest.mark.parametrize(("record", "error", "said"), CASES)
def test_a_record_that_cannot_be_taken_in_is_refused_by_its_number(tmp_path, record, error, said):
    written = Written(tmp_path).begin()
    number = written.journal.append([record(written)])
    with pytest.raises(error, match=f"record {number} of the journal .{said}") as caught:
        written.reopen()
    assert caught.value.exit_code == JournalError.exit_code, "a supervisor does not try again"
    assert "docs/journal.md" in str(caught.value)


def test_a_process_of_its_own_says_the_same(tmp_path):
    written = Written(tmp_path).begin()
    good, bad = written.journal.append([of_nobody(written)]) - 1, written.journal.written_seq
    path = Place(tmp_path / "journal").segment(1)
    for count, code in ((good, 0), (bad, JournalError.exit_code)):
        command = [sys.executable, "-P", "-m", "executor.remembering", str(path), str(count)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == code
        assert (f"record {bad} " in done.stdout) == (code != 0)
    with pytest.raises(JournalDamaged):
        remembered(written.journal.found.__class__(path, bad))


def test_a_step_of_the_mode_whose_bytes_are_packed_already_is_understood(tmp_path):
    written = Written(tmp_path).begin(Mode.BOOT)
    assert written.journal.needs_sweep
    row = records.ModeChange(0, Mode.RECONCILING, Cause.START, b"test", b"")
    written.journal.append([(Kind.MODE, 0, 0, PAYLOADS[Kind.MODE].pack(row))])
    assert not written.journal.needs_sweep
