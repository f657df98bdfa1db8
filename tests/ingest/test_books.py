"""Books: whole frames, the mirror, the hash, and recorded traffic down to the last hash."""

import json
from hashlib import sha1
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.books import Books, Tracked
from ingest.checksum import HashFacts, book_hash
from ingest.wire import Refused, decode
from shm.codes import BookState, HashState
from shm.units import format_price, format_size

EVERY = 1
NEVER = 1 << 40


def tracked(row: int = 0, *, yes: str = "7", no: str = "8", tick_e4: int = 10) -> Tracked:
    facts = HashFacts("0xaa", "5", neg_risk=False)
    return Tracked(row=row, key=row + 1, yes=yes, no=no, facts=facts, tick_e4=tick_e4)


def books_of(*markets: Tracked, every: int = NEVER) -> Books:
    books = Books(every)
    for market in markets:
        books.add(market)
    return books


def snapshot(token: str, bids, asks, *, at: int = 100, book_hash: str = "", **more) -> dict:
    def side(levels):
        return [{"price": format_price(p), "size": format_size(s * 10**6)} for p, s in levels]

    return {"event_type": "book", "market": "0xaa", "asset_id": token, "timestamp": str(at),
            "hash": book_hash, "bids": side(bids), "asks": side(asks)} | more  # fmt: skip


def changes(*entries: tuple[str, str, int, int], at: int = 200, group: str = "") -> dict:
    return {
        "event_type": "price_change",
        "market": "0xaa",
        "timestamp": str(at),
        "price_changes": [
            {"asset_id": token, "side": side, "price": format_price(p),
             "size": format_size(s * 10**6), "hash": group}
            for token, side, p, s in entries
        ],
    }  # fmt: skip


def apply(books: Books, *events: dict):
    return apply_text(books, json.dumps(list(events)))


def apply_text(books: Books, frame: str):
    """Apply a frame and make the comparisons that it leaves due."""
    applied = books.apply(frame.encode(), 1)
    for row, check in applied.checks.items():
        books.check(row, check)
    return applied


def no_books_hash(name: str) -> str:
    """A text that looks like a book hash and is none."""
    return sha1(name.encode()).hexdigest()


def test_a_frame_is_applied_whole_and_lists_each_changed_market_once():
    books = books_of(tracked(0), tracked(1, yes="17", no="18"))
    applied = apply(
        books,
        snapshot("7", [(40, 1)], [(60, 1)]),
        snapshot("17", [(30, 1)], []),
        changes(("7", "BUY", 50, 2), ("8", "SELL", 9950, 2)),
    )
    assert sorted(applied.changed) == [0, 1]
    assert applied.changed[0].book.best_bids() == [(50, 2_000_000), (40, 1_000_000)]
    assert applied.changed[0].received_ns == 1
    assert not applied.lost


def test_the_no_entry_alone_changes_the_yes_book_too():
    books = books_of(tracked())
    apply(books, snapshot("7", [(40, 1)], [(60, 1)]))
    apply(books, changes(("8", "BUY", 9_945, 3)))
    assert books.by_row[0].book.best_asks()[0] == (55, 3_000_000)


def test_a_snapshot_of_the_no_token_is_mirrored():
    books = books_of(tracked())
    apply(books, snapshot("8", [(9_940, 1)], [(9_960, 2)]))
    assert books.by_row[0].book.best_bids() == [(40, 2_000_000)]
    assert books.by_row[0].book.best_asks() == [(60, 1_000_000)]


def test_two_entries_that_contradict_each_other_lose_the_market():
    books = books_of(tracked())
    apply(books, snapshot("7", [(40, 1)], [(60, 1)]))
    applied = apply(books, changes(("7", "BUY", 50, 2), ("8", "SELL", 9_950, 3)))
    assert list(applied.lost) == [0]
    assert books.by_row[0].book.state is BookState.STALE
    assert books.tally["mirror_mismatch"] == 1


def test_what_cannot_be_read_loses_the_markets_it_was_about_and_no_others():
    books = books_of(tracked(0), tracked(1, yes="17", no="18"))
    apply(books, snapshot("7", [(40, 1)], []), snapshot("17", [(40, 1)], []))
    broken = changes(("7", "BUY", 50, 2))
    broken["price_changes"][0]["price"] = "NaN"
    applied = apply(books, broken, changes(("17", "BUY", 50, 2)))
    assert list(applied.lost) == [0]
    assert books.by_row[1].book.state is BookState.LIVE
    assert books.tally["events_refused"] == 1


