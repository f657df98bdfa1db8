"""User channel: trades are found among whatever else arrives."""

import json

from hypothesis import given
from hypothesis import strategies as st

from executor.user import trades_in

TRADE = {"event_type": "trade", "id": "1", "taker_order_id": "0x1", "asset_id": "7", "side": "BUY",
         "price": "0.5", "size": "1", "status": "MATCHED"}  # fmt: skip


def test_trades_are_found_alone_and_among_order_events():
    order = {"event_type": "order", "id": "0x1", "status": "LIVE"}
    assert [t.id for t in trades_in(json.dumps(TRADE).encode())] == ["1"]
    assert [t.id for t in trades_in(json.dumps([order, TRADE]).encode())] == ["1"]
    assert trades_in(json.dumps(order).encode()) == []
    assert trades_in(b"PONG") == []


def test_what_cannot_be_understood_is_said_to_be_so():
    assert trades_in(b"{") is None
    assert trades_in(json.dumps(TRADE | {"size": 5}).encode()) is None


def test_the_recorded_user_messages_are_understood(shared):
    for path in sorted((shared / "samples/nautilus_py").glob("ws_messages__*")):
        trades = trades_in(path.read_bytes())
        is_trade = "user_trade" in path.name
        assert trades is not None
        assert len(trades) == is_trade, path.name


@given(st.binary(max_size=100))
def test_no_bytes_raise(data):
    trades_in(data)
