"""Pulse: a frozen socket is found by what it does not carry, a quiet one is left alone."""

import csv
import random
from bisect import bisect_left
from itertools import pairwise
from pathlib import Path

import pytest

from ingest.pulse import Finding, Pulse

MS = 1_000_000
TICK_NS = 100 * MS
LIMIT_NS = 2_000 * MS
FINE, SOME, ALL, FROZEN = Finding.FINE, Finding.ASK_SOME, Finding.ASK_ALL, Finding.FROZEN


class Socket:
    """A pulse, a clock, and what the socket carries."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.carried = 0
        self.pulse = Pulse(0)
        self.look()

    def look(self, step_ns: int = TICK_NS, *, live: bool = True) -> Finding:
        self.now_ns += step_ns
        return self.pulse.look(self.now_ns, self.carried, LIMIT_NS, asking=live)

    def until_it_says_more(self, *, live: bool = True) -> tuple[Finding, int]:
        """(what it says, after how many ns)."""
        began_ns = self.now_ns
        while self.now_ns - began_ns < 3_600_000 * MS:
            finding = self.look(live=live)
            if finding is not FINE:
                return finding, self.now_ns - began_ns
        return FINE, self.now_ns - began_ns

    def answer(self, row: int, *, newer: bool) -> None:
        self.carried += 1
        self.pulse.answers += 1
        self.pulse.answer(row, newer=newer)


def test_a_socket_that_carries_data_is_never_asked():
    socket = Socket()
    for _ in range(1_000):
        socket.carried += 1
        assert socket.look() is FINE


def test_a_silent_socket_is_asked_and_without_an_answer_frozen_at_the_limit():
    socket = Socket()
    assert socket.until_it_says_more() == (SOME, LIMIT_NS // 4)
    socket.pulse.ask([1, 2])
    finding, after_ns = socket.until_it_says_more()
    assert finding is FROZEN
    assert LIMIT_NS // 4 + after_ns == LIMIT_NS


def test_a_quiet_set_that_answers_is_never_frozen():
    socket, asked = Socket(), 0
    for _ in range(10_000):
        finding = socket.look()
        assert finding in (FINE, SOME)
        if finding is SOME:
            asked += 1
            socket.pulse.ask([1, 2])
            socket.answer(1, newer=False)
            socket.answer(2, newer=False)
    assert asked > 1_000


def test_one_token_that_the_venue_no_longer_knows_does_not_condemn_the_socket():
    socket = Socket()
    for _ in range(1_000):
        finding = socket.look()
        assert finding in (FINE, SOME)
        if finding is SOME:
            socket.pulse.ask([1, 2])
            socket.answer(1, newer=False)


@pytest.mark.parametrize("shows", [2, 3])
def test_answers_that_show_what_never_came_condemn_it_at_the_second_round(shows):
    """Whichever of the books it is that has changed."""
    socket = Socket()
    assert socket.until_it_says_more()[0] is SOME
    socket.pulse.ask([1, 2])
    socket.answer(1, newer=True)
    socket.answer(2, newer=False)
    assert socket.until_it_says_more()[0] is ALL
    socket.pulse.ask([1, 2, 3])
    for row in (1, 2, 3):
        socket.answer(row, newer=row == shows)
    assert socket.look() is FROZEN


def test_a_change_that_came_between_our_two_words_is_forgiven():
    socket = Socket()
    assert socket.until_it_says_more()[0] is SOME
    socket.pulse.ask([1])
    socket.answer(1, newer=True)
    assert socket.until_it_says_more()[0] is ALL
    socket.pulse.ask([1, 2])
    socket.answer(1, newer=False)
    socket.answer(2, newer=False)
    assert socket.until_it_says_more() == (SOME, LIMIT_NS // 4)


def test_a_suspected_socket_without_a_second_answer_is_frozen_at_the_limit():
    socket = Socket()
    assert socket.until_it_says_more()[0] is SOME
    socket.pulse.ask([1])
    socket.answer(1, newer=True)
    socket.until_it_says_more()
    socket.pulse.ask([2])
    assert socket.until_it_says_more()[0] is FROZEN
    assert socket.now_ns <= TICK_NS + LIMIT_NS


def test_a_frame_that_nobody_asked_for_clears_every_suspicion():
    socket = Socket()
    socket.until_it_says_more()
    socket.pulse.ask([1])
    socket.answer(1, newer=True)
    socket.carried += 1
    assert socket.look() is FINE
    assert socket.until_it_says_more() == (SOME, LIMIT_NS // 4)


def test_answers_that_were_asked_for_elsewhere_are_no_data():
    """Quiet books are asked for all the time: that must not hide that nothing else comes."""
    socket = Socket()
    found = []
    for _ in range(30):
        socket.answer(9, newer=False)
        found.append(socket.look())
    assert FROZEN in found


def test_who_stood_still_himself_condemns_nobody():
    socket = Socket()
    assert socket.look(3_600_000 * MS) is not FROZEN


def test_without_live_books_nothing_is_asked_and_silence_begins_anew_with_the_first():
    socket = Socket()
    for _ in range(15):
        assert socket.look(live=False) is FINE
    assert socket.until_it_says_more() == (SOME, LIMIT_NS // 4 + TICK_NS)


def test_without_live_books_the_limit_condemns_it():
    assert Socket().until_it_says_more(live=False)[0] is FROZEN


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_in_whatever_order_a_dead_socket_is_found_in_time(seed):
    draw = random.Random(seed)
    socket = Socket()
    for _ in range(draw.randrange(400)):
        finding = socket.look()
        if finding in (SOME, ALL):
            socket.pulse.ask(draw.sample(range(9), draw.randint(1, 4)))
        if draw.random() < 0.2:
            socket.carried += 1
        if draw.random() < 0.3:
            socket.answer(draw.randrange(9), newer=draw.random() < 0.1)
        if finding is FROZEN:
            return
    dead_ns = socket.now_ns
    while (finding := socket.look()) is not FROZEN:
        if finding is not FINE:
            socket.pulse.ask([1])
        # An answer of before may have begun the silence anew, once.
        assert socket.now_ns - dead_ns <= 2 * LIMIT_NS


# --- recorded traffic -----------------------------------------------------------------------------

ANSWER_MS = 165
"""From a recorded subscription to its book; what a frame's delivery took longer comes on top."""


