"""The scanner: reads what the venue sends, and never reads it otherwise than the strict decoder."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.wire import Refused, decode
from tests.conftest import require_or_skip
from tests.ingest import frames
from tests.ingest.frames import ODD_NUMBERS, Stream, price_change, token_of

scanner = pytest.importorskip("ingest.scanner", reason="needs the compiled kernels")

BOOK = frames.dump_book(
    token_of(1), 1_790_000_000_000, [("0.28", "5"), ("0.3", "1.5")], [("0.4", "17")],
    hash_text=frames.hash_of(1), tick="0.01", last="0.280",
)  # fmt: skip
LATER = frames.later_book(token_of(1), 7, [], [("0.4", "17")], hash_text=frames.hash_of(1))
CHANGE = price_change("m", 7, [
    frames.change(token_of(1), "BUY", "0.28", "100", frames.hash_of(1)),
    frames.change(token_of(2), "SELL", "0.72", "100", frames.hash_of(2)),
])  # fmt: skip
TRADE = frames.trade(token_of(1), 7, "0.285")
SHAPES = [BOOK, LATER, CHANGE, TRADE, f"[{BOOK},{BOOK}]\n", CHANGE.replace(", ", ",")]


def require_agreement(frame: bytes) -> bool:
    """What the scanner reads is what the decoder reads; whether it read the frame at all."""
    found = scanner.scan_frame(frame)
    if found is None:
        return False
    assert found == decode(frame), frame[:500]
    return True


@pytest.mark.parametrize("shape", SHAPES)
def test_the_venues_shapes_are_read_without_the_decoder(shape):
    assert require_agreement(shape.encode())


@pytest.mark.parametrize("shape", SHAPES)
def test_every_change_of_one_byte_is_refused_or_read_alike(shape):
    frame = shape.encode()
    for at in range(len(frame)):
        for byte in (b"", b'"', b"\\", b" ", b"0", b"9", b".", b",", b"}", b"\x00", b"\xff", b"z"):
            require_agreement(frame[:at] + byte + frame[at + 1 :])
            require_agreement(frame[:at] + byte + frame[at:])


@pytest.mark.parametrize("shape", SHAPES)
def test_every_beginning_of_a_frame_is_refused_or_read_alike(shape):
    frame = shape.encode()
    for length in range(len(frame)):
        require_agreement(frame[:length])


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_odd_numbers_are_left_to_the_decoder_or_read_alike(number):
    for shape in (BOOK, CHANGE, TRADE):
        for value in ('"0.28"', '"5"', '"100"', '"0.4"', '"17"', '"0.285"', '"18.518517"', '"7"'):
            require_agreement(shape.replace(value, json.dumps(number)).encode())
            require_agreement(shape.replace(value, number or "null").encode())


def test_numbers_of_every_length_are_read_exactly():
    for whole in ("0", "1", "9007199254", "9999999999", "12345678901"):
        for places in range(8):
            size = whole + ("." + "7" * places if places else "")
            require_agreement(CHANGE.replace('"100"', f'"{size}"').encode())
    for price_e4 in range(10_000):
        text = f"{price_e4 / 10_000:.4f}"
        assert require_agreement(CHANGE.replace('"0.28"', f'"{text}"').encode()) == (price_e4 > 0)
        require_agreement(CHANGE.replace('"0.28"', f'"{text.rstrip("0")}"').encode())


@given(st.binary(max_size=200))
def test_no_bytes_are_read_otherwise(frame):
    require_agreement(frame)


@given(st.integers(0, 1 << 32))
@settings(max_examples=300)
def test_random_streams_are_read_alike_and_mostly_by_the_scanner(seed):
    stream = Stream(seed)
    for _ in range(20):
        require_agreement(stream.frame())


def test_right_frames_never_need_the_decoder():
    stream = Stream(1, wrong=0.0)
    sent = [stream.frame() for _ in range(2_000)]
    slow = [f for f in sent if b"tick_size_change" not in f and scanner.scan_frame(f) is None]
    odd = (b"a text too long", b'"short"')
    assert all(any(word in frame for word in odd) for frame in slow), slow[:1]
    assert len(slow) < len(sent) / 2


def test_a_frame_at_every_limit_is_left_to_the_decoder():
    entry = frames.change(token_of(1), "BUY", "0.28", "100", "")
    assert scanner.scan_frame(price_change("m", 7, [entry] * 4096).encode()) is not None
    assert scanner.scan_frame(price_change("m", 7, [entry] * 4097).encode()) is None
    many = [("0.5", "1")] * 10_001
    assert require_agreement(frames.later_book("7", 1, many, [], hash_text="").encode())
    more = [("0.5", "1")] * 10_002
    assert scanner.scan_frame(frames.later_book("7", 1, more, [], hash_text="").encode()) is None
    deep = b"[" * 100_000
    assert scanner.scan_frame(deep) is None
    assert isinstance(decode(deep)[0], Refused)


def test_recorded_frames_are_read_without_the_decoder(shared):
    lines = (shared / "samples/argos/ws_session_2026-08-10.jsonl").read_text().splitlines()
    recorded = [json.loads(line)["raw"] for line in lines]
    for name in ("market-ws-frames-h1-run-8.jsonl", "ws-market-v2-session.jsonl"):
        for line in (shared / "data/raw_ws_frames" / name).read_text().splitlines():
            value = json.loads(line)
            if value.get("dir", "recv") == "recv":
                recorded.append(value.get("payloadUtf8") or value.get("data"))
    known = ("price_change", '"book"', "last_trade_price")
    ours = [text for text in recorded if any(word in text for word in known)]
    assert len(ours) > 50
    assert all(require_agreement(text.encode()) for text in ours)


def test_ci_compares_the_compiled_scanner():
    require_or_skip(scanner is not None, "the compiled kernels")
