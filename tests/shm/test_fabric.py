"""Fabric: typed tables and rings over real segments, and nobody writes what is not theirs."""

import mmap
from pathlib import Path

import pytest

from shm import layout
from shm.codes import Role
from shm.fabric import Fabric
from shm.layout import BOOK, MARKETS_MAX, REPORT, SIGNAL, UPDATE


def test_a_table_shows_what_its_writer_wrote(segments):
    writer = Fabric(segments, Role.INGEST).write_table("books", BOOK)
    reader = Fabric(segments).read_table("books", BOOK)
    assert reader.version(7) == 0
    row = BOOK.blank()._replace(market_key=9, state=1)
    assert writer.write(7, row) == 1
    assert reader.read(7) == row
    assert reader.seen == reader.version(7) == 1
    assert reader.read(8) == BOOK.blank()
    assert reader.count == MARKETS_MAX


def test_a_ring_carries_rows_from_producer_to_consumer_and_past_a_tail(segments):
    producer = Fabric(segments, Role.ENGINE).produce("signals", SIGNAL)
    tail = Fabric(segments).tail("signals", SIGNAL)
    consumer = Fabric(segments, Role.EXECUTOR).consume("signals", SIGNAL)
    rows = [SIGNAL.blank()._replace(signal=number) for number in range(1, 4)]
    for row in rows:
        assert producer.try_push(row)
    assert consumer.lag == 3
    assert tail.news() == rows
    assert [consumer.pop() for _ in range(4)] == [*rows, None]
    assert tail.news() == []


def test_a_tail_that_was_lapped_goes_on_with_what_is_left(segments):
    producer = Fabric(segments, Role.EXECUTOR).produce("reports", REPORT)
    consumer = Fabric(segments, Role.ENGINE).consume("reports", REPORT)
    tail = Fabric(segments).tail("reports", REPORT)
    for number in range(3_000):
        assert producer.try_push(REPORT.blank()._replace(signal=number))
        consumer.pop()
    news = [row.signal for row in tail.news()]
    assert news == list(range(3_000 - len(news), 3_000))
    assert len(news) > 1_000


@pytest.mark.parametrize("role", [None, Role.ENGINE, Role.EXECUTOR, Role.DESK])
def test_only_the_writer_of_the_map_may_write(segments, role):
    with pytest.raises(AssertionError, match="may not open"):
        Fabric(segments, role).write_table("books", BOOK)
    with pytest.raises(AssertionError, match="may not open"):
        Fabric(segments, role).produce("updates", UPDATE)


def test_only_the_reader_of_the_map_may_consume(segments):
    with pytest.raises(AssertionError, match="may not open"):
        Fabric(segments, Role.INGEST).consume("signals", SIGNAL)


def test_readers_map_read_only(segments):
    fabric = Fabric(segments)
    fabric.read_table("books", BOOK)
    fabric.tail("signals", SIGNAL)
    with open("/proc/self/maps") as maps:
        ours = [line.split()[1] for line in maps if f"polytrio.{segments}." in line]
    assert ours
    assert set(ours) == {"r--s"}


def test_counters_are_addressed_by_name(segments):
    counters = Fabric(segments, Role.ENGINE).counters(
        "stats-engine.counters", layout.ENGINE_STATS, write=True
    )
    counters.add("hits")
    counters.add("hits", 4)
    counters.set("baskets", 30)
    seen = (
        Fabric(segments).counters("stats-engine.counters", layout.ENGINE_STATS, write=False).read()
    )
    assert (seen.hits, seen.baskets, seen.signals) == (5, 30, 0)
    with pytest.raises(KeyError):
        counters.add("no_such_counter")


def test_dirty_bits_cross_from_ingest_to_engine(segments):
    marker = Fabric(segments, Role.INGEST).dirty_marker()
    taker = Fabric(segments, Role.ENGINE).dirty_taker()
    marker.mark(3)
    marker.mark(1_000)
    marker.mark(3)
    assert taker.take() == [3, 1_000]
    assert taker.take() == []
    marker.mark(3)
    assert taker.take() == [3]


def resident_pages(name: str) -> int:
    """Pages of a segment that are mapped in this process."""
    lines = iter(Path("/proc/self/smaps").read_text("ascii").splitlines())
    for line in lines:
        if line.endswith(name):
            size = next(found for found in lines if found.startswith("Rss:"))
            return int(size.split()[1]) * 1024 // mmap.PAGESIZE
    raise AssertionError(f"{name} is not mapped")


def test_a_stage_touches_what_an_order_meets_and_leaves_the_empty_rows_of_the_markets_unmapped(
    segments,
):
    fabric = Fabric(segments, Role.EXECUTOR)
    fabric.touch = True
    books = fabric.segment("books", writable=False)
    markets = fabric.segment("markets", writable=False)
    assert resident_pages(books.name) == books.view.nbytes // mmap.PAGESIZE
    assert resident_pages(markets.name) < markets.view.nbytes // mmap.PAGESIZE // 2


def test_one_counter_is_what_all_of_them_say(segments):
    counters = Fabric(segments, Role.EXECUTOR).counters(
        "stats-executor.counters", layout.EXECUTOR_STATS, write=True
    )
    counters.add("posts", 7)
    assert counters.get("posts") == counters.read().posts == 7
    assert counters.get("orders_sent") == 0
