"""Wire: every frame becomes events in our units or a named refusal, never a traceback."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.wire import (
    Change,
    Changes,
    LastTrade,
    Other,
    Refusal,
    Refused,
    Snapshot,
    TickChange,
    decode,
)
from shm.codes import Side

BOOK = {
    "event_type": "book",
    "market": "0xaa",
    "asset_id": "7",
    "timestamp": "1786387645775",
    "hash": "57cc" * 10,
    "bids": [{"price": "0.28", "size": "5"}, {"price": ".3", "size": "1.5"}],
    "asks": [{"price": "0.4", "size": "17"}],
    "tick_size": "0.01",
    "last_trade_price": "0.280",
}
CHANGE = {
    "event_type": "price_change",
    "market": "0xaa",
    "timestamp": "1786387666174",
    "price_changes": [
        {"asset_id": "7", "price": "0.49", "size": "636", "side": "SELL", "hash": "5c" * 20},
        {"asset_id": "8", "price": "0.51", "size": "0", "side": "BUY", "hash": "9b" * 20},
    ],
}


def frame(value: object) -> bytes:
    return json.dumps(value).encode()


def test_a_book_is_decoded_from_an_object_and_from_an_array():
    snapshot = Snapshot(
        market="0xaa",
        token="7",
        exchange_ms=1786387645775,
        hash="57cc" * 10,
        bids=[(2800, 5_000_000), (3000, 1_500_000)],
        asks=[(4000, 17_000_000)],
        tick_e4=100,
        last_trade="0.280",
    )
    assert decode(frame(BOOK)) == [snapshot]
    assert decode(frame([BOOK, BOOK])) == [snapshot, snapshot]


def test_a_mid_stream_book_has_neither_tick_nor_last_trade():
    short = {k: v for k, v in BOOK.items() if k not in {"tick_size", "last_trade_price"}}
    (event,) = decode(frame(short))
    assert isinstance(event, Snapshot)
    assert event.tick_e4 is None
    assert event.last_trade is None


def test_level_changes_keep_their_order_side_and_absolute_size():
    assert decode(frame(CHANGE)) == [
        Changes(
            "0xaa",
            1786387666174,
            [
                Change("7", Side.SELL, 4900, 636_000_000, "5c" * 20),
                Change("8", Side.BUY, 5100, 0, "9b" * 20),
            ],
        )
    ]


def test_trades_and_tick_changes_are_decoded():
    trade = {"event_type": "last_trade_price", "market": "0xaa", "asset_id": "7",
             "timestamp": "5", "price": "0.51"}  # fmt: skip
    tick = {"event_type": "tick_size_change", "market": "0xaa", "asset_id": "7", "timestamp": "6",
            "old_tick_size": "0.01", "new_tick_size": "0.001"}  # fmt: skip
    assert decode(frame(trade)) == [LastTrade("0xaa", "7", 5, 5100)]
    assert decode(frame(tick)) == [TickChange("0xaa", "7", 6, 10)]


def test_unknown_events_and_keys_are_ignored_and_their_neighbours_used():
    events = decode(frame([{"event_type": "best_bid_ask", "x": [1, {}]}, BOOK | {"new": 1}]))
    assert isinstance(events[0], Other)
    assert isinstance(events[1], Snapshot)


def test_pong_and_an_empty_array_are_nothing():
    assert decode(b"PONG") == []
    assert decode(b"[]") == []


def refusal(value: object) -> Refusal:
    (event,) = decode(value if isinstance(value, bytes) else frame(value))
    assert isinstance(event, Refused), event
    return event.reason


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"", Refusal.NOT_JSON),
        (b"{", Refusal.NOT_JSON),
        (b"[1,", Refusal.NOT_JSON),
        (b"\xff\xfe", Refusal.NOT_JSON),
        (b'{"event_type": "\xff"}', Refusal.NOT_JSON),
        (frame(BOOK).replace(b"{", b'{"new\xff": 1, ', 1), Refusal.NOT_JSON),
        (frame(BOOK).replace(b"{", b'{"new": "\xed\xa0\x80", ', 1), Refusal.NOT_JSON),
        (b"[" * 100_000, Refusal.NOT_JSON),
        (b'{"a":' * 100_000, Refusal.NOT_JSON),
        (b"1", Refusal.NOT_AN_EVENT),
        (b'"x"', Refusal.NOT_AN_EVENT),
        (b"[[]]", Refusal.NOT_AN_EVENT),
        ({"market": "0xaa"}, Refusal.NO_TYPE),
        (BOOK | {"bids": None}, Refusal.SHAPE),
        (BOOK | {"timestamp": 5}, Refusal.SHAPE),
        (BOOK | {"timestamp": "5e3"}, Refusal.NUMBER),
        (BOOK | {"timestamp": "9" * 40}, Refusal.NUMBER),
        (BOOK | {"tick_size": "0"}, Refusal.NUMBER),
        ([BOOK] * 5_000, Refusal.TOO_MANY),
        ([{}] * 5_000, Refusal.TOO_MANY),
    ],
)
def test_what_is_broken_is_refused_with_its_reason(broken, reason):
    assert refusal(broken) is reason


@pytest.mark.parametrize(
    "price", ["0", "1", "-0.5", "1.5", "NaN", "1e-1", "0x1", "", " 0.5", "0.12345", "1" * 10_000]
)
def test_a_level_with_an_impossible_price_refuses_its_whole_event(price):
    levels = [{"price": price, "size": "1"}]
    assert refusal(BOOK | {"bids": levels}) is Refusal.NUMBER
    change = CHANGE["price_changes"][0] | {"price": price}
    assert refusal(CHANGE | {"price_changes": [change]}) is Refusal.NUMBER


def test_a_refusal_names_the_tokens_it_was_about():
    change = CHANGE["price_changes"][0] | {"size": "x"}
    (event,) = decode(frame(CHANGE | {"price_changes": [change, CHANGE["price_changes"][1]]}))
    assert isinstance(event, Refused)
    assert event.tokens == ("7", "8")


@given(st.binary(max_size=200))
def test_no_bytes_make_the_decoder_raise(data):
    for event in decode(data):
        assert event is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@given(st.sampled_from([BOOK, CHANGE]), st.data())
def test_no_replaced_field_makes_the_decoder_raise(event, data):
    key = data.draw(st.sampled_from(sorted(event)))
    spoiled = event | {key: data.draw(json_values)}
    (answer,) = decode(frame(spoiled))
    assert isinstance(answer, Snapshot | Changes | Other | Refused)


@given(
    st.lists(
        st.tuples(st.integers(1, 9_999), st.integers(0, 10**12)),
        max_size=20,
        unique_by=lambda x: x[0],
    )
)
def test_levels_survive_the_wire_exactly(levels):
    wire = [
        {"price": f"{p / 10_000:.4f}".rstrip("0"), "size": f"{s // 10**6}.{s % 10**6:06d}"}
        for p, s in levels
    ]
    (event,) = decode(msgspec.json.encode(BOOK | {"bids": wire}))
    assert isinstance(event, Snapshot)
    assert event.bids == levels
