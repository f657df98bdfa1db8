"""Changes of frames that know how a frame is put together: mutators for libFuzzer.

A fuzzer that flips bytes destroys JSON far more often than it finds a second reading of it. A
quarter of the changes here are libFuzzer's own, with its knowledge of comparisons that just failed;
the others change a digit, replace a value, move an entry, respell a comma. And as libFuzzer's
corpus fills with the shortest frames that are refused somewhere new, half begin with a right one.
"""

import random
import re
from collections import deque
from collections.abc import Callable

import atheris

from tests.fuzz.seeds import SEPARATOR, seeds
from tests.ingest.frames import ODD_NUMBERS, Stream, hash_of, market_of, token_of

RIGHT_LONGEST = 1024
FRESH_SERVES, FRESH_KEPT = 8, 256
TOKEN_BEYOND = str(2**256 + 7)

ODD_TEXTS = [
    *(number.encode() for number in ODD_NUMBERS if len(number) < 100),
    b"00.5", b"0.50", b"0.0000", b"-0.0", b"5e-1", b"0,5", b"\\u0030.5", b"0.5\\n", b"\\u0000",
    b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\\ud800", b'\\"', b"\\", b"\x7f", b"\t",
    b"\xe2\x80\xa8", b"true",
    b"12345678901", b"123456789012345", b"1234567890123456", b"9007199254.740992",
    b"0" + token_of(0).encode(), TOKEN_BEYOND.encode(), token_of(0).encode(),
    token_of(1).encode(), market_of(token_of(0)).encode(), market_of(token_of(2)).encode(),
]  # fmt: skip
RIGHT_TEXTS = [
    b"0.5", b"0.28", b"0.001", b"0.0001", b"0.9999", b"0", b"100", b"1.5", b"7", b"754020.031234",
    b"9007199254.740992", b"BUY", b"SELL", b"", b"0.280", hash_of(1).encode(), b"1790000000001",
]  # fmt: skip
DIGITS = [b"0", b"1", b"5", b"9", b"."]
ODD_PIECES = [b" ", b"  ", b",", b", ", b" ,", b"\n", b"}", b"{", b"[", b"]", b'"', b"\x00", b",,",
              b'"a":1,', b'"market":"0x",', b'"price":"0.5",', b'"event_type":"book",', b"[]",
              b'"asset_id":"7", ', b"PONG"]  # fmt: skip

_VALUE = re.compile(rb'":"((?:[^"\\]|\\.)*)"')
_ENTRY = re.compile(rb"\{[^{}]*\}(?:, ?)?")
_PAIR = re.compile(rb'"\w+":"[^"\\]*"(?:, ?)?')
_COMMA = re.compile(rb",( ?)")


def native(data: bytes, longest: int) -> bytes:
    """libFuzzer's own change. Atheris puts the function in its place when it begins to fuzz."""
    return bytes(atheris.Mutate(data, longest))


