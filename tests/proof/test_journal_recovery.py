"""Recovery from every prefix of a journal of 10,000 records, and from 10,000 flipped bits.

A prefix is what a loss of power, or a death in the middle of a write, can leave. Whatever is left,
a start either comes to the state of the last whole group, which is known from the writing side, or
refuses; it refuses exactly when something is missing that had been on disk.

Where a start ends is looked at each time; the state that it comes to, which follows from the
records that it believes, every eighth time. `make proof` runs all of it; without it a shorter
journal is looked at here and there.
"""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import shm.journal_scan
from executor import journal_start
from shm.errors import JournalError
from shm.journal_files import Place, pack_head, read_head
from shm.journal_record import RECORD_BYTES
from tests.proof.memoirs import Chapter, lay_out, recovered, write

RECORDS = 10_000
FLIPS = 10_000
SHORT = 2_500
SHARE = 20
"""The default run looks at one prefix of so many."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # In memory: what is proven here is reading, and a sync of a real disk takes milliseconds.
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="polytrio-memoirs-") as name:
        yield Path(name) / "journal"


@pytest.fixture(scope="module")
def chapters(folder: Path) -> list[Chapter]:
    return write(folder, SHORT)


@pytest.fixture(scope="module")
def all_chapters(folder: Path) -> list[Chapter]:
    found = write(folder.with_name("long"), RECORDS)
    assert sum(len(chapter.data) for chapter in found) >= RECORDS * RECORD_BYTES
    return found


# --- prefixes ---------------------------------------------------------------------------------


def prefix_trouble(folder: Path, chapter: Chapter, seq: int, extra: int) -> str:
    """What is wrong with a start from the first records up to `seq`, and some bytes of the next."""
    records = seq - chapter.first_seq + 1
    data = chapter.data[: records * RECORD_BYTES + extra]
    snapshot_end = chapter.states[0][0]
    wanted = chapter.state_at(seq)
    assert wanted is not None
    lay_out(folder, chapter, data, snapshot_end)
    fold = (seq + extra) % 8 == 0
    try:
        last, digest, cut = recovered(folder, fold=fold)
    except JournalError as error:
        return f"prefix {seq}+{extra}: refused: {error}"
    if last != wanted[0] or (fold and digest != wanted[1]):
        return f"prefix {seq}+{extra}: came to record {last}, and {wanted[0]} was wanted"
    torn = wanted[0] != seq or any(data[records * RECORD_BYTES :])
    if cut != torn:
        return f"prefix {seq}+{extra}: cut is {cut}"
    lay_out(folder, chapter, data, wanted[0] + 1)
    try:
        recovered(folder, fold=False)
    except JournalError:
        pass
    else:
        return f"prefix {seq}+{extra}: record {wanted[0] + 1} was on disk, and nobody minds"
    if seq % 10:
        return ""
    lay_out(folder, chapter, data, snapshot_end)
    recovered(folder)
    if recovered(folder) != (*wanted, False):
        return f"prefix {seq}+{extra}: a second start finds something else"
    return ""


def half_snapshot_trouble(folder: Path, chapter: Chapter, seq: int) -> str:
    """A segment gets its name when its snapshot is whole: less of it is damage."""
    records = seq - chapter.first_seq + 1
    lay_out(folder, chapter, chapter.data[: records * RECORD_BYTES], 0)
    try:
        recovered(folder, fold=False)
    except JournalError:
        return ""
    return f"prefix {seq}: half of a snapshot, and nobody minds"


def prefix_troubles(folder: Path, chapters: list[Chapter], share: int) -> Iterator[str]:
    number = 0
    for chapter in chapters:
        for seq in range(chapter.first_seq - 1, chapter.states[0][0]):
            number += 1
            if number % share == 0:
                yield half_snapshot_trouble(folder, chapter, seq)
        for seq in range(chapter.states[0][0], chapter.states[-1][0] + 1):
            number += 1
            if number % share == 0:
                yield prefix_trouble(folder, chapter, seq, 0)
                if seq < chapter.states[-1][0] and number // share % 4 == 0:
                    yield prefix_trouble(folder, chapter, seq, 1 + seq * 101 % (RECORD_BYTES - 1))


def test_d11_a_start_from_a_prefix_comes_to_the_last_whole_group_or_refuses(folder, chapters):
    assert [found for found in prefix_troubles(folder, chapters, SHARE) if found] == []


@pytest.mark.proof
def test_d11_a_start_from_every_prefix_comes_to_the_last_whole_group_or_refuses(
    folder, all_chapters
):
    place = folder.with_name("long")
    assert [found for found in prefix_troubles(place, all_chapters, 1) if found] == []


# --- flipped bits -----------------------------------------------------------------------------


def flip_trouble(folder: Path, chapter: Chapter, bit: int, durable: tuple[int, bytes]) -> str:
    """What is wrong with a start from a living segment with one bit turned over.

    `durable`: the group up to which everything was on disk.
    """
    data = bytearray(chapter.data.ljust((len(chapter.data) // RECORD_BYTES + 4) * RECORD_BYTES))
    data[len(chapter.data) :] = bytes(len(data) - len(chapter.data))
    data[bit // 8] ^= 1 << bit % 8
    seq = chapter.first_seq + bit // 8 // RECORD_BYTES
    lay_out(folder, chapter, bytes(data), durable[0])
    last_seq = chapter.states[-1][0]
    fold = bit % 8 == 0
    try:
        last, digest, cut = recovered(folder, fold=fold)
    except JournalError:
        # Damage in the very last group is what an unfinished write looks like, never a refusal.
        before = max((last for last, _ in chapter.states if last < last_seq), default=last_seq)
        mild = seq > last_seq or (seq > before and seq > durable[0])
        return f"bit {bit} of record {seq}: refused for nothing" if mild else ""
    if seq <= durable[0]:
        return f"bit {bit} of record {seq}: it had been on disk, and nobody minds"
    at = chapter.state_at(last)
    strange = at is None or at[0] != last or (fold and at[1] != digest)
    if strange or not durable[0] <= last <= last_seq:
        return f"bit {bit} of record {seq}: came to another state, at {last}"
    return "" if cut else f"bit {bit} of record {seq}: nothing was cut off"


def flip_troubles(folder: Path, chapters: list[Chapter], count: int) -> Iterator[str]:
    dice = random.Random(2)
    for _ in range(count):
        chapter = dice.choice(chapters)
        bits = (len(chapter.data) + 4 * RECORD_BYTES) * 8
        durable = dice.choice([chapter.states[-1], chapter.states[0], dice.choice(chapter.states)])
        bit = dice.randrange(bits)
        if dice.random() < 0.2:  # near the end, where tearing and damage have to be told apart
            bit = dice.randrange(bits - 12 * RECORD_BYTES * 8, bits)
        yield flip_trouble(folder, chapter, bit, durable)


def test_d3_a_flipped_bit_is_refused_or_cut_off_and_never_believed(folder, chapters):
    found = [found for found in flip_troubles(folder, chapters, FLIPS // 50) if found]
    assert found == []


@pytest.mark.proof
def test_d3_ten_thousand_flipped_bits_are_refused_or_cut_off_and_never_believed(
    folder, all_chapters
):
    place = folder.with_name("long")
    assert [found for found in flip_troubles(place, all_chapters, FLIPS) if found] == []


def test_d3_any_bit_of_the_head_file_may_flip_and_nothing_is_forgotten(folder, chapters):
    chapter = chapters[-1]
    lay_out(folder, chapter, chapter.data, chapter.states[-1][0])
    recovered(folder)  # which leaves two slots, both of which know the last record
    head = Place(folder).head
    whole = head.read_bytes()
    for bit in range(0, 8 * len(whole), 7):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        head.write_bytes(data)
        found = read_head(Place(folder))
        assert found is not None
        assert found.durable_seq == chapter.states[-1][0]
    head.write_bytes(whole)
    assert pack_head(found)


# --- the proofs can fail ------------------------------------------------------------------------


def test_a_start_that_believes_a_broken_record_is_caught(folder, chapters, monkeypatch):
    chapter = chapters[-1]
    at = (len(chapter.data) - RECORD_BYTES + 70) * 8  # within the last record, where no chain sees
    assert not flip_trouble(folder, chapter, at, chapter.states[0])
    monkeypatch.setattr(shm.journal_scan, "sealed", lambda data, at: data[at] != 0)
    assert flip_trouble(folder, chapter, at, chapter.states[0])


def test_a_start_that_never_minds_what_is_missing_is_caught(folder, chapters, monkeypatch):
    real = journal_start.require_sound

    def lenient(place, head, segment):
        if segment.checkpoint is None:
            real(place, head, segment)

    monkeypatch.setattr(journal_start, "require_sound", lenient)
    assert any(prefix_troubles(folder, chapters, 500))
    assert any(flip_troubles(folder, chapters, 20))


def test_a_start_that_goes_back_too_far_is_caught(folder, chapters, monkeypatch):
    real = shm.journal_scan.group_at

    def half_blind(data, at, link):
        if link is not None and link.seq > chapters[1].states[0][0] + 100:
            return shm.journal_scan.NOTHING
        return real(data, at, link)

    monkeypatch.setattr(shm.journal_scan, "group_at", half_blind)
    assert any(prefix_troubles(folder, chapters[1:2], 97))
