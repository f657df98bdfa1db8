import json
import re

from sim import encode
from sim.hashing import BookText


def level_texts(levels):
    return [json.dumps(level, separators=(",", ":")) for level in levels]


def book_text(frame: dict) -> BookText:
    return BookText(
        market=frame["market"],
        asset_id=frame["asset_id"],
        timestamp=frame["timestamp"],
        bids=level_texts(frame["bids"]),
        asks=level_texts(frame["asks"]),
        min_order_size="5",
        tick_size=frame.get("tick_size", "0.01"),
        neg_risk=False,
        last_trade_price=frame.get("last_trade_price", "0.280"),
    )


def session(shared) -> list[str]:
    lines = (shared / "samples/argos/ws_session_2026-08-10.jsonl").read_text().splitlines()
    return [json.loads(line)["raw"] for line in lines]


def entry(one: dict) -> encode.Entry:
    return encode.Entry(
        asset_id=one["asset_id"],
        price=one["price"],
        size=one["size"],
        side=one["side"],
        book_hash=one["hash"],
        best_bid=one["best_bid"],
        best_ask=one["best_ask"],
    )


def test_every_recorded_frame_comes_out_byte_for_byte(shared):
    raws = session(shared)
    kinds = set()
    for raw in raws[1:]:
        frame = json.loads(raw)
        kinds.add(frame["event_type"])
        if frame["event_type"] == "price_change":
            first, second = map(entry, frame["price_changes"])
            made = encode.price_change(frame["market"], first, second, frame["timestamp"])
        else:
            made = encode.book_midstream(book_text(frame), frame["hash"])
        assert made == raw
    assert kinds == {"price_change", "book"}


def test_the_recorded_initial_dump_comes_out_byte_for_byte(shared):
    raw = session(shared)[0]
    books = [encode.book_initial(book_text(one), one["hash"]) for one in json.loads(raw)]
    assert encode.initial_dump(books) == raw


def test_a_recorded_trade_comes_out_byte_for_byte(shared):
    raw = (shared / "samples/argos/ws_last_trade_price_2026-08-19.json").read_text().strip()
    frame = json.loads(raw)
    made = encode.LastTrade(
        market=frame["market"],
        asset_id=frame["asset_id"],
        price=frame["price"],
        size=frame["size"],
        side=frame["side"],
        timestamp=frame["timestamp"],
        transaction_hash=frame["transaction_hash"],
    )
    assert made.text() == raw


def test_the_dump_of_an_unknown_token_is_an_empty_array():
    assert encode.initial_dump([]) == "[]\n"


def test_other_frames_have_the_documented_keys():
    tick = json.loads(encode.tick_size_change("m", "a", ("0.01", "0.001"), "1"))
    assert set(tick) == {
        "market", "asset_id", "old_tick_size", "new_tick_size", "timestamp", "event_type",
    }  # fmt: skip
    top = json.loads(encode.best_bid_ask("m", "a", ("0.4", "0.5", "0.1"), "1"))
    assert (top["best_bid"], top["best_ask"], top["spread"]) == ("0.4", "0.5", "0.1")


def test_frames_put_a_space_after_commas_and_none_after_colons():
    text = encode.tick_size_change("m", "a", ("0.01", "0.001"), "1")
    assert not re.search(r'": ', text)
    assert not re.search(r'","', text)
