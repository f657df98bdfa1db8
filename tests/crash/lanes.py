"""Chapters of a campaign side by side: most of a life is waiting, so that a core bears several."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.crash.campaign import chapter
from tests.crash.report import Report, total

CHAPTER = 250
"""Lives with one exchange and one journal."""
LIVES_AN_ORDER = 10
"""In so many lives there is at least one order, or the campaign is about nothing;"""
LIVES_THAT_TELL = 100
"""below so many that may be chance."""
LANES = 2 * (os.cpu_count() or 1)


def chapters(cycles: int, seed: int, lanes: int) -> Iterator[tuple[int, int]]:
    """(lives, seed) of each; every lane has something to do."""
    size = max(1, min(CHAPTER, -(-cycles // lanes)))
    for number, begin in enumerate(range(0, cycles, size)):
        yield min(size, cycles - begin), seed + number


def side_by_side(
    cycles: int,
    seed: int,
    *,
    lanes: int = LANES,
    seconds: float = 10.0**9,
    folder: Path | None = None,
    **options: Any,
) -> Report:
    """A whole campaign, `lanes` chapters at a time; folders of chapters are named by their seeds.

    After a finding, and after `seconds`, no chapter is begun, and those that run come to their end.
    """
    began_s = time.monotonic()
    waiting = list(chapters(cycles, seed, lanes))
    running: set[Future[Report]] = set()
    reports: list[Report] = []
    with ProcessPoolExecutor(lanes, mp_context=get_context("spawn")) as pool:
        while waiting or running:
            while waiting and len(running) < lanes:
                lives, own = waiting.pop(0)
                left_s = max(0.0, seconds - (time.monotonic() - began_s))
                kept = {"folder": folder / str(own)} if folder else {}
                running.add(pool.submit(chapter, lives, own, seconds=left_s, **kept, **options))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            reports += [one.result() for one in done]
            if time.monotonic() - began_s > seconds or any(one.findings for one in reports):
                waiting = []
    summed = total(reports)
    summed.seconds = time.monotonic() - began_s
    if summed.cycles >= LIVES_THAT_TELL and summed.orders * LIVES_AN_ORDER < summed.cycles:
        text = f"{summed.orders} orders in {summed.cycles} lives: nothing is proven by that"
        summed.findings.append(text)
    return summed
