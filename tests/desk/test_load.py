"""Load tests, the pure part: what is sent when, and what the figures say of it."""

import csv
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.load_figures import Delays, Outcome, Seen, bottleneck, delays_ns, grows, percentiles
from desk.load_profiles import (
    PROFILES,
    RECORDED_PEAK_PER_S,
    RECORDED_PER_S,
    SLOT_NS,
    TENTHS,
    schedule,
)
from desk.load_system import facts_of
from shm.codes import MarketKind
from tests.engine.factory import ladder

MS = 1_000_000
START = 10**12


def served(counts, after_slots):
    """Looks of somebody to whom each slot's frames are done so many slots later."""
    seen, done = [Seen(START, 0)], 0
    for slot, count in enumerate(counts):
        done += count
        seen.append(Seen(START + (slot + after_slots(slot)) * MS, done))
    return sorted(seen)


def outcome(**more):
    given_ = {
        "per_s": 1.0, "frames": 1, "lost": 0, "conflated": 0,
        "delays_us": Delays(0, 0, 0, 0, 0), "late_us": 0.0, "drained_ms": 0.0, "grew": False,
        "cpu": {}, "cpu_peak": {},
    }  # fmt: skip
    return Outcome(**(given_ | more))


@given(
    st.sampled_from(sorted(PROFILES)),
    st.floats(1.0, 200_000.0),
    st.sampled_from([0.1, 0.5, 1.0, 2.5]),
)
def test_a_schedule_adds_up_to_its_rate_to_the_frame(name, per_s, seconds):
    counts = schedule(PROFILES[name], per_s, seconds)
    assert len(counts) == round(seconds * 10) * 100
    assert abs(sum(counts) - per_s * seconds) < 1.001
    assert min(counts) >= 0


def test_the_profiles_have_their_recorded_shapes():
    today, twice, venue = (PROFILES[name].weights(6_000) for name in ("today", "twice", "venue"))
    assert all(sum(weights) / len(weights) == pytest.approx(1.0) for weights in (today, venue))
    assert set(twice) == {1.0}
    assert max(today) > 20, "the recording's bursts are lost"
    assert today.count(0.0) > len(today) / 2, "most tenths of a second were silent"
    assert max(venue) == pytest.approx(10.0)
    assert PROFILES["twice"].nominal_per_s(462) == 2 * 74 * 462
    assert PROFILES["today"].nominal_per_s(100) == pytest.approx(677, abs=1)


def test_the_figures_of_the_recording_are_those_of_the_recording(shared):
    with (shared / "data" / "bbo_ticks" / "bbo.csv").open() as file:
        messages = {(int(row["seq"]), int(row["ts_recv"])) for row in csv.DictReader(file)}
    at_ms = sorted(at for _, at in messages)
    tenths = Counter((at - at_ms[0]) // 100 for at in at_ms)
    silent = (at_ms[-1] - at_ms[0]) // 100 + 1 - len(tenths)
    assert Counter(tenths.values()) + Counter({0: silent}) == Counter(TENTHS)
    assert max(Counter(at // 1_000 for at in at_ms).values()) == RECORDED_PEAK_PER_S
    seconds = (at_ms[-1] - at_ms[0]) / 1_000
    assert len(at_ms) / seconds == pytest.approx(RECORDED_PER_S, rel=1e-4)


def test_a_pause_of_the_receiver_counts_for_every_frame_that_had_to_wait():
    """The mistake to be noticed is to count from when a frame was taken: one long wait only."""
    counts = [10] * 1_000
    paused = served(counts, lambda slot: max(1, 500 - slot) if slot < 500 else 1)
    found = percentiles(delays_ns(START, SLOT_NS, counts, paused))
    assert found.p50 >= 1_000
    assert found.p90 >= 400_000
    assert found.max == pytest.approx(500_000)


def test_a_late_sender_does_not_make_frames_younger():
    counts = [0, 5, 0, 0]
    seen = [Seen(START, 0), Seen(START + 90 * MS, 5)]
    assert delays_ns(START, SLOT_NS, counts, seen) == [(89 * MS, 5)]


def test_frames_that_never_ended_have_no_latency():
    assert delays_ns(START, SLOT_NS, [5, 5], [Seen(START, 0), Seen(START + MS, 5)]) == [(MS, 5)]
    assert percentiles([]) == Delays(0, 0, 0, 0, 0)


def test_a_delay_that_rises_is_growth_and_a_burst_that_was_caught_up_with_is_not():
    counts = [10] * 1_000
    falling_behind = delays_ns(START, SLOT_NS, counts, served(counts, lambda slot: 1 + slot // 4))
    assert grows(falling_behind, 249 * MS)
    assert grows([(MS, 10)] * 1_000, 300 * MS)
    burst = delays_ns(
        START, SLOT_NS, counts, served(counts, lambda slot: 200 if 750 < slot < 900 else 1)
    )
    assert not grows(burst, 0)
    assert not grows(delays_ns(START, SLOT_NS, counts, served(counts, lambda _slot: 2)), 2 * MS)


def test_what_is_lost_or_grows_is_not_sustained():
    assert outcome().sustained
    assert not outcome(lost=1).sustained
    assert not outcome(grew=True).sustained
    assert outcome(conflated=5).sustained, "the latest state has been looked at"


@pytest.mark.parametrize(
    ("peak", "words"),
    [
        ({"ingest": 0.97, "engine": 0.4}, "ingest uses 0.97 of a core"),
        ({"ingest": 0.85, "engine": 0.8, "firehose": 0.3}, "the machine: up to 1.95 of 2 cores"),
        ({"ingest": 0.5, "engine": 0.2}, "waits for a core that others have"),
    ],
)
def test_the_bottleneck_is_named(peak, words):
    assert words in bottleneck(outcome(cpu_peak=peak), cores=2)


def test_fair_prices_belong_together_in_every_ladder():
    """Else everything would be an arbitrage, and the load would be another one."""
    markets = ladder([1_000 * (n + 1) for n in range(11)])
    facts = facts_of(markets)
    fair = {m.row: f["fair_e4"] for m, f in zip(markets, facts, strict=True)}
    above = [fair[m.row] for m in markets if m.kind is MarketKind.ABOVE]
    assert above == sorted(above, reverse=True)
    brackets = [m for m in markets if m.kind is not MarketKind.ABOVE]
    assert sum(fair[m.row] for m in brackets) == 10_000
    assert all(fair[m.row] % 100 == 0 for m in markets)
    offers = {m.kind for m, f in zip(markets, facts, strict=True) if f["offer_e4"]}
    assert offers == {MarketKind.RANGE}
