"""The firehose: its frames are the venue's, and it sends as many as it says, when it says."""

import json
import socket
import subprocess
import sys
import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import connect

from ingest.wire import Changes, Snapshot, decode
from sim.firehose import (
    OFFER_ROUNDS,
    Client,
    Listing,
    book_text,
    change_text,
    price_text,
    ring_texts,
    shared_out,
    unmasked,
)

CONDITION = "0x" + "ab" * 32
ROOT_ARGUMENTS = [sys.executable, "-P", "-m", "sim.firehose"]


def listing(number: int = 0, fair_e4: int = 5_000, tick_e4: int = 10, offer_e4: int = 0) -> Listing:
    return Listing(CONDITION, str(10**76 + number), str(2 * 10**76 + number), fair_e4, offer_e4,
                   tick_e4)  # fmt: skip


@given(st.integers(1, 99), st.sampled_from([10, 100]), st.integers(0, 10**6))
def test_every_frame_is_read_and_its_two_entries_are_one_change(cents, tick_e4, seed):
    one = listing(fair_e4=100 * cents, tick_e4=tick_e4)
    (event,) = decode(change_text(one, Random(seed)).encode())
    assert isinstance(event, Changes)
    first, second = event.changes
    assert first.price_e4 + second.price_e4 == 10_000
    assert first.size_e6 == second.size_e6
    assert first.side is not second.side
    assert first.price_e4 % tick_e4 == 0
    (book,) = decode(book_text(one, Random(seed)).encode())
    assert isinstance(book, Snapshot)
    best_bid = max((price for price, _ in book.bids), default=0)
    best_ask = min((price for price, _ in book.asks), default=10_000)
    assert best_bid < one.fair_e4 < best_ask


@pytest.mark.parametrize(
    ("price_e4", "text"), [(5_000, "0.50"), (100, "0.01"), (1_230, "0.123"), (9_990, "0.999")]
)
def test_prices_are_written_with_two_decimals_at_least(price_e4, text):
    assert price_text(price_e4) == text


def test_an_offer_is_taken_back_by_the_next_frame_of_its_market():
    markets = [listing(0), listing(1, fair_e4=800, tick_e4=100, offer_e4=1_200)]
    texts = ring_texts(markets, Random(1))
    lifted = [at for at, text in enumerate(texts) if '"event_type":"book"' in text]
    assert lifted
    assert lifted[1] - lifted[0] == len(markets)
    tops = [max(price for price, _ in decode(texts[at].encode())[0].bids) for at in lifted[:2]]
    assert tops == [800 + 1_200 - 200, 800 - 200]
    assert lifted[2] - lifted[0] == OFFER_ROUNDS * len(markets)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=5), st.lists(st.integers(0, 500)))
def test_a_slot_is_shared_out_to_the_frame_and_by_markets_over_time(sizes, counts):
    clients = [Client(None, dict.fromkeys(map(str, range(size)))) for size in sizes]
    total = sum(sizes)
    got = dict.fromkeys(map(id, clients), 0)
    for count in counts:
        parts = shared_out(count, clients, total)
        assert sum(some for _, some in parts) == count
        for client, some in parts:
            assert some > 0
            got[id(client)] += some
    for client, size in zip(clients, sizes, strict=True):
        assert abs(got[id(client)] - sum(counts) * size / total) <= len(clients)


@pytest.mark.parametrize("size", [0, 5, 125, 126, 70_000])
def test_a_clients_frame_is_unmasked_once_it_is_whole(size):
    body = bytes(n % 251 for n in range(size))
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(body))
    if size < 126:
        head = bytes((0x81, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x81, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x81, 0x80 | 127)) + size.to_bytes(8, "big")
    heard = bytearray()
    for byte in head + mask + masked:
        assert unmasked(heard) is None
        heard.append(byte)
    assert unmasked(heard) == body
    assert not heard


class Process:
    """A firehose as a load test uses it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ROOT_ARGUMENTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = f"ws://127.0.0.1:{self.heard()['port']}/ws/market"

    def heard(self) -> dict:
        return json.loads(self.process.stdout.readline())

    def ask(self, order: dict) -> None:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()


@pytest.fixture
def firehose():
    one = Process()
    yield one
    one.process.kill()
    one.process.communicate()


def test_it_sends_the_schedule_to_the_frame_even_to_a_client_that_does_not_read(firehose):
    facts = [{"condition": CONDITION, "yes": str(10**76 + n), "no": str(n + 1)} for n in range(3)]
    firehose.ask({"markets": facts})
    assert firehose.heard() == {"markets": 3}
    with connect(firehose.url, max_size=None, compression=None, ping_interval=None) as link:
        link.send(json.dumps({"assets_ids": [fact["yes"] for fact in facts], "type": "market"}))
        assert len(json.loads(link.recv())) == 3
        link.send("PING")
        assert link.recv() == "PONG"
        counts = [7, 0, 0, 20_000] + [1] * 50
        firehose.ask({"start_ns": time.monotonic_ns(), "slot_ns": 10**6, "counts": counts})
        texts = [link.recv(timeout=20) for _ in range(sum(counts))]
        said = firehose.heard()
        with pytest.raises(TimeoutError):
            link.recv(timeout=0.1)
    assert (said["sent"], said["lost_clients"]) == (sum(counts), 0)
    assert len(texts) == sum(counts)


def test_a_client_that_goes_is_told_as_lost(firehose):
    firehose.ask({"markets": [{"condition": CONDITION, "yes": "7", "no": "8"}]})
    firehose.heard()
    with connect(firehose.url, compression=None) as link:
        link.send(json.dumps({"assets_ids": ["7"], "type": "market"}))
        link.recv()
        firehose.ask({"start_ns": time.monotonic_ns(), "slot_ns": 10**6, "counts": [100] * 500})
        link.recv()
        link.socket.shutdown(socket.SHUT_RDWR)
        assert firehose.heard()["lost_clients"] == 1
