"""The two keepers: what the compiled one publishes is, byte for byte, what the plain one does."""

import random

import pytest

from ingest.keeper import PythonKeeper, make_keeper
from shm import backend, segment
from shm.codes import BookState, Exchange, MarketKind, MarketState, Role
from shm.fabric import Fabric
from shm.layout import BOOK, INGEST_STATS, UPDATE, Market
from shm.segments import SEGMENTS
from tests.conftest import require_or_skip
from tests.ingest import frames
from tests.ingest.frames import Stream, token_of

EPOCH = 3


def market(row: int, *, tick_e4: int = 10) -> Market:
    condition = frames.condition_of(row)
    return Market(
        key=int.from_bytes(condition[:8], "big"), lower_usd_e6=0, upper_usd_e6=1, expiry_ms=0,
        min_size_e6=5_000_000, fingerprint=1, condition=condition,
        yes_token=int(token_of(2 * row)).to_bytes(32, "big"),
        no_token=int(token_of(2 * row + 1)).to_bytes(32, "big"),
        row=row, group=1, kind=MarketKind.ABOVE, state=MarketState.ACTIVE,
        exchange=Exchange.NEG_RISK if row % 2 else Exchange.STANDARD, tick_e4=tick_e4,
        fee_rate_e6=0, taker_delay_ms=0, coin=b"BTC", slug=b"",
    )  # fmt: skip


class World:
    """Segments with one keeper over them, and everything that it says about its books."""

    def __init__(self, instance: str, keeper_of, markets, every: int = 3) -> None:
        for plan in SEGMENTS.values():
            segment.create(instance, plan)
        fabric = Fabric(instance, Role.INGEST)
        self.keeper = keeper_of(fabric, EPOCH, every)
        engine = Fabric(instance, Role.ENGINE)
        self._books = engine.read_table("books", BOOK)
        self._updates = engine.consume("updates", UPDATE)
        self._dirty = engine.dirty_taker()
        self._counters = engine.counters("stats-ingest.counters", INGEST_STATS, write=False)
        self.rows = [m.row for m in markets]
        for one in markets:
            self.keeper.add(one)

    def take(self, frame: bytes, now_ns: int):
        """Everything visible after a frame, clocks apart."""
        news = self.keeper.news() if self.keeper.take(frame, now_ns) else None
        return news, self.look()

    def look(self):
        self.keeper.show_counts()
        updates = []
        while (update := self._updates.pop()) is not None:
            assert update.frame_ns <= update.parsed_ns <= update.published_ns
            updates.append(update._replace(frame_ns=0, parsed_ns=0, published_ns=0))
        books = [(self._books.read(row), self._books.version(row)) for row in self.rows]
        return books, updates, self._dirty.take(), self._counters.read()


@pytest.fixture
def worlds(instance):
    """The same world twice: plain and compiled."""
    require_or_skip(backend.NATIVE, "the compiled kernels")
    made = []

    def make(markets, every=3):
        plain = World(f"{instance}-a", PythonKeeper, markets, every)
        compiled = World(f"{instance}-b", make_keeper, markets, every)
        assert not isinstance(compiled.keeper, PythonKeeper)
        made.append((plain, compiled))
        return plain, compiled

    yield make
    for suffix in ("a", "b"):
        for path in segment.SHM_ROOT.glob(f"polytrio.{instance}-{suffix}.*"):
            path.unlink()


def require_same(plain: World, compiled: World, frame: bytes, now_ns: int) -> None:
    expected, found = plain.take(frame, now_ns), compiled.take(frame, now_ns)
    assert found == expected, frame[:2000]


@pytest.mark.parametrize("seed", range(12))
def test_random_streams_lead_to_the_same_books(worlds, seed):
    plain, compiled = worlds([market(row, tick_e4=(10, 100, 1)[row]) for row in range(3)])
    stream = Stream(seed, wrong=(0.0, 0.1, 0.5)[seed % 3])
    for number in range(1_500):
        require_same(plain, compiled, stream.frame(), 1_000 + number)
    assert compiled.look()[3].frames_in == 1_500


def test_recorded_traffic_leads_to_the_same_books_with_matching_hashes(worlds, shared):
    import json

    vectors = json.loads((shared / "vectors.json").read_text())["real_book_hash_sequence"]
    lines = (shared / "samples/argos/ws_session_2026-08-10.jsonl").read_text().splitlines()
    recorded = [json.loads(line)["raw"] for line in lines]
    condition = bytes.fromhex(json.loads(recorded[0])[0]["market"][2:])
    one = market(0, tick_e4=100)._replace(
        condition=condition, exchange=Exchange.STANDARD,
        yes_token=int(vectors["asset_id"]).to_bytes(32, "big"),
        no_token=int(vectors["mirror_asset_id"]).to_bytes(32, "big"),
    )  # fmt: skip
    plain, compiled = worlds([one], every=1)
    for number, text in enumerate(recorded):
        require_same(plain, compiled, text.encode(), number + 1)
    counters = compiled.look()[3]
    assert counters.hash_checked >= len(recorded)
    assert counters.hash_mismatch == 0
    assert compiled.look()[0][0][0].state == BookState.LIVE