class FrameChanger:
    """A libFuzzer mutator of one frame: (data, longest, seed) -> data.

    Only the first seed is used: a run is repeated with the options of its process, and seeding
    anew for each change costs more than a change.
    """

    def __init__(self) -> None:
        self._random = random.Random()
        self._begun = False
        self._stream = Stream(0, wrong=0.3)
        self._made: deque[bytes] = deque(maxlen=FRESH_KEPT)
        self._right = [frame for frame in seeds() if len(frame) <= RIGHT_LONGEST]
        self._acts = [self._digit, self._digit, self._digit, self._right_value, self._right_value,
                      self._odd_value, self._value, self._entries, self._entries, self._commas,
                      self._pairs, self._piece, self._fresh]  # fmt: skip

    def __call__(self, data: bytes, longest: int, seed: int) -> bytes:
        if not self._begun:
            self._random.seed(seed)
            self._stream.random.seed(seed)
            self._begun = True
        return self.changed(data, longest)[:longest]

    def changed(self, data: bytes, longest: int) -> bytes:
        """One change, by libFuzzer or by one of ours."""
        if self._random.random() < 0.5:
            data = self._random.choice(self._right)
        if self._random.random() < 0.25 or not data:
            return native(data, longest)
        return self._random.choice(self._acts)(data)

    def _odd_value(self, data: bytes) -> bytes:
        return self._with_value(data, lambda _: self._random.choice(ODD_TEXTS))

    def _right_value(self, data: bytes) -> bytes:
        return self._with_value(data, lambda _: self._random.choice(RIGHT_TEXTS))

    def _digit(self, data: bytes) -> bytes:
        """Change, drop or add a digit or a point: most of what is read in two ways is a number."""

        def new(value: bytes) -> bytes:
            at = self._random.randrange(len(value) + 1)
            digit = self._random.choice(DIGITS)
            match self._random.randrange(3):
                case 0:
                    return value[:at] + digit + value[at + 1 :]
                case 1:
                    return value[:at] + digit + value[at:]
                case _:
                    return value[:at] + value[at + 1 :]

        return self._with_value(data, new)

    def _value(self, data: bytes) -> bytes:
        """Flip bytes inside one value only."""
        return self._with_value(data, lambda value: native(value or b"0", len(value) + 4))

    def _with_value(self, data: bytes, new: Callable[[bytes], bytes]) -> bytes:
        value = self._one(_VALUE, data)
        if value is None:
            return data
        start, end = value.span(1)
        return data[:start] + new(data[start:end]) + data[end:]

    def _one(self, pattern: re.Pattern[bytes], data: bytes) -> re.Match[bytes] | None:
        """The first match behind any place: to find all of them takes ten times as long."""
        at = int(self._random.random() * len(data))
        return pattern.search(data, at) or pattern.search(data)

    def _entries(self, data: bytes) -> bytes:
        return self._moved(data, _ENTRY)

    def _pairs(self, data: bytes) -> bytes:
        return self._moved(data, _PAIR)

    def _moved(self, data: bytes, pattern: re.Pattern[bytes]) -> bytes:
        """Double a piece, drop it, or let two of them change places."""
        one, other = self._one(pattern, data), self._one(pattern, data)
        if one is None or other is None:
            return data
        (a, b), (c, d) = sorted((one.span(), other.span()))
        match self._random.randrange(3):
            case 0:
                return data[:b] + data[a:b] + data[b:]
            case 1:
                return data[:a] + data[b:]
            case _:
                return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:] if b <= c else data

    def _commas(self, data: bytes) -> bytes:
        if self._random.random() < 0.5:
            return data.replace(*self._random.choice(((b", ", b","), (b",", b", "))))
        comma = self._one(_COMMA, data)
        if comma is None:
            return data
        start, end = comma.span(1)
        return data[:start] + (b"" if end > start else b" ") + data[end:]

    def _piece(self, data: bytes) -> bytes:
        at = self._random.randrange(len(data) + 1)
        return data[:at] + self._random.choice(ODD_PIECES) + data[at:]

    def _new_frame(self) -> bytes:
        """A frame of the stream; each serves some times, since making one costs as much as ten
        changes of one."""
        if self._random.random() < 1 / FRESH_SERVES or not self._made:
            self._made.append(self._stream.frame())
        return self._random.choice(self._made)

    def _fresh(self, data: bytes) -> bytes:
        fresh = self._new_frame()
        return fresh if self._random.random() < 0.7 else b"[" + data + b"," + fresh + b"]"


class SequenceChanger(FrameChanger):
    """A libFuzzer mutator of a sequence of frames: changes one of them, or their order."""

    def changed(self, data: bytes, longest: int) -> bytes:
        sequence = data.split(SEPARATOR)
        at = self._random.randrange(len(sequence))
        match self._random.randrange(8):
            case 0:
                sequence.insert(at, self._stream.frame())
            case 1:
                sequence.insert(at, self._random.choice(sequence))
            case 2:
                del sequence[at]
            case 3:
                sequence.append(sequence.pop(at))
            case _:
                sequence[at] = super().changed(sequence[at], longest)
        return SEPARATOR.join(sequence)
