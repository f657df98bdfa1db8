"""`polytrio journal show|verify|export`: what people and machines are told of a journal."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from desk import journal_fold
from desk.cli import main
from desk.journal import as_json, kinds_of
from shm import journal_verify
from shm.errors import InputError, JournalError
from shm.journal_files import Place
from shm.journal_follow import Follower
from shm.journal_record import RECORD_BYTES, seal_group
from shm.payloads import PAYLOADS
from shm.records import Kind
from tests.desk.journals import flip, mark, newer_code, opened, reply, torn, whole, written
from tests.executor.stories import Story
from tests.pipeline.system import ROOT


def told(*words: str):
    return CliRunner().invoke(main, ["journal", *words])


def lines(folder, *words: str) -> list[str]:
    result = told("show", "--folder", str(folder), *words)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


# --- show -------------------------------------------------------------------------------------


def test_every_record_is_a_line_and_reading_needs_no_leave_of_the_writer(tmp_path):
    journal = written(tmp_path / "journal", count=5)  # which stays open
    shown = lines(journal.found._path.parent)
    assert [line.split()[3] for line in shown] == ["CHECKPOINT", *["MARK"] * 5]
    assert "worth_usd_e6=4" in shown[-1]
    journal.close()


def test_records_are_chosen_by_kind_flight_and_number_and_the_newest_by_count(tmp_path):
    journal = opened(tmp_path / "journal")
    journal.append([mark(1)])
    journal.append([reply(b"no", flight=5), reply(b"no", flight=6)])
    journal.close()
    folder = tmp_path / "journal"
    assert len(lines(folder, "--kind", "reply")) == 2
    assert len(lines(folder, "--kind", "reply", "--kind", "MARK")) == 3
    assert [line for line in lines(folder, "--flight", "6") if "flight 6 leg 1" in line]
    assert len(lines(folder, "--since", "3")) == 2
    assert [line.split()[0] for line in lines(folder, "--last", "2")] == ["3", "4"]


def test_what_the_venue_wrote_cannot_break_out_of_its_line(tmp_path):
    journal = opened(tmp_path / "journal")
    journal.append([reply(b"a\nFILL \x1b[31mred\r\xe2\x80\xaeexe")])
    journal.close()
    shown = lines(tmp_path / "journal", "--kind", "reply")
    assert len(shown) == 1
    assert not set(shown[0]) & set("\n\r\x1b\u202e")


def test_an_unknown_kind_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match="there are: opened, basket"):
        kinds_of(["nonsense"])


def test_no_journal_is_an_error_that_says_who_makes_one(tmp_path):
    for verb in ("show", "export", "verify"):
        result = told(verb, "--folder", str(tmp_path / "none"))
        assert result.exit_code == InputError.exit_code
        assert "the executor makes one" in result.stderr


def test_followed_records_come_over_a_rotation_and_each_once(tmp_path):
    folder = tmp_path / "journal"
    journal = written(folder, count=3)
    command = [sys.executable, "-P", "-m", "desk", "journal", "show", "--follow", "--kind", "mark"]
    with subprocess.Popen(
        [*command, "--folder", str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        worths = [process.stdout.readline() for _ in range(3)]
        journal.append([mark(10)])
        worths.append(process.stdout.readline())
        journal.rotate([mark(20)])
        journal.append([mark(30), mark(31)])
        journal.rotate([])
        journal.append([mark(40)])
        worths += [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    journal.close()
    found = [int(line.rpartition("worth_usd_e6=")[2] or 0) for line in worths if "worth" in line]
    assert found == [1, 2, 10, 20, 30, 31, 40]  # 0 is not said
    assert rest == ""


def test_a_group_that_is_not_whole_is_not_there_yet(tmp_path):
    folder = tmp_path / "journal"
    path = whole(folder, count=3)
    data = path.read_bytes()
    group = 3 * 256
    path.write_bytes(data[:group] + bytes(len(data) - group))
    follower = Follower(Place(folder), 1)
    assert len(list(follower.poll())) == 3
    for part in (100, 256 - 1):
        path.write_bytes(data[: group + part] + bytes(len(data) - group - part))
        assert list(follower.poll()) == []
        assert follower.trouble
    path.write_bytes(data)
    assert [entry.payload.worth_usd_e6 for entry in follower.poll()] == [2]
    assert not follower.trouble
    follower.close()


# --- export -----------------------------------------------------------------------------------


def test_an_export_holds_every_record_of_every_segment_with_all_its_fields(tmp_path):
    folder = tmp_path / "journal"
    whole(folder, count=3, rotations=2)
    out = tmp_path / "out.jsonl"
    assert told("export", "--folder", str(folder), "--out", str(out)).exit_code == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == 3 * 3 + 2 + 3
    for row in rows:
        assert set(row["payload"]) == {f.name for f in PAYLOADS[Kind[row["kind"]]].record.fields}
    printed = told("export", "--folder", str(folder)).stdout
    assert printed == out.read_text()


def test_every_kind_of_record_can_be_exported_and_its_codes_are_names():
    seen: dict[Kind, set[str]] = {}
    for seed in range(12):
        for entry in Story(seed).act_many(200).entries:
            row = json.loads(json.dumps(as_json(entry)))
            seen.setdefault(entry.kind, set()).update(
                str(row["payload"].get(name)) for name in ("state", "status", "mode", "side")
            )
    assert "FILLED" in seen[Kind.REPLY]
    assert "CONFIRMED" in seen[Kind.FILL]
    assert "ARMED" in seen[Kind.MODE]
    assert "BUY" in seen[Kind.INTENT]


# --- verify -----------------------------------------------------------------------------------


def verified(folder):
    result = told("verify", "--folder", str(folder), "--json")
    return result.exit_code, json.loads(result.stdout.splitlines()[0])


def test_a_whole_journal_is_said_to_be_whole_with_exit_code_0(tmp_path):
    folder = tmp_path / "journal"
    whole(folder, count=4, rotations=2)
    code, found = verified(folder)
    assert (code, found["whole"], found["faults"]) == (0, True, [])
    assert [segment["number"] for segment in found["segments"]] == [1, 2, 3]
    assert found["records"] == found["segments"][-1]["last_seq"] == found["durable_seq"]
    assert "is whole" in told("verify", "--folder", str(folder)).stdout


def test_a_torn_end_is_a_note_and_no_fault(tmp_path):
    folder = tmp_path / "journal"
    whole(folder)
    torn(folder)
    code, found = verified(folder)
    assert (code, found["whole"]) == (0, True)
    assert "torn end" in found["notes"][0]


DAMAGES = {
    "a bit in the middle of the living segment": lambda f: flip(max(f.glob("*.journal")), 4),
    "a bit in an earlier segment": lambda f: flip(min(f.glob("*.journal")), 4),
    "the last record that was on disk": lambda f: flip(max(f.glob("*.journal")), 6),
    "the snapshot": lambda f: flip(max(f.glob("*.journal")), 0),
    "no head": lambda f: f.with_name("journal.head").unlink(),
    "a spoilt head": lambda f: f.with_name("journal.head").write_bytes(bytes(1_024)),
    "no living segment": lambda f: max(f.glob("*.journal")).unlink(),
    "no segment at all": lambda f: [path.unlink() for path in f.glob("*.journal")],
    "a record twice": lambda f: repeat(max(f.glob("*.journal"))),
    "two records swapped": lambda f: swap(max(f.glob("*.journal"))),
    "an end of zeros": lambda f: zero(max(f.glob("*.journal"))),
}


def repeat(path) -> None:
    data = bytearray(path.read_bytes())
    data[5 * 256 : 6 * 256] = data[4 * 256 : 5 * 256]
    path.write_bytes(data)


def swap(path) -> None:
    data = bytearray(path.read_bytes())
    fourth, fifth = data[4 * 256 : 5 * 256], data[5 * 256 : 6 * 256]
    data[4 * 256 : 6 * 256] = fifth + fourth
    path.write_bytes(data)


def zero(path) -> None:
    data = bytearray(path.read_bytes())
    data[5 * 256 :] = bytes(len(data) - 5 * 256)
    path.write_bytes(data)


@pytest.mark.parametrize("damage", DAMAGES)
def test_d3_damage_is_named_with_exit_code_12_and_nothing_is_changed(tmp_path, damage):
    folder = tmp_path / "journal"
    whole(folder, count=6, rotations=1)
    DAMAGES[damage](folder)
    before = {path: path.read_bytes() for path in folder.rglob("*")}
    code, found = verified(folder)
    assert (code, found["whole"]) == (12, False)
    assert len(found["faults"]) >= 1
    text = told("verify", "--folder", str(folder))
    assert "FAULT: " in text.stdout
    assert "docs/journal.md" in text.stderr
    assert before == {path: path.read_bytes() for path in folder.rglob("*")}


def broken(monkeypatch, path) -> None:
    """The disk does not read one file any more."""
    real = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        if os.path.samestat(os.fstat(fd), path.stat()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(fd, length, offset)

    monkeypatch.setattr(os, "pread", pread)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_segment_that_the_disk_does_not_read_is_a_fault_and_the_others_are_read(
    tmp_path, monkeypatch, number
):
    folder = tmp_path / "journal"
    whole(folder, rotations=2)
    broken(monkeypatch, folder / f"{number:06d}.journal")
    code, found = verified(folder)
    assert code == 12
    assert len(found["faults"]) == 1
    assert f"{number:06d}.journal cannot be read: Input/output error" in found["faults"][0]
    assert [one["number"] for one in found["segments"]] == [n for n in (1, 2, 3) if n != number]
    assert not found["notes"]


def test_a_head_file_that_the_disk_does_not_read_is_a_fault(tmp_path, monkeypatch):
    folder = tmp_path / "journal"
    whole(folder)

    def read_head(_place):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(journal_verify, "read_head", read_head)
    assert journal_verify.verify(Place(folder)).faults == [
        f"{tmp_path}/journal.head cannot be read: Input/output error"
    ]


def test_what_belongs_to_somebody_else_is_no_fault_of_the_journal(tmp_path, monkeypatch):
    folder = tmp_path / "journal"
    whole(folder)

    def read_segment(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(journal_verify, "read_segment", read_segment)
    with pytest.raises(JournalError, match="ask as its owner"):
        journal_verify.verify(Place(folder))


def failed_write(journal) -> None:
    """Three of four records that are written together, and no room for the fourth."""
    group, _ = seal_group(journal._pen.link, [mark(n) for n in range(4)], 1, 1)
    os.pwrite(journal._fd, group[: 3 * RECORD_BYTES], journal._offset)


@pytest.mark.parametrize("one_over_them", [False, True])
def test_remains_of_a_write_that_failed_are_no_damage_once_the_next_segment_goes_on(
    tmp_path, one_over_them
):
    folder = tmp_path / "journal"
    journal = written(folder)
    failed_write(journal)
    if one_over_them:
        assert isinstance(journal.append([mark(5)]), int)
    assert isinstance(journal.rotate([mark(6)]), int)
    assert isinstance(journal.append([mark(7)]), int)
    journal.close()
    opened(folder).close()
    code, found = verified(folder)
    assert (code, found["faults"]) == (0, [])
    assert "a write that failed" in found["notes"][0]
    assert "worth_usd_e6=7" in lines(folder)[-1]
    flip(folder / "000001.journal", 4)
    code, found = verified(folder)
    assert (code, found["whole"]) == (12, False)
    assert told("show", "--folder", str(folder)).exit_code == 12


UNFOLDABLE = {"contradicts": reply(b"to nobody", flight=99), "newer code": newer_code()}


@pytest.mark.parametrize("what", UNFOLDABLE)
def test_what_no_start_can_fold_is_a_fault_that_names_the_record(tmp_path, what):
    folder = tmp_path / "journal"
    journal = written(folder, rotations=1)
    number = journal.append([UNFOLDABLE[what]])
    code, found = verified(folder)  # which may run beside whoever writes
    assert (code, found["whole"]) == (12, False)
    assert f"record {number} of the journal" in found["faults"][0]
    journal.close()


def test_where_nobody_can_tell_it_is_no_fault_and_no_leave_to_give_it_up(tmp_path, monkeypatch):
    folder = tmp_path / "journal"
    whole(folder)
    monkeypatch.setattr(journal_fold, "python_command", lambda _: [sys.executable, "-c", "1/0"])
    result = told("verify", "--folder", str(folder))
    assert result.exit_code == 12
    assert "nobody can say" in result.stderr
    assert "ZeroDivisionError" in result.stderr
    result = told("accept-loss", "--folder", str(folder), "--reason", "test")
    assert result.exit_code == 12
    assert folder.exists()


def test_a_damaged_journal_is_shown_up_to_the_damage_and_then_refused(tmp_path):
    folder = tmp_path / "journal"
    flip(whole(folder), 4)
    result = told("show", "--folder", str(folder))
    assert len(result.stdout.splitlines()) == 4
    assert result.exit_code == 12
    assert os.path.basename(str(folder)) in result.stderr
