import json

import pytest

from sim.hashing import BookText, book_hash


def text_of(values: dict) -> BookText:
    levels = {
        side: [json.dumps(level, separators=(",", ":")) for level in values[side]]
        for side in ("bids", "asks")
    }
    return BookText(
        market=values["market"],
        asset_id=values["asset_id"],
        timestamp=values["timestamp"],
        bids=levels["bids"],
        asks=levels["asks"],
        min_order_size=values["min_order_size"],
        tick_size=values["tick_size"],
        neg_risk=values["neg_risk"],
        last_trade_price=values["last_trade_price"],
    )


def test_the_vectors_of_the_official_client_reproduce(shared):
    vectors = json.loads((shared / "vectors.json").read_text())["book_hash"]
    assert len(vectors) == 2
    for vector in vectors:
        text = text_of(vector["input"])
        assert book_hash(text) == vector["sha1"]
        assert vector.get("serialized", text.serialized()) == text.serialized()


def test_a_recorded_rest_book_reproduces_byte_for_byte(shared):
    raw = (shared / "samples/argos/clob_book_rest_2026-08-10.json").read_text().strip()
    recorded = json.loads(raw)
    text = text_of(recorded)
    assert book_hash(text) == recorded["hash"]
    assert text.serialized(recorded["hash"]) == raw


@pytest.mark.parametrize("field", ["timestamp", "tick_size", "last_trade_price"])
def test_every_field_counts(field):
    values = {
        "market": "0x1",
        "asset_id": "2",
        "timestamp": "3",
        "bids": [],
        "asks": [{"price": "0.5", "size": "1"}],
        "min_order_size": "5",
        "tick_size": "0.01",
        "neg_risk": False,
        "last_trade_price": "0.5",
    }
    assert book_hash(text_of(values)) != book_hash(text_of(values | {field: "9"}))
    assert book_hash(text_of(values)) != book_hash(text_of(values | {"neg_risk": True}))
