"""Subscriptions: each token on one socket, no socket overfull."""

import json

from hypothesis import given
from hypothesis import strategies as st

from ingest.subscriptions import Plan, change_frame, first_frame


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=80))
def test_every_token_stands_on_exactly_one_socket_and_none_is_overfull(limit, acts):
    plan = Plan(limit)
    present: set[str] = set()
    for adds, number in acts:
        token = f"t{number}"
        if adds and token not in present:
            plan.add(token, number)
            present.add(token)
        elif not adds and token in present:
            assert plan.remove(token) >= 0
            present.discard(token)
        placed = [token for tokens in plan.sockets for token in tokens]
        assert sorted(placed) == sorted(present)
        assert all(len(tokens) <= limit for tokens in plan.sockets)
    for token in present:
        assert token in plan.sockets[plan.socket_of(token)]


def test_the_frames_are_the_venues():
    assert json.loads(first_frame(["1", "2"])) == {
        "type": "market",
        "assets_ids": ["1", "2"],
        "initial_dump": True,
    }
    assert json.loads(change_frame("unsubscribe", ["1"])) == {
        "operation": "unsubscribe",
        "assets_ids": ["1"],
    }