def test_an_event_under_our_token_that_names_another_market_is_refused_and_loses_the_book():
    tick = {"event_type": "tick_size_change", "market": "0xaa", "asset_id": "7",
            "timestamp": "200", "new_tick_size": "0.0001"}  # fmt: skip
    trade = {"event_type": "last_trade_price", "market": "0xaa", "asset_id": "7",
             "timestamp": "200", "price": "0.5"}  # fmt: skip
    for event in (snapshot("7", [(50, 1)], []), changes(("7", "BUY", 50, 2)), tick, trade):
        books = books_of(tracked(0), tracked(1, yes="17", no="18"))
        apply(books, snapshot("7", [(40, 1)], [], at=200), snapshot("17", [(40, 1)], []))
        applied = apply(books, event | {"market": "0xAA"})
        assert list(applied.lost) == list(applied.changed) == [0]
        assert books.tally["events_refused"] == 1
        book = books.by_row[0].book
        assert book.state is BookState.STALE
        assert book.best_bids() == [(40, 1_000_000)]
        assert (books.by_row[0].tick_e4, books.by_row[0].last_trade_e4) == (10, 0)
        assert books.by_row[1].book.state is BookState.LIVE


def test_older_events_are_dropped_and_counted():
    books = books_of(tracked())
    apply(books, snapshot("7", [(40, 1)], [], at=100))
    apply(books, changes(("7", "BUY", 50, 2), at=99), snapshot("7", [], [], at=99))
    assert books.by_row[0].book.best_bids() == [(40, 1_000_000)]
    assert books.tally["backward_time"] == 2


def test_after_a_loss_even_an_older_snapshot_is_taken():
    books = books_of(tracked())
    apply(books, snapshot("7", [(40, 1)], [], at=100))
    assert [market.row for market in books.lose([0, 5])] == [0]
    apply(books, snapshot("7", [(30, 1)], [], at=90))
    assert books.by_row[0].book.state is BookState.LIVE


def test_repeated_frames_change_nothing():
    books = books_of(tracked())
    apply(books, snapshot("7", [(40, 1)], [(60, 2)]))
    for _ in range(3):
        apply(books, changes(("7", "BUY", 50, 2), ("8", "SELL", 9_950, 2)))
    assert books.by_row[0].book.best_bids() == [(50, 2_000_000), (40, 1_000_000)]


def test_strangers_tokens_are_counted_and_ignored():
    books = books_of(tracked())
    applied = apply(books, snapshot("99", [], []), changes(("98", "BUY", 50, 1)))
    assert not applied.changed
    assert books.tally["unknown_market"] == 2


def test_a_removed_market_is_no_longer_known():
    books = books_of(tracked())
    books.remove(0)
    apply(books, snapshot("7", [], []))
    assert books.tally["unknown_market"] == 1


def test_a_finer_tick_is_taken_and_levels_off_it_lose_the_book():
    books = books_of(tracked(tick_e4=100))
    apply(books, snapshot("7", [(400, 1)], []))
    tick = {"event_type": "tick_size_change", "market": "0xaa", "asset_id": "7",
            "timestamp": "300", "old_tick_size": "0.01", "new_tick_size": "0.001"}  # fmt: skip
    applied = apply(books, tick)
    assert books.by_row[0].tick_e4 == 10
    assert not applied.lost
    applied = apply(books, tick | {"new_tick_size": "0.03"})
    assert list(applied.lost) == [0]


# --- the venue's hash -------------------------------------------------------------------------


def hash_now(market: Tracked) -> str:
    return book_hash(market.book, market.facts, market.yes, no_side=False,
                     tick_e4=market.tick_e4, last_trade="0.5")  # fmt: skip


