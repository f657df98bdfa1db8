"""What people are told of the live feed: each change once, in one line."""

import pytest

from desk.mirrored import Feed


@pytest.fixture
def feed():
    said = []
    found = Feed("http://127.0.0.1:1", said.append)
    found.said = said
    return found


def state(markets=22, trouble="", losses=0):
    return {"markets": markets, "trouble": trouble, "losses": losses}


def test_a_connection_that_is_only_beginning_is_no_trouble(feed):
    feed.take(state(trouble="not connected yet"))
    feed.take(state())
    assert feed.said == []
    assert not feed.title


def test_missing_ladders_are_told_once_and_waited_for(feed):
    for _ in range(3):
        feed.take(state(markets=0, trouble="the live venue lists no ladder that is wanted"))
    assert feed.waiting
    assert feed.title
    assert feed.said == [
        "no live data: the live venue lists no ladder that is wanted; waiting, trying again"
    ]
    feed.take(state())
    assert not feed.waiting
    assert feed.said[1:] == ["live data again"]


def test_a_lost_feed_is_told_with_its_reason_and_its_return(feed):
    feed.take(state(trouble="refused", losses=1))
    feed.take(state(trouble="refused", losses=2))
    feed.take(state(trouble="silent", losses=3))
    feed.take(state(losses=3))
    feed.take(state(losses=3))
    assert feed.said == [
        "no live data: refused; waiting, trying again",
        "no live data: silent; waiting, trying again",
        "live data again",
    ]
    assert "NO LIVE DATA" not in feed.title
