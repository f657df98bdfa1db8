"""Starts from what is left of a journal, each held against what is known from the writing side.

`prefix_troubles` and `flip_troubles` say what is wrong with each start, in words; `on_all_cores`
does either in parts, each in a process and a folder of its own.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from shm.errors import JournalError
from shm.journal_files import Place
from shm.journal_record import RECORD_BYTES
from tests.proof.memoirs import Chapter, lay_out, recovered

PARTS = 16


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


def prefix_troubles(
    folder: Path, chapters: list[Chapter], share: int, part: int = 0
) -> Iterator[str]:
    """One of so many prefixes, beginning with the one numbered `part`; "" where all is well."""
    number = 0
    for chapter in chapters:
        for seq in range(chapter.first_seq - 1, chapter.states[0][0]):
            number += 1
            if number % share == part:
                yield half_snapshot_trouble(folder, chapter, seq)
        for seq in range(chapter.states[0][0], chapter.states[-1][0] + 1):
            number += 1
            if number % share == part:
                yield prefix_trouble(folder, chapter, seq, 0)
                if seq < chapter.states[-1][0] and number // share % 4 == 0:
                    yield prefix_trouble(folder, chapter, seq, 1 + seq * 101 % (RECORD_BYTES - 1))


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


def flip_troubles(
    folder: Path, chapters: list[Chapter], count: int, part: int = 0
) -> Iterator[str]:
    """So many bits, others in each part; "" where all is well."""
    dice = random.Random(2 + part)
    for _ in range(count):
        chapter = dice.choice(chapters)
        bits = (len(chapter.data) + 4 * RECORD_BYTES) * 8
        durable = dice.choice([chapter.states[-1], chapter.states[0], dice.choice(chapter.states)])
        bit = dice.randrange(bits)
        if dice.random() < 0.2:  # near the end, where tearing and damage have to be told apart
            bit = dice.randrange(bits - 12 * RECORD_BYTES * 8, bits)
        yield flip_trouble(folder, chapter, bit, durable)


# --- all of them --------------------------------------------------------------------------------


def on_all_cores(what: str, folder: Path, chapters: list[Chapter], count: int = 0) -> list[str]:
    """Troubles with every prefix ("prefixes") or with so many flipped bits ("flips")."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        parts = [
            pool.submit(part_of, what, folder, chapters, count // PARTS, part)
            for part in range(PARTS)
        ]
        looked, troubles = 0, []
        for one in parts:
            number, found = one.result()
            looked += number
            troubles += found
    records = sum(len(chapter.data) // RECORD_BYTES for chapter in chapters)
    assert looked >= (count or records), "not all of them were looked at"
    return troubles


def part_of(
    what: str, folder: Path, chapters: list[Chapter], count: int, part: int
) -> tuple[int, list[str]]:
    """(how many starts were judged, what was wrong with them)."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"part-{part}-") as name:
        own = Path(name) / folder.name
        shutil.copytree(folder, own)
        shutil.copyfile(Place(folder).head, Place(own).head)
        if what == "prefixes":
            told = list(prefix_troubles(own, chapters, PARTS, part))
        else:
            told = list(flip_troubles(own, chapters, count, part))
    return len(told), [found for found in told if found]
