from hypothesis import given
from hypothesis import strategies as st

from sim import subscriptions as module
from sim.events import Audience, Frame, UserFrame
from sim.subscriptions import MarketSubscriptions, UserSubscriptions

PAIRS = [("1", "m"), ("2", "m"), ("3", "n")]
MARKET_OF = dict(PAIRS)


def frame(audience, key):
    return Frame(audience, key, "{}")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "custom", "plain", "forget"]),
        st.sampled_from("ab"),
        st.lists(st.sampled_from("123"), max_size=3),
    ),
    max_size=20,
)


@given(STEPS)
def test_recipients_are_those_who_hold_what_a_frame_is_about(steps):
    subscriptions = MarketSubscriptions()
    tokens = {"a": set(), "b": set()}
    custom = set()
    for verb, who, chosen in steps:
        if verb == "add":
            fresh = subscriptions.add(who, [(token, MARKET_OF[token]) for token in chosen])
            assert set(fresh) == set(chosen) - tokens[who]
            tokens[who] |= set(chosen)
        elif verb == "remove":
            subscriptions.remove(who, chosen)
            tokens[who] -= set(chosen)
        elif verb == "forget":
            subscriptions.forget(who)
            tokens[who] = set()
            custom.discard(who)
        else:
            subscriptions.set_custom(who, wanted=verb == "custom")
            custom = custom | {who} if verb == "custom" else custom - {who}
    for token, market in PAIRS:
        holders = {who for who in "ab" if token in tokens[who]}
        either = {who for who in "ab" if any(MARKET_OF[one] == market for one in tokens[who])}
        assert set(subscriptions.recipients(frame(Audience.TOKEN, token))) == holders
        assert set(subscriptions.recipients(frame(Audience.MARKET, market))) == either
        told = subscriptions.recipients(frame(Audience.TOKEN_CUSTOM, token))
        assert set(told) == holders & custom
    assert set(subscriptions.recipients(frame(Audience.EVERY_CUSTOM, "x"))) == custom
    assert not subscriptions.recipients(frame(Audience.TOKEN, "unknown"))


def test_beyond_the_snapshot_limit_there_are_updates_only(monkeypatch):
    monkeypatch.setattr(module, "SNAPSHOT_TOKENS", 2)
    monkeypatch.setattr(module, "MAX_SOCKET_TOKENS", 3)
    subscriptions = MarketSubscriptions()
    pairs = [(str(number), f"m{number}") for number in range(5)]
    assert subscriptions.add("a", pairs) == ["0", "1"]
    assert list(subscriptions.recipients(frame(Audience.TOKEN, "2"))) == ["a"]
    assert not subscriptions.recipients(frame(Audience.TOKEN, "3"))


def recipients(subscriptions, market="m", owner="key"):
    return subscriptions.recipients(UserFrame(owner, market, "{}"))


def test_users_hear_of_their_own_key_and_their_markets():
    subscriptions = UserSubscriptions()
    subscriptions.add("all", "key", None)
    subscriptions.add("empty", "key", [])
    subscriptions.add("some", "key", ["m"])
    subscriptions.add("other", "other key", None)
    assert recipients(subscriptions) == ["all", "empty", "some"]
    assert recipients(subscriptions, "n") == ["all", "empty"]
    assert recipients(subscriptions, owner="nobody") == []
    subscriptions.forget("all", "key")
    assert recipients(subscriptions, "n") == ["empty"]


def test_markets_of_a_user_can_change():
    subscriptions = UserSubscriptions()
    subscriptions.add("some", "key", ["m"])
    subscriptions.add("all", "key", None)
    for who in ("some", "all"):
        subscriptions.change(who, "key", ["n"], wanted=True)
        subscriptions.change(who, "key", ["m"], wanted=False)
    assert recipients(subscriptions, "m") == ["all"]
    assert recipients(subscriptions, "n") == ["some", "all"]


def test_a_user_cannot_collect_markets_without_end(monkeypatch):
    monkeypatch.setattr(module, "MAX_SOCKET_MARKETS", 2)
    subscriptions = UserSubscriptions()
    subscriptions.add("some", "key", ["m", "n", "o"])
    assert recipients(subscriptions, "o") == []
    subscriptions.change("some", "key", ["o"], wanted=True)
    assert recipients(subscriptions, "o") == []
