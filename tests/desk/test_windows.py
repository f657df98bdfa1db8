"""Opportunity windows: lengths are bounds, and what was not seen is not claimed."""

import pytest

from desk.windows import Fate, Sight, WindowLog, honestly, summarised, to_expiry


def sight(number=0, *, net_e8=5, left_ms=1000, kind="trio") -> Sight:
    return Sight(number, kind, "a b", 1, net_e8, 10_000_000, left_ms)


def log_of(*looks) -> WindowLog:
    """Looks as (ms, whether the edge is there)."""
    log = WindowLog()
    for at_ms, there in looks:
        log.look(at_ms, {1}, [sight()] if there else [])
    return log


def test_a_window_lasts_at_least_between_its_looks_and_at_most_between_those_around_it():
    (one,) = log_of((0, False), (10, True), (14, True), (30, False)).windows()
    assert (one.first_ms, one.at_least_ms, one.at_most_ms) == (10, 4, 30)
    assert one.seen_ms == [10, 14]


def test_a_window_that_the_recording_cuts_off_has_no_upper_bound():
    (one,) = log_of((10, True), (14, False)).windows()
    assert one.at_most_ms is None
    (one,) = log_of((0, False), (10, True)).windows()
    assert one.at_most_ms is None
    assert one.fate(1) is Fate.UNKNOWN


@pytest.mark.parametrize(
    ("delay_ms", "fate"),
    [
        (1, Fate.AGAIN),  # seen only four times as late
        (2, Fate.FILLED),  # seen within twice the delay
        (4, Fate.FILLED),  # seen exactly then
        (5, Fate.UNKNOWN),  # after the last look at it, before the look at which it was gone
        (19, Fate.UNKNOWN),
        (20, Fate.GONE),
        (250, Fate.GONE),
    ],
)
def test_the_fate_after_a_delay_is_what_the_looks_say(delay_ms, fate):
    (one,) = log_of((0, False), (10, True), (14, True), (30, False)).windows()
    assert one.fate(delay_ms) is fate


def test_an_edge_that_comes_back_is_a_second_window():
    windows = log_of((0, True), (5, False), (9, True)).windows()
    assert [one.first_ms for one in windows] == [0, 9]
    assert windows[1].before_ms == 5


def test_a_look_at_another_group_says_nothing_about_this_one():
    log = log_of((0, False), (10, True))
    log.look(11, {2}, [])
    log.look(400, {1}, [sight()])
    (one,) = log.windows()
    assert one.at_least_ms == 390
    assert log.spacings_ms == {10: 1, 390: 1}


def test_the_summary_is_by_kind_and_time_to_expiry_and_counts_every_window_once():
    log = WindowLog()
    log.look(0, {1}, [sight(0), sight(1, left_ms=10**9), sight(2, kind="ladder", net_e8=9)])
    log.look(10, {1}, [sight(0)])
    rows = summarised(log.windows())
    assert [(r["kind"], r["to_expiry"], r["windows"]) for r in rows] == [
        ("ladder", "under 1 h", 1),
        ("trio", "under 1 h", 1),
        ("trio", "over 3 d", 1),
    ]
    assert rows[0]["after_ms"]["10"] == {"filled": 0, "again": 0, "gone": 1, "unknown": 0}
    assert rows[1]["after_ms"]["10"] == {"filled": 1, "again": 0, "gone": 0, "unknown": 0}
    assert rows[1]["after_ms"]["1"] == {"filled": 0, "again": 1, "gone": 0, "unknown": 0}
    assert rows[1]["after_ms"]["50"] == {"filled": 0, "again": 0, "gone": 0, "unknown": 1}
    for row in rows:
        assert all(sum(fates.values()) == row["windows"] for fates in row["after_ms"].values())


def test_the_classes_of_time_to_expiry_meet_without_a_gap():
    assert to_expiry(3_599_999) == "under 1 h"
    assert to_expiry(3_600_000) == "1 h to 6 h"
    assert to_expiry(72 * 3_600_000) == "over 3 d"


@pytest.mark.parametrize(
    ("resolution_ms", "says"),
    [(None, "one look"), (1, "mean what they say"), (300_000, "1, 10, 50, 250 ms"), (20, "1, 10")],
)
def test_the_resolution_is_said_in_words(resolution_ms, says):
    assert says in honestly(resolution_ms)