def recorded(shared: Path) -> tuple[list[int], list[int]]:
    """(when each message of a hot market came, how much later than the fastest), ms."""
    with (shared / "data" / "bbo_ticks" / "bbo.csv").open() as lines:
        rows = {row["seq"]: row for row in csv.DictReader(lines)}.values()
    came = sorted((int(row["ts_recv"]), int(row["ts_recv"]) - int(row["ts_event"])) for row in rows)
    least = min(late for _, late in came)
    return [at for at, _ in came], [late - least for _, late in came]


def judged(came: list[int], late: list[int], phase_ms: int, *, answers: bool) -> list[int]:
    """When the only market of a socket would have been called frozen, ms."""
    pulse, found, due = Pulse(0), [], []
    for at in range(came[0] + phase_ms, came[-1], 100):
        seen = bisect_left(came, at)
        for _ in [one for one in due if one <= at]:
            pulse.answer(0, newer=False)
        due = [one for one in due if one > at]
        match pulse.look((at - came[0]) * MS, seen, LIMIT_NS, asking=True):
            case Finding.FROZEN:
                found.append(at)
                pulse = Pulse((at - came[0]) * MS)
            case Finding.ASK_SOME | Finding.ASK_ALL:
                pulse.ask([0])
                if answers:
                    due.append(at + ANSWER_MS + late[min(seen, len(late) - 1)])
    return found


@pytest.mark.parametrize("phase_ms", range(0, 100, 20))
def test_a_recorded_market_with_pauses_of_twenty_seconds_is_never_taken_for_frozen(
    shared, phase_ms
):
    came, late = recorded(shared)
    assert sum(b - a > 2_000 for a, b in pairwise(came)) > 200
    assert judged(came, late, phase_ms, answers=True) == []


def test_without_asking_the_same_recording_would_be_called_frozen_hundreds_of_times(shared):
    came, late = recorded(shared)
    assert len(judged(came, late, 0, answers=False)) > 200
