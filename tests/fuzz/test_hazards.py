"""Bytes that must not hurt, by name: what scanner, decoder and both keepers make of each."""

import json
import subprocess
import sys

import pytest

from ingest.keeper import PythonKeeper, make_keeper
from ingest.wire import Refusal, Refused, Snapshot, decode
from shm import backend, segment
from shm.codes import BookState
from tests.conftest import require_or_skip
from tests.fuzz.hostile import TEN_MB, book_of, changes_of, hostile
from tests.fuzz.instrumented import ROOT
from tests.ingest import frames
from tests.ingest.frames import token_of
from tests.ingest.test_keeper import World, market, require_same

scanner = pytest.importorskip("ingest.scanner", reason="needs the compiled kernels")

YES, NO = token_of(0), token_of(1)
ENTRY = frames.change(YES, "BUY", "0.41", "100", frames.hash_of(1))
CHANGE = frames.price_change(YES, 8, [ENTRY])
BOOK = frames.dump_book(YES, 8, [("0.41", "100")], [], hash_text=frames.hash_of(1), tick="0.01",
                        last="0.28")  # fmt: skip
BEFORE = frames.later_book(YES, 7, [("0.4", "1")], [("0.5", "2")], hash_text="").encode()
GROWTH_KB_MAX = 8 * 1024


class Pair:
    """The plain and the compiled keeper over the same frames."""

    def __init__(self, instance: str) -> None:
        markets = [market(row) for row in range(3)]
        self.plain = World(f"{instance}-a", PythonKeeper, markets)
        self.compiled = World(f"{instance}-b", make_keeper, markets)
        self._now_ns = 0

    def take(self, *sent: bytes):
        """Give each to both, in the same state afterwards; what the books and counters show."""
        for frame in sent:
            self._now_ns += 1
            require_same(self.plain, self.compiled, frame, self._now_ns)
        self.plain.look()
        books, _, _, counters = self.compiled.look()
        return [shown for shown, _ in books], counters

    def require_untouched(self, frame: bytes) -> BookState:
        """The frame is refused, and leaves no trace in the levels; the book's state."""
        _, before = self.take(BEFORE)
        books, counters = self.take(frame)
        refused = counters.frames_refused + counters.events_refused
        assert refused == before.frames_refused + before.events_refused + 1, frame[:200]
        assert (books[0].bid_price_e4[0], books[0].bid_size_e6[0]) == (4_000, 1_000_000)
        assert (books[0].ask_price_e4[0], books[0].ask_size_e6[0]) == (5_000, 2_000_000)
        assert (books[0].bid_count, books[0].ask_count, books[0].tick_e4) == (1, 1, 10)
        return BookState(books[0].state)


@pytest.fixture
def pair(instance):
    require_or_skip(backend.NATIVE, "the compiled kernels")
    yield Pair(instance)
    for path in segment.SHM_ROOT.glob(f"polytrio.{instance}-*"):
        path.unlink()


NO_NUMBERS = [
    "NaN", "nan", "Infinity", "-Infinity", "inf", "1e308", "1e-1", "1E5", "9" * 10_000, "-0",
    "-0.0", "-1", "+1", "\u0660.\u0665", "\u0661", "\uff11", "\u00b2", "0x1", "1_0", " .5 ", "0.5 ",
    "00.5", "1.", ".", "", "0,5", "0.5\u0000", "0.1234567890123456789", "\u221e", "null", "1/2",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: ascii(text)[:20])
def test_what_is_no_plain_number_never_reaches_a_book_and_loses_it(pair, text):
    spelled = json.dumps(text)
    for shape in (CHANGE, BOOK):
        for place in ('"price":"0.41"', '"size":"100"', '"timestamp":"8"'):
            key, _ = place.split(":")
            wrong = shape.replace(place, f"{key}:{spelled}").encode()
            assert scanner.scan_frame(wrong) is None
            assert decode(wrong)[0].reason is Refusal.NUMBER
            assert pair.require_untouched(wrong) is BookState.STALE


@pytest.mark.parametrize(
    "bare", ["NaN", "Infinity", "-Infinity", "1e308", "0.41", "-0", "9" * 10_000]
)
def test_a_number_that_is_no_text_is_refused_too(pair, bare):
    for place in ('"price":"0.41"', '"size":"100"', '"timestamp":"8"'):
        wrong = CHANGE.replace(place, place.split(":", 1)[0] + ":" + bare).encode()
        assert scanner.scan_frame(wrong) is None
        pair.require_untouched(wrong)


@pytest.mark.parametrize("price", ["0", "1", "1.0", "1.5", "0.00001", "0.0", "2", "0.99999"])
def test_a_level_at_0_at_1_beyond_or_between_the_steps_is_refused(pair, price):
    for shape in (CHANGE, BOOK):
        wrong = shape.replace('"0.41"', f'"{price}"').encode()
        assert scanner.scan_frame(wrong) is None
        assert pair.require_untouched(wrong) is BookState.STALE


STRANGE_TOKENS = {
    "78 digits beyond 2**256": str(2**256 + int(YES)),
    "78 nines": "9" * 78,
    "79 digits": "1" * 79,
    "a leading zero": "0" + YES,
    "hexadecimal": hex(int(YES)),
    "upper-case hexadecimal": hex(int(YES)).upper(),
    "Arabic digits": YES.translate({48 + digit: 0x660 + digit for digit in range(10)}),
    "a NUL behind": YES + "\u0000",
    "a NUL in front": "\u0000" + YES,
    "a space behind": YES + " ",
    "nothing": "",
    "a lone surrogate": "\ud800",
}


