"""Checksum: the venue's own vectors."""

import json
from hashlib import sha1

from ingest.book import Book
from ingest.checksum import HashFacts, book_hash, last_trade_texts
from shm.units import parse_price_e4, parse_size_e6


def hash_of(given: dict) -> str:
    book = Book()

    def levels(side):
        return [(parse_price_e4(x["price"]), parse_size_e6(x["size"])) for x in given[side]]

    book.replace(int(given["timestamp"]), levels("bids"), levels("asks"))
    facts = HashFacts(given["market"], given["min_order_size"], neg_risk=given["neg_risk"])
    tick_e4 = parse_price_e4(given["tick_size"])
    return book_hash(book, facts, given["asset_id"], no_side=False, tick_e4=tick_e4,
                     last_trade=given["last_trade_price"])  # fmt: skip


def test_the_official_vectors_are_reproduced(shared):
    full, empty = json.loads((shared / "vectors.json").read_text())["book_hash"]
    assert hash_of(empty["input"]) == empty["sha1"]
    # This vector lists its asks upwards; the venue's books, and ours, list them downwards.
    assert sha1(full["serialized"].encode()).hexdigest() == full["sha1"]
    upwards = [json.dumps(level, separators=(",", ":")) for level in full["input"]["asks"]]
    downwards = full["serialized"].replace(",".join(upwards), ",".join(reversed(upwards)))
    assert downwards != full["serialized"]
    assert hash_of(full["input"]) == sha1(downwards.encode()).hexdigest()


def test_a_mirrored_book_hashes_like_the_other_tokens_own():
    facts = HashFacts("0xaa", "5", neg_risk=True)
    yes, no = Book(), Book()
    yes.replace(5, [(10, 1), (40, 2)], [(60, 3), (90, 4)])
    no.replace(5, [(9_940, 3), (9_910, 4)], [(9_960, 2), (9_990, 1)])
    mirrored = book_hash(yes, facts, "8", no_side=True, tick_e4=10, last_trade="0.5")
    own = book_hash(no, facts, "8", no_side=False, tick_e4=10, last_trade="0.5")
    assert mirrored == own


def test_a_trades_price_is_tried_with_three_decimals_first():
    assert last_trade_texts(2_800) == ("0.280", "0.28")
    assert last_trade_texts(10) == ("0.001", "0.001")
    assert last_trade_texts(47) == ("0.0047",)
    assert last_trade_texts(10_000) == ("1.000", "1")