def after(books: Books, event: dict) -> str:
    """The hash that the book will have after an event, computed on a twin."""
    twin = books_of(tracked())
    book = books.by_row[0].book
    bids = [(p, s // 10**6) for p, s in book.best_bids()]
    asks = [(p, s // 10**6) for p, s in book.best_asks()]
    apply(twin, snapshot("7", bids, asks, at=book.exchange_ms))
    apply(twin, event)
    return hash_now(twin.by_row[0])


def checked_books() -> Books:
    books = books_of(tracked(), every=EVERY)
    plain = snapshot("7", [(40, 1)], [(60, 1)], last_trade_price="0.5")
    apply(books, plain)
    apply(books, plain | {"hash": hash_now(books.by_row[0])})
    assert books.by_row[0].hash_state is HashState.MATCHED
    return books


def test_a_matching_hash_is_noticed_and_a_group_may_match_at_its_last_frame_only():
    books = checked_books()
    first, second = ("7", "BUY", 50, 2), ("7", "BUY", 51, 2)
    final = after(books, changes(first, second))
    apply(books, changes(first, group=final))
    assert books.by_row[0].hash_due is not None
    apply(books, changes(second, group=final))
    assert books.by_row[0].hash_due is None
    assert books.tally["hash_mismatch"] == 0


def test_a_lost_change_is_found_by_the_hash_and_loses_the_book():
    books = checked_books()
    final = after(books, changes(("7", "BUY", 50, 2), ("7", "BUY", 51, 2)))
    apply(books, changes(("7", "BUY", 51, 2), group=final))  # the 50 never arrived
    applied = apply(books, changes(("7", "BUY", 52, 1), at=300, group=no_books_hash("another")))
    assert list(applied.lost) == [0]
    assert books.tally["hash_mismatch"] == 1
    assert books.by_row[0].hash_state is HashState.DIFFERED


def test_a_snapshot_ends_a_group_that_is_still_due():
    books = checked_books()
    apply(books, changes(("7", "BUY", 50, 2), group=no_books_hash("trade")))
    apply(books, snapshot("7", [(40, 1)], [(60, 1)], at=200))
    applied = apply(books, changes(("7", "BUY", 52, 1), at=300))
    assert not applied.lost


# --- recorded traffic -------------------------------------------------------------------------


def test_every_recorded_frame_leads_to_the_venues_own_hash(shared):
    vectors = json.loads((shared / "vectors.json").read_text())["real_book_hash_sequence"]
    lines = (shared / "samples/argos/ws_session_2026-08-10.jsonl").read_text().splitlines()
    frames = [json.loads(line)["raw"] for line in lines]
    condition = json.loads(frames[0])[0]["market"]
    market = Tracked(
        row=0, key=1, yes=vectors["asset_id"], no=vectors["mirror_asset_id"],
        facts=HashFacts(condition, "5", neg_risk=False), tick_e4=100,
    )  # fmt: skip
    books = books_of(market, every=EVERY)
    matched = 0
    for frame, expected in zip(frames, vectors["expected"], strict=True):
        applied = apply_text(books, frame)
        assert list(applied.changed) == [0]
        assert not applied.lost
        for token in (market.yes, market.no):
            ours = book_hash(market.book, market.facts, token, no_side=token == market.no,
                             tick_e4=100, last_trade="0.280")  # fmt: skip
            theirs = _hash_in(frame, token)
            if theirs is not None:
                assert (ours == theirs) is expected["matches_after_apply"]
                matched += ours == theirs
    assert matched == 21 + 18  # of YES 21 of 25 frames, of NO the 18 final price changes
    assert books.tally["hash_mismatch"] == 0


def _hash_in(frame: str, token: str) -> str | None:
    value = json.loads(frame)
    event = value[0] if isinstance(value, list) else value
    if event["event_type"] == "book":
        return event["hash"] if event["asset_id"] == token else None
    found = [c["hash"] for c in event["price_changes"] if c["asset_id"] == token]
    return found[0] if found else None


def recorded_texts(shared: Path) -> list[tuple[str, str]]:
    folders = ["samples/argos", "samples/fragments", "samples/nautilus_py", "samples/nautilus_rust",
               "samples/poly_ab", "data/raw_ws_frames"]  # fmt: skip
    found = []
    for path in sorted(p for folder in folders for p in (shared / folder).iterdir()):
        text = path.read_text("utf-8")
        found.append((path.name, text))
        if path.suffix == ".jsonl":
            for line in text.splitlines():
                value = json.loads(line)
                inner = value.get("raw") or value.get("payloadUtf8") or value.get("data")
                found.append((path.name, inner if isinstance(inner, str) else line))
    return found


def test_every_recorded_file_is_parsed_or_refused_by_name(shared):
    seen = 0
    refused = 0
    for name, text in recorded_texts(shared):
        events = decode(text.encode())
        seen += 1
        for event in events:
            if isinstance(event, Refused):
                refused += 1
                assert event.reason.value, name
                assert event.detail, name
        books_of(tracked()).apply(text.encode(), 1)
    assert seen > 100
    assert 0 < refused < seen


def test_frames_that_the_venue_sent_are_all_understood(shared):
    for name in ("market-ws-frames-h1-run-8.jsonl", "ws-market-v2-session.jsonl"):
        for line in (shared / "data/raw_ws_frames" / name).read_text().splitlines():
            value = json.loads(line)
            frame = value.get("payloadUtf8") or value.get("data")
            if value.get("dir", "recv") == "recv":
                assert not any(isinstance(event, Refused) for event in decode(frame.encode()))


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_sequence_of_frames_raises(frames):
    books = books_of(tracked(), every=EVERY)
    for frame in frames:
        books.apply(frame, 1)


@pytest.mark.parametrize("side", ["bids", "asks"])
def test_an_empty_side_is_an_empty_side(side):
    books = books_of(tracked())
    event = snapshot("7", [(40, 1)], [(60, 1)]) | {side: []}
    apply(books, event)
    book = books.by_row[0].book
    assert (book.best_bids() if side == "bids" else book.best_asks()) == []
