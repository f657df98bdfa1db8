import json

from sim.ledger import Movement
from sim.matching import Execution, Fill
from sim.order import Outcome, Status
from sim.trades import Trade, TradeStatus
from sim.userframes import order_frame, order_row, trade_frames, trade_row
from tests.sim.traders import NOW_MS
from tests.sim.worlds import CID, TOKENS, order


def keys_of(path):
    return set(json.loads(path.read_text()))


def sample_trade(**taker):
    made = order("BUY", 6000, 9, owner="taker", wallet="0xt", **taker)
    same = order("SELL", 6000, 4, owner="maker", wallet="0xm", order_id="0x01")
    mint = order("BUY", 4000, 5, Outcome.NO, owner="maker", wallet="0xm", order_id="0x02")
    fills = (Fill(same, 4_000_000), Fill(mint, 5_000_000))
    return Trade(
        "id", CID, made, Execution(6000, fills), Movement(CID, (), ()), NOW_MS, "0xhash", NOW_MS
    )


def test_an_order_event_has_exactly_the_recorded_keys(shared):
    text = order_frame(order(), "PLACEMENT", NOW_MS + 7).text
    recorded = keys_of(shared / "samples/nautilus_py/ws_messages__order_placement.json")
    assert set(json.loads(text)) == recorded


def test_an_order_event_says_what_became_of_the_order():
    one = order("SELL", 5130, 5, created_ms=NOW_MS, order_id="0xid")
    one.fill(2_000_000)
    frame = order_frame(one, "UPDATE", NOW_MS + 7)
    told = json.loads(frame.text)
    assert (frame.owner, frame.condition_id) == ("owner", CID)
    assert told["price"] == "0.513"
    assert (told["original_size"], told["size_matched"]) == ("5", "2")
    assert (told["type"], told["status"], told["outcome"]) == ("UPDATE", "LIVE", "Yes")
    assert told["timestamp"] == str(NOW_MS + 7)
    assert told["created_at"] == str(NOW_MS // 1000)
    assert told["expiration"] == "0"


def test_a_killed_order_carries_the_sentence_as_its_state():
    one = order()
    one.become(Status.CANCELED)
    told = json.loads(order_frame(one, "CANCELLATION", 1, status="CANCELED_because").text)
    assert told["status"] == "CANCELED_because"


def test_rest_rows_carry_the_creation_time_as_a_number():
    row = order_row(order(created_ms=NOW_MS))
    assert row["created_at"] == NOW_MS // 1000


def test_a_trade_event_has_all_recorded_keys(shared):
    told = json.loads(trade_frames(sample_trade())[0].text)
    recorded = json.loads(
        (shared / "samples/nautilus_py/ws_messages__user_trade4.json").read_text()
    )
    assert set(recorded) <= set(told)
    assert set(recorded["maker_orders"][0]) == set(told["maker_orders"][0])


def test_a_trade_is_told_from_the_takers_side_to_everyone():
    taker, maker = (json.loads(frame.text) for frame in trade_frames(sample_trade()))
    assert (taker["trader_side"], maker["trader_side"]) == ("TAKER", "MAKER")
    for told in (taker, maker):
        assert told["asset_id"] == TOKENS[0]
        assert (told["side"], told["price"], told["size"]) == ("BUY", "0.6", "9")
        assert told["maker_address"] == "0xt"
        assert told["trade_owner"] == "taker"
        first, second = told["maker_orders"]
        assert (first["side"], first["outcome"], first["price"]) == ("SELL", "Yes", "0.6")
        assert (second["side"], second["outcome"], second["price"]) == ("BUY", "No", "0.4")
        assert second["asset_id"] == TOKENS[1]
        assert [one["matched_amount"] for one in (first, second)] == ["4", "5"]


def test_houses_hear_nothing():
    trade = sample_trade(house=True)
    for fill in trade.execution.fills:
        fill.maker.house = True
    assert trade_frames(trade) == []


def test_the_hash_appears_with_the_transaction():
    trade = sample_trade()
    assert trade_row(trade, "TAKER")["transaction_hash"] == ""
    trade.become(TradeStatus.MINED, NOW_MS + 400)
    row = trade_row(trade, "TAKER")
    assert row["transaction_hash"] == "0xhash"
    assert row["last_update"] == str((NOW_MS + 400) // 1000)
