from random import Random

from sim.heartbeats import Heartbeats


def test_the_first_beat_arms_and_each_reply_names_the_next_id():
    beats = Heartbeats(Random(1))
    accepted, first = beats.beat("key", "", 0)
    assert accepted
    accepted, second = beats.beat("key", first, 5000)
    assert accepted
    assert len({first, second, ""}) == 3


def test_a_wrong_id_names_the_right_one_and_changes_nothing():
    beats = Heartbeats(Random(1))
    assert beats.beat("key", "guess", 0) == (False, "")
    _, expected = beats.beat("key", "", 0)
    assert beats.beat("key", "", 100) == (False, expected)
    assert beats.beat("key", "guess", 100) == (False, expected)
    assert beats.beat("key", expected, 100)[0]


def silences(beats, until_ms):
    return [(now, owner) for now in range(0, until_ms, 100) for owner in beats.silent(now)]


def test_silence_is_seen_at_the_first_sweep_after_ten_seconds():
    beats = Heartbeats(Random(1))
    beats.silent(0)
    beats.beat("key", "", 0)
    assert silences(beats, 14_900) == []
    assert beats.silent(15_000) == ["key"]
    assert beats.silent(19_900) == []
    assert beats.silent(20_000) == ["key"]


def test_a_refused_beat_is_no_sign_of_life():
    beats = Heartbeats(Random(1))
    beats.silent(0)
    beats.beat("key", "", 0)
    beats.beat("key", "wrong", 9_000)
    beats.silent(10_000)
    assert beats.silent(15_000) == ["key"]


def test_regular_beats_keep_the_orders():
    beats = Heartbeats(Random(1))
    following = ""
    for now in range(0, 60_000, 5_000):
        _, following = beats.beat("key", following, now)
        assert beats.silent(now) == []


def test_keys_without_a_first_beat_are_left_alone():
    beats = Heartbeats(Random(1))
    assert silences(beats, 60_000) == []