@pytest.mark.parametrize("comma", [", ", " , "])
def test_another_markets_data_under_our_token_lose_the_book_whoever_reads_them(worlds, comma):
    """Once in the spelling that the scanner reads, once in one that is left to the decoder."""
    plain, compiled = worlds([market(0), market(1)])
    ours, token = frames.market_of(token_of(0)), token_of(0)
    book = frames.later_book(token, 1, [("0.4", "1")], [], hash_text="")
    entry = frames.change(token, "BUY", "0.5", "7", "")
    sent = [book, frames.price_change(token, 2, [entry]), frames.trade(token, 2, "0.5"),
            frames.tick_change(token, 2, "0.01")]  # fmt: skip
    refused = 0
    for text in sent:
        for other in (frames.market_of(token_of(2)), ours.upper(), ours[:-1], ours + "0", ""):
            require_same(plain, compiled, book.encode(), 1)
            wrong = text.replace(ours, other).replace(", ", comma)
            require_same(plain, compiled, wrong.encode(), 2)
            books, _, _, counters = compiled.look()
            shown, refused = books[0][0], refused + 1
            assert shown.state == BookState.STALE
            assert (shown.bid_price_e4[0], shown.tick_e4, shown.last_trade_e4) == (4_000, 10, 0)
            assert counters.events_refused == refused
            plain.look()


@pytest.mark.parametrize("seed", range(4))
def test_many_entries_in_one_event_are_compared_as_few_are(worlds, seed):
    """Up to some hundreds of a few levels, so that the same one is named again and again."""
    plain, compiled = worlds([market(0)])
    source = random.Random(seed)
    book = frames.later_book(token_of(0), 1, [], [], hash_text="").encode()
    for number in range(150):
        entries = []
        sizes = [source.choice("01234") for _ in range(7)]
        for _ in range(source.randint(10, 300)):
            level = source.randrange(7)
            wrong = source.random() < 0.03
            size = "9" if wrong else sizes[level]
            if source.random() < 0.5:
                entries.append(frames.change(token_of(0), "BUY", f"0.{level + 1}", size, ""))
            else:
                entries.append(frames.change(token_of(1), "SELL", f"0.{9 - level}", size, ""))
        require_same(plain, compiled, book, 2 * number + 1)
        frame = frames.price_change(token_of(0), 1, entries).encode()
        require_same(plain, compiled, frame, 2 * number + 2)
        plain.look()
    mismatches = compiled.look()[3].mirror_mismatch
    assert 20 < mismatches < 130


def test_a_lost_connection_and_a_market_that_goes_are_shown_alike(worlds):
    plain, compiled = worlds([market(row) for row in range(3)])
    stream = Stream(5, wrong=0.0)
    most_live = 0
    for number in range(300):
        require_same(plain, compiled, stream.frame(), number + 1)
        most_live = max(most_live, compiled.look()[3].books_live)
        plain.look()
        if number % 50 == 49:
            plain.keeper.lose([0, 1, 77])
            compiled.keeper.lose([0, 1, 77])
            assert plain.look() == compiled.look()
        if number == 120:
            plain.keeper.remove(2)
            compiled.keeper.remove(2)
            assert plain.look() == compiled.look()
        if number == 200:
            plain.keeper.add(market(2))
            compiled.keeper.add(market(2))
    assert most_live == 3


def test_a_full_ring_marks_markets_dirty_and_keeps_their_newest_books(worlds):
    plain, compiled = worlds([market(0)])
    entry = frames.change(token_of(0), "BUY", "0.5", "7", "")
    for world in (plain, compiled):
        book = frames.later_book(token_of(0), 1, [], [], hash_text="").encode()
        world.keeper.take(book, 1)
        for _ in range(1_100):
            world.keeper.take(frames.price_change(token_of(0), 2, [entry]).encode(), 2)
    expected, found = plain.look(), compiled.look()
    assert found == expected
    assert found[2] == [0]
    assert found[3].updates_conflated > 0
    assert found[0][0][0].bid_size_e6[0] == 7_000_000


def test_a_row_with_a_market_takes_no_second_one(worlds):
    _, compiled = worlds([market(0)])
    with pytest.raises(ValueError, match="has a market already"):
        compiled.keeper.add(market(0))
    with pytest.raises(KeyError):
        compiled.keeper.remove(5)


def test_a_fenced_keeper_publishes_nothing_more(worlds, instance):
    from shm.errors import FencedError
    from shm.roles import RoleHolder

    plain, compiled = worlds([market(0)])
    assert plain is not None
    fabric = Fabric(f"{instance}-b", Role.INGEST)
    holder = RoleHolder(fabric.segment("control", writable=True), Role.INGEST)
    fabric.fence = holder.fence
    keeper = make_keeper(fabric, holder.epoch, 1)
    keeper.add(market(0))
    book = frames.later_book(token_of(0), 1, [("0.4", "1")], [], hash_text="").encode()
    keeper.take(book, 1)
    RoleHolder(fabric.segment("control", writable=True), Role.INGEST)  # a successor
    before = compiled.look()
    with pytest.raises(FencedError):
        keeper.take(book, 2)
    assert compiled.look()[0] == before[0]