@pytest.mark.parametrize("name", STRANGE_TOKENS)
def test_a_token_is_known_by_its_exact_text_only(pair, name):
    spelled = json.dumps(STRANGE_TOKENS[name])
    before, counted = pair.take(BEFORE)
    for shape in (CHANGE, BOOK, frames.trade(YES, 8, "0.41"), frames.tick_change(YES, 8, "0.1")):
        books, _ = pair.take(shape.replace(f'"{YES}"', spelled).encode())
        assert books == before
    _, counters = pair.take(b"[]")
    unused = counters.unknown_market + counters.frames_refused + counters.events_refused
    assert unused - counted.unknown_market == 4


def test_a_level_of_78_digits_is_refused_and_a_size_of_16_digits_too(pair):
    for size in (str(2**256), "9" * 78, "9007199254.740993", "9007199255", "9" * 16):
        assert pair.require_untouched(CHANGE.replace('"100"', f'"{size}"').encode())
    books, _ = pair.take(BEFORE, CHANGE.replace('"100"', '"9007199254.740992"').encode())
    assert books[0].bid_size_e6[0] == 2**53


BROKEN_TEXTS = [
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80",
    b"\x80",
    b"\x00",
]


@pytest.mark.parametrize("piece", BROKEN_TEXTS)
def test_invalid_utf_8_and_a_raw_nul_refuse_the_frame_wherever_they_stand(pair, piece):
    for text in ("0.41", "0.4", YES, "price_changes", "market", "BUY"):
        wrong = CHANGE.encode().replace(text.encode(), text.encode() + piece, 1)
        assert scanner.scan_frame(wrong) is None
        pair.require_untouched(wrong)
    for wrong in (piece + CHANGE.encode(), CHANGE.encode() + piece):
        assert scanner.scan_frame(wrong) is None
        pair.require_untouched(wrong)


def test_a_key_that_comes_twice_is_left_to_the_decoder_whose_last_one_counts(pair):
    twice = {
        '"price":"0.41"': '"price":"0.3", "price":"0.41"',
        '"size":"100"': '"size":"7", "size":"100"',
        '"side":"BUY"': '"side":"SELL", "side":"BUY"',
        f'"asset_id":"{YES}"': f'"asset_id":"{token_of(4)}", "asset_id":"{YES}"',
        '"timestamp":"8"': '"timestamp":"1", "timestamp":"8"',
        '"market":"0x': '"market":"0x", "market":"0x',
        '"price_changes":[': '"price_changes":[], "price_changes":[',
    }
    expected = decode(CHANGE.encode())
    for one, both in twice.items():
        frame = CHANGE.replace(one, both, 1).encode()
        assert frame != CHANGE.encode()
        assert scanner.scan_frame(frame) is None
        assert decode(frame) == expected
        books, _ = pair.take(BEFORE, frame)
        assert (books[0].bid_price_e4[0], books[0].bid_size_e6[0]) == (4_100, 100_000_000)


def test_a_book_of_more_levels_than_there_are_prices_is_refused_whole(pair):
    full = book_of(10_001).encode()
    (event,) = decode(full)
    assert isinstance(event, Snapshot)
    assert scanner.scan_frame(full) == [event]
    for levels in (10_002, 100_000):
        frame = book_of(levels).encode()
        assert scanner.scan_frame(frame) is None
        assert decode(frame)[0].reason is Refusal.TOO_MANY
        assert pair.require_untouched(frame) is BookState.STALE


def test_more_changes_or_events_than_a_frame_may_have_are_refused_whole(pair):
    entries = changes_of(4_097, distinct=True, token=YES).encode()
    assert decode(entries)[0].reason is Refusal.TOO_MANY
    assert pair.require_untouched(entries) is BookState.STALE
    events = f"[{','.join([CHANGE] * 4_097)}]".encode()
    assert decode(events) == [Refused(Refusal.TOO_MANY, "4097 events in a frame")]
    assert pair.require_untouched(events) is BookState.LIVE


DEEP = [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        CHANGE.replace("{", '{"new":' + "[" * 100_000, 1).encode()]  # fmt: skip


@pytest.mark.parametrize("bomb", DEEP, ids=["open", "closed", "objects", "inside"])
def test_depth_is_refused(pair, bomb):
    assert scanner.scan_frame(bomb) is None
    assert decode(bomb)[0].reason in {Refusal.NOT_JSON, Refusal.NOT_AN_EVENT}
    pair.require_untouched(bomb)


def test_ten_megabytes_are_read_or_refused_and_give_both_keepers_the_same_books(pair):
    large = 0
    for name, frame in hostile():
        large += len(frame) >= TEN_MB
        pair.take(BEFORE, frame)
        if name in {"a text of 10 MB", "an unknown key of 10 MB"}:
            books, _ = pair.take(b"[]")
            assert books[0].bid_price_e4[0] == 5_000, name
    assert large >= 6


def test_no_frame_makes_memory_grow(instance, capsys):
    """What each took at most is said, not judged: a clock on a shared machine proves nothing."""
    require_or_skip(backend.NATIVE, "the compiled kernels")
    command = [sys.executable, "-m", "tests.fuzz.hostile", instance]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    with capsys.disabled():
        name, took_ms = max(said["slowest_ms"].items(), key=lambda pair: pair[1])
        sys.stdout.write(f" {said['grown_kb']} kB in {said['rounds']} rounds, slowest: {name}, "
                         f"{took_ms:.0f} ms ")  # fmt: skip
    assert said["grown_kb"] < GROWTH_KB_MAX
