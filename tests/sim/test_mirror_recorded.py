"""Recorded sessions of the real venue through the mirror: against a dictionary, and its hashes."""

import json

import msgspec
import pytest

from sim.coins import COINS
from sim.order import Outcome, Side
from sim.playback import facts_of, tokens_of
from sim.recording import RecordedBook, RecordedLevel, read_recording
from sim.retelling import read_event
from tests.sim.mirrors import levels, mirror

RECORDINGS = {
    "samples/argos/ws_session_2026-08-10.jsonl": True,
    "data/raw_ws_frames/market-ws-frames-h1-run-8.jsonl": True,
    "data/raw_ws_frames/ws-market-v2-session.jsonl": False,
}
"""And whether the facts that a recording of frames leaves out can be guessed from its hashes."""


def recorded(shared, name):
    if not (shared / name).is_file():
        pytest.skip(f"needs the recording {name}")
    return read_recording(shared / name)


def listed(frames) -> bytes:
    """An event of the live Gamma that has the recorded markets."""
    books = [c for one in frames for c in one.changes if isinstance(c, RecordedBook)]
    markets = []
    for number, (condition_id, tokens) in enumerate(tokens_of(frames).items()):
        first = next(book for book in books if book.market == condition_id)
        facts = facts_of(first, tokens)
        ids = "positionIds" if facts.version == "v2" else "clobTokenIds"
        markets.append(
            {
                "id": str(number), "conditionId": condition_id, "slug": f"market-{number}",
                "question": "?", "outcomes": '["Yes", "No"]', ids: json.dumps(tokens),
                "version": facts.version, "orderPriceMinTickSize": (first.tick_e4 or 100) / 10_000,
                "orderMinSize": 5, "negRisk": facts.neg_risk, "active": True, "closed": False,
                "acceptingOrders": True, "enableOrderBook": True, "feesEnabled": False,
            }
        )  # fmt: skip
    event = {"id": "1", "slug": "recorded", "endDate": "2026-12-31T17:00:00Z", "markets": markets}
    return msgspec.json.encode(event)


def in_yes(tokens, token, side, price_e4):
    """Side and price of a level in terms of the first token, by the rule of the mirror image."""
    if token == tokens[0]:
        return Side(side), price_e4
    return (Side.SELL if side == "BUY" else Side.BUY), 10_000 - price_e4


def apply(book, tokens, change):
    """A frame's change, in the plainest way."""
    if isinstance(change, RecordedBook):
        book.clear()
        for side, found in (("BUY", change.bids), ("SELL", change.asks)):
            for price_e4, size_e6 in found:
                book[in_yes(tokens, change.token, side, price_e4)] = size_e6
    elif isinstance(change, RecordedLevel):
        key = in_yes(tokens, change.token, change.side, change.price_e4)
        book.pop(key, None)
        if change.size_e6:
            book[key] = change.size_e6


def crosses(book):
    bids = [price for side, price in book if side is Side.BUY]
    asks = [price for side, price in book if side is Side.SELL]
    return bool(bids and asks) and max(bids) >= min(asks)


@pytest.mark.parametrize(("name", "provable"), RECORDINGS.items())
def test_recorded_books_are_mirrored_level_for_level_and_hash_for_hash(shared, name, provable):
    frames = recorded(shared, name)
    source = mirror()
    now_ms = min(c.stamp_ms for one in frames for c in one.changes)
    source.learn([read_event(listed(frames), COINS["BTC"])], now_ms)
    plain = {condition_id: {} for condition_id in source.markets}
    proven = 0
    for frame in frames:
        now_ms = max([now_ms, *(change.stamp_ms for change in frame.changes)])
        source.step(now_ms)
        source.hear(frame.text, now_ms)
        for change in frame.changes:
            facts = source.markets[change.market].market.facts
            apply(plain[change.market], facts.tokens, change)
        for condition_id, one in source.markets.items():
            if not crosses(plain[condition_id]):
                assert levels(one.market) == plain[condition_id]
        for told in json.loads(f"[{frame.text}]" if frame.text[0] != "[" else frame.text):
            proven += told.get("event_type") == "book" and proves(source, told)
    # In every pause the tops that the venue told last were those of the books.
    assert source.gaps == 0
    assert not source.unreadable
    assert not source.doubted
    assert bool(proven) is provable


def proves(source, told) -> bool:
    """Whether the venue's own hash of a book is ours."""
    one = source.markets[told["market"]]
    outcome = Outcome(one.market.facts.tokens.index(told["asset_id"]))
    return one.market.hashes[outcome] == told["hash"]
