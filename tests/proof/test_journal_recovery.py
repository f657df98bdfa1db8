"""Recovery from every prefix of a journal of 10,000 records, and from 10,000 flipped bits.

A prefix is what a loss of power, or a death in the middle of a write, can leave. Whatever is left,
a start either comes to the state of the last whole group, which is known from the writing side, or
refuses; it refuses exactly when something is missing that had been on disk.

Where a start ends is looked at each time; the state that it comes to, which follows from the
records that it believes, every eighth time. `make proof` runs all of it; without it a shorter
journal is looked at here and there.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import shm.journal_scan
from executor import journal_start
from shm.journal_files import Place, pack_head, read_head
from shm.journal_record import RECORD_BYTES
from tests.proof.memoirs import Chapter, lay_out, recovered, write
from tests.proof.recoveries import flip_trouble, flip_troubles, on_all_cores, prefix_troubles

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


def test_d11_a_start_from_a_prefix_comes_to_the_last_whole_group_or_refuses(folder, chapters):
    assert [found for found in prefix_troubles(folder, chapters, SHARE) if found] == []


@pytest.mark.proof
def test_d11_a_start_from_every_prefix_comes_to_the_last_whole_group_or_refuses(
    folder, all_chapters
):
    assert on_all_cores("prefixes", folder.with_name("long"), all_chapters) == []


# --- flipped bits -----------------------------------------------------------------------------


def test_d3_a_flipped_bit_is_refused_or_cut_off_and_never_believed(folder, chapters):
    found = [found for found in flip_troubles(folder, chapters, FLIPS // 50) if found]
    assert found == []


@pytest.mark.proof
def test_d3_ten_thousand_flipped_bits_are_refused_or_cut_off_and_never_believed(
    folder, all_chapters
):
    assert on_all_cores("flips", folder.with_name("long"), all_chapters, FLIPS) == []


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
